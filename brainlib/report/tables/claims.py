"""Tables of claims: every printed number with the reproduced one and the verdict.

Every function takes the `Results` of a paper and returns a `Table`.
"""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pandas as pd

from brainlib.papers.schema import Claim
from brainlib.report.table import COUNT, Format, Table
from brainlib.report.tables.scores import NOT_RUN, OURS, limits
from brainlib.study.results import Results, metric_name
from brainlib.study.verdicts import INCONSISTENT, NOT_COMPUTED, JudgedClaim, Verdicts
from brainlib.study.verdicts import NOT_RUN as LEFT_OUT

MOST_SEEDS = 5  # with a column of their own


def conditions(results: Results) -> Table:
    """List what keeps this run from being compared with the paper, numbered for the verdicts."""
    notes = results.study.conditions()
    caption = (
        "Conditions under which a number is not comparable with the printed one."
        if notes
        else "Every number of this run is comparable with the printed one."
    )
    return Table(pd.DataFrame({"number": range(1, len(notes) + 1), "condition": notes}), caption)


def verdicts(results: Results) -> Table:
    """Show each claim with its printed and its reproduced number, the verdict and the reasons.

    A number that the paper prints in several places has one row. Conditions are given by their numbers in
    `conditions`.
    """
    numbers = {note: n for n, note in enumerate(results.study.conditions(), start=1)}
    judged = Verdicts(results).claims
    rows, formats = {}, {"printed": [], OURS: [], "without duplicates": []}
    for claim in judged:
        if claim.reproduced is None and claim.verdict != INCONSISTENT:
            continue
        place = (claim.metric, claim.arm, claim.arms, claim.stage, claim.scenario, claim.phase, claim.value, claim.unit)
        if place in rows:
            rows[place]["where"] += f"; {claim.where}"
            continue
        rows[place] = _row(claim, numbers)
        formats["printed"].append(Format.of(claim.number, claim.unit))
        for name in (OURS, "without duplicates"):
            formats[name].append(Format.of(None, claim.unit))
    left = Counter(claim.verdict for claim in judged if claim.reproduced is None)
    caption = (
        f"{len(rows)} printed numbers that follow from predictions, with 95 % intervals; {left[NOT_COMPUTED]} more are "
        "settings or layers of the protocol, or figures of other work. Without duplicates: the same models, without "
        "the test images that have a duplicate in training."
    )
    if left[LEFT_OUT]:
        caption += f" {left[LEFT_OUT]} were not run: {', '.join(results.study.not_run())}."
    formats |= {"n": COUNT, "n without": COUNT}
    return Table(pd.DataFrame(rows.values()), caption, formats, missing={OURS: NOT_RUN, "n": "", "n without": ""})


def _row(claim, numbers):
    own, ours, without = claim.printed_interval, claim.reproduced, claim.without_duplicates
    row = {"claim": claim_name(claim), "where": claim.where, "printed": claim.value}
    row |= {"printed low": own.low, "printed high": own.high} if own else {}
    row |= _limits(OURS, ours) | {"n": ours.n if ours else math.nan, "verdict": claim.verdict}
    row |= _limits("without duplicates", without) | {"n without": without.n if without else math.nan}
    row["verdict without"] = claim.verdict_without_duplicates or "–"
    return row | {"reason": _reasons(claim, numbers)}


def _limits(name, found):
    """Columns of a number, without an interval where it is exact."""
    if found is None:
        return {name: math.nan}
    return {name: found.value} if found.low == found.high else limits(name, found)


def _reasons(claim, numbers):
    known = [str(numbers[reason]) for reason in claim.reasons if reason in numbers]
    other = [reason for reason in claim.reasons if reason not in numbers]
    word = "conditions" if len(known) > 1 else "condition"
    return "; ".join(([f"{word} {', '.join(known)}"] if known else []) + other)


def seeds(results: Results) -> Table:
    """Show each number for each seed: mean, spread and range, and whether the printed one lies inside.

    Of a number that the paper prints in several places, the first.
    """
    own = [one.study.options.seed for one in (results, *results.repeats)]
    if len(own) == 1:
        caption = f"One seed was run ({own[0]}); --seeds 5 repeats splits and initialisation."
        return Table(pd.DataFrame(), caption)
    rows, claims = {}, []
    for claim in Verdicts(results).claims:
        name = claim_name(claim) if claim.by_seed and claim.metric.name != "images" else ""
        if name and name not in rows and np.isfinite(claim.by_seed).all():
            rows[name] = _seeds(claim, name, own)
            claims.append(claim)
    ours = [Format.of(None, claim.unit) for claim in claims]
    columns = {column for row in rows.values() for column in row} - {"claim", "printed inside"}
    formats = dict.fromkeys(columns, ours) | {"printed": [Format.of(claim.number, claim.unit) for claim in claims]}
    caption = (
        f"{len(own)} seeds, each with its own split, initial weights and order of the images. The spread over seeds, "
        "and the t interval of their mean, are not the sampling error: all seeds use the same set of images."
    )
    return Table(pd.DataFrame(rows.values()), caption, formats, missing={"printed inside": "–"})


def _seeds(claim: JudgedClaim, name: str, own: list[int]) -> dict:
    values, printed = claim.by_seed, claim.number
    low, high = min(values), max(values)
    row = {"claim": name, "printed": printed.value}
    if len(own) <= MOST_SEEDS:
        row |= {f"seed {seed}": value for seed, value in zip(own, values, strict=True)}
    row |= limits("mean", claim.mean_over_seeds)
    row |= {"standard deviation": float(np.std(values, ddof=1)), "lowest": low, "highest": high}
    inside = low - printed.tolerance <= printed.value <= high + printed.tolerance
    return row | {"printed inside": inside if printed.operator in "=≈" else None}


def claim_name(claim: Claim) -> str:
    """Return the name of a claim in tables: scenario, arm, phase and stage, and the score."""
    arms = " against ".join(claim.arms) or claim.arm
    place = " – ".join(filter(None, [claim.scenario, arms, claim.phase, claim.stage]))
    return f"{place}: {metric_name(claim.metric)}" if place else metric_name(claim.metric)
