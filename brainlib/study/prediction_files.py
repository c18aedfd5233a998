"""Predictions of any program, read from a CSV or Parquet file that is not to be trusted.

A row is an image: ``path`` (from the folder of images), ``label`` (true class) and ``p_CLASS`` for each class. It may
have a ``part`` (train, validation or test; else all are test images) and a ``group`` (of duplicates, or of one
patient). An image of the training part needs a path alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

import pandas as pd
import pyarrow as pa
from pyarrow import csv, parquet

from brainlib.errors import DataError
from brainlib.stats.predictions import PARTS, decide

# Bounds of what is read, far above any published set.
MOST_BYTES, MOST_IMAGES, MOST_CLASSES = 2**28, 100_000, 20
_TEXTS = ("path", "label", "part", "group")
_KNOWN = (*_TEXTS, "phase")  # tables of `Results` have the phase of training, which is not used


def read_predictions(file: Path) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Read and check a file of predictions: path, label, part, group and ``p_CLASS``; and the classes in its order.

    DataError, in one line, for anything else.
    """
    table = _read(file)
    classes = tuple(name.removeprefix("p_") for name in table.columns if name.startswith("p_"))
    missing = [name for name in ("path", "label") if name not in table]
    surplus = [name for name in table.columns if name not in _KNOWN and not name.startswith("p_")]
    if missing or surplus or not 2 <= len(classes) <= MOST_CLASSES:
        received = ", ".join(map(_shown, table.columns[:MOST_CLASSES]))
        expected = f"columns path, label and p_CLASS for 2 to {MOST_CLASSES} classes, perhaps part and group"
        why = f"without {' and '.join(missing)}" if missing else f"of which {_shown(surplus[0])} is not known"
        raise DataError(f"{file}: expected {expected}, received {received}{f', {why}' if missing or surplus else ''}")
    table["path"] = _paths(file, table["path"])
    table["part"] = table["part"] if "part" in table else "test"
    table["group"] = table["group"] if "group" in table else table["path"]
    scored = table[table["part"] != "train"]
    _check(file, "a group for each image", table["group"], bool)
    _check(file, "a part of train, validation or test", table["part"], lambda part: part in PARTS)
    _check(file, f"labels of {', '.join(map(_shown, classes))}", scored["label"], lambda label: label in classes)
    _check(file, "classes with a name", pd.Series(classes), lambda name: name and name.isprintable())
    if "test" not in set(table["part"]):
        raise DataError(f"{file}: expected predictions of test images, received {len(table)} rows without one")
    try:
        for _, rows in scored.groupby("part"):
            decide(rows, classes)
    except DataError as error:
        raise DataError(f"{file}{_shown(error, 300).removeprefix('predictions')}") from None
    return table[[*_TEXTS, *(f"p_{name}" for name in classes)]], classes


def read_paths(file: Path) -> list[str]:
    """Read the column ``path`` of a CSV or Parquet file; errors as in `read_predictions`."""
    table = _read(file)
    if "path" not in table:
        received = ", ".join(map(_shown, table.columns[:MOST_CLASSES]))
        raise DataError(f"{file}: expected a column path, received {received}")
    return _paths(file, table["path"]).tolist()


def _read(file: Path) -> pd.DataFrame:
    """Read a table within the bounds, with its texts as texts."""
    try:
        if not file.is_file():
            raise ValueError("a folder" if file.is_dir() else "nothing of that name, or no file")
        if (size := file.stat().st_size) > MOST_BYTES:
            raise ValueError(f"{size} bytes, more than {MOST_BYTES}")
        with open(file, "rb") as opened:
            table = (_parquet if opened.read(4) == b"PAR1" else _csv)(file)
        if not 0 < table.num_rows <= MOST_IMAGES:
            raise ValueError(f"{table.num_rows} rows, of {MOST_IMAGES} at most" if table.num_rows else "no row")
        if len(set(table.column_names)) < table.num_columns:
            raise ValueError("two columns of one name")
        frame = table.to_pandas(ignore_metadata=True)
    except (OSError, ValueError, TypeError, NotImplementedError, MemoryError, pa.ArrowException) as error:
        reason = getattr(error, "strerror", None) or _shown(error, 200)
        raise DataError(f"{file}: expected a table in CSV (UTF-8) or Parquet, received {reason}") from None
    for name in set(_TEXTS) & set(frame):
        frame[name] = [str(value) for value in frame[name].astype(object).where(frame[name].notna(), "")]
    return frame


def _csv(file):
    texts = csv.ConvertOptions(column_types=dict.fromkeys(_TEXTS, pa.string()))
    return csv.read_csv(file, convert_options=texts)


def _parquet(file):
    with parquet.ParquetFile(file) as opened:
        about = opened.metadata
        size = sum(about.row_group(number).total_byte_size for number in range(about.num_row_groups))
        if about.num_rows > MOST_IMAGES or size > MOST_BYTES:
            raise ValueError(f"{about.num_rows} rows of {size} bytes, more than {MOST_IMAGES} or {MOST_BYTES}")
        return opened.read()


def _paths(file: Path, paths: pd.Series) -> pd.Series:
    """Return paths in one spelling; none leaves the folder of images, and none comes twice."""

    def is_below(path: str) -> bool:
        pure = PurePosixPath(path)
        outside = pure.is_absolute() or PureWindowsPath(path).drive or ".." in pure.parts or "\\" in path
        return bool(pure.parts) and path.isprintable() and not outside

    _check(file, "paths from the folder of images on, such as yes/y1.jpg", paths, is_below)
    paths = paths.map(lambda path: str(PurePosixPath(path)))
    if paths.duplicated().any():
        raise DataError(f"{file}: expected each image once, received {_shown(paths[paths.duplicated()].iloc[0])} again")
    return paths


def _check(file: Path, expected: str, values: pd.Series | Sequence[str], holds: Callable[[str], bool]) -> None:
    for row, value in values.items():
        if not holds(value):
            raise DataError(f"{file}: expected {expected}, received {_shown(value)} in row {row + 1}")


def _shown(value: object, most: int = 60) -> str:
    """Show what a file holds in a message: on one line, without control characters, and not at any length."""
    return "".join(letter if letter.isprintable() else "?" for letter in str(value))[:most] or "an empty text"
