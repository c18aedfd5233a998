"""One scan of a folder: the same files for every use, each read once, decoded once, and verified in the store."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from brainlib.data import datasets, images, scan
from brainlib.data.phantoms.draw import make_phantoms
from brainlib.data.thumbnails import quality_flag, thumbnail
from brainlib.errors import DataError
from brainlib.io import sha256_of

SLICES = make_phantoms(6, size=64, seed=2).images


@pytest.fixture
def root(tmp_path):
    """Six slices as a set in the layout of navoneel, three in each class."""
    root = tmp_path / "data" / "navoneel"
    for number, pixels in enumerate(SLICES):
        path = root / ("no", "yes")[number // 3] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return root


def recorded(monkeypatch, function):
    """Names of the files for which a function of `images` was called, so far."""
    names, original = [], getattr(images, function)

    def call(*given):
        names.append(given[-1].name)  # the path comes last
        return original(*given)

    monkeypatch.setattr(images, function, call)
    return names


@pytest.fixture
def decoded(monkeypatch):
    return recorded(monkeypatch, "decode_bytes")


@pytest.fixture
def opened(monkeypatch):
    return recorded(monkeypatch, "read")


def same(first: scan.Scan, second: scan.Scan) -> None:
    pd.testing.assert_frame_equal(first.table, second.table)
    np.testing.assert_array_equal(first.thumbnails, second.thumbnails)
    assert first.unreadable == second.unreadable


def test_a_row_states_what_the_file_holds(root):
    found = scan.scan_folder(root, "navoneel")
    path = root / "yes" / "4.png"
    image = images.decode(path)
    row = found.table.set_index("path").loc["yes/4.png"]
    assert (row["label"], row["part"], row["width"], row["height"]) == ("yes", "", 64, 64)
    assert (row["mode"], row["format"], row["bytes"]) == ("L", "PNG", path.stat().st_size)
    assert (row["byte_hash"], row["pixel_hash"]) == (sha256_of(path), images.pixel_hash(image))
    assert row["quality_flag"] == quality_flag(image)
    np.testing.assert_array_equal(found.thumbnails[4], thumbnail(image))


def test_the_audit_and_the_index_of_a_registered_set_see_the_same_files(root, store):
    # A folder below a class is not part of the published set.
    shutil.copytree(root / "yes", root / "yes" / "more")
    (root / "pred").mkdir()
    (root / "yes" / "folder.jpg").mkdir()
    (root / "yes" / "up").symlink_to(root, target_is_directory=True)
    (root / "yes" / ".hidden.png").write_bytes(b"")
    (root / "yes" / "notes.txt").write_bytes(b"")
    data = datasets.index("navoneel", root, store)
    assert scan.scan_folder(root, "navoneel").table["path"].tolist() == sorted(data.table["path"])
    assert len(data.table) == 6
    assert len(scan.scan_folder(root).table) == 9  # any other folder is walked whole


def test_any_other_folder_has_the_classes_and_parts_that_its_folders_name(tmp_path):
    for number, folder in enumerate(("Training/glioma", "Testing/glioma", "Testing/none", ".")):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        Image.fromarray(SLICES[number]).save(tmp_path / folder / "a.png")
    table = scan.scan_folder(tmp_path).table.set_index("path")
    assert table["label"].to_dict() == {
        "Training/glioma/a.png": "glioma",
        "Testing/glioma/a.png": "glioma",
        "Testing/none/a.png": "none",
        "a.png": "",
    }
    assert table["part"].tolist() == ["test", "test", "train", ""]


def test_the_index_the_audit_and_the_first_scan_decode_each_file_once(root, store, decoded):
    data = datasets.index("navoneel", root, store)
    scan.scan_folder(root, "navoneel", store)
    data.scan(store)
    assert sorted(decoded) == [f"{number}.png" for number in range(6)]


def test_of_an_indexed_set_no_file_is_read_again(root, store, opened):
    data = datasets.index("navoneel", root, store)
    assert len(opened) == 6
    found = data.scan(store, [5, 0])
    assert len(opened) == 6
    assert found.table["path"].tolist() == sorted(data.table["path"].iloc[[0, 5]])


def test_a_new_and_a_changed_file_cost_one_decoding_each(root, store, decoded):
    first = scan.scan_folder(root, "navoneel", store)
    decoded.clear()
    Image.fromarray(255 - SLICES[0]).save(root / "no" / "new.png")
    Image.fromarray(255 - SLICES[4]).save(root / "yes" / "4.png")
    second = scan.scan_folder(root, "navoneel", store)
    assert sorted(decoded) == ["4.png", "new.png"]
    same(second, scan.scan_folder(root, "navoneel"))
    kept = first.table["path"] != "yes/4.png"
    assert set(first.table["byte_hash"][kept]) < set(second.table["byte_hash"])


def test_equal_files_are_decoded_once_in_a_later_scan_of_another_folder(root, store, decoded, tmp_path):
    first = scan.scan_folder(root, "navoneel", store)
    shutil.copytree(root, tmp_path / "elsewhere")
    decoded.clear()
    same(scan.scan_folder(tmp_path / "elsewhere", "navoneel", store), first)
    assert decoded == []


DAMAGE = {
    "one bit": lambda whole: whole[:-5000] + bytes([whole[-5000] ^ 1]) + whole[-4999:],
    "cut short": lambda whole: whole[:-1],
    "second half zero": lambda whole: whole[: len(whole) // 2] + bytes(len(whole) - len(whole) // 2),
    "empty": lambda whole: b"",
    "another array": lambda whole: b"\x93NUMPY",
}


@pytest.mark.fault("4l", "one bit of what a scan stored is changed", "that image is decoded and hashed anew")
@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.fault(
    "4g", "the stored scan of images is cut, emptied, or changed in one bit", "the images are decoded again"
)
def test_a_damaged_entry_of_the_store_is_made_anew(root, store, decoded, damage):
    first = scan.scan_folder(root, "navoneel", store)
    files = {path: path.read_bytes() for path in store.rglob("*.npy")}
    for path, whole in files.items():
        path.write_bytes(DAMAGE[damage](whole))
    decoded.clear()
    same(scan.scan_folder(root, "navoneel", store), first)
    assert len(decoded) >= len(files)
    assert {path: path.read_bytes() for path in store.rglob("*.npy")} == files


@pytest.mark.fault(
    "7j", "unreadable images and links to nothing in a folder", "listed with the reason; the others are scanned"
)
def test_an_unreadable_file_has_a_reason_and_the_others_are_scanned(root, store):
    (root / "yes" / "4.png").write_bytes(b"")
    (root / "yes" / "9.jpg").symlink_to(root / "nothing")
    (root / "no" / "two\nlines.png").write_bytes(b"")
    found = scan.scan_folder(root, "navoneel", store)
    assert len(found.table) == len(found.thumbnails) == 5
    assert [path for path, _ in found.unreadable] == ["no/two\\nlines.png", "yes/4.png", "yes/9.jpg"]
    assert all("\n" not in line and "expected" in line for pair in found.unreadable for line in pair[1:])
    same(found, scan.scan_folder(root, "navoneel", store))


def test_a_reason_is_not_kept_because_it_may_lie_in_this_machine(root, store, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(images, "MAX_PIXELS", 15)
        assert len(scan.scan_folder(root, "navoneel", store).unreadable) == 6
    assert scan.scan_folder(root, "navoneel", store).unreadable == ()


@pytest.mark.fault("6h", "a folder of images cannot be listed", "refused in one line with the reason")
def test_a_folder_that_cannot_be_listed_has_a_reason_and_is_refused_by_the_index(root, store, monkeypatch):
    real = os.scandir

    def refuse(folder):  # chmod would not stop a test run by root
        if str(folder).endswith("yes"):
            raise PermissionError(13, "Permission denied", str(folder))
        return real(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    found = scan.scan_folder(root, "navoneel")
    assert len(found.table) == 3
    assert found.unreadable == (
        ("yes", "expected a folder that can be listed, received Permission denied; check its permissions"),
    )
    with pytest.raises(DataError, match=r"navoneel/yes: .*Permission denied.*permissions"):
        datasets.index("navoneel", root, store)


@pytest.mark.fault("2j", "the scan of images is interrupted", "what was decoded is kept")
def test_what_was_decoded_before_an_interrupt_is_kept(root, store, decoded):
    def interrupt(fraction, line):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scan.scan_folder(root, "navoneel", store, interrupt)
    before = len(decoded)
    scan.scan_folder(root, "navoneel", store)
    assert before > 0 and len(decoded) == 6


def test_progress_ends_at_one(root):
    lines = []
    scan.scan_folder(root, "navoneel", on_progress=lambda *each: lines.append(each))
    assert lines[-1] == (1.0, "6 of 6 images") and len(lines) == 6


FLAGS = [
    (np.full((100, 100), 90, np.uint8), "hardly any contrast"),
    (np.dstack([np.tile(np.arange(100, dtype=np.uint8), (100, 1)) * k for k in (0, 1, 2)]), "coloured"),
    (255 - SLICES[0], "a bright background"),
    (SLICES[0][:20, :20], "only 20 by 20 pixels"),
    (SLICES[0], ""),
]


@pytest.mark.parametrize(("pixels", "reason"), FLAGS)
def test_an_image_that_may_be_no_slice_is_flagged_with_the_reason(pixels, reason):
    assert quality_flag(Image.fromarray(np.ascontiguousarray(pixels))) == reason
