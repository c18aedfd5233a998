"""Tables as a reader sees them: every word of every row, escaped, with a caption."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import pandas as pd


@dataclass(frozen=True, eq=False)
class Table:
    """A table that shows itself whole in a notebook.

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
        # pandas would cut long text and long tables, which here are the point.
        with pd.option_context("display.max_colwidth", None, "display.max_rows", None):
            body = self.frame.to_html(index=False, escape=True, na_rep="", border=0)
        opening = body.index(">") + 1
        caption = f"<caption>{escape(self.caption)}</caption>"
        # A table that is wider than the page scrolls by itself, with the keyboard too.
        group = f'<div class="table" role="group" tabindex="0" aria-label="{escape(self.caption)}">'
        return f"{group}{body[:opening]}{caption}{body[opening:]}</div>"

    def __repr__(self) -> str:
        return f"{self.caption}\n{self.frame.to_string(index=False)}"


def percent(value: float, digits: int = 2) -> str:
    """Write a fraction as a percentage that no line break divides; nan is an en dash."""
    return "–" if pd.isna(value) else f"{100 * value:.{digits}f}\N{NO-BREAK SPACE}%"
