"""Two models on the same images or folds: do they differ, are they equivalent, what could be detected.

Tests on images (`mcnemar`, `delong_test`) ask about two trained models; tests over folds (`paired_t`,
`unpaired_t`, `corrected_resampled_t`, `equivalence`) ask about two ways of training, and
`detectable_difference` what so few folds could have shown at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from brainlib.stats import intervals
from brainlib.stats.intervals import CONFIDENCE, UPPER, Number, Z

ALPHA = 0.05  # the conventional level of a test
POWER = 0.8  # the conventional chance to find a difference that is there
PAIRED, UNPAIRED, CORRECTED = T_TESTS = ("paired", "unpaired", "corrected resampled")


@dataclass(frozen=True)
class PairedTest:
    """A two-sided test of two models on the same n images.

    The difference, first minus second, is a fraction with its 95 % interval (nan where none can be given), p is nan
    where the test is undefined, and ``assumes`` says what must hold for p to be valid.
    """

    name: str
    p: Number
    difference: Number
    low: Number
    high: Number
    n: int
    assumes: str


def mcnemar(right_a: np.ndarray, right_b: np.ndarray, groups: np.ndarray | None = None) -> PairedTest:
    """Exact McNemar test of two accuracies on the same images (McNemar 1947; binomial, two-sided).

    Only the images that one model classifies correctly and the other does not are informative: under
    equal accuracies either way is as likely. Of images of which some are of one group, (n,), the difference of each
    group, in images, is as likely of either sign: the exact sign-flipping distribution of their sum (Fisher 1935),
    which is McNemar's where all are single. The interval of the difference is Newcombe's score interval
    for paired proportions (Stat. Med. 1998, 17:2635, method 10), of the effective numbers of images. The (n,) arrays of
    bool say whether each model classifies each image correctly; `ValueError` if they differ in length.
    """
    a, b = np.asarray(right_a, dtype=bool), np.asarray(right_b, dtype=bool)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"expected one prediction an image of both models, received {a.shape} and {b.shape}")
    n, (of, single) = len(a), intervals.numbered(groups, len(a))
    name = "McNemar, exact" if single else "McNemar, exact, groups of duplicates flipped together"
    assumes = "images independent of each other: duplicates of an image make p too small"
    assumes = assumes if single else "groups of images independent of each other"
    if not n:
        return PairedTest(name, np.nan, np.nan, np.nan, np.nan, n, assumes)
    totals = np.bincount(of, a.astype(int) - b.astype(int)).astype(int)
    first, second = intervals.proportion_interval(a, of), intervals.proportion_interval(b, of)
    limits = [(float(each.mean()), found.low, found.high) for each, found in ((a, first), (b, second))]
    interval = intervals.difference_interval(*limits, _correlation(a, b, of))
    difference = float(a.mean() - b.mean())
    return PairedTest(name, _sign_flips(totals), difference, interval.low, interval.high, n, assumes)


def _sign_flips(totals: np.ndarray) -> float:
    """Two-sided p of a sum of integers, each of which is as likely of either sign."""
    chances = np.ones(1)  # of the sums -reach, ..., reach
    for each in np.abs(totals[totals != 0]):
        step = np.zeros(2 * each + 1)
        step[[0, -1]] = 0.5
        chances = np.convolve(chances, step)
    reach = len(chances) // 2
    return float(min(1.0, chances[np.abs(np.arange(-reach, reach + 1)) >= abs(totals.sum())].sum()))


def _correlation(a: np.ndarray, b: np.ndarray, of: np.ndarray) -> float:
    """Correlation of two accuracies on grouped images; above 0 corrected for continuity, as Newcombe has it."""
    x, y = (np.bincount(of, each - each.mean()) for each in (a, b))
    size = np.sqrt(float(x @ x) * float(y @ y))
    if not size:
        return 0.0
    phi, margins = float(x @ y) / size, a.sum() * (~a).sum() * b.sum() * (~b).sum()
    return max(phi - len(a) / 2 / np.sqrt(margins), 0.0) if phi > 0 else phi


def delong_test(
    is_positive: np.ndarray, score_a: np.ndarray, score_b: np.ndarray, groups: np.ndarray | None = None
) -> PairedTest:
    """Paired test of two areas under the ROC curve (DeLong et al., Biometrics 1988, 44:837).

    With the variance of Obuchowski (Biometrics 1997, 53:567) where some images are of one group, (n,). p and limits are
    nan where the difference has no variance. The scores of both models are (n,) arrays, higher for
    images that are more likely positive. `ValueError` if lengths differ or a class has fewer than two images.
    """
    positive = np.asarray(is_positive, dtype=bool)
    scores = [np.asarray(s, dtype=float) for s in (score_a, score_b)]
    if any(s.shape != positive.shape for s in scores):
        raise ValueError("expected one score an image of both models")
    m, n = int(positive.sum()), int((~positive).sum())
    if min(m, n) < 2:
        raise ValueError(f"expected two or more images of each class, received {m} and {n}")
    groups, single = intervals.numbered(groups, m + n)
    placed = tuple(a - b for a, b in zip(*(intervals.placements(positive, score) for score in scores), strict=True))
    difference, error = float(placed[0].mean()), np.sqrt(intervals.area_variance(positive, placed, groups))
    name = "DeLong, paired" if single else "DeLong, paired, with Obuchowski's variance of groups"
    assumes = f"{'images' if single else 'groups of images'} independent of each other; large numbers of both classes"
    if not error >= 1e-12:
        p, half_width = 1.0 if abs(difference) < 1e-12 else np.nan, np.nan
    else:
        p, half_width = float(2 * stats.norm.sf(abs(difference) / error)), Z * float(error)
    return PairedTest(name, p, difference, difference - half_width, difference + half_width, m + n, assumes)


@dataclass(frozen=True)
class TTest:
    """A two-sided t-test of the difference between two models over the same n folds.

    The difference is mean(a) - mean(b) in the units of the values, with its 95 % interval; ``assumes`` says what must
    hold for p to be valid, and where it does not. Without any variation there is no standard error. Then the limits
    are nan, and t and p are (nan, nan) for a difference of zero and (+-inf, 0) for any other, as in scipy. A nan
    among the values, or too few of them for a variance, makes everything but ``name`` and ``df`` nan.
    """

    name: str
    t: Number
    df: Number
    p: Number
    difference: Number
    low: Number
    high: Number
    n: int
    assumes: str


def _t_test(name: str, a: np.ndarray, b: np.ndarray, variance: float, df: int, assumes: str) -> TTest:
    """Build a TTest from the variance of the difference of the means."""
    difference = float(np.mean(a) - np.mean(b)) if len(a) and len(b) else np.nan
    error, t, p, half_width = float(np.sqrt(variance)), np.nan, np.nan, np.nan
    if np.isnan(variance) or np.isnan(difference):
        difference = np.nan
    elif not intervals.negligible(error, a, b):
        t, half_width = difference / error, float(stats.t.ppf(UPPER, df)) * error
        p = float(2 * stats.t.sf(abs(t), df))
    elif intervals.negligible(abs(difference), a, b):
        difference = 0.0
    else:
        t, p = float(np.copysign(np.inf, difference)), 0.0
    return TTest(name, t, df, p, difference, difference - half_width, difference + half_width, len(a), assumes)


def _paired(a: Sequence[float], b: Sequence[float]) -> tuple[np.ndarray, np.ndarray, float]:
    """Return both samples as arrays, and the variance of their differences (nan if there is none)."""
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"expected one value a fold for both models, received {a.shape} and {b.shape}")
    return a, b, float(np.var(a - b, ddof=1)) if len(a) > 1 else np.nan


def paired_t(a: Sequence[float], b: Sequence[float]) -> TTest:
    """Paired t-test of two models' scores on the same k folds; df = k - 1. `ValueError` if their numbers differ."""
    a, b, variance = _paired(a, b)
    assumes = (
        "differences independent from fold to fold: not so, since the folds share training images; "
        "p comes out too small"
    )
    return _t_test("paired t", a, b, variance / max(len(a), 1), len(a) - 1, assumes)


