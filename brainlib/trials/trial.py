"""The trial: one model trained once. The unit of caching, resuming, distributing and reporting.

A `Trial` is frozen data and its `key` is a hash of what determines its result. A `TrialResult` is
what its training left behind: above all, what the model said of every image.
"""

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
from brainlib.report.table import Table, percent

#: Part of every key: raise it when the same trial would train to another result.
RECIPE = 1


@dataclass(frozen=True)
class Trial:
    """One model, trained once.

    Attributes
    ----------
    paper, arm, stage : str
        What the trial is for, such as "jardim", "cnn", "fold 1". Not a part of the key.
    data : str
        Fingerprint of the data set.
    classes : tuple of str
        Labels in the order of class numbers; of two, the last is the positive one. Images of other
        labels play no part.
    size : int
        Height and width of the images in pixels.
    model : ModelSpec
    weights : Weights
    phases : tuple of Phase
    split : Split
    batch_size : int
    loss : {"binary_crossentropy", "categorical_crossentropy"}
    seed : int
        Of initialisation, dropout, augmentation and the order of the images.
    monitored : {"validation", "test"}
        The part that is predicted after every epoch.
    scenario : str
        What a paper calls these classes; not a part of the key.
    oversampled : str
        The class whose training images are repeated until it equals the largest; "" for none.
    groups : str
        Fingerprint of what a split by group keeps together; "" for a split by image.
    keep_model : bool
        Whether the trained model is stored as well. Not a part of the key.
    conditions : tuple of str
        Why the numbers of this model are not comparable with the paper's. Not a part of the key.
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
    groups: str = ""
    keep_model: bool = False
    conditions: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What a person calls the trial."""
        return " ".join(filter(None, [self.paper, self.scenario, self.arm, self.stage]))

    def _repr_html_(self) -> str:
        rows = []
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            for part in value if field.name == "phases" else [value]:
                if dataclasses.is_dataclass(part):
                    own = {k: v for k, v in dataclasses.asdict(part).items() if v not in ("", (), None)}
                    part = ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in own.items() if k != "file")
                rows.append({"setting": field.name.replace("_", " "), "value": str(part)})
        return Table(pd.DataFrame(rows), f"{self.name}, stored as {self.key}")._repr_html_()

    @property
    def epochs(self) -> int:
        """Epochs of all phases together."""
        return sum(phase.epochs for phase in self.phases)

    @property
    def key(self) -> str:
        """24 hexadecimal digits that change with whatever changes the result."""
        spec = dataclasses.asdict(self)
        for name in ("paper", "arm", "stage", "scenario", "keep_model", "conditions"):
            del spec[name]
        spec["watched"] = spec.pop("monitored")  # its name in the keys of stored results
        # The bytes of a weights file matter, not where it lies; refusing a split changes none.
        del spec["weights"]["file"], spec["split"]["leakage"]
        if self.split.revision > 1:
            spec["split"]["revision"] = self.split.revision
        if not self.groups:
            del spec["groups"]
        spec["recipe"] = [RECIPE, images.VERSION, version("tensorflow"), version("keras")]
        return hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:24]


@dataclass(frozen=True, eq=False)
class TrialResult:
    """What a trial left behind.

    Attributes
    ----------
    trial : Trial
    predictions : DataFrame
        One row an image and phase: path, label, part, group (of copies), phase, and ``p_CLASS``
        for each class, probabilities that sum to 1: what was said at the end of the phase.
    history : DataFrame
        One row an epoch: phase, epoch (counted through all phases), loss, accuracy, val_loss,
        val_accuracy, seconds.
    epochs : DataFrame
        What was said of the monitored part after every epoch: epoch, path, label, ``p_CLASS``.
    facts : dict
        ``seconds`` (training, and everything else), ``peak_memory_mib`` of the process so far
        (on a cluster a trial has its own), ``environment``.
    """

    trial: Trial
    predictions: pd.DataFrame
    history: pd.DataFrame
    epochs: pd.DataFrame
    facts: dict

    def _repr_html_(self) -> str:
        columns = [f"p_{name}" for name in self.trial.classes]
        rows = []
        for part in self.predictions["part"].unique():
            table = self.part(part)
            said = table[columns].to_numpy().argmax(axis=1)
            right = (table["label"].to_numpy() == [self.trial.classes[n] for n in said]).mean()
            rows.append({"part": part, "images": len(table), "most probable class is right": percent(right)})
        seconds = self.facts["seconds"]["training"]
        caption = f"{self.trial.name}: {len(self.history)} epochs in {seconds:.0f} s, stored as {self.trial.key}"
        return Table(pd.DataFrame(rows), caption)._repr_html_()

    def part(self, name: str, phase: str = "") -> pd.DataFrame:
        """Predictions of the "train", "validation" or "test" part, by default after all phases."""
        table = self.predictions
        phase = phase or self.trial.phases[-1].name
        return table[(table["part"] == name) & (table["phase"] == phase)]

    def judged(self, part: str, phase: str = "", epoch: str = "last") -> pd.DataFrame:
        """Predictions of a part after the "last" epoch of a phase, or after its "best" one.

        Only the monitored part was predicted after every epoch, so the best one is its own.
        """
        table = self.part(part, phase)
        if epoch == "last":
            return table
        if part != self.trial.monitored:
            raise UsageError(f"the best epoch is known of the {self.trial.monitored} part alone, received '{part}'")
        columns = [f"p_{name}" for name in self.trial.classes]
        chosen = self.epochs[self.epochs["epoch"] == self.best_epoch(phase)]
        return table.drop(columns=columns).merge(chosen[["path", *columns]], on="path", validate="one_to_one")

    def curve(self, phase: str = "") -> pd.DataFrame:
        """Rows of the history that belong to a phase, by default the last one."""
        return self.history[self.history["phase"] == (phase or self.trial.phases[-1].name)]

    def best_epoch(self, phase: str = "") -> int:
        """The epoch of a phase with the highest accuracy on the monitored part; the first of equals."""
        curve = self.curve(phase)
        return int(curve.loc[curve["val_accuracy"].idxmax(), "epoch"])
