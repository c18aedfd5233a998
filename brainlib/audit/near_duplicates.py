"""Copies of a picture that are no longer the same pixels: found by neighbours, proved by correlation.

Each picture becomes a small grey one, cut to the head. A few low frequencies of its DCT find the
nearest others in a k-d tree (a perceptual hash with distances); each candidate is then laid over the
picture by an affine map and must agree with it in detail. Slices of one patient look alike too; it
is the detail that tells them from copies. Nothing here compares every picture with every other.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import fft, ndimage
from scipy.spatial import cKDTree
from threadpoolctl import threadpool_limits

from brainlib import progress
from brainlib.audit.alignment import aligned, laid_over
from brainlib.data.grouping import connected

SIDE = 96  # pixels of a thumbnail: enough detail to tell two slices a few millimetres apart
COARSE, MIDDLE = 32, 48  # pixels at which most candidates are ruled out
DEGREE = 5  # highest sum of the two frequencies of the DCT: 20 coefficients
NEIGHBOURS = 12  # candidates of each picture, and of its mirror image
REACH = 0.45  # distance of two unit vectors of coefficients, the farthest candidate
DETAIL = 2.5  # pixels: the standard deviation of the blur that is taken away before comparing
REGION = 5.0  # pixels: that of the area within which all detail counts the same
#: Correlation of the detail from which two pictures are copies: above that of neighbouring slices
#: of one patient, below that of planted copies. `benchmarks/near_copies.py` draws both.
THRESHOLD = 0.89
#: Part of the key under which pairs are kept: raise it when `near_copies` finds others.
VERSION = "2"
_LEAST_DETAIL = 0.03  # of the ranks: what is flatter than this has no detail, only noise
_LEAST_ALIKE = 0.70  # correlation of two pictures as they lie below which nothing is aligned
# Below which a pair is not compared any closer: at COARSE pixels as a whole and in detail, then, aligned
# at MIDDLE pixels, in detail. Of the real sets' copies the least have 0.90, 0.64 and 0.86.
_COARSE_LEAST, _COARSE_DETAIL_LEAST, _MIDDLE_LEAST = 0.90, 0.60, 0.75
_ROUND = 2048  # pairs after which those that are connected by now are left out
_BATCH = 128  # pairs at a time: about 40 MB
_THREADS = 2


@dataclass(frozen=True)
class NearDuplicates:
    """Pairs of pictures that are copies; copies of one another are connected, if not by a pair of theirs.

    Attributes
    ----------
    pairs : (m, 2) array of int
        Positions, the smaller first; no pair twice.
    mirrored : (m,) array of bool
    correlation : (m,) array of float
        Of the detail after alignment, one laid over the other in the way that was tried first or, if that
        is below the threshold, the other way; the threshold or more.
    """

    pairs: np.ndarray
    mirrored: np.ndarray
    correlation: np.ndarray


def thumbnail(image: Image.Image) -> np.ndarray:
    """Cut a picture to its head and shrink it: uint8 (SIDE, SIDE).

    The head is the largest connected area brighter than half of Otsu's threshold (IEEE Trans. Syst.
    Man Cybern. 1979, 9:62), so that margins, letters and a moderate crop change little.

    Parameters
    ----------
    image : PIL.Image.Image
        As `images.decode` returns it.
    """
    grey = image.convert("L")
    whole = (0.0, 0.0, float(grey.width), float(grey.height))
    box = _head(grey, whole)
    # Once more at the scale of the head, so that a margin does not change what its edge is.
    across, down = 0.1 * (box[2] - box[0]), 0.1 * (box[3] - box[1])
    near = (box[0] - across, box[1] - down, box[2] + across, box[3] + down)
    box = _head(grey, (*np.maximum(near[:2], whole[:2]), *np.minimum(near[2:], whole[2:])))
    return np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.BILINEAR, box=box))


def _head(grey, box):
    """The box, in pixels, of the largest bright area within a box; all of it where none is large."""
    side = 128
    small = np.asarray(grey.resize((side, side), Image.Resampling.BILINEAR, box=box))
    smooth = ndimage.uniform_filter(small, 5)
    areas, found = ndimage.label(smooth > 0.5 * otsu(smooth))
    if not found:
        return box
    largest = int(np.argmax(np.bincount(areas.ravel())[1:]))
    rows, columns = ndimage.find_objects(areas)[largest]
    if min(rows.stop - rows.start, columns.stop - columns.start) < side // 8:
        return box
    across, down = (box[2] - box[0]) / side, (box[3] - box[1]) / side
    return (
        box[0] + columns.start * across,
        box[1] + rows.start * down,
        box[0] + columns.stop * across,
        box[1] + rows.stop * down,
    )


def otsu(values: np.ndarray) -> int:
    """Otsu's threshold of grey values (uint8); that of a picture of one value is the value."""
    counts = np.bincount(values.ravel(), minlength=256).astype(float)
    below, sums = np.cumsum(counts), np.cumsum(counts * np.arange(256))
    rest = below[-1] - below
    between = (sums[-1] * below / below[-1] - sums) ** 2
    return int(np.argmax(np.divide(between, below * rest, out=np.zeros(256), where=below * rest > 0)))


