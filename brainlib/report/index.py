"""From the results of a run's notebooks to its answers: ``results.json`` and ``index.html``.

Each notebook leaves its numbers in ``results/PAPER.json``; ``results.json`` holds those of one run with
what became of each notebook (both as in `schema`). The index is made of ``results.json`` alone.
"""

from __future__ import annotations

import base64
import json
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from pydantic import TypeAdapter, ValidationError

import brainlib
from brainlib import io
from brainlib.audit.overview import DataAudit
from brainlib.papers.consistency import check_paper
from brainlib.papers.loading import load_paper, paper_ids
from brainlib.papers.printed import UNITS, printed_number
from brainlib.progress import duration
from brainlib.report import consistency, pages
from brainlib.report.figures.accuracies import forest, headlines, printed_value
from brainlib.report.notebook import Outcome, sections
from brainlib.study.records import LEFT, VERDICTS, Answers, AuditEntry, Entry, PaperResult

PERCENT = ("%", "percentage points")  # units whose numbers have two digits and one sign


def write_results(out: Path, outcomes: Sequence[Outcome], audit: Outcome) -> Answers:
    """Write ``out/results.json`` of the notebooks that ran now, and of no other.

    Parameters
    ----------
    out : Path
    outcomes : sequence of Outcome
        Of the papers' notebooks.
    audit : Outcome
        Of the notebook of the data.

    A notebook that ran and left no result, or one that is not as `PaperResult` has it, becomes a
    failed one. Numbers that are not finite become null.
    """
    answers = Answers(
        brainlib=brainlib.__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        audit=_entry(out, audit, AuditEntry, DataAudit),
        papers={outcome.name: _entry(out, outcome, Entry, PaperResult) for outcome in outcomes},
    )
    with io.writing(Path(out) / "results.json") as file:
        file.write(answers.model_dump_json(indent=1).encode() + b"\n")
    return answers


def _entry(out, outcome, entry, model):
    result, error = None, outcome.error
    if outcome.ok:
        result, error = _read_result(Path(out) / "results" / f"{outcome.name}.json", model)
    return entry(
        status="failed" if error else "ran",
        error=error,
        seconds=round(outcome.seconds, 3),
        report=outcome.html.name if outcome.html.exists() else None,
        result=result,
    )


def _read_result(path, model):
    name = f"results/{path.name}"
    try:
        content = json.loads(path.read_bytes())
        result = TypeAdapter(model).validate_json(json.dumps(_finite(content), allow_nan=False))
    except FileNotFoundError:
        return None, f"{name}: expected the notebook to write this file, it did not"
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        return None, f"{name}: {where or 'the whole'}: {first['msg']}"
    except (OSError, ValueError, RecursionError) as error:
        return None, f"{name}: expected JSON, received a file that cannot be read as it ({error})"
    if isinstance(result, PaperResult) and result.paper != path.stem:
        return None, f"{name}: paper: expected {path.stem!r}, received {result.paper!r:.60}"
    return result, None


