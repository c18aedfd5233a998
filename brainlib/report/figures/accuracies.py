"""A forest plot of accuracies: as printed, in a run, and in the run without duplicates."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from brainlib.errors import PaperError
from brainlib.papers.printed import printed_number
from brainlib.report.figures import style
from brainlib.report.figures.style import WIDTH, Plot
from brainlib.report.table import PERCENT
from brainlib.study.records import Claim, PaperResult

_SERIES = ("printed", "this run, 95 % interval", "without duplicates, 95 % interval")


class Row(NamedTuple):
    """One accuracy, with the claim that prints it.

    Attributes
    ----------
    paper : str
        Id of the paper.
    name : str
        What the accuracy is of: arm, scenario, phase and stage.
    claim : Claim
        Its `reproduced` and `clean` are the scores of the run.
    printed : float
        The printed accuracy as a fraction.
    """

    paper: str
    name: str
    claim: Claim
    printed: float


def headlines(results: Mapping[str, PaperResult]) -> list[Row]:
    """Choose each printed accuracy that was computed in a run, once.

    Of an accuracy that is printed in several places, the first counts. Accuracies of single folds are
    left out, and those of validation images where the paper prints one of test images as well.

    Parameters
    ----------
    results : mapping of PaperResult
        By id of the paper.
    """
    chosen = {}
    for paper, result in results.items():
        for claim in result.claims:
            headline = claim.metric == "accuracy" and claim.over in ("value", "mean")
            whole = claim.stage in ("test", "validation", "folds")
            value = printed_value(claim)
            if headline and whole and value is not None and claim.reproduced and claim.reproduced.value is not None:
                place = (paper, claim.arm, claim.scenario, claim.phase, claim.stage, claim.label)
                chosen.setdefault(place, Row(paper, _name(result, claim), claim, value))
    tested = {place[:4] for place in chosen if place[4] == "test"}
    return [row for place, row in chosen.items() if place[4] != "validation" or place[:4] not in tested]


def printed_value(claim: Claim) -> float | None:
    """Return the printed number in natural units; None where it is not a number."""
    try:
        return printed_number(claim.printed, claim.unit).value
    except PaperError:
        return None


def forest(rows: Sequence[Row], title: str = "") -> Plot:
    """Draw accuracies as printed, in the run, and in the run without duplicates.

    Parameters
    ----------
    rows : sequence of Row
        From top to bottom; see `headlines`. A score without an interval is drawn as a marker alone.
    title : str

    Raises
    ------
    UsageError
        No row.
    """
    style.expect(rows, "an accuracy")
    figure = style.figure(WIDTH, 1.3 + 0.42 * len(rows))
    axes = figure.subplots()
    black, red, blue = "0.1", *(sns.color_palette("colorblind")[n] for n in (3, 0))
    described, lowest = [], 1.0
    for y, row in enumerate(rows):
        values = [f"printed {PERCENT.text(row.printed)}"]
        for name, score, height, colour, fill in (
            ("this run", row.claim.reproduced, y - 0.14, black, black),
            ("without duplicates", row.claim.clean, y + 0.22, blue, "white"),
        ):
            value, low, high = _limits(score)
            _mark(axes, height, value, low, high, colour, fill)
            values += [f"{name} {PERCENT.text(value, low, high)}"] if not math.isnan(value) else []
            lowest = min(lowest, row.printed, np.nan_to_num(low, nan=1), np.nan_to_num(value, nan=1))
        axes.plot(row.printed, y - 0.14, "D", mfc="none", mec=red, mew=1.6, ms=8, clip_on=False)
        described.append(f"{row.paper}, {row.name}: {', '.join(values)}")
    axes.set(
        yticks=range(len(rows)),
        yticklabels=[style.wrapped(f"{row.paper}: {row.name}", 48) for row in rows],
        ylim=(len(rows) - 0.4, -0.6),
        xlim=(max(0.0, math.floor(20 * lowest) / 20), 1),
        xlabel="Accuracy (%)",
    )
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f}"))
    axes.tick_params(axis="y", labelsize=9)
    style.tidy(axes)
    axes.grid(visible=False, axis="y")
    handles = (
        Line2D([], [], ls="", marker="D", mfc="none", mec=red, mew=1.6, ms=8),
        Line2D([], [], color=black, marker="o", lw=2),
        Line2D([], [], color=blue, marker="o", mfc="white", lw=2),
    )
    figure.legend(handles, _SERIES, loc="outside upper right", ncols=3, frameon=False, fontsize=9)
    if title:
        axes.set_title(style.wrapped(title, 80))
    return Plot(figure, f"{title or 'Accuracies'}. {'; '.join(described)}.")


def _mark(axes: Axes, y: float, value: float, low: float, high: float, colour, fill) -> None:
    axes.plot([low, high], [y, y], color=colour, lw=2, solid_capstyle="butt")
    axes.plot(value, y, "o", color=colour, mfc=fill, ms=6, clip_on=False)


def _limits(score) -> tuple[float, float, float]:
    """Value and limits of a score of the run; nan where there is none."""
    found = (score.value, score.low, score.high) if score else (None,) * 3
    return tuple(math.nan if each is None else each for each in found)


def _name(result: PaperResult, claim: Claim) -> str:
    title = result.arms[claim.arm].title if claim.arm in result.arms else claim.arm or "all arms"
    stage = {"folds": "mean of the folds"}.get(claim.stage, claim.stage)
    return ", ".join(filter(None, [title, claim.scenario, claim.phase, stage]))
