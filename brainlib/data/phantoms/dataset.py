"""Phantoms that replace a data set: files in its own folders, under its own class names."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from brainlib.data import lesions
from brainlib.data.phantoms.draw import ALTERATIONS, KINDS, Patient, alter
from brainlib.data.registry import DataSetInfo, Folder
from brainlib.errors import UsageError
from brainlib.io import built_folder

TRUTH = "truth.csv"
TRUTH_COLUMNS = ["path", "kind", "plane", "patient", "duplicate_of", "alteration"]
#: Part of the name under which phantoms are kept: raise it when they are drawn differently.
VERSION = "4"
SIZE = 240  # height and width in pixels
PLANTED = 0.45  # share of the images of a folder that are planted duplicates; in a published test part
LEAKED = 0.6  # this share has its originals among the training images
FAINT = 0.05  # share of the patients whose lesion is faint: these can be remembered, but hardly be recognised
EACH = 3  # planted duplicates of each image that has some, in a folder


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
    rows = []
    seed = zlib.crc32(info.name.encode())  # each set has patients of its own
    with threadpool_limits(1, "blas"):  # the products are too small to be worth a second thread
        for label, quotas in _quotas(info, number).items():
            rows += _of_class(label, quotas, root, seed)
    pd.DataFrame(rows, columns=TRUTH_COLUMNS).to_csv(root / TRUTH, index=False, lineterminator="\n")


def _of_class(label: str, quotas: list[tuple[Folder, int]], root: Path, seed: int) -> Iterator[tuple]:
    """Draw the phantoms of a class into its folders, and give the row of each in the table of the truth."""
    turns, originals, altered = itertools.count(), [], itertools.count()
    # The kind that the class is named after, or every tumour for "yes".
    kinds = [kind for kind in KINDS if kind != "none" and (label == "yes" or label.startswith(kind))] or ["none"]
    for folder, quota in quotas:
        paths = [f"{folder.path}/{folder.label}_{place}.png" for place in range(1, quota + 1)]
        # In a second folder, the published test part, they are duplicates of training images.
        planted = int(quota * (LEAKED if originals else PLANTED))
        own = []
        for path, turn in zip(paths[planted:], turns, strict=False):
            # The planes take turns over the blocks, so kinds must not do so in the same step.
            kind = kinds[(turn + turn // len(kinds)) % len(kinds)]
            # Steps of an irrational number: faint lesions come in every kind and plane.
            patient = Patient(seed, KINDS, turn, KINDS.index(kind), faint=(0.5 + 0.5698403 * turn) % 1 < FAINT)
            image, mask, _ = patient.slice(0, SIZE)
            own.append((path, patient, image, mask))
            yield _written(root, path, patient, image, mask)
        originals = originals or own[: max(1, -(-planted // EACH))]
        for n, path in enumerate(paths[:planted]):
            again, which = divmod(n, len(originals))
            source, patient, image, mask = originals[which]
            alteration = "exact"
            if (again + which) % 2:
                turn = next(altered)
                alteration = ALTERATIONS[turn % len(ALTERATIONS)]
                rng = np.random.default_rng([seed, 4, KINDS.index(kinds[0]), turn])
                image, mask = alter(alteration, image, mask, rng)
            yield _written(root, path, patient, image, mask, source, alteration)


def _written(root, path, patient, image, mask, source="", alteration=""):
    """Write a phantom and its mask, and return its row in the table of the truth."""
    lesions.write(root, path, image, mask)
    return path, patient.kind, patient.plane, patient.name, source, alteration


def _quotas(info: DataSetInfo, number: int) -> dict[str, list[tuple[Folder, int]]]:
    """Distribute phantoms over the folders of each class: classes equal, train before test and shared as published."""
    quotas = {}
    for place, label in enumerate(info.classes):
        share = number // len(info.classes) + (place < number % len(info.classes))
        first, *others = (folder for folder in info.folders if folder.label == label)
        parts = []
        for folder in others:
            part = folder.count / (first.count + sum(other.count for other in others))
            parts.append((folder, min(max(round(share * part), 1), share - 1)))
        quotas[label] = [(first, share - sum(quota for _, quota in parts)), *parts]
    return quotas
