"""Tables of comparisons: two arms, the same scores without duplicates, controls, heat maps and calibration.

Every function takes a `Results` first and returns a `Table`.
"""

from __future__ import annotations

import math

from brainlib.papers.schema import Metric
from brainlib.report.table import COUNT, P_VALUE, PERCENT, PERCENT0, PERCENT1, POINTS, Format, Table
from brainlib.report.tables.captions import T, caption
from brainlib.report.tables.scores import not_comparable
from brainlib.stats import intervals
from brainlib.stats.calibration import Calibration
from brainlib.stats.comparisons import ALPHA
from brainlib.study import comparisons, saliency
from brainlib.study.controls import APART, PUBLISHED, SHUFFLED, run_controls
from brainlib.study.duplicates import FOLDS, duplicate_effects
from brainlib.study.results import Results
from brainlib.study.shortcuts import run_shortcuts, sufficient
from brainlib.study.verdicts import MARGIN

CONFIDENT = 0.9  # probability of the predicted class; a choice
_CORRELATION = Format(digits=2)
_BRIER = Format(digits=3)
_DISTANCE = Format("points", 100)
_POINTS1 = Format("points", 100, digits=1, signed=True)


def same_images(results: Results, scenario: str = "") -> Table:
    """Show McNemar's test and, for two classes, DeLong's of every pair of arms; of several, p by Holm as well."""
    tests, arms = comparisons.on_images(results, scenario), results.study.arms
    names = {arm: f"{arm} (collapsed)" if results.collapsed(arm, "test", scenario) else arm for arm in arms}
    rows = [
        {
            "arms": f"{names[each.first]} minus {names[each.second]}",
            "score": each.score,
            "difference": _difference(each.test),
            "n": each.test.n,
            "p": P_VALUE(each.test.p),
            **({"p, Holm": P_VALUE(each.p_holm)} if len(tests) > 1 else {}),
            "test": each.test.name,
            "assumes": each.test.assumes,
        }
        for each in tests
    ]
    return Table(rows, caption("same_images", some=bool(rows)))


def t_tests(results: Results, first: str, second: str) -> Table:
    """Show t-tests of two arms over the folds: on these folds and on the printed ones."""
    rows = [
        {
            "on": each.on,
            "test": each.test.name,
            "t": T(each.test.t),
            "degrees of freedom": each.test.df,
            "p": P_VALUE(each.test.p),
            "difference": _difference(each.test),
            "assumes": each.test.assumes,
        }
        for each in comparisons.on_folds(results, first, second)
    ]
    one, other = (results.title(arm, stage="folds") for arm in (first, second))
    differences = f"Accuracy of {one} minus that of {other}, fold by fold, with 95 % intervals."
    return Table(rows, differences + not_comparable(results, first, second))


def equivalence(results: Results, first: str, second: str) -> Table:
    """Show equivalence within a margin, on these folds, the printed ones and those of all seeds, and its posterior.

    Also what so few folds could have shown, and how many seeds more would settle it.
    """
    points, rows = f"{100 * MARGIN:g}", []
    found = comparisons.equivalences([results, *results.repeats], first, second)
    for each in [each for each in found if each.seed == results.study.options.seed]:
        chances, more = each.posterior, each.posterior.more_seeds
        rows.append(
            {
                "on": each.on,
                "folds": chances.n,
                "difference": _difference(each.test) if each.test else POINTS(math.nan),
                "p of equivalence": P_VALUE(each.test.p if each.test else math.nan),
                "smallest detectable difference": _DISTANCE(each.detectable),
                f"power for {points} points": PERCENT0(each.power),
                f"P({first} better)": PERCENT0(chances.above),
                f"P(within {points} points)": PERCENT0(chances.within),
                f"P({second} better)": PERCENT0(chances.below),
                "settled by": "no number of seeds" if more is None else f"{more} more seeds" if more else "these",
            }
        )
    return Table(rows, caption("equivalence", first=first, second=second, points=points))


def t_by_seed(results: Results, first: str, second: str) -> Table:
    """Show the t-tests of two arms for each seed; an arm that was not run has the printed folds."""
    every, rows = [results, *results.repeats], []
    for one in every:
        tests = comparisons.on_folds(one, first, second)
        if not tests or tests[0].on == comparisons.PRINTED:
            return Table([], f"{first} and {second} have no folds to compare.")
        paired, unpaired = (each.test for each in tests[:2])
        found = [name for name, test in (("unpaired", unpaired), ("paired", paired)) if test.p < ALPHA]
        rows.append(
            {
                "seed": tests[0].seed,
                "difference": POINTS(paired.difference),
                "unpaired t": T(unpaired.t),
                "unpaired p": P_VALUE(unpaired.p),
                "paired t": T(paired.t),
                "paired p": P_VALUE(paired.p),
                "significant at 5 %": " and ".join(found) or "neither",
            }
        )
    together = comparisons.over_seeds(every, first, second)
    values = {"first": first, "second": second, "on": tests[0].on, "together": together and together.test}
    return Table(rows, caption("t_by_seed", **values))


def calibrations(results: Results, scenario: str = "") -> dict[str, Calibration]:
    """Return the calibration of every arm on the test images, by the title of the arm."""
    return {results.title(arm, scenario): results.calibration(arm, scenario) for arm in results.study.arms}


