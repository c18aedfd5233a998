"""Is a picture one that a model was trained on, or like those at all?

A model answers whatever it is shown. Three questions are therefore asked of the training images
alone: is the picture a copy of one (`nearcopies`), which are nearest to it, and is it farther from all
of them than they are from each other.

The distance is that of two signatures: where a picture is bright and dark (ranks of the grey values at
16 by 16 pixels, as a unit vector) and how much fine detail it has where (the logarithm of its strength
in 8 by 8 fields). A picture counts as unlike where its distance to the nearest training image, as it
lies or mirrored, exceeds what 95 % of the training images have to the nearest of another group:
the nearest neighbour's distance and the 95 % of Sun et al. (Out-of-distribution detection with deep
nearest neighbors, ICML 2022), of the pictures instead of a network's features, so that it means the same
for every model. `benchmarks/novelty.py` measures its false alarms and what it notices.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from brainlib.audit import near_duplicates

KEPT = 0.95  # of the training images lie within the limit
_ARRANGEMENT, _FIELDS = 16, 8
_LEAST_DETAIL = 0.01  # of the ranks: what is flatter than this has no detail, only noise
_ROWS = 256  # compared with all others at a time


class Neighbour(NamedTuple):
    """A training image near a picture: its row, distance / limit, and the correlation of a copy, else None."""

    row: int
    novelty: float
    copy: float | None


def signatures(thumbnails: np.ndarray) -> np.ndarray:
    """Describe pictures: float32 (n, 320).

    Parameters
    ----------
    thumbnails : (n, SIDE, SIDE) array of uint8
        As `data.thumbnails.thumbnail` gives them.
    """
    out = np.empty((len(thumbnails), _ARRANGEMENT**2 + _FIELDS**2), np.float32)
    for start in range(0, len(thumbnails), _ROWS):
        ranks = near_duplicates.equalised(thumbnails[start : start + _ROWS])
        where = near_duplicates.averaged(ranks, _ARRANGEMENT) - 0.5
        length = np.sqrt((where**2).sum((1, 2), keepdims=True))
        fine = ranks - ndimage.gaussian_filter(ranks, (0, near_duplicates.DETAIL, near_duplicates.DETAIL))
        strength = np.log(np.sqrt(near_duplicates.averaged(fine * fine, _FIELDS)) + _LEAST_DETAIL)
        both = where / np.maximum(length, 1e-6), strength / _FIELDS
        out[start : start + _ROWS] = np.concatenate([part.reshape(len(ranks), -1) for part in both], axis=1)
    return out


def _mirrored(found):
    """Signatures of the mirror images."""
    first = found[:, : _ARRANGEMENT**2].reshape(-1, _ARRANGEMENT, _ARRANGEMENT)
    rest = found[:, _ARRANGEMENT**2 :].reshape(-1, _FIELDS, _FIELDS)
    return np.concatenate([part[:, :, ::-1].reshape(len(found), -1) for part in (first, rest)], axis=1)


class NoveltyDetector:
    """The images that a model was trained on, to hold others against.

    Parameters
    ----------
    thumbnails : (n, SIDE, SIDE) array of uint8
    groups : (n,) array of int
        What belongs together: copies and, where it is known, images of one patient. Two groups or more.

    Attributes
    ----------
    limit : float
        Distance beyond which a picture is unlike these.
    """

    def __init__(self, thumbnails: np.ndarray, groups: np.ndarray):
        self.thumbnails, self._own = thumbnails, signatures(thumbnails)
        self._squares = (self._own**2).sum(axis=1)
        self._vectors, self._sign = near_duplicates.coefficients(thumbnails)
        groups = np.asarray(groups)
        # One picture of each group: a picture that is there many times would count many times.
        one = np.unique(groups, return_index=True)[1]
        apart = self._distances(self._own[one], groups[one, None] == groups).min(axis=1)
        # Equal pictures in different groups have no distance to divide by.
        self.limit = max(float(np.quantile(apart, KEPT, method="higher")), 1e-6)

    def _distances(self, found, excluded=None):
        """Distance of each signature to each training image, as it lies or mirrored: (m, n)."""
        out = np.empty((len(found), len(self._own)), np.float32)
        for start in range(0, len(found), _ROWS):
            part = slice(start, start + _ROWS)
            each = found[part]
            products = np.maximum(each @ self._own.T, _mirrored(each) @ self._own.T)
            squares = (each**2).sum(axis=1)[:, None] + self._squares
            out[part] = np.sqrt(np.maximum(squares - 2 * products, 0))
        if excluded is not None:
            out[excluded] = np.inf
        return out

    def novelty(self, thumbnails: np.ndarray) -> np.ndarray:
        """Distance of each picture to the nearest training image, over the limit: unlike where above 1."""
        return self._distances(signatures(thumbnails)).min(axis=1) / self.limit

    def nearest(self, thumbnail: np.ndarray, count: int) -> list[Neighbour]:
        """The training images nearest to a picture: its copies, the surest first, and then the others.

        Parameters
        ----------
        thumbnail : (SIDE, SIDE) array of uint8
        count : int
            How many to return at most.
        """
        distances = self._distances(signatures(thumbnail[None]))[0] / self.limit
        copies = self._copies(thumbnail)
        order = sorted(copies, key=lambda row: (-copies[row], row))
        order += [int(row) for row in np.argsort(distances, kind="stable")[: count + len(order)]]
        return [Neighbour(row, float(distances[row]), copies.get(row)) for row in list(dict.fromkeys(order))[:count]]

    def _copies(self, thumbnail):
        """Training images that are copies of a picture, and the correlation of their detail, by row."""
        (vector,), _ = near_duplicates.coefficients(thumbnail[None])
        rows, mirrored = [], []
        for turned, wanted in ((False, vector), (True, vector * self._sign)):
            distance = np.linalg.norm(self._vectors - wanted, axis=1)
            near = np.argsort(distance, kind="stable")[: near_duplicates.NEIGHBOURS]
            near = near[distance[near] <= near_duplicates.MAX_DISTANCE]
            rows += near.tolist()
            mirrored += [turned] * len(near)
        # The picture becomes the last of the few.
        few, own = np.concatenate([self.thumbnails[rows], thumbnail[None]]), np.arange(len(rows))
        pairs = np.stack([np.full(len(rows), len(rows)), own], axis=1)
        found = near_duplicates.correlations(few, pairs, np.array(mirrored, bool))
        copies: dict[int, float] = {}
        for row, value in zip(rows, found.tolist(), strict=True):
            if value >= near_duplicates.THRESHOLD:
                copies[row] = max(value, copies.get(row, 0.0))
        return copies
