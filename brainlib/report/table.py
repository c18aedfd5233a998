"""Tables of numbers, formatted once: at display.

A `Table` holds rows of cells. A `Cell` is a number in natural units (0.9583, seconds), so that a reader can compute
with the table's `frame`, and the `Format` in which it is written.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from numbers import Real
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from brainlib.papers.printed import UNITS, Printed
from brainlib.report import pages
from brainlib.stats.estimates import Estimate
from brainlib.stats.intervals import Interval, wilson_interval

NONE = "–"  # stands where a number is not defined or not given
_SPACE = "\N{NO-BREAK SPACE}"


@dataclass(frozen=True)
class Format:
    """How a number is written."""

    unit: str = ""  # behind the number; in a table once, in the heading of the column
    scale: float = 1.0  # printed units in one natural unit: 100 for a fraction that is written in percent
    digits: int | None = 2  # after the decimal point; None: four significant digits, and all of those before the point
    signed: bool = False  # whether a positive number has its sign
    least: float = 0.0  # smaller numbers are written as "< least": a p value is never 0
    before: str = ""  # before the number: "> "

    @classmethod
    def of(cls, unit: str) -> Format:
        """Return the format of numbers of a unit: a key of `papers.printed.UNITS`, or the name of what is counted."""
        written = {"1": "", "percent^2": "points²", "percentage points": "points"}.get(unit, unit)
        return cls(written, 1 / UNITS.get(unit, 1.0), digits=2 if unit in ("%", "percentage points") else None)

    def __call__(self, value: float, low: float = math.nan, high: float = math.nan, missing: str = NONE) -> Cell:
        """Return a number as a cell of a `Table`; nan is shown as `missing`."""
        return Cell(value, self, low, high, missing)

    def score(self, found: Estimate | None, missing: str = NONE) -> Cell:
        """Return a score, or what else has a value, low and high, as a cell; None is shown as `missing`."""
        return self(found.value, found.low, found.high) if found else self(math.nan, missing=missing)

    def printed(self, number: Printed | None, interval: Interval | None = None) -> Cell:
        """Return a printed number as a cell, with the digits and the operator that it was printed with."""
        if number is None:
            return self(math.nan)
        digits = max(0, number.decimals - round(math.log10(self.scale * number.scale)))
        how = replace(self, digits=digits, before="" if number.operator == "=" else f"{number.operator} ")
        return how(number.value, interval.low, interval.high) if interval else how(number.value)

    def share(self, k: int, n: int) -> Cell:
        """Return k of n, with Wilson's 95 % interval, as a cell."""
        interval = wilson_interval(k, n)
        return self(k / n if n else math.nan, interval.low, interval.high)

    def number(self, value: float | None) -> str:
        """Write a number without its unit; an en dash for nan and None."""
        if value is None or math.isnan(value):
            return NONE
        if 0 <= value < self.least:
            return f"< {self.least:g}"
        digits = 0 if self.digits is None and 1000 <= abs(self.scale * value) < math.inf else self.digits
        kind = ".4g" if digits is None else f".{digits}f"
        return self.before + format(self.scale * value, f"{'+' if self.signed else ''}{kind}")

    def text(self, value: float | None, low: float | None = None, high: float | None = None, unit: bool = True) -> str:
        """Write a number, with or without its unit, and its limits if these differ: "95.83 % (93.92 to 97.16)"."""
        written = self.number(value)
        limits = [self.number(limit).removeprefix(self.before) for limit in (low, high)]
        if written != NONE and unit and self.unit:
            written += f"{_SPACE}{self.unit}"
        return written if NONE in (written, *limits) or low == high else f"{written} ({limits[0]} to {limits[1]})"


PERCENT = Format("%", 100)
PERCENT1 = Format("%", 100, digits=1)
PERCENT0 = Format("%", 100, digits=0)
POINTS = Format("points", 100, signed=True)
COUNT = Format(digits=0)
NUMBER = Format(digits=None)
P_VALUE = Format(digits=4, least=0.0001)
SECONDS = Format("s", digits=1)


class Cell(NamedTuple):
    """A number of a table, how it is written, the limits of its interval, and what is shown for nan."""

    value: object
    how: Format = NUMBER
    low: float = math.nan
    high: float = math.nan
    missing: str = ""

    @property
    def number(self) -> bool:
        """Whether the value is a number, and not a text, a truth value or nan."""
        return isinstance(self.value, Real) and not isinstance(self.value, bool) and not math.isnan(self.value)

    def text(self, unit: bool) -> str:
        """Write the value and the limits of its interval, with the unit or without."""
        if isinstance(self.value, bool):
            return "yes" if self.value else "no"
        if not self.number:
            return self.missing if pd.isna(self.value) else str(self.value)
        how = COUNT if self.how is NUMBER and not isinstance(self.value, float) else self.how
        return how.text(self.value, self.low, self.high, unit)


@dataclass(frozen=True, eq=False)
class Table:
    """A table of numbers that shows itself whole in a notebook.

    Attributes
    ----------
    rows : sequence of mappings
        By column, a `Cell`, or a text, a number or None, which are shown in no format of their own. Nothing is shown
        where a row has no such column.
    caption : str
        One sentence that says what the table shows, and of which images. Without rows it is all that is shown.
    images : sequence of str
        An image for each row, as a data URL, that a notebook shows before it.
    """

    rows: Sequence[Mapping[str, object]]
    caption: str
    images: Sequence[str] = ()

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The values in natural units; the limits of a column "accuracy" are "accuracy low" and "accuracy high"."""
        columns = {}
        for name, cells in self._cells().items():
            columns[name] = [cell.value for cell in cells]
            for end in ("low", "high"):
                limits = [getattr(cell, end) for cell in cells]
                columns |= {} if all(map(math.isnan, limits)) else {f"{name} {end}": limits}
        return pd.DataFrame(columns)

    def to_csv(self, path: str | Path | None = None) -> str | None:
        """Write `frame` as CSV to a file, or return it as text."""
        return self.frame.to_csv(path, index=False)

    def shown(self) -> pd.DataFrame:
        """Return the table as it is displayed: strings, with units in the headings."""
        return pd.DataFrame({heading: texts for heading, _, texts in self._columns()})

    def _repr_html_(self) -> str:
        template = pages.templates(autoescape=True).get_template("table.html.j2")
        return template.render(caption=self.caption, columns=self._columns(), images=self.images)

    def __repr__(self) -> str:
        return f"{self.caption}\n{self.shown().to_string(index=False)}" if self.rows else self.caption

    def _cells(self) -> dict[str, list[Cell]]:
        names = dict.fromkeys(name for row in self.rows for name in row)
        given = {name: [row.get(name) for row in self.rows] for name in names}
        return {name: [x if isinstance(x, Cell) else Cell(x) for x in column] for name, column in given.items()}

    def _columns(self) -> list[tuple[str, bool, list[str]]]:
        """Heading of each column, whether it is of numbers, and its texts."""
        columns = []
        for name, cells in self._cells().items():
            numeric = any(cell.number or cell.missing for cell in cells)
            units = {cell.how.unit for cell in cells if cell.number}
            unit = units.pop() if len(units) == 1 else ""
            heading = f"{name},{_SPACE}{unit}" if unit else name
            columns.append((heading, numeric, [cell.text(unit=not unit) for cell in cells]))
        return columns
