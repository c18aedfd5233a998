"""Running trials: what is stored, what is trained again, and what a killed process leaves."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_trials import phantoms, small_trial

from brainlib import progress
from brainlib.data import datasets, images, splits
from brainlib.data.splits import Split
from brainlib.errors import BrainlibError, StoreError, UsageError
from brainlib.models.backbones import Weights
from brainlib.models.build import ModelSpec
from brainlib.models.training import Phase
from brainlib.trials import jobs, processes
from brainlib.trials.run import heat_maps, run_trials
from brainlib.trials.trial import TrialResult

pytestmark = pytest.mark.slow
# Where programs of these tests find the helpers of tests/.
PATHS = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A store with phantoms in it and one trained trial that keeps its model."""
    folder = tmp_path_factory.mktemp("shared")
    dataset = phantoms(folder)
    trial = small_trial(dataset, keep_model=True, conditions=("other images",))
    (result,) = run_trials([trial], dataset, folder, on_progress=progress.ignore)
    return folder, dataset, result


@pytest.fixture
def copied(shared, tmp_path):
    """A store of one's own with that result, and the folder of the result."""
    folder, dataset, result = shared
    shutil.copytree(folder / "trials", tmp_path / "trials")
    return tmp_path, dataset, result.trial, tmp_path / "trials" / result.trial.key


@pytest.fixture
def trained(monkeypatch):
    """Seeds of the trials that are trained."""
    run, seeds = processes.run, []

    def counting(function, arguments, report):
        if function is jobs.train:
            seeds.append(arguments[0].seed)
        return run(function, arguments, report)

    monkeypatch.setattr(processes, "run", counting)
    return seeds


def same(one: TrialResult, two: TrialResult):
    """Bit for bit, but for what was measured with a clock."""
    pd.testing.assert_frame_equal(one.predictions, two.predictions, check_exact=True)
    pd.testing.assert_frame_equal(one.epochs, two.epochs, check_exact=True)
    pd.testing.assert_frame_equal(
        one.history.drop(columns="seconds"), two.history.drop(columns="seconds"), check_exact=True
    )


# What a trial leaves behind.


def test_the_predictions_name_every_image_of_the_split_once(shared):
    _, dataset, result = shared
    table = result.predictions
    parts = splits.assign(dataset.table["label"], dataset.group_ids(), result.trial.split)
    assert table["path"].tolist() == dataset.table["path"].tolist()
    assert table["label"].tolist() == dataset.table["label"].tolist()
    assert table["part"].tolist() == parts.tolist()
    assert table["group"].tolist() == dataset.group_ids().tolist()
    assert list(table.columns[4:]) == ["phase", "p_no", "p_yes"]
    np.testing.assert_allclose(table["p_no"] + table["p_yes"], 1, atol=1e-6)


def test_the_positive_probability_is_the_stored_models_output(shared):
    folder, dataset, result = shared
    from brainlib.trials import store

    pixels = images.load_images(*dataset.files(np.arange(24)), 16, 1, folder)
    outputs = store.load_model(folder, result.trial.key).predict(np.float32(pixels), verbose=0)
    assert result.trial.classes == ("no", "yes")
    np.testing.assert_allclose(result.predictions["p_yes"], outputs[:, 0], atol=1e-6)


def test_history_and_epochs_agree_with_the_predictions(shared):
    *_, result = shared
    assert result.history["epoch"].tolist() == [1, 2]
    monitored = result.part("validation")
    last = result.epochs[result.epochs["epoch"] == 2]
    assert last["path"].tolist() == monitored["path"].tolist()
    np.testing.assert_array_equal(last["p_yes"], monitored["p_yes"])
    right = ((monitored["p_yes"] > 0.5) == (monitored["label"] == "yes")).mean()
    assert result.history["val_accuracy"].iloc[-1] == pytest.approx(right)


def test_facts_tell_times_and_versions_but_no_path_of_this_machine(shared):
    folder, _, result = shared
    assert result.facts["seconds"]["training"] == pytest.approx(result.history["seconds"].sum(), rel=1e-6)
    environment = result.facts["environment"]
    assert {"tensorflow", "keras", "python", "cores"} <= set(environment)
    text = (folder / "trials" / result.trial.key / "trial.json").read_text()
    for private in (str(folder), str(Path.home()), os.uname().nodename):
        assert private not in text or len(private) < 3


