"""A reviewer's decisions on pairs of images: a confirmed pair is in one group, a rejected one never is.

Other images may connect two that were rejected. The images of such a group are all compared with one another and
joined anew, the pair that correlates best first, but for pairs that would bring rejected ones together: single linkage
under must-link and cannot-link constraints (Davidson and Ravi, PKDD 2005).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import DisjointSet

from brainlib.audit.near_duplicates import THRESHOLD, NearDuplicates, compare
from brainlib.data.groups import connected
from brainlib.data.own import read_texts
from brainlib.data.scan import Scan
from brainlib.errors import DataError, shorten

CONFIRMED, REJECTED = "confirmed", "rejected"
COLUMNS = ("first", "second", "decision")
NO_DECISIONS = pd.DataFrame(columns=COLUMNS, dtype=object)


def read_decisions(file: Path, paths: Iterable[str]) -> pd.DataFrame:
    """Read a CSV with the columns first and second, each one of `paths`, and decision, "confirmed" or "rejected".

    DataError for anything else.
    """
    table, known = read_texts(file, COLUMNS, once=COLUMNS[:2]), set(paths)
    for row in table.itertuples():
        for expected, value, holds in (
            ("paths of images that were audited", row.first, row.first in known),
            ("paths of images that were audited", row.second, row.second in known),
            (f"a decision of {CONFIRMED} or {REJECTED}", row.decision, row.decision in (CONFIRMED, REJECTED)),
        ):
            if not holds:
                raise DataError(f"{file}: expected {expected}; received {shorten(value)} in row {row.Index + 1}")
    return table


def honoured(near: NearDuplicates, decisions: pd.DataFrame, scan: Scan) -> NearDuplicates:
    """Change the pairs found among scanned images so that the groups they connect follow the decisions.

    Of pairs within a group those are left that connect it, the ones that correlate best.
    DataError if the decisions contradict one another, or a rejected pair has the same pixels.
    """
    names, n = scan.table["path"].to_numpy(), len(scan.table)
    confirmed, rejected = _rows(decisions, scan.table)
    if len(same := rejected[rejected[:, 0] == rejected[:, 1]]):
        raise DataError(
            f"{names[same[0, 0]]}: expected rejected pairs of different pixels, received two with its pixels"
        )
    # Groups that hold a rejected pair are compared again, for the search left out images that others connected.
    found = connected(n, np.concatenate([near.pairs, confirmed]))
    together = rejected[found[rejected[:, 0]] == found[rejected[:, 1]]]
    again = np.isin(found[near.pairs[:, 0]], found[together])
    rows = np.unique(np.concatenate([near.pairs[again], together]))
    within = [pair for group in np.unique(found[rows]) for pair in combinations(rows[found[rows] == group], 2)]
    compared = compare(scan.thumbnails, np.concatenate([confirmed, np.array(within, np.intp).reshape(-1, 2)]))
    used = (np.arange(len(compared.pairs)) < len(confirmed)) | (compared.correlation >= THRESHOLD)
    both = {name: np.concatenate([each[used], vars(near)[name][~again]]) for name, each in vars(compared).items()}
    # The confirmed pairs come first, then the best, as in Kruskal's algorithm, so far as no rejected pair is joined.
    certain = np.arange(len(both["pairs"])) < len(confirmed)
    groups, apart, kept = DisjointSet(both["pairs"].ravel().tolist()), defaultdict(set), []
    for one, other in rejected.tolist():
        apart[one].add(other)
        apart[other].add(one)
    for row in np.lexsort([-both["correlation"], ~certain]):
        pair = both["pairs"][row].tolist()
        one, other = (groups[each] for each in pair)
        if other in apart[one]:
            if certain[row]:
                first, second = names[pair]
                received = f"received it confirmed with {second}, which joins two images that are rejected"
                raise DataError(f"{first}: expected decisions that agree, {received}")
        elif groups.merge(one, other):
            root = groups[one]
            for each in apart.pop(other if root == one else one, ()):
                apart[each].add(root)
                apart[root].add(each)
            kept.append(row)
    return NearDuplicates(**{name: each[kept] for name, each in both.items()})


def _rows(decisions, table):
    """Return confirmed pairs of different pixels, and rejected ones: of equal pixels the first row stands for all."""
    own, position = pd.factorize(table["pixel_hash"])[0], pd.Index(table["path"])
    rows = np.stack([position.get_indexer(decisions[column]) for column in COLUMNS[:2]], axis=1)
    rows = np.sort(np.unique(own, return_index=True)[1][own[rows]], axis=1)
    confirmed = (decisions["decision"] == CONFIRMED).to_numpy()
    return rows[confirmed & (rows[:, 0] != rows[:, 1])], rows[~confirmed]
