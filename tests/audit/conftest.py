"""Folders of images that tests of the audit share."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="session")
def write_image():
    """A function that writes grey values (uint8) to an image file, with the folders above it."""

    def write(path, pixels):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.ascontiguousarray(pixels)).save(path)

    return write
