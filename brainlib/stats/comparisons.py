"""Two models on the same images or folds: which differs, whether they are equal, what could be seen.

Tests on images (`mcnemar`, `delong_test`) ask about two trained models; tests over folds
(`brainlib.stats.intervals`, `equivalence`) ask about two ways of training, and `detectable_difference` what so
few folds could have shown at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize
from scipy import stats as distributions

from brainlib.stats.intervals import CONFIDENCE, Number

ALPHA = 0.05  # level of every test, by custom
POWER = 0.8  # chance to find a difference that is there, by custom


@dataclass(frozen=True)
class PairedTest:
    """A two-sided test of two models on the same images.

    Attributes
    ----------
    name : str
    p : float
        nan where the test says nothing.
    difference, low, high : float
        First minus second, as a fraction, with its 95 % interval (nan where none can be given).
    n : int
        Images.
    assumes : str
        What must hold for ``p`` to mean what it says.
    """

    name: str
    p: Number
    difference: Number
    low: Number
    high: Number
    n: int
    assumes: str


def mcnemar(right_a: np.ndarray, right_b: np.ndarray) -> PairedTest:
    """Exact McNemar test of two accuracies on the same images (McNemar 1947; binomial, two-sided).

    Only the images that one model gets right and the other does not say anything: under equal
    accuracies either way is as likely. The interval of the difference is Newcombe's score interval
    for paired proportions (Stat. Med. 1998, 17:2635, method 10).

    Parameters
    ----------
    right_a, right_b : (n,) arrays of bool
        Whether each model is right, image by image.

    Raises
    ------
    ValueError
        The two differ in length.
    """
    a, b = np.asarray(right_a, dtype=bool), np.asarray(right_b, dtype=bool)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"expected one answer an image of both models, received {a.shape} and {b.shape}")
    only_a, only_b, n = int((a & ~b).sum()), int((b & ~a).sum()), len(a)
    p = 1.0
    if only_a + only_b:
        p = float(distributions.binomtest(only_a, only_a + only_b).pvalue)
    low, high = _newcombe_paired(int((a & b).sum()), only_a, only_b, int((~a & ~b).sum()))
    difference = (only_a - only_b) / n if n else np.nan
    assumes = "images independent of each other: copies of an image make p too small"
    return PairedTest("McNemar, exact", p if n else np.nan, difference, low, high, n, assumes)


def _newcombe_paired(both, only_a, only_b, neither, confidence=CONFIDENCE):
    """Newcombe's method 10: Wilson intervals of both proportions, tied by their correlation phi."""
    n = both + only_a + only_b + neither
    if n == 0:
        return np.nan, np.nan
    limits = []
    for k in (both + only_a, both + only_b):
        wilson = distributions.binomtest(k, n).proportion_ci(confidence, method="wilson")
        limits.append((k / n, float(wilson.low), float(wilson.high)))
    (p1, l1, u1), (p2, l2, u2) = limits
    margins = (both + only_a) * (only_b + neither) * (both + only_b) * (only_a + neither)
    phi = 0.0
    if margins:
        excess = both * neither - only_a * only_b
        if excess > 0:  # corrected for continuity, as Newcombe has it
            excess = max(excess - n / 2, 0)
        phi = excess / np.sqrt(margins)
    d = p1 - p2
    down = (p1 - l1) ** 2 - 2 * phi * (p1 - l1) * (u2 - p2) + (u2 - p2) ** 2
    up = (p2 - l2) ** 2 - 2 * phi * (p2 - l2) * (u1 - p1) + (u1 - p1) ** 2
    return d - np.sqrt(down), d + np.sqrt(up)


def delong_test(is_positive: np.ndarray, score_a: np.ndarray, score_b: np.ndarray) -> PairedTest:
    """Paired test of two areas under the ROC curve (DeLong et al., Biometrics 1988, 44:837).

    Parameters
    ----------
    is_positive : (n,) array of bool
    score_a, score_b : (n,) arrays of float
        What each model says of the same images; higher means more likely positive.

    Returns
    -------
    PairedTest
        p and limits are nan where the difference has no variance.

    Raises
    ------
    ValueError
        The three differ in length, or a class has fewer than two images.
    """
    positive = np.asarray(is_positive, dtype=bool)
    scores = [np.asarray(s, dtype=float) for s in (score_a, score_b)]
    if any(s.shape != positive.shape for s in scores):
        raise ValueError("expected one score an image of both models")
    m, n = int(positive.sum()), int((~positive).sum())
    if min(m, n) < 2:
        raise ValueError(f"expected two or more images of each class, received {m} and {n}")
    placements = []
    for score in scores:
        ranks = distributions.rankdata(np.concatenate([score[positive], score[~positive]]))
        placements.append(
            (
                (ranks[:m] - distributions.rankdata(score[positive])) / n,
                1 - (ranks[m:] - distributions.rankdata(score[~positive])) / m,
            )
        )
    of_positive, of_negative = (a - b for a, b in zip(*placements, strict=True))
    difference = float(of_positive.mean())
    error = float(np.sqrt(of_positive.var(ddof=1) / m + of_negative.var(ddof=1) / n))
    assumes = "images independent of each other; large numbers of both classes"
    if error < 1e-12:
        p = 1.0 if abs(difference) < 1e-12 else np.nan
        return PairedTest("DeLong, paired", p, difference, np.nan, np.nan, m + n, assumes)
    p = float(2 * distributions.norm.sf(abs(difference) / error))
    reach = float(distributions.norm.ppf((1 + CONFIDENCE) / 2)) * error
    return PairedTest("DeLong, paired", p, difference, difference - reach, difference + reach, m + n, assumes)


