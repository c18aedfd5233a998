"""What was published of each data set, read from ``sets.yaml``: source, licence, folders, classes and counts."""

from __future__ import annotations

from dataclasses import field
from pathlib import Path
from typing import Literal

import yaml
from pydantic import ConfigDict, NonNegativeInt
from pydantic.dataclasses import dataclass

from brainlib.errors import DataError

_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, config=_STRICT)
class Folder:
    """A folder of a published set: its path, the class of its images and how many it must hold.

    `part` is "" where the set is published undivided.
    """

    path: str
    label: str
    part: Literal["train", "test", ""]
    count: NonNegativeInt


@dataclass(frozen=True, config=_STRICT)
class Archive:
    """A published archive: its name, its size in bytes and its MD5, as figshare states them."""

    name: str
    size: NonNegativeInt
    md5: str


@dataclass(frozen=True, config=_STRICT)
class DataSetInfo:
    """What was published of a data set; `licence` is "not stated" where it is not known for sure.

    The `handle` names a version: an address on Kaggle, or a DOI on figshare. A set with `archives` was published as
    MATLAB files in them, of which `cheng.image_root` makes the `folders`. `means` says what labels mean, in words that
    all sets share: "none", "tumour", or a kind of tumour. `sha256` is that of the sorted SHA-256s of the images' files,
    one a line; "" where the published bytes were not at hand. `unlabelled` images lie in folders of their own.
    """

    name: str
    title: str
    handle: str
    licence: str
    folders: tuple[Folder, ...]
    archives: tuple[Archive, ...] = ()
    means: dict[str, str] = field(default_factory=dict)
    sha256: str = ""
    unlabelled: NonNegativeInt = 0

    @property
    def url(self) -> str:
        """Where a reader finds the set; empty for own images."""
        if self.archives:
            return f"https://doi.org/{self.handle}"
        return f"https://www.kaggle.com/datasets/{self.handle}" if self.handle else ""

    @property
    def total(self) -> int:
        """Number of images published."""
        return sum(folder.count for folder in self.folders)

    @property
    def classes(self) -> tuple[str, ...]:
        """Labels in alphabetical order, which is also the order that Keras gives them."""
        return tuple(sorted({folder.label for folder in self.folders}))


_SETS = yaml.safe_load(Path(__file__).with_name("sets.yaml").read_text("utf-8"))
#: The registered sets by their names.
REGISTRY: dict[str, DataSetInfo] = {name: DataSetInfo(name=name, **fields) for name, fields in _SETS.items()}


def info_of(name: str) -> DataSetInfo:
    """Return the entry of the registry with a name; DataError if there is none."""
    if name not in REGISTRY:
        raise DataError(f"expected a data set out of {', '.join(REGISTRY)}, received {name!r}")
    return REGISTRY[name]
