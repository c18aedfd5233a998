"""Data sets, indexed: registered ones, found on disk, downloaded or replaced by phantoms, and a user's own images."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from brainlib import progress
from brainlib.data import cheng, downloads, images, lesions
from brainlib.data.groups import joined, joined_patients
from brainlib.data.own import OWN, OwnSet, own_set, read_patients
from brainlib.data.phantoms.dataset import TRUTH, phantom_root
from brainlib.data.registry import REGISTRY, DataSetInfo, info_of
from brainlib.data.scan import File, Scan, scan_files, scan_folder, walk
from brainlib.errors import DataError


@dataclass(frozen=True, eq=False)
class DataSet:
    """An indexed data set.

    The `table` is that of `Scan` without ``quality_flag`` and with ``patient`` (str, or None where unknown), sorted by
    part, label and natural path, indexed 0 to n - 1; its paths start from `root`. `info` is what was published of the
    set or, of own images, what is known. `classes` are the labels in the order of class numbers. Two sets with one
    `fingerprint`, 16 hexadecimal digits of every path, label and byte, are one. `differences` has a sentence for each
    folder whose number of images is not the published one, or one if the files are others, and `phantom` tells whether
    the images are synthetic.
    `duplicates`, int (n,), are the duplicate groups of the images, near-duplicates included, as an audit finds them.
    """

    info: DataSetInfo
    root: Path
    table: pd.DataFrame
    classes: tuple[str, ...]
    fingerprint: str
    differences: tuple[str, ...]
    phantom: bool
    duplicates: np.ndarray | None = None

    @property
    def name(self) -> str:
        """Its name in `REGISTRY`, `own.OWN` for own images."""
        return self.info.name

    def group_ids(self, patients: bool = False) -> np.ndarray:
        """Return the duplicate group of each image: int array, shape (n,), from 0.

        Without an audit (`duplicates` is None), images with the same pixels are a group. With `patients`, images of
        one patient are joined as well, where patients are known: a split without leakage must not divide these groups.
        """
        groups = pd.factorize(self.table["pixel_hash"])[0] if self.duplicates is None else self.duplicates
        return joined_patients(groups, self.table["patient"]) if patients else groups

    def files(self, rows: Sequence[int] | np.ndarray) -> tuple[list[Path], list[str]]:
        """Return paths and byte hashes of the images at some positions, as `images.load_images` takes them."""
        chosen = self.table.iloc[list(rows)]
        return [self.root / path for path in chosen["path"]], chosen["byte_hash"].tolist()

    def sizes(self) -> list[tuple[str, int]]:
        """Return the path of each image file and its size in bytes."""
        return [(str(self.root / row.path), int(row.bytes)) for row in self.table.itertuples()]

    def lesion(self, path: str, size: int) -> np.ndarray | None:
        """Return the outlined lesion of an image, bool (size, size), shrunk as the image is; None where none is known.

        Phantoms and Cheng's set have lesions. The path is one of the table.
        """
        return lesions.read(self.root, path, size)

    def scan(
        self,
        store: Path,
        rows: Sequence[int] | np.ndarray | None = None,
        on_progress: progress.OnProgress = progress.ignore,
    ) -> Scan:
        """Scan the images at some positions, by default all, without reading files that the store knows.

        DataError if one can no longer be read.
        """
        chosen = self.table if rows is None else self.table.iloc[list(rows)]
        files = [File(*row) for row in chosen[["path", "label", "part"]].itertuples(index=False)]
        hashes = dict(zip(chosen["path"], chosen["byte_hash"], strict=True))
        return _readable(scan_files(self.name, self.root, files, (), store, on_progress, hashes), self.root)

    def together(self, paths: Sequence[str], groups: np.ndarray) -> np.ndarray:
        """Join groups, int (m,), of the images at m paths with those of `group_ids`, patients included: int (m,)."""
        known = pd.Series(self.group_ids(patients=True), index=self.table["path"])
        return joined(groups, known[paths].to_numpy())


def default_store() -> Path:
    """Return the folder of all that is kept where no other is named: ``brainlib`` in the user's caches."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "brainlib")


