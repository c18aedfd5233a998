"""Registration of many pairs of images at once, by affine maps.

Coordinates run from -1 to 1 across an image, so that a map holds at every resolution. A map is float32
(2, 3) and gives, for each pixel of the fixed image, its position in the moving image.
"""

from __future__ import annotations

import numpy as np


def _grid(n):
    """Coordinates of the pixels of an (n, n) image."""
    steps = (np.arange(n, dtype=np.float32) + 0.5) * 2 / n - 1
    return np.meshgrid(steps, steps, indexing="xy")


def warp(images: np.ndarray, maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sample images, (m, n, n), at the positions that their maps give, with bilinear interpolation.

    The second array tells which positions lie within the image. The others take the value at its nearest edge.
    """
    n = images.shape[1]
    x, y = _grid(n)
    position = [
        (row[:, 0, None, None] * x + row[:, 1, None, None] * y + row[:, 2, None, None] + 1) * (n / 2) - 0.5
        for row in (maps[:, 0], maps[:, 1])
    ]
    inside = np.ones(images.shape, bool)
    for axis in position:
        inside &= (axis >= 0) & (axis <= n - 1)
        np.clip(axis, 0, n - 1.001, out=axis)
    left, top = (axis.astype(np.int32) for axis in position)
    right, down = position[0] - left, position[1] - top
    flat, base = images.reshape(-1), (np.arange(len(images)) * n * n)[:, None, None] + top * n + left
    above = flat[base] + right * (flat[base + 1] - flat[base])
    below = flat[base + n] + right * (flat[base + n + 1] - flat[base + n])
    return above + down * (below - above), inside


def register(fixed: np.ndarray, moving: np.ndarray, maps: np.ndarray, steps: int) -> np.ndarray:
    """Find the affine maps that register each moving image, of (m, n, n), to its fixed image.

    Gain and offset of the grey values may differ. The method is the inverse compositional algorithm of
    Baker and Matthews (Int. J. Comput. Vis. 2004, 56:221), a local search, so that exchanging the two
    images may give another map. It starts from `maps` and takes `steps` iterations.
    """
    pairs, n = fixed.shape[:2]
    x, y = _grid(n)
    down, across = (np.gradient(fixed, axis=axis) * np.float32(n / 2) for axis in (1, 2))
    steepest = np.stack([across * x, across * y, across, down * x, down * y, down], axis=1)
    steepest = steepest.reshape(pairs, 6, -1)
    hessian = steepest @ steepest.transpose(0, 2, 1)
    # The ridge keeps an image without structure in some direction from drifting along it.
    ridge = np.trace(hessian, axis1=1, axis2=2)[:, None, None] * np.float32(1e-3 / 6) + np.float32(1e-6)
    inverse = np.linalg.inv(hessian + ridge * np.eye(6, dtype=np.float32))
    last = np.tile(np.array([0, 0, 1], np.float32), (pairs, 1, 1))
    for _ in range(steps):
        warped, inside = warp(moving, maps)
        weight = inside / np.maximum(inside.sum((1, 2), keepdims=True), 1).astype(np.float32)
        a = (warped - (warped * weight).sum((1, 2), keepdims=True)) * inside
        b = (fixed - (fixed * weight).sum((1, 2), keepdims=True)) * inside
        gain = (a * b).sum((1, 2), keepdims=True) / np.maximum((a * a).sum((1, 2), keepdims=True), 1e-9)
        error = (gain * a - b).reshape(pairs, -1, 1)
        step = np.clip((inverse @ (steepest @ error))[:, :, 0], -0.08, 0.08).reshape(pairs, 2, 3)
        update = np.concatenate([step + np.eye(2, 3, dtype=np.float32), last], axis=1)
        current = np.concatenate([maps, last], axis=1)
        maps = (current @ np.linalg.inv(update))[:, :2].astype(np.float32)
    return maps
