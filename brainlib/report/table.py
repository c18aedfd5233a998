"""Tables of numbers, formatted once: at display.

A `Table` keeps floats in natural units (0.9583, seconds) in its `frame`, so that a reader can compute with
them. How a column is written is said by a `Format`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from numbers import Real
from typing import NamedTuple

import pandas as pd

from brainlib.papers.printed import UNITS, Printed
from brainlib.stats.estimates import Estimate

NONE = "–"  # stands where a number is not defined or not given
_SPACE = "\N{NO-BREAK SPACE}"
_SENTENCE = 60  # characters


@dataclass(frozen=True)
class Format:
    """How a number is written.

    Attributes
    ----------
    unit : str
        Behind the number; in a table once, in the heading of the column.
    scale : float
        Printed units in one natural unit: 100 for a fraction that is written in percent.
    digits : int or None
        After the decimal point; None: four significant digits, and all of those before the point.
    signed : bool
        Whether a positive number has its sign.
    least : float
        Smaller numbers are written as "< least": a p value is never 0.
    before : str
        Before the number: "> ".
    """

    unit: str = ""
    scale: float = 1.0
    digits: int | None = 2
    signed: bool = False
    least: float = 0.0
    before: str = ""

    @classmethod
    def of(cls, printed: Printed | None, unit: str) -> Format:
        """Return the format that writes a printed number as it was printed; None: any number of its unit.

        The unit is a key of `papers.printed.UNITS`, or the name of what is counted.
        """
        scale = 1 / UNITS.get(unit, 1.0)
        written = {"1": "", "percent^2": "points²", "percentage points": "points"}.get(unit, unit)
        if printed is None:
            return cls(written, scale, digits=2 if unit in ("%", "percentage points") else None)
        digits = max(0, printed.decimals - round(math.log10(scale * printed.scale)))
        return cls(written, scale, digits, before="" if printed.operator == "=" else f"{printed.operator} ")

    def __call__(self, value: float, low: float = math.nan, high: float = math.nan, missing: str = NONE) -> Cell:
        """Return a number as a cell of `Table.of`; nan is shown as `missing`."""
        return Cell(value, self, low, high, missing)

    def score(self, found: Estimate | None, missing: str = NONE) -> Cell:
        """Return a score, or what else has a value, low and high, as a cell; None is shown as `missing`."""
        return self(found.value, found.low, found.high) if found else self(math.nan, missing=missing)

    def number(self, value: float | None) -> str:
        """Write a number without its unit; an en dash for nan and None."""
        if value is None or math.isnan(value):
            return NONE
        if 0 <= value < self.least:
            return f"< {self.least:g}"
        digits = 0 if self.digits is None and 1000 <= abs(self.scale * value) < math.inf else self.digits
        kind = ".4g" if digits is None else f".{digits}f"
        return self.before + format(self.scale * value, f"{'+' if self.signed else ''}{kind}")

    def interval(self, value: float | None, low: float | None, high: float | None) -> str:
        """Write a number and, where both are known, its limits: "95.83 (93.92 to 97.16)"."""
        written = self.number(value)
        if NONE in (written, self.number(low), self.number(high)):
            return written
        limits = (self.number(limit).removeprefix(self.before) for limit in (low, high))
        return f"{written} ({' to '.join(limits)})"

    def text(self, value: float | None, low: float | None = None, high: float | None = None) -> str:
        """Write a number with its unit and, where they are known, its limits: "95.83 % (93.92 to 97.16)"."""
        number, written = self.number(value), self.interval(value, low, high)
        if number == NONE or not self.unit:
            return written
        return f"{number}{_SPACE}{self.unit}{written.removeprefix(number)}"


class Cell(NamedTuple):
    """A number of a table, how it is written, the limits of its interval, and what is shown for nan."""

    value: float
    how: Format
    low: float
    high: float
    missing: str


PERCENT = Format("%", 100)
PERCENT1 = Format("%", 100, digits=1)
PERCENT0 = Format("%", 100, digits=0)
POINTS = Format("points", 100, signed=True)
COUNT = Format(digits=0)
NUMBER = Format(digits=None)
P_VALUE = Format(digits=4, least=0.0001)
SECONDS = Format("s", digits=1)


@dataclass(frozen=True, eq=False)
class Table:
    """A table of numbers that shows itself whole in a notebook.

    Numbers are aligned at their right. Strings are shown as they are, so that a column of numbers may hold
    "not run", or a number as a paper prints it.

    Attributes
    ----------
    frame : DataFrame
        Numbers in natural units, nan where they are undefined. The limits of the interval of a column
        "accuracy" are the columns "accuracy low" and "accuracy high"; they are shown in its cells.
    caption : str
        One sentence that says what the table shows, and of which images.
    formats : mapping of str to Format, or to a sequence of Format
        By column; a sequence has one format a row. Without one, floats have four significant digits.
    missing : mapping of str to str, or to a sequence of str
        By column, what is shown for nan or None; a sequence has one text a row. By default an en dash where a column
        has a format, else nothing.
    """

    frame: pd.DataFrame
    caption: str
    formats: Mapping[str, Format | Sequence[Format]] = field(default_factory=dict)
    missing: Mapping[str, str | Sequence[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, object]], caption: str) -> Table:
        """Make a table of rows that hold, by column, a `Cell` with its own format, a text or a whole number.

        Nothing is shown where a row has no such column.
        """
        columns, formats, missing = {}, {}, {}
        for name in dict.fromkeys(name for row in rows for name in row):
            column = [row.get(name) for row in rows]
            cells = [each if isinstance(each, Cell) else Cell(each, NUMBER, math.nan, math.nan, "") for each in column]
            columns[name] = [each.value for each in cells]
            if not any(isinstance(each, Cell) for each in column):
                continue
            formats[name], missing[name] = [each.how for each in cells], [each.missing for each in cells]
            for end in ("low", "high"):
                limits = [getattr(each, end) for each in cells]
                columns |= {} if all(map(math.isnan, limits)) else {f"{name} {end}": limits}
        return cls(pd.DataFrame(columns), caption, formats, missing)

    def shown(self) -> pd.DataFrame:
        """Return the table as it is displayed: strings, with units in the headings."""
        columns = self._columns()
        rows = list(zip(*(cells for _, _, cells in columns), strict=True))
        return pd.DataFrame(rows, columns=[heading for heading, _, _ in columns])

    def _repr_html_(self) -> str:
        if not len(self.frame.columns):  # nothing to show but why
            return f"<p>{escape(self.caption)}</p>"
        columns = self._columns()
        # JupyterLab aligns every cell at its right, unless the cell itself says otherwise.
        kinds = [_style(numeric, cells) for _, numeric, cells in columns]
        head = "".join(
            f'<th scope="col"{kind}>{escape(heading)}</th>'
            for kind, (heading, _, _) in zip(kinds, columns, strict=True)
        )
        body = "\n".join(
            "<tr>" + "".join(f"<td{kind}>{escape(cell)}</td>" for kind, cell in zip(kinds, row, strict=True)) + "</tr>"
            for row in zip(*(cells for _, _, cells in columns), strict=True)
        )
        caption = f'<caption style="text-align: left">{escape(self.caption)}</caption>'
        # A table that is wider than the page scrolls by itself, with the keyboard too.
        group = f'<div class="table" role="group" tabindex="0" aria-label="{escape(self.caption)}">'
        return (
            f'{group}<table class="dataframe">{caption}\n<thead><tr>{head}</tr></thead>\n'
            f"<tbody>\n{body}\n</tbody></table></div>"
        )

    def __repr__(self) -> str:
        if not len(self.frame.columns):
            return self.caption
        return f"{self.caption}\n{self.shown().to_string(index=False)}"

    def _columns(self) -> list[tuple[str, bool, list[str]]]:
        """Heading of each column, whether it holds numbers, and its cells."""
        limits = {name: (f"{name} low", f"{name} high") for name in self.frame.columns}
        limits = {name: pair for name, pair in limits.items() if set(pair) <= set(self.frame.columns)}
        inside = {name for pair in limits.values() for name in pair}
        return [self._column(name, limits.get(name)) for name in self.frame.columns if name not in inside]

    def _column(self, name, limits):
        values, rows = list(self.frame[name]), len(self.frame)
        formats = self.formats.get(name, NUMBER)
        formats = [formats] * rows if isinstance(formats, Format) else list(formats)
        missing = self.missing.get(name, NONE if name in self.formats else "")
        missing = [missing] * rows if isinstance(missing, str) else list(missing)
        ends = [list(self.frame[end]) for end in limits] if limits else [[math.nan] * rows] * 2
        units = {each.unit for each, value in zip(formats, values, strict=True) if _is_number(value)}
        unit = units.pop() if len(units) == 1 else ""
        cells = [
            _cell(value, low, high, how, absent, bool(unit))
            for value, low, high, how, absent in zip(values, *ends, formats, missing, strict=True)
        ]
        numeric = name in self.formats or any(map(_is_number, values))
        return f"{name},{_SPACE}{unit}" if unit else str(name), numeric, cells


def _style(numeric, cells):
    if numeric:
        return ' class="n" style="text-align: right"'
    sentences = any(len(cell) > _SENTENCE for cell in cells)  # would else be left a word a line beside many columns
    return f' style="text-align: left{"; min-width: 14rem" if sentences else ""}"'


def _cell(value, low, high, how, missing, unit_in_heading):
    if not _is_number(value):
        if isinstance(value, bool):
            return "yes" if value else "no"
        return missing if pd.isna(value) else str(value)
    if how is NUMBER and not isinstance(value, float):
        how = COUNT
    return how.interval(value, low, high) if unit_in_heading else how.text(value, low, high)


def _is_number(value):
    return isinstance(value, Real) and not isinstance(value, bool) and not math.isnan(value)