def test_several_classes_are_columns_in_the_order_of_the_paper(shared, store):
    _, dataset, *_ = shared
    trial = small_trial(dataset, classes=("yes", "no"), loss="categorical_crossentropy")
    (result,) = run_trials([trial], dataset, store, on_progress=progress.ignore)
    table = result.predictions
    assert list(table.columns[5:]) == ["p_yes", "p_no"]
    # Trained until it knows its own images, the column of the true label is the larger one.
    taught = dataclasses.replace(
        trial,
        phases=(Phase("training", "all", 30, 1e-2),),
        model=ModelSpec("cnn", channels=1, convolutions=(4,), dense=(16,)),
    )
    (result,) = run_trials([taught], dataset, store, on_progress=progress.ignore)
    own = result.part("train")
    right = (own["p_yes"] > own["p_no"]) == (own["label"] == "yes")
    assert right.mean() > 0.8


def test_images_of_other_classes_play_no_part(tmp_path):
    dataset = datasets.load_dataset("nickparvar", "phantoms", tmp_path, phantoms=40)
    trial = small_trial(
        dataset, classes=("notumor", "glioma"), split=Split(published=True, leakage="as_published"), monitored="test"
    )
    (result,) = run_trials([trial], dataset, tmp_path, on_progress=progress.ignore)
    table = result.predictions.merge(dataset.table[["path", "part"]], on="path")
    assert set(table["label"]) == {"notumor", "glioma"}
    assert len(table) == 20
    # The published division is the trial's own.
    assert (table["part_x"] == table["part_y"]).all()
    assert set(table["part_x"]) == {"train", "test"}


def test_every_phase_leaves_its_predictions(shared, store):
    _, dataset, *_ = shared
    phases = (Phase("first", "all", 1, 1e-3), Phase("second", "head", 2, 1e-2))
    (result,) = run_trials([small_trial(dataset, phases=phases)], dataset, store, on_progress=progress.ignore)
    first, last = result.judged("validation", "first"), result.judged("validation")
    assert list(first["path"]) == list(last["path"])
    assert (first["p_yes"].to_numpy() != last["p_yes"].to_numpy()).any()
    first_epoch = result.epochs[result.epochs["epoch"] == 1]
    np.testing.assert_array_equal(first_epoch["p_yes"], first["p_yes"])
    assert list(result.curve("second")["epoch"]) == [2, 3]
    assert result.best_epoch("first") == 1 and result.best_epoch() in (2, 3)


def test_the_best_epoch_of_images_that_were_not_monitored_is_refused(shared):
    with pytest.raises(UsageError, match="known of the validation part alone, received 'test'"):
        shared[2].judged("test", epoch="best")


# What is trained, and what is taken from the store.


def test_a_stored_trial_is_not_trained_again(copied, shared, trained):
    folder, dataset, trial, _ = copied
    lines = []
    (result,) = run_trials([trial], dataset, folder, on_progress=lambda *step: lines.append(step))
    same(result, shared[2])
    assert (lines, trained) == ([], [])


def test_another_name_takes_the_same_result(copied, shared, trained):
    folder, dataset, trial, _ = copied
    renamed = dataclasses.replace(trial, paper="other", arm="a", stage="s", keep_model=False)
    (result,) = run_trials([renamed], dataset, folder)
    same(result, shared[2])
    assert trained == []
    assert result.trial.name == "other a s"


def test_fresh_trains_again_and_gives_the_same_bits(copied, shared, trained):
    folder, dataset, trial, target = copied
    (result,) = run_trials([trial], dataset, folder, fresh=True, on_progress=progress.ignore)
    assert trained == [0]
    same(result, shared[2])
    assert [path.name for path in target.parent.iterdir()] == [trial.key]


def test_another_seed_gives_other_predictions(copied, shared):
    folder, dataset, trial, _ = copied
    other = dataclasses.replace(trial, seed=1)
    (result,) = run_trials([other], dataset, folder, on_progress=progress.ignore)
    assert (result.predictions["p_yes"] != shared[2].predictions["p_yes"]).any()


def test_trials_that_differ_in_name_only_are_trained_once_and_keep_the_model(shared, store, trained, capsys):
    _, dataset, *_ = shared
    asked = [
        small_trial(dataset, stage="one", keep_model=True),
        small_trial(dataset, stage="two"),
        small_trial(dataset, stage="three", seed=5),
        small_trial(dataset, stage="one", keep_model=True),
    ]
    results = run_trials(asked, dataset, store)
    assert trained == [0, 5]
    assert capsys.readouterr().err.startswith("2 models to train\n")
    assert [result.trial.stage for result in results] == ["one", "two", "three", "one"]
    same(results[0], results[1])
    assert (store / "trials" / asked[0].key / "model.keras").is_file()
    assert not (store / "trials" / asked[2].key / "model.keras").exists()


