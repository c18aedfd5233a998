"""Atomic writing of files, folders and arrays, which no interrupt and no second process spoils; verified reading."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from functools import cache
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO

import numpy as np

from brainlib.errors import StoreError

_MANIFEST = "manifest.json"
_BLOCK_BYTES = 2**20
#: Names of temporary files and folders: of what machine and process, but for locks and those of earlier versions.
_TEMPORARY = re.compile(r"\..+\.(?:(?:([0-9a-f]{8})-)?(\d{1,7})-[0-9a-f]{8}|lock)\.tmp", re.DOTALL)
_FOLDERS = ("notebooks", "results", "store")  # that a run makes
#: Threads in a pool, as many as this process has processors: more than eight wait for the disk.
THREADS = min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def socket_folder() -> str:
    """Return a folder for temporary files in which a socket has a path that the system takes: some 100 bytes."""
    usual = tempfile.gettempdir()
    return usual if len(os.fsencode(usual)) < 64 else "/tmp"


@contextmanager
def threads() -> Iterator[ThreadPoolExecutor]:
    """Pool of `THREADS` threads; when the block fails, work that has not begun is dropped."""
    with ThreadPoolExecutor(THREADS) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def _machine() -> str:
    """Return eight digits for this machine, or for the container, whose processes have numbers of their own."""
    numbering = Path("/proc/self/ns/pid")
    both = f"{platform.node()} {os.readlink(numbering) if numbering.exists() else ''}"
    return hashlib.sha256(both.encode()).hexdigest()[:8]


def temporary_name(target: Path) -> Path:
    """Return a name beside `target`, of this process, which `sweep` removes when the process is no longer alive."""
    return target.parent / f".{target.name}.{_machine()}-{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp"


def _unwritten(target: Path, what: str, error: OSError) -> StoreError:
    received, advice = error.strerror or error, "free disk space or choose a folder that can be written"
    return StoreError(f"{target}: expected to write this {what}, received {received}; {advice}")


@contextmanager
def writing(target: Path) -> Iterator[BinaryIO]:
    """Write a file whole or not at all; StoreError if it cannot be written.

    The bytes go to a temporary file beside it, which takes its name when the block ends well, else is removed.
    """
    temporary = temporary_name(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
        sync(target.parent)
    except OSError as error:
        raise _unwritten(target, "file", error) from error
    finally:
        with suppress(OSError):  # the folder itself may be a file
            temporary.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Have the bytes of a file, or the names in a folder, survive a power cut; of a folder, where that is possible."""
    with suppress(OSError) if path.is_dir() else nullcontext():
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_json(path: Path, content) -> None:
    """Write lists, dicts, texts and numbers as JSON in UTF-8; errors as in `writing`."""
    with writing(path) as file:
        file.write(json.dumps(content, indent=1, ensure_ascii=False).encode())


