"""Files are whole or not there, and an array on disk is never trusted."""

from __future__ import annotations

import hashlib
import os
import pickle
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import numpy as np
import pytest

from brainlib.errors import StoreError
from brainlib.io import built_folder, open_array, save_array, sweep, writing, writing_folder

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


def write_file(target, error):
    with writing(target) as file:
        file.write(b"new")
        raise error


def write_array(target, error):
    def blocks():
        yield ARRAY
        raise error

    save_array(target, (3, 4), np.float32, blocks())


def fill_folder(target, error):
    def fill(folder):
        (folder / "file").write_bytes(b"new")
        raise error

    built_folder(target, fill)


WRITERS = [write_file, write_array, fill_folder]
FULL = OSError(28, "No space left on device")


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError(), SystemExit(), FULL], ids=repr)
@pytest.mark.parametrize("there", [True, False])
@pytest.mark.fault(
    "1j",
    "an interrupt or an error while a file, an array or a folder is written",
    "what was there before stays, and nothing else is left",
)
@pytest.mark.fault(
    "3e",
    "the disk is full while a file, an array or a folder is written",
    "one line names it; what was there before stays",
)
def test_an_interrupt_and_a_full_disk_leave_what_was_there_and_nothing_else(tmp_path, write, error, there):
    target = tmp_path / "target"
    file = target / "file" if write is fill_folder else target
    if there:
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"old")
    with pytest.raises(StoreError if error is FULL else type(error)) as raised:
        write(target, error)
    assert names(tmp_path) == (["target"] if there else [])
    assert not there or file.read_bytes() == b"old"
    if error is FULL:
        (message,) = str(raised.value).splitlines()
        assert str(target) in message and "No space left on device" in message


@pytest.mark.parametrize("write", WRITERS)
def test_a_folder_that_is_a_file_is_named_in_one_line(tmp_path, write):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match=r"^[^\n]*file.inside: expected to write[^\n]*$"):
        write(tmp_path / "file" / "inside", None)


@pytest.mark.parametrize("write", ["file", "folder"])
@pytest.mark.fault("5c", "several writers of one file or folder at once", "a reader finds one of them, whole")
def test_writers_of_the_same_target_do_not_mix(tmp_path, write):
    target = tmp_path / "target"
    file = target if write == "file" else target / "file"

    def run(letter):
        for _ in range(20):
            if write == "folder":  # whose name stands for one content, so that every writer fills it alike
                built_folder(target, lambda folder: (folder / "file").write_bytes(b"a" * 100))
                continue
            with writing(target) as unfinished:
                for _ in range(100):
                    unfinished.write(letter)

    with ThreadPoolExecutor(3) as pool:
        running = [pool.submit(run, letter) for letter in (b"a", b"b", b"c")]
        while not all(each.done() for each in running):
            if file.exists():
                assert file.read_bytes() in (b"a" * 100, b"b" * 100, b"c" * 100)
    assert [each.exception() for each in running] == [None] * 3 and names(tmp_path) == ["target"]


DAMAGE = {
    "changed": lambda target: (target / "below" / "file").write_bytes(b"contenT"),
    "deleted": lambda target: (target / "below" / "file").unlink(),
    "added": lambda target: (target / "more").write_bytes(b""),
    "no manifest": lambda target: (target / "manifest.json").unlink(),
    "truncated manifest": lambda target: (target / "manifest.json").write_bytes(b'{"below'),
    "null": lambda target: (target / "manifest.json").write_bytes(b"null"),
    "a number": lambda target: (target / "manifest.json").write_bytes(b"1e400"),
    "deep": lambda target: (target / "manifest.json").write_bytes(b"[" * 100_000),
}


@pytest.mark.fault("4n", "a file of phantoms is changed, removed or added", "they are drawn anew")
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_built_folder_is_kept_while_whole_and_built_again_when_damaged(tmp_path, damage):
    target, built = tmp_path / "target", []

    def fill(folder):
        built.append(folder)
        (folder / "below").mkdir()
        (folder / "below" / "file").write_bytes(b"content")

    for _ in range(2):
        assert built_folder(target, fill) == target
    assert len(built) == 1
    DAMAGE[damage](target)
    built_folder(target, fill)
    assert len(built) == 2
    assert (target / "below" / "file").read_bytes() == b"content" and names(target) == ["below", "manifest.json"]


