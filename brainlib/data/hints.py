"""What an image file tells without a look at the brain: how it was encoded, its grey values, and 16 by 16 pixels.

`brainlib.audit.shortcuts` measures whether this alone gives the label away.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from brainlib.data.images import FORMATS

#: Part of the key of stored entries: raise it when `hints_of` gives others.
VERSION = "1"
SIDE = 16
DARK, BRIGHT = 16, 240  # grey values below, and from which on, a pixel is dark, or bright: choices
_TABLES = 2  # of a JPEG file: that of the brightness, and that of both colours
HINTS = np.dtype([("quantisation", "u2", (_TABLES, 64)), ("grey", "f4", 10), ("pixels", "u1", (SIDE, SIDE))])


def hints_of(data: bytes, image: Image.Image) -> np.void:
    """Return what the bytes of a file, and the image decoded from them, tell: one record of `HINTS`.

    ``quantisation`` are the tables of a JPEG file, 0 where there is none; ``grey`` is `grey_values`; ``pixels`` is the
    whole image, stretched and averaged.
    """
    grey = image.convert("L")
    pixels = grey.resize((SIDE, SIDE), Image.Resampling.BOX)
    return np.array((_quantisation(data), grey_values(np.asarray(grey)), pixels), HINTS)[()]


def grey_values(grey: np.ndarray) -> np.ndarray:
    """Describe the grey values, uint8 (h, w), by ten numbers, float32 (10,).

    Mean, standard deviation, shares of dark and of bright pixels, mean of the top and the bottom row, of the left and
    the right column, and mean difference of neighbours across and down (0 of a single column or row).
    """
    edges = (grey[0], grey[-1], grey[:, 0], grey[:, -1])
    steps = (np.abs(np.diff(grey.astype(np.int16), axis=axis)) for axis in (1, 0))
    of_all = (grey.mean(), grey.std(), (grey < DARK).mean(), (grey >= BRIGHT).mean())
    return np.array(
        [*of_all, *(each.mean() for each in edges), *(each.sum() / max(each.size, 1) for each in steps)], "f4"
    )


def _quantisation(data):
    tables = np.zeros((_TABLES, 64), np.uint16)
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            for place, table in enumerate(list(getattr(image, "quantization", {}).values())[:_TABLES]):
                tables[place] = table
    except Exception:  # of a file that is read by other means; a damaged one is refused before
        tables[:] = 0
    return tables
