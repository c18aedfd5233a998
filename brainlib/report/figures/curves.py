"""Learning curves: loss and accuracy over the epochs, of the training images and of the monitored split."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from brainlib.report.figures import style
from brainlib.report.figures.style import WIDTH, Plot

_LOSS = "Loss (cross-entropy, nats)"
_LOG_ABOVE = 1000  # ratio of largest to smallest loss from which a linear axis hides the smaller


def learning_curves(histories: Mapping[str, pd.DataFrame], title: str, monitored: str = "validation") -> Plot:
    """Draw loss and accuracy over the epochs, one line a history (`TrialResult.history`), by the name of the trial.

    `monitored` is the split that was evaluated after every epoch (`Trial.monitored`).
    """
    style.expect(histories, "a history", all(map(len, histories.values())))
    panels = {
        "loss": "Training loss",
        "val_loss": f"{monitored.capitalize()} loss",
        "accuracy": "Training accuracy",
        "val_accuracy": f"{monitored.capitalize()} accuracy",
    }
    figure = style.figure(WIDTH, 6.4)
    axes = figure.subplots(2, 2, sharex=True, sharey="row").ravel()
    for panel, (column, name_of_column) in zip(axes, panels.items(), strict=True):
        for i, (name, history) in enumerate(histories.items()):
            _line(panel, history, column, i, name)
        panel.set_title(name_of_column)
    figure.suptitle(style.wrapped(title, 90))
    _epoch_axis(axes, histories.values())
    _loss_axis(axes[0], [h[c] for h in histories.values() for c in ("loss", "val_loss")])
    axes[2].set(ylabel="Accuracy (fraction of images)", ylim=(0, 1.03))
    for panel in axes[2:]:
        panel.set_xlabel("Epoch")
    style.legend_below(figure, axes[0])
    last = [history.iloc[-1] for history in histories.values()]
    ends = "; ".join(f"{name.lower()} {style.span(row[column] for row in last)}" for column, name in panels.items())
    epochs = style.plural(style.span(map(len, histories.values()), "d"), "epoch")
    starts = "".join(f" {label}." for label in _starts(histories.values()).values())
    alt = f"Learning curves of {title}, {', '.join(histories)}, over {epochs}.{starts}"
    return Plot(figure, f"{alt} After the last epoch: {ends}.")


def history(history: pd.DataFrame, title: str, monitored: str) -> Plot:
    """Draw the training and the monitored loss of one trial (`TrialResult.history`) over the epochs."""
    style.expect(history.index, "an epoch")
    figure, axes = style.panel(WIDTH, 4.2)
    columns = {"loss": "training", "val_loss": monitored}
    for i, (column, label) in enumerate(columns.items()):
        _line(axes, history, column, i, label)
    _epoch_axis([axes], [history])
    _loss_axis(axes, [history["loss"], history["val_loss"]])
    axes.set_xlabel("Epoch")
    axes.set_title(style.wrapped(title, 70))
    axes.legend(frameon=False)
    first, last = history.iloc[0], history.iloc[-1]
    starts = "".join(f" {label}." for label in _starts([history]).values())
    ends = {label: [style.number(row[column]) for row in (first, last)] for column, label in columns.items()}
    changes = "; ".join(f"{label} loss from {start} to {end}" for label, (start, end) in ends.items())
    return Plot(figure, f"{title}, {style.plural(len(history), 'epoch')}: {changes}.{starts}")


def _line(axes: Axes, history: pd.DataFrame, column: str, i: int, label: str) -> None:
    marks = {"marker": style.MARKERS[i % len(style.MARKERS)], "ms": 5, "markevery": 1 + len(history) // 20}
    axes.plot(history["epoch"], history[column], color=style.colour(i), label=label, **marks)


def _starts(histories: Iterable[pd.DataFrame]) -> dict[int, str]:
    """Sentences about the phases after the first, by the epoch with which each begins."""
    starts = {}
    for history in histories:
        begins = history["phase"].ne(history["phase"].shift())
        for epoch, phase in history.loc[begins, ["epoch", "phase"]].iloc[1:].to_numpy():
            starts[epoch] = f"Phase '{phase}' begins at epoch {epoch}"
    return starts


def _epoch_axis(panels: Iterable[Axes], histories: Iterable[pd.DataFrame]) -> None:
    """Show epochs as whole numbers, with a dashed line where a phase begins."""
    histories = list(histories)
    for panel in panels:
        for epoch, label in _starts(histories).items():
            panel.axvline(epoch - 0.5, color="0.35", ls="--", lw=1, label=label)
        panel.set_xlim(0.5, max(history["epoch"].max() for history in histories) + 0.5)
        panel.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        style.tidy(panel)


def _loss_axis(axes: Axes, losses: Sequence[pd.Series]) -> None:
    values = np.concatenate(losses)
    values = values[np.isfinite(values)]
    wide = values.size and values.min() > 0 and values.max() > _LOG_ABOVE * values.min()
    if wide:
        axes.set_yscale("log")
    else:
        axes.set_ylim(0, 1.05 * (values.max(initial=0) or 1))
    axes.set_ylabel(f"{_LOSS}, log scale" if wide else _LOSS)
