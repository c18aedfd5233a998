"""A verdict for every printed number: a table for readers, JSON for programs."""

from __future__ import annotations

import math
import operator
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import pandas as pd

from brainlib.papers.consistency import check_paper
from brainlib.papers.consistency.checks import Check
from brainlib.papers.printed import UNITS, Printed
from brainlib.papers.schema import Claim
from brainlib.report.table import Table, percent
from brainlib.stats import comparisons, intervals
from brainlib.stats.estimates import Estimate
from brainlib.study.controls import Control
from brainlib.study.results import Results, WithoutDuplicates, metric_name
from brainlib.study.saliency import HeatMapScore

REPRODUCED, NOT_REPRODUCED = "reproduced", "not reproduced"
INCONCLUSIVE, NOT_COMPARABLE = "inconclusive", "not comparable"
INCONSISTENT = "inconsistent as printed"
NOT_RUN, NOT_COMPUTED = "not run", "not computed"
#: All that a claim can end as; the last two have no reproduced number.
VERDICTS = (REPRODUCED, NOT_REPRODUCED, INCONCLUSIVE, INCONSISTENT, NOT_COMPARABLE, NOT_RUN, NOT_COMPUTED)

# A choice, not a finding: two percentage points either way count as the same accuracy,
# sensitivity, F1 ... In both directions: a much better result is no reproduction either.
MARGIN = 0.02
#: How far a reproduced number may lie from the printed one, in natural units; choices, not
#: findings. A spread of folds within half a percentage point counts as the same spread.
MARGINS = {
    "value": MARGIN,
    "mean": MARGIN,
    "epochs": MARGIN,
    "sd": 0.005,
    "variance": 0.005**2,
    "comparison": 0.0,
}
MOST_SEEDS = 5  # with a column of their own
#: Metrics that copies in the test set do not touch, or that count its images.
UNTOUCHED = ("images", "training_seconds", "training_loss", "count", "errors")
_COMPARISONS = {">": operator.gt, "<": operator.lt, "≥": operator.ge, "≤": operator.le}


@dataclass(frozen=True)
class Verdict:
    """What became of a claim.

    Attributes
    ----------
    verdict : str
        One of `VERDICTS`.
    reasons : tuple of str
    """

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
    4. A comparison ("p > 0.05"): reproduced if the reproduced value satisfies it, else not
       reproduced. No margin and no interval enter: this is the paper's own rule of decision.
    5. inconclusive: there is no interval.
    6. reproduced: the whole interval lies within p - m to p + m, the ends included.
    7. not reproduced: the whole interval lies outside it, above as well as below.
    8. inconclusive: anything else.

    This is a test of equivalence by interval (as in Schuirmann 1987, with a 95 % interval where
    his would be 90 %): a small study cannot confirm anything by being vague.

    Parameters
    ----------
    reproduced, low, high : float or None
        The reproduced value and its 95 % interval, in natural units, as ``printed`` is.
    margin : float
        m, in natural units, the same in both directions. The default suits proportions only.
    not_comparable : sequence of str
        Conditions of the run that forbid a comparison: phantoms, random weights, a subset ...
    impossible : sequence of str
        Why no number can be printed so; see `brainlib.papers.consistency.checks`.

    Raises
    ------
    ValueError
        A margin below 0 or nan, or low above high.
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
    if printed.operator in _COMPARISONS:
        holds = _COMPARISONS[printed.operator](reproduced, printed.value)
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
    """A number in natural units, as the paper's reader sees it."""
    return f"{value / printed.scale:.4g}{' %' if printed.scale == UNITS['%'] else ''}"


