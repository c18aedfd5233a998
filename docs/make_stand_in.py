"""Train the network that stands in for the papers' backbones in the demo, and write its weights.

    python docs/make_stand_in.py [FILE]

It learns what 3000 phantoms show and where. Of its last feature map, 12 by 12, a third of the channels is for each kind
of lesion: their sum is the evidence for that kind in a cell, which competes with a constant for none, and the largest
evidence of all cells is the image's. So the map is bright in lesions and dark elsewhere, whatever a head makes of it.
Each phantom is shown as it is and turned, shifted and enlarged a little. The patients are of a seed that no data set
is drawn with, and no real image takes part. Batch normalisation, which speeds this up, is folded into the convolutions.
The weights, float16, go to ``brainlib/models/stand_in.npz``, whose SHA-256 is printed and verified by
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
from brainlib.models.backbones import STAND_IN

SEED, PHANTOMS, SIZE, CELLS, EPOCHS, BATCH = 20261125, 3000, 96, 12, 10, 32
NONE = 5.0  # evidence for no lesion
DARK = 0.1  # cost of evidence where nothing of a lesion is
FLOOR = 0.4  # evidence of a channel that is then taken away, so that the dark is zero
SCALE = 96  # the map's mean, which heads see, is small: it is enlarged, and the weights with it
LESIONS = [kind for kind in KINDS if kind != "none"]
TURNED, SHIFTED, ENLARGED = 20, 0.1, 0.12  # at most: degrees, and shares of the size


def main(file: Path) -> None:
    """Draw, train and write."""
    drawn = make_phantoms(PHANTOMS, seed=SEED, slices_per_patient=1)
    order = np.random.default_rng(SEED)
    images, masks = (np.stack(each) for each in zip(*shown(drawn, order), strict=True))
    kinds = np.tile([LESIONS.index(kind) if kind in LESIONS else -1 for kind in drawn.table["kind"]], 2)
    where, kind = cells(masks, kinds), np.eye(len(LESIONS) + 1, dtype=np.float32)[kinds]
    training.prepare(SEED)
    model = network()
    rate = keras.optimizers.schedules.CosineDecay(2e-3, EPOCHS * len(images) // BATCH)
    model.compile(keras.optimizers.Adam(rate), [in_cells, "categorical_crossentropy", in_the_dark], jit_compile=False)
    for epoch in range(EPOCHS):
        rows = order.permutation(len(images))
        mirrored = order.random(len(images))[:, None, None, None] < 0.5
        x, y = (np.where(mirrored, each[:, :, ::-1], each)[rows] for each in (images, where))
        logs = model.fit(x, [y, kind[rows], y], batch_size=BATCH, shuffle=False, verbose=0).history
        print(f"epoch {epoch + 1}/{EPOCHS}:", {name: round(v[0], 4) for name, v in logs.items()}, file=sys.stderr)
    np.savez(file, **folded(model))
    print(f"{file.name}: {file.stat().st_size} bytes, SHA-256 {hashlib.sha256(file.read_bytes()).hexdigest()}")


def shown(drawn, order):
    """Yield the image, (SIZE, SIZE, 3), and the mask of each phantom as it is, then of each after a random change."""
    for changed in (False, True):
        for image, mask in zip(drawn.images, drawn.masks, strict=True):
            pictures = Image.fromarray(image), Image.fromarray(mask.astype(np.uint8) * 255)
            if changed:
                turn, larger = np.radians(order.uniform(-TURNED, TURNED)), 1 + order.uniform(-ENLARGED, ENLARGED)
                shift, middle = order.uniform(-SHIFTED, SHIFTED, 2) * len(image), len(image) / 2
                turned = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) / larger
                offset = middle - turned @ (middle + shift)
                matrix = np.column_stack([turned, offset]).ravel()
                pictures = [
                    each.transform(each.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
                    for each in pictures
                ]
            yield to_array(pictures[0], SIZE, 3).astype(np.float32), np.asarray(pictures[1]) > 127


def network():
    """Build the stand-in with batch normalisation and its three outputs: cells, kind and feature maps."""
    layers = keras.layers
    pixels = keras.Input((SIZE, SIZE, 3))
    x = layers.Rescaling(1 / 128, offset=-1)(pixels)
    for number, (filters, stride) in enumerate(build.STAND_IN_LAYERS, start=1):
        x = layers.Conv2D(filters, 3, stride, "same", name=f"{STAND_IN}_conv{number}")(x)
        x = layers.ReLU()(layers.BatchNormalization(name=f"{STAND_IN}_norm{number}")(x))
    kinds = [layers.Lambda(lambda x, k=k: keras.ops.sum(x[..., k :: len(LESIONS)], -1))(x) for k in range(len(LESIONS))]
    evidence = layers.Lambda(lambda kinds: keras.ops.stack([*kinds, NONE + 0 * kinds[0]], -1))(kinds)
    image = layers.GlobalMaxPooling2D()(evidence)
    return keras.Model(pixels, [layers.Softmax(name="cells")(evidence), layers.Softmax(name="kind")(image), x])


def cells(masks: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """Name what each cell shows, one-hot: the lesion's kind where its middle is, all zero around it, else "none"."""
    n, height, width = masks.shape
    named = np.zeros((n, CELLS, CELLS, len(LESIONS) + 1), np.float32)
    named[..., -1] = 1
    for image, mask, kind in zip(named, masks, kinds, strict=True):
        if mask.any():
            row, column = (int(each.mean() * CELLS / height) for each in np.nonzero(mask))
            image[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2] = 0
            image[row, column, kind] = 1
    return named


def in_cells(truth, predicted):
    """Cross-entropy of named cells, in which one of a lesion counts twenty times: there are few of them."""
    weight = 20 - 19 * truth[..., -1]
    return keras.ops.mean(weight * keras.losses.categorical_crossentropy(truth, predicted))


def in_the_dark(truth, maps):
    """Cost of evidence in cells without a lesion."""
    return DARK * keras.ops.mean(truth[..., -1] * keras.ops.sum(maps, axis=-1))


def folded(model) -> dict[str, np.ndarray]:
    """Return each convolution's weights with its normalisation, as float16 arrays by name."""
    arrays = {}
    for number in range(1, len(build.STAND_IN_LAYERS) + 1):
        name = f"{STAND_IN}_conv{number}"
        kernel, bias = model.get_layer(name).get_weights()
        norm = model.get_layer(f"{STAND_IN}_norm{number}")
        gamma, beta, mean, variance = norm.get_weights()
        factor = gamma / np.sqrt(variance + norm.epsilon)
        bias = (bias - mean) * factor + beta
        if number == len(build.STAND_IN_LAYERS):
            factor, bias = SCALE * factor, SCALE * (bias - FLOOR)
        arrays[f"{name}_kernel"] = (kernel * factor).astype(np.float16)
        arrays[f"{name}_bias"] = bias.astype(np.float16)
    return arrays


if __name__ == "__main__":
    main(Path(*sys.argv[1:]) if sys.argv[1:] else Path(build.__file__).with_name(f"{STAND_IN}.npz"))
