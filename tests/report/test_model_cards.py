"""A model that leaves: the same predictions elsewhere, and a card that says what it is."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from made_up import FACTS, predictions
from small_trials import final_trial, phantoms

from brainlib import cli
from brainlib.data import images
from brainlib.errors import StoreError, UsageError
from brainlib.report import exporting, model_cards
from brainlib.trials import store
from brainlib.trials.run import run_trials


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A store with one small model of jardim's CNN, its trial, result and images."""
    folder = tmp_path_factory.mktemp("reports") / "store"
    dataset = phantoms(folder)
    trial = final_trial(dataset)
    (result,) = run_trials([trial], dataset, folder, log=lambda line: None)
    return folder, trial, result, dataset


def test_an_exported_model_says_the_same(trained, tmp_path, capsys):
    folder, trial, result, dataset = trained
    target = tmp_path / "model"
    assert cli.main(["export", trial.key[:8], str(target), "--out", str(folder.parent)]) == 0
    assert capsys.readouterr().out.strip() == str(target)
    assert {path.name for path in target.iterdir()} == {"model.keras", "README.md", "card.json"}

    import keras

    import brainlib.models.layers  # noqa: F401 - as the card says

    model = keras.models.load_model(target / "model.keras", compile=False)
    rows = dataset.table.set_index("path").index.get_indexer(result.predictions["path"])
    pixels = np.asarray(images.load_images(*dataset.files(rows), trial.size, trial.model.channels, folder))
    said = model.predict(pixels, batch_size=8, verbose=0)[:, 0]
    assert np.abs(said - result.predictions["p_yes"]).max() < 1e-6


def test_the_card_says_what_it_was_trained_on_and_how_it_differs(trained, tmp_path):
    folder, trial, result, dataset = trained
    target = exporting.export(folder, "jardim cnn final", tmp_path / "model")
    card = json.loads((target / "card.json").read_text())
    assert card["data"]["phantom"] is True and card["data"]["fingerprint"] == dataset.fingerprint
    assert card["data"]["images"]["test"] == result.part("test")["label"].value_counts().to_dict()
    assert card["differs_from_paper"] == [
        "trained on phantoms, synthetic pictures, not on the paper's images",
        "images of 16 instead of 240 pixels",
        "2 of 30 epochs of training",
    ]
    accuracy = card["scores"]["as published"]["accuracy"]
    right = ((result.part("test")["p_yes"] > 0.5) == (result.part("test")["label"] == "yes")).mean()
    assert accuracy["value"] == right and accuracy["low"] < right < accuracy["high"]
    text = (target / "README.md").read_text()
    assert "not a medical device" in text and "Phantoms in the layout of Br35H" in text
    # Stated and assumed values of this arm, and of no other.
    assert "| cnn: conv dropout | 0.25 | assumed |" in text and "transfer: dense" not in text


def test_copies_of_training_images_have_a_score_without_them(trained):
    _, trial, _, _ = trained
    test = predictions("test", 45, 5, 5, 45)
    train = predictions("train", 30, 0, 0, 30)
    train["group"] += 1000
    train.loc[:19, "group"] = np.arange(20)  # twenty of the positives, all right
    table = model_cards.pd.concat([test, train]).assign(phase="training")
    facts = FACTS | {"trial": json.loads(json.dumps(model_cards.dataclasses.asdict(trial)))}
    card = model_cards.model_card("0" * 24, facts, table)
    published, clean = card["scores"].values()
    assert (published["accuracy"]["value"], published["accuracy"]["n"]) == (0.9, 100)
    assert (clean["accuracy"]["value"], clean["accuracy"]["n"]) == (0.875, 80)
    assert "trained before it was recorded" in card["differs_from_paper"][0]
    assert "| accuracy | 90.00 % (82.6 to 94.5), n = 100 | 87.50" in model_cards.card_text(card)


@pytest.mark.parametrize("wanted", ["", "lu", "jardim transfer final", "ffffffffffffffffffffffff"])
def test_a_model_that_is_not_there_is_refused_with_those_that_are(trained, tmp_path, wanted):
    with pytest.raises(UsageError, match="received one of none; the store has .* jardim cnn final"):
        exporting.export(trained[0], wanted, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_two_models_of_one_name_are_told_apart_by_their_keys(trained, tmp_path):
    folder, trial, _, _ = trained
    shutil.copytree(folder, tmp_path / "store")
    shutil.copytree(folder / "trials" / trial.key, tmp_path / "store" / "trials" / ("e" * 24))
    with pytest.raises(UsageError, match="received one of several") as refused:
        exporting.export(tmp_path / "store", "jardim cnn final", tmp_path / "model")
    assert trial.key[:8] in str(refused.value) and "eeeeeeee" in str(refused.value)


def test_a_folder_with_something_in_it_is_left_alone(trained, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="expected a new or empty folder"):
        exporting.export(trained[0], "jardim cnn final", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_damaged_model_does_not_leave(trained, tmp_path):
    folder, trial, _, _ = trained
    shutil.copytree(folder, tmp_path / "store")
    with open(tmp_path / "store" / "trials" / trial.key / "model.keras", "r+b") as file:
        file.seek(2000)
        file.write(b"damaged")
    with pytest.raises(StoreError, match="expected a stored model that verifies"):
        exporting.export(tmp_path / "store", trial.key, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_store_without_models_says_what_to_do(tmp_path):
    with pytest.raises(UsageError, match="none: run a notebook first"):
        exporting.export(tmp_path, "jardim", tmp_path / "model")
    assert store.holds(tmp_path, "nothing") is False
