"""Tables of what patient leakage is worth, and of scores on other sets."""

from __future__ import annotations

from collections.abc import Sequence

from brainlib.report.table import PERCENT, PERCENT1, POINTS, Table
from brainlib.report.tables.captions import caption
from brainlib.study.external import ExternalScore
from brainlib.study.leakage import SplitEffect


def patient_leakage(effects: Sequence[SplitEffect]) -> Table:
    """Show what `study.patient_leakage` found: arms split by slice, by duplicate group and by patient."""
    rows = [
        {
            "arm": f"{each.arm}, {each.scenario}" if each.scenario else each.arm,
            "split by": each.split,
            "images": each.score.n,
            "balanced accuracy": PERCENT.score(each.score),
            "minus split by patient": POINTS.score(each.difference),
            "duplicate in training": PERCENT1(each.duplicates),
            "patient in training": PERCENT1(each.patients),
        }
        for each in effects
    ]
    return Table(rows, caption("patient_leakage"))


def external_validation(scores: Sequence[ExternalScore]) -> Table:
    """Show what `study.external_validation` found: each pair of sets, with all test images and with those left."""
    rows = []
    for each in scores:
        row = {"arm": each.arm, "classes": each.task, "trained on": each.trained_on, "tested on": each.tested_on}
        found, gone = each.external, " and ".join(name for name, n in each.left.items() if not n)
        left = PERCENT(found.value, found.low, found.high, f"no {gone} left" if found.n else "nothing left")
        row |= {"images": each.published.n, "balanced accuracy": PERCENT.score(each.published)}
        rows.append(row | {"images left": found.n, "without what training has": left})
    return Table(rows, caption("external_validation"))
