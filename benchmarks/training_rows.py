"""What `bench` measures of training: brainlib's, beside plain Keras, PyTorch and the machine's matrix-product peak.

Plain Keras is `fit` on the same network and images, without XLA, which is several times slower on a CPU. In each, every
epoch predicts the same monitored images, and all images are predicted at the end. A run of many epochs is reckoned from
a few: its first epoch, with what precedes it, the median of the next ones, and what follows the last.
"""

from __future__ import annotations

import importlib.util
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from measuring import Clock, fastest, row, seconds_of, times_as_fast


class Arm:
    """An arm of a paper, to be trained on `trained` images while `monitored` others are predicted.

    The images are noise, which costs what slices cost.
    """

    def __init__(self, paper: str, name: str, trained: int, monitored: int):
        from brainlib.study.study import Study

        study = Study(paper, profile="full", data="phantoms", arms=[name], weights="random")
        self.spec, self.phases, self.size = study._model(name), study.phases(name), study.size
        self.loss, rng, n = study.paper.protocol.loss.value, np.random.default_rng(0), trained + monitored
        self.outputs = 1 if self.loss == "binary_crossentropy" else 4
        self.pixels = rng.integers(0, 256, (n, self.size, self.size, self.spec.channels), np.uint8)
        kinds = rng.integers(0, max(self.outputs, 2), n)
        self.targets = kinds[:, None].astype(np.float32) if self.outputs == 1 else np.eye(4, dtype=np.float32)[kinds]
        self.train, self.monitored = np.split(np.arange(n), [trained])

    def built(self):
        """Build the network after resetting Keras, as a trial does."""
        from brainlib.models import backbones, build, training

        training.prepare(0)
        return build.build_network(self.spec, self.size, self.outputs, backbones.Weights("random"))

    def ours(self, epochs: int, number: int = 0, store: str = "", **options) -> Clock:
        """Train one of the phases through `training.fit`, in a store of its own by default."""
        from brainlib.models import training

        network, clock = self.built(), Clock()
        task = training.Task(self.pixels, self.targets, self.train, self.monitored, f"noise {len(self.pixels)}")
        phases = (replace(self.phases[number], epochs=epochs),)
        with tempfile.TemporaryDirectory() as empty:
            options |= {"batch_size": 32, "seed": 0, "store": Path(store or empty)}
            training.fit(network, task, phases, on_epoch=clock.tick, **options)
        clock.tick()
        return clock

    def keras(self, epochs: int, number: int = 0) -> Clock:
        """Train one of the phases as any user of Keras would."""
        import keras

        from brainlib.models import freezing

        network, phase, clock = self.built(), self.phases[number], Clock()
        freezing.set_trainable(network, phase.trainable, phase.batch_norm)
        adam = keras.optimizers.Adam(phase.learning_rate)
        network.model.compile(adam, self.loss, metrics=["accuracy"], jit_compile=False)
        x = self.pixels.astype(np.float32)
        network.model.fit(
            x[self.train],
            self.targets[self.train],
            batch_size=32,
            epochs=epochs,
            validation_data=(x[self.monitored], self.targets[self.monitored]),
            callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=clock.tick)],
            verbose=0,
        )
        network.model.predict(x, batch_size=32, verbose=0)
        clock.tick()
        return clock

    def pytorch(self, epochs: int, number: int = 0) -> Clock:
        """Train one of the phases in PyTorch."""
        import pytorch

        phase = self.phases[number]
        made = pytorch.cnn(self.size) if self.spec.kind == "cnn" else pytorch.mobilenet(self.outputs)
        rows, rate = (self.train, self.monitored), phase.learning_rate
        clock = Clock()
        pytorch.train(made, phase.trainable == "head", self.pixels, self.targets, *rows, epochs, rate, clock.tick)
        clock.tick()
        return clock

    def beside(self, what: str, measured: int, repeats: int, times: float = 1, target: str = "") -> Iterator[dict]:
        """Compare ours with Keras and PyTorch: all phases, on `times` as many images, from a few epochs of each."""
        ways = {"ours": self.ours, "keras": self.keras}
        if importlib.util.find_spec("torch"):
            ways["pytorch"] = self.pytorch

        def spent(way):
            return lambda: sum(way(measured, n).spent(phase.epochs, times) for n, phase in enumerate(self.phases))

        found = fastest(repeats, **{name: spent(way) for name, way in ways.items()})
        yield times_as_fast(f"{what}, against Keras", found["ours"], found["keras"], target)
        if "pytorch" in found:
            yield times_as_fast(f"{what}, against PyTorch", found["ours"], found["pytorch"])


