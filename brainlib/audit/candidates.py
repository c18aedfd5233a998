"""Candidates for near-duplicates in any pose: turned by any angle, mirrored, inverted, or with a part cut away.

The ranks of an image's grey values are sampled on rings, and each ring is taken apart into frequencies along its angle.
A turn changes the phases of these alone, a mirror image conjugates them, and inverted grey values change their sign.
Their amplitudes, which stay, are the image's vector in a k-d tree; the phases of a candidate give its pose, an affine
map from which `alignment.register` starts.

The rings lie in two frames: the thumbnail's own, and one in which the brighter half of the image has the second moments
of a disc, as in affine-invariant moments (Rothe, Susse and Voss, IEEE Trans. Pattern Anal. Mach. Intell. 1996, 18:366),
so that a turned head fits although its thumbnail has other proportions. An image of which a part was cut away, or whose
thumbnail is larger for a label beside the head, looks like a part of the other image: the parts of each image are
sought among whole ones. Blocks of images are read in turn, so thumbnails may be mapped from disk.
"""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np
from scipy import fft
from scipy.spatial import cKDTree
from threadpoolctl import threadpool_limits

from brainlib.audit.alignment import grid, inverse, sample
from brainlib.data.thumbnails import averaged, equalised
from brainlib.io import threads

MIN_SIMILARITY = 0.65  # correlation of the rings, below which a pair is no candidate
PER_IMAGE = 24  # most candidates of a whole image, and of its parts
_SMALL = 48  # pixels from which rings are sampled
_RINGS, _ANGLES, _FREQUENCIES = np.linspace(0.25, 1.9, 8, dtype=np.float32), 32, 6  # the frame's unit is one deviation
_BOX = np.float32(0.53)  # deviations of a disc that fills a thumbnail: the outermost ring touches its edges
_NEIGHBOURS = 16  # of the whole and of each part, in either frame
_INEXACT = 2.0  # `eps` of the tree: among 16 000 real slices a seventh of the time, and 97 % of the same neighbours
_TURNS = 64  # angles that are compared
_BLOCK = 256  # images of which a thread seeks candidates at a time


def _parts() -> list[tuple[slice, slice]]:
    """Rows and columns of the whole, and of what is left without a strip on one side, two or all of them."""
    whole, narrow = slice(0, _SMALL), slice(4, _SMALL - 4)
    parts = [(whole, whole), (narrow, whole), (whole, narrow), (narrow, narrow)]
    for cut in (3, 6, 9, 12):
        for kept in (slice(cut, _SMALL), slice(0, _SMALL - cut)):
            parts += [(kept, whole), (whole, kept)]
    for cut in (4, 8):
        parts += product((slice(cut, _SMALL), slice(0, _SMALL - cut)), repeat=2)
    return parts


_PARTS = _parts()


class Candidates(NamedTuple):
    """Pairs that may be near-duplicates, (m, 2), maps from the first to the second, (m, 2, 3), and their similarity."""

    pairs: np.ndarray
    maps: np.ndarray
    similarity: np.ndarray

    @classmethod
    def joined(cls, parts: list[Candidates]) -> Candidates:
        """Join several, in their order."""
        return cls(*map(np.concatenate, zip(*parts, strict=True)))

    def most_similar(self) -> Candidates:
        """Of each pair keep the most similar map and mirrored map, and of each first image `PER_IMAGE` of these."""
        posed = self._posed()
        posed = posed._at(np.argsort(posed.pairs[:, 0], kind="stable"))
        first = posed.pairs[:, 0]
        return posed._at(np.arange(len(first)) - np.searchsorted(first, first) < PER_IMAGE)

    def best(self) -> Candidates:
        """Of each pair, mirrored and not, keep the map of the highest similarity; the most similar come first.

        The smaller position of a pair becomes its first.
        """
        pairs, swapped = np.sort(self.pairs, axis=1), self.pairs[:, 0] > self.pairs[:, 1]
        maps = np.where(swapped[:, None, None], inverse(self.maps), self.maps)
        return Candidates(pairs, maps, self.similarity)._posed()

    def _posed(self):
        return self._at(best_rows(np.column_stack([self.pairs, mirrored(self.maps)]), self.similarity))

    def _at(self, rows):
        return Candidates(*(each[rows] for each in self))


