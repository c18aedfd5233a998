"""Get the results of trials from the store, and have those trained that it lacks.

What is stored are predictions, so that a new question about a trained model needs no training.
Training runs in processes of its own (`jobs`), on this machine or on a Dask cluster.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np

from brainlib import progress
from brainlib.data.datasets import DataSet
from brainlib.progress import OnProgress, duration
from brainlib.trials import jobs, store, workers
from brainlib.trials.trial import Trial, TrialResult


def run_trials(
    trials: Sequence[Trial],
    dataset: DataSet,
    folder: Path,
    *,
    scheduler: str = "",
    fresh: bool = False,
    on_progress: OnProgress | None = None,
) -> list[TrialResult]:
    """Return the result of every trial, and train those that are not in the store.

    Training changes nothing in this process: neither its Keras session nor its random generators.

    Parameters
    ----------
    dataset : DataSet
        The one whose fingerprint the trials name.
    folder : Path
        The store.
    scheduler : str
        Address of a Dask scheduler whose workers see the store and the data at the same paths;
        "" trains one model after the other on this machine.
    fresh : bool
        Train everything again, from the first epoch; a stored result is replaced when the new one is complete.
    on_progress : callable, optional
        Called after every epoch with the finished part of all epochs, from 0 to 1, and a line. By
        default a bar shows both in a notebook, and lines on standard error elsewhere.

    Returns
    -------
    list of TrialResult
        In the order of the trials.

    Raises
    ------
    BrainlibError
        What prevented a trial; the trials that finished before are in the store.
    """
    folder = Path(folder).resolve()
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
            on_epoch = Epochs([(trial.name, trial.epochs) for trial in missing], show)
            workers.run(jobs.train, [(trial, dataset, folder) for trial in missing], scheduler, on_epoch)
    results = [(trial, *store.read(folder, trial.key)) for trial in trials]
    return [TrialResult(trial, facts=facts, **tables) for trial, facts, tables in results]


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


def heat_maps(
    result: TrialResult, dataset: DataSet, paths: Sequence[str], folder: Path, *, scheduler: str = ""
) -> tuple[np.ndarray, np.ndarray]:
    """Explain a stored model's predictions of some images by Grad-CAM.

    Parameters
    ----------
    result : TrialResult
        Of a trial that keeps its model.
    paths : sequence of str
        Images, named as in the data set's table.
    dataset, folder, scheduler
        As in `run_trials`.

    Returns
    -------
    images : ndarray of uint8, shape (n, size, size, channels)
        The input of the model.
    maps : ndarray of float32, shape (n, size, size)
        For the predicted class, each in [0, 1].

    Raises
    ------
    StoreError
        When the store has no such model.
    """
    job = (result.trial, dataset, tuple(paths), Path(folder).resolve())
    return workers.run(jobs.explain, [job], scheduler)[0]


def permuted_maps(
    result: TrialResult, dataset: DataSet, paths: Sequence[str], folder: Path, *, scheduler: str = ""
) -> np.ndarray:
    """Explain a stored model, the model with permuted dense layers, and with all weights permuted.

    The arguments are those of `heat_maps`. Returned are float32 maps of shape (3, n, size, size), all
    for the class that the stored model predicts; see `gradcam.permute`.
    """
    job = (result.trial, dataset, tuple(paths), Path(folder).resolve())
    return workers.run(jobs.explain_permuted, [job], scheduler)[0]