@dataclass(frozen=True)
class Equivalence:
    """Two one-sided tests of a mean difference against a margin.

    Attributes
    ----------
    p : float
        The larger of the two; equivalent at 5 % where it is below 0.05. nan without any variation.
    difference, low, high : float
        Mean difference and its 90 % interval: within the margin exactly where p is below 0.05.
    margin : float
    df : int
    """

    p: Number
    difference: Number
    low: Number
    high: Number
    margin: Number
    df: int


def equivalence(a: Sequence[float], b: Sequence[float], margin: float) -> Equivalence:
    """Test by two one-sided paired t-tests that two models differ by less than a margin.

    Schuirmann (J. Pharmacokinet. Biopharm. 1987, 15:657). Assumes, like the paired t-test, that the
    differences of the folds are independent: they are not, and p comes out too small.

    Parameters
    ----------
    a, b : (k,) sequences of float
        Scores of the two models, fold by fold; k of 2 or more.
    margin : float
        Above 0, in the units of the scores.

    Raises
    ------
    ValueError
        A margin that is not above 0, different lengths, or fewer than two folds.
    """
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if not margin > 0 or a.shape != b.shape or len(a) < 2:
        raise ValueError(
            f"expected a margin above 0 and two or more folds of both models, received {margin!r}, "
            f"{a.shape} and {b.shape}"
        )
    differences, df = a - b, len(a) - 1
    mean, error = float(differences.mean()), float(distributions.sem(differences))
    if error <= 1e-12 * max(np.abs(a).max(), np.abs(b).max()):
        return Equivalence(np.nan, mean, np.nan, np.nan, margin, df)
    p = max(
        float(distributions.t.sf((mean + margin) / error, df)),
        float(distributions.t.cdf((mean - margin) / error, df)),
    )
    reach = float(distributions.t.ppf(1 - ALPHA, df)) * error
    return Equivalence(p, mean, mean - reach, mean + reach, margin, df)


def power_of_paired_t(difference: float, deviation: float, k: int, alpha: float = ALPHA) -> float:
    """Chance that a two-sided paired t-test over k folds finds a true mean difference.

    From the noncentral t distribution (Cohen 1988, section 2.5).

    Parameters
    ----------
    difference : float
        True mean difference.
    deviation : float
        Standard deviation of the differences from fold to fold, above 0, in the same units.
    k : int
        Folds, 2 or more.
    alpha : float
    """
    if not deviation > 0 or k < 2:
        raise ValueError(f"expected a deviation above 0 and k >= 2, received {deviation!r} and {k}")
    shift, df = abs(difference) / deviation * np.sqrt(k), k - 1
    limit = distributions.t.ppf(1 - alpha / 2, df)
    found = distributions.nct.sf(limit, df, shift) + distributions.nct.cdf(-limit, df, shift)
    return float(found)


def detectable_difference(deviation: float, k: int, power: float = POWER) -> float:
    """The smallest true difference that a paired t-test over k folds finds with this chance.

    Parameters
    ----------
    deviation, k, power
        As in `power_of_paired_t`; the chance is above the level of the test and below 1.
    """
    if not ALPHA < power < 1:
        raise ValueError(f"expected a power between {ALPHA} and 1, received {power!r}")

    def missing(times):
        return power_of_paired_t(times * deviation, deviation, k) - power

    most = 1.0
    while missing(most) < 0:
        most *= 2
    return float(deviation * optimize.brentq(missing, 1e-6, most))


def holm(p: Sequence[float]) -> list[float]:
    """p-values adjusted for their number (Holm, Scand. J. Stat. 1979, 6:65), in the given order.

    Each is the smallest level at which its hypothesis is rejected with all of them under control;
    a nan stays one, and is not counted.
    """
    p = np.asarray(p, dtype=float)
    adjusted = np.full(len(p), np.nan)
    order = [i for i in np.argsort(p, kind="stable") if not np.isnan(p[i])]
    highest = 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p[i]))
        adjusted[i] = highest
    return adjusted.tolist()
