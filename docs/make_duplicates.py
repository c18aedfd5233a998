"""Write docs/duplicates/*.csv: which files of the public sets are duplicates of one another, by SHA-256.

Run ``python docs/make_duplicates.py DIR [DIR ...]`` after the audit's search was changed. The folders hold one folder
for each set, with the bytes that were published. A test compares one list with what the audit finds.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd

from brainlib.audit.findings import near_groups
from brainlib.data import datasets
from brainlib.data.registry import REGISTRY
from brainlib.data.scan import Scan, scan_folder
from brainlib.errors import DataError

LISTS = Path(__file__).parent / "duplicates"
#: Sets of which the published bytes are at hand: of the others, files on another disk have another SHA-256.
SETS = ("br35h", "navoneel", "nickparvar", "sartaj")
ALL = "all"
_START, _END = "<!-- table: duplicates -->\n", "<!-- end -->"


def listed(scan: Scan) -> pd.DataFrame:
    """Files that have a duplicate of other bytes: ``sha256`` and the number of the ``group``.

    Files of the same bytes are listed once. Groups are numbered in the order of their lowest hash, so that names of
    files do not matter.
    """
    table = pd.DataFrame({"sha256": scan.table["byte_hash"], "near": near_groups(scan)}).drop_duplicates()
    of = table.groupby("near")["sha256"]
    table = table.assign(lowest=of.transform("min"))[of.transform("size") > 1].sort_values(["lowest", "sha256"])
    return table.assign(group=pd.factorize(table["lowest"])[0] + 1)[["sha256", "group"]]


def together(scans: Mapping[str, Scan]) -> Scan:
    """Join the scans of several sets."""
    table = pd.concat([scan.table for scan in scans.values()], ignore_index=True)
    return Scan(ALL, table, (), np.concatenate([scan.thumbnails for scan in scans.values()]))


def scan_of(name: str, folders: list[Path]) -> Scan:
    """Scan a set in the first of some folders that holds it; DataError if there is none."""
    for folder in folders:
        with suppress(DataError):
            return scan_folder(datasets.locate(name, folder), name)
    raise DataError(f"{name}: expected it in one of {', '.join(map(str, folders))}, received none")


def row(name: str, scan: Scan, found: pd.DataFrame) -> str:
    """Describe a list in a line of the table of docs/duplicates/README.md."""
    published = REGISTRY[name].title if name in REGISTRY else "the sets above, together"
    files, kinds = len(scan.table), scan.table["byte_hash"].nunique()
    return (
        f"| [`{name}.csv`]({name}.csv) | {published} | {files} | {kinds} | {found['group'].nunique()} | {len(found)} |"
    )


def main(folders: list[Path]) -> None:
    """Write the lists and the table."""
    scans = {name: scan_of(name, folders) for name in SETS}
    rows = [
        "| list | set | files | different files | groups of different files | files in them |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, scan in {**scans, ALL: together(scans)}.items():
        found = listed(scan)
        found.to_csv(LISTS / f"{name}.csv", index=False)
        rows.append(row(name, scan, found))
        print(rows[-1], flush=True)
    page = LISTS / "README.md"
    before, _, rest = page.read_text(encoding="utf-8").partition(_START)
    page.write_text(before + _START + "\n".join(rows) + "\n" + _END + rest.partition(_END)[2], encoding="utf-8")


if __name__ == "__main__":
    main([Path(folder) for folder in sys.argv[1:]])