class Verdicts:
    """The claims of a paper, each with what was reproduced and what follows.

    Parameters
    ----------
    results : Results
    repeats : sequence of Results
        The same study by other seeds; they inform, and decide no verdict.
    retrained : Results, optional
        The same study with copies kept together; likewise.
    """

    def __init__(self, results: Results, repeats: Sequence[Results] = (), retrained: Results | None = None):
        self.results, self.study = results, results.study
        self.without_copies = WithoutDuplicates(results)
        self.repeats = [Verdicts(other) for other in repeats]
        self.retrained = retrained

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()

    @cached_property
    def checks(self) -> list[Check]:
        """What the printed numbers say by themselves; see `consistency.check_paper`."""
        return list(check_paper(self.study.paper))

    @cached_property
    def claims(self) -> list[tuple[Claim, Estimate | None, Verdict]]:
        """Every claim with what was reproduced and the verdict."""
        return [(claim, *self._judge(claim)) for claim in self.study.paper.claims]

    def _judge(self, claim):
        if claim.metric is None:
            return None, Verdict(NOT_COMPUTED, (claim.why_not,))
        impossible = [check.sentence for check in self.checks if claim.id in check.suspect]
        left_out = self.study.why_not_run(_arms(claim), claim.scenario)
        if left_out:
            return None, Verdict(INCONSISTENT, tuple(impossible)) if impossible else Verdict(NOT_RUN, (left_out,))
        return self._judged(claim, self.results, impossible)

    def _judged(self, claim, results, impossible):
        printed = claim.number
        estimate, notes = self._reproduce(claim, results)
        margin = self.margin(claim, estimate)
        return estimate, verdict(printed, estimate.value, estimate.low, estimate.high, margin, notes, impossible)

    @cached_property
    def clean(self) -> dict[str, tuple[Estimate, Verdict]]:
        """Claims judged without the images that have a copy in training, by their ids.

        Scores and what follows from them; counts of images are other counts then, and times the same.
        """
        impossible = {c.id: v.reasons for c, _, v in self.claims if v.verdict == INCONSISTENT}
        return {
            claim.id: self._judged(claim, self.without_copies, impossible.get(claim.id, ()))
            for claim, estimate, _ in self.claims
            if estimate and claim.metric.name not in UNTOUCHED and claim.metric.over != "epochs"
        }

    @staticmethod
    def margin(claim: Claim, estimate: Estimate | None) -> float | None:
        """How far the reproduced number may lie from the printed one; None where none was reproduced."""
        if estimate is None:
            return None
        if claim.metric.name in ("count", "errors"):
            return MARGINS["value"] * estimate.n  # of so many images of the class
        return 0.0 if claim.metric.name == "images" else MARGINS[claim.metric.over]

    def _reproduce(self, claim, results):
        metric, study = claim.metric, self.study
        if metric.name == "images":
            return self._count(claim), study.data_conditions()
        notes = study.conditions(*_arms(claim))
        if metric.name.startswith("t_test"):
            # Of the tests that the paper may have run, the unpaired one comes nearest to its T.
            a, b = (results.fold_values(arm, "accuracy") for arm in claim.arms)
            test = comparisons.unpaired_t(a, b)
            value = test.t if metric.name == "t_test.t" else test.p
            tables = [results.predictions(claim.arms[0], f) for f in results.folds]
            count = sum(map(len, tables))
            return Estimate(value, math.nan, math.nan, count, f"{test.name}, no interval"), notes
        if metric.name == "training_seconds":
            notes = (*notes, "a time on another machine than the paper's")
        place = (claim.arm, claim.stage, metric, claim.scenario or "", claim.phase or "")
        return results.estimate(*place), notes

    def _count(self, claim):
        study = self.study
        if claim.stage:
            scenario = claim.scenario or study.scenarios[0]
            table = self.results.predictions(study.arms[0], claim.stage, scenario)
        else:
            table = study.dataset.table
        label = claim.metric.label
        count = len(table) if label is None else int((table["label"] == label).sum())
        return Estimate(count, count, count, count, "counted")

    def conditions_table(self) -> Table:
        """What keeps this run from being held against the paper; numbered for the verdicts."""
        notes = self.study.conditions()
        rows = [{"number": n, "condition": note} for n, note in enumerate(notes, start=1)]
        caption = (
            "Conditions under which a number is not comparable with the printed one."
            if rows
            else "Nothing keeps these numbers from being held against the printed ones."
        )
        return Table(pd.DataFrame(rows, columns=["number", "condition"]), caption)

    def table(self) -> Table:
        """Claim, printed, reproduced with its interval, verdict and reason.

        A number that the paper prints in several places has one row. Conditions are named by
        their numbers in `conditions_table`.
        """
        numbers = {note: n for n, note in enumerate(self.study.conditions(), start=1)}
        merged: dict[tuple, dict] = {}
        for claim, estimate, verdict in self.claims:
            if estimate is None and verdict.verdict != INCONSISTENT:
                continue
            printed = claim.number
            key = (
                claim.metric,
                claim.arm,
                claim.arms,
                claim.stage,
                claim.scenario,
                claim.phase,
                printed.value,
                claim.unit,
            )
            if key in merged:
                merged[key]["where"] += f"; {claim.where}"
                continue
            merged[key] = {
                "claim": claim_name(claim),
                "where": claim.where,
                "printed": claim.printed,
                "its own 95 %": _own(claim, printed),
                "reproduced": _shown(estimate, printed, claim.unit) if estimate else NOT_RUN,
                "n": (estimate and estimate.n) or "",
                "verdict": verdict.verdict,
                "without copies": self._without_copies(claim, printed),
                "reason": _with_numbers(verdict, numbers),
            }
        left = Counter(verdict.verdict for _, estimate, verdict in self.claims if estimate is None)
        caption = (
            f"{len(merged)} printed numbers that follow from predictions; {left[NOT_COMPUTED]} more "
            "are settings or layers of the protocol or figures of others, and have no prediction to "
            "follow from."
        )
        caption += " Without copies: the same models, without the images that have a copy in training."
        if left[NOT_RUN]:
            caption += f" {left[NOT_RUN]} were not run: {', '.join(self.study.not_run())}."
        return Table(pd.DataFrame(merged.values()), caption)

    def _without_copies(self, claim, printed):
        """Of a table's row: the number without copies, of how many images, and the verdict on it."""
        if claim.id not in self.clean:
            return "–"
        estimate, verdict = self.clean[claim.id]
        return f"{_shown(estimate, printed, claim.unit)}, n = {estimate.n}: {verdict.verdict}"

    def repeated(self, claim: Claim) -> list[float]:
        """What was reproduced of a claim by each seed, this one first; [] if nothing was."""
        every = [{c.id: e for c, e, _ in one.claims}.get(claim.id) for one in (self, *self.repeats)]
        return [estimate.value for estimate in every] if all(every) else []

    def seeds_table(self) -> Table:
        """Each number by each seed: its mean, spread and range, and whether the printed one is inside.

        Of a number that the paper prints in several places, the first.
        """
        seeds = [one.study.options.seed for one in (self, *self.repeats)]
        if len(seeds) == 1:
            caption = f"One seed was run ({seeds[0]}); --seeds 5 repeats splits and initialisation."
            return Table(pd.DataFrame(), caption)
        rows = {}
        for claim in self.study.paper.claims:
            values = self.repeated(claim) if claim.metric and claim.metric.name != "images" else []
            name = claim.metric and claim_name(claim)
            if not values or name in rows or not np.isfinite(values).all():
                continue
            printed = claim.number
            shown = partial(_number, printed=printed, unit=claim.unit)

            low, high = min(values), max(values)
            inside = low - printed.tolerance <= printed.value <= high + printed.tolerance
            exact = printed.operator in "=≈"
            rows[name] = {
                "claim": name,
                "printed": claim.printed,
                **(
                    dict(zip(map("seed {}".format, seeds), map(shown, values), strict=True))
                    if len(seeds) <= MOST_SEEDS
                    else {}
                ),
                "mean (95 %)": _mean_over_seeds(values, shown),
                "standard deviation": shown(float(np.std(values, ddof=1))),
                "range": f"{shown(low)} to {shown(high)}",
                "printed inside": ("yes" if inside else "no") if exact else "–",
            }
        caption = (
            f"{len(seeds)} seeds, each with its own split, initial weights and order of the images. The "
            "spread over seeds, and the t interval of their mean, are not the sampling error: all of them "
            "share one set of images."
        )
        return Table(pd.DataFrame(rows.values()), caption)

    def save(self, controls: Sequence[Control] = (), heat_maps: Sequence[HeatMapScore] = ()) -> None:
        """Write ``results/PAPER.json`` in the output folder, for the report to merge.

        Parameters
        ----------
        controls : sequence of Control
            What `controls.run_controls` found.
        heat_maps : sequence of HeatMapScore
            What `camscores.measure` found.

        Raises
        ------
        StoreError
            When it cannot be written.
        """
        repeats = [one.results for one in self.repeats]
        from brainlib.study.recording import claim_as_dict, write

        written = [
            claim_as_dict(*row, self.margin(row[0], row[1]), self.repeated(row[0]), self.clean.get(row[0].id))
            for row in self.claims
        ]
        write(self.results, repeats, self.retrained, written, self.checks, controls, heat_maps)


