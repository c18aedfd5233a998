"""Registration of many pairs of images at once, by affine maps.

Coordinates run from -1 to 1 across an image, so that a map holds at every resolution. A map is float32
(2, 3) and gives, for each pixel of the fixed image, its position in the moving image. All values are float32: with
about 2**17 pixels of a call, most of its arrays lie in the cache of a core, which matters more than anything else.
"""

from __future__ import annotations

import numpy as np

# Where the moments of an image, [power of y, power of x], have the sums over x, y and 1 times x, y and 1.
_Y, _X = np.array([[0, 1, 0], [1, 2, 1], [0, 1, 0]]), np.array([[2, 1, 1], [1, 0, 0], [1, 0, 0]])


def grid(n: int) -> np.ndarray:
    """Return the coordinates of the columns, or rows, of an (n, n) image: float32 (n,)."""
    return (np.arange(n, dtype=np.float32) + 0.5) * (2 / n) - 1


def warp(images: np.ndarray, maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sample images, (m, n, n), at the positions that their maps give, with bilinear interpolation.

    The second array tells which positions lie within the image. The others take the value at its nearest edge.
    """
    n, inside, positions = images.shape[1], True, []
    for x, y, shift in maps.transpose(1, 2, 0) * (n / 2):
        position = (
            np.multiply.outer(x, grid(n))[:, None]
            + (np.multiply.outer(y, grid(n)) + (shift + (n - 1) / 2)[:, None])[..., None]
        )
        inside = inside & (position >= 0) & (position <= n - 1)
        positions.append(position)
    return sample(images, *positions), inside


def sample(images: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Interpolate images, (m, rows, columns), at positions in pixels, each (m, ...), which are overwritten."""
    before, share = [], []
    for position, size in ((x, images.shape[2]), (y, images.shape[1])):
        np.clip(position, 0, size - 1.001, out=position)
        before.append(np.floor(position))
        share.append(np.subtract(position, before[-1], out=position))
    left, top = before
    first = np.arange(len(images)) * (images.shape[1] * images.shape[2])
    base = (top * images.shape[2] + left).astype(np.intp) + first.reshape(-1, *[1] * (x.ndim - 1))
    flat = images.reshape(-1)
    above, below = (
        _between(flat[row:].take(base), flat[row + 1 :].take(base), share[0]) for row in (0, images.shape[2])
    )
    return _between(above, below, share[1])


def _between(first, second, share):
    """Interpolate between two arrays; both are overwritten."""
    second -= first
    second *= share
    first += second
    return first


def register(fixed: np.ndarray, moving: np.ndarray, maps: np.ndarray, steps: int) -> np.ndarray:
    """Find the affine maps that register each moving image, of (m, n, n), to its fixed image.

    Gain and offset of the grey values may differ. The method is the inverse compositional algorithm of
    Baker and Matthews (Int. J. Comput. Vis. 2004, 56:221), a local search, so that exchanging the two
    images may give another map. It starts from `maps` and takes `steps` iterations.
    """
    if not steps:
        return maps
    pairs, n = fixed.shape[:2]
    powers = grid(n)[:, None] ** np.arange(3, dtype=np.float32)
    down, across = (np.gradient(fixed, axis=axis) * np.float32(n / 2) for axis in (1, 2))
    # The derivatives by the numbers of a map are `across` and `down` times x, y and 1: products with them are moments.
    products = [_moments(a * b, powers)[:, _Y, _X] for a, b in ((across, across), (across, down), (down, down))]
    hessian = np.block([products[:2], products[1:]])
    # The ridge keeps an image without structure in some direction from drifting along it.
    ridge = np.trace(hessian, axis1=1, axis2=2)[:, None, None] * np.float32(1e-3 / 6) + np.float32(1e-6)
    inverse = np.linalg.inv(hessian + ridge * np.eye(6, dtype=np.float32))
    last = np.tile(np.array([0, 0, 1], np.float32), (pairs, 1, 1))
    for _ in range(steps):
        a, b = _centred(*warp(moving, maps), fixed)
        gain = np.vecdot(a, b) / np.maximum(np.vecdot(a, a), 1e-9)
        a *= gain[:, None]
        a -= b
        error = a.reshape(fixed.shape)
        products = [_moments(each * error, powers)[:, _Y[2], _X[2]] for each in (across, down)]
        step = inverse @ np.concatenate(products, axis=1)[:, :, None]
        step = np.clip(step, -0.08, 0.08).reshape(pairs, 2, 3)
        update = np.concatenate([step + np.eye(2, 3, dtype=np.float32), last], axis=1)
        current = np.concatenate([maps, last], axis=1)
        maps = (current @ np.linalg.inv(update))[:, :2]
    return maps


def correlate(fixed: np.ndarray, warped: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Pearson's correlation of each pair over the pixels inside both images; 0 without variation."""
    a, b = _centred(warped, inside, fixed)
    squares = np.vecdot(a, a) * np.vecdot(b, b)
    return np.vecdot(a, b) / np.sqrt(np.maximum(squares, (1e-6 * a.shape[1]) ** 2))


def inverse(maps: np.ndarray) -> np.ndarray:
    """Exchange the fixed and the moving image of each map, (m, 2, 3)."""
    linear = np.linalg.inv(maps[:, :, :2])
    return np.concatenate([linear, -linear @ maps[:, :, 2:]], axis=2)


def _moments(images, powers):
    """Sum the pixels of each image times each power of y and of x: (m, 3, 3)."""
    return powers.T @ (images @ powers)


def _centred(warped, inside, fixed):
    """Subtract the means over the pixels inside from both images of each pair, (m, n * n); 0 outside."""
    weight = inside.reshape(len(inside), -1).astype(np.float32)
    count = np.maximum(weight.sum(axis=1), 1)
    both = []
    for image in (warped.reshape(weight.shape), fixed.reshape(weight.shape)):
        image = image - (np.vecdot(image, weight) / count)[:, None]
        image *= weight
        both.append(image)
    return both
