"""How studies, results, papers, trials and audits display themselves in a notebook.

Their classes return numbers and know no HTML. `register` names the table of `brainlib.report.tables` that IPython
shows for each of them.
"""

from __future__ import annotations

import importlib
from dataclasses import replace
from html import escape
from typing import TYPE_CHECKING

from brainlib import progress
from brainlib.errors import UsageError

if TYPE_CHECKING:
    from brainlib.papers.schema import Paper
    from brainlib.report.figures import Plot
    from brainlib.report.table import Table

_TYPES = {
    ("brainlib.study.study", "Study"): ("study", "summary"),
    ("brainlib.study.results", "Results"): ("study", "overview"),
    ("brainlib.papers.schema", "Paper"): ("paper", "protocol"),
    ("brainlib.trials.trial", "Trial"): ("study", "trial"),
    ("brainlib.trials.trial", "TrialResult"): ("study", "trial_result"),
    ("brainlib.audit.findings", "Audit"): ("audit", "lines"),
}


def register() -> None:
    """Register the tables with the running IPython; without one, nothing happens."""
    if shell := progress.shell():
        for (module, name), (of, function) in _TYPES.items():
            shell.display_formatter.formatters["text/html"].for_type_by_name(module, name, _shown(of, function))


def counterpart(shown: Table | Plot, paper: Paper, *names: str) -> Table | Plot:
    """Return a table or a figure under the names of the `Paper.exhibits` whose counterpart it is."""
    known = [each.name for each in paper.exhibits]
    if unknown := set(names) - set(known):
        raise UsageError(f"{paper.id}: expected one of {', '.join(known) or 'none'}, received {', '.join(unknown)}")
    listed = " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
    text = "alt" if hasattr(shown, "alt") else "caption"
    return replace(shown, **{text: f"Counterpart of the paper's {listed}: {getattr(shown, text)}"})


def _shown(module, function):
    def html(thing):
        shown = getattr(importlib.import_module(f"brainlib.report.tables.{module}"), function)(thing)
        return f"<pre>{escape(chr(10).join(shown))}</pre>" if isinstance(shown, list) else shown._repr_html_()

    return html
