"""What a process of its own does for `run`: train a trial and store its result, or explain a stored model."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

import brainlib
from brainlib.data import images, splits
from brainlib.data.datasets import DataSet
from brainlib.models.checkpoints import Checkpoint
from brainlib.trials import devices, store
from brainlib.trials.trial import Trial

_TIMED = 64  # test images at most by which predicting is timed: a choice


def train(trial: Trial, dataset: DataSet, folder: Path, report: Callable[[int, float, float], None]) -> None:
    """Train a trial and store its result; where a killed process has left a checkpoint, go on from there.

    `report` is called with the number of finished epochs, the loss and the accuracy on the monitored images: at the
    start with zeros, then, if the training goes on, with those of the checkpoint, then after every epoch.
    """
    from brainlib.models import build, feeding, training
    from brainlib.models.summary import summary

    report(0, 0.0, 0.0)
    started = time.perf_counter()
    rows, parts = split(trial, dataset)
    table = dataset.table.iloc[rows]
    labels, train_rows = table["label"].to_numpy(), np.flatnonzero(parts == splits.TRAIN)
    if trial.oversampled:
        train_rows = splits.oversampled(labels, train_rows, trial.oversampled, trial.seed, trial.oversampled_to)
    channels, other = str(trial.model.channels), [trial.resizing] * (trial.resizing != "bilinear")
    content = "\n".join([images.VERSION, str(trial.size), channels, *other, *table["byte_hash"]])
    squared = trial.loss == "mean_squared_error"
    outputs = 1 if trial.loss == "binary_crossentropy" or squared and len(trial.classes) == 2 else len(trial.classes)
    pixels = images.load_images(*dataset.files(rows), trial.size, trial.model.channels, folder, trial.resizing)
    training.prepare(trial.seed, trial.precision)
    spread = build.mean_and_deviation(pixels, train_rows) if trial.model.scaling == "training_mean_std" else None
    network = build.build_network(trial.model, trial.size, outputs, trial.weights, spread)
    outputs = network.model.output_shape[-1]  # an own model of two classes may have one or two
    task = training.Task(
        pixels,
        _targets(labels, trial.classes, outputs),
        train_rows,
        np.flatnonzero(parts == trial.monitored),
        hashlib.sha256(content.encode()).hexdigest(),
    )
    checkpoint = Checkpoint(store.unfinished(folder, trial.key), trial.key)
    epochs, predicted = training.fit(
        network,
        task,
        trial.phases,
        batch_size=trial.batch_size,
        seed=trial.seed,
        squared=squared,
        store=folder,
        checkpoint=checkpoint,
        on_epoch=lambda epochs: report(len(epochs), epochs[-1].loss, epochs[-1].val_accuracy),
    )
    if len(epochs) < trial.epochs:  # a progress bar waits for them
        report(trial.epochs, epochs[-1].loss, epochs[-1].val_accuracy)
    base = pd.DataFrame(
        {"path": table["path"].to_numpy(), "label": labels, "part": parts, "group": dataset.group_ids()[rows]}
    )
    monitored = base.iloc[task.monitored][["path", "label"]].reset_index(drop=True)
    training_seconds = sum(epoch.seconds for epoch in epochs)
    other_seconds = time.perf_counter() - started - sum(epoch.seconds for epoch in epochs[checkpoint.finished :])
    predict = feeding.predictor(network.model, feeding.held(task.pixels))
    some = np.flatnonzero(parts == splits.TEST)[:_TIMED]
    predict(some)  # makes the graph
    started = time.perf_counter()
    predict(some)
    testing_seconds = (time.perf_counter() - started) / max(len(some), 1)
    info = dataset.info
    loss = trial.loss if squared else "binary_crossentropy" if outputs == 1 else "categorical_crossentropy"
    weights = dataclasses.replace(trial.weights, file=Path(trial.weights.file).name)  # no path of this machine
    store.save(
        folder,
        trial.key,
        {
            "trial": dataclasses.replace(trial, weights=weights, loss=loss).described(),
            "data": {"set": info.name, "title": info.title, "licence": info.licence, "phantom": dataset.phantom},
            "seconds": {"training": training_seconds, "other": other_seconds, "an image": testing_seconds},
            "layers": summary(network, trial.phases),
            "peak_memory_mib": peak_memory_mib(),
            "environment": environment(),
        },
        {
            "predictions": _stacked(
                base.assign(phase=phase.name).join(_probabilities(values, trial.classes))
                for phase, values in zip(trial.phases, predicted, strict=True)
            ),
            "history": _history(epochs),
            "epochs": _stacked(
                monitored.join(_probabilities(epoch.monitored, trial.classes)).assign(epoch=n)
                for n, epoch in enumerate(epochs, start=1)
            ),
        },
        network.model if trial.keep_model else None,
    )


def explain(
    trial: Trial, dataset: DataSet, asked: Sequence[tuple[Sequence[str], bool, bool]], folder: Path, report: Callable
) -> list[np.ndarray]:
    """Compute what `run.heat_maps` returns of one model, for several lots of images, each as a `run.Asked` says."""
    from brainlib.models import gradcam

    model, found = store.load_model(folder, trial.key), []
    for paths, permuted, kin in asked:
        pixels = np.asarray(inputs(trial, dataset, paths, folder))
        if not permuted:
            found.append(gradcam.grad_cam(model, pixels, methods=gradcam.METHODS if kin else None))
            continue
        outputs, weights = np.asarray(model(pixels, training=False)), model.get_weights()
        target = (outputs[:, 0] > 0.5).astype(int) if outputs.shape[1] == 1 else outputs.argmax(axis=1)
        maps = [gradcam.grad_cam(model, pixels, target=target)]
        for dense_only in (True, False):
            gradcam.permute(model, trial.seed, dense_only=dense_only)
            maps.append(gradcam.grad_cam(model, pixels, target=target))
        model.set_weights(weights)
        found.append(np.stack(maps))
    return found


def inputs(trial: Trial, dataset: DataSet, paths: Sequence[str], folder: Path) -> np.ndarray:
    """Return images, by their paths in the data set's table, as a model takes them: uint8 (n, size, size, channels)."""
    rows = pd.Index(dataset.table["path"]).get_indexer(list(paths))
    return images.load_images(*dataset.files(rows), trial.size, trial.model.channels, folder, trial.resizing)