def find_near_duplicates(
    thumbnails: np.ndarray, threshold: float = THRESHOLD, neighbours: int = NEIGHBOURS
) -> NearDuplicates:
    """Find the pairs that are copies: re-encoded, resized, brighter, mirrored, turned or cropped a little.

    Parameters
    ----------
    thumbnails : (n, SIDE, SIDE) array of uint8
        As `thumbnail` gives them, each picture once: many equal ones would crowd out the others.
    threshold : float
        Least correlation, up to 1.
    neighbours : int
        Candidates of each picture.

    Returns
    -------
    NearDuplicates
        As many pairs as connect all copies, and a few more: two pictures that others connect
        already are not compared. The same whatever the order of the threads.
    """
    n = len(thumbnails)
    with progress.shown(f"{n} images to compare") as on_progress:
        pairs, mirrored = _candidates(thumbnails, neighbours)
        coarse = _shrunk(thumbnails, COARSE)
        group, kept, correlation = np.arange(n), [], []
        # Likely copies come first, so that most of the others are connected before their turn.
        for start in range(0, len(pairs), _ROUND):
            end = min(start + _ROUND, len(pairs))
            # Near the threshold it matters which of two pictures is moved over the other.
            for way in (pairs, pairs[:, ::-1]):
                rows = np.arange(start, end)
                rows = rows[group[pairs[rows, 0]] != group[pairs[rows, 1]]]
                found = _correlations(thumbnails, coarse, way[rows], mirrored[rows])
                kept.append(rows[found >= threshold])
                correlation.append(found[found >= threshold])
                group = connected(n, pairs[np.concatenate(kept)])
            on_progress(end / len(pairs), f"{end} of {len(pairs)} pairs of {n} pictures")
    if not kept:
        return NearDuplicates(pairs, mirrored, np.zeros(0))
    keep = np.concatenate(kept)
    return NearDuplicates(pairs[keep], mirrored[keep], np.concatenate(correlation))


def correlations(thumbnails: np.ndarray, pairs: np.ndarray, mirrored: np.ndarray) -> np.ndarray:
    """Correlation of the detail of each pair once aligned, -1 to 1; 0 where they are clearly different.

    The higher of two: with the second picture laid over the first, and the first over the second.

    Parameters
    ----------
    thumbnails : (n, SIDE, SIDE) array of uint8
    pairs : (m, 2) array of int
    mirrored : (m,) array of bool
        Whether the second picture is mirrored first.
    """
    rows, own = np.unique(pairs, return_inverse=True)
    few = thumbnails[rows]
    coarse, own = _shrunk(few, COARSE), own.reshape(-1, 2)
    return np.maximum(*(_correlations(few, coarse, way, mirrored) for way in (own, own[:, ::-1])))


def _correlations(thumbnails, coarse, pairs, mirrored):
    parts = [slice(start, start + _BATCH) for start in range(0, len(pairs), _BATCH)]
    # Each thread multiplies small matrices: BLAS with threads of its own would only be in the way.
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(_THREADS) as pool:
        found = pool.map(lambda part: _compare(thumbnails, coarse, pairs[part], mirrored[part]), parts)
        return np.concatenate([np.zeros(0), *found])


