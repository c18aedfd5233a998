"""Decoding, hashing and resizing, against values worked out by hand."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pngs import png

from brainlib.data import images
from brainlib.errors import DataError
from brainlib.io import sha256_of

ROTATE_90_CW = 6  # EXIF orientation: the image is shown turned clockwise
ORIENTATION = 0x0112


def pixels(path: Path) -> np.ndarray:
    return np.asarray(images.decode(path))


def saved(path: Path, array, mode: str | None = None, **options) -> Path:
    image = Image.fromarray(np.asarray(array))
    (image.convert(mode) if mode else image).save(path, **options)
    return path


def noise(height: int, width: int, seed: int = 0, channels: int = 3) -> np.ndarray:
    shape = (height, width, channels) if channels == 3 else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def files(*paths: Path) -> tuple[list[Path], list[str]]:
    return list(paths), [sha256_of(path) for path in paths]


@pytest.fixture
def three(tmp_path: Path) -> tuple[list[Path], list[str]]:
    a = saved(tmp_path / "a.png", noise(6, 6, 1))
    b = saved(tmp_path / "b.png", noise(9, 5, 2))
    return files(a, b, saved(tmp_path / "c.png", noise(6, 6, 3, channels=1)))


def test_grey_and_colour_files_keep_their_mode_and_values(tmp_path):
    grey, colour = noise(4, 3, channels=1), noise(4, 3)
    assert images.decode(saved(tmp_path / "g.png", grey)).mode == "L"
    assert images.decode(saved(tmp_path / "c.png", colour)).mode == "RGB"
    np.testing.assert_array_equal(pixels(tmp_path / "g.png"), grey)
    np.testing.assert_array_equal(pixels(tmp_path / "c.png"), colour)
    np.testing.assert_array_equal(pixels(saved(tmp_path / "bit.png", [[True, False]])), [[255, 0]])


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize(
    ("values", "expected"), [([0, 128, 129, 257, 32768, 65535], [0, 0, 1, 1, 128, 255]), ([200], [1])]
)
def test_sixteen_bits_are_divided_by_257_and_rounded_however_dark_the_image(tmp_path, suffix, values, expected):
    # 128 / 257 = 0.498, 129 / 257 = 0.502, 32768 / 257 = 127.502
    path = saved(tmp_path / f"deep.{suffix}", np.array([values], dtype=np.uint16))
    with Image.open(path) as stored:
        assert stored.mode == "I;16"
    np.testing.assert_array_equal(pixels(path), [expected])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([[0.0, 0.5, 1.0]], [[0, 128, 255]]),  # 0.5 * 255 = 127.5 rounds up
        ([[0.0, 100.4, 255.0]], [[0, 100, 255]]),
        ([[0.0, 32768.0, 65535.0]], [[0, 128, 255]]),
    ],
)
def test_floats_are_read_in_the_narrowest_range_that_holds_them(tmp_path, values, expected):
    path = saved(tmp_path / "float.tif", np.array(values, dtype=np.float32))
    np.testing.assert_array_equal(pixels(path), expected)


@pytest.mark.parametrize("value", [np.nan, -1.0, 70000.0])
def test_floats_outside_every_range_are_refused(tmp_path, value):
    path = saved(tmp_path / "float.tif", np.array([[0, value]], dtype=np.float32))
    with pytest.raises(DataError, match=r"float\.tif.*expected 0 to 65535"):
        images.decode(path)


def test_palette_colours_are_looked_up(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putdata([1, 0])
    image.save(tmp_path / "p.png", transparency=b"\x00\xff")
    np.testing.assert_array_equal(pixels(tmp_path / "p.png"), [[[200, 100, 50], [10, 20, 30]]])


@pytest.mark.parametrize(("mode", "result"), [("RGBA", "RGB"), ("LA", "L")])
def test_alpha_is_dropped_and_hidden_pixels_keep_their_value(tmp_path, mode, result):
    value = (90, 90, 90, 0) if mode == "RGBA" else (90, 0)
    Image.new(mode, (2, 2), value).save(tmp_path / "a.png")
    decoded = images.decode(tmp_path / "a.png")
    assert decoded.mode == result
    np.testing.assert_array_equal(np.asarray(decoded), 90)


@pytest.mark.parametrize(("ink", "value"), [((0, 0, 0, 0), 255), ((0, 0, 0, 255), 0)])
def test_cmyk_without_ink_is_white_and_with_all_key_is_black(tmp_path, ink, value):
    Image.new("CMYK", (8, 8), ink).save(tmp_path / "ink.jpg", quality=100)
    np.testing.assert_allclose(pixels(tmp_path / "ink.jpg").astype(int), np.full((8, 8, 3), value), atol=1)


@pytest.mark.parametrize(("dtype", "scale"), [(np.uint8, 1), (np.uint16, 257)])
def test_exif_orientation_6_turns_the_image_clockwise(tmp_path, dtype, scale):
    exif = Image.Exif()
    exif[ORIENTATION] = ROTATE_90_CW
    stored = np.array([[1, 2, 3], [4, 5, 6]], dtype=dtype) * dtype(scale)
    path = saved(tmp_path / "turned.png", stored, exif=exif)
    np.testing.assert_array_equal(pixels(path), [[4, 1], [5, 2], [6, 3]])


@pytest.mark.fault("7g", "an image has damaged EXIF bytes", "it is read as it is")
def test_damaged_exif_bytes_leave_the_image_as_it_is(tmp_path):
    grey = noise(3, 5, channels=1)
    path = saved(tmp_path / "exif.png", grey, exif=b"Exif\x00\x00XX not a TIFF header")
    np.testing.assert_array_equal(pixels(path), grey)


def cut_in_half(path: Path, format_: str) -> None:
    saved(path, noise(64, 64), format=format_)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGE = {
    "half a JPEG": (lambda path: cut_in_half(path, "JPEG"), "cannot be decoded"),
    "half a PNG": (lambda path: cut_in_half(path, "PNG"), "cannot be decoded"),
    "no byte": (lambda path: path.write_bytes(b""), "0 bytes"),
    "text": (lambda path: path.write_text("<html>\nnot found</html>"), "that are none"),
    "a program for Ghostscript": (
        lambda path: path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"),
        "that are none",
    ),
    "a folder": (lambda path: path.mkdir(), "Is a directory"),
    "nothing": (lambda path: None, "No such file"),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.fault(
    "7e", "half an image, no byte, text, a program, or a folder as an image", "refused in one line with the reason"
)
def test_a_file_that_is_no_whole_image_is_named_in_one_line(tmp_path, damage):
    make, reason = DAMAGE[damage]
    make(tmp_path / "x7.jpg")
    with pytest.raises(DataError, match=r"x7\.jpg: expected .* received") as caught:
        images.decode(tmp_path / "x7.jpg")
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")  # pytest sets filters of its own
@pytest.mark.parametrize(("width", "height"), [(6000, 6000), (10_000, 9000), (60_000, 60_000)])
@pytest.mark.fault("7f", "a small file announces a huge image", "refused before a pixel is decoded")
def test_a_decompression_bomb_is_refused_before_a_pixel_is_decoded(monkeypatch, width, height):
    # Pillow itself warns of the second and refuses the third.
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("pixels were decoded"))
    with pytest.raises(DataError, match=r"bomb\.png: expected at most 25 million pixels, .* announces more"):
        images.decode_bytes(png(width, height), "bomb.png")


@pytest.mark.fault("7l", "an image that cannot be decoded has line ends or control characters in its name", "one line")
def test_a_message_is_one_line_whatever_the_name_of_the_file():
    with pytest.raises(DataError) as caught:
        images.decode_bytes(b"", "two\nlines\x1b[31m\u2028\udcff ü.png")
    assert str(caught.value).startswith("two?lines?[31m?? ü.png: expected an image, received an empty file")


def test_pixel_hash_is_the_sha256_of_size_and_grey_bytes_in_one_channel_or_three():
    grey = np.array([[1, 2, 3]], dtype=np.uint8)
    for values in (grey, np.stack([grey] * 3, axis=-1)):
        assert images.pixel_hash(Image.fromarray(values)) == hashlib.sha256(b"3x1:\x01\x02\x03").hexdigest()


def test_resizing_is_bilinear_at_pixel_centres_without_antialiasing(tmp_path, store):
    # From 6 to 2, centres fall on pixels 1 and 4: an antialiased filter would mix their neighbours.
    down = np.tile(np.array([9, 50, 9, 9, 200, 9], dtype=np.uint8), (6, 1)).T
    # From 2 to 4, centres fall at -0.25 (the edge), 0.25, 0.75 and 1.25 (the edge).
    up = np.array([[0, 100], [0, 100]], dtype=np.uint8)
    shrunk = images.load_images(*files(saved(tmp_path / "a.png", down)), 2, 1, store)
    grown = images.load_images(*files(saved(tmp_path / "b.png", up)), 4, 1, store)
    np.testing.assert_array_equal(shrunk[0, :, :, 0], [[50, 50], [200, 200]])
    np.testing.assert_array_equal(grown[0, :, :, 0], [[0, 25, 75, 100]] * 4)


def test_images_come_in_the_order_asked_for_with_grey_repeated(three, store):
    (a, _, c), _ = three
    array = images.load_images(*files(c, a, c), 6, 3, store)
    grey, colour = noise(6, 6, 3, channels=1), noise(6, 6, 1)
    np.testing.assert_array_equal(array, [np.stack([grey] * 3, axis=-1), colour, np.stack([grey] * 3, axis=-1)])


def test_one_channel_of_a_colour_image_is_its_luma(tmp_path, store):
    red = saved(tmp_path / "a.png", np.full((2, 2, 3), (255, 0, 0), dtype=np.uint8))
    array = images.load_images(*files(red), 2, 1, store)
    np.testing.assert_array_equal(array, 76)  # ITU-R 601: 0.299 * 255 = 76.2


def test_more_images_than_a_chunk_come_out_whole_and_in_order(tmp_path, store, monkeypatch):
    monkeypatch.setattr(images, "_CHUNK", 3)
    values = range(10, 20)
    paths = [saved(tmp_path / f"{value}.png", np.full((3, 3), value, dtype=np.uint8)) for value in values]
    array = images.load_images(*files(*paths), 3, 1, store)
    np.testing.assert_array_equal(array[:, 0, 0, 0], list(values))


def test_another_order_size_or_number_of_channels_is_another_array(three, store):
    (a, b, _), _ = three
    for paths, size, channels in [((a, b), 8, 3), ((b, a), 8, 3), ((a, b), 9, 3), ((a, b), 8, 1)]:
        images.load_images(*files(*paths), size, channels, store)
    assert len(list((store / "images").iterdir())) == 4


SPOILED = {
    "a byte": lambda whole: whole[:300] + bytes([whole[300] ^ 1]) + whole[301:],
    "the second half is zero": lambda whole: whole[: len(whole) // 2] + bytes(len(whole) - len(whole) // 2),
    "cut short": lambda whole: whole[:-1],
    "the header": lambda whole: whole[:30] + bytes([whole[30] ^ 1]) + whole[31:],
    "all is zero": lambda whole: bytes(len(whole)),
}


@pytest.mark.fault("4a", "one byte of a stored image array is changed", "it does not verify and is decoded anew")
@pytest.mark.fault("4b", "a power cut left zeros in half of an image array", "it does not verify and is decoded anew")
@pytest.mark.fault("4c", "an image array is cut, or its header changed", "it does not verify and is decoded anew")
@pytest.mark.parametrize("damage", SPOILED)
def test_an_array_is_decoded_once_and_again_when_it_is_damaged(three, store, monkeypatch, damage):
    first = np.array(images.load_images(*three, 8, 3, store))
    (path,) = (store / "images").iterdir()
    whole = path.read_bytes()
    path.write_bytes(SPOILED[damage](whole))
    np.testing.assert_array_equal(images.load_images(*three, 8, 3, store), first)
    assert path.read_bytes() == whole
    monkeypatch.setattr(images, "decode_bytes", lambda *_: pytest.fail("decoded again"))
    np.testing.assert_array_equal(images.load_images(*three, 8, 3, store), first)


@pytest.mark.fault("7h", "an image is changed after it was indexed", "refused in one line")
def test_a_file_that_changed_since_it_was_indexed_is_refused(three, store):
    saved(three[0][1], noise(9, 5, 99))
    with pytest.raises(DataError, match=r"b\.png.*the file changed"):
        images.load_images(*three, 8, 3, store)


@pytest.mark.fault("12e", "a large array of images is made", "memory for a part of it is enough")
def test_building_needs_memory_for_a_chunk_and_not_for_the_array(tmp_path, store):
    (path,), (byte_hash,) = files(saved(tmp_path / "a.png", noise(240, 240)))
    code = f"""
