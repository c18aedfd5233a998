"""Figures of the notebooks: each is a `Plot`, a Matplotlib figure with the text that stands for it.

A notebook cell that ends in one of these functions shows the figure as PNG. Its alternative text is
made from the data that were drawn, so it cannot contradict the picture. pyplot is never used:
nothing stays open, and no style is changed for the figures that a reader draws.
"""

from __future__ import annotations

import base64
import io
import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from sklearn.metrics import roc_curve

from brainlib.claims import Estimate
from brainlib.errors import UsageError
from brainlib.metrics import area_under_roc, decide

DPI = 144
CSS_DPI = 96  # CSS pixels an inch: a browser shows the figure in its own size, more densely
WIDTH = 9.0  # inches: 864 CSS pixels, within a page of 900
MARKERS = "osD^vPX"  # seven shapes to the palette's ten colours: 70 lines before one comes again
DASHES = ("-", "--", "-.", (0, (1, 1)))
LOSS = "Loss (cross-entropy, nats)"
LOG_ABOVE = 1000  # ratio of largest to smallest loss from which a linear axis hides the smaller
NAMES = {"auc": "AUC", "f1": "F1"}


@dataclass(frozen=True, eq=False)
class Plot:
    """A figure and the text for whoever cannot see it.

    Attributes
    ----------
    figure : matplotlib.figure.Figure
    alt : str
        What the figure shows, with its numbers.

    Raises
    ------
    UsageError
        An empty alternative text.
    """

    figure: Figure
    alt: str

    def __post_init__(self) -> None:
        if not self.alt.strip():
            raise UsageError("a figure needs an alternative text that says what it shows")

    def _repr_mimebundle_(self, include=None, exclude=None) -> tuple[dict, dict]:
        """Data and metadata as Jupyter and nbconvert's classic and basic templates read them."""
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png", dpi=DPI)
        png = base64.b64encode(buffer.getvalue()).decode()
        # No height: a page narrower than the figure then shrinks it in proportion.
        described = {"alt": self.alt, "width": round(CSS_DPI * self.figure.get_figwidth())}
        return {"image/png": png, "text/plain": self.alt}, {"image/png": described}


def learning_curves(histories: Mapping[str, pd.DataFrame], watched: str = "validation") -> Plot:
    """Loss and accuracy over the epochs, of the training and of the watched images.

    Parameters
    ----------
    histories : mapping of str to DataFrame
        `TrialResult.history` by the name of the trial, such as "fold 1"; a line each.
    watched : str
        The part that was predicted after every epoch (`Trial.watched`).

    Raises
    ------
    UsageError
        No history, or one without an epoch.
    """
    _expect(histories, "a history", all(map(len, histories.values())))
    panels = {
        "loss": "Training loss",
        "watched_loss": f"{watched.capitalize()} loss",
        "accuracy": "Training accuracy",
        "watched_accuracy": f"{watched.capitalize()} accuracy",
    }
    figure = _figure(WIDTH, 6.4)
    axes = figure.subplots(2, 2, sharex=True, sharey="row").ravel()
    colours = sns.color_palette("colorblind", len(histories))
    for panel, (column, title) in zip(axes, panels.items(), strict=True):
        for i, (name, history) in enumerate(histories.items()):
            _curve(panel, history, column, i, colours[i], name)
        panel.set_title(title)
    _epochs(axes, histories.values())
    _loss_axis(axes[0], [h[c] for h in histories.values() for c in ("loss", "watched_loss")])
    axes[2].set(ylabel="Accuracy (fraction of images)", ylim=(0, 1.03))
    for panel in axes[2:]:
        panel.set_xlabel("Epoch")
    _legend_below(figure, axes[0])
    last = [history.iloc[-1] for history in histories.values()]
    ends = "; ".join(
        f"{title.lower()} {_range(row[column] for row in last)}" for column, title in panels.items()
    )
    epochs = _plural(_range(map(len, histories.values()), "d"), "epoch")
    starts = "".join(f" {label}." for label in _starts(histories.values()).values())
    alt = f"Learning curves of {', '.join(histories)} over {epochs}.{starts}"
    return Plot(figure, f"{alt} After the last epoch: {ends}.")


