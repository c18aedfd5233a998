"""Near-duplicates: the same slice, re-encoded, resized, brightened, mirrored, or turned or cropped a little.

Each image is reduced to a grey thumbnail of the head. Low frequencies of its discrete cosine transform select
candidates in a k-d tree, as a perceptual hash would. Each candidate is then registered to the image by an affine
map, and the pair is accepted if the fine detail correlates. Neighbouring slices of one patient look alike too; the
detail distinguishes them from duplicates. The number of comparisons grows with the number of images, not its square.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from scipy import fft, ndimage
from scipy.spatial import cKDTree
from threadpoolctl import threadpool_limits

from brainlib import progress
from brainlib.audit.alignment import correlate, register, warp
from brainlib.data.groups import connected
from brainlib.data.thumbnails import SIDE
from brainlib.io import THREADS, threads

COARSE, MIDDLE = 32, 48  # pixels at which most candidates are ruled out
DEGREE = 5  # highest sum of the two frequencies of the DCT: 20 coefficients
NEIGHBOURS = 12  # candidates of each image, and of its mirror image
MAX_DISTANCE = 0.45  # between the unit vectors of coefficients of two candidates
DETAIL = 2.5  # pixels: standard deviation of the blur that is subtracted to leave the detail
REGION = 5.0  # pixels: standard deviation of the neighbourhood in which the detail is normalised
#: Correlation of the detail from which two images are near-duplicates: above that of neighbouring slices of
#: one patient, below that of planted duplicates. `benchmarks/near_duplicates.py` draws both.
THRESHOLD = 0.89
#: Part of the key of stored pairs: raise it when `find_near_duplicates` gives others.
VERSION = "4"
_MIN_DETAIL = 0.03  # in ranks: anything flatter is noise
_MIN_SIMILARITY = 0.70  # correlation before registration, below which a pair is not registered
_ROUND = 2048  # pairs after which those that are connected by now are left out
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
    _Stage(COARSE, 3, None, 0.90),
    _Stage(COARSE, 0, (1.0, 2.0), 0.60),
    _Stage(MIDDLE, 3, (1.25, 2.5), 0.75),
    _Stage(SIDE, 5, (DETAIL, REGION), -1),
)


@dataclass(frozen=True)
class NearDuplicates:
    """Pairs of near-duplicates. All images of a group are connected, not necessarily by a pair of their own.

    `pairs`, (m, 2), are positions, the smaller first; no pair occurs twice. `mirrored`, (m,), tells whether one is the
    mirror image of the other; of a symmetric image, the orientation that correlates better. `correlation`, (m,), is
    that of the detail, at least `THRESHOLD`, registered in one direction and, if it is below that, in the other.
    """

    pairs: np.ndarray
    mirrored: np.ndarray
    correlation: np.ndarray


def find_near_duplicates(
    thumbnails: np.ndarray, on_progress: progress.OnProgress = progress.ignore, since: int = 0
) -> NearDuplicates:
    """Find enough pairs to connect all near-duplicates: two images that others connect already are not compared.

    The images are thumbnails, uint8 (n, SIDE, SIDE), without exact duplicates, which would crowd out other candidates.
    The result does not depend on the number of threads. With `since`, candidates are sought for the images from that
    position on alone, among all.
    """
    n = len(thumbnails)
    pairs, mirrored = _candidates(thumbnails, since)
    coarse = _shrunk(thumbnails, COARSE)
    group, kept, correlation = np.arange(n), [np.empty(0, np.intp)], [np.empty(0)]
    # The most similar pairs come first, so that most of the others are connected before their turn.
    for start in range(0, len(pairs), _ROUND):
        end = min(start + _ROUND, len(pairs))
        # Near the threshold it matters which of the two images is fixed.
        for direction in (pairs, pairs[:, ::-1]):
            rows = np.arange(start, end)
            rows = rows[group[pairs[rows, 0]] != group[pairs[rows, 1]]]
            values = _correlations(thumbnails, coarse, direction[rows], mirrored[rows])
            rows, values = rows[values >= THRESHOLD], values[values >= THRESHOLD]
            # A symmetric image is a candidate in both orientations: the better one of each pair is kept.
            order = np.argsort(-values, kind="stable")
            best = np.sort(order[np.unique(pairs[rows[order]], axis=0, return_index=True)[1]])
            kept.append(rows[best])
            correlation.append(values[best])
            group = connected(n, pairs[np.concatenate(kept)])
        on_progress(end / len(pairs), f"{end} of {len(pairs)} candidate pairs of {n} images")
    keep = np.concatenate(kept)
    return NearDuplicates(pairs[keep], mirrored[keep], np.concatenate(correlation))


def correlations(thumbnails: np.ndarray, pairs: np.ndarray, mirrored: np.ndarray) -> np.ndarray:
    """Correlation of the detail of each pair after registration, -1 to 1; 0 where they clearly differ.

    The second image of a pair is mirrored first where `mirrored`, (m,), tells so. The images are registered in both
    directions, and the higher correlation counts.
    """
    rows, own = np.unique(pairs, return_inverse=True)
    few = thumbnails[rows]
    coarse, own = _shrunk(few, COARSE), own.reshape(-1, 2)
    return np.maximum(*(_correlations(few, coarse, way, mirrored) for way in (own, own[:, ::-1])))


def compare(thumbnails: np.ndarray, pairs: np.ndarray) -> NearDuplicates:
    """Compare each of some pairs, (m, 2), in the orientation that correlates better; all are returned, in order."""
    plain, mirrored = (correlations(thumbnails, pairs, np.full(len(pairs), way)) for way in (False, True))
    return NearDuplicates(pairs, mirrored > plain, np.maximum(plain, mirrored))


def _correlations(thumbnails, coarse, pairs, mirrored):
    out, rows = np.zeros(len(pairs)), np.arange(len(pairs))
    maps = np.tile(np.eye(2, 3, dtype=np.float32), (len(pairs), 1, 1))
    # Each thread multiplies small matrices, for which BLAS needs no threads of its own.
    with threadpool_limits(1, "blas"), threads() as pool:
        for stage in _STAGES:
            images, size = coarse if stage.side == COARSE else thumbnails, _BATCH // stage.side**2

            def compared(start, rows=rows, maps=maps, stage=stage, images=images, size=size):
                part = slice(start, start + size)
                return _compare(images, pairs[rows[part]], mirrored[rows[part]], maps[part], stage)

            found = list(pool.map(compared, range(0, len(rows), size)))
            if not found:
                return out
            values, maps = (np.concatenate(each) for each in zip(*found, strict=True))
            kept = values >= stage.minimum
            rows, maps, values = rows[kept], maps[kept], values[kept]
    out[rows] = values
    return out


def coefficients(thumbnails: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Low frequencies of the discrete cosine transform of each image, as unit vectors: float32 (n, 20).

    The second array, (20,), holds -1 for the coefficients that change sign when the image is mirrored, else 1.
    """
    down, across = np.mgrid[: DEGREE + 1, : DEGREE + 1]
    keep = (down + across <= DEGREE) & (down + across > 0)
    values = np.empty((len(thumbnails), int(keep.sum())), np.float32)
    for start in range(0, len(thumbnails), 1024):
        part = slice(start, start + 1024)
        spectrum = fft.dctn(equalised(thumbnails[part]), axes=(1, 2), norm="ortho")
        values[part] = spectrum[:, : DEGREE + 1, : DEGREE + 1][:, keep]
    length = np.linalg.norm(values, axis=1, keepdims=True)
    return values / np.maximum(length, 1e-9), np.where(across[keep] % 2, -1, 1)


