"""Predictions of any program, read from a CSV or Parquet file that is not to be trusted.

A row is an image: ``path`` (from the folder of images), ``label`` (true class) and ``p_CLASS`` for each class. It may
have a ``part`` (train, validation or test; else all are test images) and a ``group`` (of duplicates, or of one
patient). An image of the training part needs a path alone.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath, PureWindowsPath

import pandas as pd
import pyarrow as pa
from pyarrow import csv, parquet

from brainlib.errors import DataError
from brainlib.stats.predictions import PARTS, decide

# Bounds of what is read, far above any published set.
MOST_BYTES, MOST_IMAGES, MOST_CLASSES = 2**28, 100_000, 20
_LONGEST = 4096  # characters of a text
_TEXTS = ("path", "label", "part", "group")
_KNOWN = (*_TEXTS, "phase")  # tables of `Results` have the phase of training, which is not used
_NUMBER_TYPES = (pa.types.is_primitive, pa.types.is_decimal, pa.types.is_null)
_TEXT_TYPES = (pa.types.is_dictionary, pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)


def read_predictions(file: Path) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Read and check a file of predictions: path, label, part, group and ``p_CLASS``; and the classes in its order.

    DataError, in one line, for anything else.
    """
    table = _read(file, ("path", "label"))
    classes = tuple(name.removeprefix("p_") for name in table if name.startswith("p_"))
    surplus = [name for name in table if name not in _KNOWN and not name.startswith("p_")]
    if surplus or not 2 <= len(classes) <= MOST_CLASSES:
        received = f"a column {_shown(surplus[0])}" if surplus else f"{len(classes)} columns p_CLASS"
        expected = f"columns path, label and p_CLASS for 2 to {MOST_CLASSES} classes, perhaps part and group"
        raise DataError(f"{file}: expected {expected}; received {received}")
    table = table.assign(**{"part": "test", "group": table["path"], **table})
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
    """Read the column ``path`` of a CSV or Parquet file, with a column ``part`` that of the training images alone.

    Errors as in `read_predictions`.
    """
    table = _read(file, ("path",))
    return table.loc[table["part"] == "train" if "part" in table else slice(None), "path"].tolist()


def _read(file: Path, needed: tuple[str, ...]) -> pd.DataFrame:
    """Read a table within the bounds, with texts as texts and paths in one spelling, each once."""
    try:
        if not file.is_file() or (size := file.stat().st_size) > MOST_BYTES:
            raise ValueError(f"{size} bytes" if file.is_file() else "no file")
        with open(file, "rb") as opened:
            table = (_parquet if opened.read(4) == b"PAR1" else _csv)(file)
        if not 0 < table.num_rows <= MOST_IMAGES or len(set(table.column_names)) < table.num_columns:
            raise ValueError(f"{table.num_rows} rows of columns {', '.join(table.column_names)}")
        if not set(needed) <= set(table.column_names):
            raise ValueError(f"columns {', '.join(table.column_names)}")
        frame = table.to_pandas(ignore_metadata=True)
    except (OSError, ValueError, TypeError, NotImplementedError, MemoryError, pa.ArrowException) as error:
        form = "CSV in UTF-8 with commas, or Parquet"
        expected = f"a table ({form}) of up to {MOST_IMAGES} images with {' and '.join(needed)}"
        raise DataError(f"{file}: expected {expected}; received {_shown(error, 200)}") from None
    for name in set(_TEXTS) & set(frame):
        texts = [str(value) for value in frame[name].astype(object).where(frame[name].notna(), "")]
        if (longest := max(map(len, texts))) > _LONGEST:  # each, often the same one, would take its space
            raise DataError(f"{file}: expected texts of at most {_LONGEST} characters, received {longest} in {name}")
        frame[name] = texts
    _check(file, "paths from the folder of images on, such as yes/y1.jpg", frame["path"], _is_below)
    frame["path"] = frame["path"].map(lambda path: str(PurePosixPath(path)))
    _check(file, "each image once", frame["path"][frame["path"].duplicated()], lambda path: False)
    return frame


def _csv(file):
    opened = pa.OSFile(str(file))  # of a path alone, pyarrow would unpack a .gz of any size
    return csv.read_csv(opened, convert_options=csv.ConvertOptions(column_types=dict.fromkeys(_TEXTS, pa.string())))


def _parquet(file):
    """Read a Parquet file and count what it decodes to: its metadata may tell of fewer rows and bytes."""
    fields, batches, rows, size = parquet.read_schema(file), [], 0, 0
    allowed = [_TEXT_TYPES + _NUMBER_TYPES if name in _KNOWN else _NUMBER_TYPES for name in fields.names]
    odd = [each for each, tests in zip(fields, allowed, strict=True) if not any(fits(each.type) for fits in tests)]
    if odd or len(fields) > MOST_CLASSES + len(_KNOWN):
        raise ValueError(f"a column {odd[0].name} of {odd[0].type}" if odd else f"{len(fields)} columns")
    texts = [name for name in fields.names if name in _KNOWN]
    with parquet.ParquetFile(file, read_dictionary=texts) as opened:  # a text that is repeated is held once
        for batch in opened.iter_batches(use_threads=False):
            rows, size = rows + batch.num_rows, size + batch.nbytes
            if rows > MOST_IMAGES or size > MOST_BYTES:
                raise ValueError(f"{rows} rows of {size} bytes, or more")
            batches.append(batch)
        return pa.Table.from_batches(batches, opened.schema_arrow).unify_dictionaries()


def _is_below(path: str) -> bool:
    """Tell whether a path stays in the folder that it starts from."""
    pure = PurePosixPath(path)
    outside = pure.is_absolute() or PureWindowsPath(path).drive or ".." in pure.parts or "\\" in path
    return bool(pure.parts) and path.isprintable() and not outside


def _check(file: Path, expected: str, values: pd.Series, holds: Callable[[str], bool]) -> None:
    for row, value in values.items():
        if not holds(value):
            raise DataError(f"{file}: expected {expected}; received {_shown(value)} in row {row + 1}")


def _shown(value: object, most: int = 60) -> str:
    """Show what a file holds in a message: on one line, without control characters, and not at any length."""
    return "".join(letter if letter.isprintable() else " " for letter in str(value))[:most] or "an empty text"
