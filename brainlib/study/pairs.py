"""Tests of two arms as data: on the same images, over the folds, over the folds of several seeds.

Tables of `judgetables` show them, and ``results.json`` carries them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from brainlib.stats import comparisons
from brainlib.study.results import Results

MARGIN = 0.02  # as for verdicts: two percentage points are the same accuracy
IMAGES, FOLDS, PRINTED = "test images", "these folds", "printed folds"


@dataclass(frozen=True)
class ArmTest:
    """A two-sided test of a score of two arms.

    Attributes
    ----------
    first, second : str
        Arms; differences are the first minus the second.
    scenario : str
        "" in a paper without scenarios.
    score : str
    on : str
        What was compared: "test images", "these folds", "printed folds", or the folds of one arm
        against the printed folds of the other; of several seeds together, their number too.
    seed : int
    name : str
    t, df : float
        nan for a test that has none.
    n : int
        Images, or pairs of folds.
    difference, low, high : float
        As a fraction, with its 95 % interval; nan where none can be given.
    p, p_holm : float
        As computed, and adjusted for the tests of the same images (Holm).
    assumes : str
        What must hold for ``p`` to mean what it says.
    """

    first: str
    second: str
    scenario: str
    score: str
    on: str
    seed: int
    name: str
    t: float
    df: float
    n: int
    difference: float
    low: float
    high: float
    p: float
    p_holm: float
    assumes: str


@dataclass(frozen=True)
class FoldEquivalence:
    """Whether two arms are the same within a margin, and what so few folds could have found.

    Attributes
    ----------
    first, second, score, on : str
        As in `ArmTest`.
    seed, n : int
        n counts pairs of folds.
    margin : float
    difference, low, high : float
        With the 90 % interval, that of two one-sided tests.
    p : float
        Below 0.05: equivalent at 5 %.
    detectable : float
        The least true difference that the paired t-test finds in 8 of 10 studies.
    power : float
        Its chance to find a true difference of the margin.
    """

    first: str
    second: str
    score: str
    on: str
    seed: int
    n: int
    margin: float
    difference: float
    low: float
    high: float
    p: float
    detectable: float
    power: float


def on_images(results: Results, scenario: str = "", phase: str = "") -> list[ArmTest]:
    """McNemar's test, and for two classes DeLong's, of every pair of arms on the test images."""
    study, found = results.study, []
    arms = [arm for arm in study.arms if not phase or phase in [each.name for each in study.paper.arms[arm].phases]]
    positive = study.paper.scenario(scenario).positive
    for first, second in itertools.combinations(arms, 2):
        a, b = (results.predicted(arm, "test", scenario, phase).set_index("path") for arm in (first, second))
        b = b.loc[a.index]
        truth = a["label"]
        tests = {"accuracy": comparisons.mcnemar(a["predicted"] == truth, b["predicted"] == truth)}
        if positive:
            column = f"p_{positive}"
            is_positive = (truth == positive).to_numpy()
            if 2 <= is_positive.sum() <= len(is_positive) - 2:
                tests["AUC"] = comparisons.delong_test(is_positive, a[column], b[column])
        found += [
            ArmTest(
                first,
                second,
                scenario,
                score,
                IMAGES,
                study.options.seed,
                test.name,
                math.nan,
                math.nan,
                test.n,
                test.difference,
                test.low,
                test.high,
                test.p,
                test.p,
                test.assumes,
            )
            for score, test in tests.items()
        ]
    adjusted = comparisons.holm([test.p for test in found])
    return [replace(test, p_holm=p) for test, p in zip(found, adjusted, strict=True)]


def fold_scores(
    results: Results, first: str, second: str, metric: str = "accuracy"
) -> dict[str, tuple[list[float], list[float]]]:
    """Scores of two arms fold by fold, by where they come from.

    The printed folds stand in for those of an arm that was not run; folds without a printed or a
    defined score are left out.
    """
    arms = (first, second)
    ran = [arm for arm in arms if arm in results.study.arms]
    printed = tuple(results.printed_folds(arm, metric) for arm in arms)
    ours = tuple(
        results.fold_values(arm, metric) if arm in ran else values for arm, values in zip(arms, printed, strict=True)
    )
    on = FOLDS + "".join(f", {arm} as printed" for arm in arms if arm not in ran)
    sources = {on: ours, PRINTED: printed} if ran else {PRINTED: printed}
    return {name: (a, b) for name, (a, b) in sources.items() if a and not any(map(math.isnan, a + b))}


def on_folds(results: Results, first: str, second: str, metric: str = "accuracy") -> list[ArmTest]:
    """Paired, unpaired and corrected resampled t-test of two arms, on each source of folds."""
    found = []
    for on, (a, b) in fold_scores(results, first, second, metric).items():
        tests = (
            comparisons.paired_t(a, b),
            comparisons.unpaired_t(a, b),
            comparisons.corrected_resampled_t(a, b, test_share=1 / len(a)),
        )
        found += [_t(results, first, second, metric, on, len(a), test) for test in tests]
    return found


def over_seeds(every: Sequence[Results], first: str, second: str, metric: str = "accuracy") -> ArmTest | None:
    """One corrected resampled t-test of the folds of all seeds (Bouckaert and Frank, PAKDD 2004).

    None for a single seed, or without folds to compare.
    """
    scores = [fold_scores(each, first, second, metric) for each in every]
    if len(every) < 2 or not all(scores):
        return None
    a, b = ([x for each in scores for x in next(iter(each.values()))[side]] for side in (0, 1))
    test = comparisons.corrected_resampled_t(a, b, test_share=len(every) / len(a))
    on = f"{next(iter(scores[0]))}, {len(every)} seeds"
    return _t(every[0], first, second, metric, on, len(a), test)


def _t(results, first, second, metric, on, n, test):
    return ArmTest(
        first,
        second,
        "",
        metric,
        on,
        results.study.options.seed,
        test.name,
        test.t,
        test.df,
        n,
        test.difference,
        test.low,
        test.high,
        test.p,
        test.p,
        test.assumes,
    )


def equivalences(
    results: Results, first: str, second: str, metric: str = "accuracy", margin: float = MARGIN
) -> list[FoldEquivalence]:
    """Two one-sided tests against a margin, on each source of folds."""
    found = []
    for on, (a, b) in fold_scores(results, first, second, metric).items():
        test = comparisons.equivalence(a, b, margin)
        deviation, least, power = float(np.std(np.subtract(a, b), ddof=1)), math.nan, math.nan
        if deviation > 1e-12:
            least = comparisons.detectable_difference(deviation, len(a))
            power = comparisons.power_of_paired_t(margin, deviation, len(a))
        found.append(
            FoldEquivalence(
                first,
                second,
                metric,
                on,
                results.study.options.seed,
                len(a),
                margin,
                test.difference,
                test.low,
                test.high,
                test.p,
                least,
                power,
            )
        )
    return found


def compared(results: Results, repeats: Sequence[Results] = ()) -> tuple[list[ArmTest], list[FoldEquivalence]]:
    """Every pair of arms on the test images; over the folds, the pairs that the paper tests.

    Of each seed, and of the folds of all seeds together.
    """
    every = [results, *repeats]
    tests = [test for each in every for scenario in each.study.scenarios for test in on_images(each, scenario)]
    equivalent = []
    for pair in dict.fromkeys(c.arms for c in results.study.paper.claims if len(c.arms) == 2):
        for each in every:
            again = each is not results  # the printed folds are the same by every seed
            tests += [t for t in on_folds(each, *pair) if not (again and t.on == PRINTED)]
            equivalent += [t for t in equivalences(each, *pair) if not (again and t.on == PRINTED)]
        together = over_seeds(every, *pair)
        tests += [together] if together else []
    return tests, equivalent
