"""What papers report of a reporting checklist: a dot an item, a row a section, a column a paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from brainlib.papers.reporting import Item, by_section, checklist
from brainlib.report.figures import style
from brainlib.report.figures.style import Plot

_DOT = {"marker": "o", "ms": 9, "mew": 1.3, "ls": "", "color": style.COLOURS[0]}
_LOOKS = {
    "reported": _DOT,
    "partly": _DOT | {"fillstyle": "left", "markerfacecoloralt": "white"},
    "not reported": _DOT | {"mfc": "white"},
    "not applicable": {"marker": "_", "ms": 5, "mew": 1.5, "ls": "", "color": "0.5"},
}
_FEWEST = 3  # columns for which there is room, so that the legend fits


def reporting(papers: Mapping[str, Sequence[Item]]) -> Plot:
    """Draw the items of the checklist by paper and section, in the order of their numbers, and how many are reported.

    The items are those of `papers.reporting.reporting_of`, by the id of the paper.
    """
    style.expect(papers, "a paper", all(papers.values()))
    rows = {paper: list(by_section(items).values()) for paper, items in papers.items()}
    sections = next(iter(rows.values()))
    step, columns = max(map(len, sections)) + 1.2, max(_FEWEST, len(papers))  # of a column, in dots
    figure, axes = style.panel(2.6 + 0.19 * step * columns, 1.2 + 0.27 * len(sections))
    described = []
    for column, (paper, items) in enumerate(papers.items()):
        left = column * step
        for status, look in _LOOKS.items():
            dots = [
                (left + place, row)
                for row, section in enumerate(rows[paper])
                for place, item in enumerate(section)
                if item.status == status
            ]
            axes.plot([x for x, _ in dots], [y for _, y in dots], **look)
        reported, partly, apply = _counts(items)
        axes.text(left - 0.4, len(sections), f"{reported} + {partly} of {apply}", va="center", fontsize=9)
        described.append(f"{paper} {reported} and {partly} of {apply}")
    labels = [f"{section[0].section} ({section[0].number} to {section[-1].number})" for section in sections]
    axes.set_yticks(range(len(labels) + 1), [*labels, "reported + partly, of all that apply"], fontsize=9)
    axes.set_xticks([column * step - 0.4 for column in range(len(papers))], papers, ha="left", fontsize=10)
    axes.set(xlim=(-1, columns * step - 1), ylim=(len(labels) + 0.6, -0.6))
    axes.tick_params(length=0, labeltop=True, labelbottom=False)
    axes.spines[:].set_visible(False)
    axes.grid(visible=False)
    style.legend(figure, _LOOKS, loc="outside lower center")
    by_row = [
        f"{label} {', '.join(str(_counts(rows[paper][row])[0]) for paper in papers)}"
        for row, label in enumerate(labels)
    ]
    text = f"Items of {checklist().name}, reported and in part, of those that apply: {'; '.join(described)}."
    return Plot(figure, f"{text} Reported, by section, in this order of the papers: {'; '.join(by_row)}.")


def _counts(items):
    """Count the items that are reported, those reported in part, and those that apply."""
    statuses = [item.status for item in items]
    return statuses.count("reported"), statuses.count("partly"), len(items) - statuses.count("not applicable")
