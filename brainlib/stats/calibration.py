"""Whether a model's probabilities mean what they log: of images called with 0.9, 90 % are right.

Guo et al. (ICML 2017) for the calibration error, Brier (Mon. Weather Rev. 1950, 78:1) for the
score; both of the probabilities of all classes of `metrics.decide`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from brainlib.stats import intervals
from brainlib.stats.intervals import Interval
from brainlib.stats.metrics import decide

BINS = 10  # of equal width, from 0 to 1: a choice, as in most reports of a few hundred images


@dataclass(frozen=True)
class Calibration:
    """How far probabilities are from frequencies.

    Attributes
    ----------
    error : float
        Expected calibration error: mean distance of confidence and accuracy over the bins, weighted
        by their images; 0 to 1.
    error_interval : Interval
        Bootstrap over groups of copies. The error of a perfect model is above 0 with few images.
    brier : float
        Mean over the images of the summed squared distance of the probabilities to the truth: 0 at
        best, 2 at worst; for two classes twice the score of the positive class.
    brier_interval : Interval
    curve : DataFrame
        One row a bin that holds images: images, confidence, accuracy, low, high (Wilson).
    """

    error: float
    error_interval: Interval
    brier: float
    brier_interval: Interval
    curve: pd.DataFrame


def calibration(predictions: pd.DataFrame, classes: Sequence[str], bins: int = BINS, seed: int = 0) -> Calibration:
    """Measure the calibration of the most probable class.

    Parameters
    ----------
    predictions : DataFrame
        Of one part; see `metrics.decide`.
    classes : sequence of str
    bins : int
    seed : int
        Of the bootstrap.

    Raises
    ------
    DataError
        Predictions that cannot be scored; see `metrics.decide`.
    """
    decisions = decide(predictions, tuple(classes))
    probabilities, truth = decisions.probabilities, decisions.truth
    confidence, called = probabilities.max(axis=1), probabilities.argmax(axis=1)
    right = called == truth
    one_hot = np.eye(len(classes))[truth]
    distances = ((probabilities - one_hot) ** 2).sum(axis=1)
    number = np.minimum((confidence * bins).astype(int), bins - 1)

    def error(rows):
        return _error(confidence[rows], right[rows], number[rows], bins)

    groups = predictions["group"].to_numpy()
    every = np.arange(len(predictions))
    return Calibration(
        error(every),
        intervals.bootstrap_interval(error, groups, seed=seed),
        float(distances.mean()),
        intervals.bootstrap_interval(lambda rows: float(distances[rows].mean()), groups, seed=seed),
        _curve(confidence, right, number),
    )


def _error(confidence, right, number, bins):
    images = np.bincount(number, minlength=bins)
    gaps = np.bincount(number, weights=confidence - right, minlength=bins)
    return float(np.abs(gaps).sum() / images.sum())


def _curve(confidence, right, number):
    rows = []
    for each in np.unique(number):
        inside = number == each
        k, n = int(right[inside].sum()), int(inside.sum())
        interval = intervals.wilson_interval(k, n)
        rows.append(
            {
                "images": n,
                "confidence": float(confidence[inside].mean()),
                "accuracy": k / n,
                "low": interval.low,
                "high": interval.high,
            }
        )
    return pd.DataFrame(rows)
