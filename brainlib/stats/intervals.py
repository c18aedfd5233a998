"""Intervals: how far a number from a few hundred images can be trusted.

Every function is pure and names its method, so that a table can print it. Images of one group (duplicates, or images of
one patient) rise and fall together, so intervals of images take their groups; docs/statistics.md has their measured
coverage. Where a method would return an interval of no width (an area of exactly 1, resamples that all agree), it uses
another published method or returns nan limits: "no variation was seen" is not "there is no uncertainty".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import nan
from typing import Annotated

import numpy as np
from pydantic import AllowInfNan, BeforeValidator
from scipy import optimize, special, stats

CONFIDENCE = 0.95  # of every interval
UPPER = (1 + CONFIDENCE) / 2  # the quantile at its upper end
Z = float(special.ndtri(UPPER))  # 1.96 standard errors
N_RESAMPLES = 2000
# A choice: below this share of defined resamples, what remains describes lucky resamples only.
MIN_DEFINED = 0.5
# A choice, as Agresti and Coull's two successes and two failures: before any image is seen, the images of a group are
# taken to be all right or all wrong together, with the weight of two groups.
PRIOR_GROUPS = 2
_CELLS = 2_000_000  # numbers of a block of resamples, which bounds the memory

#: A float of a record: what is not defined is nan here and null in JSON.
Number = Annotated[float, AllowInfNan(True), BeforeValidator(lambda value: nan if value is None else value)]


@dataclass(frozen=True)
class Interval:
    """Limits in the units of the estimated value (nan where none can be given), and the method.

    Where two images or more are of one group, `naive` is the interval that takes all images as independent, and
    `design_effect` how many times the variance of such images the variance is (Kish 1965).
    """

    low: Number
    high: Number
    method: str
    naive: Interval | None = None
    design_effect: Number = nan


def wilson_interval(k: float, n: float) -> Interval:
    """Score interval in [0, 1] of a proportion k / n (Wilson 1927; Newcombe 1998, method 3); nan for n = 0.

    The n trials are taken as independent; see `proportion_interval` for images of which some are duplicates.
    `ValueError` for a k outside 0 to n.
    """
    method = "Wilson 95 %"
    if not 0 <= k <= n:
        raise ValueError(f"expected 0 <= k <= n, received k={k}, n={n}")
    if n == 0:
        return Interval(np.nan, np.nan, f"{method}: no image to count")
    share, z2 = k / n, Z**2
    centre, half = share + z2 / (2 * n), np.sqrt(z2 * (share * (1 - share) + z2 / (4 * n)) / n)
    low, high = ((centre + np.array([-half, half])) / (1 + z2 / n)).tolist()
    return Interval(0.0 if k == 0 else low, 1.0 if k == n else high, method)


def numbered(groups: np.ndarray | None, n: int) -> tuple[np.ndarray, bool]:
    """Return the groups of n images numbered from 0, int (n,), and whether no two images are of one group.

    Without ``groups`` each image is one of its own.
    """
    of = np.arange(n) if groups is None else np.unique(groups, return_inverse=True)[1]
    return of, len(np.unique(of)) == n


def effective_size(groups: np.ndarray) -> float:
    """Count the images that would be as informative as these if the images of each group, (n,), had one outcome.

    n divided by the size of an image's group, averaged over the images (Kish, Survey Sampling, 1965, chapter 5).
    """
    sizes = np.unique(groups, return_counts=True)[1]
    return float(len(groups) ** 2 / (sizes**2).sum())


def design_effect(values: np.ndarray, groups: np.ndarray) -> float:
    """Factor of the variance of a mean of (n,) values that is due to their groups, (n,): 1 where all are single.

    1 + rho (b - 1), with b the size of an image's group averaged over the images, and rho the correlation within
    groups: the moment estimator, between 0 and 1, with `PRIOR_GROUPS` groups of correlation 1 added. So values that
    all agree, which tell nothing of rho, have the effect of groups in which all images agree.
    """
    of = np.unique(groups, return_inverse=True)[1]
    rest, size = values - np.mean(values), len(of) / effective_size(of)
    squares, prior = float(rest @ rest), PRIOR_GROUPS * size
    shared = float((np.bincount(of, rest) ** 2).sum()) - squares
    correlation = np.clip((shared + prior) / ((size - 1) * squares + prior), 0, 1)
    return float(1 + correlation * (size - 1))


def proportion_interval(right: np.ndarray, groups: np.ndarray) -> Interval:
    """Interval in [0, 1] of the share of (n,) images that are right; nan for n = 0.

    Wilson's of the effective number of images, n divided by the `design_effect` of the groups (Rao and Scott,
    Biometrics 1992, 48:577): Wilson's of n where no two images are of one group.
    """
    k, n = int(np.sum(right)), len(right)
    naive = wilson_interval(k, n)
    count = len(np.unique(groups))
    if count == n:
        return naive
    effect = design_effect(np.asarray(right, dtype=float), groups)
    effective = wilson_interval(k / effect, n / effect)
    method = f"{naive.method} of {n / effect:.0f} effective images ({n} in {count} groups)"
    return Interval(effective.low, effective.high, method, naive, effect)


def placements(is_positive: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Share of the other class that each positive (m,) and each negative (n - m,) image is ranked on the right side of.

    Ties count as one half. Computed from midranks, as in Sun and Xu (IEEE Signal Process. Lett. 2014, 21:1389), of
    (n,) arrays in which both classes have images. The mean of either is the area under the ROC curve.
    """
    is_positive, score = np.asarray(is_positive, dtype=bool), np.asarray(score, dtype=float)
    positive, negative = score[is_positive], score[~is_positive]
    m, n = len(positive), len(negative)
    ranks = stats.rankdata(np.concatenate([positive, negative]))
    return (ranks[:m] - stats.rankdata(positive)) / n, 1 - (ranks[m:] - stats.rankdata(negative)) / m


