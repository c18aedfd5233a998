"""The trial, one model trained once: the unit of caching, resuming, distributing and reporting."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from importlib.metadata import version

import pandas as pd

from brainlib.data import images
from brainlib.data.splits import Split
from brainlib.errors import UsageError
from brainlib.models.backbones import Weights
from brainlib.models.build import ModelSpec
from brainlib.models.training import Phase

#: Part of every key: increase it when a change of the code changes the result of the same trial.
RECIPE = 2
#: Fields that were added when there were stored results: with these values, or None, they are not in a key.
_LATER = {
    "precision": "float32",
    "optimizer": "adam",
    "early_stopping": 0,
    "restore_best": False,
    "fill": "black",
    "augmented": "train",
    "start": "previous",
    "oversampled_to": "largest",
    "resizing": "bilinear",
}


@dataclass(frozen=True)
class Trial:
    """One model to be trained once, as frozen data.

    `paper`, `scenario`, `arm` and `stage` name it ("jardim", "", "cnn", "fold 1"). They are not a part of the key, nor
    are `keep_model` (whether the trained model is stored as well) and `conditions` (why its numbers are not comparable
    with the paper's).

    `data` is the fingerprint of the data set. `classes` are labels in the order of class numbers; of two, the last is
    the positive one, and images of other labels are not used. `size` is height and width in pixels, `resizing` how they
    are reached (see `images.to_array`). `loss` is "binary_crossentropy", "categorical_crossentropy" or
    "mean_squared_error". `seed` is that of initialisation, dropout, augmentation and the
    order of the images. `monitored`, "validation" or "test", is the part that is predicted after every epoch.
    `oversampled` is the class whose training images are repeated until it is as large as the largest, or, by
    `oversampled_to`, as the mean of all; "" for none.
    `groups` is the fingerprint of the groups of a split by group, "" for a split by image. `precision` is "float32" or
    "mixed", see `training.prepare`.
    """

    paper: str
    arm: str
    stage: str
    data: str
    classes: tuple[str, ...]
    size: int
    model: ModelSpec
    weights: Weights
    phases: tuple[Phase, ...]
    split: Split
    batch_size: int
    loss: str
    seed: int
    monitored: str
    scenario: str = ""
    oversampled: str = ""
    oversampled_to: str = "largest"
    resizing: str = "bilinear"
    groups: str = ""
    precision: str = "float32"
    keep_model: bool = False
    conditions: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name of the trial in reports: paper, scenario, arm and stage."""
        return " ".join(filter(None, [self.paper, self.scenario, self.arm, self.stage]))

    @property
    def epochs(self) -> int:
        """Epochs of all phases together."""
        return sum(phase.epochs for phase in self.phases)

    def described(self) -> dict:
        """Return what JSON can hold of a trial: of a user's function its name and the hash of its source."""

        def fields(pairs):
            return {name: each for name, each in pairs if name != "call" and each not in (None, _LATER.get(name))}

        return dataclasses.asdict(self, dict_factory=fields)

    @property
    def key(self) -> str:
        """24 hexadecimal digits, which change with everything that changes the result."""
        spec = self.described()
        for name in ("paper", "arm", "stage", "scenario", "keep_model", "conditions"):
            del spec[name]
        # Not a file's path but its bytes determine a result; and a split that is refused has none.
        del spec["weights"]["file"], spec["split"]["leakage"]
        spec["recipe"] = [RECIPE, images.VERSION, version("tensorflow"), version("keras")]
        return hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:24]


@dataclass(frozen=True, eq=False)
class TrialResult:
    """The result of a trial, as stored.

    `predictions` has a row for each image and phase, predicted at the end of the phase: path, label, part, group (of
    duplicates), phase, and ``p_CLASS`` for each class, probabilities that sum to 1. `history` has a row for each epoch:
    phase, epoch (counted through all phases), loss, accuracy, val_loss, val_accuracy, seconds. `epochs` has predictions
    of the monitored part after every epoch: epoch, path, label, ``p_CLASS``. `facts` are ``seconds`` (training, and
    everything else), ``peak_memory_mib`` of the trial's process, ``environment``, and the trial as it was stored.
    """

    trial: Trial
    predictions: pd.DataFrame
    history: pd.DataFrame
    epochs: pd.DataFrame
    facts: dict

    def part(self, name: str, phase: str = "") -> pd.DataFrame:
        """Return predictions of the "train", "validation" or "test" part, by default after all phases."""
        table = self.predictions
        phase = phase or self.trial.phases[-1].name
        return table[(table["part"] == name) & (table["phase"] == phase)]

    def judged(self, part: str, phase: str = "", epoch: str = "last") -> pd.DataFrame:
        """Return predictions of a part after the "last" epoch of a phase, or after its "best" one.

        UsageError when the best is asked for of another part than the monitored one, which alone was predicted then.
        """
        table = self.part(part, phase)
        if epoch == "last" or self.trial.phases[-1].restore_best:
            return table
        if part != self.trial.monitored:
            raise UsageError(f"the best epoch is known of the {self.trial.monitored} part alone, received '{part}'")
        columns = [f"p_{name}" for name in self.trial.classes]
        chosen = self.epochs[self.epochs["epoch"] == self.best_epoch(phase)]
        return table.drop(columns=columns).merge(chosen[["path", *columns]], on="path", validate="one_to_one")

    def curve(self, phase: str = "") -> pd.DataFrame:
        """Return the rows of the history that belong to a phase, by default the last one."""
        return self.history[self.history["phase"] == (phase or self.trial.phases[-1].name)]

    def best_epoch(self, phase: str = "") -> int:
        """Return the first epoch of a phase with the highest accuracy on the monitored part."""
        curve = self.curve(phase)
        return int(curve.loc[curve["val_accuracy"].idxmax(), "epoch"])
