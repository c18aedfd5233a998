"""Controls of the audit: copies that were planted on purpose, and how many of them it finds.

Among the pictures of a set, altered copies of some of them; among phantoms, whatever the drawing knows to
be a copy and to be none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from brainlib.audit import near_duplicates
from brainlib.data import images
from brainlib.data.groups import connected
from brainlib.data.phantoms.draw import ALTERATIONS, alter, make_phantoms
from brainlib.data.scan import Scan
from brainlib.data.thumbnails import thumbnail
from brainlib.report.table import Table, with_limits
from brainlib.stats import intervals

EACH = 10  # copies of each alteration, if there are as many pictures: a choice
_SIZE = 240  # pixels at which a picture is altered
_PHANTOMS = 240  # a quarter of them altered copies
PHANTOMS = "phantoms with known copies"


@dataclass(frozen=True)
class Planted:
    """How many planted copies of one kind were found.

    Attributes
    ----------
    among : str
        The set, or "phantoms with known copies".
    alteration : str
        Of `phantoms.ALTERATIONS`.
    planted, found : int
        Copies, and those that are in one group with their original.
    """

    among: str
    alteration: str
    planted: int
    found: int


def plant(looked: Scan, root: Path, seed: int = 0) -> tuple[Planted, ...]:
    """Plant altered copies of training images among the pictures of a set, and look for them.

    Parameters
    ----------
    looked : Scan
        The set. Where it is published in two parts, the originals are training images.
    root : Path
        What its paths start from.
    seed : int
        Of the choice and the alterations.
    """
    rng = np.random.default_rng([seed, 7])
    table = looked.table
    different = np.flatnonzero(~table["pixel_hash"].duplicated())
    sources = different[(table["part"].to_numpy() != "test")[different]]
    each = min(EACH, len(sources))
    small, origin, kinds = [], [], []
    for kind in ALTERATIONS:
        for row in rng.permutation(sources)[:each]:
            grey = images.decode(Path(root) / table["path"].iat[row]).convert("L")
            square = np.asarray(grey.resize((_SIZE, _SIZE), Image.Resampling.BILINEAR))
            altered, _ = alter(kind, square, np.zeros(square.shape, bool), rng)
            small.append(thumbnail(Image.fromarray(altered)))
            origin.append(int(np.flatnonzero(different == row)[0]))
            kinds.append(kind)
    every = np.concatenate([looked.thumbnails[different], np.stack(small)])
    pairs = near_duplicates.find_near_duplicates(every).pairs
    group = connected(len(every), pairs)
    found = group[len(different) :] == group[origin]
    return tuple(Planted(looked.name, kind, each, int(found[np.array(kinds) == kind].sum())) for kind in ALTERATIONS)


@dataclass(frozen=True)
class Truth:
    """The audit of phantoms whose copies are known.

    Attributes
    ----------
    planted : tuple of Planted
    grouped, wrong : int
        Pairs of phantoms in one group of copies, and those of them that are no copies of one picture.
    neighbours : int
        Of the wrong ones, neighbouring slices of one patient.
    """

    planted: tuple[Planted, ...]
    grouped: int
    wrong: int
    neighbours: int


def truth(seed: int = 0) -> Truth:
    """Draw phantoms, three slices a patient and a quarter of them altered copies, and audit them."""
    made = make_phantoms(_PHANTOMS, altered_copies=_PHANTOMS // 4, seed=seed)
    small = np.stack([thumbnail(Image.fromarray(picture)) for picture in made.images])
    pairs = near_duplicates.find_near_duplicates(small).pairs
    group = connected(_PHANTOMS, pairs)
    table = made.table
    copies = table[table["alteration"] != ""]
    hit = group[copies.index] == group[copies["copy_of"]]
    planted = tuple(
        Planted(
            PHANTOMS,
            kind,
            int((copies["alteration"] == kind).sum()),
            int(hit[(copies["alteration"] == kind).to_numpy()].sum()),
        )
        for kind in ALTERATIONS
    )
    original = np.where(table["copy_of"] < 0, table.index, table["copy_of"])
    first, second = np.triu_indices(_PHANTOMS, 1)
    together = group[first] == group[second]
    first, second = first[together], second[together]
    wrong = original[first] != original[second]
    patient = table["patient"].to_numpy()
    return Truth(planted, len(first), int(wrong.sum()), int((wrong & (patient[first] == patient[second])).sum()))


def planted_table(found: Sequence[Planted], known: Truth) -> Table:
    """Planted copies that were found, of each set and alteration."""
    rows = []
    for among in dict.fromkeys(each.among for each in found):
        own = {each.alteration: each for each in found if each.among == among}
        planted, hits = (sum(getattr(each, n) for each in own.values()) for n in ("planted", "found"))
        interval = intervals.wilson_interval(hits, planted)
        rows.append(
            {
                "planted among": among,
                **{kind: f"{each.found} of {each.planted}" for kind, each in own.items()},
                "found (95 %)": with_limits(hits / planted, interval.low, interval.high, 1),
            }
        )
    caption = (
        "Altered copies planted among the pictures, by kind of alteration, and how many the audit puts into "
        f"the group of their original. Of {known.grouped} pairs of phantoms in one group, {known.wrong} are "
        f"no copies of one picture; {known.neighbours} of these are neighbouring slices of one patient."
    )
    return Table(pd.DataFrame(rows), caption)
