"""The audit of a folder of images: duplicates, contradictory labels, leaked test images, files that are no slices.

There are three kinds of duplicates, each including the one before: the same bytes, the same pixels once decoded to
grey, and near-duplicates (`near_duplicates`). Images that are duplicates of one another form a group. Any folder of
class folders can be audited; a registered set is read in the folders that it was published in.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from brainlib import progress
from brainlib.audit import near_duplicates
from brainlib.data import datasets, images
from brainlib.data.groups import connected
from brainlib.data.registry import REGISTRY
from brainlib.data.scan import VERSION, Scan, scan_folder
from brainlib.errors import DataError, UsageError
from brainlib.io import writing
from brainlib.progress import OnProgress

KINDS = ("byte", "pixel", "near")


@dataclass(frozen=True)
class Duplicates:
    """Duplicates of one kind in a set.

    Attributes
    ----------
    groups : int
        Of two or more images.
    images : int
        In these groups.
    leaked_test_images : dict of str to int, or None
        By class, published test images with a duplicate among the published training images; None where the
        set is not published in two parts.
    """

    groups: int
    images: int
    leaked_test_images: dict[str, int] | None


@dataclass(frozen=True)
class SetAudit:
    """What an audit found, as plain numbers and file names.

    Attributes
    ----------
    name : str
    images : int
        That can be read.
    images_by_class : dict of str to int
    test_images : int or None
        Published as test images; None where the set is not published in two parts.
    unreadable : tuple of (str, str)
        Path and reason.
    duplicates : dict of str to Duplicates
        By kind: "byte", "pixel" and "near".
    contradictions : tuple of (str, str)
        As in `Audit`.
    flagged : tuple of (str, str)
        Files that may be no slices, with the reason.
    """

    name: str
    images: int
    images_by_class: dict[str, int]
    test_images: int | None
    unreadable: tuple[tuple[str, str], ...]
    duplicates: dict[str, Duplicates]
    contradictions: tuple[tuple[str, str], ...]
    flagged: tuple[tuple[str, str], ...]


@dataclass(frozen=True, eq=False)
class Audit:
    """What was found in a set or a folder.

    Attributes
    ----------
    name : str
    table : DataFrame
        One row for each readable image: ``path``, ``label``, ``part``, ``byte_hash``, ``pixel_hash``, ``near`` (its
        group of near-duplicates) and ``quality_flag`` (why it may be no slice, or "").
    unreadable : tuple of (str, str)
        Path and reason.
    pairs : DataFrame
        Near-duplicates of different pixels: ``first`` and ``second`` (paths), ``mirrored``, ``correlation``. Of images
        with the same pixels, the first stands for all. Duplicates that others connect have no pair.
    contradictions : tuple of (str, str)
        Pairs of duplicates with different labels, each pair compared directly.
    """

    name: str
    table: pd.DataFrame
    unreadable: tuple[tuple[str, str], ...]
    pairs: pd.DataFrame
    contradictions: tuple[tuple[str, str], ...]

    def groups(self, kind: str) -> list[list[str]]:
        """List the groups of two or more duplicates, as paths; `kind` is "byte", "pixel" or "near"."""
        grouped = self.table.groupby(_column(kind), sort=False)["path"]
        return sorted(sorted(paths) for _, paths in grouped if len(paths) > 1)

    @property
    def has_test_part(self) -> bool:
        """Whether the set is published in a training and a test part."""
        return {"train", "test"} <= set(self.table["part"])

    def leaked_test_images(self, kind: str) -> pd.DataFrame:
        """Select the published test images with a duplicate among the published training images."""
        column = _column(kind)
        train = set(self.table.loc[self.table["part"] == "train", column])
        return self.table[(self.table["part"] == "test") & self.table[column].isin(train)]

    def record(self) -> SetAudit:
        """Summarise the audit in plain numbers and file names."""
        flagged = self.table[self.table["quality_flag"] != ""]
        return SetAudit(
            name=self.name,
            images=len(self.table),
            images_by_class=self.table["label"].value_counts().sort_index().to_dict(),
            test_images=int((self.table["part"] == "test").sum()) if self.has_test_part else None,
            unreadable=self.unreadable,
            duplicates={kind: self._duplicates(kind) for kind in KINDS},
            contradictions=self.contradictions,
            flagged=tuple(zip(flagged["path"], flagged["quality_flag"], strict=True)),
        )

    def _duplicates(self, kind):
        groups, leaked = self.groups(kind), None
        if self.has_test_part:
            labels = self.leaked_test_images(kind)["label"]
            classes = sorted(self.table.loc[self.table["part"] == "test", "label"].unique())
            leaked = {label: int((labels == label).sum()) for label in classes}
        return Duplicates(len(groups), sum(map(len, groups)), leaked)

    def as_dict(self) -> dict:
        """Return the record as plain data, with the members of each group; `brainlib audit --json` writes it."""
        return asdict(self.record()) | {"groups": {kind: self.groups(kind) for kind in KINDS}}


def _column(kind):
    if kind not in KINDS:
        raise ValueError(f"expected one of {', '.join(KINDS)}, received {kind!r}")
    return "near" if kind == "near" else f"{kind}_hash"


def audit_folder(
    target: str, data: str = "", store: Path | None = None, on_progress: OnProgress = progress.ignore
) -> Audit:
    """Audit a registered set, or any folder of images.

    Parameters
    ----------
    target : str
        Name of a registered set, which is looked for in `data`; otherwise a folder.
    data : str
        Folder with one folder for each data set.
    store : Path, optional
        Folder that keeps the scan and the pairs of near-duplicates for the next call.
    on_progress : OnProgress

    Returns
    -------
    Audit

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
        scan = scan_folder(datasets.locate(target, Path(data)), target, store, progress.part(on_progress, 0, 0.3))
    else:
        if not os.path.isdir(target):
            raise UsageError(
                f"{target}: expected a folder or one of {', '.join(REGISTRY)}, received "
                f"{'a file' if os.path.exists(target) else 'nothing of that name'}"
            )
        scan = scan_folder(Path(target), "", store, progress.part(on_progress, 0, 0.3))
        if scan.table.empty and not scan.unreadable:
            raise DataError(
                f"{target}: expected images ({', '.join(sorted(images.SUFFIXES))}) in it or below, "
                "received none; give the folder that holds the folders of the classes"
            )
    return audit_scan(scan, store=store, on_progress=progress.part(on_progress, 0.3, 1))


