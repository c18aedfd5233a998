"""Images of a folder, looked at once: what they are, their hashes, a thumbnail, and doubts about them.

Whatever cannot be read is listed with its reason, and the rest is looked at all the same.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from brainlib import progress
from brainlib.data import images
from brainlib.data.registry import info_of
from brainlib.data.thumbnails import SIDE, quality_flag, thumbnail
from brainlib.errors import DataError
from brainlib.io import open_array, save_array, sha256_of, writing

_THREADS = 2
_PARTS = {"train": "train", "training": "train", "test": "test", "testing": "test"}
#: Part of the key under which thumbnails are kept: raise it when `thumbnail` or `quality_flag` gives others.
VERSION = "1"


class File(NamedTuple):
    """An image to be audited: its path from the root, its class, and "train", "test" or ""."""

    path: str
    label: str
    part: str


def files_of(name: str, root: Path) -> tuple[list[File], list[tuple[str, str]]]:
    """Images of a registered set, in the folders that it was published in.

    Returns
    -------
    list of File
    list of (str, str)
        Folders that cannot be listed, with the reason.
    """
    found, unreadable = [], []
    for folder in info_of(name).folders:
        paths, failed = _walk(Path(root) / folder.path)
        found += [File(f"{folder.path}/{path}", folder.label, folder.part) for path in paths]
        unreadable += [(f"{folder.path}/{path}".rstrip("/"), reason) for path, reason in failed]
    return found, unreadable


def files_in(root: Path) -> tuple[list[File], list[tuple[str, str]]]:
    """Images below any folder: the folder around an image is its class.

    A folder called train, training, test or testing, in any case, makes what is below it that part.
    Links to folders are not followed, so that no loop is walked.

    Returns
    -------
    As `files_of`.
    """
    paths, unreadable = _walk(Path(root))
    found = []
    for path in paths:
        *folders, _ = path.split("/")
        parts = [_PARTS[name.lower()] for name in folders if name.lower() in _PARTS]
        classes = [name for name in folders if name.lower() not in _PARTS]
        found.append(File(path, classes[-1] if classes else "", parts[-1] if parts else ""))
    return found, unreadable


def _walk(root):
    """Paths of images below a folder, in order; and what cannot be listed."""
    found, failed = [], []

    def note(error):
        where = os.path.relpath(error.filename or root, root)
        failed.append(("" if where == "." else Path(where).as_posix(), error.strerror or str(error)))

    for folder, below, names in os.walk(root, onerror=note):
        below[:] = sorted(name for name in below if not name.startswith("."))
        for name in sorted(names):
            path = os.path.join(folder, name)
            if name.startswith(".") or Path(name).suffix.lower() not in images.SUFFIXES:
                continue
            relative = Path(os.path.relpath(path, root)).as_posix()
            if not os.path.isfile(path):
                failed.append((relative, "not a file, or a link to nothing"))
            elif any(not letter.isprintable() for letter in relative):
                failed.append((ascii(relative), "a name that is not UTF-8 or has control characters"))
            else:
                found.append(relative)
    return found, failed


@dataclass(frozen=True, eq=False)
class Scan:
    """Images that were decoded once: a table as that of `Audit` without groups, and thumbnails."""

    name: str
    table: pd.DataFrame
    unreadable: tuple[tuple[str, str], ...]
    thumbnails: np.ndarray


def scan_files(
    name: str,
    root: Path,
    files: Sequence[File],
    unreadable: Iterable[tuple[str, str]] = (),
    store: Path | None = None,
    log: Callable[[str], None] | None = None,
) -> Scan:
    """Decode every image once and keep its hashes, a thumbnail and doubts about it.

    Parameters
    ----------
    name : str
    root : Path
    files : sequence of File
    unreadable : iterable of (str, str)
        What could not even be listed.
    store : Path, optional
        Keeps what was seen under the files' bytes, so that nothing is decoded twice.
    log : callable, optional
        Called with lines of progress.
    """
    root, files = Path(root), sorted(files)
    with ThreadPoolExecutor(_THREADS) as pool:
        hashes = list(pool.map(lambda file: _tried(sha256_of, root / file.path), files))
    whole = [n for n, value in enumerate(hashes) if isinstance(value, str)]
    bad = {file.path: value.reason for file, value in zip(files, hashes, strict=True) if isinstance(value, _Unreadable)}
    unique = dict.fromkeys(hashes[n] for n in whole)
    where = {hashes[n]: root / files[n].path for n in reversed(whole)}
    seen = _seen(list(unique), where, store, log)
    rows, kept = [], []
    for n in whole:
        fact = seen.facts[hashes[n]]
        if "error" in fact:
            bad[files[n].path] = fact["error"]
            continue
        rows.append((*files[n], hashes[n], fact["pixel_hash"], fact["quality_flag"]))
        kept.append(fact["row"])
    columns = ["path", "label", "part", "byte_hash", "pixel_hash", "quality_flag"]
    said = tuple(sorted([*unreadable, *bad.items()]))
    return Scan(name, pd.DataFrame(rows, columns=columns), said, seen.thumbnails[kept])


class _Seen(NamedTuple):
    facts: dict[str, dict]
    thumbnails: np.ndarray


def _seen(hashes, where, store, log):
    """Facts by byte hash, and thumbnails; from the store if it has them whole."""
    shape = (len(hashes), SIDE, SIDE)
    key = hashlib.sha256("\n".join([VERSION, images.VERSION, str(shape), *hashes]).encode()).hexdigest()
    target = Path(store) / "audit" / f"{key[:32]}.json" if store else None
    if target:
        cached = open_array(target.with_suffix(".npy"), shape, np.uint8)
        try:
            facts = json.loads(target.read_bytes())
            if cached is not None and list(facts) == hashes:
                return _Seen(facts, cached)
        except (OSError, ValueError):  # not there, or damaged: looked at again
            pass
    thumbnails, facts, n = np.zeros(shape, np.uint8), {}, len(hashes)
    with progress.shown(f"{n} images to scan") as on_progress, ThreadPoolExecutor(_THREADS) as pool:
        looked = pool.map(lambda hash_: _tried(_described, where[hash_]), hashes)
        for row, (hash_, found) in enumerate(zip(hashes, looked, strict=True)):
            if isinstance(found, _Unreadable):
                facts[hash_] = {"error": found.reason}
                continue
            pixel_hash, flag, thumbnails[row] = found
            facts[hash_] = {"pixel_hash": pixel_hash, "quality_flag": flag, "row": row}
            on_progress((row + 1) / n, f"{row + 1} of {n} images")
            if log and (row + 1) % 1000 == 0:
                log(f"{row + 1} of {n} images decoded")
    if target:
        save_array(target.with_suffix(".npy"), shape, np.uint8, [thumbnails])
        with writing(target) as file:
            file.write(json.dumps(facts).encode())
    return _Seen(facts, thumbnails)


class _Unreadable(NamedTuple):
    reason: str


def _tried(function, path):
    try:
        return function(path)
    except DataError as error:  # its line names the whole path: the finding has its own
        return _Unreadable(str(error).removeprefix(f"{path}: "))


def _described(path):
    image = images.decode(path)
    return images.pixel_hash(image), quality_flag(image), thumbnail(image)
