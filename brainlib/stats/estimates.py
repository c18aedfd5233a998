"""Reproduced numbers with their 95 % intervals, from stored predictions of one fold or several."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd

from brainlib.errors import UsageError
from brainlib.stats import intervals
from brainlib.stats.intervals import Interval, Number
from brainlib.stats.predictions import Decisions, decide


@dataclass(frozen=True)
class Estimate:
    """A reproduced number with its 95 % interval, in natural units; nan where undefined.

    ``n`` counts the images behind it: the denominator of a proportion, else all images scored. ``method`` is that of
    the interval, with anything that a reader must know of it; ``naive`` and ``design_effect`` are those of `Interval`.
    """

    value: Number
    low: Number
    high: Number
    n: int
    method: str
    naive: Interval | None = None
    design_effect: Number = math.nan

    @classmethod
    def of(cls, value: float, n: int, interval: Interval) -> Estimate:
        """Return a number of n images with its interval."""
        return cls(value, interval.low, interval.high, n, interval.method, interval.naive, interval.design_effect)


def estimate(metric: str, decisions: Decisions, seed: int = 0) -> Estimate:
    """Estimate one score of one part of a predictions table, with the interval that fits it; errors as in its `value`.

    `intervals.proportion_interval` for a proportion and, by F1 = 2 J / (1 + J) with J = TP / (TP + FP + FN) (Hand,
    Christen and Kirielle, Mach. Learn. 2021, 110:451), for F1 of a class; `intervals.auc_interval` for the AUC of one
    class; else the group bootstrap, of a seed: for the loss and the averages over classes. A perfect average, whose
    resamples all agree, has the interval of the accuracy. A score that is undefined has nan limits.
    """
    value, n = decisions.value(metric), len(decisions.truth)
    if metric in decisions.proportions:
        right, groups = decisions.outcomes(metric)
        return Estimate.of(value, len(right), intervals.proportion_interval(right, groups))
    if math.isnan(value):
        return Estimate(value, math.nan, math.nan, n, f"{metric}: not defined by these images")
    if decisions.positive is not None and metric == "f1":
        return Estimate.of(value, n, _of_f1(intervals.proportion_interval(*decisions.outcomes("f1"))))
    if decisions.positive is not None and metric == "auc":
        c = decisions.positive
        of_class = decisions.probabilities[:, c]
        return Estimate.of(value, n, intervals.auc_interval(decisions.truth == c, of_class, decisions.groups))
    if value == 1:
        interval = intervals.proportion_interval(*decisions.outcomes("accuracy"))
        interval = replace(interval, method=f"that of the accuracy, {interval.method}")
    else:
        interval = intervals.bootstrap_interval(partial(decisions.values, metric), decisions.groups, seed=seed)
    return Estimate.of(value, n, interval)


def _of_f1(interval: Interval) -> Interval:
    """Turn the interval of TP / (TP + FP + FN) into that of F1."""
    low, high = (2 * limit / (1 + limit) for limit in (interval.low, interval.high))
    naive = interval.naive and _of_f1(interval.naive)
    return replace(interval, low=low, high=high, naive=naive, method=f"{interval.method}, of TP / (TP + FP + FN)")


def score(
    labels: Sequence[str],
    probabilities: pd.DataFrame,
    metric: str = "accuracy",
    *,
    positive: str | None = None,
    threshold: float | None = 0.5,
    average: str | None = None,
    groups: Sequence | None = None,
    seed: int = 0,
) -> Estimate:
    """Score the predictions of any model, with a 95 % interval.

    Parameters
    ----------
    labels : sequence of str, n
        True classes.
    probabilities : DataFrame, (n, c)
        One column a class, named by it; each row sums to 1.
    metric : str
        One of `brainlib.stats.metrics.METRICS`.
    positive, threshold, average
        As in `brainlib.stats.predictions.decide`, with its errors.
    groups : sequence, optional
        Group of each image (duplicates, or images of one patient), whose images the interval does not take as
        independent.
    seed : int
        Of the bootstrap.
    """
    classes, n = tuple(probabilities.columns), len(probabilities)
    table = probabilities.add_prefix("p_").assign(path=np.arange(n), label=list(labels), part="test")
    table["group"] = np.arange(n) if groups is None else list(groups)
    return estimate(metric, decide(table, classes, positive, threshold, average), seed)


def fold_estimate(metric: str, over: str, folds: Sequence[Decisions], seed: int = 0) -> Estimate:
    """Estimate the mean, variance or standard deviation of a score over folds, with its interval.

    The mean has a t interval over the k folds, limited to [0, 1] but for the loss, which has no upper
    end. The sample variance and standard deviation (divisor k - 1) have a bootstrap of the groups
    within each fold: it holds the trained models fixed, and since resampling adds spread of its
    own, it leans towards larger values. A score that is undefined in one fold is undefined over all.

    ``over`` is "mean", "variance", "sd", or "value" for the score of the only fold. UsageError for another, for no
    fold, and for more than one with "value"; the others are those of `estimate`.
    """
    if over not in ("value", "mean", "variance", "sd"):
        raise UsageError(f"expected value, mean, variance or sd over folds, received {over!r}")
    if not folds or (over == "value" and len(folds) > 1):
        wanted = "one table" if over == "value" else "one table a fold"
        raise UsageError(f"{metric} ({over}): expected {wanted}, received {len(folds)}")
    if over == "value":
        return estimate(metric, folds[0], seed)
    values = np.array([fold.value(metric) for fold in folds])
    sizes = [len(fold.truth) for fold in folds]
    n = sum(sizes)
    if over == "mean":
        interval = intervals.mean_interval(values)
        limits = (interval.low, interval.high)
        low, high = limits if metric == "loss" else np.clip(limits, 0.0, 1.0).tolist()
        few = f"; {len(folds)} folds give a wide interval" if len(folds) < 5 else ""
        return Estimate(float(values.mean()), low, high, n, interval.method + few)
    if len(folds) < 2:
        return Estimate(math.nan, math.nan, math.nan, n, f"{over}: one fold has none")
    spread = np.var if over == "variance" else np.std
    fold_of = np.repeat(np.arange(len(folds)), sizes)

    def spread_of(counts: np.ndarray) -> np.ndarray:
        resampled = [fold.values(metric, counts[:, fold_of == i]) for i, fold in enumerate(folds)]
        return spread(resampled, axis=0, ddof=1)

    groups = np.concatenate([fold.groups for fold in folds])
    interval = intervals.bootstrap_interval(spread_of, groups, seed=seed, strata=fold_of)
    value, method = float(spread(values, ddof=1)), f"{interval.method}, within each fold"
    return Estimate(value, interval.low, interval.high, n, method)
