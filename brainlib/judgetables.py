"""Tables of how sure one can be: two models compared, what folds could show, calibration.

Every function takes a `Results` first and returns a `Table`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from brainlib import comparisons, stats
from brainlib.calibration import Calibration, calibration
from brainlib.results import Results
from brainlib.tables import Table, percent

SURE = 0.9  # a confidence that a reader takes for certainty: a choice
MARGIN = 0.02  # as for verdicts: two percentage points are the same accuracy


def same_images(results: Results, scenario: str = "", phase: str = "") -> Table:
    """McNemar's test, and for two classes DeLong's, of every pair of arms on the test images.

    Where there are several pairs, p is adjusted for their number (Holm).
    """
    study, rows = results.study, []
    arms = [
        arm
        for arm in study.arms
        if not phase or phase in [each.name for each in study.paper.arms[arm].phases]
    ]
    positive = study.paper.scenario(scenario).positive
    for first, second in itertools.combinations(arms, 2):
        a, b = (
            results.called(arm, "test", scenario, phase).set_index("path") for arm in (first, second)
        )
        b = b.loc[a.index]
        truth = a["label"]
        tests = {"accuracy": comparisons.mcnemar(a["called"] == truth, b["called"] == truth)}
        if positive:
            column = f"p_{positive}"
            is_positive = (truth == positive).to_numpy()
            if 2 <= is_positive.sum() <= len(is_positive) - 2:
                tests["AUC"] = comparisons.delong_test(is_positive, a[column], b[column])
        rows += [
            {"arms": f"{first} minus {second}", "of": score, "test": test}
            for score, test in tests.items()
        ]
    adjusted = comparisons.holm([row["test"].p for row in rows])
    several = len(rows) > 1
    shown = []
    for row, p in zip(rows, adjusted, strict=True):
        test = row.pop("test")
        shown.append(
            {
                **row,
                "difference": _points(test.difference),
                "95 % interval": _span(test.low, test.high),
                "n": f"{test.n}",
                "p": _p(test.p),
                **({"p, Holm": _p(p)} if several else {}),
                "test": test.name,
                "assumes": test.assumes,
            }
        )
    caption = "The same test images, called by two trained models: this says nothing of other seeds."
    return Table(pd.DataFrame(shown), caption)


def equivalence(
    results: Results, first: str, second: str, metric: str = "accuracy", margin: float = MARGIN
) -> Table:
    """Whether two arms are the same within a margin, and what so few folds could have found.

    On these folds and on the printed ones.
    """
    arms = (first, second)
    sources = {"printed folds": [results.printed_folds(arm, metric) for arm in arms]}
    if set(arms) <= set(results.study.arms):
        ours = [results.fold_values(arm, metric) for arm in arms]
        sources = {"these folds": ours, **sources}
    rows = []
    for source, (a, b) in sources.items():
        if any(map(math.isnan, a + b)):
            continue
        test = comparisons.equivalence(a, b, margin)
        deviation = float(np.std(np.subtract(a, b), ddof=1))
        row = {
            "on": source,
            "folds": f"{len(a)}",
            "difference": _points(test.difference),
            "90 % interval": _span(test.low, test.high),
            "p of equivalence": _p(test.p),
        }
        if deviation > 1e-12:
            least = comparisons.detectable_difference(deviation, len(a))
            power = comparisons.power_of_paired_t(margin, deviation, len(a))
            row |= {
                "least difference found in 8 of 10 studies": f"{100 * least:.2f} points",
                f"chance to find {percent(margin, 0)}": percent(power, 0),
            }
        rows.append(row)
    caption = (
        f"{metric.capitalize()} of {first} minus that of {second}: two one-sided paired t-tests against "
        f"a margin of {100 * margin:g} points, and the power of the two-sided test at 5 %. No "
        "difference found is not the same as no difference."
    )
    return Table(pd.DataFrame(rows).fillna("–"), caption)


def t_by_seed(
    results: Results, repeats: Sequence[Results], first: str, second: str, metric: str = "accuracy"
) -> Table:
    """What the t-test of two arms over the folds says by each seed.

    The printed folds stand in for those of an arm that was not run.
    """
    rows, names, every = [], {}, []
    for one in (results, *repeats):
        values = []
        for arm in (first, second):
            ran = arm in one.study.arms
            names[arm] = arm if ran else f"{arm} as printed"
            values.append(one.fold_values(arm, metric) if ran else one.printed_folds(arm, metric))
        if any(math.isnan(value) for row in values for value in row):
            return Table(pd.DataFrame(), f"{first} and {second} have no folds to compare.")
        every.append(values)
        paired, unpaired = stats.paired_t(*values), stats.unpaired_t(*values)
        tests = {"unpaired": unpaired, "paired": paired}
        found = [name for name, test in tests.items() if test.p < comparisons.ALPHA]
        rows.append(
            {
                "seed": f"{one.study.options.seed}",
                "difference": _points(paired.difference),
                "unpaired t": f"{unpaired.t:.4f}",
                "unpaired p": _p(unpaired.p),
                "paired t": f"{paired.t:.4f}",
                "paired p": _p(paired.p),
                "a difference at 5 %": " and ".join(found) or "by neither",
            }
        )
    caption = (
        f"{metric.capitalize()} of {names[first]} minus that of {names[second]} over the folds, by seed."
    )
    if len(every) > 1:
        a, b = ([value for values in every for value in values[side]] for side in (0, 1))
        # Bouckaert and Frank (PAKDD 2004): repeated k-fold as one resampled test of all its folds.
        test = stats.corrected_resampled_t(a, b, test_share=len(every) / len(a))
        caption += (
            f" All {len(a)} folds together, corrected for their common images (Nadeau and Bengio): "
            f"{_points(test.difference)} ({_span(test.low, test.high)}), t = {test.t:.3f}, {test.df:g} "
            f"degrees of freedom, p = {_p(test.p)}."
        )
    return Table(pd.DataFrame(rows), caption)


def calibrations(results: Results, scenario: str = "") -> dict[str, Calibration]:
    """Calibration of every arm on the test images, by the title of the arm."""
    study, classes = results.study, results.study.paper.scenario(scenario).classes
    return {
        study.title(arm, scenario): calibration(
            results.predictions(arm, "test", scenario), classes, seed=study.options.seed
        )
        for arm in study.arms
    }


def calibration_table(found: Mapping[str, Calibration]) -> Table:
    """Expected calibration error and Brier score, by the title of the arm."""
    rows = []
    for title, each in found.items():
        curve = each.curve
        sure = curve[curve["confidence"] >= SURE]
        images = int(sure["images"].sum())
        right = float((sure["accuracy"] * sure["images"]).sum() / images) if images else math.nan
        rows.append(
            {
                "arm": title,
                "calibration error": percent(each.error, 1),
                "95 %": _share(each.error_interval),
                "Brier score": f"{each.brier:.3f}",
                "95 % interval": _range(each.brier_interval),
                f"called with {SURE:g} or more": f"{images} of {int(curve['images'].sum())}",
                "of these right": percent(right, 1),
            }
        )
    caption = (
        "Calibration on the test images: the mean distance of confidence and accuracy over ten bins "
        "(0 is best; a perfect model of few images is above 0), and the Brier score of all classes (0 "
        "to 2). Intervals by a bootstrap over groups of copies."
    )
    return Table(pd.DataFrame(rows), caption)


def _points(value):
    return "–" if math.isnan(value) else f"{100 * value:+.2f} points"


def _span(low, high):
    return "–" if math.isnan(low) else f"{100 * low:+.2f} to {100 * high:+.2f}"


def _share(interval):
    if math.isnan(interval.low):
        return "–"
    return f"{100 * interval.low:.1f} to {percent(interval.high, 1)}"


def _range(interval):
    return "–" if math.isnan(interval.low) else f"{interval.low:.3f} to {interval.high:.3f}"


def _p(value):
    if math.isnan(value):
        return "–"
    return "< 0.0001" if value < 0.0001 else f"{value:.4f}"
