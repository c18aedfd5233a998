"""Where results of trials are kept: a folder each, written whole, verified when read.

``STORE/trials/KEY/`` holds ``trial.json`` (what was asked, how long it took, where, and the
SHA-256 of its neighbours), tables as Parquet, and, for trials that keep it, ``model.keras``. A
folder is written under another name and renamed, so it is complete or not there. One that does
not verify is set aside under another name, never deleted, and its trial is run again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
import uuid
from pathlib import Path

import pandas as pd

from brainlib import progress
from brainlib.errors import StoreError

_FACTS, _MODEL = "trial.json", "model.keras"
#: Columns of stored histories under their names of today.
_RENAMED = {"watched_loss": "val_loss", "watched_accuracy": "val_accuracy"}


def save(folder: Path, key: str, facts: dict, tables: dict[str, pd.DataFrame], model=None) -> None:
    """Store a result, replacing one of the same key.

    Parameters
    ----------
    folder : Path
        The store.
    key : str
    facts : dict
        Anything that JSON can hold.
    tables : dict of DataFrame
    model : keras.Model, optional

    Raises
    ------
    StoreError
        When the store cannot be written.
    """
    target = folder / "trials" / key
    unfinished = target.with_name(f".{key}.{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp")
    try:
        unfinished.mkdir(parents=True)
        for name, table in tables.items():
            table.to_parquet(unfinished / f"{name}.parquet", index=False)
        if model is not None:
            model.save(unfinished / _MODEL, include_optimizer=False)
        sums = {file.name: _sha256(file) for file in sorted(unfinished.iterdir())}
        text = json.dumps({**facts, "sha256": sums}, indent=1)
        (unfinished / _FACTS).write_text(text, encoding="utf-8")
        _set_aside(target, "replaced")
        os.rename(unfinished, target)
    except OSError as error:
        if target.is_dir() and _verified(target) is not None:
            return  # another process finished the same trial first
        raise StoreError(
            f"{target}: expected to write a result there, received {error.strerror or error}; "
            "free disk space or choose another --out"
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    for replaced in target.parent.glob(f"{key}.replaced-*"):
        shutil.rmtree(replaced, ignore_errors=True)


def holds(folder: Path, key: str, *, model: bool = False) -> bool:
    """Whether the store has a whole result; one that does not verify is set aside, and said.

    Parameters
    ----------
    folder : Path
        The store.
    key : str
    model : bool
        Whether a trained model is wanted as well.

    Raises
    ------
    StoreError
        When a damaged result cannot be set aside.
    """
    target = folder / "trials" / key
    if not target.exists():
        return False
    facts = _verified(target, model=model)
    if facts is None:
        try:
            aside = _set_aside(target, "damaged")
        except OSError as error:
            raise StoreError(
                f"{target}: expected to set a damaged result aside, received "
                f"{error.strerror or error}; remove it or choose another --out"
            ) from error
        if aside:
            progress.log(f"stored result {key} does not verify: kept as {aside.name}, trained again")
        return False
    return not model or _MODEL in facts["sha256"]


def facts(folder: Path, key: str) -> dict:
    """Read what was stored of a result beside its tables.

    Raises
    ------
    StoreError
        When it is not there or does not verify.
    """
    target = folder / "trials" / key
    found = _verified(target)
    if found is None:
        raise StoreError(f"{target}: expected a stored result, found none that verifies; run again")
    if "watched" in (trial := found.get("trial", {})):  # stored before fields were renamed and added
        trial |= {"monitored": trial.pop("watched"), "conditions": ["not recorded"]}
    return found


def read(folder: Path, key: str) -> tuple[dict, dict[str, pd.DataFrame]]:
    """Read a result: its facts and its tables, by name.

    Raises
    ------
    StoreError
        As `facts`.
    """
    found, target = facts(folder, key), folder / "trials" / key
    names = [name for name in found["sha256"] if name.endswith(".parquet")]
    tables = {name.removesuffix(".parquet"): pd.read_parquet(target / name) for name in names}
    return found, {name: table.rename(columns=_RENAMED) for name, table in tables.items()}


def load_model(folder: Path, key: str):
    """Load the trained model of a result.

    Raises
    ------
    StoreError
        When the result keeps no model, or another than was written.
    """
    import keras

    import brainlib.models.layers  # noqa: F401  registers our layer with Keras

    target = folder / "trials" / key
    facts = _verified(target, model=True)
    if facts is None or _MODEL not in facts["sha256"]:
        raise StoreError(f"{target}: expected a trained model that verifies, found none; run again")
    return keras.models.load_model(target / _MODEL, compile=False)


def _verified(target, model=False):
    """Return the facts, or None where a file is missing, changed or unlisted.

    A model is large and seldom needed: its bytes are compared only where it is asked for.
    """
    try:
        facts = json.loads((target / _FACTS).read_text(encoding="utf-8"))
        sums = facts["sha256"]
        if any(file.name not in sums for file in target.glob("*.parquet")):
            return None
        for name, digest in sums.items():
            if Path(name).name != name:
                return None
            if name == _MODEL and not model:
                (target / name).stat()
            elif _sha256(target / name) != digest:
                return None
        return facts
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _set_aside(target, why):
    """Rename a folder; None where it is not there, or another process was quicker."""
    aside = target.with_name(f"{target.name}.{why}-{time.time_ns()}")
    try:
        os.rename(target, aside)
    except FileNotFoundError:
        return None
    return aside


def _sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
