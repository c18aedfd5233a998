"""Tables of what patient leakage is worth, and of scores on other sets."""

from __future__ import annotations

from collections.abc import Sequence

from brainlib.report.table import PERCENT, PERCENT1, POINTS, Table
from brainlib.report.tables.captions import caption
from brainlib.study.leakage import SplitEffect


def patient_leakage(effects: Sequence[SplitEffect]) -> Table:
    """Show what `study.patient_leakage` found: arms split by slice, by duplicate group and by patient."""
    rows = [
        {
            "arm": f"{each.arm}, {each.scenario}" if each.scenario else each.arm,
            "split by": each.split,
            "images": each.score.n,
            "balanced accuracy": PERCENT.score(each.score),
            "minus split by patient": POINTS(each.difference, each.low, each.high),
            "duplicate in training": PERCENT1(each.duplicates),
            "patient in training": PERCENT1(each.patients),
        }
        for each in effects
    ]
    return Table(rows, caption("patient_leakage"))
