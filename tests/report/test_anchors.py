"""Headings get anchors, and the parts of a page are found by them."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest

from brainlib.papers.loading import paper_ids
from brainlib.report.anchors import SECTIONS, anchor, anchored, sections

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"

# What shows each part: the cell below its heading calls one of these.
SHOWN_BY = {
    "possible": ("consistency.table(",),
    "copies": ("duplicates_table(",),
    "controls": ("control_table(",),
    "t-test": ("t_tests(",),
    "certainty": ("same_images(", "calibration_table("),
    "seeds": ("seeds_table(",),
    "curves": ("learning_curves(", "loss_curve("),
    "heat maps": ("grad_cam_panel(",),
    "verdicts": ("verdicts.table(",),
}


def test_every_heading_gets_an_anchor_of_its_own():
    html = anchored('<h1>A &amp; <em>B</em></h1><h2>Same (Figure 2)</h2><h3>Same</h3><h2 id="set">Set</h2><h2>Set</h2>')
    assert re.findall(r'<(h\d) id="([^"]*)"', html) == [
        ("h1", "a-b"),
        ("h2", "same"),
        ("h3", "same-2"),
        ("h2", "set"),
        ("h2", "set-2"),
    ]
    assert "<em>B</em></h1>" in html


def test_a_heading_of_no_words_has_an_anchor_too_and_none_breaks_out():
    html = anchored('<h2>!?</h2><h2>"><img src=x></h2>')
    assert re.findall(r'<h2 id="([^"]*)">', html) == ["section", "section-2"]


def test_the_parts_of_a_page_are_links_and_what_is_missing_has_none(tmp_path):
    page = tmp_path / "my paper.html"
    page.write_text(anchored("<h2>Training</h2><h3>Learning curves (Graphics 1 and 2)</h3><h2>Verdict</h2>"))
    assert sections(page) == {"curves": "my%20paper.html#learning-curves", "verdicts": "my%20paper.html#verdict"}


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe\x00", b"<h2>Verdict</h2>"])
def test_a_page_that_is_missing_or_damaged_has_no_parts(tmp_path, content):
    page = tmp_path / "lu.html"
    if content is not None:
        page.write_bytes(content)
    assert sections(page) == {}


@pytest.mark.parametrize("paper", paper_ids())
def test_each_part_of_a_notebook_stands_under_a_heading_that_is_looked_for(paper):
    parts = {}  # what stands under each anchor, deeper headings apart
    current = None
    for cell in nbformat.read(NOTEBOOKS / f"{paper}.ipynb", as_version=4).cells:
        if cell.cell_type == "markdown":
            for heading in re.findall(r"^#+ (.*)", cell.source, re.MULTILINE):
                current = anchor(heading)
        else:
            parts[current] = parts.get(current, "") + cell.source
    for name, headings in SECTIONS.items():
        found = [each for each in map(anchor, headings) if each in parts][:1]
        shown = [call for source in parts.values() for call in SHOWN_BY[name] if call in source]
        if shown:
            assert found and any(call in parts[found[0]] for call in SHOWN_BY[name]), name
        else:
            assert name in ("heat maps", "t-test") and not found  # of papers that show none
