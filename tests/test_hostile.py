"""Files that nobody of good will writes: one line of ours for each, and neither code run nor memory filled."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hostile import MODELS, VALUES, Shelf, parquet, tables

from brainlib.app.viewer import Viewer
from brainlib.errors import BrainlibError, StoreError
from brainlib.report.model_cards import export
from brainlib.trials import store
from brainlib.trials.run import run_trials
from brainlib.trials.stored import Stored, stored_models

pytestmark = pytest.mark.slow


@pytest.mark.fault("7k", "8,200 damaged or made-up image files, half of them uploads", "our error or an image; bounded")
@pytest.mark.fault(
    "9p", "1,400 damaged files of predictions are scored", "our error or a table; bounded memory and time"
)
@pytest.mark.fault("9aa", "300 stored results are edited and their sums made to fit", "our error or a model card")
@pytest.mark.fault(
    "9ab", "100 stored models are damaged and their sums made to fit", "our error or a model; no code runs"
)
@pytest.mark.parametrize(
    ("kind", "count"), [("images", 8200), ("predictions", 1400), ("results", 300), ("models", 100)]
)
def test_ten_thousand_hostile_inputs_give_nothing_but_our_errors(kind, count):
    command = [sys.executable, str(Path(__file__).with_name("hostile.py")), kind, str(count)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Warning" not in done.stderr  # of Pillow's; libtiff and TensorFlow print lines of their own
    found = json.loads(done.stdout)
    assert found["refused"] > count / 5 and found["grown_mib"] < 1024


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    return Shelf(tmp_path_factory.mktemp("reports") / "store")


def assert_refused(shelf, tmp_path, match):
    """Neither the program nor an export uses the model, and each says so in one line."""
    target = tmp_path / "exported"
    stored = Stored(shelf.key, shelf.facts)
    for use in (
        lambda: Viewer(shelf.folder, stored, "phantoms").model,
        lambda: export(shelf.folder, shelf.key, target),
    ):
        with pytest.raises(StoreError, match=match) as error:
            use()
        assert "\n" not in str(error.value) and "run again" in str(error.value)
    assert not target.exists()


def test_what_the_others_damage_is_used_as_it_is(shelf, tmp_path):
    shelf.put()
    assert export(shelf.folder, shelf.key, tmp_path / "exported").is_dir()


@pytest.mark.fault("9b", "a stored model names a program to start", "it is not started; one line")
@pytest.mark.fault("9c", "a stored model is junk or endless JSON, and its sum fits", "one line; nothing is exported")
@pytest.mark.parametrize("what", MODELS)
def test_a_file_that_is_no_model_is_neither_loaded_nor_exported(shelf, tmp_path, what):
    shelf.put(model_keras=MODELS[what](shelf.files[store.MODEL]))
    with pytest.raises(StoreError, match="expected a model for the trial's images, received others"):
        store.load_model(shelf.folder, shelf.key)
    assert_refused(shelf, tmp_path, "expected a model for the trial's images")


@pytest.mark.fault("9a", "a stored model has a Lambda layer that runs code", "it is not run; one line")
def test_code_in_a_stored_model_is_not_run(shelf, tmp_path, monkeypatch):
    import keras

    monkeypatch.chdir(tmp_path)
    opens, file, ran = keras.layers.Lambda(lambda x: [open("ran", "w"), x][1]), tmp_path / "x.keras", tmp_path / "ran"
    layers = [keras.Input((16, 16, 1)), opens, keras.layers.Flatten(), keras.layers.Dense(1)]
    keras.Sequential(layers).save(file)
    ran.unlink()  # Keras called it when it built the model
    shelf.put(model_keras=file.read_bytes())
    assert_refused(shelf, tmp_path, "expected a model for the trial's images.*ambda")
    assert not ran.exists()
    keras.models.load_model(file, compile=False, safe_mode=False)
    assert ran.exists()  # as it would have been


@pytest.mark.fault("9ac", "a stored model takes images of another size than its trial", "one line in place of a crash")
def test_a_model_for_other_images_is_not_loaded(shelf, tmp_path):
    shelf.put(facts=shelf.facts | {"trial": shelf.facts["trial"] | {"size": 32}})
    assert_refused(shelf, tmp_path, r"received others \(ValueError: one from \(None, 16, 16, 1\)")


@pytest.mark.fault("9f", "predictions have no columns, or are no Parquet, and their sum fits", "one line; no card")
@pytest.mark.fault("9g", "predictions are NaN, text or empty, and their sum fits", "one line; no card")
@pytest.mark.parametrize("what", [*tables(Shelf.made_up()), "junk"])
def test_no_card_is_made_of_what_are_no_predictions(shelf, tmp_path, what):
    data = b"PAR1 junk PAR1" if what == "junk" else parquet(tables(shelf.table)[what])
    shelf.put(predictions_parquet=data)
    assert_refused(shelf, tmp_path, "expected tables, received others|expected the facts and predictions of a trained")


@pytest.mark.fault("9ae", "predictions lack a column, or a result a table, when a run takes it", "one line")
@pytest.mark.parametrize("name", ["phase", "part", "predictions"])
def test_a_run_does_not_take_tables_that_no_training_stores(shelf, name):
    shelf.put(predictions_parquet=parquet(shelf.table.drop(columns=name, errors="ignore")))
    if name == "predictions":
        facts = json.loads((shelf.place / store.FACTS).read_text())
        del facts["sha256"]["predictions.parquet"]
        (shelf.place / store.FACTS).write_text(json.dumps(facts))
        (shelf.place / "predictions.parquet").unlink()
    with pytest.raises(StoreError, match="expected the tables of a training, received others.*run again"):
        run_trials([shelf.trial], None, shelf.folder)


@pytest.mark.fault("9ad", "the facts of a stored result are a list, null or of other names", "it is not listed")
@pytest.mark.parametrize("facts", [*VALUES, {"trial": None}, {"trial": {"paper": "../../etc"}, "data": {}}], ids=str)
def test_facts_that_are_none_are_not_listed(shelf, facts):
    shelf.put(facts=facts)
    assert stored_models(shelf.folder) == []


@pytest.mark.fault("9e", "the classes of a stored trial are no names, or its size is no number", "one line; no card")
@pytest.mark.parametrize("value", [["<script>", {}], "x", -1, None], ids=str)
@pytest.mark.parametrize("key", ["classes", "size", "model", "split", "weights", "phases", "paper"])
def test_a_trial_of_other_types_is_refused(shelf, tmp_path, key, value):
    shelf.put(facts=shelf.facts | {"trial": shelf.facts["trial"] | {key: value}})
    viewer = Viewer if key != "size" else lambda *given: Viewer(*given).model
    with pytest.raises(StoreError, match="run again"):
        viewer(shelf.folder, Stored(shelf.key, shelf.facts), "phantoms")
    with pytest.raises(BrainlibError):
        export(shelf.folder, shelf.key, tmp_path / "exported")
    assert not (tmp_path / "exported").exists()