def test_a_trial_stored_without_its_model_is_trained_for_it(shared, store, trained):
    _, dataset, *_ = shared
    bare = small_trial(dataset)
    run_trials([bare], dataset, store, on_progress=progress.ignore)
    run_trials([bare], dataset, store, on_progress=progress.ignore)
    assert len(trained) == 1
    run_trials([dataclasses.replace(bare, keep_model=True)], dataset, store, on_progress=progress.ignore)
    assert len(trained) == 2
    assert (store / "trials" / bare.key / "model.keras").is_file()


def replace_by_pickle(target):
    (target / "predictions.parquet").write_bytes(b"\x80\x04cos\nsystem\n(S'exit 1'\ntR.")


@pytest.mark.parametrize(
    "damage",
    [
        lambda target: (target / "predictions.parquet").write_bytes(
            (target / "predictions.parquet").read_bytes()[:-20]
        ),
        lambda target: (target / "trial.json").write_text("{"),
        lambda target: (target / "epochs.parquet").unlink(),
        lambda target: (target / "model.keras").write_bytes((target / "model.keras").read_bytes()[:1000]),
        replace_by_pickle,
    ],
    ids=["truncated table", "corrupt json", "missing table", "truncated model", "pickle"],
)
def test_a_damaged_result_is_trained_again_and_kept_for_inspection(copied, shared, damage, capsys):
    folder, dataset, trial, target = copied
    damage(target)
    left = {path.name: path.read_bytes() for path in target.iterdir()}
    (result,) = run_trials([trial], dataset, folder)
    same(result, shared[2])
    printed = capsys.readouterr().err
    assert "does not verify" in printed and "trained again" in printed
    (aside,) = (path for path in target.parent.iterdir() if path != target)
    assert {path.name: path.read_bytes() for path in aside.iterdir()} == left


def test_the_store_holds_no_pickle(shared):
    folder, *_ = shared
    suffixes = {path.suffix for path in folder.rglob("*") if path.is_file()}
    assert suffixes == {".json", ".parquet", ".keras", ".npy", ".png", ".csv"}
    for path in folder.rglob("*.npy"):
        np.load(path, allow_pickle=False)  # raises on a pickled array
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix != ".npy":
            assert path.read_bytes()[:2] not in (b"\x80\x03", b"\x80\x04", b"\x80\x05")


def test_an_error_leaves_the_trials_before_it_in_the_store(shared, store):
    _, dataset, *_ = shared
    good = small_trial(dataset)
    bad = small_trial(dataset, stage="bad", split=Split(holdout=0.25, folds=40, fold=1, leakage="as_published"))
    with pytest.raises(BrainlibError) as error:
        run_trials([good, bad], dataset, store, on_progress=progress.ignore)
    assert "\n" not in str(error.value)
    assert [path.name for path in (store / "trials").iterdir()] == [good.key]


KILLED = """
import sys
from pathlib import Path
from small_trials import phantoms, small_trial
from brainlib.trials.run import run_trials
folder = Path(sys.argv[1])
dataset = phantoms(folder)
run_trials([small_trial(dataset, stage=str(n), seed=n) for n in range(200)], dataset, folder)
"""


def test_after_kill_9_the_run_goes_on_where_it_was(shared, store, trained):
    folder, dataset, *_ = shared
    shutil.copytree(folder / "phantoms", store / "phantoms")
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(store)],
        env={
            **os.environ,
            "PYTHONPATH": PATHS,
        },
        stderr=subprocess.DEVNULL,
    )
    first = small_trial(dataset, stage="0", seed=0)
    stored = store / "trials" / first.key / "trial.json"
    try:
        limit = time.monotonic() + 240
        while not stored.exists():
            assert process.poll() is None and time.monotonic() < limit
            time.sleep(0.02)
        written = stored.stat().st_mtime_ns
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()

    done = [path for path in (store / "trials").iterdir() if not path.name.startswith(".")]
    asked = [small_trial(dataset, stage=str(n), seed=n) for n in range(len(done) + 1)]
    resumed = run_trials(asked, dataset, store, on_progress=progress.ignore)
    assert stored.stat().st_mtime_ns == written
    assert trained == [len(done)]

    uninterrupted = run_trials(asked, dataset, folder, on_progress=progress.ignore)
    for one, two in zip(resumed, uninterrupted, strict=True):
        same(one, two)


# What training does to the process that asks for it.