def loss_curve(history: pd.DataFrame, title: str, watched: str) -> Plot:
    """Loss over the epochs of one trial, of the training and of the watched images.

    Parameters
    ----------
    history : DataFrame
        `TrialResult.history`.
    title : str
    watched : str
        The part that was predicted after every epoch (`Trial.watched`).

    Raises
    ------
    UsageError
        A history without an epoch.
    """
    _expect(history.index, "an epoch")
    figure = _figure(WIDTH, 4.2)
    axes = figure.subplots()
    colours = sns.color_palette("colorblind")
    for i, (column, label) in enumerate({"loss": "training", "watched_loss": watched}.items()):
        _curve(axes, history, column, i, colours[i], label)
    _epochs([axes], [history])
    _loss_axis(axes, [history["loss"], history["watched_loss"]])
    axes.set_xlabel("Epoch")
    axes.set_title(_wrapped(title, 70))
    axes.legend(frameon=False)
    first, last = history.iloc[0], history.iloc[-1]
    starts = "".join(f" {label}." for label in _starts([history]).values())
    changes = "; ".join(
        f"{label} loss from {_number(first[column])} to {_number(last[column])}"
        for column, label in (("loss", "training"), ("watched_loss", watched))
    )
    epochs = _plural(f"{len(history)}", "epoch")
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
    _expect(predictions, "an arm")
    figure = _figure(WIDTH, 5.0)
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
        style = {"ls": DASHES[i % len(DASHES)], "color": colours[i], "lw": 2, "clip_on": False}
        axes.plot(x, y, label=_wrapped(f"{title}\nAUC {_number(area)}", 38), **style)
        images = f"{truth.sum()} of {len(truth)} images positive"
        said.append(f"{title}: AUC {_number(area)} ({images})")
    axes.plot([0, 1], [0, 1], ":", color="0.45", lw=1.5, label="chance\nAUC 0.5", zorder=1)
    axes.set(
        xlim=(0, 1),
        ylim=(0, 1),
        aspect="equal",
        xlabel="False positive rate (1 - specificity)",
        ylabel="True positive rate (sensitivity)",
        title=f"ROC, positive class: {positive}",
    )
    _tidy(axes)
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
    _expect(estimates, "an arm", all(estimates.values()))
    if strangers := printed.keys() - estimates.keys():
        raise UsageError(
            f"printed values: expected arms of {', '.join(estimates)}, "
            f"received {', '.join(sorted(strangers))}"
        )
    metrics = list(dict.fromkeys(m for d in (estimates, printed) for a in d.values() for m in a))
    figure = _figure(WIDTH, 4.8)
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
                known += _bar(axes, x, width, colours[i], estimate, title)
            if metric in printed.get(title, {}):
                known += _diamond(axes, x, printed[title][metric])
            if known:
                of_arm.append(f"{NAMES.get(metric, metric)} {', '.join(known)}")
        said.append(f"{title}: {'; '.join(of_arm)}")
    axes.set(
        xticks=range(len(metrics)),
        xticklabels=[_wrapped(NAMES.get(m, m.capitalize()), 14) for m in metrics],
        xlim=(-0.5, len(metrics) - 0.5),
        ylim=(0, 1.03),
        ylabel="Score (0 to 1)",
        title="Scores with 95 % intervals",
    )
    _tidy(axes)
    axes.grid(visible=False, axis="x")
    _legend_below(figure, axes)
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
    figure = _figure(3.2 + 1.4 * c, 1.9 + 0.9 * c)
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
    axes.set(xlabel="Predicted class", ylabel="True class", title=_wrapped(title, 14 * c + 16))
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
    _expect(rows, "an image")
    titles = list(dict.fromkeys(title for _, _, overlays in rows for title in overlays))
    size = min(2.5, (WIDTH - 1.8) / (1 + len(titles)))
    figure = _figure(1.8 + size * (1 + len(titles)), 1.1 + size * len(rows))
    grid = figure.subplots(len(rows), 1 + len(titles), squeeze=False)
    for line, (caption, image, overlays) in zip(grid, rows, strict=True):
        shown = [image, *(overlays.get(title) for title in titles)]
        for axes, pixels in zip(line, shown, strict=True):
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            if pixels is not None:
                axes.imshow(pixels, cmap="gray", vmin=0, vmax=255)
        line[0].set_ylabel(_wrapped(caption, 20), rotation=0, ha="right", va="center", labelpad=8)
    for axes, title in zip(grid[0], ["Image", *titles], strict=True):
        axes.set_title(_wrapped(title, max(14, round(10 * size))), fontsize=10)
    figure.suptitle("Grad-CAM: bright regions speak for the predicted class", fontsize=12)
    captions = "; ".join(", ".join(caption.splitlines()) for caption, _, _ in rows)
    images = _plural(f"{len(rows)}", "image")
    alt = f"Grad-CAM heat maps of {images}, by {', '.join(titles) or 'no model'}"
    return Plot(figure, f"{alt}. Rows: {captions}.")


