"""The results of a run on one page: ``results.json`` and ``index.html``.

Each notebook leaves its numbers in ``results/PAPER.json``; ``results.json`` holds those of one run with the outcome of
each notebook (see `brainlib.study.records`). The index is made of ``results.json``, and of the summary of the runs on
the published images that brainlib carries (`report.headlines`).
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache, lru_cache
from pathlib import Path

import brainlib
from brainlib.audit.overview import DataAudit
from brainlib.errors import DataError
from brainlib.papers.conclusions import as_printed
from brainlib.papers.consistency import check_paper
from brainlib.papers.loading import load_paper, paper_ids
from brainlib.papers.reporting import checklist, reporting_of
from brainlib.progress import duration
from brainlib.report import consistency, pages
from brainlib.report.figures.checklist import reporting
from brainlib.report.figures.scores import forest
from brainlib.report.figures.style import Plot, span
from brainlib.report.headlines import SHORTCUTS, headlines, reference, shortcuts_of
from brainlib.report.notebook import Outcome, sections
from brainlib.report.table import Format
from brainlib.study import records
from brainlib.study.conditions import PHANTOM_WEIGHTS
from brainlib.study.options import PHANTOMS
from brainlib.study.records import NotebookResult, PaperResult, Run
from brainlib.study.saliency import GRAD_CAM, POINTING
from brainlib.study.verdicts import NOT_COMPUTED, NOT_RUN, VERDICTS

LEFT = (NOT_RUN, NOT_COMPUTED)  # verdicts without a reproduced number
_svg = lru_cache(maxsize=3)(Plot.svg)  # that of the stored runs is the same for every index
LEARNED = 0.9  # accuracy above which a demo says that a model has learned: a choice


def write_results(out: Path, outcomes: Sequence[Outcome], audit: Outcome) -> Run:
    """Write ``out/results.json`` of the papers' notebooks and that of the data that ran now, and of no other.

    A notebook that ran and left no result, or one that is not as `PaperResult` has it, becomes a failed one.
    """
    run = Run(
        brainlib=brainlib.__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        audit=_entry(out, audit, DataAudit),
        papers={outcome.name: _entry(out, outcome, PaperResult) for outcome in outcomes},
    )
    records.write(Path(out) / "results.json", run)
    return run


def _entry(out, outcome, kind):
    result, error = None, outcome.error
    if outcome.ok:
        try:
            result = records.read(Path(out) / "results" / f"{outcome.name}.json", kind)
            if kind is PaperResult and result.paper != outcome.name:
                wrong = f"expected {outcome.name!r}, received {result.paper!r:.60}"
                result, error = None, f"results/{outcome.name}.json: paper: {wrong}"
        except DataError as failure:
            error = str(failure)
    return NotebookResult[kind](
        status="failed" if error else "ran",
        error=error,
        seconds=round(outcome.seconds, 3),
        report=outcome.html.name if outcome.html.exists() else None,
        result=result,
    )


def write_index(out: Path, run: Run) -> Path:
    """Write ``out/index.html``, what the stored runs found and then this one, and return its path.

    Beside it ``consistency.html``, what the printed numbers show by themselves. A page that is not in `out` is not
    linked to.
    """
    out = Path(out)
    ran = {name: entry.result for name, entry in run.papers.items() if entry.result}
    checks, titles = {}, {}
    for name in run.papers:
        if name in ran:
            checks[name], titles[name] = ran[name].checks, ran[name].title
        elif name in paper_ids():  # of a failed notebook: its printed numbers are checked as well
            paper = load_paper(name)
            checks[name], titles[name] = check_paper(paper), paper.citation.title
    concluded = {name: as_printed(load_paper(name)) for name in checks if name in paper_ids()}
    consistency.write_page(out / consistency.PAGE, checks, titles, concluded)
    path = out / "index.html"
    accuracies = headlines(ran)
    # None is the notebook of the data.
    reports = {None: run.audit.report} | {name: entry.report for name, entry in run.papers.items()}
    there = {name: page for name, page in reports.items() if page and (out / page).is_file()}
    filters = {"written": _written, "duration": duration, "svg": _svg, "span": _span, "pairs": _pairs}
    pages.write(
        path,
        "index.html.j2",
        filters | {"shortcuts": shortcuts_of},
        run=run,
        pages=there,
        data="results.json" if (out / "results.json").is_file() else None,
        ran=ran,
        phantoms=any(result.data.source == PHANTOMS for result in ran.values()),
        verdicts=VERDICTS,
        left=LEFT,
        possible={name: consistency.impossible(found) for name, found in checks.items()},
        checks=sum(map(len, checks.values())),
        reference=reference(),
        shortcuts=SHORTCUTS,
        figures={
            "stored": _stored_figure(),
            "reporting": _reporting_figure(tuple(run.papers)),
            "run": forest(accuracies) if accuracies else None,
        },
        checklist=checklist(),
        learned=LEARNED,
        pointing=POINTING,
        grad_cam=GRAD_CAM,
        phantom_weights=PHANTOM_WEIGHTS,
        total=Counter(c.verdict for r in ran.values() for c in r.claims),
        conditions=_conditions(ran),
        accuracies=accuracies,
        links={name: sections(out / page) for name, page in there.items() if name in ran},
    )
    return path


@cache
def _stored_figure():
    return forest(reference().headlines, "this project")


@cache
def _reporting_figure(papers):
    judged = {paper: items for paper in papers if paper in paper_ids() and (items := reporting_of(paper))}
    return reporting(judged) if judged else None


def _conditions(ran):
    """Collect the conditions of all papers, each once: {condition: {paper: arms, () for all}}."""
    found = defaultdict(dict)
    for name, result in ran.items():
        for arm, trained in result.arms.items():
            for condition in trained.conditions:
                found[condition].setdefault(name, []).append(arm)
        for papers in found.values():
            if len(papers.get(name, ())) == len(result.arms):
                papers[name] = ()
        found.update({condition: found[condition] | {name: ()} for condition in result.conditions})
    return dict(sorted(found.items(), key=lambda item: -len(item[1])))


def _written(value, low, high, unit):
    """Write a number in the unit of the printed one, and its limits: ("95.83", "93.92 to 97.16")."""
    how = Format.of(unit)
    limits = "" if math.isnan(low + high) or low == high else f"{how.number(low)} to {how.number(high)}"
    return "undefined" if math.isnan(value) else how.number(value), limits


def _span(shares):
    """Write the least and the largest of the shares that are defined, in percent: "80 to 94"."""
    return span((100 * share for share in shares), "z.0f")


def _pairs(dicts):
    return [pair for each in dicts for pair in each.items()]
