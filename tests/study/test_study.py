"""A paper under the conditions of a run: which trials, and what keeps them from the paper's."""

from __future__ import annotations

from types import SimpleNamespace

import pandas as pd
import pytest
from made_up import study_of

from brainlib.errors import UsageError
from brainlib.study.study import Study


@pytest.fixture
def full(monkeypatch, tmp_path):
    return study_of("jardim", monkeypatch, tmp_path, images=3000)


def changed(full, monkeypatch, **options):
    """The same study with other options."""
    return Study("jardim", **{**full.options.model_dump(), **options})


def test_the_papers_own_protocol_on_its_own_images_has_no_condition(full):
    assert full.conditions() == ()
    assert full.title("cnn") == "CNN without transfer learning"
    assert full.title("transfer") == "ResNet50V2 with transfer learning"


def test_every_departure_is_a_condition_and_stands_in_the_title(full, monkeypatch):
    study = changed(full, monkeypatch, profile="smoke", weights="random", backbone={"resnet50v2": "vgg16"})
    assert study.conditions("cnn") == (
        "60 of 3000 images",
        "images of 80 instead of 240 pixels",
        "cnn: 2 of 30 epochs",
    )
    assert study.conditions("transfer")[2:] == (
        "transfer: vgg16 in place of resnet50v2",
        "transfer: random weights",
        "transfer: 2 of 30 epochs",
    )
    assert study.title("transfer") == (
        "ResNet50V2 with transfer learning "
        "[60 of 3000 images, vgg16 in place of resnet50v2, random weights, 2 of 30 epochs]"
    )


def test_phantoms_and_differing_counts_are_conditions(full):
    full.dataset.differences = ("no: 1500 images were published, 1499 are here.",)
    assert full.data_conditions() == full.dataset.differences
    full.dataset.phantom = True
    assert full.conditions()[0] == "3000 phantoms"


def test_jardim_trains_each_arm_in_three_folds_and_once_more(full):
    trials = full.trials()
    assert [(t.arm, t.stage) for t in trials] == [
        (arm, stage) for arm in ("cnn", "transfer") for stage in ("fold 1", "fold 2", "fold 3", "final")
    ]
    assert [t.keep_model for t in trials] == [False, False, False, True] * 2
    assert {t.monitored for t in trials if t.split.fold} == {"validation"}
    assert {t.monitored for t in trials if not t.split.fold} == {"test"}
    assert len({t.key for t in trials}) == 8
    cnn = trials[0]
    assert (cnn.size, cnn.batch_size, cnn.loss, cnn.epochs) == (240, 32, "binary_crossentropy", 30)
    assert (cnn.model.convolutions, cnn.model.dense, cnn.model.channels) == ((32, 32), (500,), 1)
    assert (cnn.split.holdout, cnn.split.folds, cnn.split.stratified) == (0.2, 3, False)
    assert cnn.phases[0].learning_rate == 1e-4 and cnn.weights.source == "none"
    transfer = trials[4]
    assert transfer.model.backbone == "resnet50v2" and transfer.model.pooling == "flatten"
    assert transfer.phases[0].trainable == "head" and transfer.weights.source == "imagenet"


def test_hajhashem_trains_one_model(monkeypatch, tmp_path):
    (trial,) = study_of("hajhashem", monkeypatch, tmp_path, images=253).trials()
    assert (trial.size, trial.loss, trial.epochs) == (224, "categorical_crossentropy", 10)
    assert dict(trial.phases[0].augmentation) == {"flip": "horizontal", "rotation": 15}
    assert (trial.split.folds, trial.monitored, trial.keep_model) == (0, "test", True)


def test_a_substitute_is_scaled_as_its_own_weights_expect(monkeypatch, tmp_path):
    study = study_of("hajhashem", monkeypatch, tmp_path, images=253)
    assert study.trials()[0].model.scaling == "imagenet_mean_std"
    options = {**study.options.model_dump(), "backbone": {"resnet18": "mobilenet_v2"}}
    assert Study("hajhashem", **options).trials()[0].model.scaling == "backbone"


def test_a_profile_uses_fewer_images_and_epochs_and_smaller_ones(full, monkeypatch):
    trial = changed(full, monkeypatch, profile="smoke").trials()[0]
    assert (trial.split.images, trial.size, trial.epochs) == (60, 80, 2)


def test_another_seed_is_another_split_and_another_training(full, monkeypatch):
    one, other = full.trials()[0], changed(full, monkeypatch, seed=7).trials()[0]
    assert (other.seed, other.split.seed) == (7, 7)
    assert one.key != other.key


def test_classes_that_are_not_the_papers_are_refused(monkeypatch, tmp_path):
    four = SimpleNamespace(classes=("a", "b", "c", "d"))
    monkeypatch.setattr("brainlib.study.study.datasets.load", lambda *_, **__: four)
    with pytest.raises(UsageError, match="needs classes no, yes; br35h has a, b, c, d"):
        _ = Study("jardim", out=str(tmp_path), data="phantoms").dataset


def test_the_protocol_is_shown_in_words_with_its_provenance(full):
    table = full.protocol_table()
    rows = table.frame.set_index("setting")
    assert rows.loc["image size", "provenance"] == "stated"
    assert rows.loc["cnn: kernel size", ["value", "alternatives"]].tolist() == ["3", "5"]
    assert rows.loc["cnn, phase 1: learning rate", "value"] == "0.0001"
    assert rows.loc["cnn, phase 1: augmentation", "value"] == "none"
    assumed = (table.frame["provenance"] == "assumed").sum()
    assert f"{assumed} assumed" in table.caption


def test_copies_are_counted_for_each_folder(full):
    full.dataset.table = pd.DataFrame({"label": ["no", "no", "no", "yes"], "part": "", "mode": ["L", "RGB", "L", "L"]})
    full.dataset.group_ids = lambda: [0, 0, 0, 1]
    rows = full.data_table().frame.set_index("folder")
    assert rows.loc["no", "copies"] == 2
    assert rows.loc["no", ["images", "published", "modes"]].tolist() == [3, 1500, "L, RGB"]


def test_the_summary_names_no_folder_of_this_machine(full):
    shown = dict(full.summary().frame.itertuples(index=False, name=None))
    assert shown["data set"].endswith("from a folder of this machine")
    assert shown["images"] == "3000 of 3000, at 240 x 240 pixels"
    assert "elsewhere" not in " ".join(shown.values())
