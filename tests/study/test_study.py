"""A paper under the options of a run: its trials, its variations, and what keeps it from being the paper's."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from made_up import dataset_of, study_of
from pngs import write_image

from brainlib.data import load_dataset
from brainlib.data.registry import DataSetInfo, info_of
from brainlib.errors import UsageError
from brainlib.report import tables
from brainlib.study import conditions
from brainlib.study.study import Study

OWN_INFO = DataSetInfo("own", "br35h", "", "", info_of("br35h").folders)


@pytest.fixture
def full(tmp_path):
    return study_of("jardim", tmp_path)


def with_options(study, **options):
    return Study(study.paper, dataset=study.dataset, **{**study.options.model_dump(), **options})


def test_a_study_cannot_be_changed(full):
    with pytest.raises(AttributeError, match="split_by"):
        full.split_by = "group"


def test_the_papers_own_protocol_on_its_own_images_has_no_condition(full):
    assert full.conditions() == ()
    assert full.title("cnn") == "CNN without transfer learning"
    assert full.title("transfer") == "ResNet50V2 with transfer learning"


def test_every_departure_is_a_condition_and_stands_beside_the_short_name_of_the_arm(full):
    study = with_options(full, profile="smoke", weights="random", backbone={"resnet50v2": "vgg16"})
    assert study.conditions("cnn") == ("60 of 3000 images", "images of 80 instead of 240 pixels", "cnn: 2 of 30 epochs")
    trial = study.trials()[0]
    assert (trial.split.images, trial.size, trial.epochs) == (60, 80, 2)
    assert study.conditions("transfer")[2:] == (
        "transfer: vgg16 in place of resnet50v2",
        "transfer: random weights",
        "transfer: 2 of 30 epochs",
    )
    assert study.title("transfer") == "ResNet50V2 with transfer learning"
    shown = tables.summary(study).frame.set_index("what")["this run"]
    assert shown["not comparable"] == "60 of 3000 images; images of 80 instead of 240 pixels"
    transfer = "ResNet50V2 with transfer learning; vgg16 in place of resnet50v2; random weights; 2 of 30 epochs"
    assert shown["arm transfer"] == transfer


def test_a_demo_on_phantoms_names_the_stand_in_its_weights_and_its_learning_rate(full, tmp_path):
    phantoms = dataclasses.replace(full.dataset, phantom=True)
    study = Study("jardim", dataset=phantoms, data="phantoms", out=str(tmp_path))
    assert study.conditions("cnn")[-2:] == (
        "cnn: 20 of 30 epochs",
        "cnn: learning rate 0.002 in place of 0.0001",
    )
    assert study.conditions("transfer")[2:4] == (
        "transfer: stand_in in place of resnet50v2",
        "transfer: weights pretrained on phantoms",
    )
    trial = study.trials()[-1]
    assert (trial.model.backbone, trial.model.scaling, trial.weights.scaling) == ("stand_in", "backbone", "centred_128")
    # kruszyk trains all layers, which at this rate would undo what the stand-in has learned.
    kruszyk = Study("kruszyk", data="phantoms", out=str(tmp_path))
    assert [phase.trainable for phase in kruszyk.phases("resnet50")] == ["head"]
    assert "head trained in place of all layers" in conditions.of_arm(kruszyk, "resnet50")
    # A smoke run builds the papers' own networks.
    smoke = Study("jardim", dataset=phantoms, data="phantoms", profile="smoke", out=str(tmp_path))
    assert (smoke.backbone("transfer"), smoke.weights["transfer"].source) == ("resnet50v2", "random")


def test_mixed_precision_is_a_condition_of_every_trial(full):
    study = with_options(full, precision="mixed")
    assert study.conditions() == ("mixed precision",)
    assert {(trial.precision, trial.conditions) for trial in study.trials()} == {("mixed", ("mixed precision",))}


def test_each_trial_knows_the_conditions_of_its_arm(full):
    study = with_options(full, weights="random").varied("protocol.batch_size", 16)
    assert {trial.arm: trial.conditions for trial in study.trials()} == {
        "cnn": ("batch size 16 in place of 32",),
        "transfer": ("batch size 16 in place of 32", "transfer: random weights"),
    }


def test_phantoms_and_differing_counts_are_conditions(full, tmp_path):
    sentence = ("no: 1500 images were published, 1499 are here.",)
    table = full.dataset.table.iloc[1:]
    fewer = dataclasses.replace(full.dataset, table=table, differences=sentence)
    assert conditions.of_images(study_of("jardim", tmp_path, fewer)) == sentence
    phantoms = dataclasses.replace(fewer, phantom=True)
    assert study_of("jardim", tmp_path, phantoms).conditions()[0] == "2999 phantoms"


@pytest.mark.parametrize(
    "changes",
    [
        {"info": info_of("navoneel")},
        {"info": OWN_INFO},
        {"table": dataset_of("br35h").table.iloc[:1000]},
        {"fingerprint": "fedcba"},
    ],
)
def test_images_that_are_not_the_papers_are_a_condition(full, tmp_path, changes):
    data = dataclasses.replace(full.dataset, **changes)
    other = full.on(data, "image")
    assert other.conditions() == ("other images than the paper's",)
    assert full.on(full.dataset, "image").conditions() == ()
    if "fingerprint" not in changes:  # other bytes are no condition of the study that they were given to
        assert study_of("jardim", tmp_path, data).conditions() == other.conditions()


def test_duplicates_stay_apart_by_another_seed_and_with_another_setting(full):
    apart = full.duplicates_apart()
    varied = apart.varied("protocol.batch_size", 16)
    for study in (apart, apart.at_seed(1), varied, varied.at_seed(2), full.at_seed(1).duplicates_apart()):
        assert study.split_by == "group"
        assert {(t.split.by, t.split.leakage) for t in study.trials()} == {("group", "refused")}
        assert "duplicates kept apart" in study.conditions()
    assert full.split_by == "image" and full.conditions() == ()


def test_a_variation_keeps_images_options_and_changes(full, tmp_path):
    data = dataclasses.replace(dataset_of("br35h"), fingerprint="fedcba9876543210")
    start = with_options(full, seeds=3, retrain=True).on(data, "image")
    other = start.varied("protocol.batch_size", 16).duplicates_apart()
    assert other.dataset is data and other.options == start.options
    seed = other.at_seed(4)
    assert seed.dataset is data and (seed.options.seed, seed.options.seeds, seed.options.retrain) == (4, 1, True)
    assert seed.changed == other.changed == ("batch size 16 in place of 32",)


def test_the_duplicates_of_a_subset_are_searched_among_the_images_that_a_study_uses(tmp_path, monkeypatch):
    asked = []

    def duplicate_groups(data, store, rows, on_progress):
        asked.append(rows)
        return np.arange(len(data.table))

    monkeypatch.setattr("brainlib.study.study.findings.duplicate_groups", duplicate_groups)
    data = dataclasses.replace(dataset_of("br35h"), duplicates=None)
    study = study_of("jardim", tmp_path, data, profile="smoke")
    for each in (study, study.at_seed(1), study.duplicates_apart()):
        assert each.dataset.duplicates is not None
    first, second, third = asked
    assert len(first) == len(second) == 60 and set(first) != set(second)
    assert list(third) == list(first)


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


def test_a_substitute_is_scaled_as_its_own_weights_expect(tmp_path):
    study = study_of("hajhashem", tmp_path)
    (trial,) = study.trials()
    assert trial.model.scaling == "imagenet_mean_std"
    assert (trial.size, trial.loss, trial.epochs) == (224, "categorical_crossentropy", 10)
    assert dict(trial.phases[0].augmentation) == {"flip": "horizontal", "rotation": 15}
    other = with_options(study, backbone={"resnet18": "mobilenet_v2"})
    assert other.trials()[0].model.scaling == "backbone"


def test_another_seed_is_another_split_and_another_training(full):
    one, other = full.trials()[0], full.at_seed(7).trials()[0]
    assert (other.seed, other.split.seed) == (7, 7)
    assert one.key != other.key


def test_classes_that_are_not_the_papers_are_refused(monkeypatch, tmp_path):
    four = SimpleNamespace(name="br35h", info=info_of("br35h"), classes=("a", "b", "c", "d"))
    monkeypatch.setattr("brainlib.study.study.datasets.load_dataset", lambda *_, **__: four)
    with pytest.raises(UsageError, match=r"needs classes no \(no tumour\), yes; Br35H .* has a, b, c, d"):
        _ = Study("jardim", out=str(tmp_path), data="phantoms").dataset
    with pytest.raises(UsageError, match=r"needs classes no \(no tumour\), yes; Brain Tumor .* has glioma_tumor"):
        study_of("jardim", tmp_path, dataset_of("sartaj")).trials()


def test_own_images_of_other_classes_are_answered_with_the_mapping_to_write(tmp_path):
    for number, name in enumerate(("healthy", "sick")):
        write_image(tmp_path / "mine" / name / "1.png", np.full((8, 8), 100 * number, np.uint8))
    for given, said in (
        ({}, "{'healthy': '...', 'sick': '...'}"),
        ({"healthy": "a", "sick": "b"}, "{'FOLDER': '...'}"),
    ):
        data = load_dataset(tmp_path / "mine", store=tmp_path, classes=given)
        with pytest.raises(UsageError) as refused:
            _ = study_of("jardim", tmp_path, data).indexed
        assert f"say classes={said} in load_dataset" in str(refused.value)


def test_what_is_left_out_is_named_with_the_option_that_runs_it(tmp_path):
    study = study_of("lu", tmp_path, arms=["mobilenet"], scenarios=["four"])
    assert "arm vgg16" in study.not_run() and "scenario glioma" in study.not_run()
    assert study.why_not_run(["mobilenet"], "four") == study.why_not_run(["mobilenet"]) == ()
    assert study.why_not_run(["mobilenet", "vgg16"], "glioma") == (
        "arm vgg16 was not run: --arms vgg16 runs it",
        "scenario glioma was not run: --scenarios glioma runs it",
    )


def test_a_published_test_part_is_asked_for_or_drawn(tmp_path):
    data = dataset_of("nickparvar")
    data = dataclasses.replace(data, table=data.table.assign(part=""))
    study = study_of("yim", tmp_path, data, arms=["cnn"])
    with pytest.raises(UsageError, match="published test part; Brain Tumor MRI Dataset has none.*protocol.holdout"):
        study.trials()
    (trial,) = study.varied("protocol.holdout", 0.2).trials()
    assert (trial.split.published, trial.split.holdout) == (False, 0.2)


def test_given_images_bring_the_weights_and_the_extent_that_are_usual_for_them(full, tmp_path, monkeypatch):
    monkeypatch.delenv("BRAINLIB_DATA", raising=False)
    monkeypatch.delenv("BRAINLIB_WEIGHTS", raising=False)
    for phantom, images, source in ((False, 300, "imagenet"), (True, 960, "phantoms")):
        data = dataclasses.replace(full.dataset, phantom=phantom)
        study = Study("jardim", dataset=data, out=str(tmp_path))
        assert (study.profile.images, study.weights["transfer"].source) == (images, source)