import resource
from pathlib import Path
from brainlib.data import images
path, byte_hash, store = Path({str(path)!r}), {byte_hash!r}, Path({str(store)!r})
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
images.load_images([path] * 64, [byte_hash] * 64, 240, 3, store)
before = peak()
array = images.load_images([path] * 1500, [byte_hash] * 1500, 240, 3, store)
print(array.nbytes, peak() - before)
"""
    answer = subprocess.check_output([sys.executable, "-c", code], text=True)
    size, growth = (int(number) for number in answer.split())
    growth *= 1 if sys.platform == "darwin" else 1024  # ru_maxrss: bytes there, KiB elsewhere
    assert size == 1500 * 240 * 240 * 3
    assert growth < size / 5


@pytest.mark.real_data
@pytest.mark.parametrize(("name", "mode"), [("br35h", "P"), ("br35h", "RGBA"), ("navoneel", "P"), ("navoneel", "RGBA")])
def test_real_files_of_odd_modes_decode_to_images(data_dir, name, mode):
    odd = []
    for path in sorted((data_dir / name).glob("*/*")):
        with Image.open(path) as image:
            if image.mode == mode:
                odd.append(path)
    assert len(odd) == {("br35h", "RGBA"): 3, ("navoneel", "RGBA"): 5}.get((name, mode), 1)
    for path in odd:
        decoded = images.decode(path)
        assert decoded.mode == "RGB"
        assert np.ptp(np.asarray(decoded)) > 100  # a scan, not one flat colour


def test_an_image_is_stretched_padded_or_resized_with_antialiasing():
    # Stripes of one pixel: without antialiasing every second is taken or two are averaged, with it all become grey.
    stripes = Image.fromarray(np.tile([[0, 255]], (16, 32)).astype(np.uint8)[:, :32])
    grey = images.to_array(stripes, 4, 1, "antialiased")
    assert np.abs(grey.astype(int) - 127).max() < 25
    assert set(np.unique(images.to_array(stripes.crop((0, 0, 4, 4)), 4, 1)).tolist()) == {0, 255}
    wide = Image.fromarray(np.full((4, 8), 200, np.uint8))
    padded = images.to_array(wide, 8, 1, "padded")[..., 0]
    assert (padded[:2] == 0).all() and (padded[2:6] == 200).all() and (padded[6:] == 0).all()
    assert (images.to_array(wide, 8, 1) == 200).all()
