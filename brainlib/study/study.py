"""One paper under the options of one run: its trials, and how they differ from the paper's.

A `Study` is immutable: `at_seed`, `duplicates_apart`, `on`, `varied` and `with_arm` return another study that keeps
everything else. `Study.run` trains what is not stored yet and returns the `Results`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from brainlib import progress
from brainlib.audit import findings
from brainlib.data import datasets, splits
from brainlib.data.datasets import DataSet
from brainlib.data.own import OWN, asked
from brainlib.data.registry import info_of
from brainlib.errors import UsageError
from brainlib.models import backbones
from brainlib.models.build import ModelSpec
from brainlib.models.own import by_name, own
from brainlib.models.training import Phase
from brainlib.papers.loading import load_paper, paper_ids
from brainlib.papers.provenance import values
from brainlib.papers.schema import Paper
from brainlib.study import conditions, variation
from brainlib.study.options import PHANTOMS, Options, select
from brainlib.study.results import Results, run_together
from brainlib.trials.trial import Trial


class Study:
    """A paper read with a run's options; its attributes cannot be set.

    Parameters
    ----------
    paper : str or Paper
        Id of a paper, or a paper that was read from elsewhere.
    dataset : DataSet, optional
        Images in place of those that the options name. Near-duplicates are searched for unless it knows its own.
    **options
        See `Options`. `BrainlibError`, in one line, for whatever is unknown, missing or unusable.

    Notes
    -----
    Images are read only when they are first needed. Further attributes are the `profile` (how much of the protocol is
    run), the `arms` and `scenarios` that are run (a paper without scenarios has the one named ""), the starting
    `weights` by arm, `split_by` ("image" or "group", if duplicates are kept in one part), the settings `changed` by
    `varied`, and `other_images`, which is whether `on` was given other images than those that the options name.
    """

    def __init__(self, paper: str | Paper, dataset: DataSet | None = None, **options: Any):
        paper = paper if isinstance(paper, Paper) else load_paper(paper)
        by, given = paper.protocol.split_by.value, Options.of(options)
        if dataset is not None and not given.data:
            # The weights and the extent that are usual for phantoms, or for real images.
            given = given.model_copy(update={"data": PHANTOMS if dataset.phantom else str(dataset.root)})
        self._fill(paper=paper, options=given, split_by=by, changed=(), other_images=False, _given=dataset, _own={})

    def _fill(self, **state):
        vars(self).update(state, _state=state)
        if self.options.backbone:
            models = [arm.model for each in (self.paper, *map(load_paper, paper_ids())) for arm in each.arms.values()]
            stated = {model.backbone.value for model in models if model.kind == "transfer"}
            if unknown := set(self.options.backbone) - stated:
                raise UsageError(f"--backbone {min(unknown)}=...: no paper has an arm with this backbone")
        arms, scenarios = select(self.paper, self.options.profile, self.options.arms, self.options.scenarios)
        # Weights are found now, so that a missing file is reported before anything is trained.
        weights = {arm: self._weights(arm) for arm in arms}
        vars(self).update(profile=self.options.limits, arms=arms, scenarios=scenarios, weights=weights)
        for arm in arms:  # likewise a user's function that cannot be used
            self._model(arm), self.phases(arm)

    def __repr__(self) -> str:
        arms = f"{len(self.arms)} of {len(self.paper.arms)} arms ({', '.join(self.arms)})"
        return f"<Study of {self.paper.id}: profile {self.options.profile}, images from {self.options.source}, {arms}>"

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(
            f"a study cannot be changed, received {name}; at_seed, duplicates_apart, on, varied, with_arm give another"
        )

    @cached_property
    def indexed(self) -> DataSet:
        """The data set, found, checked and indexed; near-duplicates may not have been searched for yet."""
        name, options, data = self.paper.data.set.value, self.options, self._given
        if data is None:
            count = self.profile.images or info_of(name).total
            data = datasets.load_dataset(asked(name, options.source), options.source, options.store, phantoms=count)
        if data.name == OWN and options.store.is_relative_to(data.root.resolve()):  # phantoms would be its images
            raise UsageError(f"--out {options.out}: expected a folder outside of the images, which are in {data.root}")
        of, needed, title = self.paper.data, f"{self.paper.id} needs", data.info.title
        if set(of.classes) != set(data.classes):
            names = (f"{name} (no tumour)" if name == of.normal else name for name in of.classes)
            advice = _mapping(data) if data.name == OWN else ""
            raise UsageError(f"{needed} classes {', '.join(names)}; {title} has {', '.join(data.classes)}{advice}")
        if self.paper.protocol.holdout.value == "published" and splits.TEST not in set(data.table["part"]):
            advice = "add train and test folders, or vary protocol.holdout, as to 0.2"
            raise UsageError(f"{needed} a published test part; {title} has none: {advice}")
        return data

    @cached_property
    def dataset(self) -> DataSet:
        """The data set with the duplicate groups of the images that are used."""
        data = self.indexed
        if data.duplicates is not None:
            return data
        rows = self.used_rows() if self.profile.images else None
        with progress.shown(f"auditing {len(data.table) if rows is None else len(rows)} images") as on_progress:
            groups = findings.duplicate_groups(data, self.options.store, rows, on_progress)
        return dataclasses.replace(data, duplicates=groups)

    def used_rows(self) -> np.ndarray:
        """Positions in the data set's table of the images that some scenario uses: int array, ascending."""
        labels, parts = (self.indexed.table[column].to_numpy() for column in ("label", "part"))
        used = []
        for scenario in self.scenarios:
            rows = np.flatnonzero(np.isin(labels, self.paper.scenario(scenario).classes))
            used.append(rows[splits.used(labels[rows], self._split(0), parts[rows])])
        return np.unique(np.concatenate(used))

    @cached_property
    def groups(self) -> dict[str, int]:
        """Duplicate group of each image, by its path."""
        return dict(zip(self.dataset.table["path"], self.dataset.group_ids().tolist(), strict=True))

    @cached_property
    def clusters(self) -> dict[str, int]:
        """Images that are no independent evidence, by path: duplicates and, where known, those of one patient."""
        return dict(zip(self.dataset.table["path"], self.dataset.group_ids(patients=True).tolist(), strict=True))

    @property
    def size(self) -> int:
        """Height and width of the images in this run, in pixels."""
        return self.profile.size or self.paper.protocol.image_size.value

    def stated_backbone(self, arm: str) -> str:
        """Backbone of an arm in the paper; "" where it has none."""
        model = self.paper.arms[arm].model
        return model.backbone.value if model.kind == "transfer" else ""

    def backbone(self, arm: str) -> str:
        """Backbone of an arm in this run; "" where it has none."""
        stated, pretrained = self.stated_backbone(arm), self.options.starting_weights
        usual = backbones.STAND_IN if stated and pretrained == backbones.PHANTOMS else stated
        return self.options.backbone.get(stated, usual)

    def title(self, arm: str, scenario: str = "") -> str:
        """Name of an arm in tables and figures; how it differs from the paper's is in `conditions`."""
        title = self.paper.arms[arm].title
        return f"{title}, {self.paper.scenario(scenario).title}" if scenario else title

    @property
    def titles(self) -> list[str]:
        """Names of all arms of the paper, in its order; by their places figures choose colours."""
        return [self.title(arm) for arm in self.paper.arms]

    def conditions(self, *arms: str) -> tuple[str, ...]:
        """Why numbers of these arms, by default of all, are not comparable with the printed ones; () if they are."""
        run = [arm for arm in arms or self.arms if arm in self.arms]  # a table may name one that is not
        of_arms = (f"{arm}: {each}" for arm in run for each in conditions.of_arm(self, arm))
        return (*conditions.of_study(self), *of_arms)

    def not_run(self) -> tuple[str, ...]:
        """List what of the paper this run leaves out: "arm vgg16", "scenario glioma"."""
        return tuple(f"{kind} {name}" for kind, name in self._left_out(self.paper.arms, self.paper.scenarios))

    def why_not_run(self, arms: Sequence[str], scenario: str | None = None) -> tuple[str, ...]:
        """Say why nothing was reproduced for these arms in this scenario; () if they are run."""
        left = self._left_out(arms, [scenario] if scenario else [])
        return tuple(f"{kind} {name} was not run: --{kind}s {name} runs it" for kind, name in left)

    def _left_out(self, arms, scenarios):
        named = [("arm", arm) for arm in arms if arm not in self.arms]
        return named + [("scenario", each) for each in scenarios if each not in self.scenarios]

    def trials(self) -> list[Trial]:
        """Plan the trials of the arms that are run: in each scenario, its folds and final model."""
        stages = [*range(1, (self.paper.protocol.folds.value or 0) + 1), 0]
        return [self._trial(*each) for each in itertools.product(self.scenarios, self.arms, stages)]

    def finals(self) -> list[Trial]:
        """Plan the trials of the final models alone, of which only the predictions are kept."""
        return [dataclasses.replace(trial, keep_model=False) for trial in self.trials() if trial.stage == "final"]

    def run(self, folds: bool = True) -> Results:
        """Train every trial that is not stored yet, and return the results of all.

        Other seeds, and models with duplicates kept apart, are trained at the same time if the options ask for them.
        Without `folds`, only final models are trained, and of these only the predictions are kept.
        """
        seeds = range(self.options.seed + 1, self.options.seed + self.options.seeds)
        studies = [self, *map(self.at_seed, seeds), *([self.duplicates_apart()] if self.options.retrain else [])]
        results, *others = run_together([(each, each.trials() if folds else each.finals()) for each in studies])
        results.repeats, (results.retrained,) = others[: len(seeds)], others[len(seeds) :] or [None]
        return results

    def at_seed(self, seed: int) -> Study:
        """Return the same study with another seed, and with that one alone."""
        return self._with(options=Options.of(self.options.model_dump() | {"seed": seed, "seeds": 1}))

    def duplicates_apart(self) -> Study:
        """Return the same study with each duplicate group, and each patient where known, in one part of the split.

        A published test part stays, and training images that have a duplicate in it are left out.
        """
        return self._with(split_by="group")

    def on(self, data: DataSet, split_by: str) -> Study:
        """Return the same study of other images, drawn singly ("image") or as whole duplicate groups ("group").

        Near-duplicates are searched for unless the data set knows its own.
        """
        other = self.other_images or data.fingerprint != self.indexed.fingerprint
        return self._with(_given=data, split_by=split_by, other_images=other)

    def varied(self, setting: str, value: object) -> Study:
        """Return the same study with another value of one setting of the protocol.

        The setting is a key of the table of the protocol, such as "protocol.batch_size" or "arms.cnn.phases[0].epochs".
        The optimizer may be a function, as in `with_arm`. `UsageError` if there is no setting of this name, or if it
        cannot have the value or has it already.
        """
        given, functions = by_name({setting: value})
        paper, change = variation.varied(self.paper, setting, given[setting])
        split_by = value if setting == "protocol.split_by" else self.split_by
        return self._with(paper=paper, changed=(*self.changed, change), split_by=split_by, _own=self._own | functions)

    def with_arm(self, name: str, build: Callable | str, like: str, channels: int = 3, **training: Any) -> Study:
        """Return the same study with one more arm, a model of your own, trained and tested on the same images.

        Parameters
        ----------
        build : function or str
            ``size, classes -> keras.Model``, or its import path "package.module:function". The model takes pixels in
            [0, 255] of shape (size, size, channels) and returns a probability for each class; of two classes, one
            sigmoid unit, for the last one, or two softmax units. It consists of layers of Keras, none used twice.
        like : str
            The arm whose phases of training it takes.
        **training
            What is other than in `like`, the same in each phase: `epochs`, `learning_rate`, `trainable` (by default
            "head": what `build` left trainable), `augmentation`, `batch_norm` and, as functions where `training.Phase`
            has an `Own` (it says what identifies one), `optimizer`, `schedule`, `callbacks`, `early_stopping`. The
            last two never see test images: without a validation part, a fifth of the training images is monitored.
        """
        given, functions = by_name({"function": build, "trainable": "head"} | training)
        paper = variation.with_arm(self.paper, name, like, given | {"channels": channels})
        options = self.options.model_copy(update={"arms": [*self.arms, name]})
        return self._with(paper=paper, options=options, _own=self._own | functions)

    def stops_early(self, arm: str) -> bool:
        """Tell whether an arm's training may end by what it monitors, though the protocol has no validation part."""
        return self.paper.protocol.validation.value is None and any(
            p.early_stopping or p.callbacks for p in self.phases(arm)
        )

    def _function(self, name):
        return self._own.get(name) or own(name) if name and ":" in name else name

    def _with(self, **changes):
        other = object.__new__(type(self))
        other._fill(**(self._state | changes))
        if other._given is self._given and other.paper.data == self.paper.data:
            # Each seed and protocol uses another subset, whose duplicates are searched for separately.
            same = (other.options.seed, other.paper.protocol) == (self.options.seed, self.paper.protocol)
            names = ["indexed", "dataset", "groups", "clusters"] if same or not self.profile.images else ["indexed"]
            vars(other).update({name: vars(self)[name] for name in names if name in vars(self)})
        return other

    def _split(self, fold, arm=""):
        split = self.paper.protocol.split(fold, self.profile.images, self.options.seed, self.split_by)
        if arm and not fold and self.stops_early(arm):  # the test part stays as it is
            return dataclasses.replace(split, folds=5, fold=1)
        return split

    def _trial(self, scenario, arm, fold):
        protocol, groups, classes = self.paper.protocol, "", self.paper.scenario(scenario).classes
        kind = "binary" if len(classes) == 2 else "categorical"
        if self.split_by == "group":
            together = self.dataset.group_ids(patients=True).astype(np.int64)
            groups = hashlib.sha256(together.tobytes()).hexdigest()[:16]
        return Trial(
            paper=self.paper.id,
            arm=arm,
            stage=f"fold {fold}" if fold else "final",
            data=self.dataset.fingerprint,
            classes=classes,
            size=self.size,
            model=self._model(arm),
            weights=self.weights[arm],
            phases=self.phases(arm),
            split=self._split(fold, arm),
            batch_size=protocol.batch_size.value,
            loss=f"{kind}_crossentropy" if protocol.loss.value == "crossentropy" else protocol.loss.value,
            seed=self.options.seed,
            monitored="validation" if fold or protocol.validation.value or self.stops_early(arm) else "test",
            scenario=scenario,
            oversampled=protocol.oversample.value or "",
            oversampled_to=protocol.oversample_to.value if protocol.oversample_to else "largest",
            resizing=protocol.resizing.value if protocol.resizing else "bilinear",
            groups=groups,
            precision=self.options.precision,
            keep_model=not fold,
            conditions=self.conditions(arm),
        )

    def _model(self, arm):
        given = values(self.paper.arms[arm].model)
        given.pop("pretrained", None)
        given["function"] = self._function(given.get("function"))
        if self.backbone(arm) != self.stated_backbone(arm):
            given["backbone"] = self.backbone(arm)
            if self.paper.arms[arm].model.scaling.assumed != variation.WHY:
                given["scaling"] = "backbone"  # another backbone's weights expect its own
        return ModelSpec(**given)

    def phases(self, arm: str) -> tuple[Phase, ...]:
        """Phases of training of an arm in this run."""
        phases, protocol = [], self.paper.protocol
        # Of another part than the monitored one, predictions of the best epoch need the model as it was then.
        restored = protocol.epoch.value == "best" and protocol.validation.value is not None
        for phase in self.paper.arms[arm].phases:
            given = {"optimizer": protocol.optimizer.value, "restore_best": restored}
            given |= {name: value for name, value in values(phase).items() if value is not None}
            given |= {name: self._function(given.get(name)) for name in ("optimizer", "schedule", "callbacks")}
            given["augmentation"] = tuple(sorted(given["augmentation"].items()))
            given["epochs"] = min(given["epochs"], self.profile.epochs or given["epochs"])
            if not phases:  # a later phase would undo at such a rate what the first one learned
                least = 0 if phase.learning_rate.stated == variation.OWN else self.profile.learning_rate
                given["learning_rate"] = max(given["learning_rate"], least)
                if self.backbone(arm) == backbones.STAND_IN:  # and this one what the stand-in has learned
                    given["trainable"] = "head"
            # Another backbone has no block of this name, so all its layers are trained.
            if not isinstance(given["trainable"], str) and self.backbone(arm) != self.stated_backbone(arm):
                given["trainable"] = "all"
            phases.append(Phase(**given))
        return tuple(phases)

    def _weights(self, arm):
        model = self.paper.arms[arm].model
        if model.kind != "transfer" or not model.pretrained.value:
            return backbones.Weights("own" if model.kind == "own" else "none")
        return backbones.find_weights(self.backbone(arm), self.options.starting_weights)


def _mapping(data):
    """Advise how to give own images a paper's classes; those given already are no names of folders."""
    folders = {name for path in data.table["path"] for name in path.split("/")}
    classes = dict.fromkeys((name if name in folders else "FOLDER" for name in data.classes), "...")
    return f"; say classes={classes} in load_dataset, or root: FOLDER and classes: {classes} in a YAML file for --data"
