"""Near-duplicates: the same slice re-encoded, resized, brightened or inverted, in any pose, or partly cut away.

Each image is reduced to a grey thumbnail of the head. Descriptors that no turn changes select candidates in a k-d tree
and tell the pose of each (`candidates`). Each candidate is then registered to the image by an affine map, and the pair
is accepted if the fine detail correlates. Neighbouring slices of one patient look alike too, in any pose; the detail
distinguishes them from duplicates. The number of comparisons grows with the number of images, not its square.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import NamedTuple

import numpy as np
from scipy import ndimage
from threadpoolctl import threadpool_limits

from brainlib import progress
from brainlib.audit.alignment import correlate, inverse, register, warp
from brainlib.audit.candidates import Search, best_rows, mirrored, poses
from brainlib.data.groups import connected
from brainlib.data.thumbnails import SIDE, averaged, equalised
from brainlib.io import threads

COARSE, MIDDLE = 32, 48  # pixels at which most candidates are ruled out
DETAIL = 2.5  # pixels: standard deviation of the blur that is subtracted to leave the detail
REGION = 5.0  # pixels: standard deviation of the neighbourhood in which the detail is normalised
#: Correlation of the detail from which two images are near-duplicates: above that of neighbouring slices of
#: one patient, below that of planted duplicates. `benchmarks/near_duplicates.py` draws both.
THRESHOLD = 0.89
#: Part of the key of stored pairs: raise it when `find_near_duplicates` gives others.
VERSION = "5"
#: Calls a function for each of some jobs and returns the results, as `trials.workers.run` does on a cluster.
Run = Callable[[Callable, list[tuple]], list]
_MIN_DETAIL = 0.03  # in ranks: anything flatter is noise
_MIN_OVERLAP = 0.5  # share of either image that must lie in the other
_ROUND = 2048  # pairs, or more of many images, after which those that are connected by now are left out
_QUERIES = 2**16  # images of which candidates are held at a time
_JOB = 2048  # pairs that another process compares at a time
_BATCH = 2**17  # pixels of the images compared at a time by a thread


class _Stage(NamedTuple):
    """A comparison at `side` pixels after `steps` of registration: of the detail, with two blurs, or of the whole."""

    side: int
    steps: int
    detail: tuple[float, float] | None
    minimum: float  # correlation below which a pair is compared no further


# The lowest correlations of true pairs in the real sets are 0.81, 0.90, 0.64 and 0.86.
_STAGES = (
    _Stage(COARSE, 3, None, 0.75),
    _Stage(COARSE, 3, None, 0.88),
    _Stage(COARSE, 0, (1.0, 2.0), 0.60),
    _Stage(MIDDLE, 3, (1.25, 2.5), 0.75),
    _Stage(SIDE, 5, (DETAIL, REGION), -1),
)


@dataclass(frozen=True)
class NearDuplicates:
    """Pairs of near-duplicates. All images of a group are connected, not necessarily by a pair of their own.

    `pairs`, (m, 2), are positions, the smaller first; no pair occurs twice. The pose of the second image, each (m,):
    `mirrored` tells whether the first must be mirrored left to right and `turned` by how many degrees it must then be
    turned clockwise, above -180 to 180, to lie as the second does; `inverted` tells whether bright and dark are
    exchanged. Of a symmetric image it is the pose that correlates better. `correlation`, (m,), is that of the detail,
    at least `THRESHOLD`, registered in one direction and, if it is below that, in the other.
    """

    pairs: np.ndarray
    mirrored: np.ndarray
    correlation: np.ndarray
    turned: np.ndarray
    inverted: np.ndarray


def find_near_duplicates(
    thumbnails: np.ndarray,
    on_progress: progress.OnProgress = progress.ignore,
    since: int = 0,
    run: Run | None = None,
) -> NearDuplicates:
    """Find enough pairs to connect all near-duplicates: two images that others connect already are not compared.

    The images are thumbnails, uint8 (n, SIDE, SIDE), without exact duplicates, which would crowd out other candidates;
    they may be mapped from disk. Candidates are held of 65,536 images at a time. The result does not depend on the
    number of threads. With `since`, candidates are sought for the images from that position on alone, among all.

    With `run` candidates are compared elsewhere, and correlations may differ in their last bits.
    """
    n = len(thumbnails)
    if n < 2 or since == n:
        return _found(np.empty((0, 2), np.intp), np.empty((0, 2, 3)), np.empty(0))
    compared = partial(_elsewhere, run, thumbnails) if run else partial(_registered, thumbnails, _shrunk(thumbnails))
    search, group = Search(thumbnails), np.arange(n)
    kept, final, correlation = [np.empty(0, np.intp).reshape(0, 2)], [np.empty((0, 2, 3), np.float32)], [np.empty(0)]
    for first in range(since, n, _QUERIES):
        last = min(first + _QUERIES, n)
        # The most similar pairs come first, so that most of the others are connected before their turn.
        pairs, maps, _ = search.candidates(thumbnails[first:last], first).best()
        size = max(_ROUND, n // 8)
        for start in range(0, len(pairs), size):
            end = min(start + size, len(pairs))
            # Near the threshold it matters which of the two images is fixed.
            for swapped in (False, True):
                rows = np.arange(start, end)
                rows = rows[group[pairs[rows, 0]] != group[pairs[rows, 1]]]
                if not len(rows):
                    continue
                values, found = compared(pairs[rows], maps[rows], swapped)
                above = np.abs(values) >= THRESHOLD
                rows, values, found = rows[above], values[above], found[above]
                # A symmetric image is a candidate in several poses: the best one of each pair is kept.
                best = best_rows(pairs[rows], np.abs(values))
                kept.append(pairs[rows[best]])
                final.append(found[best])
                correlation.append(values[best])
                group = connected(n, np.concatenate(kept))
            done = (first - since + (last - first) * end / len(pairs)) / (n - since)
            on_progress(done, f"{end} of {len(pairs)} candidate pairs of {last - first} images")
    return _found(*map(np.concatenate, (kept, final, correlation)))


def compare(thumbnails: np.ndarray, pairs: np.ndarray) -> NearDuplicates:
    """Compare given pairs, (m, 2), as `find_near_duplicates` does, each in the pose in which it correlates best.

    The correlation is that of the better direction, below `THRESHOLD` where the two are no near-duplicates, and 0 where
    they clearly differ.
    """
    rows, own = np.unique(pairs, return_inverse=True)
    pairs, back = np.unique(np.sort(own.reshape(-1, 2), axis=1), axis=0, return_inverse=True)
    if not len(pairs):
        return _found(pairs, np.empty((0, 2, 3)), np.empty(0))
    few = thumbnails[rows]
    tried, coarse = poses(few, pairs), _shrunk(few)
    both = [_registered(few, coarse, tried.pairs, tried.maps, swapped) for swapped in (False, True)]
    values, maps = (np.concatenate(each) for each in zip(*both, strict=True))
    own = np.tile(tried.pairs, (2, 1))
    best = best_rows(own, np.abs(values))
    best = best[np.lexsort(own[best].T[::-1])][back.ravel()]
    return _found(rows[own[best]], maps[best], values[best])


def _found(pairs, maps, correlation):
    """Describe pairs by their maps and their correlation, which is negative where grey values are inverted."""
    flipped = mirrored(maps)
    linear = maps[:, :, :2].copy()
    linear[flipped, :, 0] *= -1
    # The rotation nearest to a map, by its polar decomposition; coordinates go down, so it is clockwise.
    turned = np.degrees(np.arctan2(linear[:, 1, 0] - linear[:, 0, 1], linear[:, 0, 0] + linear[:, 1, 1]))
    return NearDuplicates(pairs, flipped, np.abs(correlation), 180 - (180 - turned) % 360, correlation < 0)


def _registered(thumbnails, coarse, pairs, maps, swapped):
    """Correlation of the detail of pairs, registered from maps on; with the first as fixed image unless swapped."""
    if swapped:
        pairs, maps = pairs[:, ::-1], inverse(maps)
    out, final, rows = np.zeros(len(pairs)), maps.copy(), np.arange(len(pairs))
    # Each thread multiplies small matrices, for which BLAS needs no threads of its own.
    with threadpool_limits(1, "blas"), threads() as pool:
        for stage in _STAGES:
            images, size = coarse if stage.side == COARSE else thumbnails, _BATCH // stage.side**2

            def compared(start, rows=rows, maps=maps, stage=stage, images=images, size=size):
                part = slice(start, start + size)
                return _compare(images, pairs[rows[part]], maps[part], stage)

            found = list(pool.map(compared, range(0, len(rows), size)))
            if not found:
                break
            values, maps = (np.concatenate(each) for each in zip(*found, strict=True))
            kept = np.abs(values) >= stage.minimum
            rows, maps, values = rows[kept], maps[kept], values[kept]
    if len(rows):
        out[rows], final[rows] = values, maps
    return out, inverse(final) if swapped else final


def _elsewhere(run, thumbnails, pairs, maps, swapped):
    """Compare pairs as `_registered` does, by jobs that are handed their thumbnails."""
    jobs = []
    for start in range(0, len(pairs), _JOB):
        rows, own = np.unique(pairs[start : start + _JOB], return_inverse=True)
        jobs.append((thumbnails[rows], own.reshape(-1, 2), maps[start : start + _JOB], swapped))
    return map(np.concatenate, zip(*run(_job, jobs), strict=True))


def _job(thumbnails, pairs, maps, swapped, _):
    return _registered(thumbnails, _shrunk(thumbnails), pairs, maps, swapped)


def _shrunk(thumbnails):
    """Equalised images of `COARSE` pixels: uint8 (n, COARSE, COARSE), ranks from 0 to 255, mapped from a file."""
    with tempfile.TemporaryFile() as file:
        for start in range(0, len(thumbnails), 1024):
            ranks = averaged(equalised(thumbnails[start : start + 1024]), COARSE)
            file.write(np.rint(255 * ranks).astype(np.uint8))
        file.flush()
        return np.memmap(file, np.uint8, "r", shape=(len(thumbnails), COARSE, COARSE))


def _compare(images, pairs, maps, stage):
    """Correlation of each pair, registered from `maps` on as a stage tells, and the maps found."""
    both = images[pairs[:, 0]], images[pairs[:, 1]]
    if stage.side == COARSE:
        first, second = (each / np.float32(255) for each in both)
    else:
        first, second = (averaged(equalised(each), stage.side) for each in both)
    maps = register(first, second, maps, stage.steps)
    warped, inside = warp(second, maps)
    if stage.detail:
        first, warped = (_detail(each, *stage.detail) for each in (first, warped))
    overlap = inside.mean((1, 2))
    overlap = np.minimum(overlap, overlap * np.abs(np.linalg.det(maps[:, :, :2])))
    return np.where(overlap < _MIN_OVERLAP, 0, correlate(first, warped, inside)), maps


def _detail(images, blur, region):
    """Subtract a blur and normalise the local strength, so that the edge of the skull does not outweigh the brain."""
    fine = images - _blurred(images, blur)
    strength = np.sqrt(_blurred(fine * fine, region))
    return fine / (strength + np.float32(_MIN_DETAIL))


def _blurred(images, blur):
    """Gaussian filter, as a product with a matrix, which takes a third of `ndimage.gaussian_filter`'s time."""
    matrix = _gaussian(images.shape[1], blur)
    return matrix @ images @ matrix.T


@cache
def _gaussian(side, blur):
    return ndimage.gaussian_filter1d(np.eye(side), blur, axis=0).astype(np.float32)
