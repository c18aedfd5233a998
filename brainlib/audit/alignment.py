"""Pictures laid over each other by affine maps, many pairs at once.

Coordinates run from -1 to 1 across a picture, so that a map holds at every size; a map is
float32 (2, 3) and says where in the moving picture each pixel of the still one lies.
"""

from __future__ import annotations

import numpy as np


def _grid(n):
    """Coordinates of the pixels of a picture, from -1 to 1 across it."""
    steps = (np.arange(n, dtype=np.float32) + 0.5) * 2 / n - 1
    return np.meshgrid(steps, steps, indexing="xy")


def laid_over(pictures: np.ndarray, maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sample pictures where maps send each pixel, bilinear.

    Parameters
    ----------
    pictures : (m, n, n) array of float32
    maps : (m, 2, 3) array of float32

    Returns
    -------
    (m, n, n) array of float32
    (m, n, n) array of bool
        Which pixels lie within the picture; the others have the value of its edge.
    """
    n = pictures.shape[1]
    x, y = _grid(n)
    where = [
        (row[:, 0, None, None] * x + row[:, 1, None, None] * y + row[:, 2, None, None] + 1) * (n / 2) - 0.5
        for row in (maps[:, 0], maps[:, 1])
    ]
    inside = np.ones(pictures.shape, bool)
    for axis in where:
        inside &= (axis >= 0) & (axis <= n - 1)
        np.clip(axis, 0, n - 1.001, out=axis)
    left, top = (axis.astype(np.int32) for axis in where)
    right, down = where[0] - left, where[1] - top
    flat, base = pictures.reshape(-1), (np.arange(len(pictures)) * n * n)[:, None, None] + top * n + left
    above = flat[base] + right * (flat[base + 1] - flat[base])
    below = flat[base + n] + right * (flat[base + n + 1] - flat[base + n])
    return above + down * (below - above), inside


def aligned(still: np.ndarray, moving: np.ndarray, maps: np.ndarray, steps: int) -> np.ndarray:
    """Find the affine maps that lay each moving picture over the still one, whatever its gain and offset.

    The inverse compositional algorithm of Baker and Matthews (Int. J. Comput. Vis. 2004, 56:221). It goes
    downhill from where it starts, so another map may come out when the pictures change places.

    Parameters
    ----------
    still, moving : (m, n, n) array of float32
    maps : (m, 2, 3) array of float32
        Where it starts.
    steps : int

    Returns
    -------
    (m, 2, 3) array of float32
    """
    pairs, n = still.shape[:2]
    x, y = _grid(n)
    down, across = (np.gradient(still, axis=axis) * np.float32(n / 2) for axis in (1, 2))
    steepest = np.stack([across * x, across * y, across, down * x, down * y, down], axis=1)
    steepest = steepest.reshape(pairs, 6, -1)
    hessian = steepest @ steepest.transpose(0, 2, 1)
    # A picture without structure in some direction stays where it is instead of running away.
    ridge = np.trace(hessian, axis1=1, axis2=2)[:, None, None] * np.float32(1e-3 / 6) + np.float32(1e-6)
    inverse = np.linalg.inv(hessian + ridge * np.eye(6, dtype=np.float32))
    last = np.tile(np.array([0, 0, 1], np.float32), (pairs, 1, 1))
    for _ in range(steps):
        laid, inside = laid_over(moving, maps)
        weight = inside / np.maximum(inside.sum((1, 2), keepdims=True), 1).astype(np.float32)
        a = (laid - (laid * weight).sum((1, 2), keepdims=True)) * inside
        b = (still - (still * weight).sum((1, 2), keepdims=True)) * inside
        gain = (a * b).sum((1, 2), keepdims=True) / np.maximum((a * a).sum((1, 2), keepdims=True), 1e-9)
        error = (gain * a - b).reshape(pairs, -1, 1)
        step = np.clip((inverse @ (steepest @ error))[:, :, 0], -0.08, 0.08).reshape(pairs, 2, 3)
        change = np.concatenate([step + np.eye(2, 3, dtype=np.float32), last], axis=1)
        whole = np.concatenate([maps, last], axis=1)
        maps = (whole @ np.linalg.inv(change))[:, :2].astype(np.float32)
    return maps
