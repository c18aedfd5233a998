"""Files are whole or not there, and an array on disk is never trusted."""

from __future__ import annotations

import io
import os
import pickle
import threading
import zipfile

import numpy as np
import pytest

from brainlib.errors import StoreError
from brainlib.io import open_array, writing

ARRAY = np.arange(12, dtype=np.float32).reshape(3, 4)


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_with_its_last_byte(tmp_path):
    target = tmp_path / "new" / "file"
    with writing(target) as file:
        file.write(b"half")
        file.flush()
        assert not target.exists()
        file.write(b" and whole")
    assert target.read_bytes() == b"half and whole"
    assert names(target.parent) == ["file"]


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, ValueError, SystemExit])
def test_an_interrupt_leaves_the_old_file_and_nothing_else(tmp_path, interruption):
    target = tmp_path / "file"
    target.write_bytes(b"old")
    with pytest.raises(interruption), writing(target) as file:
        file.write(b"new")
        raise interruption
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_a_full_disk_is_said_in_one_line_and_leaves_the_old_file(tmp_path):
    target = tmp_path / "file"
    target.write_bytes(b"old")
    with pytest.raises(StoreError, match="No space left on device") as error, writing(target):
        raise OSError(28, "No space left on device")
    assert "\n" not in str(error.value) and str(target) in str(error.value)
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_a_folder_that_is_a_file_is_said_in_one_line(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError) as error, writing(tmp_path / "file" / "inside"):
        pass
    assert "\n" not in str(error.value)


def test_writers_of_the_same_file_do_not_mix(tmp_path):
    target = tmp_path / "file"
    barrier = threading.Barrier(4)

    def write(letter):
        barrier.wait()
        for _ in range(20):
            with writing(target) as file:
                for _ in range(100):
                    file.write(letter)

    threads = [threading.Thread(target=write, args=(letter,)) for letter in (b"a", b"b", b"c")]
    for thread in threads:
        thread.start()
    barrier.wait()
    while any(thread.is_alive() for thread in threads):
        if target.exists():
            content = target.read_bytes()
            assert content in (b"a" * 100, b"b" * 100, b"c" * 100)
    assert names(tmp_path) == ["file"]


@pytest.fixture
def stored(tmp_path):
    path = tmp_path / "array.npy"
    np.save(path, ARRAY)
    return path


def test_an_array_is_mapped_read_only(stored):
    array = open_array(stored, (3, 4), np.float32)
    np.testing.assert_array_equal(array, ARRAY)
    assert isinstance(array, np.memmap) and not array.flags.writeable


@pytest.mark.parametrize(("shape", "dtype"), [((4, 3), "f4"), ((12,), "f4"), ((3, 4), "f8"), ((3, 4), ">f4")])
def test_another_array_than_expected_is_none(stored, shape, dtype):
    assert open_array(stored, shape, dtype) is None


def test_no_file_and_no_folder_are_none(tmp_path):
    assert open_array(tmp_path / "none.npy", (1,), "f4") is None
    assert open_array(tmp_path, (1,), "f4") is None


def test_every_shorter_and_every_longer_file_is_none(stored):
    whole = stored.read_bytes()
    for length in range(len(whole)):
        stored.write_bytes(whole[:length])
        assert open_array(stored, (3, 4), np.float32) is None
    stored.write_bytes(whole + b"\0")
    assert open_array(stored, (3, 4), np.float32) is None


def test_a_header_with_any_byte_changed_gives_the_array_or_none(stored):
    whole = stored.read_bytes()
    for place in range(128):
        for value in (0, 0x28, 0x39, 0x7B, 0xFF, whole[place] ^ 1):
            stored.write_bytes(whole[:place] + bytes([value]) + whole[place + 1 :])
            array = open_array(stored, (3, 4), np.float32)
            assert array is None or array.shape == (3, 4)


def header(text: bytes) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def zipped(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("array.npy", content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"PK\x03\x04 not an archive",
        zipped(b"anything"),
        header(b"{'descr': '<f4', 'fortran_order': False, 'shape': (" + b"9" * 40 + b",)}\n"),
        header(b"{'descr': '<f4', 'fortran_order': False, 'shape': (-3, -4)}\n" + b"\0" * 48),
        header(b"{'descr': '|O', 'fortran_order': False, 'shape': (3, 4)}\n") + b"\0" * 96,
        header(b"{'descr': [], 'fortran_order': False, 'shape': (3, 4)}\n") + b"\0" * 48,
        header(b"[" * 5000),
        header(b"(" * 190 + b")" * 190),
    ],
    ids=["PK", "zip", "huge", "negative", "objects", "no type", "deep", "nested"],
)
def test_hostile_headers_are_none(stored, content):
    stored.write_bytes(content)
    assert open_array(stored, (3, 4), np.float32) is None


def test_a_pickle_is_never_loaded(tmp_path):
    class Hostile:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "executed"),)

    plain, array = tmp_path / "plain.npy", tmp_path / "array.npy"
    plain.write_bytes(pickle.dumps(Hostile()))
    np.save(array, np.array([Hostile()], dtype=object), allow_pickle=True)
    assert open_array(plain, (1,), object) is None
    assert open_array(array, (1,), object) is None
    assert names(tmp_path) == ["array.npy", "plain.npy"]
