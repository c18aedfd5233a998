"""Have trials trained, here or on a Dask cluster, unless the store has their results.

`run_trials` takes each trial's result from the store if it is there and whole, and has it trained
otherwise. What is kept are predictions, so that a new question about a trained model costs no
training.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

import brainlib
from brainlib import progress
from brainlib.data import images, splits
from brainlib.data.datasets import DataSet
from brainlib.trials import store, workers
from brainlib.trials.trial import Trial, TrialResult


def run_trials(
    trials: Sequence[Trial],
    dataset: DataSet,
    folder: Path,
    *,
    scheduler: str = "",
    fresh: bool = False,
    log: Callable[[str], None] | None = None,
    on_progress: Callable[[float, str], None] | None = None,
) -> list[TrialResult]:
    """Return the result of every trial, training those that are not in the store.

    Parameters
    ----------
    trials : sequence of Trial
    dataset : DataSet
        The one whose fingerprint the trials name.
    folder : Path
        The store.
    scheduler : str
        Address of a Dask scheduler whose workers see the store and the data at the same paths;
        "" trains in this process.
    fresh : bool
        Train everything again; a stored result is replaced when the new one is complete.
    log : callable, optional
        Called with lines of progress; by default they go to standard error.
    on_progress : callable, optional
        Called at every epoch's end with the finished part of all epochs, from 0 to 1, and a line.
        Where neither is given, a cell that a person runs in a browser shows a bar in place of lines.

    Returns
    -------
    list of TrialResult
        In the order of the trials.
    """
    folder = Path(folder).resolve()
    # Of trials that differ in name only, one is trained: one that keeps its model, if any does.
    wanted = {trial.key: trial for trial in sorted(trials, key=lambda trial: trial.keep_model)}
    missing = [
        trial
        for trial in dict.fromkeys(wanted[trial.key] for trial in trials)
        if fresh or not store.holds(folder, trial.key, model=trial.keep_model)
    ]
    if missing:
        kept = len(wanted) - len(missing)
        models = f"{len(missing)} model{'s' * (len(missing) > 1)}"
        task = f"{models} to train" + (f", {kept} taken from the store" if kept else "")
        with ExitStack() as shown:
            if not log and not on_progress and progress.in_notebook():
                on_progress = shown.enter_context(progress.shown(task))
                log = lambda line: None  # noqa: E731 - the bar has the same lines
            log = log or progress.log
            log(task)
            reporter = workers.Progress([(t.name, t.epochs) for t in missing], log, on_progress)
            jobs = [(trial, dataset, folder) for trial in missing]
            workers.run(_train, jobs, scheduler, reporter)
    return [_read(folder, trial) for trial in trials]


def heat_maps(
    result: TrialResult,
    dataset: DataSet,
    paths: Sequence[str],
    folder: Path,
    *,
    scheduler: str = "",
) -> tuple[np.ndarray, np.ndarray]:
    """Explain a stored model's predictions of some images by Grad-CAM.

    Parameters
    ----------
    result : TrialResult
        Of a trial that keeps its model.
    dataset : DataSet
    paths : sequence of str
        Images, as the table of the data set names them.
    folder : Path
        The store.
    scheduler : str
        As in `run_trials`.

    Returns
    -------
    images : ndarray of uint8, shape (n, size, size, channels)
        As the model saw them.
    maps : ndarray of float32, shape (n, size, size)
        For the class that the model predicts, each in [0, 1].
    """
    job = (result.trial, dataset, tuple(paths), Path(folder).resolve())
    return workers.run(_explain, [job], scheduler, None)[0]


def permuted_maps(
    result: TrialResult,
    dataset: DataSet,
    paths: Sequence[str],
    folder: Path,
    *,
    scheduler: str = "",
) -> np.ndarray:
    """Explain a stored model as it is, with permuted dense layers, and with all weights permuted.

    Parameters
    ----------
    result, dataset, paths, folder, scheduler
        As in `heat_maps`.

    Returns
    -------
    ndarray of float32, shape (3, n, size, size)
        All for the class that the model as it is predicts; see `gradcam.permute`.
    """
    job = (result.trial, dataset, tuple(paths), Path(folder).resolve())
    return workers.run(_explain_permuted, [job], scheduler, None)[0]


def _train(trial, dataset, folder, report):
    from brainlib.models import build, training

    started = time.perf_counter()
    training.prepare(trial.seed)
    table = dataset.table
    ours = np.flatnonzero(table["label"].isin(trial.classes))
    drawn = splits.assign(
        table["label"].to_numpy()[ours],
        dataset.group_ids(patients=True)[ours],
        trial.split,
        table["part"].to_numpy()[ours],
    )
    rows, parts = ours[drawn != splits.UNUSED], drawn[drawn != splits.UNUSED]
    pixels = images.load_images(*dataset.files(rows), trial.size, trial.model.channels, folder)
    labels = table["label"].to_numpy()[rows]
    train = np.flatnonzero(parts == splits.TRAIN)
    if trial.oversampled:
        train = splits.oversampled(labels, train, trial.oversampled, trial.seed)
    outputs = 1 if trial.loss == "binary_crossentropy" else len(trial.classes)
    task = training.Task(
        pixels,
        _targets(labels, trial.classes, outputs),
        train,
        np.flatnonzero(parts == trial.monitored),
        _content(table["byte_hash"].iloc[rows], trial),
    )
    with training.undisturbed(trial.seed):
        network = build.build(trial.model, trial.size, outputs, trial.weights)
    done = []

    def reported(epoch):
        done.append(epoch)
        report(len(done), epoch.loss, epoch.val_accuracy)

    epochs, predicted = training.fit(
        network,
        task,
        trial.phases,
        batch_size=trial.batch_size,
        loss=trial.loss,
        seed=trial.seed,
        store=folder,
        report=reported,
    )
    base = pd.DataFrame(
        {
            "path": table["path"].to_numpy()[rows],
            "label": labels,
            "part": parts,
            "group": dataset.group_ids()[rows],
        }
    )
    monitored = base.iloc[task.monitored][["path", "label"]].reset_index(drop=True)
    training_seconds = sum(epoch.seconds for epoch in epochs)
    total = time.perf_counter() - started
    store.save(
        folder,
        trial.key,
        {
            "trial": dataclasses.asdict(trial) | {"weights": _without_path(trial.weights)},
            "data": {"set": dataset.name, "phantom": dataset.phantom},
            "seconds": {"training": training_seconds, "other": total - training_seconds},
            "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "environment": environment(),
        },
        {
            "predictions": pd.concat(
                [
                    pd.concat([base.assign(phase=p.name), _columns(said, trial.classes)], axis=1)
                    for p, said in zip(trial.phases, predicted, strict=True)
                ],
                ignore_index=True,
            ),
            "history": _history(epochs),
            "epochs": pd.concat(
                [
                    pd.concat([monitored, _columns(e.monitored, trial.classes)], axis=1).assign(epoch=n)
                    for n, e in enumerate(epochs, start=1)
                ],
                ignore_index=True,
            ),
        },
        network.model if trial.keep_model else None,
    )


def _explain(trial, dataset, paths, folder, report):
    from brainlib.models import gradcam

    model, pixels = _stored(trial, dataset, paths, folder)
    return pixels, gradcam.grad_cam(model, pixels)


def _explain_permuted(trial, dataset, paths, folder, report):
    from brainlib.models import gradcam

    model, pixels = _stored(trial, dataset, paths, folder)
    said = np.asarray(model(pixels, training=False))
    target = (said[:, 0] > 0.5).astype(int) if said.shape[1] == 1 else said.argmax(axis=1)
    maps = [gradcam.grad_cam(model, pixels, target=target)]
    for dense_only in (True, False):
        gradcam.permute(model, trial.seed, dense_only=dense_only)
        maps.append(gradcam.grad_cam(model, pixels, target=target))
    return np.stack(maps)


def _stored(trial, dataset, paths, folder):
    """A stored model, and images as it takes them."""
    rows = pd.Index(dataset.table["path"]).get_indexer(list(paths))
    pixels = images.load_images(*dataset.files(rows), trial.size, trial.model.channels, folder)
    return store.load_model(folder, trial.key), np.asarray(pixels)


def _read(folder, trial):
    facts, tables = store.read(folder, trial.key)
    return TrialResult(trial, facts=facts, **tables)


def _targets(labels, classes, outputs):
    numbers = pd.Index(classes).get_indexer(labels)
    if outputs == 1:
        return numbers[:, None].astype(np.float32)
    return np.eye(outputs, dtype=np.float32)[numbers]


def _columns(predicted, classes):
    if predicted.shape[1] == 1:
        predicted = np.concatenate([1 - predicted, predicted], axis=1)
    return pd.DataFrame(predicted, columns=[f"p_{name}" for name in classes])


def _history(epochs):
    names = ["phase", "loss", "accuracy", "val_loss", "val_accuracy", "seconds"]
    table = pd.DataFrame([{name: getattr(epoch, name) for name in names} for epoch in epochs])
    table.insert(1, "epoch", np.arange(1, len(epochs) + 1))
    return table


def _content(byte_hashes, trial):
    text = "\n".join([images.VERSION, str(trial.size), str(trial.model.channels), *byte_hashes])
    return hashlib.sha256(text.encode()).hexdigest()


def _without_path(weights):
    return dataclasses.asdict(weights) | {"file": Path(weights.file).name}


def environment() -> dict:
    """Describe the machine and the versions that a result depends on; no name of the machine."""
    names = ("tensorflow", "keras", "numpy", "scikit-learn")
    return {
        "brainlib": brainlib.__version__,
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": os.environ.get("TF_NUM_INTRAOP_THREADS", "all"),
        "accelerators": _accelerators(),
        **{name: version(name) for name in names},
    }


def _processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def _accelerators():
    # Asked only where TensorFlow is loaded already: loading it for this takes 20 s.
    tensorflow = sys.modules.get("tensorflow")
    return len(tensorflow.config.list_physical_devices("GPU")) if tensorflow else 0