def unpaired_t(a: Sequence[float], b: Sequence[float]) -> TTest:
    """Student's two-sample t-test with pooled variance, of k folds each; df = 2k - 2. `ValueError` as of `paired_t`."""
    a, b, _ = _paired(a, b)
    variance = float(a.var(ddof=1) + b.var(ddof=1)) / len(a) if len(a) > 1 else np.nan
    assumes = (
        "all values independent and of equal variance: not so, since both models were scored on the same "
        "folds and the folds share training images"
    )
    return _t_test("unpaired t (Student, pooled)", a, b, variance, 2 * len(a) - 2, assumes)


def corrected_resampled_t(a: Sequence[float], b: Sequence[float], test_share: float) -> TTest:
    """Corrected resampled t-test of Nadeau and Bengio (Mach. Learn. 2003, 52:239); df = k - 1.

    The variance of the mean difference is taken as (1/k + n_test/n_train) s^2 in place of s^2/k,
    which makes up for training sets that overlap.

    ``test_share`` is the share of a fold's images that are scored, n_test / (n_test + n_train): 1/3 for three folds.
    `ValueError` if it is not between 0 and 1, or if the numbers of scores differ.
    """
    if not 0 < test_share < 1:
        raise ValueError(f"expected a test share between 0 and 1, received {test_share!r}")
    a, b, variance = _paired(a, b)
    factor = 1 / max(len(a), 1) + test_share / (1 - test_share)
    assumes = (
        "the correlation between folds equals the test share (Nadeau and Bengio's approximation, "
        "made for repeated random splits)"
    )
    name = "corrected resampled t (Nadeau and Bengio)"
    return _t_test(name, a, b, variance * factor, len(a) - 1, assumes)


