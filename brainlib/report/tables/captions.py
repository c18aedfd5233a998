"""Captions of tables: their prose stands in ``templates/captions.j2``, by the name of the table."""

from __future__ import annotations

import re
from functools import cache

from brainlib.report import pages
from brainlib.report.table import P_VALUE, PERCENT1, POINTS, Format

T = Format(digits=4)  # of a t-test


@cache
def _macros():
    environment = pages.templates()
    environment.filters |= {"percent": PERCENT1.text, "points": POINTS.text, "t": T.number, "p": P_VALUE.number}
    return environment.get_template("captions.j2").module


def caption(table: str, **values: object) -> str:
    """Write the caption of a table with the values that it asks for, as one line."""
    return re.sub(r"[ \n]+", " ", getattr(_macros(), table)(**values)).strip()