def _arms(claim):
    return (claim.arm,) if claim.arm else claim.arms


def claim_name(claim: Claim) -> str:
    """What tables call a claim: scenario, arm, phase and stage, and the score."""
    arms = " against ".join(claim.arms) or claim.arm
    place = " – ".join(filter(None, [claim.scenario, arms, claim.phase, claim.stage]))
    return f"{place}: {metric_name(claim.metric)}" if place else metric_name(claim.metric)


def _number(value, printed, unit):
    """A reproduced number in the unit of the printed one."""
    if value is None or math.isnan(value):
        return "–"
    return percent(value) if unit == "%" else f"{value / printed.scale:.4g}"


def _shown(estimate, printed, unit):
    one = partial(_number, printed=printed, unit=unit)
    if math.isnan(estimate.low) or estimate.low == estimate.high:
        return one(estimate.value)
    low, high = (one(limit).removesuffix("\N{NO-BREAK SPACE}%") for limit in (estimate.low, estimate.high))
    return f"{one(estimate.value)} ({low} to {high})"


def _mean_over_seeds(values, shown):
    interval = intervals.mean_interval(values)
    mean = shown(float(np.mean(values)))
    return mean if math.isnan(interval.low) else f"{mean} ({shown(interval.low)} to {shown(interval.high)})"


def _own(claim, printed):
    from brainlib.study.recording import printed_interval

    interval = printed_interval(claim)
    if interval is None:
        return "–"
    return " to ".join(f"{limit / printed.scale:.4g}" for limit in (interval.low, interval.high))


def _with_numbers(verdict, numbers):
    known = [str(numbers[note]) for note in verdict.reasons if note in numbers]
    other = [note for note in verdict.reasons if note not in numbers]
    word = "conditions" if len(known) > 1 else "condition"
    return "; ".join(([f"{word} {', '.join(known)}"] if known else []) + other)
