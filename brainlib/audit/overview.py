"""The audits of several sets and the overlap between them.

A model that is trained on one set and tested on another is externally validated only by images that the two
do not share, so duplicates are sought across sets as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from brainlib import progress
from brainlib.audit import findings, planted
from brainlib.audit.findings import Audit, SetAudit
from brainlib.audit.planted import PhantomPairs, Planted
from brainlib.data import datasets
from brainlib.data.own import OWN, is_own, own_set
from brainlib.data.phantoms.dataset import phantom_root
from brainlib.data.registry import REGISTRY, info_of
from brainlib.data.scan import Scan, scan_folder
from brainlib.errors import DataError
from brainlib.progress import OnProgress


@dataclass(frozen=True)
class DataAudit:
    """The audits of several sets as plain numbers and file names; part of ``results.json``.

    `phantoms` tells whether phantoms took the place of the published images, `overlaps`, by set, how many of its images
    have a duplicate in each other set. `planted` are the duplicates that phantoms are drawn with and those that were
    planted if that was asked for; `phantom_pairs` is empty unless it was.
    """

    phantoms: bool
    sets: dict[str, SetAudit]
    overlaps: dict[str, dict[str, int]]
    planted: tuple[Planted, ...]
    phantom_pairs: PhantomPairs | None


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

    Parameters
    ----------
    source : str
        A folder with one folder for each set, "kaggle", "phantoms", or own images, which are then the only set.
    store : Path
        Folder that keeps scans and pairs of near-duplicates for the next call.
    sets : sequence of str
        Names of registered sets; by default those that the folder holds, all of them as phantoms, and none
        of Kaggle, from where nothing is downloaded unasked.
    phantoms : int
        How many to draw in place of each set; 0 for as many as were published.
    plant, seed : bool, int
        Whether to plant duplicates, drawn with the seed, and measure the recall of the audit.
    """
    own = own_set(source) if is_own(source) else None
    roots = {OWN: Path(own.root)} if own else _roots(source, store, sets, phantoms)
    steps, scans, audits, recall, pairs = len(roots) + 1, {}, {}, (), None
    for number, (name, root) in enumerate(roots.items()):
        ours = progress.part(on_progress, number / steps, (number + 1) / steps, f"{name}: ")
        scans[name] = scan_folder(root, name, store, progress.part(ours, 0, 0.2), own and own.classes)
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
    # Phantoms of all sets are of the same patients: their overlap says nothing.
    overlaps = {name: {} for name in scans} if source == "phantoms" else _overlaps(scans, store)
    records = {name: audit.record() for name, audit in audits.items()}
    return Overview(DataAudit(source == "phantoms", records, overlaps, recall, pairs), audits, roots)


def _roots(source, store, sets, phantoms):
    """Folder of each set that is audited."""
    published = [name for name, info in REGISTRY.items() if info.handle]
    if source == "phantoms":
        infos = {name: info_of(name) for name in sets or published}
        return {name: phantom_root(info, phantoms or info.total, Path(store)) for name, info in infos.items()}
    if source == "kaggle":
        return {name: datasets.download(name) for name in sets}
    if sets:
        return {name: datasets.locate(name, Path(source)) for name in sets}
    present = {}
    for name in published:
        with suppress(DataError):
            present[name] = datasets.locate(name, Path(source))
    return present


def _overlaps(scans, store):
    """Count the images of each set that have a duplicate in each other set."""
    if len(scans) < 2:
        return {name: {} for name in scans}
    tables = [scan.table.assign(set=name, path=name + "/" + scan.table["path"]) for name, scan in scans.items()]
    thumbnails = np.concatenate([scan.thumbnails for scan in scans.values()])
    table = pd.concat(tables, ignore_index=True)
    near = findings.near_groups(Scan("all sets", table, (), thumbnails), store)
    groups = {name: pd.Series(near[table["set"] == name]) for name in scans}
    return {
        name: {other: int(own.isin(groups[other]).sum()) for other in scans if other != name}
        for name, own in groups.items()
    }