def t_test(name: str, a: Sequence[float], b: Sequence[float]) -> TTest:
    """Compare two models' scores on the same k folds by the test of `T_TESTS` that has this name."""
    if name == CORRECTED:
        return corrected_resampled_t(a, b, test_share=1 / len(a))
    return {PAIRED: paired_t, UNPAIRED: unpaired_t}[name](a, b)


@dataclass(frozen=True)
class Posterior:
    """Posterior probabilities of a mean difference: above a margin, within it, and below its negative.

    nan without any variation. ``more_seeds`` is how many seeds more, with the mean and the spread seen so far, would
    raise one of the three to 95 %: 0 if it is there, None if no number of them would, as of folds that share images.
    """

    above: Number
    within: Number
    below: Number
    margin: Number
    n: int
    more_seeds: int | None = None


MOST_SEEDS = 1000  # more than anyone trains


def posterior(a: Sequence[float], b: Sequence[float], margin: float, seeds: int = 1) -> Posterior:
    """Correlated Bayesian t-test of two models' scores on the same folds of so many seeds, with a margin.

    Corani and Benavoli (Mach. Learn. 2015, 100:285), as in `baycomp`: a Student posterior with n - 1 degrees of freedom
    around the mean difference, of squared scale (1/n + 1/(k - 1)) s^2 with k folds a seed. `corrected_resampled_t` has
    the same distribution. `ValueError` if the margin is not above 0, the numbers of scores differ or a seed has fewer
    than two folds.
    """
    a, b, variance = _paired(a, b)
    folds = len(a) // seeds
    if not margin > 0 or folds < 2:
        raise ValueError(f"expected a margin above 0 and two or more folds a seed, received {margin!r} and {len(a)}")
    if not variance >= 0 or intervals.negligible(np.sqrt(variance), a, b):
        return Posterior(np.nan, np.nan, np.nan, margin, len(a))
    mean = float(np.mean(a - b))

    def chances(of_seeds):
        n = folds * of_seeds
        scale = np.sqrt((1 / n + 1 / (folds - 1)) * variance)
        below, upto = stats.t.cdf((np.array([-margin, margin]) - mean) / scale, n - 1)
        return float(1 - upto), float(upto - below), float(below)

    settled = (more for more in range(MOST_SEEDS) if max(chances(seeds + more)) >= CONFIDENCE)
    return Posterior(*chances(seeds), margin, len(a), next(settled, None))


