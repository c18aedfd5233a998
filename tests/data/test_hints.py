"""What a file tells without a look at the brain."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from brainlib.data import hints


def encoded(pixels, kind, **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def test_ten_numbers_describe_grey_values():
    grey = np.array([[0, 10, 250], [20, 100, 30]], np.uint8)
    found = hints.grey_values(grey)
    spread = np.sqrt(np.mean((np.array([0, 10, 250, 20, 100, 30]) - 410 / 6) ** 2))
    # Neighbours differ by 10, 240, 80, 70 across and by 20, 90, 220 down.
    expected = [410 / 6, spread, 2 / 6, 1 / 6, 260 / 3, 150 / 3, 10, 140, 100, 110]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_array_equal(hints.grey_values(np.array([[7]], np.uint8))[-2:], [0, 0])


def test_tables_of_quantisation_are_those_that_the_file_was_written_with():
    pixels = np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8)
    own = [list(range(1, 65)), [5] * 64]
    record = hints.hints_of(encoded(pixels, "JPEG", qtables=own), Image.fromarray(pixels))
    np.testing.assert_array_equal(record["quantisation"], own)
    grey = hints.hints_of(encoded(pixels[..., 0], "JPEG", qtables=own[:1]), Image.fromarray(pixels))
    np.testing.assert_array_equal(grey["quantisation"], [own[0], [0] * 64])


@pytest.mark.parametrize("data", [encoded(np.zeros((9, 9), np.uint8), "PNG"), b"no image of Pillow's", b""])
def test_a_file_without_tables_has_none(data):
    record = hints.hints_of(data, Image.new("L", (9, 9)))
    assert not record["quantisation"].any()


def test_the_pixels_are_averages_of_the_whole_image():
    quarters = np.zeros((64, 32), np.uint8)
    quarters[32:] = 90
    quarters[:, 16:] += 30
    pixels = hints.hints_of(b"", Image.fromarray(quarters))["pixels"]
    np.testing.assert_array_equal(pixels[[0, 0, 15, 15], [0, 15, 0, 15]], [0, 30, 90, 120])
