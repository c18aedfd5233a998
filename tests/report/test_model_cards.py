"""Exported models predict the same elsewhere, and their cards state what they are."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from made_up import FACTS, plain, predictions
from small_trials import final_trial, phantoms

from brainlib import cli, progress
from brainlib.data import images
from brainlib.errors import StoreError, UsageError
from brainlib.papers.loading import load_paper, paper_ids
from brainlib.report import model_cards
from brainlib.study.study import Study
from brainlib.trials.run import run_trials
from brainlib.trials.stored import Stored


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A store with one small model of jardim's CNN, its trial, result and images."""
    folder = tmp_path_factory.mktemp("reports") / "store"
    dataset = phantoms(folder)
    trial = final_trial(dataset, conditions=("24 phantoms", "learning_rate 0.1 in place of 0.001"))
    (result,) = run_trials([trial], dataset, folder, on_progress=progress.ignore)
    return folder, trial, result, dataset


def test_an_exported_model_says_the_same(trained, tmp_path, capsys):
    folder, trial, result, dataset = trained
    target = tmp_path / "model"
    assert cli.main(["export", trial.key[:8], str(target), "--out", str(folder.parent)]) == 0
    assert capsys.readouterr().out.strip() == str(target)
    assert {path.name for path in target.iterdir()} == {"model.keras", "README.md", "card.json"}

    import keras

    import brainlib.models.layers  # noqa: F401 - as the card shows

    model = keras.models.load_model(target / "model.keras", compile=False)
    rows = dataset.table.set_index("path").index.get_indexer(result.predictions["path"])
    pixels = np.asarray(images.load_images(*dataset.files(rows), trial.size, trial.model.channels, folder))
    predicted = model.predict(pixels, batch_size=8, verbose=0)[:, 0]
    assert np.abs(predicted - result.predictions["p_yes"]).max() < 1e-6


def test_the_card_states_data_scores_and_the_conditions_that_were_stored(trained, tmp_path):
    folder, trial, result, dataset = trained
    target = model_cards.export(folder, "jardim cnn final", tmp_path / "model")
    card = json.loads((target / "card.json").read_text())
    assert card["data"]["phantom"] is True and card["data"]["fingerprint"] == dataset.fingerprint
    assert card["data"]["images"]["test"] == result.part("test")["label"].value_counts().to_dict()
    accuracy = card["scores"]["all test images"]["accuracy"]
    correct = ((result.part("test")["p_yes"] > 0.5) == (result.part("test")["label"] == "yes")).mean()
    assert accuracy["value"] == correct and accuracy["low"] < correct < accuracy["high"]
    text = (target / "README.md").read_text()
    assert "not a medical device" in text and "Phantoms (synthetic images) in the layout of Br35H" in text
    assert "- 24 phantoms\n- learning_rate 0.1 in place of 0.001\n\n## Data" in text
    # Stated and assumed values of this arm, and of no other.
    assert "| cnn: conv dropout | 0.25 | assumed |" in text and "transfer: dense" not in text


def made_up_card(**trial):
    """The card of a model with 80 test images of 100 that have no duplicate in training."""
    test = predictions("test", 45, 5, 5, 45)
    train = predictions("train", 30, 0, 0, 30)
    train["group"] += 1000
    train.loc[:19, "group"] = np.arange(20)  # twenty of the positives, all predicted correctly
    table = pd.concat([test, train]).assign(phase="training")
    fields = json.loads(json.dumps(dataclasses.asdict(final_trial(SimpleNamespace(**SET))))) | trial
    return model_cards.model_card(Stored("0" * 24, FACTS | {"trial": fields}), table)


SET = {"fingerprint": "0" * 16, "classes": ("no", "yes")}


def test_leaked_test_images_have_a_score_without_them():
    card = made_up_card()
    published, without = card["scores"].values()
    assert (published["accuracy"].value, published["accuracy"].n) == (0.9, 100)
    assert (without["accuracy"].value, without["accuracy"].n) == (0.875, 80)
    assert "| accuracy | 90.00 % (82.56 to 94.48), n = 100 | 87.50" in plain(model_cards.card_text(card))


@pytest.mark.parametrize(
    ("conditions", "text"),
    [
        ([], "No difference from the paper's protocol is recorded."),
        (["3 images"], "- 3 images"),
    ],
)
def test_a_card_lists_the_conditions_or_says_that_there_is_none(conditions, text):
    card = model_cards.card_text(made_up_card(conditions=conditions))
    assert text in card.split("comparable with the paper's")[1].split("## Data")[0]


def test_a_model_trained_at_100_times_the_learning_rate_says_so(tmp_path):
    study = Study("jardim", dataset=phantoms(tmp_path / "store"), arms=["cnn"], out=str(tmp_path))
    trial = study.varied("arms.cnn.phases[0].learning_rate", 0.01).trials()[0]
    text = model_cards.card_text(made_up_card(conditions=list(trial.conditions)))
    assert re.search(r"^- .*learning.rate.* 0\.01", text, re.MULTILINE), text
    assert "- 24 phantoms" in text


@pytest.mark.parametrize("paper", paper_ids())
def test_every_arm_has_its_protocol_also_one_that_is_like_another(paper):
    paper = load_paper(paper)
    for name, arm in paper.arms.items():
        rows = {row[0]: row[1] for row in model_cards._protocol(paper, name)}
        phases = [f"{name}, phase {n + 1}: epochs" for n in range(len(arm.phases))]
        assert [rows[phase] for phase in phases] == [str(phase.epochs.value) for phase in arm.phases]
        assert {f"{name}: {part}" for part in ("channels", "scaling", "pooling", "dense")} <= set(rows)
        if arm.model.kind == "transfer":
            assert rows[f"{name}: backbone"] == arm.model.backbone.value
        of_others = [row for row in rows if ":" in row and re.split(":|, phase", row)[0] != name]
        assert of_others == []


@pytest.mark.parametrize("wanted", ["", "lu", "jardim transfer final", "ffffffffffffffffffffffff"])
@pytest.mark.fault(
    "9h",
    "export of an unknown model, or to a folder that is not empty",
    "refused in one line; nothing is written",
)
def test_a_model_that_is_not_there_is_refused_with_those_that_are(trained, tmp_path, wanted):
    with pytest.raises(UsageError, match="received one of none; the store has .* jardim cnn final"):
        model_cards.export(trained[0], wanted, tmp_path / "model")
    with pytest.raises(UsageError, match="none: run a notebook first"):
        model_cards.export(tmp_path, wanted, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="expected a new or empty folder"):
        model_cards.export(trained[0], "jardim cnn final", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_two_models_of_one_name_are_told_apart_by_their_keys(trained, tmp_path):
    folder, trial, _, _ = trained
    shutil.copytree(folder, tmp_path / "store")
    shutil.copytree(folder / "trials" / trial.key, tmp_path / "store" / "trials" / ("e" * 24))
    with pytest.raises(UsageError, match="received one of several") as refused:
        model_cards.export(tmp_path / "store", "jardim cnn final", tmp_path / "model")
    assert trial.key[:8] in str(refused.value) and "eeeeeeee" in str(refused.value)
    # A damaged one does not leave.
    with open(tmp_path / "store" / "trials" / trial.key / "model.keras", "r+b") as file:
        file.seek(2000)
        file.write(b"damaged")
    with pytest.raises(StoreError, match="expected a trained model that verifies"):
        model_cards.export(tmp_path / "store", trial.key, tmp_path / "model")
    assert not (tmp_path / "model").exists()