@cache
def versions() -> dict[str, str]:
    """Return the versions that a result depends on; those of brainlib's code are told apart by a hash of it."""
    modules = b"".join(path.read_bytes() for path in sorted(Path(brainlib.__file__).parent.rglob("*.py")))
    found = {"brainlib": brainlib.__version__, "code": hashlib.sha256(modules).hexdigest()[:12]}
    found["python"] = platform.python_version()
    return found | {name: version(name) for name in ("tensorflow", "keras", "numpy", "scikit-learn")}


def environment() -> dict:
    """Describe the machine and the versions that a result depends on, without the machine's name."""
    from brainlib.models._tensorflow import tf

    gpus, details = tf.config.list_physical_devices("GPU"), tf.config.experimental.get_device_details
    return {
        **versions(),
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": os.environ.get("TF_NUM_INTRAOP_THREADS", "all"),
        "models_at_a_time": int(os.environ.get(devices.AT_A_TIME, 1)),
        "accelerators": len(gpus),
        "accelerator": ", ".join(details(gpu).get("device_name", gpu.name) for gpu in gpus),
        "tensor_float_32": False,  # see `training.prepare`
    }


def peak_memory_mib() -> float:
    """Return the largest memory that this process has held, in MiB; nan where the system does not report it."""
    try:
        import resource
    except ImportError:  # Windows
        return math.nan
    # macOS counts it in bytes, other systems in KiB.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def split(trial: Trial, dataset: DataSet) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of the images that a trial uses, ascending, and the part of each; errors of `splits.assign`."""
    table = dataset.table
    ours = np.flatnonzero(table["label"].isin(trial.classes))
    parts = splits.assign(
        table["label"].to_numpy()[ours],
        dataset.group_ids(patients=True)[ours],
        trial.split,
        table["part"].to_numpy()[ours],
    )
    return ours[parts != splits.UNUSED], parts[parts != splits.UNUSED]


def _targets(labels, classes, outputs):
    numbers = pd.Index(classes).get_indexer(labels)
    if outputs == 1:
        return numbers[:, None].astype(np.float32)
    return np.eye(outputs, dtype=np.float32)[numbers]


def _probabilities(predicted, classes):
    if predicted.shape[1] == 1:
        predicted = np.concatenate([1 - predicted, predicted], axis=1)
    return pd.DataFrame(predicted, columns=[f"p_{name}" for name in classes])


def _stacked(tables):
    return pd.concat(list(tables), ignore_index=True)


def _history(epochs):
    names = ["phase", "loss", "accuracy", "val_loss", "val_accuracy", "seconds"]
    table = pd.DataFrame([{name: getattr(epoch, name) for name in names} for epoch in epochs])
    table.insert(1, "epoch", np.arange(1, len(epochs) + 1))
    return table


def _processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()
