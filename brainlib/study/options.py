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

    Attributes
    ----------
    profile : {"smoke", "demo", "full"}
        See `PROFILES`.
    data : str
        Folder that holds one folder a data set, "kaggle" to download, "phantoms"; "" takes the
        folder that the environment variable BRAINLIB_DATA names, else phantoms.
    weights : str
        "imagenet" (downloaded by Keras), "random", or a folder of weight files; "" takes random
        weights on phantoms and, on real images, the folder that BRAINLIB_WEIGHTS names, else
        imagenet.
    backbone : dict of str
        Backbones to substitute, such as ``{"resnet50v2": "mobilenet_v2"}``.
    arms, scenarios : list of str
        Parts of a paper to run; [] for those that it names for the profile, ["all"] for every one.
    seed : int
        Of splits, initialisation and the order of the images.
    seeds : int
        How many runs, the first by `seed`, each next one by the following number.
    retrain : bool
        Train everything again with copies kept together, beside the protocol as published.
    controls : bool
        Train on shuffled labels, masked images and phantoms as well, and plant copies for the audit.
    scheduler : str
        Address of a Dask scheduler; "" trains in the notebook's own process.
    out : str
        Folder of the reports; the store of trained models lies in it.
    fresh : bool
        Train again what is in the store.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    profile: Literal["smoke", "demo", "full"] = "demo"
    data: str = ""
    weights: str = ""
    backbone: dict[str, str] = {}
    arms: list[str] = []
    scenarios: list[str] = []
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    seeds: Annotated[int, Field(ge=1, le=100)] = 1
    retrain: bool = False
    controls: bool = False
    scheduler: str = ""
    out: str = "reports"
    fresh: bool = False

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
