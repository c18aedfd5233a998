"""Reproduced numbers with their 95 % intervals, from stored predictions of one fold or several."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from brainlib.errors import UsageError
from brainlib.stats import intervals
from brainlib.stats.intervals import Number
from brainlib.stats.predictions import Decisions, decide


@dataclass(frozen=True)
class Estimate:
    """A reproduced number with its 95 % interval, in natural units; nan where undefined.

    ``n`` counts the images behind it: the denominator of a proportion, else all images scored. ``method`` is that of
    the interval, with anything that a reader must know of it.
    """

    value: Number
    low: Number
    high: Number
    n: int
    method: str


def estimate(metric: str, decisions: Decisions, seed: int = 0, grouped: bool = False) -> Estimate:
    """Estimate one score of one part of a predictions table, with the interval that fits it; errors as in its `value`.

    Wilson's for a proportion and DeLong's for the AUC of one class, both of which take the images
    as independent, unless `grouped`; else the group bootstrap, of a seed: for F1, the loss and the averages over
    classes. A perfect score has nan limits there, since its resamples all agree. So has a score that is undefined.
    """
    value, n = decisions.value(metric), len(decisions.truth)
    if metric in decisions.proportions:
        k, n = decisions.count(metric)
    if metric in decisions.proportions and not grouped:
        interval = intervals.wilson_interval(k, n)
    elif metric == "auc" and decisions.positive is not None and not grouped:
        c = decisions.positive
        interval = intervals.delong_interval(decisions.truth == c, decisions.probabilities[:, c])
    else:
        interval = intervals.bootstrap_interval(partial(decisions.values, metric), decisions.groups, seed=seed)
    return Estimate(value, interval.low, interval.high, n, interval.method)


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
        Group of each image (duplicates, or images of one patient), which the interval then resamples whole.
    seed : int
        Of the bootstrap.
    """
    classes, n = tuple(probabilities.columns), len(probabilities)
    table = probabilities.add_prefix("p_").assign(path=np.arange(n), label=list(labels), part="test")
    table["group"] = np.arange(n) if groups is None else list(groups)
    return estimate(metric, decide(table, classes, positive, threshold, average), seed, grouped=groups is not None)


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
