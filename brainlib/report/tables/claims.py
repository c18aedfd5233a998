"""Tables of claims: every printed number with the reproduced one and the verdict."""

from __future__ import annotations

from collections import Counter

import numpy as np

from brainlib.papers.conclusions import as_printed
from brainlib.papers.consistency import check_paper
from brainlib.papers.schema import Claim
from brainlib.report.table import COUNT, PERCENT1, Format, Table
from brainlib.report.tables.captions import caption
from brainlib.report.tables.paper import worst_first
from brainlib.report.tables.scores import NOT_RUN, OURS, numbered
from brainlib.study import conclusions as concluded
from brainlib.study.results import Results, metric_name
from brainlib.study.verdicts import INCONSISTENT, NOT_COMPUTED, JudgedClaim, judge
from brainlib.study.verdicts import NOT_RUN as LEFT_OUT

MOST_SEEDS = 5  # with a column of their own


def conditions(results: Results) -> Table:
    """List what keeps this run from being compared with the paper, numbered for the verdicts."""
    rows = [{"number": n, "condition": each} for n, each in enumerate(results.study.conditions(), start=1)]
    some = "Conditions under which a number is not comparable with the printed one."
    return Table(rows, some if rows else "Every number of this run is comparable with the printed one.")


def verdicts(results: Results) -> Table:
    """Show each claim with its printed and its reproduced number, the verdict and the reasons.

    A number that the paper prints in several places has one row. Conditions and checks are given by their numbers in
    `conditions` and `paper.consistency`.
    """
    checks = [each.sentence for each in worst_first(check_paper(results.study.paper))]
    listed = {"condition": results.study.conditions(), "check": checks}
    numbers = {word: {text: n for n, text in enumerate(texts, start=1)} for word, texts in listed.items()}
    judged, rows = judge(results), {}
    for claim in judged:
        if claim.reproduced is None and claim.verdict != INCONSISTENT:
            continue
        place = (claim.metric, claim.arm, claim.arms, claim.stage, claim.scenario, claim.phase, claim.value, claim.unit)
        if place in rows:
            rows[place]["where"] += f"; {claim.where}"
        else:
            rows[place] = _row(claim, numbers)
    left = Counter(claim.verdict for claim in judged if claim.reproduced is None)
    counts = {"uncomputed": left[NOT_COMPUTED], "not_run": left[LEFT_OUT], "left_out": results.study.not_run()}
    return Table(list(rows.values()), caption("verdicts", rows=rows, **counts))


def _row(claim, numbers):
    ours, without, how = claim.reproduced, claim.without_duplicates, Format.of(claim.unit)
    return {
        "claim": claim_name(claim),
        "where": claim.where,
        "printed": how.printed(claim.number, claim.printed_interval),
        OURS: how.score(ours, NOT_RUN),
        "n": COUNT(ours.n) if ours else None,
        "verdict": claim.verdict,
        "without duplicates": how.score(without),
        "n without": COUNT(without.n) if without else None,
        "verdict without": claim.verdict_without_duplicates or "–",
        "reason": _reasons(claim, numbers),
    }


def _reasons(claim, numbers):
    texts, left = [], list(claim.reasons)
    for word, known in numbers.items():
        if found := sorted(known[reason] for reason in left if reason in known):
            texts.append(numbered(word, found))
            left = [reason for reason in left if reason not in known]
    if claim.collapsed:
        left.append(f"collapsed: predicts {claim.collapsed} for every image")
    return "; ".join(texts + left)


def conclusions(results: Results) -> Table:
    """Show what the paper concludes, and what becomes of it by the printed numbers and by this run."""
    paper = results.study.paper
    readings = {each.id: each.reading for each in paper.conclusions}
    rows = [
        {
            "conclusion": f'"{printed.quote}"',
            "where": printed.where,
            "as printed": printed.verdict,
            "P(false), at least": PERCENT1(printed.p_false and printed.p_false[0]),
            "at most": PERCENT1(printed.p_false and printed.p_false[1]),
            "this run": ours.verdict,
            "read as": readings[printed.id] or "",
            "printed numbers": "; ".join(printed.reasons),
            "numbers of this run": "; ".join(ours.reasons),
        }
        for printed, ours in zip(as_printed(paper), concluded.judge(results), strict=True)
    ]
    return Table(rows, caption("conclusions", some=bool(rows)))


def seeds(results: Results) -> Table:
    """Show each number for each seed: mean, spread and range, and whether the printed one lies inside.

    Of a number that the paper prints in several places, the first.
    """
    own, rows = [one.study.options.seed for one in (results, *results.repeats)], {}
    for claim in judge(results) if len(own) > 1 else ():
        if claim.by_seed and claim.metric.name != "images" and np.isfinite(claim.by_seed).all():
            rows.setdefault(claim_name(claim), _seeds(claim, own))
    return Table(list(rows.values()), caption("seeds", own=own))


def _seeds(claim: JudgedClaim, own: list[int]) -> dict:
    values, printed, how = claim.by_seed, claim.number, Format.of(claim.unit)
    low, high = min(values), max(values)
    inside = low - printed.tolerance <= printed.value <= high + printed.tolerance
    return {
        "claim": claim_name(claim),
        "printed": how.printed(printed),
        **({f"seed {n}": how(each) for n, each in zip(own, values, strict=True)} if len(own) <= MOST_SEEDS else {}),
        "mean": how.score(claim.mean_over_seeds),
        "standard deviation": how(float(np.std(values, ddof=1))),
        "lowest": how(low),
        "highest": how(high),
        "printed inside": inside if printed.operator in "=≈" else None,
    }


def claim_name(claim: Claim) -> str:
    """Return the name of a claim in tables: scenario, arm, phase and stage, and the score."""
    arms = " against ".join(claim.arms) or claim.arm
    place = " – ".join(filter(None, [claim.scenario, arms, claim.phase, claim.stage]))
    return f"{place}: {metric_name(claim.metric)}" if place else metric_name(claim.metric)
