"""The phases of a training: their settings, their epochs, and what may change from one epoch to the next.

What changes, such as the learning rate, follows from the scores of the epochs: a resumed training, whose finished
epochs are replayed, goes on as if it had not been interrupted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from brainlib.errors import ModelError
from brainlib.models.own import Own

if TYPE_CHECKING:
    import keras


MOMENTUM = 0.9  # of "sgd_momentum"


@dataclass(frozen=True)
class Phase:
    """One phase of training.

    Attributes
    ----------
    trainable : "all", "head", "upper_half" or tuple of str
        See `freezing.set_trainable`.
    learning_rate : float
        Of the optimizer, whose other values are Keras' defaults.
    augmentation : tuple of (str, str or float)
        Such as ``(("flip", "horizontal"), ("rotation", 15.0))``; rotation in degrees in either
        direction, shift, zoom and shear as fractions.
    batch_norm : {"trained", "frozen", "statistics"}
        Of the batch normalisation among the trainable layers; see `freezing.set_trainable`.
    optimizer : str or Own
        Keras' name of it, "sgd_momentum", or ``learning_rate -> keras.optimizers.Optimizer``.
    schedule : Own, optional
        ``epoch -> learning rate``; epochs count from 0 in every phase, as in Keras.
    callbacks : Own, optional
        ``() -> list`` of new Keras callbacks, which may have `on_train_begin` and `on_epoch_end`.
    early_stopping : int
        Number of epochs without a lower `val_loss` after which the phase ends; 0 for never. The weights of the epoch
        with the lowest one are restored, also after the last epoch.
    restore_best : bool
        Whether the weights of the epoch with the highest `val_accuracy` are restored at the end.
    fill : {"black", "nearest"}
        What augmentation puts where no pixel is.
    augmented : {"train", "all"}
        Whether the images that are predicted are changed at random as well.
    start : {"previous", "pretrained"}
        Whether the phase goes on from the phase before it or from the weights that the network was built with.
    """

    name: str
    trainable: str | tuple[str, ...]
    epochs: int
    learning_rate: float
    augmentation: tuple[tuple[str, str | float], ...] = ()
    batch_norm: str = "trained"
    optimizer: str | Own = "adam"
    schedule: Own | None = None
    callbacks: Own | None = None
    early_stopping: int = 0
    restore_best: bool = False
    fill: str = "black"
    augmented: str = "train"
    start: str = "previous"


@dataclass(frozen=True)
class Epoch:
    """Scores of one epoch: of training, Keras' running means over its batches, with dropout and augmentation.

    Those of validation are computed from `monitored`, predictions of the m monitored images after the
    epoch, of shape (m, outputs).
    """

    phase: str
    number: int
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    seconds: float
    monitored: np.ndarray = field(repr=False, compare=False)


def optimizer_of(phase: Phase) -> keras.optimizers.Optimizer:
    """Make the optimizer of a phase; `ModelError` if the user's function makes something else."""
    from brainlib.models._tensorflow import keras
    from brainlib.models.adam import FusedAdam

    if phase.optimizer == "adam":
        return FusedAdam(phase.learning_rate)
    if isinstance(phase.optimizer, str):
        name, _, momentum = phase.optimizer.partition("_")
        settings = {"learning_rate": phase.learning_rate} | ({"momentum": MOMENTUM} if momentum else {})
        return keras.optimizers.get({"class_name": name, "config": settings})
    made = phase.optimizer.call(phase.learning_rate)
    if not isinstance(made, keras.optimizers.Optimizer):
        received = f"received {type(made).__name__}"
        raise ModelError(f"{phase.optimizer.name}: expected a function learning_rate -> keras optimizer, {received}")
    return made


class Course:
    """The course of one phase.

    `stopped` tells whether the phase is over, and `best` the number of the epoch that counts, from 1; `variables` are
    the weights after that one, where early stopping asks for them.
    """

    def __init__(self, phase: Phase, model: keras.Model, optimizer: keras.optimizers.Optimizer):
        from brainlib.models._tensorflow import keras, tf

        self.phase, self.model, self.optimizer = phase, model, optimizer
        self.stopped, self.best, self._least = False, 0, math.inf
        self.choosing = bool(phase.early_stopping or phase.restore_best)
        self.variables = [tf.Variable(weight) for weight in model.weights] if self.choosing else []
        self.callbacks = phase.callbacks.call() if phase.callbacks else []
        vars(model).update(optimizer=optimizer, stop_training=False)  # not by Keras' setter, which would track it
        plain = keras.callbacks.Callback
        hooks = sorted({name for name in dir(plain) if name.startswith("on_")} - {"on_train_begin", "on_epoch_end"})
        for callback in self.callbacks:
            for name in hooks:
                if getattr(getattr(callback, name, None), "__code__", None) is not getattr(plain, name).__code__:
                    expected = f"{phase.callbacks.name}: expected callbacks with on_train_begin and on_epoch_end alone"
                    raise ModelError(f"{expected}, received {type(callback).__name__} with {name}; see early_stopping")
            callback.set_model(model)
            callback.on_train_begin()

    def begin(self, number: int) -> None:
        """Set the learning rate of an epoch."""
        if self.phase.schedule:
            self.optimizer.learning_rate = float(self.phase.schedule.call(number - 1))

    def end(self, epoch: Epoch, replayed: bool = False) -> None:
        """Take note of an epoch's scores; if it is `replayed`, the model has other weights than it had then."""
        lower_is_better = -epoch.val_accuracy if self.phase.restore_best else epoch.val_loss
        if not self.choosing:
            self.best = epoch.number
        elif epoch.number == 1 or lower_is_better < self._least:
            self.best, self._least = epoch.number, min(math.inf, lower_is_better)  # inf in place of nan
            if not replayed:
                _assign(self.variables, self.model.weights)
        logs = {name: getattr(epoch, name) for name in ("loss", "accuracy", "val_loss", "val_accuracy")}
        for callback in self.callbacks:
            callback.on_epoch_end(epoch.number - 1, dict(logs))
        waited = self.phase.early_stopping and epoch.number - self.best >= self.phase.early_stopping
        self.stopped = bool(waited or self.model.stop_training)

    def close(self) -> None:
        """Give the model the weights of the best epoch."""
        _assign(self.model.weights[: len(self.variables)], self.variables)
        del vars(self.model)["optimizer"]


def _assign(variables, values):
    for variable, value in zip(variables, values, strict=False):
        variable.assign(value)
