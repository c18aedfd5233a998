"""Groups of images: connected by pairs, or joined from two kinds of groups."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


def connected(n: int, pairs: np.ndarray) -> np.ndarray:
    """Assign `n` images to the groups that pairs, (m, 2), connect: int array (n,)."""
    graph = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), (n, n))
    return connected_components(graph, directed=False)[1]


def joined(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Join two kinds of groups of the same images, int (n,): images that share either are in one group.

    The result, int (n,), is numbered from 0 in the order of appearance.
    """
    first, second = (pd.factorize(np.asarray(each))[0] for each in (first, second))
    pairs = np.stack([first, len(first) + second], axis=1)
    return pd.factorize(connected(len(first) + len(second), pairs)[first])[0]


def joined_patients(groups: np.ndarray, patients: pd.Series) -> np.ndarray:
    """Join groups with the images of one patient, (n,), as in `joined`; an image of an unknown patient (None) is alone.

    Where no patient is known, the groups are returned as they are.
    """
    known = patients.notna()
    return joined(groups, pd.factorize(patients.where(known, patients.index))[0]) if known.any() else groups
