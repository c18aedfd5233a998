"""Scores of predictions: ROC curves, metrics with intervals, confusion matrices and reliability."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from sklearn.metrics import roc_curve

from brainlib.errors import UsageError
from brainlib.report.figures import style
from brainlib.report.figures.style import WIDTH, Plot
from brainlib.stats.calibration import Calibration
from brainlib.stats.estimates import Estimate
from brainlib.stats.metrics import area_under_roc
from brainlib.stats.predictions import decide

_NAMES = {"auc": "AUC", "f1": "F1"}


def roc(predictions: Mapping[str, pd.DataFrame], classes: Sequence[str], positive: str) -> Plot:
    """Draw the ROC curves of several arms, with the area under each; the score is the probability of `positive`.

    The predictions are of one split, by the title of the arm; see `predictions.decide`, also for what is refused.
    """
    style.expect(predictions, "an arm")
    figure, axes = style.panel(WIDTH, 5.0)
    described = []
    for i, (title, table) in enumerate(predictions.items()):
        decisions = decide(table, classes, positive)
        truth, score = decisions.truth == decisions.positive, decisions.probabilities[:, decisions.positive]
        area = area_under_roc(truth, score)
        # Without an image of either class there is no rate to draw: only the legend says so.
        x, y = ([], []) if math.isnan(area) else roc_curve(truth, score)[:2]
        line = {"ls": style.DASHES[i % len(style.DASHES)], "color": style.colour(i), "lw": 2, "clip_on": False}
        axes.plot(x, y, label=style.wrapped(f"{title}\nAUC {style.number(area)}", 38), **line)
        images = f"{truth.sum()} of {len(truth)} images positive"
        described.append(f"{title}: AUC {style.number(area)} ({images})")
    axes.plot([0, 1], [0, 1], ":", color="0.45", lw=1.5, label="chance\nAUC 0.5", zorder=1)
    axes.set(
        xlim=(0, 1),
        ylim=(0, 1),
        aspect="equal",
        xlabel="False positive rate (1 - specificity)",
        ylabel="True positive rate (sensitivity)",
        title=f"ROC, positive class: {positive}",
    )
    # The figure's, not the axes': beside axes of fixed aspect the layout would not make room.
    figure.legend(loc="outside right upper", frameon=False, labelspacing=0.9)
    return Plot(figure, f"ROC curves for the positive class {positive}. {'; '.join(described)}.")


def metric_bars(
    estimates: Mapping[str, Mapping[str, Estimate]], printed: Mapping[str, Mapping[str, float]] | None = None
) -> Plot:
    """Draw scores of several arms with their 95 % intervals, beside the printed ones, by arm's title and metric.

    An interval that exceeds the axis from 0 to 1 (the t interval of few folds may) has no cap there. A value outside
    [0, 1] is a UsageError, and so is a printed value of an arm that has no estimates.
    """
    printed = printed or {}
    style.expect(estimates, "an arm", all(estimates.values()))
    if unknown := printed.keys() - estimates.keys():
        raise UsageError(
            f"printed values: expected arms of {', '.join(estimates)}, received {', '.join(sorted(unknown))}"
        )
    metrics = list(dict.fromkeys(m for d in (estimates, printed) for a in d.values() for m in a))
    figure, axes = style.panel(WIDTH, 4.8)
    width = min(0.4, 0.8 / len(estimates))
    described = []
    for i, title in enumerate(estimates):
        of_arm = []
        for j, metric in enumerate(metrics):
            x = j + width * (i - (len(estimates) - 1) / 2)
            values = []
            if estimate := estimates[title].get(metric):
                values.append(style.limits(estimate.value, estimate.low, estimate.high))
                _bar(axes, x, estimate, width=0.9 * width, color=style.colour(i), label=title)
            if metric in printed.get(title, {}):
                value = printed[title][metric]
                values.append(f"printed {value:.3f}")
                diamond = {"mfc": "white", "mec": "black", "ms": 7, "zorder": 3, "clip_on": False}
                axes.plot(x, _fraction(value), "D", label="printed in the paper", **diamond)
            if values:
                of_arm.append(f"{_NAMES.get(metric, metric)} {', '.join(values)}")
        described.append(f"{title}: {'; '.join(of_arm)}")
    axes.set(
        xticks=range(len(metrics)),
        xticklabels=[style.wrapped(_NAMES.get(m, m.capitalize()), 14) for m in metrics],
        xlim=(-0.5, len(metrics) - 0.5),
        ylim=(0, 1.03),
        ylabel="Score (0 to 1)",
        title="Scores with 95 % intervals",
    )
    axes.grid(visible=False, axis="x")
    style.legend_below(figure, axes)
    return Plot(figure, f"Scores with 95 % intervals. {'. '.join(described)}.")


def confusion(table: pd.DataFrame, title: str) -> Plot:
    """Draw a confusion matrix as a heat map: counts, and shares of each true class; see `Decisions.confusion`."""
    totals, c = table.sum(axis="columns"), len(table)
    shares = 100 * table.div(totals, axis="index")  # nan in the row of a class without an image
    texts = table.astype(str) + "\n" + shares.map("{:.1f} %".format).replace("nan %", "-")
    figure = style.figure(3.2 + 1.4 * c, 1.9 + 0.9 * c)
    axes = sns.heatmap(
        shares.fillna(0),
        annot=texts,
        fmt="",
        cmap="Blues",
        vmin=0,
        vmax=100,
        linewidths=1,
        cbar_kws={"label": "Share of the true class (%)"},
        annot_kws={"fontsize": 11},
        ax=figure.subplots(),
    )
    axes.set(xlabel="Predicted class", ylabel="True class", title=style.wrapped(title, 14 * c + 16))
    axes.tick_params(length=0, rotation=0)
    rows = "; ".join(
        f"of {total} {true}, {', '.join(f'{n} predicted {name}' for name, n in row.items())}"
        for (true, row), total in zip(table.iterrows(), totals, strict=True)
    )
    return Plot(figure, f"Confusion matrix, {title}: {rows}.")


def reliability(calibrations: Mapping[str, Calibration], title: str) -> Plot:
    """Draw accuracy against confidence, with Wilson's 95 % interval of each bin, by the title of the arm."""
    style.expect(calibrations, "an arm")
    figure, axes = style.panel(WIDTH, 4.6)
    axes.plot([0, 1], [0, 1], ":", color="0.45", lw=1.5, label="confidence = accuracy", zorder=1)
    described = []
    for i, (name, each) in enumerate(calibrations.items()):
        curve = pd.DataFrame(each.curve)
        shift = 0.006 * (i - (len(calibrations) - 1) / 2)  # so that intervals do not hide each other
        axes.errorbar(
            curve["confidence"] + shift,
            curve["accuracy"],
            yerr=np.abs(curve[["low", "high"]].to_numpy().T - curve["accuracy"].to_numpy()),
            color=style.colour(i),
            marker=style.MARKERS[i % len(style.MARKERS)],
            lw=1.5,
            capsize=2,
            label=style.wrapped(f"{name}\nerror {100 * each.error:.1f} %", 38),
        )
        top = curve.iloc[-1]
        described.append(
            f"{name}: expected calibration error {100 * each.error:.1f} %; of {top['images']:.0f} images "
            f"predicted with a mean confidence of {top['confidence']:.2f}, {100 * top['accuracy']:.0f} % are correct"
        )
    axes.set(
        xlim=(0, 1.02),
        ylim=(0, 1.03),
        xlabel="Confidence (probability of the predicted class)",
        ylabel="Accuracy (fraction of images)",
        title=style.wrapped(title, 70),
    )
    figure.legend(loc="outside right upper", frameon=False, labelspacing=0.9)
    return Plot(figure, f"Reliability curves, {title}. {'; '.join(described)}.")


def _bar(axes: Axes, x: float, estimate: Estimate, **options) -> None:
    axes.bar(x, np.nan_to_num(_fraction(estimate.value)), **options)
    if math.isnan(estimate.value):
        axes.text(x, 0.02, "undefined", rotation=90, ha="center", va="bottom", fontsize=9)
    elif not math.isnan(estimate.low + estimate.high):
        # Not errorbar: a bootstrap interval need not contain the value.
        axes.plot([x, x], [estimate.low, estimate.high], color="0.15", marker="_", markersize=7, lw=1.3)


def _fraction(value: float) -> float:
    if not math.isnan(value) and not 0 <= value <= 1:
        raise UsageError(f"expected a score between 0 and 1, received {value!r}; give fractions")
    return value