def area_variance(is_positive: np.ndarray, placed: tuple[np.ndarray, np.ndarray], groups: np.ndarray) -> float:
    """Variance of an area under the ROC curve, or of a difference of two, from its `placements` or their differences.

    Obuchowski (Biometrics 1997, 53:567), for images of which some are of one group, (n,); the variance of DeLong,
    DeLong and Clarke-Pearson (Biometrics 1988, 44:837) where all are single. nan where a class has a single group.
    """
    of = np.unique(groups, return_inverse=True)[1]
    count, sums, variance = int(of.max()) + 1, [], 0.0
    for values, own in zip(placed, (of[is_positive], of[~is_positive]), strict=True):
        sums.append(np.bincount(own, values - values.mean(), count) / len(values))
        classes = len(np.unique(own))
        variance += classes / (classes - 1) * (sums[-1] ** 2).sum() if classes > 1 else nan
    return float(variance + 2 * count / max(count - 1, 1) * (sums[0] @ sums[1]))


def auc_interval(is_positive: np.ndarray, score: np.ndarray, groups: np.ndarray | None = None) -> Interval:
    """Interval of the area under the ROC curve, in [0, 1]; nan when a class is absent.

    Of (n,) arrays; a higher score means more likely positive; without ``groups`` all images are independent. The
    variance is `area_variance`'s, the interval symmetric on the logit scale (Pepe 2003, section 5.2.4), with Student's
    t of one degree of freedom fewer than the rarer class has effective images. The variance is zero when the two
    classes are perfectly separated or every score is the same, and unknown with a single group of a class; then the
    score-type interval of Newcombe (Stat. Med. 2006, 25:559, method 5), of the effective numbers of images, is given
    instead.
    """
    truth = np.asarray(is_positive, dtype=bool)
    groups, single = numbered(groups, len(truth))
    if truth.all() or not truth.any():
        return Interval(nan, nan, "AUC 95 %: one class is absent")
    placed = placements(truth, score)
    area, variance = float(placed[0].mean()), area_variance(truth, placed, groups)
    effective = [effective_size(groups[each]) for each in (truth, ~truth)]
    if variance > 0 and 0 < area < 1:
        t, logit = stats.t.ppf(UPPER, max(min(effective) - 1, 1)), np.log(area / (1 - area))
        half_width = t * np.sqrt(variance) / (area * (1 - area))
        low, high = special.expit([logit - half_width, logit + half_width]).tolist()
        interval = Interval(low, high, f"{'DeLong' if single else 'Obuchowski'} 95 %, on the logit scale")
    else:
        method = "Newcombe 2006, method 5, 95 % (the variance is zero or unknown here)"
        interval = Interval(_newcombe_lower(area, *effective), 1 - _newcombe_lower(1 - area, *effective), method)
    if single:
        return interval
    independent = area_variance(truth, placed, np.arange(len(truth)))
    effect = variance / independent if independent > 0 else nan
    return replace(interval, naive=auc_interval(truth, score), design_effect=effect)


def _newcombe_lower(area: float, m: float, n: float) -> float:
    """Lower root of (theta - area)^2 = z^2 V(theta); V is symmetric, so 1 - area gives the upper.

    V(theta) = theta (1-theta) (1 + N (1-theta)/(2-theta) + N theta/(1+theta)) / (m n),
    N = (m + n) / 2 - 1: Hanley and McNeil's variance with Newcombe's common sample size.
    """
    if area == 0:
        return 0.0
    common = (m + n) / 2 - 1

    def excess(theta: float) -> float:
        spread = 1 + common * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        return area - theta - Z * np.sqrt(theta * (1 - theta) * spread / (m * n))

    # theta = 1 is a second root when the area is 1: stay just below it.
    return float(optimize.brentq(excess, 0.0, min(area, 1 - 1e-12)))


