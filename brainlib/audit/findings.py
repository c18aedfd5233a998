"""The audit of a folder of images: duplicates, contradictory labels, leaked test images, files that are no slices.

There are three kinds of duplicates, each including the one before: the same bytes, the same pixels once decoded to
grey, and near-duplicates (`near_duplicates`). Images that are duplicates of one another form a group. Any folder of
class folders can be audited; a registered set is read in the folders that it was published in.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from brainlib import progress
from brainlib.audit import near_duplicates, shortcuts
from brainlib.audit.decisions import NO_DECISIONS, honoured, read_decisions
from brainlib.audit.near_duplicates import NearDuplicates, Run
from brainlib.data import datasets, images
from brainlib.data.groups import connected, joined, joined_patients
from brainlib.data.own import own_set
from brainlib.data.registry import REGISTRY
from brainlib.data.scan import VERSION, Scan, scan_folder
from brainlib.data.splits import Split, assign
from brainlib.errors import DataError, UsageError
from brainlib.io import built_folder, is_whole
from brainlib.progress import OnProgress
from brainlib.stats.estimates import Estimate

KINDS = ("byte", "pixel", "near")


@dataclass(frozen=True)
class Duplicates:
    """Groups of two or more duplicates of one kind in a set, the images in them, and leaked test images by class.

    A leaked test image is a published test image with a duplicate among the published training images. None
    stands for a set that is not published in two parts.
    """

    groups: int
    images: int
    leaked_test_images: dict[str, int] | None


@dataclass(frozen=True)
class SetAudit:
    """What an audit found, as plain numbers and file names; part of ``results.json``.

    The images are those that can be read; published test images are None where the set is not published in two parts.
    `flagged` has path and reason of files that may be no slices, `duplicates` goes by kind; the others as in `Audit`.
    """

    name: str
    images: int
    images_by_class: dict[str, int]
    test_images: int | None
    unreadable: tuple[tuple[str, str], ...]
    flagged: tuple[tuple[str, str], ...]
    duplicates: dict[str, Duplicates]
    contradictions: tuple[tuple[str, str], ...]
    shortcuts: dict[str, dict[str, Estimate]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Audit:
    """What was found in a set or a folder.

    `table` is that of `Scan`, with the columns ``patient`` (str, or None where unknown), ``near``, the number of the
    group of near-duplicates, and ``added``. `unreadable` has path and reason of the files that cannot be read. `pairs`
    are near-duplicates of different pixels: ``first`` and ``second`` (paths), and the rest as in `NearDuplicates`. Of
    images with the same pixels the first stands for all; duplicates that others connect have no pair. `contradictions`
    are pairs of paths of duplicates with different labels, each pair compared directly. `decisions` are those of
    `read_decisions`, `thumbnails` those of `Scan`, of the images of the table, and `shortcuts` the scores of
    `shortcuts.of_audit`, by split and name, with images of one patient kept together; {} where images were added.
    """

    name: str
    table: pd.DataFrame
    unreadable: tuple[tuple[str, str], ...]
    pairs: pd.DataFrame
    contradictions: tuple[tuple[str, str], ...]
    decisions: pd.DataFrame = field(default_factory=NO_DECISIONS.copy)
    thumbnails: np.ndarray | None = None
    shortcuts: dict[str, dict[str, Estimate]] = field(default_factory=dict)

    def groups(self, kind: str) -> list[list[str]]:
        """List the groups of two or more duplicates, as paths; `kind` is "byte", "pixel" or "near"."""
        grouped = self.table.groupby(_column(kind), sort=False)["path"]
        return sorted(sorted(paths) for _, paths in grouped if len(paths) > 1)

    def leaked_test_images(self, kind: str) -> pd.DataFrame:
        """Select the published test images with a duplicate among the published training images."""
        column = _column(kind)
        train = set(self.table.loc[self.table["part"] == "train", column])
        return self.table[(self.table["part"] == "test") & self.table[column].isin(train)]

    def added_duplicates(self) -> dict[str, str]:
        """Return, for each added image that has a duplicate among the others, the first of these."""
        groups = self.table.set_index("path")["near"]
        added = self.table["added"].to_numpy()
        first = {group: path for path, group in groups[~added][::-1].items()}
        return {path: first[group] for path, group in groups[added].items() if group in first}

    def split(self, seed: int = 0) -> pd.DataFrame:
        """Split the images into training, validation and test images, so that no duplicate or patient is in two parts.

        Seven, one and two tenths of the images, as near as the groups allow, with the classes in proportion; the parts
        that the set was published in are not kept. The frame has ``path``, ``label``, ``part`` and ``group``: its
        number, of near-duplicates and images of one patient. UsageError if a class has too few groups.
        """
        groups = joined_patients(self.table["near"].to_numpy(), self.table["patient"])
        drawn = Split(holdout=0.2, validation=0.1, stratified=True, by="group", seed=seed)
        parts = assign(self.table["label"], groups, drawn)
        return self.table[["path", "label"]].assign(part=parts, group=groups)

    def record(self) -> SetAudit:
        """Summarise the audit in plain numbers and file names."""
        flagged = self.table[self.table["quality_flag"] != ""]
        test, duplicates = self.table[self.table["part"] == "test"], {}
        in_two_parts = {"train", "test"} <= set(self.table["part"])
        for kind in KINDS:
            groups, leaked = self.groups(kind), None
            if in_two_parts:
                labels = self.leaked_test_images(kind)["label"]
                leaked = {label: int((labels == label).sum()) for label in sorted(set(test["label"]))}
            duplicates[kind] = Duplicates(len(groups), sum(map(len, groups)), leaked)
        return SetAudit(
            name=self.name,
            images=len(self.table),
            images_by_class=self.table["label"].value_counts().sort_index().to_dict(),
            test_images=len(test) if in_two_parts else None,
            unreadable=self.unreadable,
            flagged=tuple(zip(flagged["path"], flagged["quality_flag"], strict=True)),
            duplicates=duplicates,
            contradictions=self.contradictions,
            shortcuts=self.shortcuts,
        )

    def as_dict(self) -> dict:
        """Return the record as plain data, with the members of each group; `brainlib audit --json` writes it."""
        groups = {kind: self.groups(kind) for kind in KINDS}
        return asdict(self.record()) | {"groups": groups, "added_duplicates": self.added_duplicates()}


def _column(kind):
    if kind not in KINDS:
        raise ValueError(f"expected one of {', '.join(KINDS)}, received {kind!r}")
    return "near" if kind == "near" else f"{kind}_hash"


def audit_folder(
    target: str,
    data: str = "",
    store: Path | None = None,
    on_progress: OnProgress = progress.ignore,
    *,
    added: str = "",
    decisions: str | Path = "",
    run: Run | None = None,
) -> Audit:
    """Audit a registered set, or any folder of images; DataError or UsageError if there is nothing to audit.

    The target is the name of a registered set, which is looked for in the folder `data`; otherwise a folder, or a YAML
    file that describes one (see `brainlib.data.own`), of which patients may be known. The store, a folder, keeps the
    scan and the pairs of near-duplicates for the next call, also for one with more images, of a second target `added`:
    their paths begin with its name, and they alone are compared with all. `decisions` is a reviewer's file (see
    `decisions.read_decisions`), which the groups follow. `run` is that of `find_near_duplicates`.
    """
    scan = _scanned(target, data, store, progress.part(on_progress, 0, 0.2))
    if added:
        scan = _together(scan, _scanned(added, data, store, progress.part(on_progress, 0.2, 0.3)))
    if scan.table.empty and not scan.unreadable:
        raise DataError(
            f"{target}: expected images ({', '.join(sorted(images.SUFFIXES))}) in it or below, "
            "received none; give the folder that holds the folders of the classes"
        )
    decided = read_decisions(Path(decisions), scan.table["path"]) if decisions else NO_DECISIONS
    return audit_scan(scan, store, progress.part(on_progress, 0.3, 1), decided, run)


def _together(scan, more):
    """Join the images of two scans, the paths of the second one below its name."""
    added = more.table.assign(path=f"{more.name}/" + more.table["path"], added=True)
    table = pd.concat([scan.table.assign(added=False), added], ignore_index=True)
    for path in table["path"][table["path"].duplicated()]:
        raise DataError(f"{more.name}: expected another name, received that of a folder with {path}; rename the folder")
    unreadable = (*scan.unreadable, *((f"{more.name}/{path}", why) for path, why in more.unreadable))
    arrays = {name: np.concatenate([getattr(each, name) for each in (scan, more)]) for name in ("thumbnails", "hints")}
    return replace(scan, table=table, unreadable=unreadable, **arrays)


def _scanned(target, data, store, on_progress):
    """Scan what is to be audited, and add the patient of each image to the table."""
    if target in REGISTRY and not os.path.isdir(target):
        if not data:
            raise UsageError(
                f"{target}: expected a folder of data sets for it, received none; give --data DIR or "
                "set BRAINLIB_DATA, or give the folder of the set itself"
            )
        root = datasets.locate(target, Path(data), store, on_progress)
        scan = scan_folder(root, target, store, on_progress)
        patients = datasets.patients_of(root, scan.table["path"])
    else:
        own = own_set(target)
        scan = own.scan(store, on_progress)
        patients = own.patients_of(scan.table["path"].tolist())
    return replace(scan, table=scan.table.assign(patient=pd.Series(patients, dtype=object)))


def audit_scan(
    scan: Scan,
    store: Path | None = None,
    on_progress: OnProgress = progress.ignore,
    decisions: pd.DataFrame = NO_DECISIONS,
    run: Run | None = None,
) -> Audit:
    """Group duplicates, compare their labels and score shortcuts; the store keeps the pairs found.

    The table may have the columns ``patient`` and ``added`` of `Audit`. The groups follow `decisions`, see
    `read_decisions`; `run` is that of `find_near_duplicates`.
    """
    near = honoured(_near_duplicates(scan, store, on_progress, run), decisions, scan)
    paths = scan.table["path"].to_numpy()
    first, second = paths[near.pairs].reshape(-1, 2).T
    pairs = {"first": first, "second": second, **vars(near)}
    del pairs["pairs"]
    columns = {"patient": None, "added": False, **scan.table, "near": _group_ids(scan.table["pixel_hash"], near.pairs)}
    table = pd.DataFrame(columns)
    contradictions = tuple(_contradictions(table, scan.thumbnails, near.pairs))
    given = {"decisions": decisions, "thumbnails": scan.thumbnails}
    if not table["added"].any():  # else only what was added costs time
        given["shortcuts"] = shortcuts.of_audit(scan, joined_patients(table["near"].to_numpy(), table["patient"]))
    return Audit(scan.name, table, scan.unreadable, pd.DataFrame(pairs), contradictions, **given)


def near_groups(scan: Scan, store: Path | None = None) -> np.ndarray:
    """Assign scanned images to groups of near-duplicates as `audit_scan` does, and compare no labels."""
    return _group_ids(scan.table["pixel_hash"], _near_duplicates(scan, store, progress.ignore).pairs)


def facing_groups(scan: Scan, store: Path) -> np.ndarray:
    """Assign scanned images to groups as `near_groups` does, with mirror images in groups of their own."""
    near = _near_duplicates(scan, store, progress.ignore)
    own, names = pd.factorize(scan.table["pixel_hash"])
    # Each image is two nodes, one as it is and one mirrored, so that a mirror image of a mirror image is one as it is.
    first, second = 2 * own[near.pairs].reshape(-1, 2).T
    pairs = [np.stack([first + way, second + (near.mirrored ^ bool(way))], axis=1) for way in (0, 1)]
    return connected(2 * len(names), np.concatenate(pairs))[2 * own]


def duplicate_groups(
    dataset: datasets.DataSet, store: Path, rows: np.ndarray | None = None, on_progress: OnProgress = progress.ignore
) -> np.ndarray:
    """Assign the images of a data set to duplicate groups: int array (n,), as in `DataSet.duplicates`.

    The images at `rows`, by default all, are audited; the others are grouped by equal pixels. The store keeps the scan
    and the pairs of near-duplicates. DataError if an image cannot be read.
    """
    scan = dataset.scan(store, rows, progress.part(on_progress, 0, 0.3))
    near = _near_duplicates(scan, store, progress.part(on_progress, 0.3, 1))
    position = pd.Index(dataset.table["path"]).get_indexer(scan.table["path"])
    return _group_ids(dataset.table["pixel_hash"], position[near.pairs])


def _group_ids(pixel_hashes, pairs):
    """Assign images to the groups that equal pixels or pairs of positions connect, from 0 in order of appearance."""
    return joined(pixel_hashes, connected(len(pixel_hashes), pairs))


def _near_duplicates(scan, store, on_progress, run=None):
    """Pairs of near-duplicates of different pixels, by position; those without an added image for themselves."""
    rows = np.flatnonzero(~scan.table["pixel_hash"].duplicated())
    if "added" not in scan.table:
        return _searched(scan, rows, 0, store, on_progress, run)
    since = len(rows) - int(scan.table["added"].iloc[rows].sum())
    first = _searched(scan, rows[:since], 0, store, progress.part(on_progress, 0, 0.5), run)
    others = _searched(scan, rows, since, store, progress.part(on_progress, 0.5, 1), run)
    return NearDuplicates(**{name: np.concatenate([each, vars(others)[name]]) for name, each in vars(first).items()})


def _searched(scan, rows, since, store, on_progress, run):
    """Pairs among some images, of one from `since` on; from the store where it has them intact."""
    find = partial(near_duplicates.find_near_duplicates, scan.thumbnails[rows], on_progress, since, run)
    if not store:
        near = find()
    else:
        versions = [VERSION, near_duplicates.VERSION, str(near_duplicates.THRESHOLD), *([str(since)] if since else [])]
        key = hashlib.sha256("\n".join([*versions, *scan.table["byte_hash"].iloc[rows]]).encode()).hexdigest()
        target = Path(store) / "audit" / key[:32]
        if target.exists() and not is_whole(target):
            progress.log(f"stored near-duplicates {target.name} do not verify: the images are compared again")
        built_folder(target, lambda folder: np.savez(folder / "pairs.npz", **vars(find())))
        with np.load(target / "pairs.npz") as stored:
            near = NearDuplicates(**stored)
    return replace(near, pairs=rows[near.pairs])


def _contradictions(table, thumbnails, connecting):
    """Pairs of different labels within a group, each compared directly."""
    rows = table[["path", "label", "pixel_hash", "near"]].assign(row=np.arange(len(table)))
    both = rows.merge(rows, on="near")
    both = both[(both["row_x"] < both["row_y"]) & (both["label_x"] != both["label_y"])]
    pairs = both[["row_x", "row_y"]].to_numpy()
    duplicates = near_duplicates.compare(thumbnails, pairs).correlation >= near_duplicates.THRESHOLD
    # A reviewer may have confirmed others.
    hashes = table["pixel_hash"].to_numpy()
    known = set(map(frozenset, hashes[connecting]))
    duplicates |= np.array([len({*each}) == 1 or {*each} in known for each in hashes[pairs]], bool)
    return sorted(tuple(sorted(pair)) for pair in both.loc[duplicates, ["path_x", "path_y"]].itertuples(index=False))
