"""Whether probabilities are calibrated: of images predicted with 0.9, 90 % are classified correctly.

Guo et al. (ICML 2017) for the calibration error, Brier (Mon. Weather Rev. 1950, 78:1) for the
score; both of the probabilities of all classes of `predictions.decide`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from brainlib.stats import intervals
from brainlib.stats.intervals import Interval, Number
from brainlib.stats.predictions import decide

BINS = 10  # of equal width, from 0 to 1: a choice, as in most reports of a few hundred images


@dataclass(frozen=True)
class Bin:
    """Images of similar confidence: how many, their mean confidence, and their accuracy with Wilson's 95 % interval."""

    images: int
    confidence: float
    accuracy: float
    low: float
    high: float


@dataclass(frozen=True)
class Calibration:
    """How far probabilities are from frequencies, each number with a bootstrap interval over duplicate groups.

    ``error`` is the expected calibration error in [0, 1]: the distance of confidence and accuracy, averaged over the
    bins by their images; that of a perfect model is above 0 with few images. ``brier`` is the mean summed squared
    distance of the probabilities to the truth, 0 at best and 2 at worst; for two classes it is twice the score of the
    positive class. ``curve`` holds the bins with images, by ascending confidence.
    """

    error: Number
    error_interval: Interval
    brier: Number
    brier_interval: Interval
    curve: tuple[Bin, ...]


def calibration(predictions: pd.DataFrame, classes: Sequence[str], seed: int = 0) -> Calibration:
    """Measure the calibration of the most probable class; table and errors as in `predictions.decide`."""
    decisions = decide(predictions, tuple(classes))
    probabilities, truth = decisions.probabilities, decisions.truth
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    distances = ((probabilities - np.eye(len(classes))[truth]) ** 2).sum(axis=1)
    number = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = np.eye(BINS)[number] * (confidence - right)[:, None]

    def error(counts):
        return np.abs(counts @ gaps).sum(axis=-1) / counts.sum(axis=-1)

    groups, curve = decisions.groups, []
    for inside in (number == each for each in np.unique(number)):
        found = intervals.proportion_interval(right[inside], groups[inside])
        means = float(confidence[inside].mean()), float(right[inside].mean())
        curve.append(Bin(int(inside.sum()), *means, found.low, found.high))
    return Calibration(
        float(error(np.ones(len(truth)))),
        intervals.bootstrap_interval(error, groups, seed=seed),
        float(distances.mean()),
        intervals.bootstrap_interval(intervals.mean_of(distances), groups, seed=seed),
        tuple(curve),
    )
