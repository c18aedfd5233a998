"""What other slices of the tested patients in the training part are worth, beside what duplicates are worth.

The same arm is cross-validated three times on the same images: split by slice, by duplicate group, and by patient. Each
image is tested once in each, by models that were trained on as many images, so that the scores are paired by image.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from brainlib.data import altered
from brainlib.errors import UsageError
from brainlib.stats import intervals
from brainlib.stats.estimates import Estimate, estimate
from brainlib.stats.intervals import Number
from brainlib.stats.predictions import decide
from brainlib.study.results import run_together

SLICE, GROUP, PATIENT = "slice", "duplicate group", "patient"


@dataclass(frozen=True)
class SplitEffect:
    """The score of one arm when images are split in one way: by `SLICE`, `GROUP` or `PATIENT`.

    `score` is the balanced accuracy, the mean of the classes' recalls, on all n images, each predicted by the model of
    the fold that was not trained on it. `duplicates` and `patients` are the shares of the images that had a duplicate,
    or any image of their patient, among the training images of that model. `difference` is the score minus that of the
    split by patient, paired by image. Both intervals are bootstraps over patients joined with their duplicates, with
    the trained models held fixed.
    """

    arm: str
    scenario: str
    split: str
    score: Estimate
    duplicates: Number
    patients: Number
    difference: Estimate


def patient_leakage(study, folds: int = 5) -> tuple[SplitEffect, ...]:
    """Cross-validate each arm of a study by slice, by duplicate group and by patient, with what is not stored yet.

    All images that the study uses are in the folds, whatever its protocol holds out. An image of no known patient is
    the only one of its own. UsageError where no patient is known.
    """
    paper, options = study.paper, study.options
    effects = []
    for (_, scenario), tested in cross_validated(study, folds).groupby(["arm", "scenario"], sort=False):
        of = paper.scenario(scenario)
        effects += split_effects(tested, of.classes, options.seed, of.positive, paper.protocol.threshold.value)
    return tuple(effects)


def cross_validated(study, folds: int = 5) -> pd.DataFrame:
    """Return what `patient_leakage` scores: the predictions for every image by arm, scenario and split.

    Columns as in `Results.predictions`, where the group joins patients with their duplicates, and ``arm``,
    ``scenario``, ``split``, ``fold``, ``duplicates`` and ``patients``: whether the image had a duplicate, or an image
    of its patient, among the training images.
    """
    data = altered.subset(study.dataset, study.used_rows())
    if data.table["patient"].isna().all():
        raise UsageError(f"{data.info.title}: expected images of known patients, received none; see docs/own_data.md")
    groups = pd.DataFrame({"duplicates": data.group_ids(), "patients": data.group_ids(patients=True)})
    groups.index = data.table["path"]
    unnamed = dataclasses.replace(data, table=data.table.assign(patient=None))
    splits = {SLICE: study.on(data, "image"), GROUP: study.on(unnamed, "group"), PATIENT: study.on(data, "group")}
    numbers = range(1, folds + 1)
    planned = [
        (each, [_fold(*of, folds) for of in itertools.product(each.finals(), numbers)]) for each in splits.values()
    ]
    tables = [
        _tested(results, *place, groups).assign(arm=place[0], scenario=place[1], split=split)
        for split, results in zip(splits, run_together(planned), strict=True)
        for place in itertools.product(study.arms, study.scenarios)
    ]
    return pd.concat(tables, ignore_index=True)


def _fold(trial, number, folds):
    """Return a fold of the cross-validation of all images in the place of a final model."""
    rest = {"holdout": 0.0, "published": False, "validation": 0.0}
    split = dataclasses.replace(trial.split, folds=folds, fold=number, **rest)
    return dataclasses.replace(trial, stage=f"fold {number}", split=split, monitored="validation")


def split_effects(
    tested: pd.DataFrame,
    classes: Sequence[str],
    seed: int = 0,
    positive: str | None = None,
    threshold: float | str | None = None,
) -> Iterator[SplitEffect]:
    """Compare the splits of one arm and scenario of `cross_validated`; the other arguments are those of `decide`."""
    tables = {split: table.sort_values("path") for split, table in tested.groupby("split", sort=False)}
    decided = {split: decide(table, classes, positive, threshold, "macro") for split, table in tables.items()}
    for split, decisions in decided.items():

        def change(times, decisions=decisions):
            return decisions.values("recall", times) - decided[PATIENT].values("recall", times)

        score = estimate("recall", decisions, seed)
        interval = intervals.bootstrap_interval(change, decisions.groups, seed)
        difference = Estimate.of(float(change(np.ones(score.n))), score.n, interval)
        shares = (float(tables[split][kind].mean()) for kind in ("duplicates", "patients"))
        yield SplitEffect(*tables[split][["arm", "scenario"]].iloc[0], split, score, *shares, difference)


def _tested(results, arm, scenario, groups):
    """Return the predictions of all folds by path, and whether each image's groups were among the training images."""
    tables = []
    for fold in results.folds:
        table = results.predictions(arm, fold, scenario)
        own, trained = groups.loc[table["path"]], groups.loc[results.trial(arm, fold, scenario).part("train")["path"]]
        known = {kind: own[kind].isin(trained[kind]).to_numpy() for kind in groups}
        tables.append(table.assign(group=own["patients"].to_numpy(), fold=fold, **known))
    return pd.concat(tables)
