"""One paper under the conditions of one run: which trials, on what, and what came out.

A `Study` is a paper read with a run's `Options`. It plans the trials and has them run. Whatever
keeps a comparison with the paper from being fair (phantoms, random weights, a subset, a substituted
backbone) is noted once, here, and goes wherever the numbers go.
"""

from __future__ import annotations

import dataclasses
import hashlib
from functools import cached_property

import numpy as np
import pandas as pd

from brainlib.audit import findings
from brainlib.data import datasets, splits
from brainlib.errors import UsageError
from brainlib.models import backbones
from brainlib.models.build import ModelSpec
from brainlib.models.training import Phase
from brainlib.papers.loading import load_paper, paper_ids
from brainlib.papers.provenance import in_words, name_of
from brainlib.papers.schema import Paper
from brainlib.report.table import Table
from brainlib.report.tables.paper import protocol as protocol_table
from brainlib.study.options import KAGGLE, PHANTOMS, PROFILES, Options
from brainlib.study.selection import select
from brainlib.study.variation import setting_at, varied
from brainlib.trials import run
from brainlib.trials.trial import Trial, TrialResult


class Study:
    """A paper read with a run's options.

    Parameters
    ----------
    paper : str or Paper
        Id of a paper, or a paper that was read from elsewhere or `varied`.
    **options
        See `Options`.

    Attributes
    ----------
    arms, scenarios : tuple of str
        What of the paper is run; a paper without scenarios has the one named "".
    split_by : {"image", "group"}
        As the paper divides its images, unless the study is a `clean` one.
    changed : tuple of str
        Settings that are not the paper's own: see `varied`.

    Raises
    ------
    BrainlibError
        One line about whatever is unknown, missing or unusable. Images are looked at only when
        they are first asked for.
    """

    def __init__(self, paper: str | Paper, **options):
        self.options = Options.of(options)
        self.paper = paper if isinstance(paper, Paper) else load_paper(paper)
        self.changed: tuple[str, ...] = ()
        self.profile = PROFILES[self.options.profile]
        self.split_by = self.paper.protocol.split_by.value
        unknown = set(self.options.backbone) - {
            name for known in (self.paper, *map(load_paper, paper_ids())) for name in _backbones(known)
        }
        if unknown:
            raise UsageError(f"--backbone {min(unknown)}=...: no paper has an arm with this backbone")
        self.arms, self.scenarios = select(self.paper, self.options.profile, self.options.arms, self.options.scenarios)
        # Scan up now, so that a missing file is said before anything is trained.
        self.weights = {arm: self._weights(arm) for arm in self.arms}

    @cached_property
    def indexed(self) -> datasets.DataSet:
        """The paper's data set, found, checked and indexed, and not yet audited."""
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

    @cached_property
    def dataset(self) -> datasets.DataSet:
        """The paper's data set with the groups of copies among the images that are used."""
        data = self.indexed
        rows = self.used_rows() if self.profile.images else None
        return dataclasses.replace(data, duplicates=findings.copies(data, self.options.store, rows))

    def used_rows(self) -> np.ndarray:
        """Positions in the table of the data set of the images that some scenario uses, ascending."""
        table, used = self.indexed.table, []
        for scenario in self.scenarios:
            ours = np.flatnonzero(table["label"].isin(self.paper.scenario(scenario).classes))
            own = table.iloc[ours]
            split = self.paper.protocol.split(0, self.profile.images, self.options.seed)
            used.append(ours[splits.used(own["label"], split, own["part"])])
        return np.unique(np.concatenate(used))

    @cached_property
    def groups(self) -> dict[str, int]:
        """Group of copies of each image, by its path."""
        return dict(zip(self.dataset.table["path"], self.dataset.group_ids().tolist(), strict=True))

    @property
    def size(self) -> int:
        """Height and width of the images in this run, in pixels."""
        return self.profile.size or self.paper.protocol.image_size.value

    def backbone(self, arm: str) -> str:
        """Backbone of an arm in this run; "" where it has none."""
        stated = _backbone(self.paper.arms[arm])
        return self.options.backbone.get(stated, stated)

    def title(self, arm: str, scenario: str = "") -> str:
        """What tables and figures call an arm: with whatever keeps it from being the paper's."""
        title = self.paper.arms[arm].title
        if scenario:
            title = f"{title}, {self.paper.scenario(scenario).title}"
        if arm not in self.arms:
            return title
        notes = [*self._data_notes(), *self._arm_notes(arm)]
        return f"{title} [{', '.join(notes)}]" if notes else title

    def not_run(self) -> tuple[str, ...]:
        """What of the paper this run leaves out: "arm vgg16", "scenario glioma"."""
        left = [f"arm {arm}" for arm in self.paper.arms if arm not in self.arms]
        return (*left, *(f"scenario {s}" for s in self.paper.scenarios if s not in self.scenarios))

    def why_not_run(self, arms, scenario: str | None) -> str:
        """Why a number of these arms and this scenario has none to stand beside; "" if it has."""
        parts = [("arms", "arm", arm) for arm in arms if arm not in self.arms]
        if scenario and scenario not in self.scenarios:
            parts.append(("scenarios", "scenario", scenario))
        return "; ".join(f"{kind} {name} was not run: --{option} {name} runs it" for option, kind, name in parts)

    def conditions(self, *arms: str) -> tuple[str, ...]:
        """Why numbers of these arms cannot be held against the printed ones; () if they can."""
        notes = list(self.data_conditions())
        stated = self.paper.protocol.image_size.value
        if self.size != stated:
            notes.append(f"images of {self.size} instead of {stated} pixels")
        for arm in arms or self.arms:
            notes += [f"{arm}: {note}" for note in self._arm_notes(arm)]
        return tuple(notes)

    def data_conditions(self) -> tuple[str, ...]:
        """Why counts of images cannot be held against the printed ones; () if they can."""
        return (*self._data_notes(), *self.dataset.differences)

    def _data_notes(self):
        yield from self.changed
        data, used = self.dataset, self.profile.images
        if data.phantom:
            yield f"{len(data.table)} phantoms"
        elif used and used < len(data.table):
            yield f"{used} of {len(data.table)} images"

    def _arm_notes(self, arm):
        stated, used = _backbone(self.paper.arms[arm]), self.backbone(arm)
        if stated != used:
            yield f"{used} in place of {stated}"
        if self.weights[arm].source == "random":
            yield "random weights"
        if any(self._trainable(arm, p) != p.trainable.value for p in self.paper.arms[arm].phases):
            yield "all layers trained in place of a block"
        for given, phase in zip(self.paper.arms[arm].phases, self._phases(arm), strict=True):
            if phase.epochs != given.epochs.value:
                of = f" of {phase.name}" if len(self.paper.arms[arm].phases) > 1 else ""
                yield f"{phase.epochs} of {given.epochs.value} epochs{of}"

    def summary(self) -> Table:
        """What this run does, in a few rows."""
        data, options = self.dataset, self.options
        used = min(self.profile.images or len(data.table), len(data.table))
        known = options.source in (PHANTOMS, KAGGLE)
        source = options.source if known else "a folder of this machine"
        rows = {
            "profile": options.profile,
            "data set": f"{datasets.info_of(data.name).title}, from {source}",
            "images": f"{used} of {len(data.table)}, at {self.size} x {self.size} pixels",
            "fingerprint": data.fingerprint,
            **{f"arm {arm}": self.title(arm) for arm in self.arms},
            **{f"weights of {arm}": self.weights[arm].label for arm in self.arms},
            **({"changed": "; ".join(self.changed)} if self.changed else {}),
            "not run": ", ".join(self.not_run()) or "nothing: every arm of the paper is run",
            "seed": _seeds(options),
        }
        frame = pd.DataFrame({"what": rows.keys(), "this run": map(str, rows.values())})
        return Table(frame, f"What this run of {self.paper.id} does.")

    def protocol_table(self) -> Table:
        """Every value of the protocol with its provenance."""
        return protocol_table(self.paper)

    def data_table(self) -> Table:
        """Images of each published folder, with the published count and the copies found."""
        table = self.dataset.table.assign(group=self.dataset.group_ids())
        rows = []
        for folder in datasets.info_of(self.dataset.name).folders:
            own = table[(table["label"] == folder.label) & (table["part"] == folder.part)]
            copies = len(own) - own["group"].nunique()
            rows.append(
                {
                    "folder": folder.path,
                    "class": folder.label,
                    "images": len(own),
                    "published": folder.count,
                    "copies": copies,
                    "modes": ", ".join(sorted(own["mode"].unique())),
                }
            )
        data = self.dataset
        kind = "phantoms in the layout of " if data.phantom else ""
        sentences = [f"Images: {kind}{datasets.info_of(data.name).title}.", *data.differences]
        return Table(pd.DataFrame(rows), " ".join(sentences))

    def trials(self) -> list[Trial]:
        """Plan the trials of the arms that are run: in each scenario, its folds and final model."""
        folds = self.paper.protocol.folds
        count = folds.value if folds else 0
        return [
            self._trial(scenario, arm, fold)
            for scenario in self.scenarios
            for arm in self.arms
            for fold in [*range(1, count + 1), 0]
        ]

    def run(self, folds: bool = True) -> dict[tuple[str, str, str], TrialResult]:
        """Have every trial run.

        Parameters
        ----------
        folds : bool
            Whether the folds are run, and the final models kept; else these are judged and forgotten.

        Returns
        -------
        dict
            Results by (scenario, arm, stage), stages being "fold 1" ... and "final".
        """
        planned = self.trials()
        if not folds:
            final = [trial for trial in planned if trial.stage == "final"]
            planned = [dataclasses.replace(trial, keep_model=False) for trial in final]
        options = self.options
        results = run.run_trials(
            planned,
            self.dataset,
            options.store,
            scheduler=options.scheduler,
            fresh=options.fresh,
        )
        return {(t.scenario, t.arm, t.stage): r for t, r in zip(planned, results, strict=True)}

    def at_seed(self, seed: int) -> Study:
        """The same study by another seed."""
        return self._other(self.paper, seed=seed)

    def duplicates_apart(self) -> Study:
        """The same study with copies, and where known images of one patient, kept together.

        Nothing else is changed; a published test part stays, and training images that have a copy in
        it are left out.
        """
        return self.on(self.dataset, "group")

    def on(self, data: datasets.DataSet, split_by: str) -> Study:
        """The same study of other images, or divided otherwise; see `clean` and `controls`."""
        other = self._other(self.paper)
        other.dataset, other.split_by = data, split_by
        return other

    def varied(self, setting: str, value: object) -> Study:
        """The same study with another value of one setting of the protocol: see `variation.varied`."""
        paper = varied(self.paper, setting, value)
        other = self._other(paper)
        path, old = setting_at(self.paper, setting)
        other.changed = (*self.changed, f"{name_of(path)} {in_words(value)} in place of {in_words(old.value)}")
        return other

    def _other(self, paper, **options):
        other = Study(paper, **(self.options.model_dump() | {"seeds": 1} | options))
        other.changed = self.changed
        if not self.profile.images:  # of a subset, each seed and protocol uses other images
            other.dataset = self.dataset
        return other

    def _trial(self, scenario, arm, fold):
        protocol = self.paper.protocol
        split, groups = protocol.split(fold, self.profile.images, self.options.seed), ""
        if self.split_by == "group":
            split = dataclasses.replace(split, by="group", leakage="refused")
        if split.by == "group":
            together = self.dataset.group_ids(patients=True).astype(np.int64)
            groups = hashlib.sha256(together.tobytes()).hexdigest()[:16]
        return Trial(
            paper=self.paper.id,
            arm=arm,
            stage=f"fold {fold}" if fold else "final",
            data=self.dataset.fingerprint,
            classes=self.paper.scenario(scenario).classes,
            size=self.size,
            model=self._model(arm),
            weights=self.weights[arm],
            phases=self._phases(arm),
            split=split,
            batch_size=protocol.batch_size.value,
            loss=protocol.loss.value,
            seed=self.options.seed,
            monitored="validation" if fold or protocol.validation else "test",
            scenario=scenario,
            oversampled=protocol.oversample.value if protocol.oversample else "",
            groups=groups,
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
            "head_dropout": tuple(model.head_dropout.value),
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
                trainable=self._trainable(arm, phase),
                epochs=min(phase.epochs.value, most),
                learning_rate=phase.learning_rate.value,
                augmentation=tuple(sorted(phase.augmentation.value.items())),
                batch_norm=phase.batch_norm.value if phase.batch_norm else "trained",
            )
            for phase in self.paper.arms[arm].phases
        )

    def _trainable(self, arm, phase):
        # A block's name is its backbone's own: of a substitute, everything is trained instead.
        prefixes = not isinstance(phase.trainable.value, str)
        substituted = self.backbone(arm) != _backbone(self.paper.arms[arm])
        return "all" if prefixes and substituted else phase.trainable.value

    def _weights(self, arm):
        model = self.paper.arms[arm].model
        if model.kind == "cnn" or not model.pretrained.value:
            return backbones.Weights("none")
        return backbones.find_weights(self.backbone(arm), self.options.starting_weights)


def _seeds(options):
    last = options.seed + options.seeds - 1
    return options.seed if options.seeds == 1 else f"{options.seed} to {last}, for each everything"


def _backbone(arm):
    return arm.model.backbone.value if arm.model.kind == "transfer" else ""


def _backbones(paper):
    return {_backbone(arm) for arm in paper.arms.values()} - {""}
