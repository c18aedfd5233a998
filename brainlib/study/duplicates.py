"""How scores change when duplicates of training images leave the test set, and when new models never saw them."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np

from brainlib.errors import DataError
from brainlib.papers.schema import Metric
from brainlib.stats import intervals
from brainlib.stats.estimates import Estimate, estimate
from brainlib.stats.intervals import Number
from brainlib.study.results import Results

FOLDS = "mean accuracy of the folds"
SCORES = ("accuracy", "sensitivity", "specificity", "auc")  # of two classes; else the accuracy


@dataclass(frozen=True)
class DuplicateEffect:
    """One score of one arm on the test images of the protocol: all (`published`), and some of them.

    `without_duplicates` is of the same model, without the images that have a duplicate among its training images, and
    `leaked` of these alone. `difference` is without duplicates minus published; its 95 % interval is a bootstrap over
    duplicate groups of the same images, so that both scores rise and fall together. `retrained` is trained again with
    duplicates kept apart, on its own test images.
    """

    arm: str
    scenario: str
    score: str
    published: Estimate
    without_duplicates: Estimate
    leaked: Estimate
    difference: Number
    low: Number
    high: Number
    retrained: Estimate | None


def duplicate_effects(results: Results, scenario: str = "") -> tuple[DuplicateEffect, ...]:
    """Compute every arm's scores as published, without duplicates and, where that was asked for, retrained."""
    return results.once(("duplicates", scenario), lambda: tuple(_effects(results, scenario)))


def _effects(results, scenario):
    scores = SCORES if results.study.paper.scenario(scenario).positive else SCORES[:1]
    for arm, score in itertools.product(results.study.arms, scores):
        yield _score(results, arm, scenario, score)
    for arm in results.study.arms if results.folds else ():
        yield _fold_score(results, arm, scenario)


def _score(results, arm, scenario, score):
    place, without = (arm, "test", score, scenario), results.without_duplicates
    every, seed = results.predictions(arm, "test", scenario), results.study.options.seed
    left = every["path"].isin(without.predictions(arm, "test", scenario)["path"]).to_numpy()
    decisions = results.decided(every, scenario)

    def change(counts):
        return decisions.values(score, counts * left) - decisions.values(score, counts)

    interval = intervals.bootstrap_interval(change, decisions.groups, seed=seed)
    try:
        leaked = estimate(score, results.decided(every[~left], scenario), seed)
    except DataError:  # no image has leaked
        leaked = Estimate(math.nan, math.nan, math.nan, 0, "no image")
    found = (results.estimate(*place), without.estimate(*place), leaked)
    difference = (float(change(np.ones(len(every)))), interval.low, interval.high)
    retrained = results.retrained and results.retrained.estimate(*place)
    return DuplicateEffect(arm, scenario, score, *found, *difference, retrained)


def _fold_score(results, arm, scenario):
    """Average the accuracy over the folds; the interval of the difference is Student's, paired by fold."""
    place = (arm, "folds", Metric(name="accuracy", over="mean"), scenario)
    both = (results, results.without_duplicates)
    published, without = ([each.estimate(arm, fold, "accuracy", scenario) for fold in results.folds] for each in both)
    change = np.array([a.value - b.value for a, b in zip(without, published, strict=True)])
    interval = intervals.mean_interval(change)
    left_out = sum(a.n - b.n for a, b in zip(published, without, strict=True))
    leaked = Estimate(math.nan, math.nan, math.nan, left_out, "not scored by themselves")
    found = (*(each.estimate(*place) for each in both), leaked)
    difference = (float(change.mean()), interval.low, interval.high)
    retrained = results.retrained and results.retrained.estimate(*place)
    return DuplicateEffect(arm, scenario, FOLDS, *found, *difference, retrained)
