"""Altered data sets for control experiments: shuffled labels, background alone, brain masked out, subsets.

A model should learn nothing from shuffled labels, and nothing of the tumour from an image without its brain. An altered
set is a `DataSet` with its own fingerprint, files where pixels change, and the duplicate groups of the original.
"""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from scipy import ndimage

from brainlib.data import datasets, images
from brainlib.data.datasets import DataSet
from brainlib.data.thumbnails import bright_areas
from brainlib.io import built_folder, sha256_of

BACKGROUND, NO_BRAIN = "background alone", "brain masked out"
#: Width of skull and scalp that remain around a masked brain, as a share of the head's size (the root of its area):
#: about 14 mm. A choice.
RING = 0.08
#: Part of the names of the folders of masked images: raise it when `masked` gives other pixels.
VERSION = "1"
_MARGIN = 0.03  # that is masked beyond the head, where it blurs into the background, likewise a share
_SIDE = 256  # pixels of the longer side at which the head is found


def subset(data: DataSet, rows: np.ndarray) -> DataSet:
    """Keep the images at some positions, with their duplicate groups in the whole set."""
    table = data.table.iloc[rows].reset_index(drop=True)
    return _renewed(data, table, data.root, data.group_ids()[rows])


def shuffled(data: DataSet, seed: int) -> DataSet:
    """Permute the labels over the groups of duplicates and, where known, patients.

    Images of a group share a label, so that a model can predict those of which it has seen a duplicate, and no others.
    """
    groups = pd.factorize(data.group_ids(patients=True))[0]
    # A group has the label of its first image: duplicates may contradict each other.
    labels = data.table["label"].groupby(groups).first().to_numpy()
    drawn = np.random.default_rng([seed, 5]).permutation(labels)[groups]
    return _renewed(data, data.table.assign(label=drawn), data.root, data.group_ids())


def masked(data: DataSet, kind: str, store: Path) -> DataSet:
    """Make a part of every image black, and write the images to ``store/controls/`` as PNG.

    With `BACKGROUND` the head is black. With `NO_BRAIN` the inside of the head is black; skull, scalp and background
    remain. Both show the outline of the head.
    """
    content = "\n".join([kind, VERSION, images.VERSION, data.fingerprint])
    name = f"{data.name}-{kind.split()[0]}-{hashlib.sha256(content.encode()).hexdigest()[:16]}"

    def write(folder):
        for path in data.table["path"]:
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.asarray(images.decode(data.root / path)).copy()
            pixels[hidden(pixels, kind)] = 0
            # PNG whatever the name says: readers decide by the bytes.
            Image.fromarray(pixels).save(target, format="PNG")

    root = built_folder(Path(store) / "controls" / name, write)
    files = [root / path for path in data.table["path"]]
    written = {"byte_hash": [sha256_of(file) for file in files], "bytes": [file.stat().st_size for file in files]}
    return _renewed(data, data.table.assign(**written), root, data.group_ids())


def hidden(pixels: np.ndarray, kind: str) -> np.ndarray:
    """Return what `masked` makes black in an image, uint8 (h, w) or (h, w, 3): bool (h, w)."""
    grey = Image.fromarray(pixels).convert("L")
    scale = min(1.0, _SIDE / max(grey.size))
    small = grey.resize([max(1, round(side * scale)) for side in grey.size], Image.Resampling.BILINEAR)
    head = _head(small)
    # Around an image that is cropped to the head lies background.
    framed, size = np.pad(head, 1), np.sqrt(head.sum())
    distance = ndimage.distance_transform_edt(~framed if kind == BACKGROUND else framed)[1:-1, 1:-1]
    mask = distance <= _MARGIN * size if kind == BACKGROUND else distance > RING * size
    whole = Image.fromarray(mask).resize(grey.size, Image.Resampling.NEAREST)
    return np.asarray(whole, dtype=bool)


def _head(grey):
    """Return the large bright areas, joined and with their holes filled, bool; everything where none is."""
    # A lower threshold than for thumbnails, so that a dim scalp belongs to the head.
    areas, sizes = bright_areas(grey, 0.3)
    if not len(sizes):
        return np.ones(areas.shape, bool)
    largest = np.isin(areas, 1 + np.flatnonzero(sizes >= 0.05 * sizes.max()))
    width = max(2, round(0.04 * max(areas.shape)))
    closed = ndimage.binary_closing(np.pad(largest, width), iterations=width)[width:-width, width:-width]
    return ndimage.binary_fill_holes(closed)


def _renewed(data, table, root, duplicates):
    changed = {"root": root, "table": table, "duplicates": duplicates, "fingerprint": datasets.fingerprint(table)}
    return dataclasses.replace(data, **changed)
