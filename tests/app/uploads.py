"""Files that a person might upload: a slice, and what is refused, each with a part of the sentence that says so."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image
from pngs import png

from brainlib.app.viewer import MAX_UPLOAD_BYTES


def saved(image, format="PNG", **options) -> bytes:
    """An image as the bytes of a file."""
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def slice_like(size=(200, 200), top=255):
    """A bright disc on black, with some texture."""
    rng, (width, height) = np.random.default_rng(0), size
    across, down = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    return (across**2 + down**2 < 0.6) * rng.uniform(0.4, 1, (height, width)) * top


GREY = Image.fromarray(slice_like().astype(np.uint8))
_ANIMATED = saved(GREY, "GIF", save_all=True, append_images=[GREY.rotate(90), GREY.rotate(180)])
_PAGES = saved(GREY, "TIFF", save_all=True, append_images=[GREY])
BAD = {
    "empty.png": (b"", "received an empty file"),
    "words.jpg": (b"no picture at all" * 20, "that are none"),
    "slice.dcm": (b"\0" * 128 + b"DICM" + b"\2\0\0\0UL\4\0" * 9, "received a DICOM file"),
    "animated.gif": (_ANIMATED, "received several in one file"),
    "pages.tif": (_PAGES, "received several in one file"),
    "huge.png": (b"\x89PNG" + bytes(MAX_UPLOAD_BYTES), "at most 8 MB, received one of 8.0 MB"),
    "bomb.png": (png(60000, 60000), "announces more"),
    "large.png": (png(6000, 6000), "announces more"),
    "truncated.png": (saved(GREY)[:-400], "cannot be decoded"),
    "script.eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "that are none"),
}
