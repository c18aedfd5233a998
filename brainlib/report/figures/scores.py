"""Scores of predictions: ROC curves, metrics and accuracies with intervals, confusion matrices and reliability."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator
from sklearn.metrics import roc_curve

from brainlib.errors import UsageError
from brainlib.papers.printed import Printed
from brainlib.report.figures import style
from brainlib.report.figures.style import WIDTH, Plot
from brainlib.report.headlines import SHORTCUTS, Headline
from brainlib.report.table import PERCENT, Format
from brainlib.stats.calibration import Calibration
from brainlib.stats.estimates import Estimate
from brainlib.stats.intervals import proportion_interval
from brainlib.stats.metrics import area_under_roc
from brainlib.stats.predictions import decide

_NAMES = {"auc": "AUC", "f1": "F1"}
_DIAMOND = {"marker": "D", "mfc": "none", "mec": "black", "mew": 1.3, "ms": 8, "ls": ""}
_BANDS = 3  # curves whose bands can still be told apart


def roc(
    predictions: Mapping[str, pd.DataFrame], classes: Sequence[str], positive: str, order: Sequence[str] = ()
) -> Plot:
    """Draw the ROC curves of several arms, with the area under each; the score is the probability of `positive`.

    Of up to three arms, a band shows the 95 % interval of the sensitivity at each threshold. The predictions are
    of one split, by the title of the arm; see `predictions.decide`, also for what is refused. `order` as in
    `learning_curves`.
    """
    style.expect(predictions, "an arm")
    figure, axes = style.panel(WIDTH, 4.6)
    described, looks = [], style.looks(predictions, order)
    for title, table in predictions.items():
        decisions, look = decide(table, classes, positive), looks[title]
        truth, score = decisions.truth == decisions.positive, decisions.probabilities[:, decisions.positive]
        area, n = area_under_roc(truth, score), int(truth.sum())
        # Without an image of either class there is no rate to draw: only the legend says so.
        x, y, thresholds = ([], [], []) if math.isnan(area) else roc_curve(truth, score)
        line = look | {"marker": "", "lw": 2, "clip_on": False}
        axes.plot(x, y, label=style.wrapped(f"{title}: AUC\N{NO-BREAK SPACE}{style.number(area)}", 42), **line)
        if len(x) and len(predictions) <= _BANDS:
            own, groups = score[truth], decisions.groups[truth]
            band = [proportion_interval(own >= threshold, groups) for threshold in thresholds]
            limits = [limit.low for limit in band], [limit.high for limit in band]
            axes.fill_between(x, *limits, color=look["color"], alpha=0.12, lw=0)
        described.append(f"{title}: AUC {style.number(area)} ({n} of {len(truth)} images positive)")
    axes.plot([0, 1], [0, 1], ":", color="0.45", lw=1.5, label="chance: AUC 0.5", zorder=1)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", title=f"ROC, positive class: {positive}")
    axes.set(xlabel="False positive rate (1 - specificity)", ylabel="True positive rate (sensitivity)")
    # The figure's, not the axes': beside axes of fixed aspect the layout would not make room.
    figure.legend(loc="outside right upper", frameon=False)
    return Plot(figure, f"ROC curves for the positive class {positive}. {'; '.join(described)}.")


def metrics(
    estimates: Mapping[str, Mapping[str, Estimate]],
    printed: Mapping[str, Mapping[str, Printed | None]] | None = None,
    order: Sequence[str] = (),
) -> Plot:
    """Draw scores of several arms with their 95 % intervals, beside the printed ones, by arm's title and metric.

    There is one panel a metric and one row an arm. A value outside [0, 1] is a UsageError, and so is a printed value of
    an arm that has no estimates. `order` as in `learning_curves`.
    """
    printed = printed or {}
    style.expect(estimates, "an arm", all(estimates.values()))
    if unknown := printed.keys() - estimates.keys():
        raise UsageError(
            f"printed values: expected arms of {', '.join(estimates)}, received {', '.join(sorted(unknown))}"
        )
    names = list(dict.fromkeys(m for d in (estimates, printed) for a in d.values() for m in a))
    figure = style.figure(WIDTH, 1.3 + 0.32 * len(estimates))
    panels = figure.subplots(1, len(names), sharex=True, sharey=True, squeeze=False)[0]
    described, drawn, looks = dict.fromkeys(estimates, ""), [], style.looks(estimates, order)
    for axes, metric in zip(panels, names, strict=True):
        style.tidy(axes)
        axes.grid(visible=False, axis="y")
        axes.set_title(style.wrapped(_NAMES.get(metric, metric.capitalize()), 14), fontsize=10)
        axes.tick_params(axis="x", labelsize=style.SMALL)
        axes.xaxis.set_major_locator(MaxNLocator(max(3, 8 // len(names)), steps=[1, 2, 5, 10]))
        for y, title in enumerate(estimates):
            values, look = [], {"color": looks[title]["color"], "marker": "o", "ms": 6}
            if estimate := estimates[title].get(metric):
                score = [_fraction(estimate.value), estimate.low, estimate.high]
                values.append(style.number(*score))
                drawn += score
                style.mark(axes, y, *score, **look)
                if math.isnan(estimate.value):
                    text = {"ha": "center", "va": "center", "fontsize": style.SMALL}
                    axes.text(0.5, y, "undefined", transform=axes.get_yaxis_transform(), **text)
            if number := printed.get(title, {}).get(metric):
                value = _fraction(number.value)
                values.append(f"printed {Format().printed(number).text(unit=False)}")
                drawn.append(value)
                axes.plot(value, y, clip_on=False, **_DIAMOND)
            if values:
                described[title] += f"; {_NAMES.get(metric, metric)} {', '.join(values)}"
    style.percent_axis(axes.xaxis, drawn)
    axes.set_ylim(len(estimates) - 0.5, -0.5)
    axes.set_yticks(range(len(estimates)), [style.wrapped(title, 30) for title in estimates], fontsize=9)
    figure.supxlabel("Score (%), with 95 % interval", fontsize=10)
    if printed:
        style.legend(figure, {"printed in the paper": _DIAMOND})
    texts = ". ".join(title + text.replace(";", ":", 1) for title, text in described.items())
    return Plot(figure, f"Scores with 95 % intervals. {texts}.")


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
    height = min(0.44, (style.HEIGHT - 1.4) / len(rows))  # inches of a row
    figure, axes = style.panel(WIDTH, 1.4 + height * len(rows))
    letters, size = (48, 10) if height > 0.4 else (72, 7)  # of a line
    axes.set_yticks(range(len(rows)), [style.wrapped(label, letters) for label in labels], fontsize=size)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    described, values, drawn = [], [], set()
    for y, row in enumerate(rows):
        texts = []
        scores = {"printed": PERCENT.printed(row.claim.number), ours: PERCENT.score(row.claim.reproduced)}
        scores |= {"without duplicates": PERCENT.score(row.claim.without_duplicates)}
        scores |= {name: PERCENT.score(row.shortcut(name)) for name in SHORTCUTS}
        for name, score in scores.items():
            if score.number:
                style.mark(axes, y + shifts[name], score.value, score.low, score.high, **marks[name])
                texts.append(f"{name} {score.text(unit=True)}")
                values += [score.value, score.low, score.high]
                drawn.add(name)
        described.append(f"{row.paper}, {row.name}: {', '.join(texts)}{'' if row.comparable else ' (not comparable)'}")
    note = "" if all(row.comparable for row in rows) else "\n* not comparable with the paper"
    style.percent_axis(axes.xaxis, values)
    axes.set_xlabel(f"Accuracy (%), with 95 % intervals{note}")
    style.legend(figure, {name: mark for name, mark in marks.items() if name in drawn})
    return Plot(figure, f"Accuracies. {'; '.join(described)}.")


def confusion(tables: Mapping[str, pd.DataFrame]) -> Plot:
    """Draw confusion matrices side by side, by title: counts, over the share of each true class as a shade.

    See `Decisions.confusion`; all are of the same classes. Where there is room the share is written as well.
    """
    style.expect(tables, "a confusion matrix")
    classes = list(next(iter(tables.values())).index)
    figure, grid = style.multiples(list(tables), 5, 0.55 + 0.75 * len(classes), heads=1.5)
    side = (figure.get_figwidth() - 1.5) / grid.shape[1]
    roomy = side / len(classes) > 0.6  # inches a cell
    described = []
    for axes, (title, table) in zip(grid.flat, tables.items(), strict=False):
        totals = table.sum(axis="columns")
        shares = 100 * table.div(totals, axis="index")  # nan in the row of a class without an image
        mesh = axes.pcolormesh(shares.fillna(0), cmap="Blues", vmin=0, vmax=100, edgecolors="white", lw=1)
        for (i, j), share in np.ndenumerate(shares.to_numpy()):
            text = f"{table.iloc[i, j]}"
            if roomy:
                text += "\n-" if math.isnan(share) else f"\n{share:.1f} %"
            look = {"ha": "center", "va": "center", "color": "white" if share > 60 else "0.1"}
            axes.text(j + 0.5, i + 0.5, text, fontsize=9 if roomy else style.SMALL, **look)
        at = np.arange(len(classes)) + 0.5
        axes.set(aspect="equal", ylim=(len(classes), 0))
        axes.set_xticks(at, classes, rotation=0 if len(classes) == 2 else 90)
        axes.set_yticks(at, classes)
        axes.tick_params(length=0, labelsize=style.SMALL)
        axes.spines[:].set_visible(False)
        rows = "; ".join(
            f"of {total} {true}, {', '.join(f'{n} predicted {name}' for name, n in row.items())}"
            for (true, row), total in zip(table.iterrows(), totals, strict=True)
        )
        described.append(f"{title}: {rows}.")
    figure.supxlabel("Predicted class", fontsize=10)
    figure.supylabel("True class", fontsize=10)
    bar = figure.colorbar(mesh, ax=grid, shrink=0.9, aspect=25, pad=0.02)
    bar.set_label("Share of the true class (%)", fontsize=9)
    bar.ax.tick_params(labelsize=style.SMALL)
    bar.outline.set_visible(False)
    return Plot(figure, f"Confusion {'matrix' if len(tables) == 1 else 'matrices'}. {' '.join(described)}")


def reliability(calibrations: Mapping[str, Calibration], title: str, order: Sequence[str] = ()) -> Plot:
    """Draw accuracy against confidence, with Wilson's 95 % interval of each bin, by the title of the arm.

    `order` as in `learning_curves`.
    """
    style.expect(calibrations, "an arm")
    names = [f"{name}\nerror {100 * each.error:.1f} %" for name, each in calibrations.items()]
    figure, grid = style.multiples(names, 5, 2.7, heads=0.9)
    described, looks = [], style.looks(calibrations, order)
    for axes, (name, each) in zip(grid.flat, calibrations.items(), strict=False):
        curve = pd.DataFrame(each.curve)
        limits = np.abs(curve[["low", "high"]].to_numpy().T - curve["accuracy"].to_numpy())
        look = {"color": looks[name]["color"], "marker": "o", "ms": 4, "lw": 1.5, "capsize": 2}
        axes.plot([0, 1], [0, 1], ":", color="0.45", lw=1.5, zorder=1)
        axes.errorbar(curve["confidence"], curve["accuracy"], limits, **look)
        style.tidy(axes)
        top = curve.iloc[-1]
        described.append(
            f"{name}: expected calibration error {100 * each.error:.1f} %; of {top['images']:.0f} images "
            f"predicted with a mean confidence of {top['confidence']:.2f}, {100 * top['accuracy']:.0f} % are correct"
        )
    grid[0, 0].set(xlim=(0, 1.02), ylim=(0, 1.03), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
    figure.supxlabel("Confidence (probability of the predicted class)", fontsize=10)
    figure.supylabel("Accuracy", fontsize=10)
    figure.suptitle(style.wrapped(title, 90), fontsize=11)
    return Plot(figure, f"Reliability curves, {title}. {'; '.join(described)}.")


def _fraction(value: float) -> float:
    if not math.isnan(value) and not 0 <= value <= 1:
        raise UsageError(f"expected a score between 0 and 1, received {value!r}; give fractions")
    return value
