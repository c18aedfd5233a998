"""Image files as arrays: decoded, hashed, resized and kept in the store.

Public sets are untidy: PNG files named ``.jpg``, grey beside colour, palettes, alpha channels. A file's bytes decide
what it is, not its name. A damaged file gives an error of one line that names it.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps

from brainlib.errors import DataError, reason
from brainlib.io import stored_array, threads

#: Part of the keys of the store: raise it when decoding, hashing or resizing gives other pixels.
VERSION = "1"
#: Suffixes (lower case) of the files that count as images.
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp"})
#: Pillow also reads formats that start other programs (EPS starts Ghostscript): none is needed.
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP")
MAX_FILE_BYTES = 256 * 2**20  # a slice has less than 2**20; a file of any size would fill the memory
MAX_PIXELS = 25_000_000  # a few hundred megabytes while they are decoded
# A damaged image is an error or decodes all the same: either way Pillow's warnings would be lines about nothing.
warnings.filterwarnings("ignore", module=r"PIL\.")
_ADVICE = "replace the file by a fresh copy of the data set's"
_CHUNK = 64  # images in memory at once while the memory map is written: 11 MB at 240 by 240 by 3


def decode(path: Path) -> Image.Image:
    """Decode an image file to 8 bits, upright, grey or colour.

    Grey files stay ``"L"``. Palette, CMYK and YCbCr files become ``"RGB"``. Alpha is dropped, not blended, as by
    Keras' ``load_img``. A 16-bit value v becomes round(v / 257). Floats are read as 0 to 1, 0 to 255 or 0 to 65535,
    the narrowest of these ranges that holds them all.

    The result has mode ``"L"`` or ``"RGB"`` and values 0 to 255; the EXIF rotation is applied. DataError if the file
    cannot be read, is empty, is not an image, is truncated, or announces more pixels than `MAX_PIXELS` (before any of
    them is decoded).
    """
    return decode_bytes(read(path), path)[0]


def decode_bytes(data: bytes, name: Path | str, advice: str = _ADVICE) -> tuple[Image.Image, tuple[int, int, str, str]]:
    """Decode the bytes of an image file as `decode` does; also return width, height, mode and format as stored.

    An error message calls the image `name` and tells its reader to do `advice`.
    """
    if not data:
        raise DataError(f"{name}: expected an image, received an empty file (0 bytes); {advice}")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise Image.DecompressionBombError(f"{image.width} x {image.height} pixels")
            stored = (image.width, image.height, image.mode, image.format or "")
            image.load()
            return _to_eight_bits(_upright(image)), stored
    except Exception as error:  # a damaged file makes Pillow raise nearly any kind of exception
        problem = f"a whole image, received one that cannot be decoded ({reason(error)})"
        if isinstance(error, Image.UnidentifiedImageError):
            problem = f"an image ({', '.join(FORMATS)}), received {len(data)} bytes that are none"
        elif isinstance(error, Image.DecompressionBombError):
            problem = (
                f"at most {MAX_PIXELS // 10**6} million pixels, received an image that announces more ({reason(error)})"
            )
        raise DataError(f"{name}: expected {problem}; {advice}") from error


def pixel_hash(image: Image.Image) -> str:
    """Return the SHA-256 of width, height and grey values of a decoded image, as 64 hexadecimal digits.

    Duplicates in different formats, or with one channel and three equal ones, have the same.
    """
    digest = hashlib.sha256(f"{image.width}x{image.height}:".encode())
    digest.update(image.convert("L").tobytes())
    return digest.hexdigest()


def load_images(
    paths: Sequence[Path],
    byte_hashes: Sequence[str],
    size: int,
    channels: int,
    store: Path,
    resizing: str = "bilinear",
) -> np.ndarray:
    """Return image files as one array, uint8 (n, size, size, channels): a read-only map of a file in ``store/images/``.

    The files, `paths`, must still have the SHA-256 in `byte_hashes` (see `DataSet.files`); for size, channels and
    resizing, see `to_array`. The array's name is a hash of these, the byte hashes in order and `VERSION`. It is
    written a few images at a time, so that memory stays small, and verified when it is read (see `io.stored_array`).
    DataError if a file cannot be decoded or has changed; StoreError if the array cannot be written.
    """
    if size < 1 or channels not in (1, 3):
        raise ValueError(f"expected size >= 1 and channels 1 or 3, received {size} and {channels}")
    shape = (len(paths), size, size, channels)
    key = hashlib.sha256("\n".join([resizing, VERSION, str(shape), *byte_hashes]).encode())

    def one(path: Path, byte_hash: str) -> np.ndarray:
        data = read(path)
        if hashlib.sha256(data).hexdigest() != byte_hash:
            raise DataError(
                f"{path}: expected the bytes that were indexed, received others; "
                "the file changed during the run, so run again"
            )
        return to_array(decode_bytes(data, path)[0], size, channels, resizing)

    def decoded():
        with threads() as pool:
            for start in range(0, len(paths), _CHUNK):
                part = slice(start, start + _CHUNK)
                yield from pool.map(one, paths[part], byte_hashes[part])

    return stored_array(Path(store) / "images" / f"{key.hexdigest()[:32]}.npy", shape, np.uint8, decoded())


def read(path: Path) -> bytes:
    """Return the bytes of an image file; DataError if it cannot be read or is far too large."""
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise DataError(f"{path}: expected an image of at most {MAX_FILE_BYTES} bytes, received {size}; {_ADVICE}")
        return path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path}: expected an image file that can be read, received "
            f"{error.strerror or error}; check that it exists and its permissions"
        ) from error


def _upright(image: Image.Image) -> Image.Image:
    try:
        if image.getexif().get(ExifTags.Base.Orientation, 1) == 1:
            return image  # `exif_transpose` would copy it
        return ImageOps.exif_transpose(image)
    except Exception:  # damaged EXIF bytes say nothing about the rotation nor about the pixels
        return image


def _to_eight_bits(image: Image.Image) -> Image.Image:
    mode = image.mode
    if mode in ("L", "RGB"):
        return image
    if mode[0] in "FI":
        return Image.fromarray(_scale_to_eight_bits(np.asarray(image)))
    image.info.pop("transparency", None)  # dropped either way; Pillow would warn of it
    return image.convert("L" if mode in ("1", "LA", "La") else "RGB")


def _scale_to_eight_bits(values: np.ndarray) -> np.ndarray:
    low, high = float(values.min()), float(values.max())
    if not 0 <= low <= high <= 65535:  # a NaN fails this too
        raise ValueError(f"values from {low:g} to {high:g}, expected 0 to 65535")
    tops = (1, 255, 65535) if values.dtype.kind == "f" else (65535,)
    top = next(top for top in tops if high <= top)
    return np.floor(values * (255.0 / top) + 0.5).astype(np.uint8)


def to_array(image: Image.Image, size: int, channels: int, resizing: str = "bilinear") -> np.ndarray:
    """Resize a decoded image for a model: uint8 (size, size, channels), as ``tf.image.resize`` does it.

    Interpolation is bilinear, without antialiasing, and an image that is not square is stretched; "antialiased" is
    Pillow's, with antialiasing, and so is "padded", which keeps the proportions and adds black borders. There is 1
    channel (grey) or there are 3 (RGB; grey values are repeated).
    """
    if channels == 1:
        image = image.convert("L")
    if resizing == "padded":
        image = ImageOps.pad(image, (size, size), Image.Resampling.BILINEAR)
    elif resizing == "antialiased":
        image = image.resize((size, size), Image.Resampling.BILINEAR)
    pixels = np.asarray(image, dtype=np.uint8)
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    if pixels.shape[:2] != (size, size):
        (top, bottom, down), (left, right, across) = (_neighbours(length, size) for length in pixels.shape[:2])
        lines = pixels[top] * (1 - down[:, None, None]) + pixels[bottom] * down[:, None, None]
        pixels = lines[:, left] * (1 - across[:, None]) + lines[:, right] * across[:, None]
        pixels = (pixels + 0.5).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(pixels, (size, size, channels)))


def _neighbours(length: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return, for each of `size` new pixels, the two old ones around its centre and the second's weight."""
    centre = (np.arange(size) + 0.5) * (length / size) - 0.5
    first = np.floor(centre)
    weight = (centre - first).astype(np.float32)
    first = first.astype(np.intp)
    return np.clip(first, 0, length - 1), np.clip(first + 1, 0, length - 1), weight
