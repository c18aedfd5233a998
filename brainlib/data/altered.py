"""Data sets altered so that a model has nothing to learn, or nothing but what it should not use.

An altered set is a set like any other: its own fingerprint, its own files where pixels change, the
groups of copies of the original. What trains and judges on it is the same code.
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
from brainlib.data.thumbnails import otsu
from brainlib.io import built_folder, sha256_of

BACKGROUND, NO_BRAIN = "background alone", "brain masked out"
#: Width of what stays of the head around a masked brain, skull and scalp, as a share of the head's
#: size (the root of its area): about 14 mm. A choice.
RING = 0.08
_MARGIN = 0.03  # beyond the head that goes with it, likewise a share: what blurs into the background
_SIDE = 256  # pixels of the longer side at which the head is sought
_VERSION = "1"  # raise it when `masked` gives other pixels


def subset(data: DataSet, rows: np.ndarray) -> DataSet:
    """The images of some rows alone, with the groups that they have among all."""
    table = data.table.iloc[rows].reset_index(drop=True)
    return _renewed(data, table, data.root, data.group_ids()[rows])


def shuffled(data: DataSet, seed: int) -> DataSet:
    """The same images with the labels drawn anew: one for each group of copies, as often as before.

    Images that must not be divided (copies, and where known slices of one patient) share a label, so
    that a model which remembers one of them knows the others, and nothing else can be known.

    Parameters
    ----------
    data : DataSet
    seed : int
        Of the draw.
    """
    groups = pd.factorize(data.group_ids(patients=True))[0]
    # The label of a group's first image stands for the group: copies may contradict each other.
    first = np.unique(groups, return_index=True)[1]
    labels = data.table["label"].to_numpy()[first]
    drawn = np.random.default_rng([seed, 5]).permutation(labels)[groups]
    return _renewed(data, data.table.assign(label=drawn), data.root, data.group_ids())


def masked(data: DataSet, kind: str, store: Path) -> DataSet:
    """The same set with a part of every picture black, written to ``store/controls/`` as PNG.

    Parameters
    ----------
    data : DataSet
    kind : str
        `BACKGROUND`: the head is black and what surrounds it stays. `NO_BRAIN`: the inside of the head
        is black and skull, scalp and what surrounds them stay. The outline of the head shows in both.
    store : Path

    Raises
    ------
    DataError
        An image cannot be decoded any more.
    StoreError
        The folder cannot be written.
    """
    content = "\n".join([kind, _VERSION, images.VERSION, data.fingerprint])
    name = f"{data.name}-{kind.split()[0]}-{hashlib.sha256(content.encode()).hexdigest()[:16]}"

    def write(folder):
        for path in data.table["path"]:
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.asarray(images.decode(data.root / path)).copy()
            pixels[hidden(pixels, kind)] = 0
            # PNG whatever the name says: every reader here looks at the bytes.
            Image.fromarray(pixels).save(target, format="PNG")

    root = built_folder(Path(store) / "controls" / name, write)
    hashes = [sha256_of(root / path) for path in data.table["path"]]
    return _renewed(data, data.table.assign(byte_hash=hashes), root, data.group_ids())


def hidden(pixels: np.ndarray, kind: str) -> np.ndarray:
    """What a control makes black: bool (h, w).

    Parameters
    ----------
    pixels : uint8 array (h, w) or (h, w, 3)
    kind : str
        As in `masked`.
    """
    grey = Image.fromarray(pixels).convert("L")
    scale = min(1.0, _SIDE / max(grey.size))
    small = grey.resize([max(1, round(side * scale)) for side in grey.size], Image.Resampling.BILINEAR)
    head = _head(np.asarray(small))
    size = np.sqrt(head.sum())
    # A picture that is cut to its head has no background: outside of it lies what is not the head.
    framed = np.pad(head, 1)
    if kind == BACKGROUND:
        mask = ndimage.distance_transform_edt(~framed)[1:-1, 1:-1] <= _MARGIN * size
    else:
        mask = ndimage.distance_transform_edt(framed)[1:-1, 1:-1] > RING * size
    whole = Image.fromarray(mask).resize(grey.size, Image.Resampling.NEAREST)
    return np.asarray(whole, dtype=bool)


def _head(grey):
    """The large bright areas, joined and with their holes filled, bool; everything where none is."""
    smooth = ndimage.uniform_filter(grey, 5)
    # Lower than where thumbnails are cut, so that a dim scalp goes with a bright brain.
    areas, found = ndimage.label(smooth > 0.3 * otsu(smooth))
    if not found:
        return np.ones(grey.shape, bool)
    sizes = np.bincount(areas.ravel())[1:]
    largest = np.isin(areas, 1 + np.flatnonzero(sizes >= 0.05 * sizes.max()))
    reach = max(2, round(0.04 * max(grey.shape)))
    closed = ndimage.binary_closing(np.pad(largest, reach), iterations=reach)[reach:-reach, reach:-reach]
    return ndimage.binary_fill_holes(closed)


def _renewed(data, table, root, duplicates):
    return dataclasses.replace(
        data, root=root, table=table, duplicates=duplicates, fingerprint=datasets.fingerprint(table)
    )
