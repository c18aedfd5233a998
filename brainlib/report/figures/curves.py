"""Learning curves: loss and accuracy over the epochs, of the training images and of the monitored split."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from brainlib.report.figures import style
from brainlib.report.figures.style import WIDTH, Plot

_MOST = 7  # panels side by side
_LOG_ABOVE = 20  # ratio of largest to smallest loss from which a linear axis hides the smaller
_LEAST_SPAN = 0.1  # share of the largest loss that the axis shows at least, so that rounding is no curve
_STYLES = {"": {"ls": (0, (4, 2)), "lw": 1.2, "mfc": "white"}, "val_": {"ls": "-", "lw": 1.8}}


def learning_curves(
    histories: Mapping[str, pd.DataFrame], title: str, monitored: str = "validation", order: Sequence[str] = ()
) -> Plot:
    """Draw loss above accuracy over the epochs, side by side for each history (`TrialResult.history`), by its name.

    `monitored` is the split that was evaluated after every epoch (`Trial.monitored`). `order` has the titles of all
    arms of a page, whose places decide on colours; where the figure's title begins with one, all lines have its colour.
    """
    style.expect(histories, "a history", all(map(len, histories.values())))
    looks = style.looks(histories, order)
    if any(title.startswith(arm) for arm in order):
        looks = dict.fromkeys(histories, style.looks([title], order)[title])
    bands = math.ceil(len(histories) / _MOST)
    columns = math.ceil(len(histories) / bands)
    width = min(3.6, (WIDTH - 0.8) / columns)
    figure = style.figure(0.8 + width * columns, 1.3 + bands * (4.0 if bands == 1 else 3.4))
    grid = figure.subplots(2 * bands, columns, sharex=True, squeeze=False)
    every = pd.concat(histories.values())
    losses, shares = (every[[name, f"val_{name}"]].to_numpy().ravel() for name in ("loss", "accuracy"))
    for axes in grid.flat:
        axes.set_visible(False)
    for i, (name, history) in enumerate(histories.items()):
        band, column = divmod(i, columns)
        for axes, quantity in zip(grid[2 * band : 2 * band + 2, column], ("loss", "accuracy"), strict=True):
            axes.set_visible(True)
            _lines(axes, history, quantity, monitored, looks[name])
            axes.set_xlim(0.5, every["epoch"].max() + 0.5)
            axes.tick_params(labelleft=not column, labelbottom=quantity == "accuracy", labelsize=style.SMALL)
        above, below = grid[2 * band : 2 * band + 2, column]
        style.head(above, name, width)
        _loss_axis(above, losses, labelled=not column)
        style.percent_axis(below.yaxis, shares)
        if not column:
            below.set_ylabel("Accuracy (%)")
    lower = "\n\n" * (columns == 1)  # than the legend, which fills the width of one panel
    figure.suptitle(lower + style.wrapped(title, round(9 * (0.8 + width * columns))), fontsize=11)
    figure.supxlabel("Epoch", fontsize=10)
    starts = _starts(histories.values())
    lines = {"training": _STYLES[""], monitored: _STYLES["val_"]}
    looks = {name: {"color": "0.25", "marker": "o", "ms": 4} | line for name, line in lines.items()}
    style.legend(figure, looks | ({"next phase": {"color": "0.25", "ls": ":", "lw": 1.2}} if starts else {}))
    return Plot(figure, _described(histories, title, monitored, starts))


def _lines(axes: Axes, history: pd.DataFrame, quantity: str, monitored: str, look: dict) -> None:
    for prefix, label in {"": "training", "val_": monitored}.items():
        marks = look | {"ms": 4, "markevery": 1 + len(history) // 10} | _STYLES[prefix]
        axes.plot(history["epoch"], history[prefix + quantity], label=label, **marks)
    for epoch in _starts([history]):
        axes.axvline(epoch - 0.5, color="0.35", ls=":", lw=1.2)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True, min_n_ticks=1))
    style.tidy(axes)


def _starts(histories: Iterable[pd.DataFrame]) -> dict[int, str]:
    """Sentences about the phases after the first, by the epoch with which each begins."""
    starts = {}
    for history in histories:
        begins = history["phase"].ne(history["phase"].shift())
        for epoch, phase in history.loc[begins, ["epoch", "phase"]].iloc[1:].to_numpy():
            starts[epoch] = f"Phase '{phase}' begins at epoch {epoch}"
    return starts


def _loss_axis(axes: Axes, losses: np.ndarray, labelled: bool) -> None:
    """Show the range of all losses: from 0, a curve that is far above would look flat."""
    known = losses[np.isfinite(losses)]
    low, high = (known.min(), known.max()) if known.size else (0.0, 1.0)
    wide = bool(low > 0 and high > _LOG_ABOVE * low)
    if wide:
        axes.set_yscale("log")
        axes.set_ylim(low / 1.3, high * 1.3)
    else:
        room = max(1.1 * (high - low), _LEAST_SPAN * high) or 1.0
        axes.set_ylim(max(0.0, (low + high - room) / 2) - 0.02 * room, (low + high + room) / 2)
    if labelled:
        axes.set_ylabel("Cross-entropy (nats)" + ", log scale" * wide)


def _described(histories, title, monitored, starts):
    columns = {"loss": "training loss", "val_loss": f"{monitored} loss"}
    columns |= {"accuracy": "training accuracy", "val_accuracy": f"{monitored} accuracy"}
    last = [history.iloc[-1] for history in histories.values()]
    ends = "; ".join(f"{name} {style.span(row[column] for row in last)}" for column, name in columns.items())
    epochs = style.span(map(len, histories.values()), "d")
    epochs += " epochs" if epochs != "1" else " epoch"
    sentences = [f"Learning curves of {title}, {', '.join(histories)}, over {epochs}", *starts.values()]
    return f"{'. '.join(sentences)}. After the last epoch: {ends}."
