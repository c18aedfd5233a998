"""Train a network in phases, and compute only once what stays frozen.

Where a phase keeps the beginning of the network frozen and does not augment, the activations at its end are computed
once and stored, and the rest is trained on them: the same arithmetic as running the whole network in every epoch, with
the same batches, whose order is drawn from the trial's seed. With augmentation the frozen beginning runs every time, in
inference mode as well.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np

from brainlib.errors import ModelError, reason
from brainlib.io import stored_array
from brainlib.models import feeding
from brainlib.models.build import Network
from brainlib.models.checkpoints import Checkpoint
from brainlib.models.freezing import cut_frozen_prefix, set_trainable
from brainlib.models.phases import Course, Epoch, Phase, optimizer_of
from brainlib.stats import metrics

#: What a checkpoint tells of an `Epoch` in numbers.
_SCORES = ("number", "loss", "accuracy", "val_loss", "val_accuracy", "seconds")


@dataclass(frozen=True)
class Task:
    """Images and targets to train a network on.

    Attributes
    ----------
    pixels : ndarray of uint8, shape (n, size, size, channels)
    targets : ndarray of float32, shape (n, 1) or (n, classes)
        1 for the positive class, or one-hot.
    train : ndarray of int
        Rows to train on; an image that is oversampled occurs several times.
    monitored : ndarray of int
        Rows to predict after every epoch.
    content : str
        Identifies the content of `pixels` in the store of activations.
    """

    pixels: np.ndarray
    targets: np.ndarray
    train: np.ndarray
    monitored: np.ndarray
    content: str


def prepare(seed: int, precision: str = "float32") -> None:
    """Reset Keras in this process, so that the same seed gives the same numbers on the same machine.

    It seeds every global generator, turns on deterministic kernels and turns TF32 off, in which newer GPUs
    would otherwise multiply with 10 bits after the point where float32 has 23. Call it only in a process of
    one's own, just before the network is built, whose initial weights Keras draws from Python's generator.

    Parameters
    ----------
    precision : {"float32", "mixed"}
        "mixed" computes layers in float16 and keeps weights in float32, which only a GPU does fast.

    Raises
    ------
    ModelError
        For "mixed" without a GPU.
    """
    from brainlib.models._tensorflow import keras, tf

    if precision == "mixed" and not tf.config.list_physical_devices("GPU"):
        raise ModelError("--precision mixed: expected a GPU that TensorFlow uses, found none; use float32")
    keras.backend.clear_session()
    keras.config.set_dtype_policy("mixed_float16" if precision == "mixed" else "float32")
    tf.config.experimental.enable_tensor_float_32_execution(False)
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


@contextmanager
def _naming_what_is_not_deterministic():
    try:
        yield
    except Exception as error:
        if type(error).__name__ != "UnimplementedError" or "determinis" not in str(error).lower():
            raise
        raise ModelError(
            "expected operations that give the same bits twice, received one that does not on this GPU "
            f"({reason(error)}); CUDA_VISIBLE_DEVICES=-1 trains without the GPU"
        ) from error


@_naming_what_is_not_deterministic()
def fit(
    network: Network,
    task: Task,
    phases: tuple[Phase, ...],
    *,
    batch_size: int,
    seed: int,
    store: Path,
    squared: bool = False,
    checkpoint: Checkpoint | None = None,
    on_epoch: Callable[[list[Epoch]], None] = lambda epochs: None,
) -> tuple[list[Epoch], list[np.ndarray]]:
    """Train a network in place.

    Parameters
    ----------
    phases : tuple of Phase
        Each continues from the weights of the one before, with a new optimizer.
    seed : int
        Seed of the order of the images.
    squared : bool
        Whether the mean squared error is minimised in place of the cross-entropy; `val_loss` is the latter either way.
    store : Path
        Activations of a frozen prefix are kept there, under ``features/``.
    checkpoint : Checkpoint, optional
        Read, so that the training goes on from there, and written from time to time.
    on_epoch : callable
        Called with all finished epochs: those of the checkpoint, if there is one, and after every epoch.

    Returns
    -------
    epochs : list of Epoch
    predicted : list of ndarray of float32, shape (n, outputs)
        Predictions of every image of the task at the end of each phase.
    """
    names = [phase.name for phase in phases]
    places = {(place, number) for place, phase in enumerate(phases) for number in range(1, phase.epochs + 1)}
    saved = checkpoint.read(len(places), 1 + len(_SCORES)) if checkpoint else None
    if saved and not places.issuperset(tuple(row[:2]) for row in saved.scores):
        saved = checkpoint.ignored("its epochs are not those of this training")
    epochs, predicted, place = [], [], int(saved.scores[-1][0]) if saved else 0
    built = network.model.get_weights() if any(phase.start == "pretrained" for phase in phases) else []
    while place < len(phases):
        phase, order = phases[place], np.random.default_rng([seed, place])
        if phase.start == "pretrained":
            network.model.set_weights(built)
        prefix, body, trained, course = _set_up(network, phase, order)
        # Every one once: weights, moments, and the states of generators of dropout and augmentation.
        parts = network.model, body, trained, course.optimizer, course
        variables = list({id(each): each for part in parts for each in part.variables}.values())
        if saved:
            told = [Epoch(names[int(n)], int(number), *scores, None) for n, number, *scores in saved.scores]
            for epoch in told:
                if epoch.phase == phase.name:  # before the variables are restored, which a user's functions may change
                    course.begin(epoch.number)
                    course.end(epoch, replayed=True)
            outputs = task.targets.shape[1]
            shapes = [(len(task.monitored), outputs)] * len(told) + [(len(task.pixels), outputs)] * place
            arrays, saved = saved.restore(variables, shapes), None
            if arrays is None:
                checkpoint.ignored("its arrays are not those of this training")
                place = 0
                continue
            epochs = [replace(epoch, monitored=each) for epoch, each in zip(told, arrays, strict=False)]
            predicted = arrays[len(epochs) :]
            checkpoint.finished = len(epochs)
            on_epoch(epochs)
        inputs = feeding.held(task.pixels if prefix is None else activations(prefix, task, store))
        train = _trainer(trained, course.optimizer, inputs, task.targets, batch_size, squared)
        predict = feeding.predictor(body, inputs)
        done = sum(epoch.phase == phase.name for epoch in epochs)
        for number in range(1, phase.epochs + 1):
            rows = order.permutation(task.train)  # of finished epochs too, so that the next ones see their own order
            if number <= done or course.stopped:
                continue
            course.begin(number)
            start = time.perf_counter()
            training = train(rows)
            seconds = time.perf_counter() - start
            monitored = predict(task.monitored)
            truth = task.targets[task.monitored]
            validation = metrics.cross_entropy(truth, monitored), metrics.accuracy(truth, monitored)
            epochs.append(Epoch(phase.name, number, *map(float, (*training, *validation, seconds)), monitored))
            course.end(epochs[-1])
            if checkpoint:
                scores = [[names.index(epoch.phase), *(getattr(epoch, name) for name in _SCORES)] for epoch in epochs]
                checkpoint.write(scores, [*variables, *(epoch.monitored for epoch in epochs), *predicted])
            on_epoch(epochs)
        course.close()
        predicted.append(predict(np.arange(len(task.pixels))))
        # The last digits of a prediction depend on the rest of its batch: keep one value per image.
        own = [epoch for epoch in epochs if epoch.phase == phase.name]
        predicted[-1][task.monitored] = own[course.best - 1].monitored
        place += 1
        del trained, course, parts, variables, train, predict  # the next phase needs their memory
    return epochs, predicted


def _set_up(network, phase, order):
    """Return the prefix whose activations are stored, or None; the models that predict and that train; the course."""
    from brainlib.models._tensorflow import keras
    from brainlib.models.layers import pooled_first

    set_trainable(network, phase.trainable, phase.batch_norm)
    prefix, body = cut_frozen_prefix(network)
    trained = pooled_first(body)
    if phase.augmentation:
        trained = _augmented(prefix, trained, phase, order)
        prefix, body = None, network.model
        if phase.augmented == "all":
            body = _augmented(network.model, keras.layers.Identity(), phase, order, always=True)
    optimizer = optimizer_of(phase)
    if keras.config.dtype_policy().name == "mixed_float16":  # whose smallest gradients would be zero
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    optimizer.build(trained.trainable_variables)
    return prefix, body, trained, Course(phase, network.model, optimizer)


def _trainer(model, optimizer, inputs, targets, batch_size, squared):
    """Return a function that trains for one epoch on the given rows, in this order; it returns loss and accuracy."""
    from brainlib.models._tensorflow import keras, tf

    weights = model.trainable_variables
    kind = "binary" if targets.shape[1] == 1 else "categorical"
    hits = getattr(keras.metrics, f"{kind}_accuracy")
    losses = getattr(keras.losses, "mean_squared_error" if squared else f"{kind}_crossentropy")
    targets = tf.constant(targets)

    @tf.function(jit_compile=False)  # compiled by XLA it is several times slower on a CPU; not measured on a GPU
    def step(rows):
        truth = tf.gather(targets, rows)
        with tf.GradientTape() as tape:
            predicted = model(feeding.looked_up(inputs, rows), training=True)
            each = losses(truth, predicted)
            mean = optimizer.scale_loss(tf.reduce_mean(each))
        optimizer.apply(tape.gradient(mean, weights), weights)
        return tf.stack([tf.reduce_sum(each), tf.reduce_sum(hits(truth, predicted))])

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int64)])
    def epoch(rows):
        sums = tf.zeros(2)
        for start in tf.range(0, tf.size(rows), batch_size):
            sums += step(rows[start : start + batch_size])
        return sums / tf.cast(tf.size(rows), tf.float32)

    return lambda rows: epoch(tf.constant(rows, tf.int64)).numpy()


def activations(prefix, task: Task, store: Path) -> np.ndarray:
    """Return a frozen prefix's activations of every image, computed once and stored.

    They are a read-only memory map of a file under ``store/features``, whose bytes are verified. Its
    name is a hash of the images, of the prefix's layers and weights, and of TensorFlow's and Keras'
    versions, so that folds and runs share it.
    """
    key = [task.content, version("tensorflow"), version("keras"), _configuration(prefix)]
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode())
    for weight in prefix.get_weights():
        digest.update(np.ascontiguousarray(weight).tobytes())
    path = Path(store) / "features" / f"{digest.hexdigest()[:32]}.npy"
    shape = (len(task.pixels), *prefix.output_shape[1:])
    predict, step, n = feeding.predictor(prefix, feeding.held(task.pixels)), 512, len(task.pixels)
    parts = (np.arange(start, min(start + step, n)) for start in range(0, n, step))
    return stored_array(path, shape, np.float32, map(predict, parts))


def _configuration(model):
    """Return a model's configuration, in which names that Keras numbers automatically are positions."""
    positions = {part.name: f"#{n}" for n, part in enumerate([model, *model.operations])}

    def plain(value):
        if isinstance(value, dict):
            # Whether a layer is trainable does not change what it computes in inference mode.
            return {key: plain(each) for key, each in value.items() if key != "trainable"}
        if isinstance(value, list | tuple):
            return [plain(each) for each in value]
        return positions.get(value, value) if isinstance(value, str) else value

    return plain(model.get_config())


