"""From printed and reproduced numbers to verdicts: the rule, and every claim of a paper judged by it."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pydantic import model_validator

from brainlib.errors import PaperError
from brainlib.papers.consistency import check_paper
from brainlib.papers.printed import UNITS, Printed
from brainlib.papers.schema import Claim
from brainlib.stats import comparisons, intervals
from brainlib.stats.estimates import Estimate
from brainlib.stats.intervals import Interval, Number
from brainlib.study import conditions
from brainlib.study.results import Results

REPRODUCED, NOT_REPRODUCED = "reproduced", "not reproduced"
INCONCLUSIVE, NOT_COMPARABLE = "inconclusive", "not comparable"
INCONSISTENT = "inconsistent as printed"
NOT_RUN, NOT_COMPUTED = "not run", "not computed"
# All that a claim can end as; the last two have no reproduced number.
VERDICTS = (REPRODUCED, NOT_REPRODUCED, INCONCLUSIVE, INCONSISTENT, NOT_COMPARABLE, NOT_RUN, NOT_COMPUTED)

# Choices, not findings, in natural units. Two percentage points either way count as the same accuracy, sensitivity,
# AUC, F1 ... In both directions: a much better result is no reproduction either.
MARGIN = 0.02
#: Half a percentage point counts as the same spread of folds. A comparison ("> 0.99") has no margin.
MARGINS = {"sd": 0.005, "variance": 0.005**2, "comparison": 0.0}
#: Of the printed number, where it has no upper end: two points are no margin for a loss of 0.016, nor for seconds.
RELATIVE_MARGIN = 0.25
#: Metrics that do not depend on duplicates in the test set, or that count its images.
UNTOUCHED = ("images", "training_seconds", "training_loss", "count", "errors")
UNBOUNDED = ("loss", "training_loss", "training_seconds", "t_test.t")
COMPARISONS = {">": operator.gt, "<": operator.lt, "≥": operator.ge, "≤": operator.le}


@dataclass(frozen=True)
class Verdict:
    """What became of a claim: one of `VERDICTS`, and why."""

    verdict: str
    reasons: tuple[str, ...]


def verdict(
    printed: Printed,
    reproduced: float | None,
    low: float | None,
    high: float | None,
    margin: float = MARGIN,
    not_comparable: Sequence[str] = (),
    impossible: Sequence[str] = (),
) -> Verdict:
    """Judge a reproduced number against the printed one.

    The rule, the first that applies, with p the printed value and m the margin:

    1. inconsistent as printed: there is any finding in ``impossible``. Nothing can reproduce it.
    2. not comparable: there is any reason in ``not_comparable``.
    3. inconclusive: the reproduced value is missing, or undefined on these images.
    4. A comparison ("p > 0.05"): reproduced if the reproduced value satisfies it, else not reproduced. No margin and
       no interval enter: this is the paper's own rule of decision.
    5. inconclusive: there is no interval.
    6. reproduced: the whole interval lies within p - m to p + m, the ends included.
    7. not reproduced: the whole interval lies outside it, above as well as below.
    8. inconclusive: anything else.

    This is a test of equivalence by interval (as in Schuirmann 1987, with a 95 % interval where his would be 90 %): a
    small study cannot confirm anything by being vague.

    Values, limits and margin are in natural units, as ``printed`` is; the default margin suits proportions only.
    ``not_comparable`` are conditions of the run (phantoms, a subset ...), ``impossible`` findings of
    `papers.consistency` about the printed number. ValueError for a margin below 0 or nan, and for low above high.
    """
    if not margin >= 0:
        raise ValueError(f"expected a margin of 0 or more, received {margin!r}")
    if impossible:
        return Verdict(INCONSISTENT, tuple(impossible))
    if not_comparable:
        return Verdict(NOT_COMPARABLE, tuple(not_comparable))
    if reproduced is None or math.isnan(reproduced):
        return Verdict(INCONCLUSIVE, ("no reproduced value: not computed, or undefined here",))
    claim = _as_printed(printed.value, printed)
    value = _as_printed(reproduced, printed)
    if printed.operator in COMPARISONS:
        holds = COMPARISONS[printed.operator](reproduced, printed.value)
        reason = f"{value} is {'' if holds else 'not '}{printed.operator} {claim}"
        return Verdict(REPRODUCED if holds else NOT_REPRODUCED, (reason,))
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return Verdict(INCONCLUSIVE, (f"{value} has no interval, so its uncertainty is unknown",))
    if low > high:
        raise ValueError(f"expected low <= high, received {low!r} and {high!r}")
    interval = f"the interval {_as_printed(low, printed)} to {_as_printed(high, printed)}"
    ends = [_as_printed(printed.value + step, printed) for step in (-margin, margin)]
    band = f"{ends[0]} to {ends[1]}, the margin around {claim}"
    # The rounding of decimal fractions must not decide, so the ends have a tolerance.
    tolerance = 1e-9 * max(1.0, abs(printed.value))
    above, below = high - printed.value, printed.value - low
    if max(above, below) <= margin + tolerance:
        return Verdict(REPRODUCED, (f"{interval} lies within {band}",))
    if max(-above, -below) > margin + tolerance:
        return Verdict(NOT_REPRODUCED, (f"{interval} lies wholly outside {band}",))
    needed = abs(margin - abs(reproduced - printed.value))
    reason = f"{interval}, {_as_printed(high - low, printed)} wide, extends past an end of {band}"
    if needed <= tolerance:
        return Verdict(INCONCLUSIVE, (f"{reason}; no amount of data decides a value at the very end",))
    # An interval shrinks with the square root of the data behind it.
    more = (max(high - reproduced, reproduced - low) / needed) ** 2
    needs = f"it would have to keep within {_as_printed(needed, printed)} of {value}"
    return Verdict(INCONCLUSIVE, (f"{reason}; {needs}, which takes about {more:.2g} times the data",))


def _as_printed(value: float, printed: Printed) -> str:
    """Write a number in natural units in the printed unit."""
    return f"{value / printed.scale:.4g}{' %' if printed.scale == UNITS['%'] else ''}"


class JudgedClaim(Claim):
    """A printed number and what became of it.

    `printed_interval` is the sampling error of a printed accuracy: Wilson's 95 % interval from the images that it is
    of, None where the paper does not give their number. `reproduced` is None where it was not run or not computed, and
    may lie `margin` from the printed number, in natural units. `naive_verdict` is what the interval that takes all
    images as independent would say, None where no two are of one group. `by_seed` has the reproduced number for each
    seed, this one first, and `mean_over_seeds` their mean with its t interval. `without_duplicates` is the same number
    without the test images that have a duplicate in training; None where duplicates do not matter. `collapsed` is the
    class that the model predicts for every image, None if it predicts several.
    """

    printed_interval: Interval | None
    reproduced: Estimate | None = None
    margin: float | None = None
    verdict: Literal[VERDICTS]
    reasons: tuple[str, ...]
    by_seed: tuple[Number, ...] = ()
    mean_over_seeds: Estimate | None = None
    naive_verdict: Literal[VERDICTS] | None = None
    without_duplicates: Estimate | None = None
    verdict_without_duplicates: Literal[VERDICTS] | None = None
    collapsed: str | None = None

    @model_validator(mode="after")
    def _is_a_number(self) -> JudgedClaim:
        try:
            return self if self.metric is None or self.number else self
        except PaperError as error:  # of a file that was changed by hand
            raise ValueError(str(error)) from None


def judge(results: Results) -> tuple[JudgedClaim, ...]:
    """Judge every claim of a paper.

    Other seeds and the study with duplicates kept apart are reported, and decide no verdict.
    """
    paper = results.study.paper
    checks = check_paper(paper)
    return results.once("verdicts", lambda: tuple(_judged(claim, results, checks) for claim in paper.claims))


def _judged(claim, results, checks):
    impossible = tuple(each.sentence for each in checks if claim.id in each.suspect)
    known = {"printed_interval": _printed_interval(claim)}
    arms = (claim.arm,) if claim.arm else claim.arms
    if claim.metric is None:
        judged = Verdict(NOT_COMPUTED, (claim.why_not,))
    elif left_out := results.study.why_not_run(arms, claim.scenario):
        judged = Verdict(INCONSISTENT, impossible) if impossible else Verdict(NOT_RUN, left_out)
    else:
        estimate, notes = _reproduce(claim, results)
        judged = _verdict(claim, estimate, notes, impossible)
        if claim.arms:
            judged = Verdict(judged.verdict, (*judged.reasons, _other_tests(claim, results)))
        if estimate.naive:
            naive = replace(estimate, low=estimate.naive.low, high=estimate.naive.high)
            known["naive_verdict"] = _verdict(claim, naive, notes, impossible).verdict
        seeds = tuple(_reproduce(claim, each)[0].value for each in (results, *results.repeats))
        known |= {"reproduced": estimate, "margin": margin_of(claim, estimate.n), "by_seed": seeds}
        if claim.arm and claim.stage:
            place = claim.arm, claim.stage, claim.scenario or "", claim.phase or ""
            known["collapsed"] = results.collapsed(*place)
        if len(seeds) > 1:
            mean, interval = sum(seeds) / len(seeds), intervals.mean_interval(seeds)
            known["mean_over_seeds"] = Estimate.of(mean, len(seeds), interval)
        if claim.metric.name not in UNTOUCHED and claim.metric.over != "epochs":
            without, notes = _reproduce(claim, results.without_duplicates)
            again = _verdict(claim, without, notes, impossible)
            known |= {"without_duplicates": without, "verdict_without_duplicates": again.verdict}
    return JudgedClaim(**dict(claim), verdict=judged.verdict, reasons=judged.reasons, **known)


def margin_of(claim: Claim, n: int) -> float:
    """How far the reproduced number of a claim, of n images, may lie from the printed one, in natural units."""
    if claim.metric.name in ("count", "errors"):
        return MARGIN * n  # of so many images of the class
    if claim.metric.name == "images":
        return 0.0
    if claim.metric.name in UNBOUNDED and claim.metric.over != "comparison":
        return RELATIVE_MARGIN * abs(claim.number.value)
    return MARGINS.get(claim.metric.over, MARGIN)


def _printed_interval(claim):
    metric = claim.metric
    share = metric and (metric.name == "accuracy" or (metric.name, metric.average) == ("sensitivity", "weighted"))
    if not (share and claim.n and metric.over == "value"):
        return None
    return intervals.wilson_interval(round(claim.value * claim.n), claim.n)


def _verdict(claim, estimate, notes, impossible):
    limits = (estimate.value, estimate.low, estimate.high)
    return verdict(claim.number, *limits, margin_of(claim, estimate.n), notes, impossible)


def _reproduce(claim, results):
    """Compute the number that a claim prints, and collect the conditions that forbid to compare it."""
    metric, study = claim.metric, results.study
    if metric.name == "images":
        return _count(claim, results), conditions.of_images(study)
    notes = study.conditions(*((claim.arm,) if claim.arm else claim.arms))
    if metric.name.startswith("t_test"):
        test = _test(claim, results, study.paper.protocol.t_test.value)
        value = getattr(test, metric.name.removeprefix("t_test."))
        images = sum(len(results.predictions(claim.arms[0], fold)) for fold in results.folds)
        return Estimate(value, math.nan, math.nan, images, f"{test.name}, no interval"), notes
    if metric.name == "training_seconds":
        notes = (*notes, "a time on another machine than the paper's")
    place = (claim.arm, claim.stage, metric, claim.scenario or "", claim.phase or "")
    return results.estimate(*place), notes


def _test(claim, results, name):
    return comparisons.t_test(name, *(results.fold_values(arm, "accuracy") for arm in claim.arms))


def _other_tests(claim, results):
    """Say by which test a claim was judged, and what the others give."""
    own, what = results.study.paper.protocol.t_test.value, claim.metric.name.removeprefix("t_test.")
    others = [name for name in comparisons.T_TESTS if name != own]
    found = ", ".join(f"{name} {what} = {getattr(_test(claim, results, name), what):.4g}" for name in others)
    return f"judged by the {own} t; {found}"


def _count(claim, results):
    study = results.study
    table = study.dataset.table
    if claim.stage:
        table = results.predictions(study.arms[0], claim.stage, claim.scenario or study.scenarios[0])
    label = claim.metric.label
    count = len(table) if label is None else int((table["label"] == label).sum())
    return Estimate(count, count, count, count, "counted")
