"""The checks of all papers' printed numbers as a page and as lines of a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from brainlib.papers.consistency.checks import FINDINGS, IMPOSSIBLE, Check
from brainlib.report import pages

PAGE = "consistency.html"


def write_page(path: Path, papers: Mapping[str, Sequence[Check]], titles: Mapping[str, str]) -> None:
    """Write the page of the papers' checks; papers and titles are by id, errors as in `io.writing`."""
    found = {paper: impossible(checks) for paper, checks in papers.items()}
    pages.write(path, "consistency.html.j2", papers=papers, titles=titles, impossible=found)


def impossible(checks: Sequence[Check]) -> tuple[int, int]:
    """Count the printed numbers of a paper that cannot stand, and the checks that found them."""
    found = [check for check in checks if check.finding == IMPOSSIBLE]
    return len({claim for check in found for claim in check.suspect}), len(found)


def lines(papers: Mapping[str, Sequence[Check]]) -> list[str]:
    """Write a line a paper, and one for each of its checks, with what is wrong first."""
    template = pages.templates().get_template("consistency.txt.j2")
    return template.render(papers=papers, findings=FINDINGS[::-1]).rstrip("\n").split("\n")