def _augmented(prefix, suffix, phase, order, always=False):
    """Put random changes, in inference only if `always`, before a network whose frozen prefix stays in that mode."""
    from brainlib.models._tensorflow import keras
    from brainlib.models.layers import OneMode

    flips = {"both": "horizontal_and_vertical"}
    layers, filling = keras.layers, {"fill_mode": {"black": "constant"}.get(phase.fill, phase.fill), "fill_value": 0.0}
    kinds = {
        "flip": lambda mode, **seed: layers.RandomFlip(flips.get(mode, mode), **seed),
        "rotation": lambda degrees, **seed: layers.RandomRotation(degrees / 360, **filling, **seed),
        "shift": lambda share, **seed: layers.RandomTranslation(share, share, **filling, **seed),
        "zoom": lambda share, **seed: layers.RandomZoom(share, **filling, **seed),
        "shear": lambda share, **seed: layers.RandomShear(share, share, **filling, **seed),
    }
    changes = dict(phase.augmentation)
    x = pixels = keras.Input((prefix or suffix).input_shape[1:])
    for name, layer in kinds.items():  # always in this order, and seeded in this order
        if name in changes:
            change = layer(changes[name], seed=int(order.integers(2**31)))
            x = OneMode(change, training=True)(x) if always else change(x)
    if prefix is not None:
        x = OneMode(prefix)(x)
    return keras.Model(pixels, suffix(x))