def _finite(node):
    if isinstance(node, dict):
        return {key: _finite(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_finite(value) for value in node]
    return None if isinstance(node, float) and not math.isfinite(node) else node


def write_index(out: Path, answers: Answers) -> Path:
    """Write ``out/index.html``, all answers on one page, and return its path.

    Beside it ``consistency.html``, what the printed numbers say by themselves. A page that is not in
    `out` is linked to from nowhere.
    """
    out = Path(out)
    ran = {name: entry.result for name, entry in answers.papers.items() if entry.result}
    # What a failed notebook's paper prints is possible or not all the same.
    known = {name: load_paper(name) for name in answers.papers if name in paper_ids() and name not in ran}
    checks = {
        name: ran[name].checks if name in ran else check_paper(known[name])
        for name in answers.papers
        if name in ran or name in known
    }
    titles = {name: ran[name].title if name in ran else known[name].citation.title for name in checks}
    consistency.write_page(out / consistency.PAGE, checks, titles)
    path = out / "index.html"
    accuracies = headlines(ran)
    there = {name: page for name, page in _reports(answers) if page and (out / page).is_file()}
    pages.write(
        path,
        "index.html.j2",
        {"number": _number, "as_printed": _as_printed, "sort_key": _sort_key, "duration": duration},
        results=answers,
        pages=there,
        data="results.json" if (out / "results.json").is_file() else None,
        ran=ran,
        verdicts=VERDICTS,
        left=LEFT,
        counts={name: Counter(c.verdict for c in r.claims) for name, r in ran.items()},
        tallies={name: _tallies(result) for name, result in ran.items()},
        environments={name: list(_environment(r)) for name, r in ran.items()},
        percent=PERCENT,
        total=Counter(c.verdict for r in ran.values() for c in r.claims),
        run=_run_facts(ran.values()),
        conditions=_conditions(ran),
        accuracies=accuracies,
        forest=_embedded(forest(accuracies)) if accuracies else None,
        controlled=[
            (name, result.arms[each.arm], each)
            for name, result in ran.items()
            for each in result.controls
            if each.arm in result.arms
        ],
        sections={name: _section(result) for name, result in ran.items()},
        parts={name: _parts(r, out / there[name] if name in there else None) for name, r in ran.items()},
    )
    return path


def _embedded(plot):
    """A figure as the attributes of an `img`."""
    source = f"data:image/svg+xml;base64,{base64.b64encode(plot.svg()).decode()}"
    return {"alt": plot.alt, "width": plot.width, "src": source}


def _reports(answers):
    """The pages that notebooks left, by their names; None for that of the data."""
    return [(None, answers.audit.report), *((name, entry.report) for name, entry in answers.papers.items())]


def _tallies(result):
    """How many claims end as what: [(judged how, counts)]."""
    clean = Counter(c.clean_verdict for c in result.claims if c.clean_verdict)
    published = Counter(c.verdict for c in result.claims)
    return [("as published", published), *([("without copies", clean)] if clean else [])]


def _parts(result, page):
    """The parts of a paper's report as {heading: (words, link)}: each None where it is not there."""
    links = sections(page) if page else {}
    links.setdefault("possible", f"{consistency.PAGE}#{quote(result.paper)}")
    impossible = sum(check.finding == "impossible" for check in result.checks)
    words = {
        "possible": f"{impossible} impossible",
        "duplicates": "scores" if result.duplicate_effects else "not run",
        "controls": _count(len(result.controls), "control") if result.controls else "not run",
        "t-test": "over folds",
        "certainty": "intervals, calibration",
        "seeds": _count(result.options.seeds, "seed"),
        "curves": "curves",
        "heat maps": "heat maps",
        "verdicts": "verdicts",
    }
    return {name: (words[name], links[name]) if name in links else None for name in words}


def _count(n, thing):
    return f"{n} {thing}" if n == 1 else f"{n} {thing}s"


def _run_facts(results):
    """With what the papers were run, each fact once: {name: distinct values}."""
    facts = defaultdict(dict)
    for r in results:
        size = [
            f"at most {n} {what}"
            for n, what in ((r.profile.images, "images"), (r.profile.epochs, "epochs a phase"))
            if n
        ]
        size += [f"{r.profile.size} pixels"] if r.profile.size else []
        facts["Profile"][f"{r.options.profile} ({', '.join(size) or 'the whole protocol'})"] = 1
        for weights in r.options.weights.values():
            facts["Weights"][weights] = 1
        for stated, used in r.options.backbone.items():
            facts["Backbones"][f"{used} in place of {stated}"] = 1
        for fact in _environment(r):
            facts["Environment"][fact] = 1
    return {name: list(values) for name, values in facts.items()}


def _environment(result):
    for key, value in result.environment.items():
        if key != "brainlib" and value not in (None, "", 0):
            yield f"{key} {value}"


def _conditions(ran):
    """Each condition that forbids comparing, once: {condition: {paper: arms, () for all}}."""
    found = defaultdict(lambda: defaultdict(list))
    for name, result in ran.items():
        for condition in result.conditions:
            arm, colon, rest = condition.partition(": ")
            if colon and arm in result.arms:
                found[rest][name].append(arm)
            else:
                found[condition][name] = []
    return {
        condition: {p: () if len(arms) == len(ran[p].arms) else arms for p, arms in papers.items()}
        for condition, papers in sorted(found.items(), key=lambda item: -len(item[1]))
    }


def _section(result):
    """A paper's claims: the judged ones, reasons that several share, and those that are not."""
    judged = [c for c in result.claims if c.verdict not in LEFT]
    times = Counter(c.reason for c in judged)
    shared = [reason for reason, n in times.items() if n > 1 and len(reason) > 30]
    left = {verdict: defaultdict(list) for verdict in LEFT}
    for claim in result.claims:
        if claim.verdict in LEFT:
            left[claim.verdict][claim.reason].append(claim)
    return {"judged": judged, "shared": shared, "left": left}


def _number(value: float | None, unit: str) -> str:
    """A number in the unit of the printed one, without the unit; shares of a hundred have two digits."""
    if value is None:
        return "undefined"
    scaled = value / UNITS.get(unit, 1.0)
    if unit in PERCENT:
        return f"{scaled:.2f}"
    return f"{scaled:.0f}" if abs(scaled) >= 1000 else f"{scaled:.4g}"


def _as_printed(claim) -> str:
    """A printed share in percent with the digits that were printed, and room for those that it lacks.

    The spaces are as wide as what they stand for, so that points lie below each other.
    """
    printed = printed_number(claim.printed, claim.unit)
    decimals = max(printed.decimals - (2 if printed.scale == 1 else 0), 0)
    room = "" if decimals else "\N{PUNCTUATION SPACE}"
    return f"{100 * printed.value:.{decimals}f}{room}" + "\N{FIGURE SPACE}" * (2 - decimals)


def _sort_key(claim) -> str:
    """A printed number as a script can read it; "" where it is none."""
    value = printed_value(claim)
    return "" if value is None else repr(value)
