"""What the figures share: `Plot`, which a notebook displays, and the style of axes, legends and numbers.

pyplot is never used: no figure stays open, and the style of a reader's own figures does not change.
"""

from __future__ import annotations

import base64
import io
import math
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass

import matplotlib
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image

from brainlib.errors import UsageError

CSS_DPI = 96  # CSS pixels an inch: a browser shows the figure at its own size
DPI = 2 * CSS_DPI  # sharp on a screen of double density
WIDTH = 9.0  # inches: 864 CSS pixels, within a page of 900
# Letters as shapes, since the reader may lack the font; the salt makes the file reproducible.
_SVG = {"svg.fonttype": "path", "svg.hashsalt": "brainlib"}
MARKERS = "osD^vPX"  # seven shapes to the palette's ten colours: a pair repeats after 70 lines
DASHES = ("-", "--", "-.", (0, (1, 1)))


@dataclass(frozen=True, eq=False)
class Plot:
    """A Matplotlib figure and its alternative text, which says what it shows, with its numbers, and is not empty."""

    figure: Figure
    alt: str

    def __post_init__(self) -> None:
        if not self.alt.strip():
            raise UsageError("a figure needs an alternative text that says what it shows")

    def _repr_mimebundle_(self, include=None, exclude=None) -> tuple[dict, dict]:
        """Return data and metadata as Jupyter and the template of the pages read them.

        PNG is always there, since Jupyter shows no SVG of an untrusted notebook; SVG, which the pages then
        prefer, only where it is the smaller file.
        """
        png = _grey_if_possible(self._saved("png", dpi=DPI))
        svg = self.svg()
        data = {"image/png": base64.b64encode(png).decode(), "text/plain": self.alt}
        if len(svg) < len(png):
            data["image/svg+xml"] = svg.decode()
        # No height: a page narrower than the figure then shrinks it in proportion.
        described = {"alt": self.alt, "width": self.width}
        return data, {kind: described for kind in data if kind.startswith("image/")}

    @property
    def width(self) -> int:
        """Width in CSS pixels."""
        return round(CSS_DPI * self.figure.get_figwidth())

    def svg(self) -> bytes:
        """Return the figure as SVG, the same bytes each time."""
        with matplotlib.rc_context(_SVG):
            return self._saved("svg", metadata={"Date": None})

    def _saved(self, form, **options):
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format=form, **options)
        return buffer.getvalue()


def _grey_if_possible(png):
    """Return a PNG without colours as a grey one, a third of the size; another unchanged."""
    image, grey = Image.open(io.BytesIO(png)).convert("RGB"), io.BytesIO()
    if np.ptp(np.asarray(image), axis=2).any():
        return png
    image.convert("L").save(grey, "png", optimize=True)
    return grey.getvalue()


def figure(width: float, height: float) -> Figure:
    """Return an empty figure of so many inches, at most `WIDTH` wide."""
    return Figure(figsize=(min(WIDTH, width), height), layout="constrained")


def panel(width: float, height: float) -> tuple[Figure, Axes]:
    """Return such a figure with one tidy panel."""
    new = figure(width, height)
    axes = new.subplots()
    tidy(axes)
    return new, axes


def colour(i: int) -> tuple[float, float, float]:
    """Return the colour of the i-th thing of a figure; ten differ, also to the colour-blind."""
    palette = sns.color_palette("colorblind")
    return palette[i % len(palette)]


def expect(given, what: str, complete: bool = True) -> None:
    """Raise UsageError unless there is something to draw."""
    if not len(given) or not complete:
        raise UsageError(f"a figure needs {what} to draw, received none")


def number(value: float) -> str:
    """Return a value with three decimals, or "undefined"."""
    return "undefined" if math.isnan(value) else f"{value:.3f}"


def limits(value: float, low: float, high: float) -> str:
    """Return a value and its interval, as far as they are defined."""
    interval = " without an interval" if math.isnan(low + high) else f" ({low:.3f} to {high:.3f})"
    return number(value) + ("" if math.isnan(value) else interval)


def span(values: Iterable[float], form: str = ".3f") -> str:
    """Return the least and the largest of the values that are defined, once if they are shown alike."""
    values = [value for value in values if not math.isnan(value)]
    ends = dict.fromkeys(f"{f(values):{form}}" for f in (min, max)) if values else ["undefined"]
    return " to ".join(ends)


def plural(count: int | str, noun: str) -> str:
    """Return a count with its noun in the right number."""
    return f"{count} {noun}" if str(count) == "1" else f"{count} {noun}s"


def wrapped(text: str, width: int) -> str:
    """Return a text with its lines broken at a width in characters."""
    return "\n".join(textwrap.fill(line, width) for line in text.splitlines())


def tidy(axes: Axes) -> None:
    """Give axes a light grid and no frame at the top and the right."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="0.9")
    axes.set_axisbelow(True)


def legend_below(figure: Figure, axes: Axes) -> None:
    """Add a legend with one entry a label, bars before lines."""
    pairs = zip(*axes.get_legend_handles_labels(), strict=True)
    pairs = sorted(pairs, key=lambda pair: isinstance(pair[0], Line2D))
    entries = {wrapped(label, 44): handle for handle, label in pairs}
    longest = max(len(line) for label in entries for line in label.splitlines())
    place = {"loc": "outside lower center", "ncols": max(1, 100 // (longest + 8))}
    figure.legend(entries.values(), entries.keys(), frameon=False, **place)
