"""The checks of all papers' printed numbers as a page and as lines of a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from brainlib.papers.conclusions import JudgedConclusion
from brainlib.papers.consistency.checks import FINDINGS, IMPOSSIBLE, Check
from brainlib.report import pages
from brainlib.report.table import PERCENT1

PAGE = "consistency.html"


Conclusions = Mapping[str, Sequence[JudgedConclusion]]


def write_page(
    path: Path, papers: Mapping[str, Sequence[Check]], titles: Mapping[str, str], conclusions: Conclusions
) -> None:
    """Write the page of the papers' checks and conclusions; all are by the paper's id, errors as in `io.writing`."""
    found = {paper: impossible(checks) for paper, checks in papers.items()}
    given = {"titles": titles, "impossible": found, "conclusions": conclusions}
    pages.write(path, "consistency.html.j2", {"chance": chance}, papers=papers, **given)


def chance(judged: JudgedConclusion) -> str:
    """Write the bounds of the probability that a conclusion is false; "" where they are not known."""
    return f"P(false) {' to '.join(map(PERCENT1.text, judged.p_false))}" if judged.p_false else ""


def impossible(checks: Sequence[Check]) -> tuple[int, int]:
    """Count the printed numbers of a paper that cannot stand, and the checks that found them."""
    found = [check for check in checks if check.finding == IMPOSSIBLE]
    return len({claim for check in found for claim in check.suspect}), len(found)


def lines(papers: Mapping[str, Sequence[Check]], conclusions: Conclusions) -> list[str]:
    """Write a line a paper, and one for each of its checks, with what is wrong first, and of its conclusions."""
    environment = pages.templates()
    environment.filters["chance"] = chance
    template = environment.get_template("consistency.txt.j2")
    given = {"papers": papers, "findings": FINDINGS[::-1], "conclusions": conclusions}
    return template.render(given).rstrip("\n").split("\n")
