"""Every check of a paper's printed numbers, and how readers see them: a page of all, a table of one."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path

import pandas as pd

from brainlib import io
from brainlib.papers.consistency import confusion, folds, sizes
from brainlib.papers.consistency.checks import CONSISTENT, FINDINGS, Check
from brainlib.papers.schema import Paper
from brainlib.report import pages
from brainlib.report.table import Table

PAGE = "consistency.html"


def check_paper(paper: Paper) -> list[Check]:
    """Make every check that the claims of a paper allow.

    Parameters
    ----------
    paper : Paper

    Returns
    -------
    list of Check
        By method, in the order of the claims.
    """
    return list(_checks(paper))


@cache  # a notebook shows them, and judges by them once for every seed
def _checks(paper):
    methods = [*confusion.METHODS, *sizes.METHODS, *folds.METHODS]
    return tuple(replace(check, paper=paper.id) for method in methods for check in method(paper))


def table(paper: Paper, *findings: str) -> Table:
    """The checks of a paper, by default all, what is wrong first.

    Parameters
    ----------
    paper : Paper
    *findings : {"impossible", "conditional", "consistent"}
        Those to show.
    """
    checks = check_paper(paper)
    wanted = findings or FINDINGS
    shown = sorted(
        (check for check in checks if check.finding in wanted),
        key=lambda check: -FINDINGS.index(check.finding),
    )
    rows = [{"finding": check.finding, "check": check.method, "arithmetic": check.sentence} for check in shown]
    counts = ", ".join(f"{sum(check.finding == finding for check in checks)} {finding}" for finding in FINDINGS[::-1])
    caption = f"{len(checks)} checks of the printed numbers, before any training: {counts}."
    return Table(pd.DataFrame(rows, columns=["finding", "check", "arithmetic"]), caption)


def lines(papers: Mapping[str, Sequence[Check]]) -> list[str]:
    """What a terminal shows of the checks: a line a paper, and one for each that is not consistent."""
    said = []
    for paper, checks in papers.items():
        counts = Counter(check.finding for check in checks)
        found = ", ".join(f"{counts[finding]} {finding}" for finding in reversed(FINDINGS))
        said.append(f"{paper}: {len(checks)} checks, {found}")
        wrong = [check for check in checks if check.finding != CONSISTENT]
        wrong.sort(key=lambda check: -FINDINGS.index(check.finding))
        said += [f"  {check.finding}: {check.sentence}" for check in wrong]
    return said


def write_page(path: Path, papers: Mapping[str, Sequence[Check]], titles: Mapping[str, str]) -> None:
    """Write the page of the papers' checks.

    Parameters
    ----------
    path : Path
    papers : mapping of str to sequence of Check
        By id of the paper; anything with the fields of `Check` will do.
    titles : mapping of str to str

    Raises
    ------
    StoreError
        When it cannot be written.
    """
    pages.write(path, "consistency.html.j2", papers=papers, titles=titles)


def write_json(path: Path, papers: Mapping[str, Sequence[Check]]) -> None:
    """Write all checks as a list of objects with the fields of `Check`.

    Raises
    ------
    StoreError
        When it cannot be written.
    """
    rows = [asdict(check) for checks in papers.values() for check in checks]
    with io.writing(path) as file:
        file.write(json.dumps(rows, indent=1, ensure_ascii=False).encode())