@dataclass(frozen=True)
class Equivalence:
    """Two one-sided tests of a mean difference against a margin, over n pairs of folds.

    p is the larger of the two, nan without any variation. ``low`` and ``high`` are the 90 % interval of the mean
    difference, which lies within the margin exactly where p is below 0.05.
    """

    p: Number
    difference: Number
    low: Number
    high: Number
    margin: Number
    df: int
    n: int


def equivalence(a: Sequence[float], b: Sequence[float], margin: float) -> Equivalence:
    """Test by two one-sided paired t-tests that two models differ by less than a margin.

    Schuirmann (J. Pharmacokinet. Biopharm. 1987, 15:657). Assumes, like the paired t-test, that the
    differences of the folds are independent: they are not, and p comes out too small. ``margin`` is in the
    units of the scores. `ValueError` if it is not above 0, the numbers of scores differ, or there are fewer than two.
    """
    a, b, _ = _paired(a, b)
    if not margin > 0 or len(a) < 2:
        raise ValueError(f"expected a margin above 0 and two or more folds, received {margin!r} and {len(a)}")
    differences, df = a - b, len(a) - 1
    mean, error = float(differences.mean()), float(stats.sem(differences))
    if intervals.negligible(error, a, b):
        return Equivalence(np.nan, mean, np.nan, np.nan, margin, df, len(a))
    p = float(max(stats.t.sf((mean + margin) / error, df), stats.t.cdf((mean - margin) / error, df)))
    half_width = float(stats.t.ppf(1 - ALPHA, df)) * error
    return Equivalence(p, mean, mean - half_width, mean + half_width, margin, df, len(a))


def power_of_paired_t(difference: float, deviation: float, k: int) -> float:
    """Chance that a two-sided paired t-test over k folds finds a true mean difference at the level of 5 %.

    ``deviation`` is the standard deviation of the differences from fold to fold, above 0 and in the units of
    ``difference``; k is 2 or more. From the noncentral t distribution (Cohen 1988, section 2.5).
    """
    if not deviation > 0 or k < 2:
        raise ValueError(f"expected a deviation above 0 and k >= 2, received {deviation!r} and {k}")
    shift, df = abs(difference) / deviation * np.sqrt(k), k - 1
    limit = stats.t.ppf(1 - ALPHA / 2, df)
    return float(stats.nct.sf(limit, df, shift) + stats.nct.cdf(-limit, df, shift))


def detectable_difference(deviation: float, k: int) -> float:
    """Compute the smallest true difference that a paired t-test over k folds finds with a chance of POWER."""

    def missing(times):
        return power_of_paired_t(times * deviation, deviation, k) - POWER

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
    order = np.argsort(p, kind="stable")  # with nan at its end
    hypotheses = np.count_nonzero(~np.isnan(p)) - np.arange(len(p))  # not yet decided at each rank
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(np.minimum(1.0, hypotheses * p[order]))
    return adjusted.tolist()


def probability_false(right_a: int, right_b: int, n: int) -> tuple[float, float]:
    """Bound the probability that model A is no better than B, from how many of the same n images each classifies right.

    Christodoulou et al. 2025 (arXiv:2505.04720): the shares of images that A alone, B alone, both and neither classify
    correctly have a uniform Dirichlet prior. With x images that A alone gets right and y that B alone does, the
    probability that A's accuracy is not above B's is that a Beta(x + 1, y + 1) variable is at most 1/2, whatever the
    other images. How many both get right (the congruence) is not printed, and fixes x and y, whose difference is known.
    The lower bound is of models that agree as much as their accuracies allow, the upper one of models whose errors are
    independent; errors that avoid each other would give more, and are not to be expected of models of the same images.
    It assumes independent images, so that duplicates among them make the claim look safer than it is.
    """
    bounds = []
    for both in (min(right_a, right_b), right_a * right_b / n):
        bounds.append(float(stats.beta.cdf(0.5, right_a - both + 1, right_b - both + 1)))
    return min(bounds), max(bounds)