def bootstrap_interval(
    statistic: Callable[[np.ndarray], np.ndarray],
    groups: np.ndarray,
    seed: int = 0,
    strata: np.ndarray | None = None,
) -> Interval:
    """Percentile bootstrap (Efron 1979) that draws duplicate groups, never single images.

    The images of a group rise and fall together, so drawing them one by one would count the same evidence
    several times (the cluster bootstrap of Davison and Hinkley 1997, section 3.8).

    The statistic takes how often each row is drawn in some resamples, an (r, n) array, and returns (r,) values; nan
    where undefined. ``groups``, (n,), are drawn within each of the ``strata``, (n,) (folds), as many as it has; a group
    in two strata counts as two. The same seed gives the same interval.

    Undefined resamples are left out and counted in ``method``. The limits are nan, for the reason in ``method``, when
    every stratum has a single group, fewer than half of the resamples are defined, or all of them agree.
    """
    method = f"group bootstrap 95 %, {N_RESAMPLES} resamples"
    names, group = np.unique(groups, return_inverse=True)
    stratum = 0 * group if strata is None else np.unique(strata, return_inverse=True)[1]
    unique, membership = np.unique(stratum * len(names) + group, return_inverse=True)
    pools = [np.flatnonzero(unique // len(names) == s) for s in np.unique(stratum)]
    if max((len(pool) for pool in pools), default=0) < 2:
        return Interval(np.nan, np.nan, f"{method}: needs at least two groups")
    rng = np.random.default_rng(seed)
    values = np.empty(N_RESAMPLES)
    block = max(1, _CELLS // len(membership))
    for first in range(0, N_RESAMPLES, block):
        drawn = [
            np.bincount(np.concatenate([rng.choice(pool, len(pool)) for pool in pools]), minlength=len(unique))
            for _ in range(min(block, N_RESAMPLES - first))
        ]
        values[first : first + block] = statistic(np.array(drawn, dtype=float)[:, membership])
    defined = values[~np.isnan(values)]
    if len(defined) < N_RESAMPLES:
        method += f", {N_RESAMPLES - len(defined)} undefined left out"
    if len(defined) < MIN_DEFINED * N_RESAMPLES:
        return Interval(np.nan, np.nan, f"{method}: too few to go by")
    if np.ptp(defined) == 0:
        return Interval(np.nan, np.nan, f"{method}: all agree, so that the spread is unknown")
    low, high = np.quantile(defined, [1 - UPPER, UPPER])
    return Interval(float(low), float(high), method)


def mean_of(values: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Return the statistic of `bootstrap_interval` that is the mean of these (n,) values."""
    return lambda counts: counts @ values / counts.sum(axis=-1)


def mean_interval(values: Sequence[float]) -> Interval:
    """Student's t interval of a mean over k folds or seeds, with k - 1 degrees of freedom.

    Three folds give 4.30 standard errors either way at 95 %, not 1.96. The folds share training images, so their
    spread understates that between new data sets. The limits have no range; they are nan for fewer than two values,
    a nan, or equal values.
    """
    values = np.asarray(values, dtype=float)
    k = len(values)
    method = f"t 95 % over {k} values, {max(k - 1, 0)} degrees of freedom"
    if k < 2 or np.isnan(values).any():
        return Interval(np.nan, np.nan, f"{method}: needs two or more defined values")
    error = stats.sem(values)
    if negligible(error, values):
        return Interval(np.nan, np.nan, f"{method}: all agree, so that the spread is unknown")
    half_width = stats.t.ppf(UPPER, k - 1) * error
    return Interval(float(values.mean() - half_width), float(values.mean() + half_width), method)


def difference_interval(
    first: tuple[float, float, float], second: tuple[float, float, float], correlation: float = 0.0
) -> Interval:
    """Interval of a difference of two estimates, each (value, low, high), by variance estimates recovery.

    Zou and Donner (Stat. Med. 2008, 27:1693). Of two Wilson intervals it is Newcombe's for independent proportions
    and, with their correlation, for those of the same images. nan limits leave nan limits.
    """
    (a, a_low, a_high), (b, b_low, b_high) = first, second
    below_a, above_a, below_b, above_b = a - a_low, a_high - a, b - b_low, b_high - b
    down = below_a**2 - 2 * correlation * below_a * above_b + above_b**2
    up = below_b**2 - 2 * correlation * below_b * above_a + above_a**2
    method = "95 % interval recovered from both estimates' own"
    return Interval(float(a - b - np.sqrt(down)), float(a - b + np.sqrt(up)), method)


def negligible(error: float, *values: np.ndarray) -> bool:
    """Say whether a standard error is nothing but rounding of the values behind it."""
    return bool(error <= 1e-12 * max(np.abs(v).max() for v in values))
