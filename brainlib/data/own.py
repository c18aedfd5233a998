"""Own images: a folder with one folder for each class, described by arguments or by a YAML file.

A YAML file registers own images for good. It has any of the keys of `OwnSet`::

    title: Ward 7, 2025
    root: images                       # from where this file lies, which is also the default
    classes: {healthy: no, sick: yes}  # all values are text, so no word needs quotes
    patients: patients.csv
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import pandas as pd
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from brainlib import progress
from brainlib.data.registry import REGISTRY
from brainlib.data.scan import Scan, files_in, scan_files
from brainlib.data.yaml_files import SUFFIXES, first_problem, read_yaml
from brainlib.errors import DataError, reason, shorten

#: Name of every set that is not registered, so that none is taken for a paper's.
OWN = "own"
SECONDS = 10  # that a pattern may take for all paths
# Run in a process of its own, which can be ended: a pattern of a few letters may take years.
_SEARCH = """
import json, re, sys
pattern, paths = json.load(sys.stdin)
found = [re.search(pattern, path) for path in paths]
json.dump([match and [match[1]] for match in found], sys.stdout)
"""
Line = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]*$")]


class OwnSet(BaseModel):
    """What its owner says of a folder of images.

    `root` holds the images in folders of their classes, at any depth. `classes` gives the class for the name of a
    folder, "" to leave its images out; without it the folder around an image is its class. `patients` is a CSV with the
    columns path and patient, or a regular expression that every path matches and whose one group is the patient.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    root: Line = ""
    classes: dict[Line, Line] = {}
    patients: Line = ""
    title: Line = ""
    licence: Line = "not stated"

    @property
    def name(self) -> str:
        """Its title, or else the name of the folder."""
        return self.title or Path(self.root).resolve().name

    def scan(self, store: Path | None = None, on_progress: progress.OnProgress = progress.ignore) -> Scan:
        """Scan its images as `scan.scan_files` does."""
        return scan_files(self.name, Path(self.root), *files_in(self.root, self.classes), store, on_progress)

    def patients_of(self, paths: Sequence[str]) -> list[str | None]:
        """Return the patient of each image, None where it is not known; DataError if some cannot be told."""
        if not _is_csv(self.patients):
            return _matched(self.patients, paths)
        known = read_patients(Path(self.patients))
        here = set(paths)
        for path in known:
            if path not in here and not os.path.isfile(os.path.join(self.root, path)):  # else it was left out
                expected = f"expected paths of images below {self.root}, such as {paths[0]}"
                raise DataError(f"{self.patients}: {expected}; received {shorten(path)}")
        return [known.get(path) or None for path in paths]


def is_own(source: str) -> bool:
    """Whether a source of images is an own set: a YAML file, or a folder that neither is nor holds a registered set."""
    path = Path(source)
    if path.suffix.lower() in SUFFIXES:
        return True
    registered = path.name in REGISTRY or any((path / name).is_dir() for name in REGISTRY)
    return source not in ("phantoms", "kaggle") and path.is_dir() and not registered


def asked(name: str, source: str) -> str:
    """Return what `load_dataset` is asked for: a registered set, or own images, which take the place of any other."""
    return source if is_own(source) else name


def own_set(source: str | Path, classes: Mapping[str, str] | None = None, patients: str | Path = "") -> OwnSet:
    """Read what a YAML file says of own images, or take a folder as it is; the other arguments replace what it says.

    DataError, in a line, if there is no such file or folder, or it says something else.
    """
    path, content = Path(os.path.expanduser(source)), {}
    try:
        if path.suffix.lower() in SUFFIXES:
            content = read_yaml(path, text=True)
            found = OwnSet.model_validate(content)
            csv = {"patients": str(path.parent / found.patients)} if _is_csv(found.patients) else {}
            content |= {"root": str(path.parent / found.root), **csv}
        else:
            content = {"root": str(path)}
        content |= {"classes": dict(classes)} if classes else {}
        content |= {"patients": str(patients)} if patients else {}
        found = OwnSet.model_validate(content)
    except ValidationError as error:
        raise DataError(f"{path.name}: {first_problem(error, content)}") from None
    except ValueError as error:
        raise DataError(f"{path.name}: {error}") from None
    if not os.path.isdir(found.root):
        known = f"{', '.join(REGISTRY)}, a folder with one folder for each class, or a YAML file that describes one"
        received = "a file" if os.path.exists(found.root) else "nothing of that name"
        raise DataError(f"{found.root}: expected one of {known}; received {received}")
    return found


def read_patients(path: Path) -> dict[str, str]:
    """Return the patient of each path in a CSV; DataError as of `read_texts`."""
    table = read_texts(path, ("path", "patient"), once=("path",))
    return dict(zip(table["path"], table["patient"], strict=True))


def read_texts(path: Path, columns: Sequence[str], once: Sequence[str]) -> pd.DataFrame:
    """Read columns of a CSV as texts; DataError if one is missing, or the values of some occur twice together."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # of values without a column, which would be lost
            table = pd.read_csv(path, dtype=str, keep_default_na=False, index_col=False, encoding="utf-8-sig")
        if not set(columns) <= set(table.columns):
            raise ValueError(f"columns {', '.join(map(str, table.columns))}")
        if (again := table.duplicated(list(once))).any():
            raise ValueError(f"{shorten(' and '.join(table.loc[again, list(once)].iloc[0]))} a second time")
    except (OSError, ValueError, pd.errors.ParserWarning) as error:
        names = f"{', '.join(columns[:-1])} and {columns[-1]}"
        expected = f"a CSV with the columns {names} and each {' and '.join(once)} once"
        raise DataError(f"{path}: expected {expected}; received {reason(error)}") from error
    return table[list(columns)]


def _is_csv(patients: str) -> bool:
    return patients.lower().endswith(".csv")


def _matched(pattern: str, paths: Sequence[str]) -> list[str | None]:
    if not pattern:
        return [None] * len(paths)
    expected = "patients: expected a .csv file or a regular expression with one group"
    try:
        compiled = re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise DataError(f"{expected}; received {shorten(pattern)} ({error})") from None
    if compiled.groups != 1:
        raise DataError(f"{expected}; received {shorten(pattern)}, which has {compiled.groups}")
    command, given = [sys.executable, "-I", "-S", "-c", _SEARCH], json.dumps([pattern, list(paths)])
    try:
        done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=SECONDS, check=True)
    except subprocess.SubprocessError:
        received = f"received {shorten(pattern)}, which takes longer or too much memory; write a simpler one"
        raise DataError(f"{expected} that takes at most {SECONDS} s; {received}") from None
    found = json.loads(done.stdout)
    if None in found:
        path = paths[found.index(None)]
        raise DataError(f"{expected} that every path matches; {shorten(pattern)} does not match {shorten(path)}")
    return [patient for (patient,) in found]
