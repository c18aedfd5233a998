"""Image files for tests: of given grey values, and PNGs with what no library would write."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image


def png(width: int, height: int, depth: int = 8, kind: int = 0, rows: bytes = b"") -> bytes:
    """A PNG with this header and these rows, which need not be those that it announces."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def write_image(path: Path, pixels: np.ndarray) -> None:
    """Write grey values (uint8) to an image file, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(pixels)).save(path)
