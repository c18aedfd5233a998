"""Train the network that stands in for the papers' backbones in the demo, and write its weights.

    python docs/make_stand_in.py [FILE]

It learns what 2000 phantoms show and where: each cell of its last feature map, 12 by 12, has the lesion's kind or none,
and the mean of the map has the image's. The patients are of a seed that no data set is drawn with, and no real image
takes part. Batch normalisation, which speeds this up, is folded into the convolutions, and the layers that name kinds
are not kept. The weights, float16, go to ``brainlib/models/stand_in.npz``, whose SHA-256 is printed and verified by
`brainlib.models.backbones`. The same machine and versions of the libraries give the same bytes; others differ by
rounding, which training amplifies.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from brainlib.data.images import to_array
from brainlib.data.phantoms.draw import KINDS, make_phantoms
from brainlib.models import build, training
from brainlib.models._tensorflow import keras
from brainlib.models.backbones import STAND_IN, Weights

SEED, PHANTOMS, SIZE, CELLS, EPOCHS, BATCH = 20261125, 2000, 96, 12, 18, 32
# Of a map that is bright in a lesion alone the mean is small: it is enlarged, and the weights with it. The mean
# activation has a cost, which keeps the map dark elsewhere.
SCALE, SPARSE = 24, 1.0
# Cells of this share of some phantoms are then made dark: what a head learns from is the rest.
DARK, CALIBRATION = 0.95, 240


def main(file: Path) -> None:
    """Draw, train and write."""
    drawn = make_phantoms(PHANTOMS, seed=SEED, slices_per_patient=1)
    images = np.stack([to_array(Image.fromarray(each), SIZE, 3) for each in drawn.images]).astype(np.float32)
    kinds = np.array([KINDS.index(kind) for kind in drawn.table["kind"]])
    where, kind = cells(drawn.masks, kinds), np.eye(len(KINDS), dtype=np.float32)[kinds]
    training.prepare(SEED)
    model = network()
    rate = keras.optimizers.schedules.CosineDecay(2e-3, EPOCHS * len(images) // BATCH)
    model.compile(keras.optimizers.Adam(rate), [weighted, "categorical_crossentropy", sparse], jit_compile=False)
    order = np.random.default_rng(SEED)
    for epoch in range(EPOCHS):
        rows = order.permutation(len(images))
        mirrored = order.random(len(images))[:, None, None, None] < 0.5
        x, y = (np.where(mirrored, a[:, :, ::-1], a)[rows] for a in (images, where))
        logs = model.fit(x, [y, kind[rows], kind[rows]], batch_size=BATCH, shuffle=False, verbose=0).history
        print(f"epoch {epoch + 1}/{EPOCHS}:", {name: round(v[0], 4) for name, v in logs.items()}, file=sys.stderr)
    np.savez(file, **darkened(folded(model), images[:CALIBRATION]))
    print(f"{file.name}: {file.stat().st_size} bytes, SHA-256 {hashlib.sha256(file.read_bytes()).hexdigest()}")


def network():
    """Build the stand-in with batch normalisation and its three outputs: cells, kind and feature maps."""
    layers = keras.layers
    pixels = keras.Input((SIZE, SIZE, 3))
    x = layers.Rescaling(1 / 128, offset=-1)(pixels)
    for number, (filters, stride) in enumerate(build.STAND_IN_LAYERS, start=1):
        x = layers.Conv2D(filters, 3, stride, "same", name=f"{STAND_IN}_conv{number}")(x)
        x = layers.ReLU()(layers.BatchNormalization(name=f"{STAND_IN}_norm{number}")(x))
    named = layers.Conv2D(len(KINDS), 1, activation="softmax", name="cells")(x)
    kind = layers.Dense(len(KINDS), activation="softmax", name="kind")(SCALE * layers.GlobalAveragePooling2D()(x))
    return keras.Model(pixels, [named, kind, x])


def cells(masks: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """Name what each cell shows, one-hot: the lesion's kind where it fills half of the cell, else "none"."""
    n, height, width = masks.shape
    filled = masks.reshape(n, CELLS, height // CELLS, CELLS, width // CELLS).mean(axis=(2, 4)) >= 0.5
    return np.eye(len(KINDS), dtype=np.float32)[np.where(filled, kinds[:, None, None], KINDS.index("none"))]


def weighted(truth, predicted):
    """Cross-entropy in which a cell of a lesion counts five times: there are few of them."""
    weight = 5 - 4 * truth[..., KINDS.index("none")]
    return keras.ops.mean(weight * keras.losses.categorical_crossentropy(truth, predicted))


def sparse(_, maps):
    """Cost of the mean activation."""
    return SPARSE * keras.ops.mean(maps)


def folded(model) -> dict[str, np.ndarray]:
    """Return each convolution's weights with its normalisation, as float16 arrays by name."""
    arrays = {}
    for number in range(1, len(build.STAND_IN_LAYERS) + 1):
        name, norm = f"{STAND_IN}_conv{number}", model.get_layer(f"{STAND_IN}_norm{number}")
        kernel, bias = model.get_layer(name).get_weights()
        gamma, beta, mean, variance = norm.get_weights()
        factor = gamma / np.sqrt(variance + norm.epsilon)
        enlarged = SCALE if number == len(build.STAND_IN_LAYERS) else 1
        arrays[f"{name}_kernel"] = (enlarged * kernel * factor).astype(np.float16)
        arrays[f"{name}_bias"] = (enlarged * ((bias - mean) * factor + beta)).astype(np.float16)
    return arrays


def darkened(arrays: dict[str, np.ndarray], images: np.ndarray) -> dict[str, np.ndarray]:
    """Lower the biases of the last convolution, so that each of its maps is zero in a share `DARK` of all cells."""
    spec = build.ModelSpec("transfer", scaling="centred_128", backbone=STAND_IN, pooling="average")
    built = build.build_network(spec, SIZE, 1, Weights("random"))
    last = built.backbone_end
    for number in range(1, len(build.STAND_IN_LAYERS) + 1):
        name = f"{STAND_IN}_conv{number}"
        built.model.get_layer(name).set_weights([arrays[f"{name}_kernel"], arrays[f"{name}_bias"]])
    maps = keras.Model(built.model.input, built.model.get_layer(last).output).predict(images, verbose=0)
    dark = np.quantile(maps, DARK, axis=(0, 1, 2))
    return arrays | {f"{last}_bias": (arrays[f"{last}_bias"] - dark).astype(np.float16)}


if __name__ == "__main__":
    main(Path(*sys.argv[1:]) if sys.argv[1:] else Path(build.__file__).with_name(f"{STAND_IN}.npz"))
