"""Images with outlined lesions: each has a mask of the same path in a folder beside the images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

MASKS = "masks"


def write(root: Path, path: str, image: np.ndarray, lesion: np.ndarray) -> None:
    """Write an image, uint8 (height, width), and its lesion, bool (height, width), as PNG."""
    for pixels, file in ((image, root / path), (lesion.astype(np.uint8) * 255, root / MASKS / path)):
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(file, compress_level=1)


def read(root: Path, path: str, size: int) -> np.ndarray | None:
    """Return the lesion of an image at a size, bool (size, size); None where none is known or nothing is left of it."""
    file = Path(root) / MASKS / path
    if not file.is_file():
        return None
    with Image.open(file) as image:
        small = image.convert("L").resize((size, size), Image.Resampling.NEAREST)
    lesion = np.asarray(small) > 127
    return lesion if lesion.any() else None
