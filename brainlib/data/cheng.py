"""Cheng's set: slices in MATLAB files, with patients and outlined tumours, made into a folder of images.

J. Cheng et al., PLoS ONE 2015, 10:e0140381, published 3064 T1 slices of 233 patients as ``1.mat`` to ``3064.mat``, in
four archives on figshare (1512427). Each is a file of MATLAB 7.3, which is HDF5, with a group ``cjdata``: ``label``,
``PID`` (the patient), ``image`` and ``tumorMask``; MATLAB writes arrays transposed. The folder that is made of them is
laid out as phantoms are: PNG in a folder for each class, lesions in ``masks/`` and the patients in a CSV.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import h5py
import numpy as np
import pandas as pd

from brainlib import progress
from brainlib.data import lesions
from brainlib.data.registry import info_of
from brainlib.errors import DataError, reason
from brainlib.io import built_folder, sha256_of, threads

PATIENTS = "patients.csv"
#: Part of the name of the folder: raise it when the images, masks or patients of the same files change.
VERSION = "1"
LABELS = {1: "meningioma", 2: "glioma", 3: "pituitary"}
_SLICE = re.compile(r"[0-9]{1,6}\.mat")  # cvind.mat is none
_MAX_BYTES = 16 * 2**20  # of one file: a published one has less than 2**20
_MAX_PIXELS = 2**22  # of a slice, and of a block that HDF5 decompresses at once: 2048 by 2048


def image_root(base: Path, store: Path, on_progress: progress.OnProgress = progress.ignore) -> Path:
    """Return a folder in the store with the images of Cheng's files in `base` or below, made now unless it is whole.

    The slices are ``N.mat``, or where none is, those in archives (``.zip``). An image has the path ``CLASS/N.png``. Its
    grey values are scaled by `eight_bits`. ``patients.csv`` has the columns ``path``, ``patient`` (see `same_patient`)
    and ``pid`` (as published). DataError, in one line, for files that are missing or damaged, or are no slices.
    """
    base = Path(base)
    found = sorted(path for path in base.rglob("*") if path.is_file() and not path.name.startswith("."))
    sources = [path for path in found if _SLICE.fullmatch(path.name)]
    sources = sources or [path for path in found if path.suffix.lower() == ".zip"]
    if not sources:
        received = "a folder without one" if base.is_dir() else "no folder"
        expected = "expected 1.mat, 2.mat, ... or the archives that hold them"
        raise DataError(f"{base}: {expected}, received {received}; put what {info_of('cheng').url} has there")
    with threads() as pool:
        sums = list(pool.map(sha256_of, sources))
    content = "\n".join([VERSION, *sorted(f"{path.name} {sum_}" for path, sum_ in zip(sources, sums, strict=True))])
    name = f"cheng-{hashlib.sha256(content.encode()).hexdigest()[:16]}"
    return built_folder(Path(store) / "converted" / name, lambda folder: _convert(sources, folder, on_progress))


def eight_bits(values: np.ndarray) -> np.ndarray:
    """Scale the grey values of a slice to 8 bits: its least becomes 0, its greatest 255, linearly between and rounded.

    Values of MRI have no unit, and those of this set reach from a few hundred to the top of 12 bits: a range that is
    fixed for all would leave most slices dark. A slice of one value becomes black. The result is uint8 (height, width).
    """
    low, high = float(values.min()), float(values.max())
    return np.floor((values - low) * (255 / max(high - low, 1e-9)) + 0.5).astype(np.uint8)


def same_patient(pid: str) -> str:
    """Return the patient whom a published id names, without the letters behind the number.

    MR040240B, MR040240C and MR040240D may be three examinations of one patient. They are taken for one, which makes 209
    patients of the 233 ids, so that no split can divide them.
    """
    return re.sub(r"(?<=[0-9])[A-Za-z]+$", "", pid)


def read_slice(opens: Callable[[], BinaryIO], name: Path | str) -> tuple[str, str, np.ndarray, np.ndarray]:
    """Return class, published patient id, image and lesion of a file of MATLAB 7.3.

    The image, int or float, and the lesion, bool, have the shape (height, width). DataError, which calls the file
    `name`, if the file is not one of Cheng's. No other file that it may point to is read, nor much more than it needs.
    """
    try:
        with opens() as file:
            data = file.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise ValueError(f"more than {_MAX_BYTES} bytes")
        with h5py.File.in_memory(data) as file:
            group = _linked(file, "cjdata", h5py.Group)
            label, pid, image, mask = (_values(group, key) for key in ("label", "PID", "image", "tumorMask"))
        pid = "".join(map(chr, pid.ravel()[:64].astype(int)))
        if label.size != 1 or int(label.item()) not in LABELS or not re.fullmatch("[0-9A-Za-z]+", pid):
            raise ValueError(f"label {label.ravel()[:3]} and patient {pid[:20]!a}")
        if image.ndim != 2 or image.shape != mask.shape or min(image.shape) < 2 or not np.isfinite(image).all():
            raise ValueError(f"an image of shape {image.shape} and a mask of shape {mask.shape}, or no finite values")
    except Exception as error:  # a damaged file or archive makes HDF5 and zipfile raise nearly any kind of exception
        expected = "expected a slice of Cheng's set (MATLAB 7.3: label, PID, image and tumorMask in cjdata)"
        advice = "replace the file by a fresh copy of the data set's"
        raise DataError(f"{name}: {expected}, received another file ({reason(error)}); {advice}") from error
    return LABELS[int(label.item())], pid, image.T, mask.T != 0


def _linked(group, name, kind):
    """Return a member of a group that lies in the same file."""
    if not isinstance(group.get(name, getlink=True), h5py.HardLink) or not isinstance(group[name], kind):
        raise ValueError(f"no {name}")
    return group[name]


def _values(group, name):
    """Read an array of numbers that lies in the file itself and is small."""
    found = _linked(group, name, h5py.Dataset)
    elsewhere = found.external or found.is_virtual
    if elsewhere or found.dtype.kind not in "iuf" or max(found.size, np.prod(found.chunks or (0,))) > _MAX_PIXELS:
        raise ValueError(f"{name} of {found.dtype} and shape {found.shape}, or stored elsewhere")
    return found[()]


def _convert(sources: Sequence[Path], folder: Path, on_progress: progress.OnProgress) -> None:
    """Write the slices of files and archives into an empty folder."""
    slices, rows = {}, []
    for name, opens in chain.from_iterable(map(_inside, sources)):
        number = int(Path(name).stem)
        if number in slices:
            raise DataError(
                f"{name}: expected each slice once, received slice {number} again; keep one copy of the set"
            )
        slices[number] = opens, name

    def one(number: int) -> tuple[str, str, str]:
        label, pid, image, lesion = read_slice(*slices[number])
        path = f"{label}/{number}.png"
        lesions.write(folder, path, eight_bits(image), lesion)
        return path, same_patient(pid), pid

    with threads() as pool:
        for done, row in enumerate(pool.map(one, sorted(slices)), start=1):
            rows.append(row)
            on_progress(done / len(slices), f"{done} of {len(slices)} slices made images")
    pd.DataFrame(rows, columns=["path", "patient", "pid"]).to_csv(folder / PATIENTS, index=False, lineterminator="\n")


def _inside(source: Path) -> Iterator[tuple[str, Callable[[], BinaryIO]]]:
    """Yield where each slice lies that a file is or an archive holds, and what opens it."""
    if _SLICE.fullmatch(source.name):
        yield str(source), partial(open, source, "rb")
        return
    try:
        archive = zipfile.ZipFile(source)  # it is closed when nothing can open its files any more
    except Exception as error:
        expected = "expected an archive of slices"
        raise DataError(f"{source}: {expected}, received another file ({reason(error)}); fetch it again") from error
    for name in archive.namelist():
        if _SLICE.fullmatch(Path(name).name):
            yield f"{source}/{name}", partial(archive.open, name)
