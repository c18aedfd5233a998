"""A figure of calibration: how often a model is right, by how sure it was."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import seaborn as sns

from brainlib.report.figures import style
from brainlib.report.figures.style import WIDTH, Plot
from brainlib.stats.calibration import Calibration


def reliability(found: Mapping[str, Calibration], title: str) -> Plot:
    """Accuracy against confidence, a line each with Wilson's 95 % intervals of the bins.

    Parameters
    ----------
    found : mapping of str to Calibration
        By the title of the arm.
    title : str

    Raises
    ------
    UsageError
        No arm.
    """
    style.expect(found, "an arm")
    figure = style.figure(WIDTH, 4.6)
    axes = figure.subplots()
    colours = sns.color_palette("colorblind", len(found))
    axes.plot([0, 1], [0, 1], ":", color="0.45", lw=1.5, label="confidence = accuracy", zorder=1)
    said = []
    for i, (name, each) in enumerate(found.items()):
        curve = each.curve
        reach = np.abs(curve[["low", "high"]].to_numpy().T - curve["accuracy"].to_numpy())
        shift = 0.006 * (i - (len(found) - 1) / 2)  # so that intervals do not hide each other
        axes.errorbar(
            curve["confidence"] + shift,
            curve["accuracy"],
            yerr=reach,
            color=colours[i],
            marker="os^Dv"[i % 5],
            lw=1.5,
            capsize=2,
            label=style.wrapped(f"{name}\nerror {100 * each.error:.1f} %", 38),
        )
        most = curve.iloc[-1]
        said.append(
            f"{name}: expected calibration error {100 * each.error:.1f} %; of {most['images']:.0f} images "
            f"called with a mean confidence of {most['confidence']:.2f}, {100 * most['accuracy']:.0f} % right"
        )
    axes.set(
        xlim=(0, 1.02),
        ylim=(0, 1.03),
        xlabel="Confidence (probability of the class called)",
        ylabel="Accuracy (fraction of images)",
    )
    axes.set_title(style.wrapped(title, 70))
    style.tidy(axes)
    figure.legend(loc="outside right upper", frameon=False, labelspacing=0.9)
    return Plot(figure, f"Reliability curves, {title}. {'; '.join(said)}.")
