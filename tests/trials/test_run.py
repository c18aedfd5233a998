"""Running trials: what is stored, what is trained again, and what a killed process leaves."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from small_trials import assert_same, phantoms, small_trial

from brainlib import progress
from brainlib.data import altered, datasets, images, splits
from brainlib.data.splits import Split
from brainlib.errors import BrainlibError, UsageError
from brainlib.models.build import ModelSpec
from brainlib.models.training import Phase
from brainlib.trials import devices, jobs, processes
from brainlib.trials.run import Asked, heat_maps, run_trials

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
    run_all, seeds = processes.run_all, []

    def counting(function, asked, places, report):
        if function is jobs.train:
            seeds.extend(trial.seed for trial, *_ in asked)
        return run_all(function, asked, places, report)

    monkeypatch.setattr(processes, "run_all", counting)
    return seeds


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


def test_facts_tell_what_was_asked_times_and_versions_but_no_path_of_this_machine(shared):
    folder, _, result = shared
    assert result.facts["seconds"]["training"] == pytest.approx(result.history["seconds"].sum(), rel=1e-6)
    assert result.facts["seconds"]["an image"] > 0
    layers = result.facts["layers"]
    assert [row["output"] for row in (layers[0], layers[-1])] == [[16, 16, 1], [1]]
    environment = result.facts["environment"]
    assert {"tensorflow", "keras", "python", "cores"} <= set(environment)
    text = (folder / "trials" / result.trial.key / "trial.json").read_text()
    for private in (str(folder), str(Path.home()), os.uname().nodename):
        assert private not in text or len(private) < 3
    asked = json.loads(text)["trial"]
    assert (asked["phases"][0]["learning_rate"], asked["split"]["folds"]) == (1e-3, 3)
    assert asked["conditions"] == ["other images"]


def test_several_classes_are_columns_in_the_order_of_the_paper(shared, store):
    _, dataset, *_ = shared
    trial = small_trial(dataset, classes=("yes", "no"), loss="categorical_crossentropy")
    # Trained until it knows its own images, the column of the true label is the larger one.
    taught = dataclasses.replace(
        trial,
        phases=(Phase("training", "all", 30, 1e-2),),
        model=ModelSpec("cnn", channels=1, convolutions=(4,), dense=(16,)),
    )
    (result,) = run_trials([taught], dataset, store, on_progress=progress.ignore)
    assert list(result.predictions.columns[5:]) == ["p_yes", "p_no"]
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


def test_a_stored_trial_is_not_trained_again_under_this_name_or_another(copied, shared, trained):
    folder, dataset, trial, _ = copied
    renamed, lines = dataclasses.replace(trial, paper="other", arm="a", stage="s", keep_model=False), []
    results = run_trials([trial, renamed], dataset, folder, on_progress=lambda *step: lines.append(step))
    for result in results:
        assert_same(result, shared[2])
    assert (lines, trained) == ([], [])
    assert results[1].trial.name == "other a s"


def test_fresh_trains_again_and_gives_the_same_bits(copied, shared, trained):
    folder, dataset, trial, target = copied
    (result,) = run_trials([trial], dataset, folder, fresh=True, on_progress=progress.ignore)
    assert trained == [0]
    assert_same(result, shared[2])
    assert [path.name for path in target.parent.iterdir()] == [trial.key]


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
    assert_same(results[0], results[1])
    assert (store / "trials" / asked[0].key / "model.keras").is_file()
    assert not (store / "trials" / asked[2].key / "model.keras").exists()


def test_trials_of_several_data_sets_are_trained_at_one_time_each_on_its_own(shared, store, trained):
    _, dataset, *_ = shared
    sets = [dataset, altered.shuffled(dataset, 1), dataset]
    asked = [small_trial(data, seed=seed) for data, seed in zip(sets, (0, 0, 5), strict=True)]
    lines = []
    results = run_trials(asked, sets, store, on_progress=lambda _, line: lines.append(line.split(": epoch")[0]))
    assert trained == [0, 0, 5]
    assert set(lines) == {f"[{n}/3] {asked[0].name}, seed {seed}" for n, seed in ((1, 0), (2, 0), (3, 5))}
    for result, data in zip(results, sets, strict=True):
        labels = data.table.set_index("path")["label"]
        assert result.predictions["label"].tolist() == labels[result.predictions["path"]].tolist()
    assert results[0].predictions["label"].tolist() != results[1].predictions["label"].tolist()


def test_a_trial_stored_without_its_model_is_trained_for_it(shared, store, trained):
    _, dataset, *_ = shared
    bare = small_trial(dataset)
    run_trials([bare], dataset, store, on_progress=progress.ignore)
    run_trials([bare], dataset, store, on_progress=progress.ignore)
    assert len(trained) == 1
    run_trials([dataclasses.replace(bare, keep_model=True)], dataset, store, on_progress=progress.ignore)
    assert len(trained) == 2
    assert (store / "trials" / bare.key / "model.keras").is_file()


@pytest.mark.parametrize("file", ["predictions.parquet", "model.keras"])
@pytest.mark.fault(
    "4e",
    "predictions.parquet of a stored trial is damaged",
    "said in one line, set aside, trained again; the result is the same",
)
def test_a_damaged_result_is_trained_again_and_kept_for_inspection(copied, shared, file, capsys):
    folder, dataset, trial, target = copied
    (target / file).write_bytes(b"\x80\x04cos\nsystem\n(S'exit 1'\ntR.")  # a pickle that would run a command
    left = {path.name: path.read_bytes() for path in target.iterdir()}
    (result,) = run_trials([trial], dataset, folder)
    assert_same(result, shared[2])
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


def test_an_error_leaves_the_trials_before_it_in_the_store(shared, store, monkeypatch):
    _, dataset, *_ = shared
    good = small_trial(dataset)
    bad = small_trial(dataset, stage="bad", split=Split(holdout=0.25, folds=40, fold=1, leakage="as_published"))
    monkeypatch.setattr(devices, "places", lambda: [{}])  # one after the other
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


@pytest.mark.fault(
    "1g",
    "SIGKILL of a script after the first of many trials",
    "a repeat trains only the others; the results are the same",
)
def test_after_kill_9_the_run_goes_on_where_it_was(shared, store, trained):
    folder, dataset, *_ = shared
    shutil.copytree(folder / "phantoms", store / "phantoms")
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(store)],
        env={**os.environ, "PYTHONPATH": PATHS},
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
        assert_same(one, two)


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
    heat_maps([Asked(result, dataset.table["path"].iloc[:1].tolist())], dataset, store)

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


@pytest.mark.fault("6r", "TMPDIR is a path of over 75 letters, too long for a socket", "trained as elsewhere")
def test_a_script_without_a_guard_trains_and_prints_nothing_of_tensorflows_start(tmp_path):
    long = tmp_path / ("temporary" * 10)
    long.mkdir()
    (tmp_path / "script.py").write_text(SCRIPT)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    ran = subprocess.run(
        [sys.executable, str(tmp_path / "script.py"), str(tmp_path / "store")],
        capture_output=True,
        text=True,
        env={**environment, "PYTHONPATH": PATHS, "TMPDIR": str(long)},
    )
    assert (ran.stdout, ran.stderr) == ("ran once\n", "")


def test_the_peak_of_memory_is_in_mib_and_unknown_where_python_has_no_module_for_it(monkeypatch):
    for system, unit in (("linux", 2**10), ("darwin", 2**20)):
        monkeypatch.setattr(sys, "platform", system)
        monkeypatch.setattr(resource, "getrusage", lambda who, unit=unit: SimpleNamespace(ru_maxrss=3 * unit))
        assert jobs.peak_memory_mib() == 3
    monkeypatch.setitem(sys.modules, "resource", None)  # as on Windows
    assert np.isnan(jobs.peak_memory_mib())


# Heat maps of a stored model.


@pytest.mark.fault("4p", "a stored heat map is damaged", "it is computed again")
def test_heat_maps_explain_the_images_asked_for_in_their_order_and_are_kept(shared, monkeypatch):
    folder, dataset, result = shared
    from brainlib.models import gradcam
    from brainlib.trials import store

    paths = dataset.table["path"].iloc[[7, 2]].tolist()
    asked = [Asked(result, paths, True), Asked(result, ()), Asked(result, paths), Asked(result, paths, kin=True)]
    permuted, none, maps, kin = heat_maps(asked, dataset, folder)
    pixels = jobs.inputs(result.trial, dataset, paths, folder)
    np.testing.assert_array_equal(pixels, images.load_images(*dataset.files(np.array([7, 2])), 16, 1, folder))
    model = store.load_model(folder, result.trial.key)
    # The weights were permuted before, and put back.
    np.testing.assert_allclose(maps, gradcam.grad_cam(model, np.asarray(pixels)), atol=1e-6)
    assert maps.max() == 1 and none.shape == (0, 16, 16)
    np.testing.assert_allclose(permuted[0], maps, atol=1e-6)
    every = gradcam.grad_cam(model, np.asarray(pixels), methods=gradcam.METHODS)
    np.testing.assert_allclose(kin, every, atol=1e-6)
    assert permuted.shape == (3, 2, 16, 16) and np.ptp(permuted, axis=0).max() > 0.01
    # Nothing is computed again, but for a map that was damaged.
    monkeypatch.setattr(processes, "run", pytest.fail)
    for first, again in zip((permuted, none, maps, kin), heat_maps(asked, dataset, folder), strict=True):
        np.testing.assert_array_equal(again, first)
    monkeypatch.undo()
    for file in (folder / "maps").iterdir():
        file.write_bytes(file.read_bytes()[:-1] + b"?")
    np.testing.assert_array_equal(heat_maps(asked, dataset, folder)[2], maps)
