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
from brainlib.papers.consistency import check_paper
from brainlib.papers.loading import load_paper, paper_ids
from brainlib.progress import duration
from brainlib.report import consistency, pages
from brainlib.report.figures.scores import forest
from brainlib.report.figures.style import Plot
from brainlib.report.headlines import SHORTCUTS, headlines, reference
from brainlib.report.notebook import Outcome, sections
from brainlib.report.table import Format
from brainlib.stats.estimates import Estimate
from brainlib.study import records
from brainlib.study.conditions import PHANTOM_WEIGHTS
from brainlib.study.options import PHANTOMS
from brainlib.study.records import NotebookResult, PaperResult, Run
from brainlib.study.saliency import POINTING
from brainlib.study.verdicts import NOT_COMPUTED, NOT_RUN, VERDICTS

LEFT = (NOT_RUN, NOT_COMPUTED)  # verdicts without a reproduced number
_svg = lru_cache(maxsize=2)(Plot.svg)  # that of the stored runs is the same for every index
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
    consistency.write_page(out / consistency.PAGE, checks, titles)
    path = out / "index.html"
    accuracies = headlines(ran)
    # None is the notebook of the data.
    reports = {None: run.audit.report} | {name: entry.report for name, entry in run.papers.items()}
    there = {name: page for name, page in reports.items() if page and (out / page).is_file()}
    pages.write(
        path,
        "index.html.j2",
        {"score": _score, "duration": duration, "svg": _svg},
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
        figures={"stored": _stored_figure(), "run": forest(accuracies) if accuracies else None},
        seen=_seen(run, ran),
        total=Counter(c.verdict for r in ran.values() for c in r.claims),
        facts=_facts(ran.values()),
        conditions=_conditions(ran),
        accuracies=accuracies,
        controlled=[
            (name, r.arms[each.arm], each) for name, r in ran.items() for each in r.controls if each.arm in r.arms
        ],
        links={name: sections(out / there[name]) if name in there else {} for name in ran},
    )
    return path


@cache
def _stored_figure():
    return forest(reference().headlines, "this project")


def _seen(run, ran):
    """Say what a run on phantoms shows of each model; None where no paper ran or any was on real images.

    Returned are sentences, and of each model its paper, the effect of duplicates on its accuracy, the difference that
    they make, and how often the hottest pixel of its heat maps lies in the lesion (None without maps).
    """
    results = ran.values()
    effects = [(r.paper, each) for r in results for each in r.duplicates if each.score == "accuracy"]
    if not effects or any(r.data.source != PHANTOMS for r in results):
        return None
    maps = {(r.paper, h.arm, h.scenario): h for r in results for h in r.heat_maps if h.score == POINTING and h.n}
    models = []
    for name, each in effects:
        change = Estimate(each.difference, each.low, each.high, each.published.n, "bootstrap")
        models.append((name, each, change, maps.get((name, each.arm, each.scenario))))
    scores, changes = [each.published.value for _, each in effects], [each.difference for _, each in effects]
    learned, by_memory = sum(score > LEARNED for score in scores), sum(each.high < 0 for _, each in effects)
    sentences = [
        f"{learned} of {len(models)} models classify more than {100 * LEARNED:.0f} % of their test images correctly "
        f"(all: {_range(scores, ' %')}).",
        "Without the test images that have a duplicate in training the accuracy changes by "
        f"{_range(changes, ' points')}; for {by_memory} of {len(models)} models the whole 95 % interval lies below zero"
        f"{': part of their accuracy is memory' * (by_memory > 0)}.",
    ]
    if maps:
        hits = _range([found.value for found in maps.values()], " %")
        sentences.append(
            f"The hottest pixel of heat maps lies in the lesion in {hits} of the test images that have one."
        )
    if planted := run.audit.result.planted if run.audit.result else ():
        found, total = (sum(getattr(each, name) for each in planted) for name in ("recovered", "planted"))
        sentences.append(f"The audit, which is not told of them, found {found} of {total} planted duplicates.")
    if any(PHANTOM_WEIGHTS in arm.conditions for r in results for arm in r.arms.values()):
        sentences.append(
            "A small network, pretrained on phantoms of other patients, stands in for the papers' pretrained networks."
        )
    return sentences, models


def _range(shares, unit):
    known = [share for share in shares if not math.isnan(share)]  # without duplicates no image may be left
    if not known:
        return "undefined"
    low, high = (round(100 * end) for end in (min(known), max(known)))
    return f"{low}{unit}" if low == high else f"{low} to {high}{unit}"


def _facts(results):
    """Collect the settings of the run, each once: {name: distinct values}."""
    facts = defaultdict(dict)
    for r in results:
        limits = {"images": r.profile.images, "epochs a phase": r.profile.epochs}
        size = [f"at most {n} {what}" for what, n in limits.items() if n]
        size += [f"{r.profile.size} pixels"] if r.profile.size else []
        size += [f"a learning rate of at least {r.profile.learning_rate:g}"] if r.profile.learning_rate else []
        facts["Profile"][f"{r.options.profile} ({', '.join(size) or 'the whole protocol'})"] = 1
        for weights in r.options.weights.values():
            facts["Weights"][weights] = 1
        for stated, used in r.options.backbone.items():
            facts["Backbones"][f"{used} in place of {stated}"] = 1
        for key, value in r.environment.items():
            if key != "brainlib" and value not in (None, "", 0):
                facts["Environment"][f"{key} {value}"] = 1
    return {name: list(values) for name, values in facts.items()}


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


def _score(found, unit):
    """Write a number in the unit of the printed one, and its limits: ("95.83", "93.92 to 97.16")."""
    how = Format.of(None, unit)
    value = "undefined" if math.isnan(found.value) else how.number(found.value)
    if math.isnan(found.low) or math.isnan(found.high) or found.low == found.high:
        return value, ""
    return value, f"{how.number(found.low)} to {how.number(found.high)}"