def locate(
    name: str, data: Path, store: Path | None = None, on_progress: progress.OnProgress = progress.ignore
) -> Path:
    """Find a set's root: the folder ``data/name``, or the one in it that the archive wraps everything in.

    The upper folder is preferred, because one archive holds the set twice. A set of MATLAB files may lie at any depth;
    its root is the folder of images that is made of it in the store, `default_store` unless given. DataError if a
    folder is missing, is empty or lacks a class, if a class has no image, or as of `cheng.image_root`.
    """
    info, data = info_of(name), Path(data)
    if not data.is_dir():
        received = "a file" if data.exists() else "nothing of that name"
        raise DataError(
            f"{data}: expected the data folder, received {received}; give the folder that holds one folder a data set"
        )
    return _root_of(info, data / name, store, on_progress)


def download(name: str, store: Path | None = None, on_progress: progress.OnProgress = progress.ignore) -> Path:
    """Download a set from Kaggle or figshare, unless it was done before, and return its root as `locate` does.

    DataError if kagglehub is not installed, the download fails or the set has another layout.
    """
    info = info_of(name)
    if not info.archives:
        return _root_of(info, downloads.from_kaggle(info))
    first, second = progress.part(on_progress, 0, 0.8), progress.part(on_progress, 0.8, 1)
    base = downloads.from_figshare(info, default_store() / "figshare" / info.handle.rpartition(".figshare.")[2], first)
    return _root_of(info, base, store, second)


def index(name: str, root: Path, store: Path, on_progress: progress.OnProgress = progress.ignore) -> DataSet:
    """Scan every image of a registered set in the folder that `locate` returns, and tabulate it.

    All files are read on every call, so that a changed file is always noticed. Only files that the store does not
    know are decoded (see `scan.scan_files`). A file ``truth.csv`` marks phantoms and gives their patients,
    ``patients.csv`` those of other images. DataError if an image cannot be decoded.
    """
    info, root = info_of(name), Path(root)
    phantom = (root / TRUTH).exists()
    table = _tabulated(scan_folder(root, name, store, on_progress), root)
    table["patient"] = pd.Series(patients_of(root, table["path"]), dtype=object)
    differences = () if phantom else _differences(info, table)
    return DataSet(info, root, table, info.classes, fingerprint(table), differences, phantom)


def _differences(info: DataSetInfo, table: pd.DataFrame) -> tuple[str, ...]:
    """Say of which folders other numbers of images were published, or else that the files are others."""
    here = Counter(path.rpartition("/")[0] for path in table["path"])
    counts = [(folder.path, folder.count, here[folder.path]) for folder in info.folders]
    found = [f"{path}: {n} images were published, {own} are here." for path, n, own in counts if n != own]
    files = hashlib.sha256("\n".join(sorted(table["byte_hash"])).encode()).hexdigest()
    other = [f"As many images as {info.handle} are here, but not the same files."] if files != info.sha256 else []
    return tuple(found or (other if info.sha256 else []))


def patients_of(root: Path, paths: Iterable[str]) -> list[str | None]:
    """Return the patient of each image of a registered set, None where it is not known."""
    tables = [root / name for name in (TRUTH, cheng.PATIENTS) if (root / name).exists()]
    known = read_patients(tables[0]) if tables else {}
    return [known.get(path) for path in paths]


def index_own(own: OwnSet, store: Path, on_progress: progress.OnProgress = progress.ignore) -> DataSet:
    """Scan and tabulate own images as `index` does; DataError if they are not of two classes or more."""
    root = Path(own.root)
    table = _tabulated(own.scan(store, on_progress), root)
    classes = tuple(sorted(set(table["label"])))
    folders = {name for path in table["path"] for name in path.split("/")[:-1]}
    faults = [f"no image in a folder called {name!r}" for name, to in own.classes.items() if to and name not in folders]
    faults += [f"{path} in no folder" for path in table["path"][table["label"] == ""]]
    faults += [f"images of {', '.join(classes) or 'none'}"] if len(classes) < 2 else []
    if faults:
        expected = f"expected images ({', '.join(sorted(images.SUFFIXES))}) of two classes or more, each in its folder"
        raise DataError(f"{root}: {expected}; received {faults[0]}")
    table["patient"] = pd.Series(own.patients_of(table["path"].tolist()), dtype=object)
    info = DataSetInfo(OWN, own.name, "", own.licence, ())
    return DataSet(info, root, table, classes, fingerprint(table), (), False)


def fingerprint(table: pd.DataFrame) -> str:
    """Return 16 hexadecimal digits of every path, label and byte hash of a table, as in `DataSet`."""
    lines = sorted(zip(table["path"], table["label"], table["byte_hash"], strict=True))
    return hashlib.sha256("\n".join("\t".join(line) for line in lines).encode()).hexdigest()[:16]