def audit_scan(
    scan: Scan,
    threshold: float = near_duplicates.THRESHOLD,
    store: Path | None = None,
    on_progress: OnProgress = progress.ignore,
) -> Audit:
    """Group the duplicates among scanned images and compare their labels.

    Parameters
    ----------
    scan : Scan
    threshold : float
        As in `near_duplicates.find_near_duplicates`.
    store : Path, optional
        Folder that keeps the pairs of near-duplicates.
    on_progress : OnProgress

    Returns
    -------
    Audit
    """
    pairs = _pairs(scan, threshold, store, on_progress)
    table = scan.table.assign(near=group_ids(scan.table["pixel_hash"], _rows(pairs, scan.table["path"])))
    contradictions = _contradictions(table, scan.thumbnails, threshold)
    return Audit(scan.name, table, scan.unreadable, pairs, contradictions)


def duplicate_groups(
    dataset: datasets.DataSet,
    store: Path,
    rows: np.ndarray | None = None,
    on_progress: OnProgress = progress.ignore,
) -> np.ndarray:
    """Assign the images of a data set to duplicate groups: int array (n,), as in `DataSet.duplicates`.

    Parameters
    ----------
    dataset : DataSet
    store : Path
        Folder that keeps the scan and the pairs of near-duplicates.
    rows : array of int, optional
        Positions of the images that are audited, by default all. The others are grouped by equal pixels.
    on_progress : OnProgress

    Raises
    ------
    DataError
        An image cannot be read.
    """
    table = dataset.table
    scan = dataset.scan(store, rows, progress.part(on_progress, 0, 0.3))
    pairs = _pairs(scan, near_duplicates.THRESHOLD, store, progress.part(on_progress, 0.3, 1))
    return group_ids(table["pixel_hash"], _rows(pairs, table["path"]))


def group_ids(pixel_hashes: Sequence[str], pairs: np.ndarray) -> np.ndarray:
    """Assign images to the groups that equal pixels or pairs connect, from 0 in order of appearance.

    Parameters
    ----------
    pixel_hashes : sequence of str, n
    pairs : (m, 2) array of int
        Positions of duplicates.

    Returns
    -------
    (n,) array of int
    """
    own, names = pd.factorize(np.asarray(pixel_hashes, dtype=object))
    return pd.factorize(connected(len(names), own[pairs].reshape(-1, 2))[own])[0]


def _pairs(scan, threshold, store, on_progress):
    """Near-duplicates of different pixels, as in `Audit.pairs`; from the store where it has them intact."""
    table = scan.table
    rows = np.flatnonzero(~table["pixel_hash"].duplicated())
    paths, hashes = table["path"].to_numpy()[rows], table["byte_hash"].to_numpy()[rows]
    versions = [VERSION, near_duplicates.VERSION, images.VERSION]
    key = hashlib.sha256("\n".join([*versions, str(threshold), *hashes]).encode())
    target = Path(store) / "audit" / f"{key.hexdigest()[:32]}-pairs.json" if store else None
    found = _stored_pairs(target)
    if found is None:
        near = near_duplicates.find_near_duplicates(scan.thumbnails[rows], threshold, on_progress=on_progress)
        found = [near.pairs.tolist(), near.mirrored.tolist(), near.correlation.tolist()]
        if target:
            content = json.dumps(found).encode()
            with writing(target) as file:
                file.write(_sum_of(content) + b"\n" + content)
    first, second = np.array(found[0], dtype=np.intp).reshape(-1, 2).T
    return pd.DataFrame({"first": paths[first], "second": paths[second], "mirrored": found[1], "correlation": found[2]})


def _stored_pairs(target):
    """Pairs that were stored, or None where there are none or their sum is another."""
    try:
        known, content = target.read_bytes().split(b"\n", 1) if target else (b"", b"")
    except (OSError, ValueError):
        return None
    return json.loads(content) if known == _sum_of(content) else None


def _sum_of(content):
    return hashlib.sha256(content).hexdigest().encode()


def _rows(pairs, paths):
    """Pairs of paths as positions among all paths: (m, 2) array."""
    position = dict(zip(paths, range(len(paths)), strict=True))
    return pairs[["first", "second"]].map(position.__getitem__).to_numpy(dtype=np.intp).reshape(-1, 2)


def _contradictions(table, thumbnails, threshold):
    """Pairs of different labels within a group, each compared directly."""
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
    duplicates = pixels[pairs[:, 0]] == pixels[pairs[:, 1]]
    for mirrored in (False, True):
        duplicates |= near_duplicates.correlations(thumbnails, pairs, np.full(len(pairs), mirrored)) >= threshold
    return tuple(sorted(tuple(sorted(map(str, paths[pair]))) for pair in pairs[duplicates]))