def coefficients(thumbnails: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Low frequencies of each picture's DCT, as unit vectors.

    Returns
    -------
    (n, 20) array of float32
    (20,) array of int
        1, or -1 for the coefficients that change their sign when a picture is mirrored.
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
    """Replace each grey value by its rank in its picture, 0 to 1: whatever the contrast was."""
    out = np.empty(np.shape(thumbnails), np.float32)
    for row, picture in zip(out, thumbnails, strict=True):
        counts = np.bincount(picture.ravel(), minlength=256)
        row[...] = ((np.cumsum(counts) - 0.5 * counts) / picture.size)[picture]
    return out


def _shrunk(thumbnails, side):
    """Equalised pictures at a smaller size: float32 (n, side, side)."""
    out = np.empty((len(thumbnails), side, side), np.float32)
    for start in range(0, len(thumbnails), 1024):
        out[start : start + 1024] = averaged(equalised(thumbnails[start : start + 1024]), side)
    return out


def averaged(pictures, side):
    """Means of squares of pixels: (n, side, side), where `side` divides that of the pictures."""
    factor = pictures.shape[1] // side
    return pictures.reshape(-1, side, factor, side, factor).mean((2, 4))


def _candidates(thumbnails, neighbours):
    """Pairs of pictures with near coefficients, the most alike first; which second ones to mirror."""
    if len(thumbnails) < 2:
        return np.empty((0, 2), np.intp), np.empty(0, bool)
    vectors, sign = coefficients(thumbnails)
    n, tree = len(vectors), cKDTree(vectors)
    rows = []
    for mirrored, queries in ((0, vectors), (1, vectors * sign)):
        distance, near = tree.query(queries, k=min(neighbours + 1, n), distance_upper_bound=REACH, workers=_THREADS)
        first, near = np.repeat(np.arange(n), np.shape(near)[-1]), near.ravel()
        keep = np.isfinite(distance.ravel()) & (first != near)
        low, high = np.minimum(first, near)[keep], np.maximum(first, near)[keep]
        rows.append(np.stack([low, high, np.full(len(low), mirrored)], axis=1))
    found = np.unique(np.concatenate(rows), axis=0)
    pairs, mirrored = found[:, :2].astype(np.intp), found[:, 2].astype(bool)
    alike = _alike(thumbnails, pairs, mirrored)
    order = np.argsort(-alike, kind="stable")
    order = order[alike[order] >= _LEAST_ALIKE]
    return pairs[order], mirrored[order]


def _alike(thumbnails, pairs, mirrored):
    """Correlation of each pair as it lies, at 16 by 16 pixels."""
    small = _shrunk(thumbnails, 16)
    small -= small.mean((1, 2), keepdims=True)
    small /= np.maximum(np.sqrt((small**2).sum((1, 2), keepdims=True)), 1e-9)
    turned, out = small[:, :, ::-1], np.empty(len(pairs), np.float32)
    for start in range(0, len(pairs), 4096):
        part = slice(start, start + 4096)
        first, second = pairs[part].T
        other = np.where(mirrored[part, None, None], turned[second], small[second])
        out[part] = (small[first] * other).sum((1, 2))
    return out


def _compare(thumbnails, coarse, pairs, mirrored):
    """Correlation of the detail of each pair, laid over each other; 0 where one at fewer pixels is low."""
    first, second = _sides(coarse, pairs, mirrored)
    maps = aligned(first, second, np.tile(np.eye(2, 3, dtype=np.float32), (len(pairs), 1, 1)), 6)
    laid, inside = laid_over(second, maps)
    out = np.zeros(len(pairs))
    rows = np.flatnonzero(_correlation(first, laid, inside) >= _COARSE_LEAST)
    fine = [_detail(each[rows], 1.0, 2.0) for each in (first, laid)]
    rows = rows[_correlation(*fine, inside[rows]) >= _COARSE_DETAIL_LEAST]
    if not len(rows):
        return out
    first, second = map(equalised, _sides(thumbnails, pairs[rows], mirrored[rows]))
    small = [averaged(each, MIDDLE) for each in (first, second)]
    laid, inside = laid_over(small[1], aligned(*small, maps[rows], 3))
    near = _correlation(_detail(small[0], 1.25, 2.5), _detail(laid, 1.25, 2.5), inside) >= _MIDDLE_LEAST
    if near.any():
        first, second, rows = first[near], second[near], rows[near]
        laid, inside = laid_over(second, aligned(first, second, maps[rows], 5))
        out[rows] = _correlation(_detail(first), _detail(laid), inside)
    return out


def _sides(pictures, pairs, mirrored):
    """The pictures of each pair, the second one mirrored where it must be."""
    first, second = pictures[pairs[:, 0]], pictures[pairs[:, 1]]
    second[mirrored] = second[mirrored][:, :, ::-1]
    return first, second


def _detail(pictures, blur=DETAIL, region=REGION):
    """What a blur takes away, at the same strength everywhere: the skull's edge would outweigh the brain."""
    fine = pictures - ndimage.gaussian_filter(pictures, (0, blur, blur))
    strength = np.sqrt(ndimage.gaussian_filter(fine * fine, (0, region, region)))
    return fine / (strength + np.float32(_LEAST_DETAIL))


def _correlation(a, b, inside):
    """Pearson's correlation of each pair over the pixels that both have; 0 without variation."""
    weight = inside / np.maximum(inside.sum((1, 2), keepdims=True), 1)
    a = a - (weight * a).sum((1, 2), keepdims=True)
    b = b - (weight * b).sum((1, 2), keepdims=True)
    squares = (weight * a * a).sum((1, 2)) * (weight * b * b).sum((1, 2))
    return (weight * a * b).sum((1, 2)) / np.sqrt(np.maximum(squares, 1e-12))
