"""Get the results of trials from the store, and have those trained that it lacks.

What is stored are predictions, so that a new question about a trained model needs no training. Training runs in
processes of its own (`jobs`), on this machine or on a Dask cluster.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from contextlib import nullcontext
from itertools import chain, compress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from brainlib import io, progress
from brainlib.data import images
from brainlib.data.datasets import DataSet
from brainlib.progress import OnProgress, duration
from brainlib.trials import jobs, store, workers
from brainlib.trials.trial import Trial, TrialResult

#: Part of the names of stored heat maps: increase it when a change of the code changes a map.
_MAPS = 2


def run_trials(
    trials: Sequence[Trial],
    dataset: DataSet | Sequence[DataSet],
    folder: Path,
    *,
    scheduler: str = "",
    fresh: bool = False,
    on_progress: OnProgress | None = None,
) -> list[TrialResult]:
    """Return the result of every trial, in their order, and train those that are not in the store.

    Training changes nothing in this process: neither its Keras session nor its random generators. BrainlibError for
    what prevented a trial; those that finished before are in the store.

    The data set is the one whose fingerprint the trials name, or there is one for each trial; `folder` is the store.
    The workers of a cluster see both at the same paths, which is checked (see `workers.run`). If `fresh`, everything is
    trained again from the first epoch, and a stored result is replaced when the new one is complete. `on_progress` is
    called after every epoch; by default `progress.shown` shows it.
    """
    folder = Path(folder).resolve()
    sets = [dataset] * len(trials) if isinstance(dataset, DataSet | None) else dataset
    set_of = {trial.key: data for trial, data in zip(trials, sets, strict=True)}
    # Of trials that differ in name only, one is trained: one that keeps its model, if any does.
    wanted = {trial.key: trial for trial in sorted(trials, key=lambda trial: trial.keep_model)}
    missing = [
        trial
        for trial in dict.fromkeys(wanted[trial.key] for trial in trials)
        if fresh or not store.holds(folder, trial.key, model=trial.keep_model)
    ]
    for trial in missing if fresh else ():
        store.discard_unfinished(folder, trial.key)
    if missing:
        stored = len(wanted) - len(missing)
        task = f"{len(missing)} model{'s' * (len(missing) > 1)} to train"
        task += f", {stored} taken from the store" if stored else ""
        with nullcontext(on_progress) if on_progress else progress.shown(task) as show:
            names = _told_apart(missing)
            on_epoch = Epochs([(name, trial.epochs) for name, trial in zip(names, missing, strict=True)], show)
            wanted = [(trial, set_of[trial.key], folder) for trial in missing]
            weights = {trial.weights.file for trial in missing if trial.weights.source == "file"}
            files = [(path, Path(path).stat().st_size) for path in sorted(weights)]
            for data in {data.fingerprint: data for _, data, _ in wanted}.values():
                files += data.sizes()
            workers.run(jobs.train, wanted, scheduler, on_epoch, folder, files)
    results = []
    for trial in trials:
        facts, tables = store.read(folder, trial.key)
        with store.expecting("the tables of a training", trial.key):
            results.append(TrialResult(trial, facts=facts, **tables))
            results[-1].part("test"), results[-1].curve()  # have the columns that choose rows
    return results


def _told_apart(trials):
    """Name trials for their progress, with the seed and what a split draws where they have several."""
    marks = [(f"seed {trial.seed}", f"split by {trial.split.by}") for trial in trials]
    differ = [len(set(each)) > 1 for each in zip(*marks, strict=True)]
    return [", ".join([trial.name, *compress(own, differ)]) for trial, own in zip(trials, marks, strict=True)]


class Epochs:
    """Turn finished epochs of several trials, given by name and number of epochs, into one progress."""

    def __init__(self, trials: Sequence[tuple[str, int]], on_progress: OnProgress):
        self.trials, self.on_progress = list(trials), on_progress
        self.started, self.first, self.finished = {}, {}, {}

    def __call__(self, number: int, epoch: int, loss: float, accuracy: float) -> None:
        """Take note of a finished epoch of trial `number`; epoch 0 is its start."""
        now = time.monotonic()
        name, epochs = self.trials[number]
        if epoch == 0:
            self.started[number] = now
            self.first.pop(number, None)
            return
        since, first = self.first.setdefault(number, (now, epoch))
        # A trial whose process was killed starts again: the bar waits for it rather than go back.
        self.finished[number] = max(epoch, self.finished.get(number, 0))
        if epoch == epochs:
            state = f"done in {duration(now - self.started[number])}"
        elif epoch == first:  # its time includes decoding the images and building the model
            state = "time left not known yet" if first == 1 else "goes on from here"
        else:
            pace = (now - since) / (epoch - first)
            state = f"about {duration(pace * (epochs - epoch))} left"
        self.on_progress(
            sum(self.finished.values()) / sum(n for _, n in self.trials),
            f"[{number + 1}/{len(self.trials)}] {name}: epoch {epoch}/{epochs}, loss {loss:.4f}, "
            f"accuracy {accuracy:.4f}, {state}",
        )


class Asked(NamedTuple):
    """Heat maps of a trained model that was kept, for images named as in the data set's table.

    With `permuted`, those of the model with permuted weights as well; with `kin`, those by all of `gradcam.METHODS`.
    """

    result: TrialResult
    paths: Sequence[str]
    permuted: bool = False
    kin: bool = False

    def array(self, dataset: DataSet) -> tuple[str, tuple[int, ...]]:
        """Return the name that these maps have in the store, a hash of what determines them, and their shape."""
        trial, rows = self.result.trial, pd.Index(dataset.table["path"]).get_indexer(list(self.paths))
        # The first number tells the kinds of maps apart in the name.
        shape = (*(3,) * self.permuted, *(4,) * self.kin, len(rows), trial.size, trial.size)
        model = trial.key, self.result.facts["sha256"].get(store.MODEL)
        of = json.dumps([_MAPS, images.VERSION, model, shape, dataset.files(rows)[1]])
        return hashlib.sha256(of.encode()).hexdigest()[:32], shape


def heat_maps(asked: Sequence[Asked], dataset: DataSet, folder: Path, *, scheduler: str = "") -> list[np.ndarray]:
    """Explain stored models' predictions of some images by Grad-CAM; the maps are kept in the store.

    Those that the store lacks are computed at the same time, as far as there are workers; StoreError when it has no
    such model. The other parameters are those of `run_trials`.

    Maps are float32 arrays of shape (n, size, size) in [0, 1], for the predicted class. With `permuted` the shape is
    (3, n, size, size): maps of the model, of the model with permuted dense layers, and with all weights permuted (see
    `gradcam.permute`). With `kin` it is (4, n, size, size), in the order of `gradcam.METHODS`.
    """
    folder, paths, maps, missing = Path(folder).resolve(), [], [], {}
    for number, each in enumerate(asked):
        name, shape = each.array(dataset)
        paths.append(folder / "maps" / f"{name}.npy")
        maps.append(io.open_array(paths[-1], shape, np.float32) if each.paths else np.zeros(shape, np.float32))
        if maps[-1] is None:
            missing.setdefault(each.result.trial.key, []).append(number)
    wanted = []
    for numbers in missing.values():  # of one model
        lots = [asked[number][1:] for number in numbers]
        wanted.append((asked[numbers[0]].result.trial, dataset, lots, folder))
    found = workers.run(jobs.explain, wanted, scheduler, None, folder, dataset.sizes()) if wanted else []
    for number, array in zip(chain(*missing.values()), chain(*found), strict=True):
        io.save_array(paths[number], array.shape, array.dtype, array)
        maps[number] = array
    return maps
