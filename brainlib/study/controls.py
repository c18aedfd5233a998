"""Controls: the score of a paper's protocol where the right answer is known beforehand.

Shuffled labels can only be memorised, so a model that scores above chance on them does so through duplicates. Images
without a brain show no tumour. Phantoms have one by construction. Each control trains the final models of the study
again, by the paper's own protocol, on an altered set (`brainlib.data.altered`).
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from brainlib.audit.shortcuts import APART, PUBLISHED
from brainlib.data import altered, datasets
from brainlib.data.datasets import DataSet
from brainlib.stats import estimates
from brainlib.stats.estimates import Estimate
from brainlib.stats.intervals import Number
from brainlib.study.options import PHANTOMS
from brainlib.study.results import Results, run_together
from brainlib.study.study import Study

ABOVE, AT, BELOW, UNDEFINED = "above chance", "at chance", "below chance", "undefined"
GIVEN, SHUFFLED, DRAWN = "labels as given", "shuffled labels", "phantoms"


@dataclass(frozen=True)
class Control:
    """The score of one arm in one control.

    `control` is one of `GIVEN`, `SHUFFLED`, `BACKGROUND`, `NO_BRAIN` and `DRAWN`, or the name of a shortcut, which has
    the `arm` "" (`study.shortcuts`); `split` is `PUBLISHED`, or `APART`: no duplicate group in two parts. `value` is
    the balanced accuracy on n test images, the mean of the classes' recalls, with the 95 % interval of a bootstrap
    over duplicate groups (nan where every image was given the same class), `chance` one over the number of classes.
    `finding` says where the interval lies; it is `UNDEFINED` where some class has no test image. `expected` is the
    finding that a sound study must have, "" where the control answers a question. `collapsed` tells whether the model
    gave every test image the same class.
    """

    arm: str
    scenario: str
    control: str
    split: str
    n: int
    value: Number
    low: Number
    high: Number
    chance: Number
    finding: str
    expected: str
    collapsed: bool = False


def run_controls(results: Results) -> tuple[Control, ...]:
    """Train and score every control of a study; () unless its options ask for them.

    Models that are in the store are not trained again.
    """
    if not results.study.options.controls:
        return ()
    return results.once("controls", lambda: run_planned(results.study, planned(results.study)))


def planned(study: Study) -> list[tuple[str, DataSet, str, str]]:
    """Return each control of a study: its name, its images, the split, and the finding expected of a sound study."""
    rows = study.used_rows()
    given = altered.subset(study.dataset, rows)
    drawn = altered.shuffled(given, study.options.seed)
    store = study.options.store
    found = [
        (GIVEN, given, APART, ""),
        *([(SHUFFLED, drawn, PUBLISHED, "")] if study.split_by != "group" else []),
        (SHUFFLED, drawn, APART, AT),
        *((kind, altered.masked(given, kind, store), APART, "") for kind in (altered.BACKGROUND, altered.NO_BRAIN)),
    ]
    if not given.phantom:
        phantoms = datasets.load_dataset(study.paper.data.set.value, PHANTOMS, store, phantoms=len(rows))
        # Kept apart are those with the same pixels.
        phantoms = dataclasses.replace(phantoms, duplicates=phantoms.group_ids())
        found.append((DRAWN, phantoms, APART, ABOVE))
    return found


def run_planned(study: Study, planned: Sequence[tuple[str, DataSet, str, str]]) -> tuple[Control, ...]:
    """Train, as far as they are not stored, and score what `planned` returns."""
    studies = [study.on(data, "group" if split == APART else study.split_by) for _, data, split, _ in planned]
    trained = run_together([(each, each.finals()) for each in studies])
    return tuple(
        score(judged, arm, scenario, control, split, expected)
        for judged, (control, _, split, expected) in zip(trained, planned, strict=True)
        for scenario, arm in itertools.product(study.scenarios, study.arms)
    )


def score(results: Results, arm: str, scenario: str, control: str, split: str, expected: str = "") -> Control:
    """Score a trained arm on its test images."""
    chance = 1 / len(results.study.paper.scenario(scenario).classes)
    decided = results.decided(results.predictions(arm, "test", scenario), scenario, average="macro")
    found = estimates.estimate("recall", decided, results.study.options.seed)
    return control_of(found, chance, arm, scenario, control, split, expected, decided.collapsed is not None)


def control_of(found: Estimate, chance: float, arm: str, scenario: str, control: str, split: str, *more) -> Control:
    """Return a score with the finding that follows from it; `more` is what is expected, and whether it collapsed."""
    score = (found.n, found.value, found.low, found.high, chance, _finding(found, chance))
    return Control(arm, scenario, control, split, *score, *(more or ("",)))


def _finding(found, chance):
    if math.isnan(found.value):
        return UNDEFINED
    # There is no interval where every image was given the same class.
    low, high = (found.value if math.isnan(each) else each for each in (found.low, found.high))
    if low > chance:
        return ABOVE
    return BELOW if high < chance else AT