KILLED = """
import signal, sys
from pathlib import Path
from brainlib.io import writing, writing_folder
trial, phantoms = (writing_folder(Path(sys.argv[1], "store", name)) for name in ("trials/key", "phantoms/br35h"))
with trial, phantoms, writing(Path(sys.argv[1], "page.html")):
    print(flush=True)
    signal.pause()
"""


@pytest.mark.fault("1d", "SIGKILL while a trial is stored", "the next run removes what was half written")
@pytest.mark.fault("1e", "SIGKILL while a page is written", "the next run removes what was half written")
@pytest.mark.fault("1f", "SIGKILL while phantoms are drawn", "the next run removes what was half written")
def test_what_a_killed_process_was_writing_goes_when_it_is_dead_and_not_before(tmp_path):
    given = {"stdout": subprocess.PIPE, "env": {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}}
    with subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], **given) as process:
        process.stdout.readline()
        sweep(tmp_path)
        assert len(list(tmp_path.rglob(".*.tmp"))) == 3
        process.kill()
    sweep(tmp_path)
    assert {path.name for path in tmp_path.rglob("*")} == {"store", "trials", "phantoms"}


@pytest.mark.fault("16e", "--out is a folder with temporary files of others", "only names that we make are removed")
def test_a_sweep_removes_only_names_that_we_make_in_folders_that_we_make(tmp_path):
    kept = [".notes.tmp", ".a.b.tmp", "store/.cache.tmp/file", "mywork/.a.1-00000000.tmp", ".config/.a.lock.tmp"]
    old = [".earlier.1-00000000.tmp", ".page.html.00000000-1-00000000.tmp", "results/.a.json.00000000-1-00000000.tmp"]
    old += ["store/images/.a.npy.lock.tmp", "notebooks/.a\nb.00000000-1-00000000.tmp"]
    young = "store/trials/.key.00000000-1-00000000.tmp"
    for name in (*kept, *old, young):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
        if name != young:
            os.utime(tmp_path / name, (0, 0))
    sweep(tmp_path)
    left = (path for path in tmp_path.rglob("*") if path.is_file())
    assert {path.relative_to(tmp_path).as_posix() for path in left} == {*kept, young}
    sweep(tmp_path / "not there")


def test_what_a_process_of_somebody_else_writes_is_left_alone(tmp_path, monkeypatch):
    def denied(process, signal):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "kill", denied)
    with writing(tmp_path / "page.html"):
        sweep(tmp_path)
    assert names(tmp_path) == ["page.html"]


@pytest.fixture
def done(monkeypatch):
    """Paths that are synced or take their name, in order; of the latter, the name comes with an arrow."""
    paths = []

    def noted(original):
        def call(source, *target):
            paths.append(f"-> {target[0]}" if target else os.readlink(f"/proc/self/fd/{source}"))
            original(source, *target)

        return call

    for name in ("fsync", "rename", "replace"):
        monkeypatch.setattr(os, name, noted(getattr(os, name)))
    return paths


def test_bytes_are_on_the_disk_before_they_have_their_name_and_names_before_a_writer_ends(tmp_path, done):
    target = tmp_path / "new" / "key"
    with writing_folder(target) as folder:
        (folder / "file").write_bytes(b"content")
    assert done[:3] == [str(folder / "file"), str(folder), f"-> {target}"]
    assert done[3:5] == [str(target.parent), str(tmp_path)]
    done.clear()
    with writing(tmp_path / "file") as file:
        pass
    assert done == [file.name, f"-> {tmp_path / 'file'}", str(tmp_path)]


@pytest.mark.parametrize("folders", [False, True])
def test_bytes_that_cannot_be_synced_are_an_error_and_folders_that_cannot_are_none(tmp_path, monkeypatch, folders):
    def broken(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode) == folders:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with nullcontext() if folders else pytest.raises(StoreError, match="Input/output error"):
        with writing_folder(tmp_path / "key") as folder:
            (folder / "file").write_bytes(b"content")
    assert names(tmp_path) == (["key"] if folders else [])


