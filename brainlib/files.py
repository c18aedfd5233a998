"""Files that are whole or not there: atomic writing, and arrays on disk that are checked.

Every writer of the package goes through `writing`, so an interrupt leaves nothing half-written
and two processes that write the same file do each other no harm.
"""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np

from brainlib.errors import StoreError


@contextmanager
def writing(target: Path) -> Iterator[BinaryIO]:
    """Write a file whole or not at all.

    The bytes go to a temporary file of this process in the same folder, which takes the name
    `target` when the block ends well and is removed when it does not.

    Raises
    ------
    StoreError
        The folder or the file cannot be written.
    """
    temporary = target.parent / f".{target.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except OSError as error:
        raise StoreError(
            f"{target}: expected to write this file, received {error.strerror or error}; "
            "free disk space or choose a folder that can be written"
        ) from error
    finally:
        with suppress(OSError):  # the folder itself may be a file
            temporary.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove what killed processes left behind: temporary names that are over a day old.

    A younger one may belong to a process that is still writing, on this machine or another.
    """
    for path in folder.rglob(".*.tmp"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > 86400:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def open_array(path: Path, shape: tuple[int, ...], dtype) -> np.ndarray | None:
    """Map a stored array, read only.

    Parameters
    ----------
    path : Path
        A ``.npy`` file; pickled content is refused.
    shape, dtype
        What the array must be.

    Returns
    -------
    ndarray or None
        None where the file is not there, is cut short, or holds another array: the caller then
        builds it anew.
    """
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        whole = path.stat().st_size == array.offset + array.nbytes
    except Exception:  # a damaged header makes NumPy raise nearly any kind of exception
        return None
    return array if whole and array.shape == shape and array.dtype == dtype else None
