"""The audits of several sets and the overlap between them.

A model that is trained on one set and tested on another is externally validated only by images that the two
do not share, so duplicates are sought across sets as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from brainlib import progress
from brainlib.audit import findings, planted
from brainlib.audit.findings import Audit, SetAudit, facing_groups, near_groups
from brainlib.audit.planted import PhantomPairs, Planted
from brainlib.data import datasets
from brainlib.data.own import is_own, own_set
from brainlib.data.phantoms.dataset import phantom_root
from brainlib.data.registry import REGISTRY, info_of
from brainlib.data.scan import Scan, scan_folder
from brainlib.errors import DataError
from brainlib.progress import OnProgress


@dataclass(frozen=True)
class DataAudit:
    """The audits of several sets as plain numbers and file names; part of ``results.json``.

    `phantoms` tells whether phantoms took the place of the published images, `overlaps`, by set, how many of its images
    have a duplicate in each other set, and `mirrored` how many of these have mirror images alone there. `planted` are
    the duplicates that phantoms are drawn with and those that were planted if that was asked for; `phantom_pairs` is
    empty unless it was.
    """

    phantoms: bool
    sets: dict[str, SetAudit]
    overlaps: dict[str, dict[str, int]]
    planted: tuple[Planted, ...]
    phantom_pairs: PhantomPairs | None
    mirrored: dict[str, dict[str, int]] = field(default_factory=dict)

    def share(self, name: str, other: str) -> tuple[float, float]:
        """Share of a set's images that have a duplicate in another set, and of these, that have mirror images alone."""
        images, found = self.sets[name].images, self.overlaps[name][other]
        turned = self.mirrored.get(name, {}).get(other, 0)
        return found / images if images else 0.0, turned / found if found else 0.0


@dataclass(frozen=True, eq=False)
class Overview:
    """The audits of several sets: their record, and by set the whole audit and the folder that its paths start from."""

    record: DataAudit
    audits: dict[str, Audit]
    roots: dict[str, Path]


def audit_sets(
    source: str,
    store: Path,
    sets: Sequence[str] = (),
    phantoms: int = 0,
    plant: bool = False,
    seed: int = 0,
    on_progress: OnProgress = progress.ignore,
) -> Overview:
    """Audit sets, each as a whole, and compare them; DataError if a named one is missing or not as published.

    `source` is a folder with one folder for each set, "kaggle", "phantoms" (so many in place of each set; 0 for as many
    as were published), or own images, which are then the only set. By default the sets are those that the folder
    holds, all of them as phantoms, and none of Kaggle, from where nothing is downloaded unasked. The store keeps scans
    and pairs of near-duplicates for the next call. `plant` measures the recall of planted duplicates, drawn with the
    seed.
    """
    own = own_set(source) if is_own(source) else None
    roots = {own.name: Path(own.root)} if own else _roots(source, store, sets, phantoms)
    steps, scans, audits, recall, pairs = len(roots) + 1, {}, {}, (), None
    for number, (name, root) in enumerate(roots.items()):
        ours = progress.part(on_progress, number / steps, (number + 1) / steps, f"{name}: ")
        first = progress.part(ours, 0, 0.2)
        scans[name] = own.scan(store, first) if own else scan_folder(root, name, store, first)
        audits[name] = findings.audit_scan(scans[name], store=store, on_progress=progress.part(ours, 0.2, 0.8))
        if source == "phantoms":
            recall += planted.in_phantoms(audits[name], root)
        if plant:
            ours(0.8, "recovering planted duplicates")
            recall += planted.plant(scans[name], root, seed)
    if plant:
        known, pairs = planted.control_on_phantoms(seed)
        recall += known
    on_progress(len(roots) / steps, "comparing the sets with one another")
    # No two sets of phantoms share a patient.
    overlaps, mirrored = _overlaps({} if source == "phantoms" else scans, store)
    records = {name: audit.record() for name, audit in audits.items()}
    record = DataAudit(source == "phantoms", records, overlaps, recall, pairs, mirrored)
    return Overview(record, audits, roots)


def _roots(source, store, sets, phantoms):
    """Folder of each set that is audited."""
    if source == "phantoms":
        infos = {name: info_of(name) for name in sets or REGISTRY}
        return {name: phantom_root(info, phantoms or info.total, Path(store)) for name, info in infos.items()}
    if source == "kaggle":
        return {name: datasets.download(name, store) for name in sets}
    if sets:
        return {name: datasets.locate(name, Path(source), store) for name in sets}
    present = {}
    for name in REGISTRY:
        with suppress(DataError):
            present[name] = datasets.locate(name, Path(source), store)
    return present


def _overlaps(scans, store):
    """Count the images of each set that have a duplicate in each other set, and those that have it mirrored alone."""
    if len(scans) < 2:
        return {name: {} for name in scans}, {name: {} for name in scans}
    tables = [scan.table.assign(set=name, path=name + "/" + scan.table["path"]) for name, scan in scans.items()]
    thumbnails = np.concatenate([scan.thumbnails for scan in scans.values()])
    table = pd.concat(tables, ignore_index=True)
    every = Scan("all sets", table, (), thumbnails)
    found, facing = (shared_images(groups(every, store), table["set"]) for groups in (near_groups, facing_groups))
    return found, {own: {other: n - facing[own][other] for other, n in each.items()} for own, each in found.items()}


def shared_images(groups: np.ndarray, sets: pd.Series) -> dict[str, dict[str, int]]:
    """Count the images of each set whose group has an image of each other set."""
    of = {name: pd.Series(groups[sets == name]) for name in sets.unique()}
    return {own: {other: int(of[own].isin(of[other]).sum()) for other in of if other != own} for own in of}
