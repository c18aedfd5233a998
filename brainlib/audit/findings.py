"""What a folder of images really holds: copies, contradictory labels, leaks, files that are no slice.

Three kinds of copies, each including the one before: the same bytes, the same pixels once decoded to
grey, and near copies (`nearcopies`). Pictures that are copies of one another form a group. Any
folder of class folders can be audited; a set of the registry is read as it was published.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from brainlib import progress
from brainlib.audit import near_duplicates
from brainlib.data import datasets, images
from brainlib.data.groups import connected
from brainlib.data.registry import REGISTRY
from brainlib.data.scan import VERSION, File, Scan, files_in, files_of, scan_files
from brainlib.errors import DataError, UsageError
from brainlib.io import writing

KINDS = ("byte", "pixel", "near")


@dataclass(frozen=True, eq=False)
class Audit:
    """What was found.

    Attributes
    ----------
    name : str
    table : DataFrame
        One row a readable image: path, label, part, byte_hash, pixel_hash, ``near`` (number of its
        group of copies), ``doubt`` (why it may be no slice, or "").
    unreadable : tuple of (str, str)
        Path and reason, in one line.
    pairs : DataFrame
        Near copies of different pixels: first, second (paths), mirrored, correlation. Of images with
        the same pixels, the first stands for all. Copies that others connect have no pair.
    contradictions : tuple of (str, str)
        Pairs of copies with different labels, each compared with the other.
    """

    name: str
    table: pd.DataFrame
    unreadable: tuple[tuple[str, str], ...]
    pairs: pd.DataFrame
    contradictions: tuple[tuple[str, str], ...]

    def groups(self, kind: str) -> list[list[str]]:
        """Groups of two and more copies, as paths; kind is "byte", "pixel" or "near"."""
        grouped = self.table.groupby(_column(kind), sort=False)["path"]
        return sorted(sorted(paths) for _, paths in grouped if len(paths) > 1)

    @property
    def divided(self) -> bool:
        """Whether the set is published in a train and a test part."""
        return {"train", "test"} <= set(self.table["part"])

    def leaked_test_images(self, kind: str) -> pd.DataFrame:
        """Published test images with a copy among the published training images."""
        column = _column(kind)
        known = set(self.table.loc[self.table["part"] == "train", column])
        return self.table[(self.table["part"] == "test") & self.table[column].isin(known)]

    def as_dict(self) -> dict:
        """The findings as plain data; `brainlib audit --json` writes them."""
        counts = {}
        for kind in KINDS:
            copies = self.leaked_test_images(kind) if self.divided else None
            name = f"test_with_{kind}_copy_in_train"
            counts[name] = None if copies is None else len(copies)
            counts[f"{name}_by_class"] = copies if copies is None else _by_class(self.table, copies)
        return {
            "name": self.name,
            "images": len(self.table),
            "images_by_class": self.table["label"].value_counts().sort_index().to_dict(),
            "unreadable": [{"path": path, "reason": reason} for path, reason in self.unreadable],
            **{f"{kind}_groups": self.groups(kind) for kind in KINDS},
            **counts,
            "contradictions": [list(pair) for pair in self.contradictions],
            "doubtful": [
                {"path": path, "reason": doubt}
                for path, doubt in zip(self.table["path"], self.table["quality_flag"], strict=True)
                if doubt
            ],
        }

    def lines(self) -> list[str]:
        """What was found, for a terminal."""
        table = self.table
        lines = [f"{self.name}: {len(table)} images, {len(self.unreadable)} unreadable"]
        lines += [f"  unreadable: {path}: {reason}" for path, reason in self.unreadable]
        for kind, said in zip(KINDS, ("same bytes", "same pixels", "near copies"), strict=True):
            groups = self.groups(kind)
            line = f"  {said}: {len(groups)} groups, {sum(map(len, groups))} images"
            if self.divided:
                line += f"; {len(self.leaked_test_images(kind))} published test images have one in training"
            lines.append(line)
        lines += [f"  contradiction: {a} and {b}" for a, b in self.contradictions]
        doubtful = table[table["quality_flag"] != ""]
        return lines + [
            f"  perhaps no slice: {path}: {why}"
            for path, why in zip(doubtful["path"], doubtful["quality_flag"], strict=True)
        ]


def _column(kind):
    if kind not in KINDS:
        raise ValueError(f"expected one of {', '.join(KINDS)}, received {kind!r}")
    return "near" if kind == "near" else f"{kind}_hash"


def _by_class(table, copies):
    classes = table.loc[table["part"] == "test", "label"].unique()
    return {label: int((copies["label"] == label).sum()) for label in sorted(classes)}


def find(looked: Scan, threshold: float = near_duplicates.THRESHOLD, store: Path | None = None) -> Audit:
    """Group the copies among images that were looked at.

    Parameters
    ----------
    looked : Scan
    threshold : float
        See `near_duplicates.find_near_duplicates`.
    store : Path, optional
        Keeps the pairs under the files' bytes.
    """
    table, pairs = looked.table, _pairs(looked, threshold, store)
    table = table.assign(near=group_ids(table["pixel_hash"], _rows(pairs, table["path"])))
    contradictions = _contradictions(table, looked.thumbnails, threshold)
    return Audit(looked.name, table, looked.unreadable, pairs, contradictions)


def _pairs(looked, threshold, store):
    """Near copies of different pixels, as in `Audit.pairs`; from the store if it has them whole."""
    table = looked.table
    rows = np.flatnonzero(~table["pixel_hash"].duplicated())
    paths, hashes = table["path"].to_numpy()[rows], table["byte_hash"].to_numpy()[rows]
    versions = [VERSION, near_duplicates.VERSION, images.VERSION]
    key = hashlib.sha256("\n".join([*versions, str(threshold), *hashes]).encode())
    target = Path(store) / "audit" / f"{key.hexdigest()[:32]}-pairs.json" if store else None
    found = _stored_pairs(target, len(rows))
    if found is None:
        near = near_duplicates.find_near_duplicates(looked.thumbnails[rows], threshold)
        found = [near.pairs.tolist(), near.mirrored.tolist(), near.correlation.tolist()]
        if target:
            with writing(target) as file:
                file.write(json.dumps(found).encode())
    first, second = np.array(found[0], dtype=np.intp).reshape(-1, 2).T
    return pd.DataFrame({"first": paths[first], "second": paths[second], "mirrored": found[1], "correlation": found[2]})


def _rows(pairs, paths):
    """Pairs of paths as positions among all paths: (m, 2) array."""
    position = dict(zip(paths, range(len(paths)), strict=True))
    return pairs[["first", "second"]].map(position.__getitem__).to_numpy(dtype=np.intp).reshape(-1, 2)


def _stored_pairs(target, n):
    try:
        found = json.loads(target.read_bytes()) if target else None
        pairs = np.array(found[0], dtype=np.intp).reshape(-1, 2)
        whole = len(pairs) == len(found[1]) == len(found[2]) and (pairs >= 0).all() and (pairs < n).all()
        return found if whole and len(found) == 3 else None
    except (OSError, ValueError, TypeError, IndexError, KeyError):  # absent or damaged: found again
        return None


def _contradictions(table, thumbnails, threshold):
    """Pairs of different labels in a group of copies, of which each is a copy of the other."""
    labels = table.groupby("near")["label"].transform("nunique")
    pairs = [
        pair
        for _, rows in table.reset_index(drop=True)[labels.to_numpy() > 1].groupby("near")
        for pair in itertools.combinations(rows.index, 2)
        if table["label"].iat[pair[0]] != table["label"].iat[pair[1]]
    ]
    if not pairs:
        return ()
    pairs, paths = np.array(pairs), table["path"].to_numpy()
    pixels = table["pixel_hash"].to_numpy()
    copies = pixels[pairs[:, 0]] == pixels[pairs[:, 1]]
    for mirrored in (False, True):
        copies |= near_duplicates.correlations(thumbnails, pairs, np.full(len(pairs), mirrored)) >= threshold
    return tuple(sorted(tuple(sorted(map(str, paths[pair]))) for pair in pairs[copies]))


def copies(dataset: datasets.DataSet, store: Path, rows: np.ndarray | None = None) -> np.ndarray:
    """Number the groups of copies among images of a data set: int array (n,), as in `DataSet.duplicates`.

    Parameters
    ----------
    dataset : DataSet
    store : Path
        Keeps what was seen and what was found.
    rows : array of int, optional
        Positions of the images that are looked at, by default all; of the others, those of the same
        pixels are a group.
    """
    table = dataset.table
    rows = np.arange(len(table)) if rows is None else rows
    chosen = table.iloc[rows]
    files = [File(*row) for row in chosen[["path", "label", "part"]].itertuples(index=False)]
    with progress.shown(f"{len(files)} images to audit") as on_progress:
        on_progress(0, f"{dataset.name}, looking")
        looked = scan_files(dataset.name, dataset.root, files, store=store)
        if looked.unreadable:
            path, reason = looked.unreadable[0]
            raise DataError(f"{dataset.root / path}: {reason}")
        on_progress(0.3, f"{dataset.name}, comparing")  # which takes the most of the time
        pairs = _pairs(looked, near_duplicates.THRESHOLD, store)
    return group_ids(table["pixel_hash"], _rows(pairs, table["path"]))


def group_ids(pixel_hashes: Sequence[str], pairs: np.ndarray) -> np.ndarray:
    """Number the groups of rows that equal pixels or pairs connect, from 0 in order of appearance.

    Parameters
    ----------
    pixel_hashes : sequence of str, n
    pairs : (m, 2) array of int
        Rows that are copies.
    """
    own, names = pd.factorize(np.asarray(pixel_hashes, dtype=object))
    return pd.factorize(connected(len(names), own[pairs].reshape(-1, 2))[own])[0]


def audit(target: str, data: str = "", store: Path | None = None, log: Callable[[str], None] | None = None) -> Audit:
    """Audit a set of the registry, or any folder.

    Parameters
    ----------
    target : str
        A name of the registry, looked for below `data`; else a folder.
    data : str
        The folder that holds one folder a set.
    store : Path, optional
        See `look`.
    log : callable, optional

    Raises
    ------
    DataError, UsageError
        There is nothing to audit.
    """
    if target in REGISTRY and not os.path.isdir(target):
        if not data:
            raise UsageError(
                f"{target}: expected a folder of data sets for it, received none; give --data DIR or "
                "set BRAINLIB_DATA, or give the folder of the set itself"
            )
        root = datasets.locate(target, Path(data))
        files, failed = files_of(target, root)
        name = target
    else:
        root = Path(target)
        if not os.path.isdir(root):
            raise UsageError(
                f"{target}: expected a folder or one of {', '.join(REGISTRY)}, received "
                f"{'a file' if os.path.exists(root) else 'nothing of that name'}"
            )
        files, failed = files_in(root)
        name = root.resolve().name
        if not files and not failed:
            raise DataError(
                f"{target}: expected images ({', '.join(sorted(images.SUFFIXES))}) in it or below, "
                "received none; give the folder that holds the folders of the classes"
            )
    return find(scan_files(name, root, files, failed, store), store=store)
