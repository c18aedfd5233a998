"""Training in phases, with whatever stays frozen computed once.

`fit` trains a network phase by phase, each going on from the one before. Where a phase keeps the
beginning of the network frozen and does not augment, the activations at the end of that beginning
are computed once, kept on disk, and the rest of the network is trained on them: the same arithmetic
as running the whole network in every epoch, without the repetition. With augmentation the frozen
beginning is run in every epoch, in inference mode as well. The order of the images is drawn from
the trial's seed, not by Keras, so that both ways see the same batches.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from brainlib.io import open_array, save_array
from brainlib.models.build import Network, cut_frozen_prefix, set_trainable

PREDICTION_BATCH = 32


@dataclass(frozen=True)
class Phase:
    """One phase of training.

    Attributes
    ----------
    name : str
    trainable : "all", "head" or tuple of str
        See `models.set_trainable`.
    epochs : int
    learning_rate : float
        Of Adam, whose other values are Keras' defaults.
    augmentation : tuple of (str, str or float)
        Such as ``(("flip", "horizontal"), ("rotation", 15.0))``; rotation in degrees either way,
        shift, zoom and shear as fractions.
    batch_norm : {"trained", "frozen"}
        Of the batch normalisation among the trainable layers; see `models.set_trainable`.
    """

    name: str
    trainable: str | tuple[str, ...]
    epochs: int
    learning_rate: float
    augmentation: tuple[tuple[str, str | float], ...] = ()
    batch_norm: str = "trained"


@dataclass(frozen=True)
class Epoch:
    """What became of one epoch.

    `loss` and `accuracy` are Keras' running means over the training batches (with dropout and
    augmentation on); `val_loss` and `val_accuracy` are of the monitored images after the
    epoch, computed from `monitored`, their predictions of shape (m, outputs).
    """

    phase: str
    number: int
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    seconds: float
    monitored: np.ndarray = field(repr=False, compare=False)


@dataclass(frozen=True)
class Task:
    """The images and answers that a network is trained on.

    Attributes
    ----------
    pixels : ndarray of uint8, shape (n, size, size, channels)
    targets : ndarray of float32, shape (n, 1) or (n, classes)
        1 for the positive class, or one-hot.
    train, monitored : ndarray of int
        Rows to train on, a row that counts several times named as often; rows to predict after
        every epoch.
    content : str
        A key of the pixels' content, for the store of activations.
    """

    pixels: np.ndarray
    targets: np.ndarray
    train: np.ndarray
    monitored: np.ndarray
    content: str


def prepare(seed: int) -> None:
    """Make Keras start anew and repeat itself: same seed, same machine, same numbers.

    Clears Keras' state, seeds Python, NumPy and TensorFlow, and asks TensorFlow for deterministic
    kernels, which stay on for the rest of the process.
    """
    import keras
    import tensorflow as tf

    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


@contextmanager
def undisturbed(seed: int) -> Iterator[None]:
    """Let Keras draw the seeds of layers from a generator that nobody else uses.

    Keras draws them from Python's global one, and so do other threads of a Dask worker: without
    this, initial weights would differ from run to run. The numbers are those that follow
    ``random.seed(seed)``, so a network built here is the one that `prepare` promises.
    """
    from keras.src.random import seed_generator

    shared = seed_generator.python_random
    seed_generator.python_random = random.Random(seed)
    try:
        yield
    finally:
        seed_generator.python_random = shared


def fit(
    network: Network,
    task: Task,
    phases: tuple[Phase, ...],
    *,
    batch_size: int,
    loss: str,
    seed: int,
    store: Path,
    report: Callable[[Epoch], None] = lambda epoch: None,
) -> tuple[list[Epoch], list[np.ndarray]]:
    """Train a network in place.

    Parameters
    ----------
    network : Network
    task : Task
    phases : tuple of Phase
        Run one after the other, each with a new optimizer.
    batch_size : int
    loss : {"binary_crossentropy", "categorical_crossentropy"}
    seed : int
        Seed of the order of the images.
    store : Path
        Where activations of a frozen prefix are kept, under ``features/``.
    report : callable
        Called with each finished `Epoch`.

    Returns
    -------
    epochs : list of Epoch
    predicted : list of ndarray of float32, shape (n, outputs)
        What the network says of every image of the task at the end of each phase.
    """
    epochs, predicted = [], []
    for number, phase in enumerate(phases):
        order = np.random.default_rng([seed, number])
        more, body, inputs = _fit_phase(network, task, phase, batch_size, loss, order, store, report)
        epochs += more
        said = predict(body, inputs, np.arange(len(task.pixels)))
        # A row's last digits depend on its neighbours in a batch; keep one answer an image.
        said[task.monitored] = epochs[-1].monitored
        predicted.append(said)
    return epochs, predicted


def _fit_phase(network, task, phase, batch_size, loss, order, store, report):
    import keras

    set_trainable(network, phase.trainable, phase.batch_norm)
    prefix, trained = cut_frozen_prefix(network)
    if phase.augmentation:
        body, inputs = network.model, task.pixels
        trained = _augmented(prefix, trained, phase.augmentation, order)
    else:
        body, inputs = trained, task.pixels if prefix is None else activations(prefix, task, store)
    trained.compile(
        optimizer=keras.optimizers.Adam(phase.learning_rate),
        loss=loss,
        metrics=["accuracy"],
        jit_compile=False,  # XLA is several times slower than plain graphs on a CPU
    )
    epochs = []
    for number in range(phase.epochs):
        start = time.perf_counter()
        batches = _batches(inputs, task.targets, order.permutation(task.train), batch_size)
        logs = trained.fit(batches, shuffle=False, verbose=0).history
        seconds = time.perf_counter() - start
        monitored = predict(body, inputs, task.monitored)
        truth = task.targets[task.monitored]
        epochs.append(
            Epoch(
                phase.name,
                number + 1,
                logs["loss"][0],
                logs["accuracy"][0],
                cross_entropy(truth, monitored),
                accuracy(truth, monitored),
                seconds,
                monitored,
            )
        )
        report(epochs[-1])
    return epochs, body, inputs


def predict(model, inputs: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Predict some rows of an array that may be larger than memory.

    Parameters
    ----------
    model : keras.Model
    inputs : ndarray, shape (n, ...)
    rows : ndarray of int, shape (m,)

    Returns
    -------
    ndarray of float32, shape (m, outputs)
    """
    if len(rows) == 0:
        return np.zeros((0, *model.output_shape[1:]), np.float32)
    return model.predict(_batches(inputs, None, rows, PREDICTION_BATCH), verbose=0)


