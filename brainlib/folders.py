"""Folders of images that the program writes itself: whole, verified on every use, or not there."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path

from brainlib import images
from brainlib.errors import DataError, StoreError

_MANIFEST = "manifest.json"


def built(target: Path, write: Callable[[Path], None]) -> Path:
    """Return a folder, written now unless it holds exactly the files that were written before.

    Parameters
    ----------
    target : Path
        Its name must change with whatever determines its content.
    write : callable
        Called with an empty folder beside `target` to fill, which then takes its name.

    Raises
    ------
    StoreError
        The folder cannot be written.
    """
    if _is_whole(target):
        return target
    temporary = target.parent / f".{target.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp"
    try:
        temporary.mkdir(parents=True)
        write(temporary)
        (temporary / _MANIFEST).write_text(json.dumps(_manifest(temporary)), "utf-8")
        if target.exists() and not _is_whole(target):
            damaged = temporary.with_suffix(".damaged")
            target.rename(damaged)
            shutil.rmtree(damaged)
        if not target.exists():  # else another process was quicker, with the same content
            temporary.rename(target)
    except OSError as error:
        if not _is_whole(target):
            raise StoreError(
                f"{target}: expected to write images there, received "
                f"{error.strerror or error}; free disk space or choose another folder"
            ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def _is_whole(folder: Path) -> bool:
    """Whether a folder holds exactly the files, byte for byte, that were written."""
    try:
        manifest = json.loads((folder / _MANIFEST).read_bytes())
        return bool(manifest) and manifest == _manifest(folder)
    except (OSError, ValueError, DataError):
        return False


def _manifest(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != _MANIFEST)
    return {path.relative_to(folder).as_posix(): images.file_hash(path) for path in files}
