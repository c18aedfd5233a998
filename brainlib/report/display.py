"""How studies, results, papers, trials and audits display themselves in a notebook.

Their classes return numbers and know no HTML. `register` tells IPython which table of `brainlib.report.tables` stands
for each of them.
"""

from __future__ import annotations

import dataclasses
import sys
from html import escape

import pandas as pd

from brainlib.report.table import PERCENT, Table


def register() -> None:
    """Register the tables below with the running IPython; without one, nothing happens."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if shell is None:
        return
    html = shell.display_formatter.formatters["text/html"]
    for (module, name), shown in _TYPES.items():
        html.for_type_by_name(module, name, shown)


def _study(study):
    from brainlib.report.tables.study import summary

    return summary(study)._repr_html_()


def _results(results):
    from brainlib.report.tables.study import overview

    return overview(results)._repr_html_()


def _verdicts(verdicts):
    from brainlib.report.tables.claims import verdicts as table

    return table(verdicts.results)._repr_html_()


def _audit(audit):
    from brainlib.report.tables.audit import lines

    return f"<pre>{escape(chr(10).join(lines(audit)))}</pre>"


def _paper(paper):
    from brainlib.papers.provenance import settings_of

    settings = [setting for _, setting in settings_of(paper)]
    assumed = sum(setting.assumed is not None for setting in settings)
    rows = {
        "authors": ", ".join(paper.citation.authors),
        "data set": f"{paper.data.set.value}: {', '.join(paper.data.classes)}",
        "arms": ", ".join(paper.arms),
        "scenarios": ", ".join(paper.scenarios) or "none",
        "protocol": f"{len(settings) - assumed} values stated, {assumed} assumed",
        "printed numbers": len(paper.claims),
    }
    return _pairs(rows.items(), f"{paper.id}: {paper.citation.title}")


def _trial(trial):
    rows = []
    for field in dataclasses.fields(trial):
        value = getattr(trial, field.name)
        for part in value if field.name == "phases" else [value]:
            if dataclasses.is_dataclass(part):
                own = {k: v for k, v in dataclasses.asdict(part).items() if v not in ("", (), None)}
                part = ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in own.items() if k != "file")
            rows.append((field.name.replace("_", " "), part))
    return _pairs(rows, f"{trial.name}, stored as {trial.key}")


def _trial_result(result):
    columns = [f"p_{name}" for name in result.trial.classes]
    rows = []
    for part in result.predictions["part"].unique():
        table = result.part(part)
        predicted = [result.trial.classes[n] for n in table[columns].to_numpy().argmax(axis=1)]
        accuracy = float((table["label"].to_numpy() == predicted).mean())
        rows.append({"part": part, "images": len(table), "accuracy of the most probable class": accuracy})
    seconds = result.facts["seconds"]["training"]
    caption = f"{result.trial.name}: {len(result.history)} epochs in {seconds:.0f} s, stored as {result.trial.key}"
    table = Table(pd.DataFrame(rows), caption, {"accuracy of the most probable class": PERCENT})
    return table._repr_html_()


def _pairs(rows, caption):
    frame = pd.DataFrame([(name, str(value)) for name, value in rows], columns=["setting", "value"])
    return Table(frame, caption)._repr_html_()


_TYPES = {
    ("brainlib.study.study", "Study"): _study,
    ("brainlib.study.results", "Results"): _results,
    ("brainlib.study.verdicts", "Verdicts"): _verdicts,
    ("brainlib.papers.schema", "Paper"): _paper,
    ("brainlib.trials.trial", "Trial"): _trial,
    ("brainlib.trials.trial", "TrialResult"): _trial_result,
    ("brainlib.audit.findings", "Audit"): _audit,
}
