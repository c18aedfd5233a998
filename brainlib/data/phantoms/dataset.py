"""Phantoms that replace a data set: files in its own folders, under its own class names."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
from PIL import Image

from brainlib.data.phantoms.draw import KINDS, make_phantoms
from brainlib.data.registry import DataSetInfo, Folder
from brainlib.errors import UsageError
from brainlib.io import built_folder

TRUTH = "truth.csv"
TRUTH_COLUMNS = ["path", "kind", "plane", "patient", "duplicate_of", "alteration"]
#: Part of the name under which phantoms are kept: raise it when they are drawn differently.
VERSION = "2"


def phantom_root(info: DataSetInfo, number: int | None, store: Path) -> Path:
    """Return the folder of phantoms that replace a set, written now unless it is whole (see `load_dataset`)."""
    least = len(info.classes) * (2 if len(info.folders) > len(info.classes) else 1)
    if number is None or number < least:
        raise UsageError(
            f"{info.name}: expected at least {least} phantoms, one for each of its folders, "
            f"received {number}; ask for more"
        )
    target = store / "phantoms" / f"{info.name}-{number}-{VERSION}"
    return built_folder(target, lambda folder: _write_phantoms(info, number, folder))


def _write_phantoms(info: DataSetInfo, number: int, root: Path) -> None:
    per_class = -(-number // len(info.classes))
    slices = 3 if per_class >= 6 else 1
    # Kinds are drawn in one call, which balances their levels. Each has enough originals for a whole class, and for
    # the slices that a folder leaves of its last patient.
    originals = len(KINDS) * (per_class + 2 * slices)
    duplicates = originals // 20
    drawn = make_phantoms(
        originals + 2 * duplicates,
        slices_per_patient=slices,
        exact_duplicates=duplicates,
        altered_duplicates=duplicates,
    )
    patients = {
        kind: [list(rows.index) for _, rows in table.groupby("patient", sort=False)]
        for kind, table in drawn.table.groupby("kind")
    }
    names: dict[int, str] = {}
    turns = {label: itertools.count() for label in info.classes}
    for folder, quota in _quotas(info, number):
        kinds, chosen = _kinds(folder.label), []
        while len(chosen) < quota:
            turn = next(turns[folder.label])
            # The planes take turns over the blocks, so kinds must not do so in the same step.
            chosen += patients[kinds[(turn + turn // len(kinds)) % len(kinds)]][turn]
        for place, row in enumerate(chosen[:quota], start=1):
            names[row] = f"{folder.path}/{folder.label}_{place}.png"
    truth = drawn.table.loc[list(names)].assign(path=list(names.values()))
    truth["duplicate_of"] = [names.get(row, "") for row in truth["duplicate_of"]]
    for row, path in names.items():
        mask = drawn.masks[row].astype(np.uint8) * 255
        for pixels, file in ((drawn.images[row], root / path), (mask, root / "masks" / path)):
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(file)
    truth[TRUTH_COLUMNS].to_csv(root / TRUTH, index=False, lineterminator="\n")


def _quotas(info: DataSetInfo, number: int) -> list[tuple[Folder, int]]:
    """Distribute phantoms over the folders: classes equal, train and test as published."""
    quotas = []
    for place, label in enumerate(info.classes):
        share = number // len(info.classes) + (place < number % len(info.classes))
        folders = [folder for folder in info.folders if folder.label == label]
        for folder in folders[1:]:
            part = folder.count / sum(other.count for other in folders)
            quotas.append((folder, min(max(round(share * part), 1), share - 1)))
            share -= quotas[-1][1]
        quotas.append((folders[0], share))
    return quotas


def _kinds(label: str) -> list[str]:
    """Return the kinds of phantom of a class: that of its name, or every tumour for "yes"."""
    tumours = [kind for kind in KINDS if kind != "none"]
    return tumours if label == "yes" else [kind for kind in tumours if label.startswith(kind)] or ["none"]
