"""Whether means, spreads and tests follow from the printed folds, and by which formula.

Each printed fold stands for a range, so each statistic of the folds does: its smallest and largest
value over the folds' ranges.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from scipy import optimize, stats

from brainlib.papers.consistency.checks import CONDITIONAL, CONSISTENT, IMPOSSIBLE, Check, check, exact, overlap
from brainlib.papers.schema import Claim, Metric, Paper
from brainlib.stats.comparisons import T_TESTS, UNPAIRED, t_test

_ALL_CORNERS = 10  # ranges: 1024 corners
_FORMULAS = {
    over: {f"sample {name} (divisor k - 1)": partial(spread, ddof=1), f"population {name} (divisor k)": spread}
    for over, name, spread in (("variance", "variance", np.var), ("sd", "standard deviation", np.std))
}


def folds(paper: Paper) -> dict[tuple[str, Metric], list[Claim]]:
    """Return the printed folds of each arm and metric, in their order."""
    found = defaultdict(list)
    single = [claim for claim in exact(paper) if claim.stage and claim.stage.startswith("fold ")]
    for claim in sorted(single, key=lambda claim: int(claim.stage.split()[1])):
        found[claim.arm, claim.metric].append(claim)
    return {key: row for key, row in found.items() if len(row) > 1}


def means(paper: Paper) -> Iterator[Check]:
    """Whether a printed mean is that of the printed folds."""
    for claim, row in _over(paper, "mean"):
        low, high = np.mean([each.number.rounded for each in row], axis=0)
        _, truncated = np.mean([each.number.either for each in row], axis=0)
        if overlap([(low, high), claim.number.rounded]):
            finding, why = CONSISTENT, ""
        elif overlap([(low, truncated), claim.number.either]):
            finding, why = CONDITIONAL, ": possible only if some are truncated and others rounded"
        else:
            finding, why = IMPOSSIBLE, ": not the same, rounded or truncated"
        sentence = (
            f"{claim.arm}: mean {claim.metric.name} {claim.printed} ({claim.where}); "
            f"the printed folds have {_span(low, high, claim.number.scale)}{why}."
        )
        yield check([claim, *row], "mean of the folds", finding, sentence, 1)


def spreads(paper: Paper) -> Iterator[Check]:
    """Whether a printed variance or standard deviation is that of the printed folds."""
    for over in _FORMULAS:
        for claim, row in _over(paper, over):
            found, fits = _formulas_of(claim, row)
            scale = claim.number.scale
            subject = f"{claim.arm}: {over} of the {claim.metric.name} {claim.printed} ({claim.where})"
            values = ", ".join(f"{name} {_span(*span, scale)}" for name, span in found.items())
            finding, why = IMPOSSIBLE, "no spread of the printed folds"
            if fits:
                finding = CONSISTENT if fits[0] == next(iter(found)) else CONDITIONAL
                why = f"{'possible only as ' if finding == CONDITIONAL else ''}the {' or the '.join(fits)}"
            sentence = f"{subject}: {why}; the printed folds have {values}."
            yield check([claim, *row], f"{over} of the folds", finding, sentence, 1)


def _formulas_of(claim, row):
    """Return the range of a spread of the folds by each formula, and the formulas that give the printed one."""
    ranges = [each.number.rounded for each in row]
    found = {name: _extremes(formula, ranges) for name, formula in _FORMULAS[claim.metric.over].items()}
    return found, [name for name, span in found.items() if overlap([span, claim.number.rounded])]


def t_values(paper: Paper) -> Iterator[Check]:
    """Whether a printed T follows from the printed folds, or from the printed means and spreads, and by which test."""
    for claim, pair in _with_folds(paper, exact(paper, name="t_test.t")):
        of_folds, of_summary, note, summary = _readings(paper, claim, pair, "t")
        fits, others = [], []
        for name, (low, high) in (of_folds | of_summary).items():
            fitting = overlap([(low, high), claim.number.rounded])
            (fits if fitting else others).append(f"the {name} ({_span(low, high, 1)})")
        finding, why = IMPOSSIBLE, f"none of {', '.join(others)}"
        if fits:
            finding = CONSISTENT if any(name in fits[0] for name in of_folds) else CONDITIONAL
            why = f"{'possible only as ' if finding == CONDITIONAL else ''}{' or '.join(fits)}"
            why += f"; not {' or '.join(others)}" if others else ""
        sentence = f"{' against '.join(claim.arms)}: {claim.printed} ({claim.where}): {why}{note}."
        yield check([claim, *pair[0], *pair[1], *summary], "T of the folds", finding, sentence, 1)


def p_values(paper: Paper) -> Iterator[Check]:
    """Whether a printed statement about p holds by each test of the printed folds, or of the means and spreads."""
    claims = [claim for claim in paper.claims if claim.metric and claim.metric.name == "t_test.p"]
    for claim, pair in _with_folds(paper, claims):
        printed = claim.number
        if printed.operator not in "<>":
            continue
        of_folds, of_summary, note, summary = _readings(paper, claim, pair, "p")
        found = of_folds | of_summary
        holds = [(p > printed.value) == (printed.operator == ">") for span in found.values() for p in span]
        finding = CONSISTENT if all(holds) else CONDITIONAL if any(holds) else IMPOSSIBLE
        values = "; ".join(f"{name}: p = {_span(*span, 1)}" for name, span in found.items())
        sentence = f"{' against '.join(claim.arms)}: {claim.printed} ({claim.where}); {values}{note}."
        yield check([claim, *pair[0], *pair[1], *summary], "p of the folds", finding, sentence, 1)


def _readings(paper, claim, pair, value):
    """Compute the range of t or p by each test, of the folds and of the means and spreads.

    With them come a note on the latter, and their claims. Of means and spreads alone a paired t is not known: it
    depends on the correlation of the folds.
    """
    k, ranges = len(pair[0]), [each.number.rounded for each in (*pair[0], *pair[1])]
    of_folds = {}
    for test in T_TESTS:
        df = 2 * k - 2 if test == UNPAIRED else k - 1
        span = _extremes(lambda x, test=test: getattr(t_test(test, x[:k], x[k:]), value), ranges)
        of_folds[f"{test} t of the printed folds, {df} degrees of freedom"] = span
    summary = []
    for over, arm in itertools.product(("mean", "sd"), claim.arms):
        found = exact(paper, over, name="accuracy", arm=arm)
        summary.append(min(found, key=lambda each: each.number.tolerance, default=None))
    if not all(summary):
        return of_folds, {}, "", []
    boxes, df = [each.number.rounded for each in summary], 2 * k - 2
    span = _extremes(partial(_of_summary, k=k, df=df, value=value), boxes)
    name = f"unpaired t of the printed means and standard deviations, {df} degrees of freedom"
    rows = dict(_over(paper, "sd"))
    note = "; a paired t of means and standard deviations would need the correlation of the folds"
    if wrong := [each.printed for each in summary[2:] if each in rows and not _formulas_of(each, rows[each])[1]]:
        note += f", and {' and '.join(wrong)} {'are no' if len(wrong) > 1 else 'is no'} spread of these folds"
    return of_folds, {name: span}, note, summary


def _over(paper, over):
    """Each mean or spread with the folds that it is of."""
    rows = folds(paper)
    for claim in exact(paper, over):
        row = rows.get((claim.arm, claim.metric.model_copy(update={"over": "value"})))
        if row:
            yield claim, row


def _with_folds(paper, claims):
    """Each claim about a test with the accuracies of the folds of both arms, where these are printed."""
    rows = folds(paper)
    for claim in claims:
        pair = [rows.get((arm, Metric(name="accuracy"))) for arm in claim.arms]
        if all(pair) and len(pair[0]) == len(pair[1]):
            yield claim, pair


def _of_summary(values, k, df, value):
    """Compute t or p of two samples of k from their means and standard deviations."""
    mean_a, mean_b, sd_a, sd_b = values
    t = (mean_a - mean_b) / math.sqrt((sd_a**2 + sd_b**2) / k)
    return t if value == "t" else 2 * stats.t.sf(abs(t), df)


def _extremes(function: Callable, ranges: list[tuple[float, float]]) -> tuple[float, float]:
    """Smallest and largest value of a statistic over a box of ranges.

    From each corner and the middle a bounded quasi-Newton search goes down and up: a variance has
    its largest value at a corner, its smallest one within. Of many folds only those corners are tried in which the
    ranges up to some value are at their low ends and the others at their high ends, or the reverse.
    """
    lows, highs = np.array(ranges).T
    width = highs - lows

    def scaled(x, sign):
        return sign * function(lows + np.asarray(x) * width)

    if len(ranges) <= _ALL_CORNERS:
        corners = list(itertools.product((0.0, 1.0), repeat=len(ranges)))
    else:
        up = np.argsort(np.argsort(lows + highs)) >= np.arange(len(ranges) + 1)[:, None]
        corners = [*up.astype(float), *(~up).astype(float)]
    values = [scaled(corner, 1) for corner in corners]
    starts = [np.full(len(ranges), 0.5), corners[int(np.argmin(values))], corners[int(np.argmax(values))]]
    bounds = [(0, 1)] * len(ranges)
    ends = [
        sign * optimize.minimize(scaled, x, args=(sign,), bounds=bounds, method="L-BFGS-B").fun
        for sign, x in itertools.product((1, -1), starts)
    ]
    return min(*ends, *values), max(*ends, *values)


def _span(low, high, scale):
    return f"{low / scale:.4g} to {high / scale:.4g}{' %' if scale == 0.01 else ''}"
