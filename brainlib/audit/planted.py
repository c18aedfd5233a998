"""Controls of the audit: recall of duplicates that were planted, and false pairs among phantoms.

Among the images of a set, altered duplicates of some of them are planted. Of phantoms it is known which are
duplicates of one image and which are not.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from brainlib.audit import near_duplicates
from brainlib.audit.findings import Audit
from brainlib.data import images
from brainlib.data.groups import connected
from brainlib.data.phantoms.dataset import TRUTH
from brainlib.data.phantoms.draw import ALTERATIONS, POSES, alter, make_phantoms
from brainlib.data.scan import Scan
from brainlib.data.thumbnails import thumbnail

PLANTED = (*ALTERATIONS, *POSES)
EACH = 10  # duplicates of each alteration, where there are as many images
_SIZE = 240  # pixels at which an image is altered
_PHANTOMS = 240  # a quarter of them altered duplicates
PHANTOMS = "phantoms with known duplicates"


@dataclass(frozen=True)
class Planted:
    """Duplicates of one alteration that were planted among images, and those grouped with their original."""

    among: str
    alteration: str
    planted: int
    recovered: int


@dataclass(frozen=True)
class PhantomPairs:
    """Pairs of phantoms in one group; the wrong ones, not duplicates of one image; of these, neighbouring slices."""

    grouped: int
    wrong: int
    neighbours: int


def plant(scan: Scan, root: Path, seed: int = 0) -> tuple[Planted, ...]:
    """Plant altered duplicates of images among those of a set, and count the recovered ones of each alteration.

    The paths of the scan start from `root`, and the seed draws images and alterations. Where the set is published in
    two parts, the originals are training images.
    """
    rng = np.random.default_rng([seed, 7])
    rows = np.flatnonzero(~scan.table["pixel_hash"].duplicated())
    distinct = scan.table.iloc[rows]
    sources = np.flatnonzero(distinct["part"] != "test")
    thumbnails, origin, kinds = [], [], []
    for kind in PLANTED:
        for position in rng.permutation(sources)[:EACH]:
            grey = images.decode(Path(root) / distinct["path"].iat[position]).convert("L")
            square = np.asarray(grey.resize((_SIZE, _SIZE), Image.Resampling.BILINEAR))
            altered, _ = alter(kind, square, np.zeros(square.shape, bool), rng)
            thumbnails.append(thumbnail(Image.fromarray(altered)))
            origin.append(position)
            kinds.append(kind)
    group = _groups(np.concatenate([scan.thumbnails[rows], np.stack(thumbnails)]))
    return _recall(scan.name, np.array(kinds), group[len(rows) :] == group[origin])


def in_phantoms(audit: Audit, root: Path) -> tuple[Planted, ...]:
    """Count the duplicates that a set of phantoms was drawn with, and those that an audit finds."""
    truth = pd.read_csv(Path(root) / TRUTH, keep_default_na=False).query("duplicate_of != ''")
    group = audit.table.set_index("path")["near"]
    recovered = group[truth["path"]].to_numpy() == group[truth["duplicate_of"]].to_numpy()
    return _recall(f"{audit.name}, as drawn", truth["alteration"].to_numpy(), recovered, ("exact", *ALTERATIONS))


def control_on_phantoms(seed: int = 0) -> tuple[tuple[Planted, ...], PhantomPairs]:
    """Audit phantoms, three of each patient, and a third as many altered duplicates."""
    few, rng = _PHANTOMS // 4, np.random.default_rng([seed, 7])
    made = make_phantoms(_PHANTOMS - few, seed=seed)
    originals = rng.permutation(len(made.images))[:few]
    kinds = np.array(PLANTED)[np.arange(few) % len(PLANTED)]
    altered = [
        alter(kind, made.images[row], made.masks[row], rng)[0] for kind, row in zip(kinds, originals, strict=True)
    ]
    group = _groups(np.stack([thumbnail(Image.fromarray(each)) for each in [*made.images, *altered]]))
    origin = np.concatenate([np.arange(_PHANTOMS - few), originals])
    patient = made.table["patient"].to_numpy()[origin]
    first, second = np.nonzero(np.triu(group[:, None] == group, 1))
    wrong = origin[first] != origin[second]
    neighbours = wrong & (patient[first] == patient[second])
    pairs = PhantomPairs(len(first), int(wrong.sum()), int(neighbours.sum()))
    return _recall(PHANTOMS, kinds, group[-few:] == group[originals]), pairs


def _groups(thumbnails):
    """Group of near-duplicates of each image."""
    return connected(len(thumbnails), near_duplicates.find_near_duplicates(thumbnails).pairs)


def _recall(among, kinds, recovered, counted=PLANTED):
    found = ((kind, recovered[kinds == kind]) for kind in counted)
    return tuple(Planted(among, kind, len(each), int(each.sum())) for kind, each in found)