@pytest.fixture
def stored(tmp_path):
    path = tmp_path / "array.npy"
    save_array(path, (3, 4), np.float32, [ARRAY[:2], ARRAY[2:]])
    return path


def test_an_array_comes_back_as_a_read_only_map_of_a_numpy_file_with_its_sum_behind_the_data(stored):
    array = open_array(stored, (3, 4), np.float32)
    assert isinstance(array, np.memmap) and not array.flags.writeable
    assert stored.read_bytes()[-32:] == hashlib.sha256(ARRAY.tobytes()).digest()
    np.testing.assert_array_equal(array, ARRAY)
    np.testing.assert_array_equal(np.load(stored), ARRAY)


@pytest.mark.parametrize(("shape", "dtype"), [((4, 3), "f4"), ((12,), "f4"), ((3, 4), "f8"), ((3, 4), ">f4")])
def test_another_array_than_expected_and_what_holds_none_with_a_sum_are_none(stored, tmp_path, shape, dtype):
    assert open_array(stored, shape, dtype) is None
    np.save(tmp_path / "plain.npy", ARRAY)
    np.savez(tmp_path / "archive.npz", ARRAY)
    for name in ("plain.npy", "archive.npz", "missing.npy", "."):
        assert open_array(tmp_path / name, (3, 4), np.float32) is None


@pytest.mark.fault(
    "4aa", "a stored array is cut, longer, or changed in any byte", "it does not verify, and is made anew"
)
def test_a_file_that_is_truncated_longer_or_changed_in_any_byte_of_data_or_sum_is_none(stored):
    whole = stored.read_bytes()
    assert open_array(stored, (3, 4), np.float32) is not None  # the sum of this state is remembered
    damaged = [whole[:length] for length in range(len(whole))] + [whole + b"\0"]
    damaged += [whole[:k] + bytes([whole[k] ^ 1]) + whole[k + 1 :] for k in range(128, len(whole))]
    for content in damaged:
        stored.write_bytes(content)
        assert open_array(stored, (3, 4), np.float32) is None


def test_the_sum_of_a_file_is_compared_once(stored, monkeypatch):
    assert open_array(stored, (3, 4), np.float32) is not None
    monkeypatch.setattr(hashlib, "sha256", lambda *_: pytest.fail("compared again"))
    assert open_array(stored, (3, 4), np.float32) is not None


@pytest.mark.fault(
    "4ab", "any byte of the header of a stored array is changed", "the array is the same, or is made anew"
)
def test_a_header_with_any_byte_changed_gives_the_array_or_none(stored):
    whole = stored.read_bytes()
    for place in range(128):
        for value in (0, 0x28, 0x39, 0x7B, 0xFF, whole[place] ^ 1):
            stored.write_bytes(whole[:place] + bytes([value]) + whole[place + 1 :])
            array = open_array(stored, (3, 4), np.float32)
            assert array is None or np.array_equal(array, ARRAY)


def header(text: bytes) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize(
    "content",
    [
        b"PK\x03\x04 not an archive",
        header(b"{'descr': '<f4', 'fortran_order': False, 'shape': (" + b"9" * 40 + b",)}\n"),
        header(b"{'descr': '<f4', 'fortran_order': False, 'shape': (-3, -4)}\n" + b"\0" * 48),
        header(b"{'descr': '|O', 'fortran_order': False, 'shape': (3, 4)}\n") + b"\0" * 96,
        header(b"{'descr': [], 'fortran_order': False, 'shape': (3, 4)}\n") + b"\0" * 48,
        header(b"[" * 5000),
        header(b"(" * 190 + b")" * 190),
    ],
    ids=["PK", "huge", "negative", "objects", "no type", "deep", "nested"],
)
@pytest.mark.fault(
    "9n", "a stored array announces a huge, negative or nested shape", "it is not used, and is made anew"
)
def test_hostile_headers_are_none(stored, content):
    stored.write_bytes(content)
    assert open_array(stored, (3, 4), np.float32) is None


@pytest.mark.fault("9o", "a pickle in the place of a stored array", "it is never loaded")
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