def frozen_arm() -> Iterator[dict]:
    """Measure the frozen arm of jardim: three folds of few epochs, and one training of many.

    An epoch of plain Keras is measured on 96 images, of which a third are monitored, as in a fold.
    """
    sample, spent = Arm("jardim", "transfer", 64, 32), {}
    plain = [sample.keras(2)]
    for images, folds, epochs in ((300, 3, 10), (150, 1, 30)):
        fold = Arm("jardim", "transfer", images - images // 3, images // 3)
        with tempfile.TemporaryDirectory() as store:
            spent[images, folds, epochs] = sum(fold.ours(epochs, store=store).total for _ in range(folds))
    plain.append(sample.keras(2))
    for (images, folds, epochs), seconds in spent.items():
        whole = folds * min(clock.spent(epochs, images / 96) for clock in plain)
        what = f"frozen ResNet50V2 of jardim, {images} images, {folds} × {epochs} epochs, against Keras"
        yield times_as_fast(what, seconds, whole, ">= 6" if epochs == 30 else "")


def fine_tuning() -> Iterator[dict]:
    """Measure MobileNet of lu, in the phase of the head and in that of all layers."""
    arm = Arm("lu", "mobilenet", 64, 16)
    yield from arm.beside("MobileNet of lu, 80 images, 20 + 10 epochs", measured=3, repeats=2)


def cnn() -> Iterator[dict]:
    """Measure the CNN of jardim from scratch, and its share of the machine's matrix-product peak."""
    arm = Arm("jardim", "cnn", 128, 64)
    yield from arm.beside("CNN of jardim, 2400 images, 30 epochs", measured=3, repeats=3, times=12.5, target=">= 1.3")
    peak = matrix_product_peak()
    seconds = min(arm.ours(3).spans[1] for _ in range(2))
    share = operations(arm) / seconds / peak
    yield row("matrix-product peak of the machine", peak / 1e9, "GFLOP/s")
    yield row("CNN of jardim, share of this peak", 100 * share, "%")


def matrix_product_peak() -> float:
    """Return the floating-point operations a second of the fastest of several products of two matrices."""
    from brainlib.models._tensorflow import tf

    n = 2048
    a = tf.random.stateless_normal((n, n), (0, 0))
    tf.linalg.matmul(a, a)
    return 2 * n**3 / min(seconds_of(lambda: tf.linalg.matmul(a, a).numpy()) for _ in range(8))


def operations(arm: Arm) -> float:
    """Return the floating-point operations of an epoch: convolutions and dense layers, forwards and backwards."""
    forwards = backwards = 0
    for layer in arm.built().model.layers:
        if layer.weights:
            kernel = layer.kernel.shape
            positions = np.prod(layer.output.shape[1:-1], dtype=int) if len(kernel) == 4 else 1
            once = 2 * positions * np.prod(kernel)
            backwards += once * (2 if forwards else 1)  # nothing asks for the gradient of the pixels
            forwards += once
    return float(len(arm.train) * (forwards + backwards) + len(arm.monitored) * forwards)


def checkpoints() -> Iterator[dict]:
    """Measure what checkpoints of the CNN of jardim, of 650 MB, add to a training that is long enough for them."""
    if importlib.util.find_spec("brainlib.models.checkpoints") is None:  # an older checkout
        return
    from brainlib.models.checkpoints import EVERY, Checkpoint

    arm = Arm("jardim", "cnn", 64, 32)
    with tempfile.TemporaryDirectory() as folder:

        def kept():  # after every epoch
            return arm.ours(4, checkpoint=Checkpoint(Path(folder) / str(time.time()), "benchmark", every=0)).spans[1]

        spent = fastest(3, without=lambda: arm.ours(4).spans[1], kept=kept)
    one = max(0.0, spent["kept"] - spent["without"])
    what = f"checkpoints of the CNN of jardim, one every {EVERY:.0f} s"
    yield row(what, 100 * one / EVERY, "% of the training", "<= 2", one)


ROWS = (frozen_arm, fine_tuning, cnn, checkpoints)
