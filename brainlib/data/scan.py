"""One scan of a folder of images: which files there are, what each one is, its thumbnail and quality flag.

The index of a data set, the audit and training start from this scan, so that all see the same files. A file that cannot
be read is listed with the reason, and the others are scanned all the same.
"""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from brainlib import progress
from brainlib.data import hints, images, thumbnails
from brainlib.data.registry import REGISTRY, info_of
from brainlib.data.thumbnails import SIDE
from brainlib.errors import DataError
from brainlib.io import alone, threads, writing

#: Of everything that an entry of the store depends on: raise the first number when its fields change.
VERSION = f"2-{thumbnails.VERSION}-{images.VERSION}-{hints.VERSION}"
_PARTS = {"train": "train", "training": "train", "test": "test", "testing": "test"}
# An image as the store keeps it. The sum, of all other fields, comes last.
_COLUMNS = {"bytes": "i8", "width": "i8", "height": "i8", "mode": "S8", "format": "S8"}
_COLUMNS |= {"byte_hash": "S64", "pixel_hash": "S64", "quality_flag": "S64"}
_ENTRY = np.dtype([*_COLUMNS.items(), ("thumbnail", "u1", (SIDE, SIDE)), ("hints", hints.HINTS), ("sum", "S64")])


class File(NamedTuple):
    """An image file: its path from the root, its class, and "train", "test" or ""."""

    path: str
    label: str
    part: str


@dataclass(frozen=True, eq=False)
class Scan:
    """What the images of a folder are.

    The `table` has one row a readable image, sorted by path: ``path`` (posix, from the root), ``label``, ``part``
    ("train", "test" or ""), ``bytes``, ``width``, ``height``, ``mode`` and ``format`` as stored, ``byte_hash``,
    ``pixel_hash`` (see `images.pixel_hash`) and ``quality_flag`` (see `thumbnails.quality_flag`). `thumbnails`, uint8
    (n, SIDE, SIDE), are those of `thumbnails.thumbnail`, and `hints`, (n,), the records of `hints.hints_of`.
    `unreadable` has the path of what cannot be listed, read or decoded, and the reason in one line.
    """

    name: str
    table: pd.DataFrame
    unreadable: tuple[tuple[str, str], ...]
    thumbnails: np.ndarray
    hints: np.ndarray | None = None


def files_of(name: str, root: Path) -> tuple[list[File], list[tuple[str, str]]]:
    """List the images of a registered set: those in its published folders, and none in folders below.

    Files and folders that cannot be listed come second, each with the reason.
    """
    files, failed = [], []
    for folder in info_of(name).folders:
        paths, unlisted = walk(Path(root, folder.path), deep=False)
        files += [File(f"{folder.path}/{path}", folder.label, folder.part) for path in paths]
        failed += [(f"{folder.path}/{path}".rstrip("/"), reason) for path, reason in unlisted]
    return files, failed


def files_in(root: Path, classes: Mapping[str, str] | None = None) -> tuple[list[File], list[tuple[str, str]]]:
    """List the images below any folder, as `files_of` does: the folder around an image is its class.

    A folder called train, training, test or testing, in any case, makes what is below it that part. With `classes`, the
    class is that of the nearest folder that they name, and those of which it is "" are left out. Links to folders are
    not followed, so that no loop is walked.
    """
    paths, failed = walk(Path(root), deep=True)
    files = []
    for path in paths:
        folders = path.split("/")[:-1]
        parts = ["", *(_PARTS[name.lower()] for name in folders if name.lower() in _PARTS)]
        named = [name for name in folders if (name in classes if classes else name.lower() not in _PARTS)]
        if not classes:
            files.append(File(path, (named or [""])[-1], parts[-1]))
        elif not named:
            expected = f"expected an image in a folder called {' or '.join(classes)}, received one elsewhere"
            failed.append((path, f"{expected}; add its folder to the classes, with the class '' to leave it out"))
        elif label := classes[named[-1]]:
            files.append(File(path, label, parts[-1]))
    return files, failed


def walk(root: Path, deep: bool) -> tuple[list[str], list[tuple[str, str]]]:
    """Paths of the images in a folder, or also below it, in order; and what cannot be listed."""
    found, failed = [], []

    def note(error: OSError) -> None:
        where = Path(error.filename or root).relative_to(root).as_posix()
        reason = f"expected a folder that can be listed, received {error.strerror or error}; check its permissions"
        failed.append(("" if where == "." else where, reason))

    for folder, below, names in os.walk(root, onerror=note):
        below[:] = sorted(name for name in below if deep and not name.startswith("."))
        for name in sorted(names):
            path = Path(folder, name)
            if name.startswith(".") or path.suffix.lower() not in images.SUFFIXES:
                continue
            relative = path.relative_to(root).as_posix()
            # Python reads bytes that are not UTF-8 as surrogates (Cs), which no table can store.
            if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in relative):
                reason = "expected a name in UTF-8 without control characters, received another; rename the file"
                failed.append((ascii(relative)[1:-1], reason))
            elif not path.is_file():
                failed.append((relative, "expected a file, received a link to nothing or a device; remove it"))
            else:
                found.append(relative)
    return found, failed


