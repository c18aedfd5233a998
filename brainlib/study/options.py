"""What a user may choose of a run: the command line and the notebooks' parameters take the same."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from brainlib.errors import UsageError
from brainlib.models import backbones

PHANTOMS, KAGGLE = "phantoms", "kaggle"


@dataclass(frozen=True)
class Profile:
    """How much of a protocol a run does; 0 stands for all of it.

    Attributes
    ----------
    images : int
        Images of the set that are used, drawn evenly from the classes.
    size : int
        Height and width of the images in pixels.
    epochs : int
        At most so many epochs a phase.
    """

    images: int = 0
    size: int = 0
    epochs: int = 0


PROFILES = {
    # InceptionV3 takes no image below 75 pixels.
    "smoke": Profile(images=60, size=80, epochs=2),
    "demo": Profile(images=300, size=96, epochs=8),
    "full": Profile(),
}


class Options(BaseModel):
    """What a user may choose of a run.

    The text below each field is also the help of ``brainlib run``.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)

    profile: Literal["smoke", "demo", "full"] = "demo"
    """how much of a protocol is run: smoke (seconds a notebook), demo (minutes) or full (the paper's full protocol)"""
    data: str = ""
    """folder with one folder for each data set (br35h, navoneel, ...), 'kaggle' to download them, or 'phantoms';
    by default the folder that BRAINLIB_DATA names, else phantoms"""
    weights: str = ""
    """'imagenet' (downloaded by Keras), 'random', or a folder of Keras' weight files; by default random on phantoms,
    else the folder that BRAINLIB_WEIGHTS names, else imagenet"""
    backbone: dict[str, str] = {}
    """backbones to substitute, A=B for B in place of A; tables and figures name the substitution"""
    arms: list[str] = []
    """arms to run, or 'all'; by default those that the paper names for the profile"""
    scenarios: list[str] = []
    """scenarios to run, or 'all'; by default those that the paper names for the profile"""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """seed of splits, initial weights, dropout and the order of the images"""
    seeds: Annotated[int, Field(ge=1, le=100)] = 1
    """number of seeds; the whole study is repeated for each, counting up from the seed"""
    retrain: bool = False
    """also train everything again with duplicates kept apart from the test images"""
    controls: bool = False
    """also train the negative controls, and plant duplicates to measure the recall of the audit"""
    scheduler: str = ""
    """address of a Dask scheduler that trains the models; by default this machine does"""
    out: str = "reports"
    """folder of the report and of the store of trained models"""
    fresh: bool = False
    """retrain even if a stored result exists"""

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Options:
        """Validate options.

        Raises
        ------
        UsageError
            For the first that is unknown or of the wrong type or value, in one line.
        """
        try:
            return cls(**values)
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0])
            if first["type"] == "extra_forbidden":
                known = ", ".join(cls.model_fields)
                raise UsageError(f"unknown parameter '{name}'; expected one of {known}") from None
            message = first["msg"].removeprefix("Input should be ")
            raise UsageError(f"parameter {name}: expected {message}; received {values[name]!r}") from None

    @property
    def source(self) -> str:
        """Where the images come from: a folder, "kaggle" or "phantoms"."""
        return self.data or os.environ.get("BRAINLIB_DATA") or PHANTOMS

    @property
    def starting_weights(self) -> str:
        """Where pretrained weights come from: a folder, "imagenet" or "random"."""
        if self.weights:
            return self.weights
        if self.source == PHANTOMS:
            return backbones.RANDOM
        return os.environ.get("BRAINLIB_WEIGHTS") or backbones.IMAGENET

    @property
    def store(self) -> Path:
        """Folder of everything that is kept between runs."""
        return Path(self.out).expanduser().resolve() / "store"
