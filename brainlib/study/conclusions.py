"""A paper's conclusions judged on what was trained: differences on the same images, or over the same folds."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from brainlib.papers import conclusions
from brainlib.papers.conclusions import Comparison, Found, JudgedConclusion
from brainlib.stats import intervals
from brainlib.study import conditions
from brainlib.study.results import Results

NOT_COMPARABLE = "not comparable"
_TIMES = ("training_seconds", "training_loss", "loss")  # scores that are no shares


def judge(results: Results) -> tuple[JudgedConclusion, ...]:
    """Judge every conclusion of a paper on this run; one of which only a part was run is not decided.

    Under conditions that keep numbers from being compared with the paper's it is not comparable, and the first reason
    is what it would come to.
    """
    return results.once(
        "conclusions", lambda: tuple(_judged(each, results) for each in results.study.paper.conclusions)
    )


def _judged(conclusion, results):
    study = results.study
    found = conclusions.judge(study.paper, conclusion, lambda comparison: _found(comparison, results))
    known = vars(found)
    if found.verdict == conclusions.NO_NUMBER:
        return found
    distinct = all(score.metric.name == "distinct" for score in conclusion.scores)
    against = conditions.of_images(study) if distinct else study.conditions(*(term.arm for term in conclusion.of))
    if against:
        here = f"here it {found.verdict}" if found.verdict != conclusions.OPEN else "here it is not decided"
        known = known | {"verdict": NOT_COMPARABLE, "reasons": (here, *found.reasons, *against)}
    return JudgedConclusion(**known)


def _found(comparison: Comparison, results: Results) -> Found | None:
    """Return the 95 % interval of a number, a difference or a ratio; None where a model was not run."""
    study, places = results.study, [each for each in (comparison.first, comparison.second) if each]
    if any(each.arm not in study.arms or each.scenario not in study.scenarios for each in places):
        return None
    metric = comparison.first.metric
    if metric.name == "distinct":
        sizes = Counter(study.groups.values())
        share = sum(size == 1 for size in sizes.values()) / len(study.groups)
        return Found(share, share, f"{share:.1%} of {len(study.groups)} images have no duplicate in the set")
    numbers = [results.estimate(p.arm, p.stage, metric, p.scenario, p.phase) for p in places]
    values = [each.value for each in numbers]
    words = conclusions.words_of(study.paper, comparison, *(_text(metric, value) for value in values))
    if len(places) == 1:
        return _with_limits(numbers[0].low, numbers[0].high, words, metric)
    if comparison.kind == "ratio":
        return _ratio(places, results, values, words)
    low, high = _difference(places, results, values)
    return _with_limits(low, high, words, metric, "difference ")


def _text(metric, value):
    return f"{value:.4g}" if metric.name in _TIMES else f"{100 * value:.2f} %"


def _with_limits(low, high, words, metric, of=""):
    if math.isnan(low):
        return Found(low, high, f"{words}, without an interval")
    return Found(low, high, f"{words} ({of}{_text(metric, low)} to {_text(metric, high)})" if low < high else words)


def _difference(places, results, values):
    """Return the interval of first minus second: by a bootstrap over groups of the same images, or Student's, by fold.

    Means over the epochs of one model have none: their difference is taken as it is.
    """
    first, second = places
    if first.metric.over == "epochs":
        return values[0] - values[1], values[0] - values[1]
    if first.stage == "folds":
        a, b = (_by_fold(place, results) for place in places)
        found = intervals.mean_interval(np.subtract(a, b))
        return found.low, found.high
    metric, scenario = first.metric, first.scenario
    tables = [results.predictions(p.arm, p.stage, p.scenario, p.phase).set_index("path") for p in places]
    tables[1] = tables[1].loc[tables[0].index]  # the same images in the same order
    decided = [results.decided(t.reset_index(), scenario, metric.label, metric.average) for t in tables]

    def difference(counts):
        a, b = (each.values(metric.name, counts) for each in decided)
        return a - b

    found = intervals.bootstrap_interval(difference, decided[0].groups, seed=results.study.options.seed)
    if math.isnan(found.low) and np.array_equal(decided[0].predicted, decided[1].predicted):
        return 0.0, 0.0  # the same predictions
    return found.low, found.high


def _ratio(places, results, values, words):
    """Return the interval of first to second: over the folds, of the mean logarithm; else the ratio as it is."""
    if places[0].stage == "folds":
        a, b = (np.log(_by_fold(place, results)) for place in places)
        found = intervals.mean_interval(a - b)
        return Found(math.exp(found.low), math.exp(found.high), f"{words} (ratio {math.exp((a - b).mean()):.3g})")
    ratio = values[0] / values[1] if values[1] else math.nan
    return Found(ratio, ratio, f"{words} (ratio {ratio:.3g}, of one run)")


def _by_fold(place, results):
    if place.metric.name == "training_seconds":
        return [results.trial(place.arm, fold, place.scenario).facts["seconds"]["training"] for fold in results.folds]
    return [results.estimate(place.arm, f, place.metric.name, place.scenario, place.phase).value for f in results.folds]
