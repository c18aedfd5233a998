"""Shortcuts beside the models of a study: what the same images give away without a look at the brain.

Each classifier of `brainlib.audit.shortcuts` learns from the training images of the paper's protocol and is scored on
its test images: as published, and with duplicates kept apart, for which no network is trained.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from brainlib.audit import shortcuts
from brainlib.audit.shortcuts import APART, PUBLISHED
from brainlib.data import splits
from brainlib.errors import UsageError
from brainlib.study.controls import ABOVE, GIVEN, Control, control_of, run_controls, score
from brainlib.study.results import Results
from brainlib.study.study import Study
from brainlib.trials import jobs


def run_shortcuts(results: Results) -> tuple[Control, ...]:
    """Score the shortcuts (`Control.arm` is "", `Control.control` the name) and the arms, in each scenario and split.

    With duplicates kept apart, arms are scored where they were trained so, by `retrain` or as a control. That split is
    left out where the images are too few for it.
    """
    return results.once("shortcuts", lambda: tuple(_run(results)))


def _run(results):
    study, again = results.study, results.retrained
    known = {APART: results} if study.split_by == "group" else {PUBLISHED: results, APART: again}
    for split, trained in known.items():
        planned = study if trained is results else study.duplicates_apart()
        given = [] if trained or study.split_by == "group" else [c for c in run_controls(results) if c.control == GIVEN]
        for scenario in study.scenarios:
            try:
                yield from of_study(planned, scenario, split)
            except UsageError:  # too few groups to be divided so
                continue
            yield from (score(trained, arm, scenario, GIVEN, split) for arm in study.arms if trained)
            yield from (each for each in given if each.scenario == scenario)


def of_study(study: Study, scenario: str, split: str) -> Iterator[Control]:
    """Score each shortcut on the split of a study's final models, which all arms share; `split` is its name.

    UsageError where the images are too few for it.
    """
    trial = next(each for each in study.trials() if (each.scenario, each.stage) == (scenario, "final"))
    data = study.dataset
    rows, parts = jobs.split(trial, data)
    order = np.argsort(data.table["path"].to_numpy()[rows])  # that of a scan
    scan, groups = data.scan(study.options.store, rows), data.group_ids(patients=True)[rows[order]]
    train, test = (np.flatnonzero(parts[order] == part) for part in (splits.TRAIN, splits.TEST))
    chance = 1 / len(trial.classes)
    for name, found in shortcuts.scores(scan, [(train, test)], groups, study.options.seed).items():
        yield control_of(found, chance, "", scenario, name, split)


def sufficient(found: Sequence[Control]) -> list[tuple[Control, list[Control]]]:
    """Find the best shortcut of each scenario and split, with the arms that are no better.

    These are above chance, and so is the shortcut, whose score lies within or above their 95 % interval.
    """
    best = {}
    for each in sorted((each for each in found if not each.arm), key=lambda each: each.value):
        best[each.scenario, each.split] = each
    above = [each for each in found if each.arm and each.finding == ABOVE]
    pairs = [(each, [arm for arm in above if _no_better(arm, each)]) for each in best.values()]
    return [(each, arms) for each, arms in pairs if arms and each.finding == ABOVE]


def _no_better(arm, shortcut):
    # A perfect score has no interval; neither has one of very few images, with which nothing is compared.
    least = 1.0 if math.isnan(arm.low) else arm.low
    return (arm.scenario, arm.split) == (shortcut.scenario, shortcut.split) and shortcut.value >= least
