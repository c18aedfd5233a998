"""Tables as a reader sees them: every word of every row, escaped, with a caption."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape

import pandas as pd

_NOTHING = ("", "–", "not run", "undefined")  # what stands where there is no number
_UNITS = {"\N{NO-BREAK SPACE}%": "%", " points": "points"}  # behind a number, and by themselves
_NUMBER = r"(?:< )?[+-]?(?:\d[\d.,]*|inf)(?:\s?%| points)?"
_NUMBERS = re.compile(rf"{_NUMBER}(?: (?:to|of) {_NUMBER})?(?: \({_NUMBER} to {_NUMBER}\))?(?: of \d+|, n = \d+)?")


@dataclass(frozen=True, eq=False)
class Table:
    """A table that shows itself whole in a notebook.

    Columns of numbers are aligned at their right, and a unit that all of a column have stands once, in
    its heading.

    Attributes
    ----------
    frame : DataFrame
        What it shows; numbers are formatted beforehand.
    caption : str
        One sentence that says what the table shows, and on what.
    """

    frame: pd.DataFrame
    caption: str

    def _repr_html_(self) -> str:
        if not len(self.frame.columns):  # nothing to show but why
            return f"<p>{escape(self.caption)}</p>"
        columns = [_column(name, self.frame.iloc[:, i]) for i, name in enumerate(self.frame.columns)]
        head = "".join(f'<th scope="col"{kind}>{escape(name)}</th>' for name, kind, _ in columns)
        rows = [
            "".join(f"<td{kind}>{escape(cell)}</td>" for (_, kind, _), cell in zip(columns, row, strict=True))
            for row in zip(*(cells for _, _, cells in columns), strict=True)
        ]
        body = "\n".join(f"<tr>{row}</tr>" for row in rows)
        caption = f"<caption>{escape(self.caption)}</caption>"
        # A table that is wider than the page scrolls by itself, with the keyboard too.
        group = f'<div class="table" role="group" tabindex="0" aria-label="{escape(self.caption)}">'
        return (
            f'{group}<table class="dataframe">{caption}\n<thead><tr>{head}</tr></thead>\n'
            f"<tbody>\n{body}\n</tbody></table></div>"
        )

    def __repr__(self) -> str:
        return f"{self.caption}\n{self.frame.to_string(index=False)}"


def _column(name, values) -> tuple[str, str, list[str]]:
    """Heading, class and cells of a column."""
    name, cells = str(name), ["" if pd.isna(value) else str(value) for value in values]
    numbers = [cell for cell in cells if cell not in _NOTHING]
    if not numbers or not all(map(_NUMBERS.fullmatch, numbers)):
        return name, "", cells
    for unit, alone in _UNITS.items():
        if all(unit in cell for cell in numbers):
            return f"{name},\N{NO-BREAK SPACE}{alone}", ' class="n"', [cell.replace(unit, "") for cell in cells]
    return name, ' class="n"', cells


def percent(value: float, digits: int = 2) -> str:
    """Write a fraction as a percentage that no line break divides; nan is an en dash."""
    return "–" if pd.isna(value) else f"{100 * value:.{digits}f}\N{NO-BREAK SPACE}%"


def with_limits(value: float | None, low: float | None, high: float | None, digits: int = 2) -> str:
    """Write a fraction and its interval as percentages, the limits with one digit; without those that are nan or None."""
    if pd.isna(value):
        return "–"
    limits = "" if pd.isna(low) else f" ({100 * low:.1f} to {100 * high:.1f})"
    return f"{percent(value, digits)}{limits}"
