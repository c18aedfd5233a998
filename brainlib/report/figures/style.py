"""What the figures share: `Plot`, which a notebook displays, and the style of axes, legends and numbers.

pyplot is never used: no figure stays open, and the style of a reader's own figures does not change.
"""

from __future__ import annotations

import base64
import io
import math
import textwrap
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.ticker import PercentFormatter
from PIL import Image

from brainlib.errors import UsageError
from brainlib.report.table import Format

CSS_DPI = 96  # CSS pixels an inch: a browser shows the figure at its own size
DPI = 2 * CSS_DPI  # sharp on a screen of double density
WIDTH = 9.0  # inches: 864 CSS pixels, within a page of 900
HEIGHT = 9.2  # inches at most, with heads: a screen
SMALL = 8  # points, of labels in small panels
# Letters as shapes, since the reader may lack the font; the salt makes the file reproducible.
_SVG = {"svg.fonttype": "path", "svg.hashsalt": "brainlib"}
# Okabe and Ito's colours without yellow, which is hard to see on white, and with grey.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#707070")
_MARKERS = "osD^vPX<>phd*8"
_DASHES = ("-", "--", "-.", (0, (1, 1)))


@dataclass(frozen=True, eq=False)
class Plot:
    """A Matplotlib figure and its alternative text, which says what it shows, with its numbers, and is not empty."""

    figure: Figure
    alt: str

    def __post_init__(self) -> None:
        if not self.alt.strip():
            raise UsageError("a figure needs an alternative text that says what it shows")
        for text in self.figure.findobj(Text):
            if "$" in text.get_text():  # in the name of a file or a class, which is no formula
                text.set_parse_math(False)

    def _repr_mimebundle_(self, include=None, exclude=None) -> tuple[dict, dict]:
        """Return data and metadata as Jupyter and the template of the pages read them.

        A figure is laid out once, which takes most of its time: as PNG if it holds images, otherwise as SVG.
        """
        if any(axes.images for axes in self.figure.axes):
            kind, shown = "image/png", base64.b64encode(_grey_if_possible(self._saved("png", dpi=DPI)))
        else:
            kind, shown = "image/svg+xml", self.svg()
        # No height: a page narrower than the figure then shrinks it in proportion.
        return {kind: shown.decode(), "text/plain": self.alt}, {kind: {"alt": self.alt, "width": self.width}}

    @property
    def width(self) -> int:
        """Width in CSS pixels."""
        return round(CSS_DPI * self.figure.get_figwidth())

    def svg(self) -> bytes:
        """Return the figure as SVG, the same bytes each time."""
        with matplotlib.rc_context(_SVG):
            return self._saved("svg", metadata={"Date": None})

    def _saved(self, form, **options):
        layout = self.figure.get_layout_engine()
        if isinstance(layout, ConstrainedLayoutEngine):
            layout.execute(self.figure)  # once: beside a colour bar, each time gives another layout
            self.figure.set_layout_engine("none")
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


def multiples(names: Sequence[str], most: int, side: float, heads: float) -> tuple[Figure, np.ndarray]:
    """Return a figure of small panels of one scale, each under its name, and its axes, an array (rows, columns).

    A row has at most so many panels of at most `side` inches; the figure has `heads` inches besides. Panels without a
    name are not visible.
    """
    rows = math.ceil(len(names) / most)
    columns = math.ceil(len(names) / rows)
    side = min(side, (WIDTH - heads) / columns, (HEIGHT - heads) / rows)
    new = figure(heads + side * columns, heads + side * rows)
    grid = new.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axes in grid.flat[len(names) :]:
        axes.set_visible(False)
    for i, (axes, name) in enumerate(zip(grid.flat, names, strict=False)):
        head(axes, name, side)
        axes.tick_params(labelbottom=i >= columns * (rows - 1), labelsize=SMALL)
    return new, grid


def looks(names: Iterable[str], order: Sequence[str] = ()) -> dict[str, dict]:
    """Return how the line of each name is drawn: by the place in `order` of what it begins with, else by its own place.

    So an arm looks the same in all figures of a page, also where its name goes on: "VGG16 (collapsed)". Up to 28 differ
    in colour, marker or dashes.
    """
    found, choices = {}, {"color": COLOURS, "marker": _MARKERS, "ls": _DASHES}
    for own, name in enumerate(names):
        begins = [place for place, title in enumerate(order) if name.startswith(title)]
        place = max(begins, key=lambda place: len(order[place]), default=own)
        found[name] = {key: choice[place % len(choice)] for key, choice in choices.items()}
    return found


def mark(axes: Axes, y: float, value: float, low: float, high: float, **look: object) -> None:
    """Draw a score in its row with its interval, as far as they are defined."""
    axes.plot([low, high], [y, y], color=look["color"], lw=2, solid_capstyle="butt")
    axes.plot(value, y, clip_on=False, **look)


def legend(figure: Figure, looks: Mapping[str, dict], loc: str = "outside upper right") -> None:
    """Name lines and marks, drawn in their looks, in one row outside the panels."""
    handles = [Line2D([], [], **look) for look in looks.values()]
    figure.legend(handles, looks, loc=loc, ncols=len(looks), frameon=False, fontsize=9)


def percent_axis(axis, values: Collection[float]) -> None:
    """Let an axis of shares run from below the least of the values to 100 %."""
    least = min((value for value in values if not math.isnan(value)), default=0.0)
    low = max(0.0, min(math.floor(10 * least) / 10, 0.9))
    axis.axes.set(**{f"{axis.axis_name}lim": (low, 1)})
    axis.get_major_locator().set_params(steps=[1, 2, 5, 10])  # whole percents
    axis.set_major_formatter(PercentFormatter(1, 0, symbol=""))


def expect(given, what: str, complete: bool = True) -> None:
    """Raise UsageError unless there is something to draw."""
    if not len(given) or not complete:
        raise UsageError(f"a figure needs {what} to draw, received none")


def number(value: float, low: float = math.nan, high: float = math.nan) -> str:
    """Return a value with three decimals and its limits, as far as they are defined, or "undefined"."""
    return Format(digits=3)(value, low, high, "undefined").text(unit=False)


def span(values: Iterable[float], form: str = ".3f") -> str:
    """Return the least and the largest of the values that are defined, once if they are shown alike."""
    values = [value for value in values if not math.isnan(value)]
    ends = dict.fromkeys(f"{f(values):{form}}" for f in (min, max)) if values else ["undefined"]
    return " to ".join(ends)


def wrapped(text: str, width: int) -> str:
    """Return a text with its lines broken at a width in characters."""
    return "\n".join(textwrap.fill(line, width, break_long_words=False) for line in text.splitlines())


def picture(axes: Axes, pixels: np.ndarray | None) -> None:
    """Show an image, uint8 (height, width) with or without channels, and no axes; nothing for None."""
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    if pixels is not None:
        # Without interpolation, which adds no information and doubles the file.
        axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="none")


def head(axes: Axes, text: str, width: float) -> None:
    """Write the title of a panel, whose width is in inches."""
    size = 9 if width > 1.4 else SMALL if width > 1 else 7
    axes.set_title(wrapped(text, round(125 * width / size)), fontsize=size)  # a letter is 0.58 of its height wide


def tidy(axes: Axes) -> None:
    """Give axes a light grid and no frame at the top and the right."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="0.9")
    axes.set_axisbelow(True)
