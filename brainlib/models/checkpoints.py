"""Checkpoints: a killed training goes on at the epoch that it had reached.

A checkpoint is one file: the SHA-256 of all that follows; a line of JSON that says whose training it is
and how each finished epoch went; then the bytes of arrays, whose shapes and types are those that the
reader expects. Nothing in it is executed, and nothing that does not verify is used.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np

from brainlib import progress
from brainlib.errors import StoreError
from brainlib.io import writing

#: Seconds of training that a killed process may lose, besides the epoch that it was in.
EVERY = 120.0
_PAUSES = 50  # a pause between checkpoints is at least so many times as long as writing one took: 2 % of the time
_LONGEST_LINE = 2**24


class Saved(NamedTuple):
    """What a checkpoint that verifies holds: a row of scores for each finished epoch, and the bytes of arrays."""

    scores: list[list[float]]
    content: np.ndarray

    def restore(self, variables: Sequence, shapes: Sequence[tuple[int, ...]]) -> list[np.ndarray] | None:
        """Assign the variables and return the float32 arrays behind them; None, and no change, if these do not fit."""
        kinds = [(tuple(each.shape), np.asarray(each).dtype) for each in variables]
        kinds += [(tuple(shape), np.dtype(np.float32)) for shape in shapes]
        ends = np.cumsum([math.prod(shape) * dtype.itemsize for shape, dtype in kinds]).tolist()
        if ends[-1] != len(self.content):
            return None
        values = (
            np.array(self.content[start:end]).view(dtype).reshape(shape)
            for start, end, (shape, dtype) in zip([0, *ends], ends, kinds, strict=False)
        )
        for variable in variables:
            variable.assign(next(values))
        return list(values)


class Checkpoint:
    """The place of one training's checkpoint.

    Parameters
    ----------
    path : Path
    key : str
        Identifies the training: a checkpoint of another one, or of other versions of the libraries that
        compute it, is not read.
    every : float
        Least number of seconds between two checkpoints, which also cost at most 2 % of the time; with 0
        there is one after every epoch, whatever it costs.
    """

    def __init__(self, path: Path, key: str, every: float = EVERY):
        self.path, self.every = Path(path), every
        self.owner = {"format": 2, "key": key, **{name: version(name) for name in ("tensorflow", "keras", "numpy")}}
        #: Number of epochs that were not trained by this process, but read.
        self.finished = 0
        self._written, self._took, self._failed = time.perf_counter(), 0.0, False

    def write(self, scores: Sequence[Sequence[float]], arrays: Iterable) -> None:
        """Replace the checkpoint, if it is time for that; if it cannot be written, say so once and go on."""
        start = time.perf_counter()
        if self.every and start - self._written < max(self.every, _PAUSES * self._took):
            return
        header = json.dumps({"owner": self.owner, "scores": scores}) + "\n"
        try:
            with writing(self.path) as file:
                file.write(bytes(32))
                digest = hashlib.sha256()
                for part in (header.encode(), *arrays):
                    content = part if isinstance(part, bytes) else np.ascontiguousarray(part).reshape(-1).view(np.uint8)
                    digest.update(content)
                    file.write(content)
                file.seek(0)
                file.write(digest.digest())
        except StoreError as error:
            if not self._failed:
                progress.log(f"no checkpoint of a training: {error}")
            self._failed = True
        self._written = time.perf_counter()
        self._took = self._written - start

    def read(self, epochs: int, width: int) -> Saved | None:
        """Open the checkpoint; None without one.

        None also, with a message, for one that does not verify, is of another training or versions, or tells of no
        epoch, of more than `epochs` or of scores that are not `width` numbers.
        """
        if not self.path.is_file():  # reading a pipe would not end
            return self.ignored("it is not a file") if os.path.lexists(self.path) else None
        try:
            with open(self.path, "rb") as file:
                if file.read(32) != hashlib.file_digest(file, "sha256").digest():
                    return self.ignored("its content does not fit its sum")
                content = np.memmap(file, np.uint8, "r", offset=32)
            line = bytes(content[:_LONGEST_LINE]).partition(b"\n")[0]
            header = json.loads(line)
            if header["owner"] != self.owner:
                return self.ignored("it is of another training or of other versions")
            scores = np.array(header["scores"], dtype=float)
            if not 1 <= len(scores) <= epochs or scores.shape[1:] != (width,):
                return self.ignored("its scores are not those of this training")
            return Saved(scores.tolist(), content[len(line) + 1 :])
        except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            return self.ignored(f"{type(error).__name__} when it was read")

    def ignored(self, why: str) -> None:
        """Say that the checkpoint is not used, and why."""
        progress.log(f"checkpoint {self.path.name} ignored: {why}; the model is trained from the first epoch")
