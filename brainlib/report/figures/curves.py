"""Figures of the notebooks: each is a `Plot`, a figure with the text that stands for it.

A notebook cell that ends in one of these functions shows the figure. Its alternative text is made
from the data that were drawn, so it cannot contradict the picture.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from sklearn.metrics import roc_curve

from brainlib.errors import UsageError
from brainlib.report.figures import style
from brainlib.report.figures.style import DASHES, NAMES, WIDTH, Plot
from brainlib.stats.estimates import Estimate
from brainlib.stats.metrics import area_under_roc, decide


def learning_curves(histories: Mapping[str, pd.DataFrame], title: str, watched: str = "validation") -> Plot:
    """Loss and accuracy over the epochs, of the training and of the watched images.

    Parameters
    ----------
    histories : mapping of str to DataFrame
        `TrialResult.history` by the name of the trial, such as "fold 1"; a line each.
    title : str
        What was trained.
    watched : str
        The part that was predicted after every epoch (`Trial.monitored`).

    Raises
    ------
    UsageError
        No history, or one without an epoch.
    """
    style.expect(histories, "a history", all(map(len, histories.values())))
    panels = {
        "loss": "Training loss",
        "val_loss": f"{watched.capitalize()} loss",
        "accuracy": "Training accuracy",
        "val_accuracy": f"{watched.capitalize()} accuracy",
    }
    figure = style.figure(WIDTH, 6.4)
    axes = figure.subplots(2, 2, sharex=True, sharey="row").ravel()
    colours = sns.color_palette("colorblind", len(histories))
    for panel, (column, name_of_column) in zip(axes, panels.items(), strict=True):
        for i, (name, history) in enumerate(histories.items()):
            style.curve(panel, history, column, i, colours[i], name)
        panel.set_title(name_of_column)
    figure.suptitle(style.wrapped(title, 90))
    style.epochs(axes, histories.values())
    style.loss_axis(axes[0], [h[c] for h in histories.values() for c in ("loss", "val_loss")])
    axes[2].set(ylabel="Accuracy (fraction of images)", ylim=(0, 1.03))
    for panel in axes[2:]:
        panel.set_xlabel("Epoch")
    style.legend_below(figure, axes[0])
    last = [history.iloc[-1] for history in histories.values()]
    ends = "; ".join(f"{name.lower()} {style.span(row[column] for row in last)}" for column, name in panels.items())
    epochs = style.plural(style.span(map(len, histories.values()), "d"), "epoch")
    starts = "".join(f" {label}." for label in style.starts(histories.values()).values())
    alt = f"Learning curves of {title}, {', '.join(histories)}, over {epochs}.{starts}"
    return Plot(figure, f"{alt} After the last epoch: {ends}.")


def loss_curve(history: pd.DataFrame, title: str, watched: str) -> Plot:
    """Loss over the epochs of one trial, of the training and of the watched images.

    Parameters
    ----------
    history : DataFrame
        `TrialResult.history`.
    title : str
    watched : str
        The part that was predicted after every epoch (`Trial.monitored`).

    Raises
    ------
    UsageError
        A history without an epoch.
    """
    style.expect(history.index, "an epoch")
    figure = style.figure(WIDTH, 4.2)
    axes = figure.subplots()
    colours = sns.color_palette("colorblind")
    for i, (column, label) in enumerate({"loss": "training", "val_loss": watched}.items()):
        style.curve(axes, history, column, i, colours[i], label)
    style.epochs([axes], [history])
    style.loss_axis(axes, [history["loss"], history["val_loss"]])
    axes.set_xlabel("Epoch")
    axes.set_title(style.wrapped(title, 70))
    axes.legend(frameon=False)
    first, last = history.iloc[0], history.iloc[-1]
    starts = "".join(f" {label}." for label in style.starts([history]).values())
    changes = "; ".join(
        f"{label} loss from {style.number(first[column])} to {style.number(last[column])}"
        for column, label in (("loss", "training"), ("val_loss", watched))
    )
    epochs = style.plural(f"{len(history)}", "epoch")
    return Plot(figure, f"{title}, {epochs}: {changes}.{starts}")


def roc(predictions: Mapping[str, pd.DataFrame], classes: Sequence[str], positive: str) -> Plot:
    """ROC curves of several arms, with the area under each.

    Parameters
    ----------
    predictions : mapping of str to DataFrame
        Predictions of one part of the images by the title of the arm; see `metrics.decide`.
    classes : sequence of str
    positive : str
        The class whose probability is the score.

    Raises
    ------
    DataError
        Predictions that cannot be scored; see `metrics.decide`.
    UsageError
        No predictions, or an unknown positive class.
    """
    style.expect(predictions, "an arm")
    figure = style.figure(WIDTH, 5.0)
    axes = figure.subplots()
    colours = sns.color_palette("colorblind", len(predictions))
    said = []
    for i, (title, table) in enumerate(predictions.items()):
        decisions = decide(table, classes, positive)
        truth, score = decisions.truth == decisions.positive, decisions.probabilities
        score = score[:, decisions.positive]
        area = area_under_roc(truth, score)
        # Without an image of either class there is no rate to draw: only the legend says so.
        x, y = ([], []) if math.isnan(area) else roc_curve(truth, score)[:2]
        line = {"ls": DASHES[i % len(DASHES)], "color": colours[i], "lw": 2, "clip_on": False}
        axes.plot(x, y, label=style.wrapped(f"{title}\nAUC {style.number(area)}", 38), **line)
        images = f"{truth.sum()} of {len(truth)} images positive"
        said.append(f"{title}: AUC {style.number(area)} ({images})")
    axes.plot([0, 1], [0, 1], ":", color="0.45", lw=1.5, label="chance\nAUC 0.5", zorder=1)
    axes.set(
        xlim=(0, 1),
        ylim=(0, 1),
        aspect="equal",
        xlabel="False positive rate (1 - specificity)",
        ylabel="True positive rate (sensitivity)",
        title=f"ROC, positive class: {positive}",
    )
    style.tidy(axes)
    # The figure's, not the axes': beside axes of fixed aspect the layout would not make room.
    figure.legend(loc="outside right upper", frameon=False, labelspacing=0.9)
    return Plot(figure, f"ROC curves for the positive class {positive}. {'; '.join(said)}.")


def metric_bars(
    estimates: Mapping[str, Mapping[str, Estimate]],
    printed: Mapping[str, Mapping[str, float]] | None = None,
) -> Plot:
    """Scores of several arms with their 95 % intervals, beside the printed ones.

    Parameters
    ----------
    estimates : mapping of str to mapping of str to Estimate
        By the title of the arm and the metric. A whisker that runs out of the axis from 0 to 1 (the
        t interval of few folds may) has no cap there.
    printed : mapping of str to mapping of str to float, optional
        What the paper prints, as fractions, under the same titles.

    Raises
    ------
    UsageError
        No estimate, a value outside [0, 1], or a printed value of an arm that has no estimates.
    """
    printed = printed or {}
    style.expect(estimates, "an arm", all(estimates.values()))
    if strangers := printed.keys() - estimates.keys():
        raise UsageError(
            f"printed values: expected arms of {', '.join(estimates)}, received {', '.join(sorted(strangers))}"
        )
    metrics = list(dict.fromkeys(m for d in (estimates, printed) for a in d.values() for m in a))
    figure = style.figure(WIDTH, 4.8)
    axes = figure.subplots()
    width = min(0.4, 0.8 / len(estimates))
    said = []
    colours = sns.color_palette("colorblind", len(estimates))
    for i, title in enumerate(estimates):
        of_arm = []
        for j, metric in enumerate(metrics):
            x = j + width * (i - (len(estimates) - 1) / 2)
            known = []
            if estimate := estimates[title].get(metric):
                known += style.bar(axes, x, width, colours[i], estimate, title)
            if metric in printed.get(title, {}):
                known += style.diamond(axes, x, printed[title][metric])
            if known:
                of_arm.append(f"{NAMES.get(metric, metric)} {', '.join(known)}")
        said.append(f"{title}: {'; '.join(of_arm)}")
    axes.set(
        xticks=range(len(metrics)),
        xticklabels=[style.wrapped(NAMES.get(m, m.capitalize()), 14) for m in metrics],
        xlim=(-0.5, len(metrics) - 0.5),
        ylim=(0, 1.03),
        ylabel="Score (0 to 1)",
        title="Scores with 95 % intervals",
    )
    style.tidy(axes)
    axes.grid(visible=False, axis="x")
    style.legend_below(figure, axes)
    return Plot(figure, f"Scores with 95 % intervals. {'. '.join(said)}.")


def confusion(table: pd.DataFrame, title: str) -> Plot:
    """Confusion matrix as a heat map: counts, and shares of each true class.

    Parameters
    ----------
    table : DataFrame
        Counts, rows the true and columns the predicted classes; see `metrics.confusion`.
    title : str
    """
    counts = table.to_numpy()
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.full(counts.shape, np.nan), where=totals > 0)
    texts = [
        [f"{n}\n{'-' if math.isnan(share) else f'{100 * share:.1f} %'}" for n, share in zip(*row)]
        for row in zip(counts, shares, strict=True)
    ]
    c = len(table)
    figure = style.figure(3.2 + 1.4 * c, 1.9 + 0.9 * c)
    axes = figure.subplots()
    sns.heatmap(
        # A class without an image has no shares: its row is left as light as 0 %.
        pd.DataFrame(np.nan_to_num(100 * shares), table.index, table.columns),
        annot=np.array(texts),
        fmt="",
        cmap="Blues",
        vmin=0,
        vmax=100,
        linewidths=1,
        cbar_kws={"label": "Share of the true class (%)"},
        annot_kws={"fontsize": 11},
        ax=axes,
    )
    axes.set(xlabel="Predicted class", ylabel="True class", title=style.wrapped(title, 14 * c + 16))
    axes.tick_params(length=0, rotation=0)
    rows = "; ".join(
        f"of {total} {true}, {', '.join(f'{n} predicted {name}' for name, n in row.items())}"
        for (true, row), total in zip(table.iterrows(), totals[:, 0], strict=True)
    )
    return Plot(figure, f"Confusion matrix, {title}: {rows}.")


def grad_cam_panel(rows: Sequence[tuple[str, np.ndarray, Mapping[str, np.ndarray]]]) -> Plot:
    """Images beside the heat maps that explain their predictions.

    Parameters
    ----------
    rows : sequence of (caption, image, overlays)
        The caption says what the image is and what was predicted; its line breaks are kept. The
        image is uint8 (height, width, 1 or 3), and each model's overlay, by its title, uint8
        (height, width, 3) as `gradcam.overlay` makes it.

    Raises
    ------
    UsageError
        No row.
    """
    style.expect(rows, "an image")
    titles = list(dict.fromkeys(title for _, _, overlays in rows for title in overlays))
    size = min(2.5, (WIDTH - 1.8) / (1 + len(titles)))
    figure = style.figure(1.8 + size * (1 + len(titles)), 1.1 + size * len(rows))
    grid = figure.subplots(len(rows), 1 + len(titles), squeeze=False)
    for line, (caption, image, overlays) in zip(grid, rows, strict=True):
        shown = [image, *(overlays.get(title) for title in titles)]
        for axes, pixels in zip(line, shown, strict=True):
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            if pixels is not None:
                # Its own pixels: interpolated ones say no more and double the file.
                axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="none")
        line[0].set_ylabel(style.wrapped(caption, 20), rotation=0, ha="right", va="center", labelpad=8)
    for axes, title in zip(grid[0], ["Image", *titles], strict=True):
        axes.set_title(style.wrapped(title, max(14, round(10 * size))), fontsize=10)
    figure.suptitle("Grad-CAM: bright regions speak for the predicted class", fontsize=12)
    captions = "; ".join(", ".join(caption.splitlines()) for caption, _, _ in rows)
    images = style.plural(f"{len(rows)}", "image")
    alt = f"Grad-CAM heat maps of {images}, by {', '.join(titles) or 'no model'}"
    return Plot(figure, f"{alt}. Rows: {captions}.")


def ranking(estimates: Mapping[str, Estimate], metric: str, title: str, not_run: Sequence[str] = ()) -> Plot:
    """One score of many models, the best on top, each with its 95 % interval.

    Parameters
    ----------
    estimates : mapping of str to Estimate
        By the name of the model.
    metric : str
        Name of the score, which lies in [0, 1].
    title : str
    not_run : sequence of str
        Models that have a row and no mark.

    Raises
    ------
    UsageError
        No estimate.
    """
    style.expect(estimates, "a model")
    ranked = sorted(estimates, key=lambda name: estimates[name].value)
    rows = [*reversed(not_run), *ranked]
    figure = style.figure(WIDTH, 1.4 + 0.36 * len(rows))
    axes = figure.subplots()
    colour = sns.color_palette("colorblind")[0]
    for y, name in enumerate(rows):
        if name not in estimates:
            axes.text(0.01, y, "not run", va="center", color="0.35", fontsize=9)
            continue
        found = estimates[name]
        if math.isfinite(found.low):
            axes.plot([found.low, found.high], [y, y], color=colour, lw=2, solid_capstyle="butt")
        axes.plot(found.value, y, "o", color=colour, ms=7)
        end = found.high if math.isfinite(found.high) else found.value
        axes.annotate(
            style.number(found.value),
            (end, y),
            (6, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )
    axes.set(
        yticks=range(len(rows)),
        yticklabels=rows,
        ylim=(-0.6, len(rows) - 0.4),
        xlim=(0, 1.08),
        xticks=np.linspace(0, 1, 6),
        xlabel=f"{NAMES.get(metric, metric.capitalize())} (0 to 1) with 95 % interval",
    )
    axes.set_title(style.wrapped(title, 80))
    style.tidy(axes)
    axes.grid(visible=False, axis="y")
    said = "; ".join(
        f"{name} {style.number(estimates[name].value)} ({style.number(estimates[name].low)} to "
        f"{style.number(estimates[name].high)})"
        for name in reversed(ranked)
    )
    left = f" Not run: {', '.join(not_run)}." if not_run else ""
    return Plot(figure, f"{title}. {metric.capitalize()}, the best first: {said}.{left}")
