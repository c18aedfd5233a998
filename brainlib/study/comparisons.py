"""Two arms compared: on the same test images, over the folds, and over the folds of several seeds."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from brainlib.stats import comparisons
from brainlib.stats.comparisons import Equivalence, PairedTest, Posterior, TTest
from brainlib.stats.intervals import Number
from brainlib.study.results import Results
from brainlib.study.verdicts import MARGIN

IMAGES, FOLDS, PRINTED = "test images", "these folds", "printed folds"
SCORE = "accuracy"  # that is compared over folds


@dataclass(frozen=True)
class ArmTest:
    """A two-sided test of a score of two arms; differences are the first minus the second.

    `on` is what was compared: "test images", "these folds", "printed folds", or the folds of one arm with the printed
    folds of the other; of several seeds together, their number too. `p_holm` is p adjusted for the number of tests on
    the same images (Holm).
    """

    first: str
    second: str
    scenario: str
    score: str
    on: str
    seed: int
    test: PairedTest | TTest
    p_holm: Number


@dataclass(frozen=True)
class ArmEquivalence:
    """Whether two arms are the same within a margin, and what so few folds could have shown; see `ArmTest`.

    `detectable` is the smallest true difference that the paired t-test finds in 8 of 10 studies, `power` the
    probability of that test to find a true difference as large as the margin. `posterior` has the same margin; on the
    folds of all seeds together it stands alone.
    """

    first: str
    second: str
    score: str
    on: str
    seed: int
    test: Equivalence | None
    detectable: Number
    power: Number
    posterior: Posterior | None = None


def on_images(results: Results, scenario: str = "") -> list[ArmTest]:
    """Compare every pair of arms on the test images: McNemar's test and, for two classes, DeLong's."""
    study, found = results.study, []
    positive = study.paper.scenario(scenario).positive
    for first, second in itertools.combinations(study.arms, 2):
        a, b = (results.predicted(arm, "test", scenario).set_index("path") for arm in (first, second))
        b = b.loc[a.index]
        truth = a["label"]
        right, groups = [each["predicted"] == truth for each in (a, b)], a["group"].to_numpy()
        found.append((first, second, "accuracy", comparisons.mcnemar(*right, groups)))
        is_positive = (truth == positive).to_numpy()  # none is without a positive class
        if 2 <= is_positive.sum() <= len(is_positive) - 2:
            scores = (each[f"p_{positive}"] for each in (a, b))
            found.append((first, second, "AUC", comparisons.delong_test(is_positive, *scores, groups)))
    adjusted = comparisons.holm([test.p for *_, test in found])
    return [
        ArmTest(first, second, scenario, score, IMAGES, study.options.seed, test, p)
        for (first, second, score, test), p in zip(found, adjusted, strict=True)
    ]


def fold_scores(results: Results, first: str, second: str) -> dict[str, tuple[list[float], list[float]]]:
    """Return the accuracies of two arms fold by fold, by where they come from.

    The printed folds take the place of those of an arm that was not run. Folds without a printed or a defined
    accuracy are left out.
    """
    arms = (first, second)
    ran = [arm for arm in arms if arm in results.study.arms]
    numbers = {arm: [results.printed(arm, fold, SCORE) for fold in results.folds] for arm in arms}
    printed = {arm: [each.value if each else math.nan for each in numbers[arm]] for arm in arms}
    ours = printed | {arm: results.fold_values(arm, SCORE) for arm in ran}
    on = FOLDS + "".join(f", {arm} as printed" for arm in arms if arm not in ran)
    sources = {on: ours, PRINTED: printed} if ran else {PRINTED: printed}
    pairs = {name: (scores[first], scores[second]) for name, scores in sources.items()}
    return {name: (a, b) for name, (a, b) in pairs.items() if a and not any(map(math.isnan, a + b))}


def on_folds(results: Results, first: str, second: str) -> list[ArmTest]:
    """Compare two arms by a paired, an unpaired and a corrected resampled t-test, on each source of folds."""
    seed = results.study.options.seed
    return [
        ArmTest(first, second, "", SCORE, on, seed, test, test.p)
        for on, (a, b) in fold_scores(results, first, second).items()
        for test in (comparisons.t_test(name, a, b) for name in comparisons.T_TESTS)
    ]


def _together(every, first, second):
    """Return where the folds of all seeds come from, and the scores of both arms; None for one seed, or no folds."""
    scores = [fold_scores(each, first, second) for each in every]
    if len(every) < 2 or not all(scores):
        return None
    a, b = ([x for each in scores for x in next(iter(each.values()))[side]] for side in (0, 1))
    return f"{next(iter(scores[0]))}, {len(every)} seeds", a, b


def over_seeds(every: Sequence[Results], first: str, second: str) -> ArmTest | None:
    """Compare two arms by one corrected resampled t-test of the folds of all seeds (Bouckaert and Frank, PAKDD 2004).

    None for a single seed, or without folds to compare.
    """
    if (found := _together(every, first, second)) is None:
        return None
    on, a, b = found
    test = comparisons.corrected_resampled_t(a, b, test_share=len(every) / len(a))
    return ArmTest(first, second, "", SCORE, on, every[0].study.options.seed, test, test.p)


def equivalences(every: Sequence[Results], first: str, second: str) -> list[ArmEquivalence]:
    """Test two arms for equivalence within `MARGIN`: on each source of folds, by seed, and on those of all seeds.

    The printed folds, which are the same for every seed, come once.
    """
    found = []
    for each in every:
        seed = each.study.options.seed
        for on, (a, b) in fold_scores(each, first, second).items():
            if on == PRINTED and each is not every[0]:
                continue
            test, posterior = comparisons.equivalence(a, b, MARGIN), comparisons.posterior(a, b, MARGIN)
            deviation, least, power = float(np.std(np.subtract(a, b), ddof=1)), math.nan, math.nan
            if deviation > 1e-12:
                least = comparisons.detectable_difference(deviation, len(a))
                power = comparisons.power_of_paired_t(MARGIN, deviation, len(a))
            found.append(ArmEquivalence(first, second, SCORE, on, seed, test, least, power, posterior))
    if together := _together(every, first, second):
        on, a, b = together
        posterior, seed = comparisons.posterior(a, b, MARGIN, len(every)), every[0].study.options.seed
        found.append(ArmEquivalence(first, second, SCORE, on, seed, None, math.nan, math.nan, posterior))
    return found


def compare(results: Results) -> tuple[list[ArmTest], list[ArmEquivalence]]:
    """Compare every pair of arms on the test images and, over the folds, the pairs that the paper compares.

    Of each seed, and of the folds of all seeds together.
    """
    every = [results, *results.repeats]
    tests = [test for each in every for scenario in each.study.scenarios for test in on_images(each, scenario)]
    equivalent = []
    for pair in dict.fromkeys(c.arms for c in results.study.paper.claims if len(c.arms) == 2):
        for each in every:
            again = each is not results  # the printed folds are the same for every seed
            tests += [t for t in on_folds(each, *pair) if not (again and t.on == PRINTED)]
        equivalent += equivalences(every, *pair)
        together = over_seeds(every, *pair)
        tests += [together] if together else []
    return tests, equivalent