def _figure(width: float, height: float) -> Figure:
    return Figure(figsize=(min(WIDTH, width), height), dpi=DPI, layout="constrained")


def _expect(given, what: str, whole: bool = True) -> None:
    if not len(given) or not whole:
        raise UsageError(f"a figure needs {what} to draw, received none")


def _number(value: float) -> str:
    return "undefined" if math.isnan(value) else f"{value:.3f}"


def _range(values: Iterable[float], form: str = ".3f") -> str:
    values = [value for value in values if not math.isnan(value)]
    ends = dict.fromkeys(f"{f(values):{form}}" for f in (min, max)) if values else ["undefined"]
    return " to ".join(ends)


def _plural(count: str, noun: str) -> str:
    return f"{count} {noun}" if count == "1" else f"{count} {noun}s"


def _wrapped(text: str, width: int) -> str:
    return "\n".join(textwrap.fill(line, width) for line in text.splitlines())


def _tidy(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="0.9")
    axes.set_axisbelow(True)


def _legend_below(figure: Figure, axes: Axes) -> None:
    """A legend of one entry a label, bars before lines; each arm brings its own diamonds."""
    pairs = zip(*axes.get_legend_handles_labels(), strict=True)
    pairs = sorted(pairs, key=lambda pair: isinstance(pair[0], Line2D))
    entries = {_wrapped(label, 44): handle for handle, label in pairs}
    longest = max(len(line) for label in entries for line in label.splitlines())
    place = {"loc": "outside lower center", "ncols": max(1, 100 // (longest + 8))}
    figure.legend(entries.values(), entries.keys(), frameon=False, **place)


def _curve(axes: Axes, history: pd.DataFrame, column: str, i: int, colour, label: str) -> None:
    marks = {"marker": MARKERS[i % len(MARKERS)], "ms": 5, "markevery": 1 + len(history) // 20}
    axes.plot(history["epoch"], history[column], color=colour, label=label, **marks)


def _starts(histories: Iterable[pd.DataFrame]) -> dict[int, str]:
    """What begins at which epoch, after the first phase."""
    starts = {}
    for history in histories:
        begins = history["phase"].ne(history["phase"].shift())
        for epoch, phase in history.loc[begins, ["epoch", "phase"]].iloc[1:].to_numpy():
            starts[epoch] = f"Phase '{phase}' begins at epoch {epoch}"
    return starts


def _epochs(panels: Iterable[Axes], histories: Iterable[pd.DataFrame]) -> None:
    """Epochs as whole numbers, and a line wherever a phase begins."""
    histories = list(histories)
    for panel in panels:
        for epoch, label in _starts(histories).items():
            panel.axvline(epoch - 0.5, color="0.35", ls="--", lw=1, label=label)
        panel.set_xlim(0.5, max(history["epoch"].max() for history in histories) + 0.5)
        panel.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        _tidy(panel)


def _loss_axis(axes: Axes, losses: Sequence[pd.Series]) -> None:
    values = np.concatenate(losses)
    values = values[np.isfinite(values)]
    wide = values.size and values.min() > 0 and values.max() > LOG_ABOVE * values.min()
    if wide:
        axes.set_yscale("log")
    else:
        axes.set_ylim(0, 1.05 * (values.max(initial=0) or 1))
    axes.set_ylabel(f"{LOSS}, log scale" if wide else LOSS)


def _bar(axes: Axes, x: float, width: float, colour, estimate: Estimate, label: str) -> list[str]:
    """Draw an estimate and say it."""
    value, low, high = estimate.value, estimate.low, estimate.high
    axes.bar(x, np.nan_to_num(_fraction(value)), 0.9 * width, color=colour, label=label)
    if math.isnan(value):
        axes.text(x, 0.02, "undefined", rotation=90, ha="center", va="bottom", fontsize=9)
        return ["undefined"]
    if math.isnan(low) or math.isnan(high):
        return [f"{value:.3f} without an interval"]
    # Not errorbar: the interval of resamples need not hold the value.
    axes.plot([x, x], [low, high], color="0.15", marker="_", markersize=7, lw=1.3)
    return [f"{value:.3f} ({low:.3f} to {high:.3f})"]


def _diamond(axes: Axes, x: float, value: float) -> list[str]:
    style = {"mfc": "white", "mec": "black", "ms": 7, "zorder": 3, "clip_on": False}
    axes.plot(x, _fraction(value), "D", label="printed in the paper", **style)
    return [f"printed {value:.3f}"]


def _fraction(value: float) -> float:
    if not math.isnan(value) and not 0 <= value <= 1:
        raise UsageError(f"expected a score between 0 and 1, received {value!r}; give fractions")
    return value
