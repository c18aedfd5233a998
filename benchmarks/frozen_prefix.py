"""Measure the time that is saved by running frozen layers once, and the change of predictions, which is none.

One network is trained twice in one run, on the same phantoms in the same batches: through
`training.fit`, which keeps the activations at the end of the frozen layers, and through plain
`model.fit`, which runs them in every epoch. Both times include everything but building
the network, so the first one pays for computing and storing the activations. With random weights
all phantoms get nearly the same prediction: use pretrained ones for a meaningful difference.

    python benchmarks/frozen_prefix.py --backbone resnet50v2 --weights imagenet --images 600 --size 240
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

RATE = 1e-4  # of Adam


def main() -> None:
    """Read the arguments, train both ways, print what came out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="mobilenet_v2")
    parser.add_argument("--weights", default="random", help="random, imagenet or a folder")
    parser.add_argument("--trainable", default="head", help="head, or the beginning of layer names, such as conv5_")
    parser.add_argument("--size", type=int, default=64, help="of the images, in pixels")
    parser.add_argument("--images", type=int, default=96)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=32)
    arguments = parser.parse_args()

    data = phantoms(arguments.images, arguments.size)
    with tempfile.TemporaryDirectory() as store:
        cached_seconds, cached = timed(train_cached, data, arguments, Path(store))
    plain_seconds, plain = timed(train_plainly, data, arguments, None)
    print(
        f"{arguments.backbone}, {arguments.trainable} trained, {arguments.images} images of {arguments.size} pixels, "
        f"{arguments.epochs} epochs"
    )
    print(f"activations computed once: {cached_seconds:8.2f} s")
    print(f"all layers in every epoch: {plain_seconds:8.2f} s")
    print(f"ratio of the times:        {plain_seconds / cached_seconds:8.2f}")
    print(
        f"largest difference of a prediction: {np.abs(cached - plain).max():.1e} "
        f"(predictions range from {plain.min():.3f} to {plain.max():.3f})"
    )


def phantoms(images: int, size: int):
    """Draw phantoms with and without a lesion: pixels (n, size, size, 3) and targets (n, 1)."""
    from brainlib.data.phantoms.draw import make_phantoms

    drawn = make_phantoms(images, size=size)
    pixels = np.repeat(drawn.images[..., None], 3, axis=3)
    targets = (drawn.table["kind"] != "none").to_numpy(np.float32)[:, None]
    return pixels, targets


def timed(train, data, arguments, store):
    """Build the network, train it, and return the seconds without the building."""
    from brainlib.models import backbones, build, training

    training.prepare(0)
    spec = build.ModelSpec(
        "transfer",
        backbone=arguments.backbone,
        scaling="backbone",
        pooling="average",
        dense=(64,),
        head_dropout=(0.3,),
    )
    start = backbones.find_weights(arguments.backbone, arguments.weights)
    network = build.build_network(spec, arguments.size, 1, start)
    before = time.perf_counter()
    predicted = train(network, data, arguments, store)
    return time.perf_counter() - before, predicted


def train_cached(network, data, arguments, store):
    """Train through `training.fit`."""
    from brainlib.models import training

    pixels, targets = data
    rows = np.arange(len(pixels))
    task = training.Task(pixels, targets, rows, rows[:0], "benchmark")
    _, predicted = training.fit(
        network,
        task,
        (training.Phase("phase", trainable(arguments), arguments.epochs, RATE),),
        batch_size=arguments.batch_size,
        loss="binary_crossentropy",
        seed=0,
        store=store,
    )
    return predicted[-1]


def trainable(arguments):
    """Return what trains besides the head, in the form that `freezing.set_trainable` takes."""
    return "head" if arguments.trainable == "head" else (arguments.trainable,)


def train_plainly(network, data, arguments, store):
    """Train as any Keras user would, on the same batches."""
    import keras

    from brainlib.models import freezing

    pixels, targets = data
    order = np.random.default_rng([0, 0])  # as `training.fit` draws it for seed 0, phase 0
    freezing.set_trainable(network, trainable(arguments))
    network.model.compile(keras.optimizers.Adam(RATE), "binary_crossentropy", metrics=["accuracy"], jit_compile=False)
    for _ in range(arguments.epochs):
        rows = order.permutation(len(pixels))
        network.model.fit(
            pixels[rows].astype(np.float32),
            targets[rows],
            batch_size=arguments.batch_size,
            shuffle=False,
            verbose=0,
        )
    return network.model.predict(pixels.astype(np.float32), verbose=0)


if __name__ == "__main__":
    main()