def scan_folder(
    root: Path,
    name: str = "",
    store: Path | None = None,
    on_progress: progress.OnProgress = progress.ignore,
) -> Scan:
    """Scan a folder as `scan_files` does: the files of a registered set (`files_of`), or all of any other (`files_in`).

    Any other name, by default the folder's own, is that of the result.
    """
    files, failed = files_of(name, root) if name in REGISTRY else files_in(root)
    return scan_files(name or Path(root).resolve().name, root, files, failed, store, on_progress)


def scan_files(
    name: str,
    root: Path,
    files: Sequence[File],
    unreadable: Iterable[tuple[str, str]] = (),
    store: Path | None = None,
    on_progress: progress.OnProgress = progress.ignore,
    byte_hashes: Mapping[str, str] | None = None,
) -> Scan:
    """Read each of the files below `root` once, and decode those that the store does not know.

    The store keeps what files hold in ``store/scan/``, under the SHA-256 of their bytes. An entry whose sum is wrong is
    made anew. That a file is unreadable is not kept: the reason may lie in this machine. What could not be listed,
    `unreadable`, goes into the result. Files that were scanned before in the same run, whose paths and hashes are
    `byte_hashes`, are not read again if the store knows them.
    """
    root, files = Path(root), sorted(files)
    known = _Known(Path(store) / "scan" / VERSION if store else None)
    entries, bad = {}, {}

    def scan_one(file: File) -> None:
        path, entry = root / file.path, known.get((byte_hashes or {}).get(file.path, ""))
        try:
            if entry is None:
                data = images.read(path)
                byte_hash = hashlib.sha256(data).hexdigest()
                entry = known.get(byte_hash)
            if entry is None:
                entry = known.new[byte_hash] = _entry(data, byte_hash, path)
            entries[file.path] = entry
        except DataError as error:  # it names the whole path, which the result holds apart
            bad[file.path] = str(error).removeprefix(f"{path}: ")

    try:
        with threads() as pool:
            for done, _ in enumerate(pool.map(scan_one, files), start=1):
                on_progress(done / len(files), f"{done} of {len(files)} images")
    finally:
        known.save()
    readable = [file for file in files if file.path in entries]
    rows = np.array([entries[file.path] for file in readable], _ENTRY)
    table = pd.DataFrame(readable, columns=File._fields)
    for column, kind in _COLUMNS.items():
        table[column] = rows[column].astype(str if kind[0] == "S" else int).tolist()
    return Scan(name, table, tuple(sorted([*unreadable, *bad.items()])), rows["thumbnail"], rows["hints"])


def _entry(data: bytes, byte_hash: str, path: Path) -> np.void:
    image, stored = images.decode_bytes(data, path)
    grey = image.convert("L")
    of_image = images.pixel_hash(grey), thumbnails.quality_flag(image), thumbnails.thumbnail(grey)
    entry = np.array((len(data), *stored, byte_hash, *of_image, hints.hints_of(data, image), ""), _ENTRY)[()]
    entry["sum"] = _sum(entry)
    return entry


def _sum(entry: np.void) -> bytes:
    return hashlib.sha256(entry.tobytes()[: -_ENTRY["sum"].itemsize]).hexdigest().encode()


class _Known:
    """Entries by byte hash; those of a store lie in one file for each first digit of the hash.

    The sum of an entry is compared before it is used. A file is replaced whole, by one process at a time.
    """

    def __init__(self, folder: Path | None):
        self.folder, self.new = folder, {}
        shards = [self._shard(digit, "r") for digit in "0123456789abcdef"] if folder else []
        self.stored = {name: (shard, row) for shard in shards for row, name in enumerate(shard["byte_hash"])}

    def get(self, byte_hash: str) -> np.void | None:
        entry = self.new.get(byte_hash)
        if entry is None and byte_hash.encode() in self.stored:
            shard, row = self.stored[byte_hash.encode()]
            entry = shard[row].copy()
        return entry if entry is not None and entry["sum"] == _sum(entry) else None

    def save(self) -> None:
        """Add the new entries to their files, from which damaged ones are removed."""
        self.stored = {}
        for digit in sorted({byte_hash[0] for byte_hash in self.new}) if self.folder else ():
            with alone(self.folder / f"{digit}.npy"):
                entries = {entry["byte_hash"]: entry for entry in self._shard(digit) if entry["sum"] == _sum(entry)}
                entries |= {name.encode(): entry for name, entry in self.new.items() if name[0] == digit}
                with writing(self.folder / f"{digit}.npy") as file:
                    np.save(file, np.array([entries[name] for name in sorted(entries)], _ENTRY), allow_pickle=False)

    def _shard(self, digit: str, mmap_mode: str | None = None) -> np.ndarray:
        try:
            shard = np.load(self.folder / f"{digit}.npy", mmap_mode, allow_pickle=False)
            return shard if shard.dtype == _ENTRY and shard.ndim == 1 else np.empty(0, _ENTRY)
        except Exception:  # a damaged header makes NumPy raise nearly any kind of exception
            return np.empty(0, _ENTRY)