def best_rows(keys: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the row of the highest value of each of the keys, (m, k), by descending values."""
    order = np.argsort(-values, kind="stable")
    return order[np.sort(np.unique(keys[order], axis=0, return_index=True)[1])]


def mirrored(maps: np.ndarray) -> np.ndarray:
    """Tell which maps, (m, 2, 3), mirror."""
    return np.linalg.det(maps[:, :, :2]) < 0


class Search:
    """Seeks candidates for images among `thumbnails`, uint8 (n, SIDE, SIDE)."""

    def __init__(self, thumbnails: np.ndarray):
        self.n = len(thumbnails)
        with threadpool_limits(1, "blas"), threads() as pool:
            found = list(pool.map(lambda block: _views(thumbnails[block], _PARTS[:1]), _blocks(self.n)))
        self._rings, self._frames = (np.concatenate(each, axis=1) for each in zip(*found, strict=True))
        self._trees = [cKDTree(_vectors(rings)) for rings in self._rings]

    def candidates(self, thumbnails: np.ndarray, since: int | None = None) -> Candidates:
        """Seek candidates for each image: pairs of its position and that of an image of the search.

        With `since` the images are those of the search from that position on: their positions are those of the search,
        and none is a candidate for itself.
        """

        def of_block(block):
            views = zip(*_views(thumbnails[block]), strict=True)
            start = None if since is None else block.start + since
            found = [Candidates.joined(list(self._of_view(view, *of, start))) for view, of in enumerate(views)]
            # The parts have a share of their own, or the whole ones of a larger group would leave them none.
            kept = Candidates.joined([Candidates.joined(each).most_similar() for each in (found[:2], found[2:])])
            return Candidates(kept.pairs + [block.start + (since or 0), 0], kept.maps, kept.similarity)

        with threadpool_limits(1, "blas"), threads() as pool:
            return Candidates.joined(list(pool.map(of_block, _blocks(len(thumbnails)))))

    def _of_view(self, view, rings, frames, start):
        """Candidates of one view of images, of which the first is that at `start`, or none, of the search."""
        own = start is not None
        count = min(_NEIGHBOURS + own, self.n)
        tree, others, their_frames = (each[view % 2] for each in (self._trees, self._rings, self._frames))
        # Amplitudes at a distance d allow a correlation of 1 - d**2 / 2 at most.
        farthest = np.sqrt(2 - 2 * MIN_SIMILARITY)
        distance, near = tree.query(_vectors(rings), [*range(1, count + 1)], _INEXACT, distance_upper_bound=farthest)
        kept = np.isfinite(distance)
        if own:
            kept &= near != np.arange(start, start + len(near))[:, None]
        pairs = np.column_stack([np.nonzero(kept)[0], near[kept]])
        return _poses(pairs, rings, frames, others, their_frames)


def poses(thumbnails: np.ndarray, pairs: np.ndarray) -> Candidates:
    """Return the most similar pose of each of some pairs, (m, 2), and the most similar mirrored one."""
    rings, frames = _views(thumbnails)
    found = []
    for block in _blocks(len(pairs)):
        posed = []
        for way in (pairs[block], pairs[block, ::-1]):
            for view, (own, own_frames) in enumerate(zip(rings, frames, strict=True)):
                posed += _poses(way, own, own_frames, rings[view % 2], frames[view % 2], least=-1)
        found.append(Candidates.joined(posed).best())
    return Candidates.joined(found)


def _blocks(n):
    return [slice(start, start + _BLOCK) for start in range(0, max(n, 1), _BLOCK)]


def _vectors(rings):
    return np.abs(rings).reshape(len(rings), -1)


def _poses(pairs, own, own_frames, others, frames, least=MIN_SIMILARITY):
    """Candidates of pairs of rows of `own` and `others` at the best angle, as they are and mirrored."""
    first, second = pairs.T
    turns = np.arange(_TURNS) * (2 * np.pi / _TURNS)
    waves = np.outer(np.arange(_FREQUENCIES), turns)
    waves = np.concatenate([np.cos(waves), -np.sin(waves)]).astype(np.float32)
    a, b = own[first], others[second]
    for flipped in (False, True):
        # A ring at an angle is the other's at the turn plus the angle; if that is mirrored, minus the angle.
        products = ((a if flipped else a.conj()) * b).sum(axis=1)
        correlation = np.concatenate([products.real, products.imag], axis=1) @ waves
        # Where grey values are inverted, the correlation is negative.
        best = np.abs(correlation).argmax(axis=1)
        similarity = np.abs(correlation[np.arange(len(best)), best])
        kept = np.flatnonzero(similarity >= least)
        maps = _maps(own_frames[first[kept]], frames[second[kept]], turns[best[kept]], flipped)
        yield Candidates(pairs[kept], maps, similarity[kept])


def _maps(fixed, moving, turn, flipped):
    """Affine maps from frames to frames that are turned by an angle, and before that mirrored where told."""
    cos, sin, sign = np.cos(turn), np.sin(turn), -1 if flipped else 1
    rotation = np.array([[cos, -sign * sin], [sin, sign * cos]]).transpose(2, 0, 1)
    linear = moving[:, :, :2] @ rotation @ np.linalg.inv(fixed[:, :, :2])
    return np.concatenate([linear, moving[:, :, 2:] - linear @ fixed[:, :, 2:]], axis=2).astype(np.float32)


def _views(thumbnails, parts=_PARTS):
    """Fourier coefficients of rings, complex64 (views, n, rings, frequencies), and frames, float32 (views, n, 2, 3).

    The views are two of each part, the whole being the first: in the part's own frame, and in that of its moments.
    """
    small = np.rint(averaged(thumbnails.astype(np.float32), _SMALL)).astype(np.uint8)
    pixels, found = grid(_SMALL), []
    for rows, columns in parts:
        ranks, down, across = equalised(small[:, rows, columns]), pixels[rows], pixels[columns]
        size = np.array([len(across), len(down)]) / _SMALL
        own = np.column_stack([np.diag(_BOX * size), [across.mean(), down.mean()]]).astype(np.float32)
        for frames in (np.tile(own, (len(ranks), 1, 1)), _moment_frames(ranks, down, across)):
            found.append((_rings(ranks, frames, rows.start, columns.start), frames))
    return tuple(np.stack(each) for each in zip(*found, strict=True))


def _moment_frames(ranks, down, across):
    """Frames in which the ranks above the middle, or below it where these lie around them, have unit deviations."""
    edge = np.concatenate([ranks[:, 0], ranks[:, -1], ranks[:, :, 0], ranks[:, :, -1]], axis=1).mean(axis=1)
    weight = np.maximum(np.where(edge > 0.5, -1, 1)[:, None, None] * (ranks - np.float32(0.5)), 0)
    weight /= np.maximum(weight.sum((1, 2), keepdims=True), 1e-6)
    by_row, by_column = weight.sum(axis=2), weight.sum(axis=1)
    x, y = by_column @ across, by_row @ down
    xx, yy = by_column @ across**2 - x**2, by_row @ down**2 - y**2
    xy = np.vecdot(weight @ across, down) - x * y
    values, vectors = np.linalg.eigh(np.array([[xx, xy], [xy, yy]]).transpose(2, 0, 1))
    root = (vectors * np.sqrt(np.maximum(values, 1e-3))[:, None]) @ vectors.transpose(0, 2, 1)
    return np.concatenate([root, np.stack([x, y], axis=1)[:, :, None]], axis=2).astype(np.float32)


def _rings(ranks, frames, top, left):
    """Sample rings around the origin of each frame; their Fourier coefficients have norm 1."""
    angles = np.arange(_ANGLES, dtype=np.float32) * np.float32(2 * np.pi / _ANGLES)
    circles = np.stack([np.outer(_RINGS, function(angles)).ravel() for function in (np.cos, np.sin)])
    x, y = ((frames[:, :, :2] @ circles + frames[:, :, 2:] + 1) * (_SMALL / 2) - np.float32(0.5)).transpose(1, 0, 2)
    values = sample(ranks, x - left, y - top).reshape(len(ranks), len(_RINGS), _ANGLES)
    values -= values.mean((1, 2), keepdims=True)
    # Longer rings count more; a frequency above zero stands for itself and for its conjugate.
    weight = np.sqrt(_RINGS)[:, None] * np.sqrt(np.where(np.arange(_FREQUENCIES) > 0, 2, 1))
    found = fft.rfft(values, axis=2)[:, :, :_FREQUENCIES] * weight.astype(np.float32)
    return found / np.maximum(np.linalg.norm(found, axis=(1, 2), keepdims=True), 1e-6)