@contextmanager
def writing_folder(
    target: Path, replaces: Callable[[Path], None] | None = None, durable: bool = True
) -> Iterator[Path]:
    """Fill a folder whole or not at all; StoreError if it cannot be written.

    The block receives an empty folder, which takes the name `target` when the block ends well, else is removed.
    `replaces` is called with `target` just before, to remove what is there. What is `durable` survives a power cut
    after the block: files, the folder, and the names of it and of the folders around it, which may be new.
    """
    temporary = temporary_name(target)
    try:
        temporary.mkdir(parents=True)
        yield temporary
        for path in (*temporary.rglob("*"), temporary) if durable else ():
            sync(path)
        if replaces:
            replaces(target)
        os.rename(temporary, target)
        for path in target.parents if durable else ():
            sync(path)
    except OSError as error:
        raise _unwritten(target, "folder", error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def alone(target: Path) -> Iterator[None]:
    """Let one process or thread at a time make a file or folder: the others wait, and find it made.

    Where the system has no such locks, each makes it, which is as safe.
    """
    lock = target.with_name(f".{target.name}.lock.tmp")
    with ExitStack() as held:
        with suppress(OSError, ImportError):
            import fcntl  # not on Windows

            lock.parent.mkdir(parents=True, exist_ok=True)
            file = held.enter_context(open(lock, "wb"))
            held.callback(lock.unlink, missing_ok=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def alone_in(folder: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Let one process at a time use a folder; another calls `on_wait` and waits. Without such locks nobody waits."""
    with ExitStack() as held:
        with suppress(OSError, ImportError):
            import fcntl  # not on Windows

            folder.mkdir(parents=True, exist_ok=True)
            # It stays: a process that waits for a file that is removed would not be known to a third.
            file = held.enter_context(open(folder / ".lock", "ab"))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                on_wait()
                fcntl.flock(file, fcntl.LOCK_EX)
        yield


def built_folder(target: Path, write: Callable[[Path], None]) -> Path:
    """Return a folder, filled by `write` unless it holds exactly the files that were written to it before.

    The folder's name must change with whatever determines its content. StoreError if it cannot be written.
    """
    if is_whole(target):
        return target
    with alone(target):
        if is_whole(target):  # by now
            return target
        try:
            # Not durable: a folder that a power cut damaged is found by its sums.
            with writing_folder(target, shutil.rmtree if target.exists() else None, durable=False) as folder:
                write(folder)
                (folder / _MANIFEST).write_text(json.dumps(_manifest(folder)), "utf-8")
        except StoreError:
            if not is_whole(target):  # else another process has written the same content meanwhile
                raise
    return target


def is_whole(folder: Path) -> bool:
    """Whether a folder holds exactly the files that `built_folder` wrote to it."""
    with suppress(OSError, ValueError, RecursionError):
        manifest = json.loads((folder / _MANIFEST).read_bytes())
        return bool(manifest) and manifest == _manifest(folder)
    return False


def _manifest(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != _MANIFEST)
    return {path.relative_to(folder).as_posix(): sha256_of(path) for path in files}


def sweep(out: Path) -> None:
    """Remove what killed processes left of the files and folders that they wrote for a run.

    Only names that this module makes, in `out` and in the folders that a run makes there: at once if the process was
    one of this machine, else after a day, and so are locks, which several processes share.
    """
    ours = [islice(os.walk(out), 1), *(os.walk(Path(out, name)) for name in _FOLDERS)]
    for folder, below, names in chain.from_iterable(ours):
        for name in (*below, *names):
            path, writer = Path(folder, name), _TEMPORARY.fullmatch(name)
            with suppress(OSError):  # it may be gone by now, or its process be somebody else's
                if writer and _is_left(path, *writer.groups()):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()


def _is_left(path: Path, machine: str | None, process: str | None) -> bool:
    if machine != _machine() or os.name != "posix":
        return time.time() - path.stat().st_mtime > 86400
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    return False


def stored_array(path: Path, shape: tuple[int, ...], dtype, blocks: Iterable[np.ndarray]) -> np.ndarray:
    """Map the array of a file, which is written now from `blocks` unless `open_array` finds it whole."""
    if (array := open_array(path, shape, dtype)) is None:
        with alone(path):
            if open_array(path, shape, dtype) is None:  # still
                save_array(path, shape, dtype, blocks)
        array = open_array(path, shape, dtype)
    if array is None:
        raise StoreError(f"{path}: expected the array just written, received another; run again")
    return array


def save_array(path: Path, shape: tuple[int, ...], dtype, blocks: Iterable[np.ndarray]) -> None:
    """Store an array as a ``.npy`` file with the SHA-256 of its data behind it; StoreError if that fails.

    The array comes as blocks along the first axis, in order, so that it need not fit into memory.
    """
    dtype, digest = np.dtype(dtype).newbyteorder("<"), hashlib.sha256()
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    with writing(path) as file:
        np.lib.format.write_array_header_1_0(file, header)
        for block in blocks:
            data = np.ascontiguousarray(block, dtype).tobytes()
            digest.update(data)
            file.write(data)
        file.write(digest.digest())


def open_array(path: Path, shape: tuple[int, ...], dtype) -> np.ndarray | None:
    """Map an array that `save_array` stored, read-only, after comparing its sum.

    None if the file is missing, is damaged or holds another array or a pickle: the caller then makes it anew.
    """
    with suppress(Exception):  # a damaged header makes NumPy raise nearly any kind of exception
        array, now = np.load(path, mmap_mode="r", allow_pickle=False), path.stat()
        fits = array.shape == shape and array.dtype == dtype and array.flags.c_contiguous
        state = (now.st_ino, now.st_size, now.st_mtime_ns)
        return array if fits and _is_intact(path, array.offset, array.nbytes, state) else None
    return None


@cache
def _is_intact(path: Path, start: int, length: int, state: tuple[int, ...]) -> bool:
    """Compare the sum behind the data of an array, once in a process for each state of the file."""
    digest = hashlib.sha256()
    # Read, not hashed through the map, whose pages would count as memory of this process.
    with open(path, "rb") as file:
        file.seek(start)
        for done in range(0, length, _BLOCK_BYTES):
            digest.update(file.read(min(length - done, _BLOCK_BYTES)))
        return file.read() == digest.digest()