def calibration(results: Results, scenario: str = "") -> Table:
    """Show the expected calibration error and the Brier score of every arm."""
    rows = []
    for title, found in calibrations(results, scenario).items():
        high = [each for each in found.curve if each.confidence >= CONFIDENT]
        images = sum(each.images for each in high)
        correct = sum(each.accuracy * each.images for each in high) / images if images else math.nan
        rows.append(
            {
                "arm": title,
                "calibration error": PERCENT1(found.error, found.error_interval.low, found.error_interval.high),
                "Brier score": _BRIER(found.brier, found.brier_interval.low, found.brier_interval.high),
                "images": sum(each.images for each in found.curve),
                f"images with a probability of {CONFIDENT:g} or more": images,
                "of these correct": PERCENT1(correct),
            }
        )
    return Table(rows, caption("calibration"))


def duplicates(results: Results) -> Table:
    """Show scores as published, without duplicates and, where that was asked for, retrained."""
    study, rows, leaked = results.study, [], set()
    for scenario in study.scenarios:
        for each in duplicate_effects(results, scenario):
            if each.score == "accuracy":
                leaked.add(f"{each.leaked.n} of {each.published.n}")
            place = ("folds", Metric(name="accuracy", over="mean")) if each.score == FOLDS else ("test", each.score)
            row = {
                "arm": results.title(each.arm, scenario, place[0]),
                "score": each.score,
                "printed": PERCENT.printed(results.printed(each.arm, *place, scenario)),
                "as published": PERCENT.score(each.published),
                "images": each.published.n,
                "without duplicates": PERCENT.score(each.without_duplicates),
                "images without": each.without_duplicates.n,
                "difference": _difference(each),
                "leaked images alone": PERCENT.score(each.leaked),
                "leaked": each.leaked.n,
            }
            if each.retrained:
                row["retrained, duplicates kept apart"] = PERCENT.score(each.retrained)
                row["images retrained"] = each.retrained.n
            rows.append(row)
    values = {"leaked": leaked, "retrained": bool(results.retrained), "conditions": not_comparable(results)}
    return Table(rows, caption("duplicates", **values))


def controls(results: Results) -> Table:
    """Show the controls of a study, with the effect of duplicates alone."""
    rows, published, found = [], {}, run_controls(results)
    for each in found:
        place = {"arm": results.study.title(each.arm, each.scenario)}
        row = place | {"control": each.control, "split": each.split, "n": COUNT(each.n)}
        row |= {"balanced accuracy": PERCENT1.score(each), "chance": PERCENT0(each.chance)}
        finding = f"{each.finding} (collapsed)" if each.collapsed else each.finding
        rows.append(row | {"finding": finding, "expected": each.expected})
        if (each.control, each.split) == (SHUFFLED, PUBLISHED):
            published[each.arm, each.scenario] = each
        elif (each.control, each.split) == (SHUFFLED, APART) and (each.arm, each.scenario) in published:
            leaking = published[each.arm, each.scenario]
            change = intervals.difference_interval(*((one.value, one.low, one.high) for one in (leaking, each)))
            effect = _POINTS1(leaking.value - each.value, change.low, change.high)
            place |= {"control": "effect of duplicates alone", "split": "the difference of the two"}
            rows.append(place | {"balanced accuracy": effect})
    alarms = sum(each.expected != "" and each.finding != each.expected for each in found)
    return Table(rows, caption("controls", found=found, alarms=alarms))


def shortcuts(results: Results) -> Table:
    """Show what classifiers without a network score on the same images, beside the arms."""
    study, rows, found = results.study, {}, run_shortcuts(results)
    for each in found:
        name = study.title(each.arm) if each.arm else each.control
        row = rows.setdefault((each.scenario, name), {})
        row |= {"scenario": study.paper.scenario(each.scenario).title} if each.scenario else {}
        row |= {"classifier": name, "chance": PERCENT0(each.chance)}
        row |= {each.split: PERCENT1.score(each), f"n {each.split}": each.n}
    titles = {arm: study.title(arm) for arm in study.arms}
    return Table(list(rows.values()), caption("shortcuts", found=found, pairs=sufficient(found), titles=titles))


def lesions(results: Results, scenario: str = "") -> Table:
    """Show how well heat maps, and two trivial maps, find outlined lesions, one row a map of an arm."""
    own = [each for each in saliency.measure(results, scenario) if each.score in saliency.LESION_SCORES]
    return Table(_by_arm(results, own, "map"), caption("lesions", scores=own))


def lesion_thirds(results: Results, scenario: str = "") -> Table:
    """Show how often the hottest pixel lies in the lesion, by its size and by the confidence, one row a third."""
    rows, own = {}, saliency.thirds(results, scenario)
    for each in own:
        arm = results.title(each.arm, each.scenario)
        row = rows.setdefault((arm, each.images), {"arm": arm, "images": each.images, "n": COUNT(each.n)})
        row |= {"lesion": PERCENT1(each.reference), each.method: PERCENT0.score(each)}
    return Table(list(rows.values()), caption("lesion_thirds", some=bool(own)))


def sanity(results: Results, scenario: str = "") -> Table:
    """Show how much of a heat map is left when what was learned is removed, one row an arm."""
    own = [each for each in saliency.measure(results, scenario) if each.score in saliency.SANITY_SCORES]
    return Table(_by_arm(results, own, counts=True), caption("sanity"))


def _by_arm(results, found, method="", counts=False):
    rows = {}
    for each in found:
        named = {method: each.method} if method else {}
        row = rows.setdefault((each.arm, each.method), {"arm": results.title(each.arm, each.scenario)} | named)
        how = _CORRELATION if each.score in (saliency.SAME, *saliency.SANITY_SCORES) else PERCENT1
        row |= {each.score: how.score(each)} | ({f"n of {each.score}": each.n} if counts else {})
    return list(rows.values())


def _difference(found):
    return POINTS(found.difference, found.low, found.high)
