"""Two models on the same images or folds: which differs, whether they are equal, what could be seen.

Tests on images (`mcnemar`, `delong_test`) ask about two trained models; tests over folds ask about
two ways of training. statsmodels does the arithmetic where it has the method.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats as distributions

from brainlib.stats import CONFIDENCE

ALPHA = 0.05


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
    p: float
    difference: float
    low: float
    high: float
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
    return PairedTest(
        "DeLong, paired", p, difference, difference - reach, difference + reach, m + n, assumes
    )
