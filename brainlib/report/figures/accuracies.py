"""A forest plot of accuracies: printed ones against a run."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.lines import Line2D

from brainlib.report.figures import style
from brainlib.report.figures.style import WIDTH, Plot
from brainlib.report.headlines import SHORTCUTS, Headline
from brainlib.report.table import PERCENT
from brainlib.stats.estimates import Estimate


def forest(rows: Sequence[Headline], ours: str = "this run") -> Plot:
    """Draw accuracies as printed, in a run, without duplicates, and what the model's shortcuts score.

    The rows, see `report.headlines`, are drawn from top to bottom. A score without an interval is a marker alone.
    `ours` is the name of the run.
    """
    style.expect(rows, "an accuracy")
    marks = {
        "printed": {"color": style.COLOURS[1], "marker": "D", "mfc": "none", "mew": 1.6, "ms": 8, "ls": ""},
        ours: {"color": "0.1", "marker": "o", "ms": 6},
        "without duplicates": {"color": style.COLOURS[0], "marker": "o", "mfc": "white", "ms": 6},
        "labels drawn at random": {"color": style.COLOURS[4], "marker": "X", "ms": 7},
        "brain masked out": {"color": style.COLOURS[3], "marker": "s", "mfc": "white", "ms": 6},
    }
    shifts = dict(zip(marks, (-0.2, -0.2, 0.0, 0.2, 0.36), strict=True))
    several = len({row.paper for row in rows}) > 1
    labels = [f"{f'{row.paper}: ' * several}{row.name}{'' if row.comparable else '*'}" for row in rows]
    height = min(0.46, (style.HEIGHT - 1.4) / len(rows))  # inches of a row
    figure, axes = style.panel(WIDTH, 1.4 + height * len(rows))
    letters, size = (48, 10) if height > 0.4 else (72, 7)  # of a line
    axes.set_yticks(range(len(rows)), [style.wrapped(label, letters) for label in labels], fontsize=size)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    described, values, drawn = [], [], set()
    for y, row in enumerate(rows):
        texts = []
        scores = {"printed": (row.claim.value, math.nan, math.nan), ours: _limits(row.claim.reproduced)}
        scores |= {"without duplicates": _limits(row.claim.without_duplicates)}
        scores |= {name: _limits(row.shortcut(name)) for name in SHORTCUTS}
        for name, score in scores.items():
            if not math.isnan(score[0]):
                style.mark(axes, y + shifts[name], *score, **marks[name])
                texts.append(f"{name} {PERCENT.text(*score)}")
                values += score
                drawn.add(name)
        described.append(f"{row.paper}, {row.name}: {', '.join(texts)}{'' if row.comparable else ' (not comparable)'}")
    note = "" if all(row.comparable for row in rows) else "\n* not comparable with the paper"
    style.percent_axis(axes.xaxis, values)
    axes.set_xlabel(f"Accuracy (%), with 95 % intervals{note}")
    shown = {name: Line2D([], [], **mark) for name, mark in marks.items() if name in drawn}
    figure.legend(shown.values(), shown, loc="outside upper right", ncols=len(shown), frameon=False)
    return Plot(figure, f"Accuracies. {'; '.join(described)}.")


def _limits(score: Estimate | None) -> tuple[float, float, float]:
    return (score.value, score.low, score.high) if score else (math.nan,) * 3
