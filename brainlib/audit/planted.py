"""Controls of the audit: recall of duplicates that were planted, and false pairs among phantoms.

Among the images of a set, altered duplicates of some of them are planted. Of phantoms it is known which are
duplicates of one image and which are not.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from brainlib.audit import near_duplicates
from brainlib.data import images
from brainlib.data.groups import connected
from brainlib.data.phantoms.draw import ALTERATIONS, alter, make_phantoms
from brainlib.data.scan import Scan
from brainlib.data.thumbnails import thumbnail

EACH = 10  # duplicates of each alteration, where there are as many images
_SIZE = 240  # pixels at which an image is altered
_PHANTOMS = 240  # a quarter of them altered duplicates
PHANTOMS = "phantoms with known duplicates"


@dataclass(frozen=True)
class Planted:
    """Recall of planted duplicates of one kind.

    Attributes
    ----------
    among : str
        The set, or "phantoms with known duplicates".
    alteration : str
        Of `brainlib.data.phantoms.draw.ALTERATIONS`.
    planted, recovered : int
        Duplicates, and those that the audit assigned to the group of their original.
    """

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
    """Plant altered duplicates of images among those of a set, and count the recovered ones.

    Parameters
    ----------
    scan : Scan
        The set. Where it is published in two parts, the originals are training images.
    root : Path
        The folder that its paths start from.
    seed : int
        Of the choice and the alterations.

    Returns
    -------
    tuple of Planted
        One a kind of alteration.
    """
    rng = np.random.default_rng([seed, 7])
    table = scan.table
    distinct = np.flatnonzero(~table["pixel_hash"].duplicated())
    sources = distinct[(table["part"].to_numpy() != "test")[distinct]]
    each = min(EACH, len(sources))
    thumbnails, origin, kinds = [], [], []
    for kind in ALTERATIONS:
        for row in rng.permutation(sources)[:each]:
            grey = images.decode(Path(root) / table["path"].iat[row]).convert("L")
            square = np.asarray(grey.resize((_SIZE, _SIZE), Image.Resampling.BILINEAR))
            altered, _ = alter(kind, square, np.zeros(square.shape, bool), rng)
            thumbnails.append(thumbnail(Image.fromarray(altered)))
            origin.append(int(np.flatnonzero(distinct == row)[0]))
            kinds.append(kind)
    group = _groups(np.concatenate([scan.thumbnails[distinct], np.stack(thumbnails)]))
    recovered = group[len(distinct) :] == group[origin]
    return _recall(scan.name, np.array(kinds), recovered)


def control_on_phantoms(seed: int = 0) -> tuple[tuple[Planted, ...], PhantomPairs]:
    """Audit phantoms of which three are slices of one patient and a quarter are altered duplicates.

    Parameters
    ----------
    seed : int
        Of the phantoms.
    """
    made = make_phantoms(_PHANTOMS, altered_duplicates=_PHANTOMS // 4, seed=seed)
    group = _groups(np.stack([thumbnail(Image.fromarray(each)) for each in made.images]))
    table = made.table
    altered = table[table["alteration"] != ""]
    recovered = group[altered.index] == group[altered["duplicate_of"]]
    original = np.where(table["duplicate_of"] < 0, table.index, table["duplicate_of"])
    first, second = np.triu_indices(_PHANTOMS, 1)
    together = group[first] == group[second]
    first, second = first[together], second[together]
    wrong = original[first] != original[second]
    patient = table["patient"].to_numpy()
    pairs = PhantomPairs(len(first), int(wrong.sum()), int((wrong & (patient[first] == patient[second])).sum()))
    return _recall(PHANTOMS, altered["alteration"].to_numpy(), recovered), pairs


def _groups(thumbnails):
    """Group of near-duplicates of each image."""
    return connected(len(thumbnails), near_duplicates.find_near_duplicates(thumbnails).pairs)


def _recall(among, kinds, recovered):
    return tuple(
        Planted(among, kind, int((kinds == kind).sum()), int(recovered[kinds == kind].sum())) for kind in ALTERATIONS
    )
