"""The page of an executed notebook: what the paper's page answers first, a table of contents, and its cells.

A page is self-contained: no script, nothing from another host, and no absolute path of the machine that made it. A
notebook that fails is shown up to its failure. Code is hidden until one switch shows all of it.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import nbformat
from markupsafe import Markup
from nbconvert import HTMLExporter
from nbformat import NotebookNode
from pygments.formatters import HtmlFormatter

from brainlib.audit.overview import DataAudit
from brainlib.errors import DataError
from brainlib.papers.loading import load_paper, paper_ids
from brainlib.report import pages
from brainlib.report.figures.scores import forest
from brainlib.report.headlines import headlines, highest, place_of, shortcuts_of
from brainlib.report.table import PERCENT
from brainlib.study import records
from brainlib.study.conditions import OTHER_IMAGES
from brainlib.study.data_audit import NAME as AUDIT
from brainlib.study.records import PaperResult
from brainlib.study.verdicts import VERDICTS

_TEMPLATES = Path(__file__).parent / "templates"
_HEADING = re.compile(r'<h([23]) id="([^"]+)">(.*?)<a class="anchor-link"', re.DOTALL)


def write(path: Path, notebook: NotebookNode, error: str | None, order: Sequence[str]) -> None:
    """Write the page of an executed notebook, with links to those before and after it in `order`."""
    html, left = _cells(notebook)
    name, cells = path.stem, _numbered(html)
    at = order.index(name) if name in order else 0
    head, end, rest = cells.rpartition("</h1>") if cells.count("</h1>") == 1 else ("", "", cells)
    pages.write(
        path,
        "notebook.html.j2",
        {"percent": lambda score: PERCENT.text(score.value, score.low, score.high)},
        title=Markup(head.partition("<h1")[2].partition(">")[2]).striptags() or name,
        **_answer(path.parent, name, bool(error)),
        error=error,
        left=left,
        before=order[at - 1] if at else None,
        after=order[at + 1] if at + 1 < len(order) else None,
        headings=[(n, Markup(i), Markup(text)) for n, i, text in _HEADING.findall(cells)],
        head=Markup(head + end),
        cells=Markup(rest),
        colours=lambda style: Markup(HtmlFormatter(style=style).get_style_defs(".highlight")),
    )


def _answer(out, name, failed):
    """Collect what a page answers first: what its paper claims and, unless it failed, what its notebook left."""
    found = None
    with suppress(DataError):
        found = records.read(out / "results" / f"{name}.json", DataAudit if name == AUDIT else PaperResult)
    paper = load_paper(name) if name in paper_ids() else None
    result = found if paper and not failed else None
    rows, claim = headlines({name: result}) if result else [], paper and highest(paper)
    same = [row for row in rows if claim and place_of(row.claim) == place_of(claim)]
    return {
        "audit": found if name == AUDIT and not failed else None,
        "paper": paper,
        "claim": claim,
        "result": result,
        "same": bool(same),
        "headline": (same or rows or [None])[0],
        "figure": forest(rows) if rows else None,
        "other_images": OTHER_IMAGES,
        "shortcuts": shortcuts_of(result) if result else "",
        "verdicts": VERDICTS,
    }


def _cells(notebook):
    """Return the cells up to a failure as HTML, and how many are left out."""
    failed = [i for i, cell in enumerate(notebook.cells) if cell.metadata.get("papermill", {}).get("exception")]
    shown = nbformat.from_dict(notebook | {"cells": notebook.cells[: failed[0] + 1] if failed else notebook.cells})
    exporter = HTMLExporter(
        template_name="notebook",
        extra_template_basedirs=[str(_TEMPLATES)],
        extra_template_paths=[str(_TEMPLATES)],
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        anchor_link_text="",  # headings have ids, and their links are not displayed
    )
    parameters = notebook.metadata.papermill.get("parameters", {})
    html, _ = exporter.from_notebook_node(shown, resources={"parameters": parameters})
    return html, len(notebook.cells) - len(shown.cells)


def _numbered(html):
    """Give tables and figures numbers and anchors, and link the conditions that captions name to their list."""
    tables, figures = itertools.count(1), itertools.count(1)
    listed = 'id="Conditions"' in html

    def table(found):
        n, (start, text) = next(tables), found.groups()
        if listed:
            text = re.sub(r"(?<=printed numbers: )condition[^.]+", r'<a href="#Conditions">\g<0></a>', text)
        return f'<caption id="table-{n}"{start}><a href="#table-{n}">Table {n}.</a> {text}</caption>'

    def figure(found):
        n, (image, _, alt) = next(figures), found.groups()
        caption = f'<a href="#figure-{n}">Figure {n}.</a> {alt.split(". ")[0].rstrip(".")}.'
        return f'<figure id="figure-{n}">{image}<figcaption>{caption}</figcaption></figure>'

    html = re.sub(r"<caption([^>]*)>(.*?)</caption>", table, html, flags=re.DOTALL)
    # nbconvert quotes an attribute that holds a quotation mark by apostrophes.
    return re.sub(r"""<figure>((?:<div[^>]*>)?<img alt=(["'])(.*?)\2.*?)</figure>""", figure, html, flags=re.DOTALL)
