"""Tables of what a paper prints, and of what that implies by itself: nothing here was trained."""

from __future__ import annotations

import pandas as pd

from brainlib.papers.provenance import in_words, key_of, name_of, settings_of
from brainlib.papers.schema import Paper
from brainlib.report.table import Table
from brainlib.study.variation import FIXED


def protocol(paper: Paper) -> Table:
    """Every value of a paper's protocol, stated or assumed, with its place or reason.

    The column "key" is what `Study.varied` takes, "fixed" where nothing else is possible.
    """
    rows = [
        {
            "setting": name_of(path),
            "value": in_words(setting.value),
            "provenance": "assumed" if setting.assumed else "stated",
            "why": setting.assumed or setting.stated,
            "alternatives": "; ".join(map(in_words, setting.alternatives)),
            "key": "fixed" if key_of(path) in FIXED else key_of(path),
        }
        for path, setting in settings_of(paper)
    ]
    assumed = sum(row["provenance"] == "assumed" for row in rows)
    caption = f"The protocol: {len(rows) - assumed} values stated, {assumed} assumed."
    for like in sorted({arm.like for arm in paper.arms.values() if arm.like}):
        same = [name for name, arm in paper.arms.items() if arm.like == like]
        caption += f" In all but the backbone, {', '.join(same)} are as {like}."
    return Table(pd.DataFrame(rows), caption)
