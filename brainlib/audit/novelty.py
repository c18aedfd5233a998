"""Novelty of an image: whether a training set holds a duplicate of it, and whether it resembles the set at all.

A model returns probabilities for any input. `NoveltyDetector` therefore compares an image with the training images
alone: which are nearest, and is it farther from all of them than they are from one another.

The distance is that of two signatures: the arrangement of bright and dark (ranks of the grey values at 16 by 16
pixels, as a unit vector) and the amount of fine detail (the logarithm of its strength in 8 by 8 fields). The novelty
score is the distance to the nearest training image, in either orientation, divided by the distance within which 95 %
of the training images have their nearest neighbour of another group. An image is novel where the score exceeds 1.
The nearest neighbour's distance and the 95 % follow Sun et al. (Out-of-distribution detection with deep nearest
neighbors, ICML 2022), with signatures of the images in place of a network's features, so that the score means the same
for every model. `benchmarks/novelty.py` measures false alarms and detections.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import ndimage

from brainlib.audit import near_duplicates
from brainlib.audit.candidates import Search
from brainlib.data.thumbnails import averaged, equalised

KEPT = 0.95  # share of the training images within the limit
_ARRANGEMENT, _FIELDS = 16, 8
_MIN_DETAIL = 0.01  # in ranks: anything flatter is noise
_ROWS = 256  # compared with all others at a time
# Position of each value of a signature in that of the mirror image.
_MIRROR = np.arange(_ARRANGEMENT**2).reshape(_ARRANGEMENT, -1)[:, ::-1].ravel()
_MIRROR = np.append(_MIRROR, _ARRANGEMENT**2 + np.arange(_FIELDS**2).reshape(_FIELDS, -1)[:, ::-1])


class Neighbour(NamedTuple):
    """A training image: its position, its distance over the limit, and the correlation if it is a near-duplicate."""

    row: int
    novelty: float
    duplicate: float | None


def signatures(thumbnails: np.ndarray) -> np.ndarray:
    """Describe images by arrangement and detail: float32 (n, 320)."""
    out = np.empty((len(thumbnails), _ARRANGEMENT**2 + _FIELDS**2), np.float32)
    for start in range(0, len(thumbnails), _ROWS):
        ranks = equalised(thumbnails[start : start + _ROWS])
        arrangement = averaged(ranks, _ARRANGEMENT) - 0.5
        length = np.sqrt((arrangement**2).sum((1, 2), keepdims=True))
        fine = ranks - ndimage.gaussian_filter(ranks, (0, near_duplicates.DETAIL, near_duplicates.DETAIL))
        strength = np.log(np.sqrt(averaged(fine * fine, _FIELDS)) + _MIN_DETAIL)
        both = arrangement / np.maximum(length, 1e-6), strength / _FIELDS
        out[start : start + _ROWS] = np.concatenate([part.reshape(len(ranks), -1) for part in both], axis=1)
    return out


class NoveltyDetector:
    """Compares images with those that a model was trained on; `limit` is the distance beyond which an image is novel.

    Of the training images it takes thumbnails, uint8 (n, SIDE, SIDE), and groups, int (n,), two or more: duplicates
    and, where patients are known, images of one patient are a group.
    """

    def __init__(self, thumbnails: np.ndarray, groups: np.ndarray):
        self.thumbnails, self._signatures = thumbnails, signatures(thumbnails)
        self._squares = (self._signatures**2).sum(axis=1)
        self._search = Search(thumbnails)
        groups = np.asarray(groups)
        # One image of each group: a group of many duplicates would otherwise count many times.
        one = np.unique(groups, return_index=True)[1]
        distances = self._distances(self._signatures[one])
        nearest = distances.min(axis=1, initial=np.inf, where=groups[one, None] != groups)
        # Equal images in different groups have no distance to divide by.
        self.limit = max(float(np.quantile(nearest, KEPT, method="higher")), 1e-6)

    def _distances(self, signs):
        """Distance of each signature to each training image, in the nearer orientation: (m, n)."""
        out = np.empty((len(signs), len(self._signatures)), np.float32)
        for start in range(0, len(signs), _ROWS):
            part = slice(start, start + _ROWS)
            products = np.maximum(*(own @ self._signatures.T for own in (signs[part], signs[part][:, _MIRROR])))
            squares = (signs[part] ** 2).sum(axis=1)[:, None] + self._squares
            out[part] = np.sqrt(np.maximum(squares - 2 * products, 0))
        return out

    def novelty(self, thumbnails: np.ndarray) -> np.ndarray:
        """Novelty score of each image: float array (m,), above 1 where the image is novel."""
        return self._distances(signatures(thumbnails)).min(axis=1) / self.limit

    def nearest(self, thumbnail: np.ndarray, count: int) -> list[Neighbour]:
        """List at most `count` nearest training images: near-duplicates by descending correlation, then the others."""
        distances = self._distances(signatures(thumbnail[None]))[0] / self.limit
        duplicates = self._duplicates(thumbnail)
        order = sorted(duplicates, key=lambda row: (-duplicates[row], row))
        order += [row for row in np.argsort(distances, kind="stable").tolist() if row not in duplicates]
        return [Neighbour(row, float(distances[row]), duplicates.get(row)) for row in order[:count]]

    def _duplicates(self, thumbnail):
        """Correlation of the detail, by row, of the training images that are near-duplicates of an image."""
        rows = np.unique(self._search.candidates(thumbnail[None]).pairs[:, 1])
        # The image itself becomes the last of the candidates.
        candidates = np.concatenate([self.thumbnails[rows], thumbnail[None]])
        pairs = np.stack([np.arange(len(rows)), np.full(len(rows), len(rows))], axis=1)
        values = pd.Series(near_duplicates.compare(candidates, pairs).correlation, rows)
        return values[values >= near_duplicates.THRESHOLD].to_dict()
