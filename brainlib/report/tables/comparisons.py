"""Tables of how sure one can be: two models compared, what folds could show, calibration.

Every function takes a `Results` first and returns a `Table`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from brainlib.report.table import Table, percent
from brainlib.stats import comparisons
from brainlib.stats.calibration import Calibration
from brainlib.study import pairs
from brainlib.study.pairs import MARGIN
from brainlib.study.results import Results

SURE = 0.9  # a confidence that a reader takes for certainty: a choice


def same_images(results: Results, scenario: str = "", phase: str = "") -> Table:
    """McNemar's test, and for two classes DeLong's, of every pair of arms on the test images.

    Where there are several pairs, p is adjusted for their number (Holm).
    """
    tests = pairs.on_images(results, scenario, phase)
    rows = [
        {
            "arms": f"{test.first} minus {test.second}",
            "of": test.score,
            "difference": _points(test.difference),
            "95 % interval": _span(test.low, test.high),
            "n": f"{test.n}",
            "p": _p(test.p),
            **({"p, Holm": _p(test.p_holm)} if len(tests) > 1 else {}),
            "test": test.name,
            "assumes": test.assumes,
        }
        for test in tests
    ]
    caption = "The same test images, called by two trained models: this says nothing of other seeds."
    return Table(pd.DataFrame(rows), caption)


def t_tests(results: Results, first: str, second: str, metric: str = "accuracy") -> Table:
    """t-tests of two arms over the folds: on these folds and on the printed ones."""
    rows = [
        {
            "on": test.on,
            "test": test.name,
            "t": _plain(test.t),
            "df": f"{test.df:g}",
            "p": _p(test.p),
            "difference": _points(test.difference),
            "95 % interval": _span(test.low, test.high),
            "assumes": test.assumes,
        }
        for test in pairs.on_folds(results, first, second, metric)
    ]
    titles = [results.study.title(arm) for arm in (first, second)]
    caption = f"{metric.capitalize()} of {titles[0]} minus that of {titles[1]}, fold by fold."
    return Table(pd.DataFrame(rows), caption)


def equivalence(results: Results, first: str, second: str, metric: str = "accuracy") -> Table:
    """Whether two arms are the same within a margin, and what so few folds could have found.

    On these folds and on the printed ones.
    """
    rows = [
        {
            "on": test.on,
            "folds": f"{test.n}",
            "difference": _points(test.difference),
            "90 % interval": _span(test.low, test.high),
            "p of equivalence": _p(test.p),
            "least difference found in 8 of 10 studies": "–"
            if math.isnan(test.detectable)
            else f"{100 * test.detectable:.2f} points",
            f"chance to find {100 * MARGIN:g} points": percent(test.power, 0),
        }
        for test in pairs.equivalences(results, first, second, metric)
    ]
    caption = (
        f"{metric.capitalize()} of {first} minus that of {second}: two one-sided paired t-tests against "
        f"a margin of {100 * MARGIN:g} points, and the power of the two-sided test at 5 %. No "
        "difference found is not the same as no difference."
    )
    return Table(pd.DataFrame(rows), caption)


def t_by_seed(results: Results, repeats: Sequence[Results], first: str, second: str, metric: str = "accuracy") -> Table:
    """What the t-test of two arms over the folds says by each seed.

    The printed folds stand in for those of an arm that was not run.
    """
    every, rows = [results, *repeats], []
    for one in every:
        tests = pairs.on_folds(one, first, second, metric)
        if not tests or tests[0].on == pairs.PRINTED:
            return Table(pd.DataFrame(), f"{first} and {second} have no folds to compare.")
        paired, unpaired = tests[:2]
        found = [name for name, test in (("unpaired", unpaired), ("paired", paired)) if test.p < comparisons.ALPHA]
        rows.append(
            {
                "seed": f"{paired.seed}",
                "difference": _points(paired.difference),
                "unpaired t": _plain(unpaired.t),
                "unpaired p": _p(unpaired.p),
                "paired t": _plain(paired.t),
                "paired p": _p(paired.p),
                "a difference at 5 %": " and ".join(found) or "by neither",
            }
        )
    caption = f"{metric.capitalize()} of {first} minus that of {second} by seed; {paired.on}."
    together = pairs.over_seeds(every, first, second, metric)
    if together:
        caption += (
            f" All {together.n} folds together, corrected for their common images (Nadeau and Bengio; "
            f"Bouckaert and Frank): {_points(together.difference)} "
            f"({_span(together.low, together.high)}), t = {together.t:.3f}, {together.df:g} degrees of "
            f"freedom, p = {_p(together.p)}."
        )
    return Table(pd.DataFrame(rows), caption)


def calibrations(results: Results, scenario: str = "") -> dict[str, Calibration]:
    """Calibration of every arm on the test images, by the title of the arm."""
    return {results.study.title(arm, scenario): results.calibration(arm, scenario) for arm in results.study.arms}


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
                "95 % interval of the error": _share(each.error_interval),
                "Brier score": f"{each.brier:.3f}",
                "95 % interval of the score": _range(each.brier_interval),
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
    return "–" if math.isnan(low) else f"{100 * low:+.2f} to {100 * high:+.2f} points"


def _share(interval):
    if math.isnan(interval.low):
        return "–"
    return f"{100 * interval.low:.1f} to {percent(interval.high, 1)}"


def _range(interval):
    return "–" if math.isnan(interval.low) else f"{interval.low:.3f} to {interval.high:.3f}"


def _plain(value):
    return "–" if math.isnan(value) else f"{value:.4f}"


def _p(value):
    if math.isnan(value):
        return "–"
    return "< 0.0001" if value < 0.0001 else f"{value:.4f}"
