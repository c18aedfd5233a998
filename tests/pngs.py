"""PNG files written by hand: with what no library would write."""

from __future__ import annotations

import struct
import zlib


def png(width: int, height: int, depth: int = 8, kind: int = 0, rows: bytes = b"") -> bytes:
    """A PNG with this header and these rows, which need not be those that it announces."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
