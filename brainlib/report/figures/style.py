"""What the figures are drawn with: the `Plot` that a notebook shows, and strokes that they share.

pyplot is never used: nothing stays open, and no style is changed for the figures that a reader
draws.
"""

from __future__ import annotations

import base64
import io
import math
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from PIL import Image

from brainlib.errors import UsageError
from brainlib.stats.estimates import Estimate

CSS_DPI = 96  # CSS pixels an inch: a browser shows the figure in its own size
DPI = 2 * CSS_DPI  # what a screen of double density shows sharply
# Letters as shapes: the reader need not have the font. The salt makes names in the file repeat.
_SVG = {"svg.fonttype": "path", "svg.hashsalt": "brainlib"}
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
        """Data and metadata as Jupyter and the report's template read them.

        There is a picture in any case, since Jupyter shows no drawing of a notebook that it does not
        trust; and a drawing, which is what the report shows then, where that is the smaller file.
        """
        png = _without_colours_unused(self._saved("png", dpi=DPI))
        with matplotlib.rc_context(_SVG):
            svg = self._saved("svg", metadata={"Date": None})
        data = {"image/png": base64.b64encode(png).decode(), "text/plain": self.alt}
        if len(svg) < len(png):
            data["image/svg+xml"] = svg.decode()
        # No height: a page narrower than the figure then shrinks it in proportion.
        described = {"alt": self.alt, "width": round(CSS_DPI * self.figure.get_figwidth())}
        return data, {kind: described for kind in data if kind.startswith("image/")}

    def _saved(self, form, **options):
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format=form, **options)
        return buffer.getvalue()


def _without_colours_unused(png):
    """A grey picture as one, a third of the size; another as it is."""
    with Image.open(io.BytesIO(png)) as picture:
        red, green, blue = picture.convert("RGB").split()
    if not red.tobytes() == green.tobytes() == blue.tobytes():
        return png
    buffer = io.BytesIO()
    red.save(buffer, "png", optimize=True)
    return buffer.getvalue()


def figure(width: float, height: float) -> Figure:
    return Figure(figsize=(min(WIDTH, width), height), layout="constrained")


def expect(given, what: str, whole: bool = True) -> None:
    if not len(given) or not whole:
        raise UsageError(f"a figure needs {what} to draw, received none")


def number(value: float) -> str:
    return "undefined" if math.isnan(value) else f"{value:.3f}"


def span(values: Iterable[float], form: str = ".3f") -> str:
    values = [value for value in values if not math.isnan(value)]
    ends = dict.fromkeys(f"{f(values):{form}}" for f in (min, max)) if values else ["undefined"]
    return " to ".join(ends)


def plural(count: str, noun: str) -> str:
    return f"{count} {noun}" if count == "1" else f"{count} {noun}s"


def wrapped(text: str, width: int) -> str:
    return "\n".join(textwrap.fill(line, width) for line in text.splitlines())


def tidy(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="0.9")
    axes.set_axisbelow(True)


def legend_below(figure: Figure, axes: Axes) -> None:
    """A legend of one entry a label, bars before lines; each arm brings its own diamonds."""
    pairs = zip(*axes.get_legend_handles_labels(), strict=True)
    pairs = sorted(pairs, key=lambda pair: isinstance(pair[0], Line2D))
    entries = {wrapped(label, 44): handle for handle, label in pairs}
    longest = max(len(line) for label in entries for line in label.splitlines())
    place = {"loc": "outside lower center", "ncols": max(1, 100 // (longest + 8))}
    figure.legend(entries.values(), entries.keys(), frameon=False, **place)


def curve(axes: Axes, history: pd.DataFrame, column: str, i: int, colour, label: str) -> None:
    marks = {"marker": MARKERS[i % len(MARKERS)], "ms": 5, "markevery": 1 + len(history) // 20}
    axes.plot(history["epoch"], history[column], color=colour, label=label, **marks)


def starts(histories: Iterable[pd.DataFrame]) -> dict[int, str]:
    """What begins at which epoch, after the first phase."""
    starts = {}
    for history in histories:
        begins = history["phase"].ne(history["phase"].shift())
        for epoch, phase in history.loc[begins, ["epoch", "phase"]].iloc[1:].to_numpy():
            starts[epoch] = f"Phase '{phase}' begins at epoch {epoch}"
    return starts


def epochs(panels: Iterable[Axes], histories: Iterable[pd.DataFrame]) -> None:
    """Epochs as whole numbers, and a line wherever a phase begins."""
    histories = list(histories)
    for panel in panels:
        for epoch, label in starts(histories).items():
            panel.axvline(epoch - 0.5, color="0.35", ls="--", lw=1, label=label)
        panel.set_xlim(0.5, max(history["epoch"].max() for history in histories) + 0.5)
        panel.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        tidy(panel)


def loss_axis(axes: Axes, losses: Sequence[pd.Series]) -> None:
    values = np.concatenate(losses)
    values = values[np.isfinite(values)]
    wide = values.size and values.min() > 0 and values.max() > LOG_ABOVE * values.min()
    if wide:
        axes.set_yscale("log")
    else:
        axes.set_ylim(0, 1.05 * (values.max(initial=0) or 1))
    axes.set_ylabel(f"{LOSS}, log scale" if wide else LOSS)


def bar(axes: Axes, x: float, width: float, colour, estimate: Estimate, label: str) -> list[str]:
    """Draw an estimate and say it."""
    value, low, high = estimate.value, estimate.low, estimate.high
    axes.bar(x, np.nan_to_num(fraction(value)), 0.9 * width, color=colour, label=label)
    if math.isnan(value):
        axes.text(x, 0.02, "undefined", rotation=90, ha="center", va="bottom", fontsize=9)
        return ["undefined"]
    if math.isnan(low) or math.isnan(high):
        return [f"{value:.3f} without an interval"]
    # Not errorbar: the interval of resamples need not hold the value.
    axes.plot([x, x], [low, high], color="0.15", marker="_", markersize=7, lw=1.3)
    return [f"{value:.3f} ({low:.3f} to {high:.3f})"]


def diamond(axes: Axes, x: float, value: float) -> list[str]:
    style = {"mfc": "white", "mec": "black", "ms": 7, "zorder": 3, "clip_on": False}
    axes.plot(x, fraction(value), "D", label="printed in the paper", **style)
    return [f"printed {value:.3f}"]


def fraction(value: float) -> float:
    if not math.isnan(value) and not 0 <= value <= 1:
        raise UsageError(f"expected a score between 0 and 1, received {value!r}; give fractions")
    return value
