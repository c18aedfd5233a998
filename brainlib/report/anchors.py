"""Anchors of a page's headings: set when a notebook is rendered, looked for when the index links there.

A link is made of what the page holds, so that none of the index can lead nowhere.
"""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path
from urllib.parse import quote

#: What a reader looks for, and the headings under which notebooks have it: the first that is there counts.
#: A heading is given without what it has in brackets at its end, such as the paper's number of a figure.
SECTIONS = {
    "possible": ("Are the printed numbers possible?",),
    "copies": ("Without copies",),
    "controls": ("Controls",),
    "t-test": ("The t-test",),
    "certainty": ("How sure these numbers are",),
    "seeds": ("Over seeds",),
    "curves": ("Learning curves", "Training"),
    "heat maps": ("Where the models look",),
    "verdicts": ("Verdict",),
}


def anchor(heading: str) -> str:
    """Name the anchor of a heading: its words in lower case, without a bracket at its end."""
    words = re.findall(r"\w+", re.sub(r"\([^()]*\)\s*$", "", heading).lower())
    return "-".join(words) or "section"


def anchored(html: str) -> str:
    """Give every heading that has no anchor one of its own; of two with one name the later are numbered."""
    taken = set(re.findall(r'\bid="([^"]+)"', html))

    def with_anchor(match):
        level, inner = match.groups()
        name = wanted = anchor(unescape(re.sub(r"<[^>]*>", "", inner)))
        number = 1
        while name in taken:
            number += 1
            name = f"{wanted}-{number}"
        taken.add(name)
        return f'<{level} id="{name}">{inner}</{level}>'

    return re.sub(r"<(h[1-6])>(.*?)</\1>", with_anchor, html, flags=re.DOTALL)


def sections(page: Path) -> dict[str, str]:
    """Links from beside a page to its parts, by the names in `SECTIONS`; a part that is not there has none.

    Parameters
    ----------
    page : Path
        A page as `report.run_notebook` writes it; one that is missing or unreadable has no parts.
    """
    try:
        html = page.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return {}
    there = set(re.findall(r'<h[1-6] id="([^"]+)"', html))
    links = {}
    for name, headings in SECTIONS.items():
        for found in [each for each in map(anchor, headings) if each in there][:1]:
            links[name] = f"{quote(page.name)}#{quote(found)}"
    return links
