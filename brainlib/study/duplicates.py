"""What is left of a score when copies leave the test set, with the same models and with new ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from brainlib.errors import DataError
from brainlib.papers.schema import Metric
from brainlib.report.table import Table, percent, with_limits
from brainlib.stats import intervals
from brainlib.stats.estimates import Estimate
from brainlib.stats.predictions import decide
from brainlib.study.results import Results, WithoutDuplicates

FOLDS = "mean accuracy of the folds"
SCORES = ("accuracy", "sensitivity", "specificity", "auc")  # of two classes; else the accuracy


@dataclass(frozen=True)
class DuplicateEffect:
    """One score of one arm on the images held out.

    Attributes
    ----------
    arm, scenario, score : str
    published : Estimate
        On all the images that the protocol holds out.
    clean : Estimate
        The same model, without the images that have a copy in its training part.
    copies : Estimate
        The same model, on these copies alone.
    difference, low, high : float
        Clean minus published, with its 95 % interval: a bootstrap over groups of copies of the same
        images, so that both scores rise and fall together.
    retrained : Estimate or None
        Trained again with copies kept together, and judged on its own held-out images: whole groups of
        copies, which its interval draws (but for the folds' mean, and where every image is right).
    """

    arm: str
    scenario: str
    score: str
    published: Estimate
    clean: Estimate
    copies: Estimate
    difference: float
    low: float
    high: float
    retrained: Estimate | None


@lru_cache(maxsize=64)  # a notebook shows them and stores them
def duplicate_effects(
    results: Results, retrained: Results | None = None, scenario: str = ""
) -> tuple[DuplicateEffect, ...]:
    """Every arm's scores as published and clean.

    Parameters
    ----------
    results : Results
    retrained : Results, optional
        Of the study's `Study.clean`.
    scenario : str
    """
    two = results.study.paper.scenario(scenario).positive is not None
    return tuple(
        _clean_score(results, retrained, arm, scenario, score)
        for arm in results.study.arms
        for score in (SCORES if two else SCORES[:1])
    ) + tuple(_fold_score(results, retrained, arm, scenario) for arm in results.study.arms if results.folds)


def _clean_score(results, retrained, arm, scenario, score):
    classes = results.study.paper.scenario(scenario)
    every = results.predictions(arm, "test", scenario)
    clean = WithoutDuplicates(results)
    left = every["path"].isin(clean.predictions(arm, "test", scenario)["path"]).to_numpy()
    decisions = decide(every, classes.classes, classes.positive, results.threshold)

    def change(counts):
        return decisions.values(score, counts * left) - decisions.values(score, counts)

    seed = results.study.options.seed
    interval = intervals.bootstrap_interval(change, decisions.groups, seed=seed)
    return DuplicateEffect(
        arm,
        scenario,
        score,
        results.estimate(arm, "test", score, scenario),
        clean.estimate(arm, "test", score, scenario),
        _of_copies(results, arm, scenario, score, every[~left]),
        float(change(np.ones(len(every)))),
        interval.low,
        interval.high,
        retrained and _retrained(retrained, arm, scenario, score),
    )


def _retrained(retrained, arm, scenario, score):
    """A score whose interval draws groups: they are held out whole, and copies are no new evidence."""
    table = retrained.predictions(arm, "test", scenario)
    found = retrained.score(score, table, scenario, grouped=True)
    if math.isnan(found.low):  # every image is right, or there is no score: resamples all agree
        return retrained.score(score, table, scenario)
    return found


def _fold_score(results, retrained, arm, scenario):
    """The mean accuracy of the folds; the interval of the difference is Student's, paired by fold."""
    clean, mean = WithoutDuplicates(results), Metric(name="accuracy", over="mean")
    folds = [
        [each.estimate(arm, fold, "accuracy", scenario).value for fold in results.folds] for each in (clean, results)
    ]
    change = np.subtract(*folds)
    interval = intervals.mean_interval(change)
    left_out = [
        len(results.predictions(arm, fold, scenario)) - len(clean.predictions(arm, fold, scenario))
        for fold in results.folds
    ]
    return DuplicateEffect(
        arm,
        scenario,
        FOLDS,
        results.estimate(arm, "folds", mean, scenario),
        clean.estimate(arm, "folds", mean, scenario),
        Estimate(math.nan, math.nan, math.nan, sum(left_out), "not judged by themselves"),
        float(change.mean()),
        interval.low,
        interval.high,
        retrained and retrained.estimate(arm, "folds", mean, scenario),
    )


def _of_copies(results, arm, scenario, score, table):
    try:
        return results.score(score, table, scenario)
    except DataError:  # no copy at all
        return Estimate(math.nan, math.nan, math.nan, 0, "no image")


def duplicates_table(results: Results, retrained: Results | None = None, scenarios: Sequence[str] = ("",)) -> Table:
    """Scores as published, without copies, and retrained, for readers."""
    rows, removed = [], set()
    for scenario in scenarios:
        for each in duplicate_effects(results, retrained, scenario):
            if each.score == "accuracy":
                removed.add(f"{each.copies.n} of {each.published.n}")
            printed = (
                results.printed(each.arm, "folds", Metric(name="accuracy", over="mean"), scenario)
                if each.score == FOLDS
                else results.printed(each.arm, "test", each.score, scenario)
            )
            row = {
                "arm": results.study.title(each.arm, scenario),
                "score": each.score,
                "printed": percent(printed.value) if printed else "–",
                "as published": _shown(each.published),
                "clean": _shown(each.clean),
                "difference in points (95 %)": _points(each.difference, each.low, each.high),
                "on the copies": _shown(each.copies),
            }
            if retrained is not None:
                row["retrained, copies together"] = _shown(each.retrained)
            rows.append(row)
    caption = (
        f"Images held out that have a copy in training: {'; '.join(sorted(removed))}. Clean: the same "
        "model without them; the difference is paired. "
    )
    caption += (
        "Retrained: the same protocol with copies kept together, judged on the images that it holds out; "
        "intervals: a bootstrap over groups of copies."
        if retrained is not None
        else "With --retrain the models are also trained again with copies kept together."
    )
    return Table(pd.DataFrame(rows), caption)


def _shown(estimate):
    if math.isnan(estimate.value):
        return "–"
    return f"{with_limits(estimate.value, estimate.low, estimate.high)} of {estimate.n}"


def _points(value, low, high):
    if math.isnan(value):
        return "–"
    limits = "" if math.isnan(low) else f" ({100 * low:+.2f} to {100 * high:+.2f})"
    return f"{100 * value:+.2f}{limits}"
