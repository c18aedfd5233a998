"""The multiverse of an arm: its printed numbers under other readings of the paper (Steegen et al. 2016).

A *universe* is one set of trainings: the protocol as it is assumed here, then that with one alternative in place of one
assumed value, then random sets of alternatives. A *reading* of a universe scores the same predictions in another way
(best epoch, another threshold, the model of a fold, an average over the classes) and needs no training. This is own
code: the package `multiversum` runs notebooks by a runner of its own, `specification-curve` fits regressions only.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, get_args

import numpy as np

from brainlib.errors import UsageError
from brainlib.papers.conclusions import HOLDS, comparisons_of
from brainlib.papers.provenance import in_words, key_of, settings_of
from brainlib.papers.schema import Metric, OfOneClass
from brainlib.stats import comparisons, intervals
from brainlib.stats.comparisons import ALPHA, T_TESTS
from brainlib.stats.intervals import Number
from brainlib.stats.metrics import METRICS
from brainlib.study.results import Results, run_together
from brainlib.study.verdicts import COMPARISONS, UNTOUCHED, margin_of

if TYPE_CHECKING:
    from brainlib.study.study import Study

#: Settings that choose among stored predictions, where the same trials have them.
READINGS = ("protocol.epoch", "protocol.threshold", "protocol.final")
AVERAGE, AVERAGES = "average over the classes", ("macro", "weighted")  # in place of the one class of a printed score
T_TEST, NO_DIFFERENCE = "t-test", "no significant difference"
DRAWS = 1000  # resamples of universes
_TRIES = 200  # draws in a row that repeat what there is, before a design counts as exhausted

Choices = dict[str, object]  # values in place of those assumed, by setting


@dataclass(frozen=True)
class Specification:
    """A score in one reading of one universe; `choices` are what differs from the assumed protocol, in words."""

    universe: int
    choices: dict[str, str]
    reading: bool
    value: Number
    reached: bool


@dataclass(frozen=True)
class Reached:
    """In how many universes, and in how many readings of them, a printed number is reached or a conclusion holds.

    A number is reached where the score lies within the margin that its verdict allows. What is no score (not `scores`)
    is a p, or nan. `low`, `median` and `high` are of the universes; `deviation` is the standard deviation over the
    seeds of the assumed protocol, nan of one seed.
    """

    claim: str
    printed: str
    scores: bool
    universes: int
    n: int
    readings: int
    m: int
    low: Number
    median: Number
    high: Number
    deviation: Number


@dataclass(frozen=True)
class Effect:
    """What an alternative adds to a score, other choices being equal, with its 95 % interval; n specifications have it.

    Least squares of all specifications on their choices; the interval is a bootstrap over universes.
    """

    setting: str
    alternative: str
    effect: Number
    low: Number
    high: Number
    n: int


@dataclass(frozen=True)
class Multiverse:
    """What the universes of an arm say: of every printed score, and of the first one on the test images by choice."""

    arm: str
    title: str
    alternatives: dict[str, tuple[str, ...]]
    universes: int
    reached: tuple[Reached, ...]
    claim: str
    printed: Number
    margin: Number
    effects: tuple[Effect, ...]
    curve: tuple[Specification, ...]


def alternatives(study: Study, arm: str) -> tuple[dict[str, tuple], dict[str, tuple]]:
    """Return the alternatives to what is assumed of the protocol and an arm: those to train, and readings.

    Left out are other data sets and backbones, words, and what gives the same trials as the assumed value.
    """
    found, own, keys = ({}, {}), study.paper.arms[arm].like or arm, _keys(study)
    for path, setting in settings_of(study.paper):
        if path[0] != "protocol" and path[:2] != ("arms", own) or path[-1] == "backbone":
            continue
        for value in setting.alternatives:
            try:
                same = _keys(study.varied(key_of(path), value)) == keys
            except UsageError:  # words, or a value that this study cannot have
                continue
            if not same or key_of(path) in READINGS:
                found[same].setdefault(key_of(path), []).append(value)
    return tuple({key: tuple(values) for key, values in each.items()} for each in found)


def _keys(study):
    return frozenset(trial.key for trial in study.trials())


def _changed(study, choices: Choices):
    for setting, value in choices.items():
        study = study.varied(setting, value)
    return study


def design(study: Study, alternatives: dict[str, tuple], n: int, seed: int = 0) -> list[Choices]:
    """Choose at most n universes whose trials differ: no change, one change at a time, then random ones.

    A random universe has the assumed value of a setting or one of its alternatives, all with the same probability. What
    gives up the stored activations of frozen layers is tried alone: such a training takes twenty times as long.
    """
    rng, found, repeated = np.random.default_rng(seed), {}, 0
    changes = [{key: value} for key, values in alternatives.items() for value in values]
    single = iter([{}, *changes])
    alone = {key for change in changes if _reuses(study) and not _reuses(_changed(study, change)) for key in change}
    combined = {key: values for key, values in alternatives.items() if key not in alone}
    while len(found) < n and repeated < _TRIES:
        universe = next(single, None)
        if universe is None:
            picks = {key: rng.integers(len(values) + 1) for key, values in combined.items()}
            universe = {key: combined[key][pick - 1] for key, pick in picks.items() if pick}
        try:
            keys = _keys(_changed(study, universe))
        except UsageError:  # values that do not go together
            keys = next(iter(found))
        repeated = 0 if found.setdefault(keys, universe) is universe else repeated + 1
    return list(found.values())


def _reuses(study):
    """Tell whether all trainings see the same images in each epoch, through layers that stay as they are."""
    phases = [phase for arm in study.arms for phase in study.phases(arm)]
    return all(phase.trainable == "head" and not phase.augmentation for phase in phases)


def run_multiverse(results: Results, arm: str, n: int, seed: int = 0) -> Multiverse:
    """Train n universes of an arm, as far as they are not stored, and sum up what they say.

    Other arms are those of `results`, or else as printed. `UsageError` for an arm that was not run.
    """
    study = results.study
    if study.why_not_run([arm]):
        raise UsageError(f"expected an arm of {', '.join(study.arms)}, received {arm!r}")
    options = study.options.model_copy(update={"arms": [arm], "seeds": 1})
    study = study._with(options=options, _given=study.dataset)  # its duplicates are searched for once
    trained, read = alternatives(study, arm)
    universes = design(study, trained, n, seed)
    studies = [_changed(study, universe) for universe in universes]
    ready = run_together([(each, [replace(trial, keep_model=False) for trial in each.trials()]) for each in studies])
    picks, scored = list(itertools.product(*([None, *values] for values in read.values()))), []
    for number, (universe, own) in enumerate(zip(universes, ready, strict=True)):
        for picked in picks:
            chosen = {key: value for key, value in zip(read, picked, strict=True) if value is not None}
            choices = {key: in_words(value) for key, value in {**universe, **chosen}.items()}
            scored.append((number, choices, bool(chosen), Results(_changed(own.study, chosen), own.trials)))
    return _summary(results, arm, trained | read, scored, len(universes))


def of_arm(results: Results, arm: str) -> Multiverse | None:
    """Return the multiverse of an arm, if the options ask for it and the arm was run and has a printed score."""
    n = results.study.options.multiverse
    if not n or results.study.why_not_run([arm]) or not _claims(results.study, arm):
        return None
    return results.once(("multiverse", arm), lambda: run_multiverse(results, arm, n, results.study.options.seed))


def _summary(results, arm, asked, scored, universes):
    paper, claims = results.study.paper, _claims(results.study, arm)
    curves = {claim.id: _curve(claim, scored) for claim in claims}
    reached = [_reached(claim.id, claim.printed, True, curves[claim.id], _by_seed(results, claim)) for claim in claims]
    for claim in paper.claims:
        if arm in claim.arms and claim.metric and claim.metric.name == "t_test.p":
            reached.append(_reached(claim.id, NO_DIFFERENCE, False, _t_tests(claim, arm, scored, results), []))
    for conclusion in paper.conclusions:
        of_scores = all(score.metric.name in METRICS for score in conclusion.scores)
        if arm in [term.arm for term in conclusion.of] and of_scores and conclusion.kind != "ratio":
            curve = _concluded(conclusion, arm, scored, results)
            reached.append(_reached(conclusion.id, conclusion.quote, False, curve, []))
    first = next((claim for claim in claims if claim.stage == "test"), claims[0])
    curve = curves[first.id]
    return Multiverse(
        arm=arm,
        title=results.study.title(arm),
        alternatives={key: tuple(map(in_words, values)) for key, values in asked.items()},
        universes=universes,
        reached=tuple(each for each in reached if each.n),
        claim=first.id,
        printed=first.number.value,
        margin=margin_of(first, 0),
        effects=tuple(effects(curve)),
        curve=tuple(curve),
    )


def _claims(study, arm):
    """Return the printed scores of an arm; one that is printed in several places comes once."""
    found = {}
    for claim in study.paper.claims:
        metric, scenario = claim.metric, claim.scenario or ""
        scores = claim.arm == arm and metric and metric.over in ("value", "mean", "comparison")
        if scores and metric.name not in (*UNTOUCHED, "loss") and scenario in study.scenarios:
            found.setdefault((claim.stage, metric, scenario, claim.phase, claim.number.value), claim)
    return list(found.values())


def _by_seed(results, claim):
    place = claim.arm, claim.stage, claim.metric, claim.scenario or "", claim.phase or ""
    return [each.estimate(*place).value for each in (results, *results.repeats)]


def _curve(claim, scored):
    """Score every reading of every universe; a score that is not defined there has no specification."""
    metric, found, place = claim.metric, [], (claim.arm, claim.stage, claim.scenario or "", claim.phase or "")
    averages = AVERAGES if metric.name in get_args(OfOneClass) and not metric.average else ()
    for number, choices, reading, results in scored:
        for average in (None, *averages):
            asked = metric.model_copy(update={"average": average, "label": None}) if average else metric
            value = _value(results, asked, *place)
            if not math.isnan(value):
                own = choices | ({AVERAGE: average} if average else {})
                found.append(Specification(number, own, reading or bool(average), value, _is_reached(claim, value)))
    return found


def _value(results, metric, arm, stage, scenario, phase):
    """Compute a score without its interval, which no specification needs; nan where it is not defined.

    So it is of a fold's model tested after its best epoch, of which there are no predictions of the test images.
    """

    def decide(stage):
        try:
            table = results.predictions(arm, stage, scenario, phase)
        except UsageError:
            return None
        return results.decided(table, scenario, metric.label or "", metric.average)

    values = []
    for each in results.stages(stage):
        place = ("decided", arm, each, scenario, phase, metric.label, metric.average)
        if (decided := results.once(place, partial(decide, each))) is None:
            return math.nan
        values.append(decided.value(metric.name))
    return float(np.mean(values))


def _of_other(results, metric, arm, stage, scenario, phase):
    """Return a score of another arm: as it was run, or else as printed."""
    if not results.study.why_not_run([arm], scenario or None):
        return _value(results, metric, arm, stage, scenario, phase)
    printed = results.printed(arm, stage, metric, scenario, phase)
    return printed.value if printed else math.nan


def _concluded(conclusion, arm, scored, results):
    """Judge a conclusion in every reading of every universe, on the scores without their intervals."""
    found, asked = [], list(comparisons_of(results.study.paper, conclusion))

    def score(own, place):
        of = (place.metric, place.arm, place.stage, place.scenario, place.phase)
        return _value(own, *of) if place.arm == arm else _of_other(results, *of)

    for number, choices, reading, own in scored:
        pairs = [[score(own, place) for place in (each.first, each.second) if place] for each in asked]
        values = [pair[0] - sum(pair[1:]) for pair in pairs]
        if not any(map(math.isnan, values)):
            holds = all(each.verdict(v, v) == HOLDS for each, v in zip(asked, values, strict=True))
            found.append(Specification(number, choices, reading, math.nan, holds))
    return found


def _is_reached(claim, value):
    number = claim.number
    if compare := COMPARISONS.get(number.operator):
        return bool(compare(value, number.value))
    return abs(value - number.value) <= margin_of(claim, 0) + 1e-9


def _t_tests(claim, arm, scored, results):
    """Test the folds of every universe and reading against those of the other arm, by each t-test."""
    (other,) = (each for each in claim.arms if each != arm)
    accuracy = Metric(name="accuracy")
    fixed = [_of_other(results, accuracy, other, fold, "", "") for fold in results.folds]
    found, usual = [], results.study.paper.protocol.t_test
    for number, choices, reading, own in scored:
        pair = {arm: [_value(own, accuracy, arm, fold, "", "") for fold in own.folds], other: fixed}
        for name in T_TESTS:
            p = comparisons.t_test(name, *(pair[each] for each in claim.arms)).p
            changed = usual is not None and name != usual.value
            if not math.isnan(p):
                more = {T_TEST: name} if changed else {}
                found.append(Specification(number, choices | more, reading or changed, p, p >= ALPHA))
    return found


def _reached(claim, printed, scores, curve, by_seed):
    values = [each.value for each in curve if not each.reading] or [math.nan]
    own = [each.reached for each in curve if not each.reading]
    deviation = float(np.std(by_seed, ddof=1)) if len(by_seed) > 1 else math.nan
    counts = sum(own), len(own), sum(each.reached for each in curve), len(curve)
    return Reached(claim, printed, scores, *counts, min(values), float(np.median(values)), max(values), deviation)


def effects(curve: list[Specification], seed: int = 0) -> list[Effect]:
    """Estimate what each alternative adds to a score, the largest effect first; nan, at the end, if not identified."""
    names = sorted({choice for each in curve for choice in each.choices.items()})
    if not names:
        return []
    has = np.array([[each.choices.get(key) == value for key, value in names] for each in curve], dtype=float)
    has, values = np.column_stack([np.ones(len(curve)), has]), np.array([each.value for each in curve])
    universe = np.array([each.universe for each in curve])

    def fitted(times):
        products = (has * times[:, None]).T @ has
        inverse = np.linalg.pinv(products, rcond=1e-10, hermitian=True)
        # Two alternatives that always come together have no effect of their own.
        apart = np.isclose(np.diag(inverse @ products), 1)
        return np.where(apart, inverse @ (has.T @ (times * values)), math.nan)[1:]

    rng, n = np.random.default_rng(seed), int(universe.max()) + 1
    found = fitted(np.ones(len(curve)))
    drawn = (np.bincount(rng.integers(n, size=n), minlength=n) for _ in range(DRAWS))
    draws = np.array([fitted(times[universe].astype(float)) for times in drawn])
    limits = [_limits(column[~np.isnan(column)]) for column in draws.T]
    made = [
        Effect(*name, float(effect), *limit, int(has[:, 1 + i].sum()))
        for i, (name, effect, limit) in enumerate(zip(names, found, limits, strict=True))
    ]
    # Effects that are the same but for the last digits, which depend on the processor, keep the order of their names.
    return sorted(made, key=lambda each: (math.isnan(each.effect), -round(abs(each.effect), 9)))


def _limits(draws):
    """Return the 95 % limits of resampled effects; nan of too few, or where all agree."""
    few = len(draws) < intervals.MIN_DEFINED * DRAWS or np.ptp(draws) < 1e-12
    return (math.nan,) * 2 if few else np.quantile(draws, [1 - intervals.UPPER, intervals.UPPER]).tolist()
