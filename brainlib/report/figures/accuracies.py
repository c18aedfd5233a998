"""Scores in rows with their intervals: printed accuracies against a run (forest plot), and rankings of models."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from brainlib.report.figures import style
from brainlib.report.figures.style import WIDTH, Plot
from brainlib.report.headlines import SHORTCUTS, Headline
from brainlib.report.table import PERCENT, PERCENT1
from brainlib.stats.estimates import Estimate


def forest(rows: Sequence[Headline], ours: str = "this run") -> Plot:
    """Draw accuracies as printed, in a run, without duplicates, and what the model's shortcuts score.

    The rows, see `report.headlines`, are drawn from top to bottom. A score without an interval is a marker alone.
    `ours` is the name of the run.
    """
    style.expect(rows, "an accuracy")
    marks = {
        "printed": {"color": style.colour(1), "marker": "D", "mfc": "none", "mew": 1.6, "ms": 8, "ls": ""},
        ours: {"color": "0.1", "marker": "o", "ms": 6},
        "without duplicates": {"color": style.colour(0), "marker": "o", "mfc": "white", "ms": 6},
        "labels drawn at random": {"color": style.colour(4), "marker": "X", "ms": 7},
        "brain masked out": {"color": style.colour(3), "marker": "s", "mfc": "white", "ms": 6},
    }
    shifts = dict(zip(marks, (-0.2, -0.2, 0.0, 0.2, 0.36), strict=True))
    several = len({row.paper for row in rows}) > 1
    labels = [f"{f'{row.paper}: ' * several}{row.name}{'' if row.comparable else '*'}" for row in rows]
    figure, axes = _rows(labels, 0.46)
    described, lowest, drawn = [], 1.0, set()
    for y, row in enumerate(rows):
        texts = []
        scores = {"printed": (row.claim.value, math.nan, math.nan), ours: _limits(row.claim.reproduced)}
        scores |= {"without duplicates": _limits(row.claim.without_duplicates)}
        scores |= {name: _limits(row.shortcut(name)) for name in SHORTCUTS}
        for name, score in scores.items():
            if not math.isnan(score[0]):
                style.mark(axes, y + shifts[name], *score, **marks[name])
                texts.append(f"{name} {PERCENT.text(*score)}")
                lowest = float(np.nanmin([lowest, *score]))
                drawn.add(name)
        described.append(f"{row.paper}, {row.name}: {', '.join(texts)}{'' if row.comparable else ' (not comparable)'}")
    note = "" if all(row.comparable for row in rows) else "\n* not comparable with the paper"
    axes.set(xlim=(math.floor(20 * lowest) / 20, 1), xlabel=f"Accuracy (%), with 95 % intervals{note}")
    axes.xaxis.set_major_formatter(PercentFormatter(1, 0, symbol=""))
    shown = {name: Line2D([], [], **mark) for name, mark in marks.items() if name in drawn}
    figure.legend(shown.values(), shown, loc="outside upper right", ncols=len(shown), frameon=False)
    return Plot(figure, f"Accuracies. {'; '.join(described)}.")


def ranking(estimates: Mapping[str, Estimate], metric: str, title: str, not_run: Sequence[str] = ()) -> Plot:
    """Draw one score in [0, 1] of many models by name, the best at the top, each with its 95 % interval.

    The models `not_run` are named below.
    """
    style.expect(estimates, "a model")
    ranked = sorted(estimates, key=lambda name: -np.nan_to_num(estimates[name].value))
    figure, axes = _rows(ranked, 0.3)
    axes.set_title(style.wrapped(title, 80), fontsize=11)
    described, scores = [], [_limits(estimates[name]) for name in ranked]
    for y, (name, score) in enumerate(zip(ranked, scores, strict=True)):
        style.mark(axes, y, *score, color="0.1", marker="o", ms=6)
        text = {"transform": axes.get_yaxis_transform(), "va": "center", "fontsize": 9}
        axes.text(1.02, y, PERCENT1.number(score[0]), **text)
        described.append(f"{name} {style.limits(*score)}")
    style.percent_axis(axes.xaxis, [value for score in scores for value in score])
    left = f"Not run: {', '.join(not_run)}." if not_run else ""
    axes.set_xlabel(style.wrapped(f"{metric.capitalize()} (%), with 95 % interval\n{left}", 90))
    return Plot(figure, f"{title}. {metric.capitalize()}, from best to worst: {'; '.join(described)}. {left}".strip())


def _rows(names: Sequence[str], height: float) -> tuple[Figure, Axes]:
    """Return a figure with one labelled row a name, from top to bottom."""
    figure, axes = style.panel(WIDTH, 1.4 + height * len(names))
    labels = [style.wrapped(name, 48) for name in names]
    axes.set(yticks=range(len(names)), yticklabels=labels, ylim=(len(names) - 0.4, -0.6))
    axes.grid(visible=False, axis="y")
    return figure, axes


def _limits(score: Estimate | None) -> tuple[float, float, float]:
    return (score.value, score.low, score.high) if score else (math.nan,) * 3