def test_training_leaves_the_callers_keras_and_random_generators_alone(shared, store):
    import keras
    import tensorflow as tf

    _, dataset, _ = shared
    keras.utils.set_random_seed(7)
    expected = [tf.random.uniform([3]).numpy(), tf.random.uniform([3]).numpy()]
    keras.utils.set_random_seed(7)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="own"), keras.layers.Dropout(0.5)])
    predicted = model.predict(np.ones((2, 4)), verbose=0)
    _, name = keras.layers.Flatten(), keras.layers.Flatten().name
    before = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    drawn = [tf.random.uniform([3]).numpy()]

    (result,) = run_trials([small_trial(dataset, keep_model=True)], dataset, store, on_progress=progress.ignore)
    heat_maps(result, dataset, dataset.table["path"].iloc[:1].tolist(), store)

    assert (random.getstate(), np.random.get_state()[1].tolist()) == before  # noqa: NPY002
    np.testing.assert_array_equal([*drawn, tf.random.uniform([3]).numpy()], expected)
    np.testing.assert_array_equal(model.predict(np.ones((2, 4)), verbose=0), predicted)
    # A session that was cleared would count from the start.
    assert keras.layers.Flatten().name == f"flatten_{int(name.removeprefix('flatten_')) + 1}"


SCRIPT = """
import sys
from pathlib import Path
import numpy as np
from small_trials import phantoms, small_trial
from brainlib import progress
from brainlib.models import grad_cam
from brainlib.trials import load_model, run_trials
folder = Path(sys.argv[1])
dataset = phantoms(folder)
(result,) = run_trials([small_trial(dataset, keep_model=True)], dataset, folder, on_progress=progress.ignore)
grad_cam(load_model(folder, result.trial.key), np.zeros((2, 16, 16, 1), np.uint8))
print("ran once")
"""


def test_a_script_without_a_guard_trains_and_prints_nothing_of_tensorflows_start(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    ran = subprocess.run(
        [sys.executable, str(tmp_path / "script.py"), str(tmp_path / "store")],
        capture_output=True,
        text=True,
        env={**environment, "PYTHONPATH": PATHS},
    )
    assert (ran.stdout, ran.stderr) == ("ran once\n", "")


def test_a_changed_byte_of_stored_images_or_activations_is_noticed(shared, store):
    _, dataset, _ = shared
    model = ModelSpec("transfer", backbone="mobilenet_025", pooling="average")
    phases = (Phase("training", "head", 2, 1e-2),)
    given = small_trial(dataset, size=32, model=model, weights=Weights("random"), phases=phases)
    (one,) = run_trials([given], dataset, store, on_progress=progress.ignore)
    arrays = [*store.glob("features/*.npy"), *store.glob("images/*.npy")]
    assert len(arrays) == 2
    for path in arrays:
        content = path.read_bytes()
        path.write_bytes(content[:200] + bytes([content[200] ^ 64]) + content[201:])
        (two,) = run_trials([given], dataset, store, fresh=True, on_progress=progress.ignore)
        same(one, two)
        assert path.read_bytes() == content


@pytest.mark.parametrize(("system", "maximum"), [("linux", 3 * 2**10), ("darwin", 3 * 2**20)])
def test_the_peak_of_memory_is_counted_in_the_unit_of_the_system(system, maximum):
    assert jobs.mebibytes(maximum, system) == 3


def test_the_peak_of_memory_is_unknown_where_python_has_no_module_for_it(monkeypatch):
    assert jobs.peak_memory_mib() > 10
    monkeypatch.setitem(sys.modules, "resource", None)  # as on Windows
    assert np.isnan(jobs.peak_memory_mib())


# Heat maps of a stored model.


def test_heat_maps_explain_the_images_asked_for_in_their_order(shared):
    folder, dataset, result = shared
    from brainlib.models import gradcam
    from brainlib.trials import store

    paths = dataset.table["path"].iloc[[7, 2]].tolist()
    pixels, maps = heat_maps(result, dataset, paths, folder)
    expected = images.load_images(*dataset.files(np.array([7, 2])), 16, 1, folder)
    np.testing.assert_array_equal(pixels, expected)
    model = store.load_model(folder, result.trial.key)
    np.testing.assert_allclose(maps, gradcam.grad_cam(model, np.asarray(expected)), atol=1e-6)
    assert maps.max() == 1


def test_heat_maps_without_a_stored_model_are_refused_in_one_line(shared, store):
    _, dataset, *_ = shared
    (bare,) = run_trials([small_trial(dataset)], dataset, store, on_progress=progress.ignore)
    with pytest.raises(StoreError) as error:
        heat_maps(bare, dataset, dataset.table["path"].iloc[:1].tolist(), store)
    assert "\n" not in str(error.value)


def test_a_trial_is_stored_as_json_that_says_what_was_asked(shared):
    folder, _, result = shared
    stored = json.loads((folder / "trials" / result.trial.key / "trial.json").read_text())
    assert stored["trial"]["phases"][0]["learning_rate"] == 1e-3
    assert stored["trial"]["split"]["folds"] == 3
    assert stored["trial"]["conditions"] == ["other images"]
