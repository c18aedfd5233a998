"""One paper under the conditions of one run: which trials, on what, and what came out.

`Options` are what a user may choose; the command line and the notebooks' parameter cells take the
same. A `Study` is a paper read with these options. It plans the trials, has them run, and compares
what they predict with what was printed. Whatever keeps a comparison from being fair (phantoms,
random weights, a subset, a substituted backbone) is noted once, here, and goes wherever the
numbers go.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from brainlib import datasets, trials, weights
from brainlib.errors import UsageError
from brainlib.models import ModelSpec
from brainlib.paper import load_paper
from brainlib.splits import Split
from brainlib.training import Phase
from brainlib.trials import Trial, TrialResult

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
    "smoke": Profile(images=60, size=64, epochs=2),
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
    seed : int
        Of splits, initialisation and the order of the images.
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
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
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
            raise UsageError(
                f"parameter {name}: expected {message}; received {values[name]!r}"
            ) from None

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
            return weights.RANDOM
        return os.environ.get("BRAINLIB_WEIGHTS") or weights.IMAGENET

    @property
    def store(self) -> Path:
        """Folder of everything that is kept between runs."""
        return Path(self.out).expanduser().resolve() / "store"


class Study:
    """A paper read with a run's options.

    Parameters
    ----------
    paper : str
        Id of a paper.
    **options
        See `Options`.

    Raises
    ------
    BrainlibError
        One line about whatever is unknown, missing or unusable. Images are looked at only when
        they are first asked for.
    """

    def __init__(self, paper: str, **options):
        self.options = Options.of(options)
        self.paper = load_paper(paper)
        self.profile = PROFILES[self.options.profile]
        unknown = set(self.options.backbone) - {
            name for known in map(load_paper, _all_papers()) for name in _backbones(known)
        }
        if unknown:
            raise UsageError(
                f"--backbone {sorted(unknown)[0]}=...: no paper has an arm with this backbone"
            )
        # Looked up now, so that a missing file is said before anything is trained.
        self.weights = {arm: self._weights(arm) for arm in self.paper.arms}

    @cached_property
    def dataset(self) -> datasets.DataSet:
        """The paper's data set, found, checked and indexed."""
        name = self.paper.data.set.value
        count = self.profile.images or datasets.info_of(name).total
        options = self.options
        data = datasets.load(name, options.source, options.store, phantoms=count)
        missing = set(self.paper.data.classes) ^ set(data.classes)
        if missing:
            raise UsageError(
                f"{self.paper.id} needs classes {', '.join(self.paper.data.classes)}; "
                f"{name} has {', '.join(data.classes)}"
            )
        return data

    @property
    def size(self) -> int:
        """Height and width of the images in this run, in pixels."""
        return self.profile.size or self.paper.protocol.image_size.value

    def backbone(self, arm: str) -> str:
        """Backbone of an arm in this run; "" where it has none."""
        stated = _backbone(self.paper.arms[arm])
        return self.options.backbone.get(stated, stated)

    def title(self, arm: str) -> str:
        """What tables and figures call an arm, with what differs from the paper's own."""
        notes = []
        stated, used = _backbone(self.paper.arms[arm]), self.backbone(arm)
        if stated != used:
            notes.append(f"{used} in place of {stated}")
        if self.weights[arm].source == "random":
            notes.append("random weights")
        title = self.paper.arms[arm].title
        return f"{title} [{', '.join(notes)}]" if notes else title

    def conditions(self, *arms: str) -> tuple[str, ...]:
        """Why numbers of these arms cannot be held against the printed ones; () if they can."""
        data, notes = self.dataset, []
        if data.phantom:
            notes.append("phantoms, no real images")
        notes += data.differences
        used = self.profile.images
        if used and used < len(data.table):
            notes.append(f"a subset of {used} of {len(data.table)} images")
        stated = self.paper.protocol.image_size.value
        if self.size != stated:
            notes.append(f"images of {self.size} instead of {stated} pixels")
        for arm in arms or self.paper.arms:
            notes += [f"{arm}: {note}" for note in self._arm_conditions(arm)]
        return tuple(notes)

    def _arm_conditions(self, arm):
        stated, used = _backbone(self.paper.arms[arm]), self.backbone(arm)
        if stated != used:
            yield f"backbone {used} in place of {stated}"
        if self.weights[arm].source == "random":
            yield "random weights in place of pretrained ones"
        for given, phase in zip(self.paper.arms[arm].phases, self._phases(arm), strict=True):
            if phase.epochs != given.epochs.value:
                yield f"{phase.epochs} instead of {given.epochs.value} epochs"

    def trials(self) -> list[Trial]:
        """Plan every trial of the paper: each arm's folds, then its final model."""
        folds = self.paper.protocol.folds
        count = folds.value if folds else 0
        return [
            self._trial(arm, fold)
            for arm in self.paper.arms
            for fold in [*range(1, count + 1), 0]
        ]

    def run(self) -> dict[tuple[str, str], TrialResult]:
        """Have every trial run; results by (arm, stage), stages being "fold 1" ... and "final"."""
        planned = self.trials()
        options = self.options
        results = trials.run_trials(
            planned,
            self.dataset,
            options.store,
            scheduler=options.scheduler,
            fresh=options.fresh,
        )
        return {(t.arm, t.stage): r for t, r in zip(planned, results, strict=True)}

    def _trial(self, arm, fold):
        protocol = self.paper.protocol
        folds = protocol.folds.value if protocol.folds else 0
        split = Split(
            holdout=protocol.holdout.value,
            folds=folds if fold else 0,
            fold=fold,
            stratified=protocol.stratified.value,
            by=protocol.split_by.value,
            images=self.profile.images,
            seed=self.options.seed,
        )
        return Trial(
            paper=self.paper.id,
            arm=arm,
            stage=f"fold {fold}" if fold else "final",
            data=self.dataset.fingerprint,
            classes=tuple(self.paper.data.classes),
            size=self.size,
            model=self._model(arm),
            weights=self.weights[arm],
            phases=self._phases(arm),
            split=split,
            batch_size=protocol.batch_size.value,
            loss=protocol.loss.value,
            seed=self.options.seed,
            watched="validation" if fold else "test",
            keep_model=not fold,
        )

    def _model(self, arm):
        model = self.paper.arms[arm].model
        common = {
            "kind": model.kind,
            "channels": model.channels.value,
            "scaling": model.scaling.value,
            "pooling": model.pooling.value,
            "dense": tuple(model.dense.value),
            "head_dropout": model.head_dropout.value,
        }
        if model.kind == "cnn":
            return ModelSpec(
                **common,
                convolutions=tuple(model.convolutions.value),
                kernel_size=model.kernel_size.value,
                padding=model.padding.value,
                pool_size=model.pool_size.value,
                conv_dropout=model.conv_dropout.value,
            )
        if self.backbone(arm) != model.backbone.value:
            # Another backbone's weights expect its own scaling.
            common["scaling"] = "backbone"
        return ModelSpec(**common, backbone=self.backbone(arm))

    def _phases(self, arm):
        most = self.profile.epochs or 10**9
        return tuple(
            Phase(
                name=phase.name,
                trainable=phase.trainable.value,
                epochs=min(phase.epochs.value, most),
                learning_rate=phase.learning_rate.value,
                augmentation=tuple(sorted(phase.augmentation.value.items())),
            )
            for phase in self.paper.arms[arm].phases
        )

    def _weights(self, arm):
        model = self.paper.arms[arm].model
        if model.kind == "cnn" or not model.pretrained.value:
            return weights.Weights("none")
        return weights.find_weights(self.backbone(arm), self.options.starting_weights)


def _all_papers():
    from brainlib.paper import paper_ids

    return paper_ids()


def _backbone(arm):
    return arm.model.backbone.value if arm.model.kind == "transfer" else ""


def _backbones(paper):
    return {_backbone(arm) for arm in paper.arms.values()} - {""}