def activations(prefix, task: Task, store: Path) -> np.ndarray:
    """Run a frozen prefix over every image once, or find that it was done before.

    Parameters
    ----------
    prefix : keras.Model
    task : Task
    store : Path

    Returns
    -------
    ndarray of float32, shape (n, ...)
        A read-only memory map under ``store/features``, keyed by the prefix's weights and layers
        and by the pixels' content, so that every fold and every run shares it.
    """
    digest = hashlib.sha256(task.content.encode())
    # The layers' configuration without their automatic names.
    digest.update(json.dumps([_shape_of(layer) for layer in prefix.layers]).encode())
    for weight in prefix.get_weights():
        digest.update(np.ascontiguousarray(weight).tobytes())
    path = Path(store) / "features" / f"{digest.hexdigest()[:32]}.npy"
    shape = (len(task.pixels), *prefix.output_shape[1:])
    found = open_array(path, shape, np.float32)
    if found is not None:
        return found
    step, n = 16 * PREDICTION_BATCH, len(task.pixels)
    parts = (np.arange(start, min(start + step, n)) for start in range(0, n, step))
    save_array(path, shape, np.float32, (predict(prefix, task.pixels, rows) for rows in parts))
    return open_array(path, shape, np.float32)


def _shape_of(layer):
    return [type(layer).__name__, str(layer.output.shape), getattr(layer, "mode", "")]


def cross_entropy(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Mean cross-entropy of probabilities, clipped at 1e-7 as Keras does; nan for no image."""
    p = np.clip(predicted.astype(np.float64), 1e-7, 1 - 1e-7)
    if len(p) == 0:
        return float("nan")
    terms = truth * np.log(p)
    if p.shape[1] == 1:
        terms = terms + (1 - truth) * np.log(1 - p)
    return float(-terms.sum(axis=1).mean())


def accuracy(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Share of rows whose most probable class (0.5 for a single unit) is the true one."""
    if len(truth) == 0:
        return float("nan")
    if truth.shape[1] == 1:
        return float(((predicted > 0.5) == (truth > 0.5)).mean())
    return float((predicted.argmax(axis=1) == truth.argmax(axis=1)).mean())


def _batches(inputs, targets, rows, batch_size):
    import keras

    class Batches(keras.utils.PyDataset):
        """Rows of a memory map in a given order, read batch by batch."""

        def __len__(self):
            return math.ceil(len(rows) / batch_size)

        def __getitem__(self, number):
            chosen = rows[number * batch_size : (number + 1) * batch_size]
            x = np.asarray(inputs[chosen], dtype=np.float32)
            return (x,) if targets is None else (x, targets[chosen])

    return Batches()


def _augmented(prefix, suffix, augmentation, order):
    """Put random changes before a network, whose frozen beginning never acts as in training."""
    import keras
    from keras import layers

    from brainlib.models.layers import InferenceOnly

    changes = dict(augmentation)

    def seed():
        return int(order.integers(2**31))

    steps = []
    if "flip" in changes:
        mode = changes["flip"]
        mode = "horizontal_and_vertical" if mode == "both" else mode
        steps.append(layers.RandomFlip(mode, seed=seed()))
    filling = {"fill_mode": "constant", "fill_value": 0.0}
    if "rotation" in changes:
        steps.append(layers.RandomRotation(changes["rotation"] / 360, seed=seed(), **filling))
    if "shift" in changes:
        amount = changes["shift"]
        steps.append(layers.RandomTranslation(amount, amount, seed=seed(), **filling))
    if "zoom" in changes:
        steps.append(layers.RandomZoom(changes["zoom"], seed=seed(), **filling))
    if "shear" in changes:
        amount = changes["shear"]
        steps.append(layers.RandomShear(amount, amount, seed=seed(), **filling))
    x = pixels = keras.Input((prefix or suffix).input_shape[1:])
    for step in steps:
        x = step(x)
    if prefix is not None:
        x = InferenceOnly(prefix)(x)
    return keras.Model(pixels, suffix(x))
