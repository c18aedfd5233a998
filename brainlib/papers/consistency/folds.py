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
from scipy import optimize

from brainlib.papers.consistency.checks import CONDITIONAL, CONSISTENT, IMPOSSIBLE, Check, check, exact, overlap
from brainlib.papers.schema import Claim, Metric, Paper
from brainlib.stats.comparisons import corrected_resampled_t, paired_t, unpaired_t

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
    for over, formulas in _FORMULAS.items():
        for claim, row in _over(paper, over):
            ranges = [each.number.rounded for each in row]
            found = {name: _extremes(formula, ranges) for name, formula in formulas.items()}
            fits = [name for name, span in found.items() if overlap([span, claim.number.rounded])]
            scale = claim.number.scale
            subject = f"{claim.arm}: {over} of the {claim.metric.name} {claim.printed} ({claim.where})"
            values = ", ".join(f"{name} {_span(*span, scale)}" for name, span in found.items())
            if not fits:
                finding, why = IMPOSSIBLE, f"the printed folds have {values}"
            elif fits[0] == next(iter(found)):
                finding, why = CONSISTENT, f"the {fits[0]} of the printed folds"
            else:
                finding, why = CONDITIONAL, f"possible only as the {fits[0]}; the folds have {values}"
            yield check([claim, *row], f"{over} of the folds", finding, f"{subject}: {why}.", 1)


def t_values(paper: Paper) -> Iterator[Check]:
    """Whether a printed T follows from the printed folds, or from the printed means and spreads."""
    for claim, pair in _with_folds(paper, exact(paper, name="t_test.t")):
        from_folds = _t_of_folds(*pair)
        claims = [claim, *pair[0], *pair[1]]
        values = "; ".join(f"{name} {_span(*span, 1)}" for name, span in from_folds.items())
        fits = [name for name, span in from_folds.items() if overlap([span, claim.number.rounded])]
        printed = [_printed_of(paper, arm, over) for over in ("mean", "sd") for arm in claim.arms]
        finding, why = IMPOSSIBLE, f"by no test of the printed folds ({values})"
        if fits:
            finding, why = CONSISTENT, f"the {' or the '.join(fits)}, of the printed folds ({values})"
        elif all(printed):
            claims += printed
            summary = ", ".join(each.printed for each in printed)
            span = _extremes(partial(_t_of_summary, k=len(pair[0])), [each.number.rounded for each in printed])
            if overlap([span, claim.number.rounded]):
                finding = CONDITIONAL
                why += (
                    "; possible only if computed from the printed means and standard deviations "
                    f"({summary}), which give an unpaired t {_span(*span, 1)}"
                )
            else:
                why += f", nor of the printed means and standard deviations ({summary}: {_span(*span, 1)})"
        sentence = f"{' against '.join(claim.arms)}: {claim.printed} ({claim.where}): {why}."
        yield check(claims, "T of the folds", finding, sentence, 1)


def p_values(paper: Paper) -> Iterator[Check]:
    """Whether a printed statement about p holds by the tests of the printed folds."""
    claims = [claim for claim in paper.claims if claim.metric and claim.metric.name == "t_test.p"]
    for claim, pair in _with_folds(paper, claims):
        printed = claim.number
        if printed.operator not in "<>":
            continue
        a, b = ([each.value for each in row] for row in pair)
        found = {test.name: test.p for test in (paired_t(a, b), unpaired_t(a, b))}
        holds = [(p > printed.value) == (printed.operator == ">") for p in found.values()]
        finding = CONSISTENT if all(holds) else CONDITIONAL if any(holds) else IMPOSSIBLE
        values = ", ".join(f"{name}: p = {p:.3f}" for name, p in found.items())
        sentence = f"{' against '.join(claim.arms)}: {claim.printed} ({claim.where}); of the printed folds, {values}."
        yield check([claim, *pair[0], *pair[1]], "p of the folds", finding, sentence, 1)


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


def _printed_of(paper, arm, over):
    found = exact(paper, over, name="accuracy", arm=arm)
    return min(found, key=lambda claim: claim.number.tolerance, default=None)


def _t_of_folds(a, b):
    """Compute the range of T of each test, by its name."""
    k = len(a)
    tests = {
        f"paired t, {k - 1} degrees of freedom": paired_t,
        f"unpaired t, {2 * k - 2} degrees of freedom": unpaired_t,
        f"corrected resampled t, {k - 1} degrees of freedom": partial(corrected_resampled_t, test_share=1 / k),
    }
    ranges = [each.number.rounded for each in (*a, *b)]
    return {
        name: _extremes(lambda values, test=test: test(values[:k], values[k:]).t, ranges)
        for name, test in tests.items()
    }


def _t_of_summary(values, k):
    mean_a, mean_b, sd_a, sd_b = values
    return (mean_a - mean_b) / math.sqrt((sd_a**2 + sd_b**2) / k)


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
