"""What an audit compares: a thumbnail of each image, cropped to the head; and quality flags."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageOps
from scipy import ndimage

#: Part of the key of stored entries: raise it when `thumbnail` or `quality_flag` gives others.
VERSION = "2"
SIDE = 96  # pixels of a thumbnail: enough detail to tell two slices a few millimetres apart


def thumbnail(image: Image.Image) -> np.ndarray:
    """Crop an image, as `images.decode` returns it, to the head and shrink it: uint8 (SIDE, SIDE).

    The head is the largest connected area brighter than half of Otsu's threshold (IEEE Trans. Syst. Man Cybern. 1979,
    9:62), so that margins, letters and a moderate crop change little. In an image of inverted grey values, where most
    of the edge is bright, it is the darker one. The thumbnail's grey values are the image's.
    """
    grey = image.convert("L")
    upright = ImageOps.invert(grey) if _inverted(grey) else grey
    box = _head(upright, np.array([0, 0, *grey.size], float))
    # Once more at the scale of the head, so that a margin does not change what its edge is.
    margin = 0.1 * (box[2:] - box[:2])
    box = _head(upright, np.clip(box + [*-margin, *margin], 0, np.tile(grey.size, 2)))
    return np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.BILINEAR, box=tuple(box)))


def _inverted(grey):
    """Tell whether most of the outermost pixels are brighter than Otsu's threshold."""
    small = np.asarray(grey.resize((64, 64), Image.Resampling.BILINEAR))
    edge = np.concatenate([small[:3].ravel(), small[-3:].ravel(), small[:, :3].ravel(), small[:, -3:].ravel()])
    return np.median(edge) > otsu(small)


def _head(grey, box):
    """Return the largest bright area within a box (left, top, right, bottom; pixels), or all of it if none is large."""
    side = 128
    areas, sizes = bright_areas(grey.resize((side, side), Image.Resampling.BILINEAR, box=tuple(box)), 0.5)
    if not len(sizes):
        return box
    rows, columns = ndimage.find_objects(areas)[np.argmax(sizes)]
    if min(rows.stop - rows.start, columns.stop - columns.start) < side // 8:
        return box
    corners = [columns.start, rows.start, columns.stop, rows.stop]
    return np.tile(box[:2], 2) + corners * np.tile((box[2:] - box[:2]) / side, 2)


def bright_areas(grey: Image.Image, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the connected areas brighter than a share of Otsu's threshold, numbered from 1, and their sizes."""
    smooth = ndimage.uniform_filter(np.asarray(grey), 5)
    areas, _ = ndimage.label(smooth > share * otsu(smooth))
    return areas, np.bincount(areas.ravel())[1:]


def otsu(values: np.ndarray) -> int:
    """Return Otsu's threshold of grey values (uint8); of a single value, that value."""
    counts = np.bincount(values.ravel(), minlength=256).astype(float)
    below, sums = np.cumsum(counts), np.cumsum(counts * np.arange(256))
    rest = below[-1] - below
    between = (sums[-1] * below / below[-1] - sums) ** 2
    return int(np.argmax(np.divide(between, below * rest, out=np.zeros(256), where=below * rest > 0)))


def quality_flag(image: Image.Image) -> str:
    """Return why a decoded image may be no MRI slice, judged by simple statistics, or "".

    A slice is grey, mostly dark around the head and not of one value. The limits are choices, so that few images are
    flagged, each for a person to look at.
    """
    small = image.resize((64, 64), Image.Resampling.BILINEAR)
    grey = np.asarray(small.convert("L"), dtype=float)
    if min(image.size) < 32:
        return f"only {image.width} by {image.height} pixels"
    if grey.std() < 8:
        return "hardly any contrast"
    if image.mode == "RGB":
        channels = np.asarray(small, dtype=float).transpose(2, 0, 1)
        if (np.maximum.reduce(channels) - np.minimum.reduce(channels)).mean() > 20:
            return "coloured"
    corners = np.concatenate([grey[:6, :6], grey[:6, -6:], grey[-6:, :6], grey[-6:, -6:]])
    return "a bright background" if np.median(corners) > 128 else ""


def equalised(thumbnails: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    """Replace each grey value (uint8) by its rank within its image, 0 to 1, which removes differences of contrast."""
    offsets = 256 * np.arange(len(thumbnails))[:, None, None]
    values = offsets + thumbnails
    counts = np.bincount(values.ravel(), minlength=256 * len(values)).reshape(-1, 256)
    ranks = (np.cumsum(counts, axis=1) - 0.5 * counts) / values[0].size
    return ranks.astype(np.float32).take(values)


def averaged(images: np.ndarray, side: int) -> np.ndarray:
    """Average square blocks of pixels: (n, side, side), where `side` divides the images' own."""
    factor = images.shape[1] // side
    return images.reshape(-1, side, factor, side, factor).mean((2, 4))