def load_dataset(
    name: str | Path,
    data: str | Path = "",
    store: str | Path = "",
    *,
    phantoms: int | None = 240,
    classes: Mapping[str, str] | None = None,
    patients: str | Path = "",
    on_progress: progress.OnProgress = progress.ignore,
) -> DataSet:
    """Find or make a data set, check its layout and index it.

    DataError, in one line, as of `locate`, `download` and `index`, and for own images that are not as described;
    UsageError if the phantoms are too few to fill every folder; StoreError if the store cannot be written.

    Parameters
    ----------
    name : str or Path
        Name in `REGISTRY`, such as "br35h". Otherwise own images: a folder with one folder for each class, which may
        lie in published train and test folders, or a YAML file that describes one (see `brainlib.data.own`).
    data, store : str or Path
        A folder with one folder a set, "kaggle" or "phantoms", by default that of the environment variable
        BRAINLIB_DATA, else "kaggle"; and the folder of all that is kept, by default ``brainlib`` in the user's caches.
    phantoms : int
        How many replace the set if `data` is "phantoms". They are written once to ``store/phantoms/`` as PNG, in the
        set's own folders, with ``truth.csv`` and ``masks/`` beside them. Every class gets the same number, published
        train and test folders share it in the published proportion, and nearly half of the images are planted
        duplicates, those in a test folder of training images. Otherwise each is of a patient of its own.
    classes, patients
        Of own images, see `own.OwnSet`: ``classes={"healthy": "no", "sick": "yes"}`` gives the images in folders of
        these names the classes of a paper; patients are in a CSV, or in the paths, as in ``r"(p[0-9]+)_"``.
    """
    data = str(data or os.environ.get("BRAINLIB_DATA") or "kaggle")
    store = Path(store or default_store())
    if name not in REGISTRY or classes or patients:
        return index_own(own_set(name, classes, patients), store, on_progress)
    if data == "phantoms":
        root = phantom_root(info_of(name), phantoms, store)
    else:
        found = (name, store, on_progress) if data == "kaggle" else (name, Path(data), store, on_progress)
        root = (download if data == "kaggle" else locate)(*found)
    return index(name, root, store, on_progress)


def _root_of(
    info: DataSetInfo, base: Path, store: Path | None = None, on_progress: progress.OnProgress = progress.ignore
) -> Path:
    """Return `base`, or the folder in it, that holds the whole published layout, or what is made of MATLAB files."""
    if info.archives and not (base / TRUTH).exists():
        return cheng.image_root(base, Path(store or default_store()), on_progress)
    wanted = [folder.path for folder in info.folders]
    layout = f"folders {', '.join(wanted)}"
    advice = f"unpack {info.url} there"
    try:
        inside = sorted(entry for entry in base.iterdir() if entry.is_dir())
    except OSError as error:
        received = error.strerror or error
        raise DataError(f"{base}: expected a folder with the {layout}, received {received}; {advice}") from error
    root = next((each for each in (base, *inside) if all((each / path).is_dir() for path in wanted)), None)
    if root is None:
        missing = ", ".join(path for path in wanted if not (base / path).is_dir())
        received = f"no {missing}" if inside else "no folder at all"
        raise DataError(f"{base}: expected the {layout}, received {received}; {advice}")
    for path in wanted:
        if not any(walk(root / path, deep=False)):  # neither an image nor what cannot be listed
            expected = f"expected images ({', '.join(sorted(images.SUFFIXES))}), received a folder without one"
            raise DataError(f"{root / path}: {expected}; fill it or unpack the data set again")
    return root


def _readable(scan: Scan, root: Path) -> Scan:
    for path, why in scan.unreadable:
        raise DataError(f"{root / path}: {why}")
    return scan


def _tabulated(scan: Scan, root: Path) -> pd.DataFrame:
    table = _readable(scan, root).table.drop(columns="quality_flag")
    order = sorted(table.itertuples(), key=lambda row: (row.part, row.label, _natural(row.path)))
    return table.loc[[row.Index for row in order]].reset_index(drop=True)


def _natural(path: str) -> tuple[list[str | int], str]:
    """Return a sort key that puts y2 before y10, whatever the case of the letters."""
    parts = re.split("([0-9]+)", path.casefold())
    return [int(part) if number % 2 else part for number, part in enumerate(parts)], path
