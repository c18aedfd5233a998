"""Scores in rows with their intervals: printed accuracies against a run (forest plot), and rankings of models."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from brainlib.report.figures import style
from brainlib.report.figures.style import WIDTH, Plot
from brainlib.report.table import PERCENT
from brainlib.stats.estimates import Estimate
from brainlib.study.records import PaperResult
from brainlib.study.verdicts import JudgedClaim


class Row(NamedTuple):
    """One accuracy as a printed fraction, and as computed on all test images and those without duplicates in training.

    ``paper`` is the id of the paper, ``name`` says what the accuracy is of (arm, scenario, phase and stage), and
    ``comparable`` whether the run can be compared with the paper.
    """

    paper: str
    name: str
    printed: float
    this_run: Estimate
    without_duplicates: Estimate | None
    comparable: bool = True
    claim: JudgedClaim | None = None


def headlines(results: Mapping[str, PaperResult]) -> list[Row]:
    """Choose each printed accuracy that was computed in a run, once; the results are by the id of the paper.

    Of an accuracy that is printed in several places, the first counts. Accuracies of single folds are left out, and
    those of validation images where the paper prints one of test images as well.
    """
    chosen = {}
    for paper, result in results.items():
        for claim in result.claims:
            headline = claim.metric and claim.metric.name == "accuracy" and claim.metric.over in ("value", "mean")
            whole = claim.stage in ("test", "validation", "folds")
            if headline and whole and claim.reproduced and not math.isnan(claim.reproduced.value):
                place = (paper, claim.arm, claim.scenario, claim.phase, claim.stage, claim.metric.label)
                scores = claim.value, claim.reproduced, claim.without_duplicates
                comparable = claim.verdict != "not comparable"
                chosen.setdefault(place, Row(paper, _name(result, claim), *scores, comparable, claim))
    tested = {place[:4] for place in chosen if place[4] == "test"}
    return [row for place, row in chosen.items() if place[4] != "validation" or place[:4] not in tested]


def forest(rows: Sequence[Row]) -> Plot:
    """Draw accuracies as printed, in the run, and in the run without duplicates.

    The rows, see `headlines`, are drawn from top to bottom. A score without an interval is a marker alone.
    """
    style.expect(rows, "an accuracy")
    marks = {
        "printed": {"color": style.colour(3), "marker": "D", "mfc": "none", "mew": 1.6, "ms": 8, "ls": ""},
        "this run": {"color": "0.1", "marker": "o", "ms": 6},
        "without duplicates": {"color": style.colour(0), "marker": "o", "mfc": "white", "ms": 6},
    }
    labels = [f"{row.paper}: {row.name}{'' if row.comparable else '*'}" for row in rows]
    figure, axes = _rows(labels, 0.42)
    described, lowest = [], 1.0
    for y, row in enumerate(rows):
        texts = []
        scores = (row.printed, math.nan, math.nan), _limits(row.this_run), _limits(row.without_duplicates)
        for (name, mark), score, shift in zip(marks.items(), scores, (-0.14, -0.14, 0.22), strict=True):
            if not math.isnan(score[0]):
                _mark(axes, y + shift, *score, **mark)
                texts.append(f"{name} {PERCENT.text(*score)}")
                lowest = float(np.nanmin([lowest, *score]))
        described.append(f"{row.paper}, {row.name}: {', '.join(texts)}{'' if row.comparable else ' (not comparable)'}")
    note = "" if all(row.comparable for row in rows) else "\n* not comparable with the paper"
    axes.set(xlim=(math.floor(20 * lowest) / 20, 1), xlabel=f"Accuracy (%), with 95 % intervals{note}")
    axes.xaxis.set_major_formatter(PercentFormatter(1, 0, symbol=""))
    figure.legend(
        [Line2D([], [], **mark) for mark in marks.values()], marks, loc="outside upper right", ncols=3, frameon=False
    )
    return Plot(figure, f"Accuracies. {'; '.join(described)}.")


def ranking(estimates: Mapping[str, Estimate], metric: str, title: str, not_run: Sequence[str] = ()) -> Plot:
    """Draw one score in [0, 1] of many models by name, the best at the top, each with its 95 % interval.

    The models `not_run` have a row without a score.
    """
    style.expect(estimates, "a model")
    ranked = sorted(estimates, key=lambda name: -np.nan_to_num(estimates[name].value))
    figure, axes = _rows([*ranked, *not_run], 0.36)
    axes.set_title(style.wrapped(title, 80))
    described = []
    for y, score in enumerate(_limits(estimates[name]) for name in ranked):
        _mark(axes, y, *score, color=style.colour(0), marker="o", ms=7)
        end = np.nanmax([0.0, *score])
        axes.annotate(style.number(score[0]), (end, y), (6, 0), textcoords="offset points", va="center", fontsize=9)
        described.append(f"{ranked[y]} {style.limits(*score)}")
    for y in range(len(ranked), len(ranked) + len(not_run)):
        axes.text(0.01, y, "not run", va="center", color="0.35", fontsize=9)
    axes.set(xlim=(0, 1.08), xticks=np.linspace(0, 1, 6), xlabel=f"{metric.capitalize()} with 95 % interval")
    left = f" Not run: {', '.join(not_run)}." if not_run else ""
    return Plot(figure, f"{title}. {metric.capitalize()}, from best to worst: {'; '.join(described)}.{left}")


def _rows(names: Sequence[str], height: float) -> tuple[Figure, Axes]:
    """Return a figure with one labelled row a name, from top to bottom."""
    figure, axes = style.panel(WIDTH, 1.4 + height * len(names))
    labels = [style.wrapped(name, 48) for name in names]
    axes.set(yticks=range(len(names)), yticklabels=labels, ylim=(len(names) - 0.4, -0.6))
    axes.grid(visible=False, axis="y")
    return figure, axes


def _mark(axes: Axes, y: float, value: float, low: float, high: float, **mark) -> None:
    axes.plot([low, high], [y, y], color=mark["color"], lw=2, solid_capstyle="butt")
    axes.plot(value, y, clip_on=False, **mark)


def _limits(score: Estimate | None) -> tuple[float, float, float]:
    return (score.value, score.low, score.high) if score else (math.nan,) * 3


def _name(result: PaperResult, claim: JudgedClaim) -> str:
    title = result.arms[claim.arm].title if claim.arm in result.arms else claim.arm or "all arms"
    stage = {"folds": "mean of the folds"}.get(claim.stage, claim.stage)
    collapsed = "collapsed" if claim.collapsed else ""
    return ", ".join(filter(None, [title, claim.scenario, claim.phase, stage, collapsed]))
