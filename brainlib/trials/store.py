"""The store of results: a folder for each trial, written atomically and verified when read.

``STORE/trials/KEY/`` holds ``trial.json`` (the trial, its duration, the environment, and the SHA-256 of every
file), tables as Parquet, and, for trials that keep it, ``model.keras``. A folder that does not verify is renamed,
never deleted, and its trial is trained again. ``STORE/unfinished/KEY`` is the checkpoint of a trial that is being
trained, or was when its process was killed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from brainlib import progress
from brainlib.errors import StoreError, reason
from brainlib.io import sha256_of, writing_folder

if TYPE_CHECKING:
    import keras

FACTS, MODEL = "trial.json", "model.keras"
#: What reading ``trial.json`` may raise where it is damaged.
UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)
_BLANK = "0" * 64  # in the place of the sum of ``trial.json`` while that is computed
_ABANDONED = 14 * 86400  # seconds after which nobody goes on with a training


def save(folder: Path, key: str, facts: dict, tables: dict[str, pd.DataFrame], model=None) -> None:
    """Store a result, whose facts are anything that JSON can hold, replacing one of the same key."""
    target = folder / "trials" / key
    try:
        with writing_folder(target, lambda existing: _set_aside(existing, "replaced")) as unfinished:
            for name, table in tables.items():
                table.to_parquet(unfinished / f"{name}.parquet", index=False)
            if model is not None:
                model.save(unfinished / MODEL, include_optimizer=False)
            sums = {file.name: sha256_of(file) for file in sorted(unfinished.iterdir())}
            text = json.dumps({**facts, "sha256": {**sums, FACTS: _BLANK}}, indent=1)
            own = hashlib.sha256(text.encode()).hexdigest()
            (unfinished / FACTS).write_text(text.replace(_BLANK, own), encoding="utf-8")
    except StoreError:
        if target.is_dir() and _verified(target) is not None:
            return  # another process finished the same trial first
        raise
    discard_unfinished(folder, key)
    for replaced in target.parent.glob(f"{key}.replaced-*"):
        shutil.rmtree(replaced, ignore_errors=True)


def unfinished(folder: Path, key: str) -> Path:
    """Return the place of a trial's checkpoint."""
    return folder / "unfinished" / key


def discard_unfinished(folder: Path, key: str) -> None:
    """Remove a trial's checkpoint, and those of any trial that are two weeks old."""
    for path in folder.glob("unfinished/*"):
        with suppress(OSError):
            if path.name == key or time.time() - path.stat().st_mtime > _ABANDONED:
                path.unlink()


def holds(folder: Path, key: str, *, model: bool = False) -> bool:
    """Whether the store has a complete result, with its trained model where that is needed.

    One that does not verify is set aside, with a message.
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
            progress.log(f"stored result {key} does not verify: renamed to {aside.name}, trained again")
        return False
    return not model or MODEL in facts["sha256"]


def read(folder: Path, key: str) -> tuple[dict, dict[str, pd.DataFrame]]:
    """Read a result: its facts and its tables, by name."""
    target = folder / "trials" / key
    facts = _verified(target)
    if facts is None:
        raise StoreError(f"{target}: expected a stored result, found none that verifies; run again")
    names = [name for name in facts["sha256"] if name.endswith(".parquet")]
    with expecting("tables", key):
        return facts, {name.removesuffix(".parquet"): pd.read_parquet(target / name) for name in names}


def load_model(folder: Path, key: str) -> keras.Model:
    """Load the trained model of a result, without running code from the store.

    StoreError when it has none, or one that does not verify, cannot be loaded or is not for the trial's images.
    """
    from brainlib.models.layers import keras  # the import registers the package's layer with Keras

    target = folder / "trials" / key
    facts = _verified(target, model=True)
    if facts is None or MODEL not in facts["sha256"]:
        raise StoreError(f"{target}: expected a trained model that verifies, found none; run again")
    with expecting("a model for the trial's images", key):
        model, trial = keras.models.load_model(target / MODEL, compile=False), facts["trial"]
        given = (None, trial["size"], trial["size"], trial["model"]["channels"])
        if model.input_shape != given or model.output_shape not in [(None, 1), (None, len(trial["classes"]))]:
            raise ValueError(f"one from {model.input_shape} to {model.output_shape}")
        return model


@contextmanager
def expecting(what: str, key: str) -> Iterator[None]:
    """Raise a StoreError for whatever a result raises that verifies and yet is not what a training stores."""
    try:
        yield
    except Exception as error:  # Arrow and Keras raise nearly any kind
        received = f"others ({type(error).__name__}: {reason(error)})"
        advice = "it may be of another version: remove its folder from the store and run again"
        raise StoreError(f"{key}: expected {what}, received {received}; {advice}") from error


def _verified(target, model=False):
    """Return the facts, or None where a file is missing, changed or unlisted.

    A model is large and seldom needed: its bytes are compared only where it is asked for.
    """
    try:
        text = (target / FACTS).read_text(encoding="utf-8")
        facts = json.loads(text)
        sums = facts["sha256"]
        if any(file.name not in sums for file in target.glob("*.parquet")):
            return None
        for name, digest in sums.items():
            if Path(name).name != name:
                return None
            if name == FACTS:  # has no sum where an earlier version wrote it
                if digest != hashlib.sha256(text.replace(digest, _BLANK).encode()).hexdigest():
                    return None
            elif name == MODEL and not model:
                (target / name).stat()
            elif sha256_of(target / name) != digest:
                return None
        return facts
    except UNREADABLE:
        return None


def _set_aside(target, why):
    """Rename a folder; None where it is not there, or another process was quicker."""
    aside = target.with_name(f"{target.name}.{why}-{time.time_ns()}")
    try:
        os.rename(target, aside)
    except FileNotFoundError:
        return None
    return aside