def equalised(thumbnails: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    """Replace each grey value (uint8) by its rank within its image, 0 to 1, which removes differences of contrast."""
    offsets = 256 * np.arange(len(thumbnails))[:, None, None]
    values = offsets + thumbnails
    counts = np.bincount(values.ravel(), minlength=256 * len(values)).reshape(-1, 256)
    ranks = (np.cumsum(counts, axis=1) - 0.5 * counts) / values[0].size
    return ranks.astype(np.float32).take(values)


def _shrunk(thumbnails, side):
    """Equalised images at a smaller size: float32 (n, side, side)."""
    out = np.empty((len(thumbnails), side, side), np.float32)
    for start in range(0, len(thumbnails), 1024):
        out[start : start + 1024] = averaged(equalised(thumbnails[start : start + 1024]), side)
    return out


def averaged(images: np.ndarray, side: int) -> np.ndarray:
    """Average square blocks of pixels: (n, side, side), where `side` divides the images' own."""
    factor = images.shape[1] // side
    return images.reshape(-1, side, factor, side, factor).mean((2, 4))


def _candidates(thumbnails, since):
    """Pairs of images with close coefficients, the most similar first, and whether to mirror the second."""
    if len(thumbnails) < 2:
        return np.empty((0, 2), np.intp), np.empty(0, bool)
    vectors, sign = coefficients(thumbnails)
    n, tree = len(vectors), cKDTree(vectors)
    rows = []
    for mirrored, queries in ((0, vectors), (1, vectors * sign)):
        distance, near = tree.query(
            queries[since:], min(NEIGHBOURS + 1, n), distance_upper_bound=MAX_DISTANCE, workers=THREADS
        )
        first, near = np.repeat(np.arange(since, n), np.shape(near)[-1]), near.ravel()
        keep = np.isfinite(distance.ravel()) & (first != near)
        low, high = np.minimum(first, near)[keep], np.maximum(first, near)[keep]
        rows.append(np.stack([low, high, np.full(len(low), mirrored)], axis=1))
    rows = np.unique(np.concatenate(rows), axis=0)
    pairs, mirrored = rows[:, :2].astype(np.intp), rows[:, 2].astype(bool)
    similarity = _similarity(thumbnails, pairs, mirrored)
    order = np.argsort(-similarity, kind="stable")
    order = order[similarity[order] >= _MIN_SIMILARITY]
    return pairs[order], mirrored[order]


def _similarity(thumbnails, pairs, mirrored):
    """Correlation of each pair before registration, at 16 by 16 pixels."""
    small = _shrunk(thumbnails, 16)
    small -= small.mean((1, 2), keepdims=True)
    small /= np.maximum(np.sqrt((small**2).sum((1, 2), keepdims=True)), 1e-9)
    flipped, out = small[:, :, ::-1], np.empty(len(pairs), np.float32)
    for start in range(0, len(pairs), 4096):
        part = slice(start, start + 4096)
        first, second = pairs[part].T
        other = np.where(mirrored[part, None, None], flipped[second], small[second])
        out[part] = (small[first] * other).sum((1, 2))
    return out


def _compare(images, pairs, mirrored, maps, stage):
    """Correlation of each pair, registered from `maps` on as a stage tells, and the maps found."""
    first, second = images[pairs[:, 0]], images[pairs[:, 1]]
    second[mirrored] = second[mirrored][:, :, ::-1]
    if images.dtype == np.uint8:
        first, second = (averaged(equalised(each), stage.side) for each in (first, second))
    maps = register(first, second, maps, stage.steps)
    warped, inside = warp(second, maps)
    if stage.detail:
        first, warped = (_detail(each, *stage.detail) for each in (first, warped))
    return correlate(first, warped, inside), maps


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
