"""Options of a run, and the part of a paper that they select.

The command line and the parameters of notebooks are these options. As one run may be of several papers, a named arm
or scenario must exist in one of them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from brainlib.errors import UsageError
from brainlib.models import backbones
from brainlib.papers.loading import load_paper, paper_ids
from brainlib.papers.schema import Paper

PHANTOMS, KAGGLE = "phantoms", "kaggle"
EVERY = "all"


@dataclass(frozen=True)
class Profile:
    """How much of a protocol a run does; 0 stands for all of it."""

    images: int = 0  # drawn evenly from the classes
    size: int = 0  # height and width of the images, in pixels
    epochs: int = 0  # at most, in each phase
    learning_rate: float = 0.0  # at least, in the first phase


PROFILES = {
    # InceptionV3 takes no image below 75 pixels.
    "smoke": Profile(images=60, size=80, epochs=2),
    "demo": Profile(images=300, size=96, epochs=8),
    # Small networks learn phantoms in seconds, at a rate that makes the most of few epochs.
    "demo on phantoms": Profile(images=960, size=96, epochs=20, learning_rate=2e-3),
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
    """folder with one folder for each data set (br35h, navoneel, ...), 'kaggle' to download them, 'phantoms', or own
    images: a folder with one folder for each class, or a YAML file that describes one; by default what BRAINLIB_DATA
    names, else phantoms"""
    weights: str = ""
    """'imagenet' (downloaded by Keras), 'random', 'phantoms' (a small network, pretrained on phantoms, stands in for
    every pretrained one), or a folder of Keras' weight files; by default, on phantoms, phantoms in a demo and else
    random; on real images the folder that BRAINLIB_WEIGHTS names, else imagenet"""
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
    precision: Literal["float32", "mixed"] = "float32"
    """arithmetic of training: float32, or mixed (layers in float16 and weights in float32; needs a GPU)"""
    retrain: bool = False
    """also train everything again with duplicates kept apart from the test images"""
    controls: bool = False
    """also train the negative controls, and plant duplicates to measure the recall of the audit"""
    multiverse: Annotated[int, Field(ge=0, le=10_000)] = 0
    """number of universes to train of each arm: the protocol with other readings of the paper"""
    scheduler: str = ""
    """address of a Dask scheduler that trains the models; by default this machine does"""
    out: Annotated[str, Field(min_length=1)] = "reports"
    """folder of the report and of the store of trained models"""
    fresh: bool = False
    """retrain even if a stored result exists"""

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Options:
        """Validate options; `UsageError` names the first that is unknown or of the wrong type or value."""
        try:
            return cls(**values)
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0])
            if first["type"] == "extra_forbidden":
                raise UsageError(f"unknown parameter '{name}'; expected one of {', '.join(cls.model_fields)}") from None
            message = first["msg"].removeprefix("Input should be ").removeprefix("String should have ")
            raise UsageError(f"parameter {name}: expected {message}; received {values[name]!r}") from None

    @classmethod
    def read(cls, namespace: Mapping[str, Any]) -> dict[str, Any]:
        """Pick the options among the variables of a notebook: ``Study("jardim", **Options.read(globals()))``."""
        return {name: namespace[name] for name in cls.model_fields if name in namespace}

    @property
    def source(self) -> str:
        """Where the images come from: a folder, "kaggle", "phantoms" or a YAML file."""
        return self.data or os.environ.get("BRAINLIB_DATA") or PHANTOMS

    @property
    def starting_weights(self) -> str:
        """Where pretrained weights come from: a folder, "imagenet", "random" or "phantoms"."""
        if self.weights:
            return self.weights
        if self.source == PHANTOMS:
            return backbones.PHANTOMS if self.profile == "demo" else backbones.RANDOM
        return os.environ.get("BRAINLIB_WEIGHTS") or backbones.IMAGENET

    @property
    def limits(self) -> Profile:
        """How much of a protocol is run."""
        demo_on_phantoms = self.profile == "demo" and self.source == PHANTOMS
        return PROFILES["demo on phantoms" if demo_on_phantoms else self.profile]

    @property
    def store(self) -> Path:
        """Folder of everything that is kept between runs."""
        return Path(os.path.expanduser(self.out)).resolve() / "store"


def select(
    paper: Paper, profile: str, arms: Sequence[str], scenarios: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Choose arms and scenarios of a paper, in its own order; a paper without scenarios has the one named "".

    "all" stands for every name. Without names, the paper's own choice for the profile is taken, else all. Names of
    other papers are ignored, as one run may be of several; `UsageError` for those that no paper has, and where this
    one has none of them.
    """
    usual = paper.profiles.get(profile)
    if usual:
        arms, scenarios = arms or usual.arms, scenarios or usual.scenarios
    return _chosen(paper, "arms", arms), _chosen(paper, "scenarios", scenarios) if paper.scenarios else ("",)


def _chosen(paper, kind, named):
    own = getattr(paper, kind)
    _refuse_unknown(kind, named, own)
    if chosen := _among(own, named):
        return chosen
    why = f"expected any of {', '.join(own)} for {paper.id}, received {', '.join(named)}"
    raise UsageError(f"--{kind}: {why}; name the papers to run with --papers")


def _among(own, named):
    return tuple(name for name in own if not named or EVERY in named or name in named)


def _refuse_unknown(kind, named, own=()):
    if not set(named) <= {EVERY, *own}:
        known = {EVERY, *own, *(name for paper in map(load_paper, paper_ids()) for name in getattr(paper, kind))}
        if unknown := set(named) - known:
            raise UsageError(f"--{kind}: expected any of {', '.join(sorted(known))}; received '{min(unknown)}'")


def papers_with(arms: Sequence[str], scenarios: Sequence[str]) -> list[str]:
    """Find the papers that have any of the named arms and any of the named scenarios; "all" and [] stand for all.

    `UsageError` for a name that no paper has, and for names that no paper has together.
    """
    _refuse_unknown("arms", arms)
    _refuse_unknown("scenarios", scenarios)
    papers = map(load_paper, paper_ids())
    found = [p.id for p in papers if _among(p.arms, arms) and _among(p.scenarios or [""], scenarios)]
    if not found:
        named = f"--arms {','.join(arms)} --scenarios {','.join(scenarios)}"
        raise UsageError(f"{named}: expected names of one paper, received those no paper has together; see --papers")
    return found
