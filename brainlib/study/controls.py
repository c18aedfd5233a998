"""Controls: what a paper's protocol scores where a number is known beforehand, or ought to be.

Labels that say nothing can only be remembered, so a model that scores on them does so through copies.
Pictures without a brain have no tumour to see. Phantoms have one by construction. Each control trains the
final models of the study again, by the paper's own protocol, on an altered set (`altered`).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from brainlib import progress
from brainlib.data import altered, datasets
from brainlib.report.table import Table, percent, with_limits
from brainlib.stats import estimates, intervals
from brainlib.study.options import PHANTOMS
from brainlib.study.results import Results
from brainlib.study.study import Study

ABOVE, AT, BELOW, UNDEFINED = "above chance", "at chance", "below chance", "undefined"
APART, PUBLISHED = "copies apart", "as published"
GIVEN, SHUFFLED, DRAWN = "labels as given", "shuffled labels", "phantoms"


@dataclass(frozen=True)
class Control:
    """What one arm scored in one control.

    Attributes
    ----------
    arm, scenario : str
    control : str
        "labels as given", "shuffled labels", "background alone", "brain masked out" or "phantoms".
    split : str
        "as published", or "copies apart": no group of copies in two parts.
    n : int
        Images held out.
    value, low, high : float
        Balanced accuracy, the mean of the classes' recalls, with the 95 % interval of a bootstrap over
        groups of copies; the limits are nan where every image was given one class.
    chance : float
        What any guess that does not look gets on average: one over the number of classes.
    finding : str
        "above chance", "at chance" or "below chance": where the interval lies; "undefined" where no
        image of some class is held out.
    expected : str
        What the finding must be for the study to be trusted; "" where it is the answer to a question.
    """

    arm: str
    scenario: str
    control: str
    split: str
    n: int
    value: float
    low: float
    high: float
    chance: float
    finding: str
    expected: str


def run_controls(results: Results) -> tuple[Control, ...]:
    """Train and judge every control of a study; () unless its options ask for them.

    Parameters
    ----------
    results : Results
        Of the study as published. What was trained before is taken from the store.
    """
    study = results.study
    if not study.options.controls:
        return ()
    rows = study.used_rows()
    given = altered.subset(study.dataset, rows)
    drawn = altered.shuffled(given, study.options.seed)
    store = study.options.store
    planned = [
        (GIVEN, given, "group", ""),
        *([(SHUFFLED, drawn, study.split_by, "")] if study.split_by != "group" else []),
        (SHUFFLED, drawn, "group", AT),
        (altered.BACKGROUND, altered.masked(given, altered.BACKGROUND, store), "group", ""),
        (altered.NO_BRAIN, altered.masked(given, altered.NO_BRAIN, store), "group", ""),
    ]
    if not given.phantom:
        phantoms = datasets.load(given.name, PHANTOMS, store, phantoms=len(rows))
        # Kept apart are those with the same pixels.
        phantoms = dataclasses.replace(phantoms, duplicates=phantoms.group_ids())
        planned.append((DRAWN, phantoms, "group", ABOVE))
    found = []
    with progress.shown(f"{len(planned)} controls") as on_progress:
        for number, (control, data, split_by, expected) in enumerate(planned):
            other = study.on(data, split_by)
            split = APART if split_by == "group" else PUBLISHED
            on_progress(number / len(planned), f"control, {control}, {split}")
            if not progress.in_notebook():
                progress.log(f"{study.paper.id}: control, {control}, {split}")
            judged = other.run(folds=False)
            found += [
                _judge(judged, arm, scenario, control, split, expected)
                for scenario in study.scenarios
                for arm in study.arms
            ]
    return tuple(found)


def _judge(results, arm, scenario, control, split, expected):
    data = results.study.dataset
    together = dict(zip(data.table["path"], data.group_ids(patients=True).tolist(), strict=True))
    table = results.predictions(arm, "test", scenario)
    classes = results.study.paper.scenario(scenario).classes
    found = estimates.estimate(
        "recall",
        table.assign(group=table["path"].map(together)),
        classes,
        threshold=results.threshold,
        seed=results.study.options.seed,
        average="macro",
    )
    chance = 1 / len(classes)
    return Control(
        arm,
        scenario,
        control,
        split,
        found.n,
        found.value,
        found.low,
        found.high,
        chance,
        _finding(found, chance),
        expected,
    )


def _finding(found, chance):
    if math.isnan(found.value):
        return UNDEFINED
    # Without an interval nothing varied: one class for every image, or none wrong.
    low, high = (found.value if math.isnan(each) else each for each in (found.low, found.high))
    if low > chance:
        return ABOVE
    return BELOW if high < chance else AT


def control_table(found: Sequence[Control], study: Study) -> Table:
    """The controls of a study for readers, with what copies alone are worth."""
    if not found:
        return Table(
            pd.DataFrame(), "Not run: --controls (controls = True) trains them: five models an arm, six on real images."
        )
    rows, published = [], {}
    for each in found:
        name = study.title(each.arm, each.scenario)
        row = {"arm": name, "control": each.control, "split": each.split, "n": each.n}
        rows.append(
            row
            | {
                "balanced accuracy (95 %)": with_limits(each.value, each.low, each.high, 1),
                "chance": percent(each.chance, 0),
                "finding": each.finding + _must(each),
            }
        )
        if (each.control, each.split) == (SHUFFLED, PUBLISHED):
            published[each.arm, each.scenario] = each
        elif (each.control, each.split) == (SHUFFLED, APART) and (each.arm, each.scenario) in published:
            rows.append(
                row
                | {"control": "what copies alone are worth", "split": "the difference of the two", "n": "–"}
                | _difference(published[each.arm, each.scenario], each)
            )
    alarms = sum(each.expected != "" and each.finding != each.expected for each in found)
    caption = (
        "Final models trained again on altered sets and judged on the images that these hold out. Balanced "
        "accuracy: the mean of the classes' recalls; intervals: a bootstrap over groups of copies, one seed. "
        "Shuffled labels are drawn anew for each group of copies. The outline of the head stays visible in "
        f"masked images. Controls that did not end as they must: {alarms} (by chance alone one in twenty of "
        "the shuffled ones; phantoms may be too few to learn from)."
    )
    return Table(pd.DataFrame(rows).fillna("–"), caption)


def _must(control):
    if not control.expected:
        return ""
    return ", as it must be" if control.finding == control.expected else f"; expected {control.expected}"


def _difference(published, apart):
    interval = intervals.independent_difference(*((each.value, each.low, each.high) for each in (published, apart)))
    points = f"{100 * (published.value - apart.value):+.1f} points"
    if not math.isnan(interval.low):
        points += f" ({100 * interval.low:+.1f} to {100 * interval.high:+.1f})"
    return {"balanced accuracy (95 %)": points}
