"""The page of an executed notebook: what the paper's page answers first, a table of contents, and its cells.

A page is self-contained: no script, nothing from another host, and no absolute path of the machine that made it. A
notebook that fails is shown up to its failure. Code is hidden until one switch shows all of it.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from pathlib import Path

import nbformat
from markupsafe import Markup
from nbconvert import HTMLExporter
from nbformat import NotebookNode
from pygments.formatters import HtmlFormatter

from brainlib.report import pages
from brainlib.report.answers import answer

_TEMPLATES = Path(__file__).parent / "templates"
_HEADING = re.compile(r'<h([23]) id="([^"]+)">(.*?)<a class="anchor-link"', re.DOTALL)


def write(path: Path, notebook: NotebookNode, error: str | None, order: Sequence[str]) -> None:
    """Write the page of an executed notebook, with links to those before and after it in `order`."""
    html, left = _cells(notebook)
    name, cells = path.stem, _numbered(html)
    at = order.index(name) if name in order else 0
    head, end, rest = cells.rpartition("</h1>") if cells.count("</h1>") == 1 else ("", "", cells)
    style = {scheme: HtmlFormatter(style=scheme).get_style_defs(".highlight") for scheme in ("friendly", "github-dark")}
    pages.write(
        path,
        "notebook.html.j2",
        title=_title(notebook) or name,
        answer=answer(path.parent, name, bool(error)),
        error=error,
        left=left,
        before=order[at - 1] if at else None,
        after=order[at + 1] if at + 1 < len(order) else None,
        headings=[(n, Markup(i), Markup(text)) for n, i, text in _HEADING.findall(cells)],
        head=Markup(head + end),
        cells=Markup(rest),
        light=Markup(style["friendly"]),
        dark=Markup(style["github-dark"]),
    )


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
        text = (
            re.sub(r"(?<=printed numbers: )condition[^.]+", r'<a href="#Conditions">\g<0></a>', text)
            if listed
            else text
        )
        return f'<caption id="table-{n}"{start}><a href="#table-{n}">Table {n}.</a> {text}</caption>'

    def figure(found):
        n, (image, _, alt) = next(figures), found.groups()
        text = re.split(r"[.:;] ", alt)[0].rstrip(".")
        number = f'<a href="#figure-{n}">Figure {n}.</a>'
        return f'<figure id="figure-{n}">{image}<figcaption>{number} {text}.</figcaption></figure>'

    html = re.sub(r"<caption([^>]*)>(.*?)</caption>", table, html, flags=re.DOTALL)
    # nbconvert quotes an attribute that holds a quotation mark by apostrophes.
    return re.sub(r"""<figure>(<img alt=(["'])(.*?)\2[^>]*>)</figure>""", figure, html)


def _title(notebook):
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    heading = re.search(r"^#+\s+(.+?)\s*#*$", text, re.MULTILINE)
    return heading and re.sub(r"\[([^]]*)\]\([^)]*\)|[*`]", r"\1", heading[1])
