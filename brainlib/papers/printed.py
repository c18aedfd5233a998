"""From a printed string to a verdict: what was claimed, what came out, and whether the two agree.

A printed number is parsed once, into natural units (a fraction for "97.94%", seconds for a time in
minutes). `verdict` is the one place where it meets the reproduced number with its 95 % interval
(`brainlib.stats.estimates`); its rule is written there and nowhere else.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Sequence
from dataclasses import dataclass

from brainlib.errors import PaperError

# A choice, not a finding: two percentage points either way count as the same accuracy,
# sensitivity, F1 ... In both directions: a much better result is no reproduction either.
MARGIN = 0.02

REPRODUCED, NOT_REPRODUCED = "reproduced", "not reproduced"
INCONCLUSIVE, NOT_COMPARABLE = "inconclusive", "not comparable"
INCONSISTENT = "inconsistent as printed"

# What one unit of a printed number is in natural units. Any other unit counts things: 1.
UNITS = {"%": 1e-2, "percentage points": 1e-2, "percent^2": 1e-4, "1": 1.0, "s": 1.0, "min": 60.0}
_COMPARISONS = {">": operator.gt, "<": operator.lt, "≥": operator.ge, "≤": operator.le}
_WORDS = {
    "≈": "around|about|approximately|nearly|almost",
    ">": "above|over|more than",
    "<": "below|under|less than",
}
_LONGEST = 80  # characters
_PRINTED = re.compile(
    r"""
    (?: (?: [a-z][a-z0-9 _-]{0,30}? \s* )? (?P<sign> [=≈~<>≤≥] )
      | (?: all \s )? (?P<word> %s ) \s )?
    \s* (?P<number> [-+−]? (?: (?P<thousands> [1-9]\d{0,2} (?:,\d{3})+ )
                           | \d{1,12} (?: [.,]\d{1,10} )? | [.,]\d{1,10} ) )
    \s* (?: (?P<percent> %% | percent(?:age \s points)?\b )
          | (?P<min> min(?:utes?)?\b ) | (?P<s> s(?:ec(?:onds?)?)?\b ) | (?P<noun> [a-z]+ ) )?
    (?: \s* per \s (?:fold|epoch|image) )?
    """
    % "|".join(_WORDS.values()).replace(" ", r"\s"),
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)


@dataclass(frozen=True)
class Printed:
    """A printed number in natural units.

    Attributes
    ----------
    value : float
        In natural units: a fraction for a percentage, seconds for a time, else as printed.
    decimals : int
        Digits printed after the decimal point.
    scale : float
        Natural units in one printed unit: 0.01 for a percentage.
    operator : str
        "=", "≈", or a comparison: ">", "<", "≥", "≤".
    """

    value: float
    decimals: int
    scale: float
    operator: str = "="

    @property
    def tolerance(self) -> float:
        """Half a unit of the last printed digit, in natural units: how far rounding reaches."""
        return 0.5 * 10.0**-self.decimals * self.scale

    def text(self, unit: str | None = None) -> str:
        """Write the number with the digits that were printed, no more: "98" for "98%", ">97" for ">97%".

        Parameters
        ----------
        unit : str, optional
            A key of `UNITS`, in which the number is written without its sign; by default the one that
            was printed. "0,95" is "0.95" by itself and "95" in "%".
        """
        scale = self.scale if unit is None else UNITS[unit]
        decimals = max(0, self.decimals + round(math.log10(scale / self.scale)))
        return f"{'' if self.operator == '=' else self.operator}{self.value / scale:.{decimals}f}"


@dataclass(frozen=True)
class Verdict:
    """One of the five verdicts above, and why."""

    verdict: str
    reason: str


def printed_number(text: str, unit: str | None = None) -> Printed:
    """Parse a number as a paper prints it: "97.94%", "0,95", "T ≈ 0.3977", "p > 0.05", ">97%".

    Parameters
    ----------
    text : str
        One number with, at most, a name and a sign or word of comparison before it ("around",
        "above") and its unit behind it. A comma is a decimal comma, but "3,264" is 3264 where
        ``unit`` counts things ("images") and refused as ambiguous elsewhere.
    unit : str, optional
        Unit of the number where a table prints it apart: a key of `UNITS`, or the name of what is
        counted. Without it the text's own unit is taken, 1 if it has none.

    Raises
    ------
    PaperError
        Anything else, in one line.
    """
    shown = repr(text)[:60]
    if not isinstance(text, str) or len(text) > _LONGEST:
        raise PaperError(f"printed number: expected a string of at most {_LONGEST} characters, received {shown}")
    match = _PRINTED.fullmatch(re.sub(r"[\u00a0\u2009\u202f]", " ", text).strip())
    if match is None:
        raise PaperError(f"printed number: expected one number such as '97.94%' or 'p > 0.05', received {shown}")
    own = next((name for name in ("percent", "min", "s", "noun") if match[name]), None)
    fitting = {
        "percent": ("%", "percentage points", "percent^2"),
        "noun": (str(match["noun"]).lower(),),
        None: (unit or "1",),
    }.get(own, (own,))
    if unit is None:  # a word that nobody announced is not taken for a unit
        unit = "1" if own == "noun" else fitting[0]
    if unit not in fitting:
        raise PaperError(f"printed number: expected unit {fitting[0]!r} for {shown}, received {unit!r}")
    if match["thousands"] and unit in UNITS:
        raise PaperError(f"printed number: expected one reading, received {shown} (thousands or decimals?)")
    number = match["number"].replace("−", "-")
    number = number.replace(",", "" if match["thousands"] else ".")
    scale = UNITS.get(unit, 1.0)
    decimals = len(number.partition(".")[2])
    # Rounded to the printed digits, so that "97.94%" is the float 0.9794 and not its neighbour.
    digits = decimals + max(0, round(-math.log10(scale)))
    value = round(float(number) * scale, digits)
    return Printed(value, decimals, scale, _operator(match))


def _operator(match: re.Match) -> str:
    if match["word"]:
        word = re.sub(r"\s+", " ", match["word"].lower())
        return next(sign for sign, words in _WORDS.items() if word in words.split("|"))
    return {None: "=", "~": "≈"}.get(match["sign"], match["sign"])


def verdict(
    printed: Printed,
    reproduced: float | None,
    low: float | None,
    high: float | None,
    margin: float = MARGIN,
    not_comparable: Sequence[str] = (),
    impossible: Sequence[str] = (),
) -> Verdict:
    """Judge a reproduced number against the printed one.

    The rule, the first that applies, with p the printed value and m the margin:

    1. inconsistent as printed: there is any finding in ``impossible``. Nothing can reproduce it.
    2. not comparable: there is any reason in ``not_comparable``.
    3. inconclusive: the reproduced value is missing, or undefined on these images.
    4. A comparison ("p > 0.05"): reproduced if the reproduced value satisfies it, else not
       reproduced. No margin and no interval enter: this is the paper's own rule of decision.
    5. inconclusive: there is no interval.
    6. reproduced: the whole interval lies within p - m to p + m, the ends included.
    7. not reproduced: the whole interval lies outside it, above as well as below.
    8. inconclusive: anything else.

    This is a test of equivalence by interval (as in Schuirmann 1987, with a 95 % interval where
    his would be 90 %): a small study cannot confirm anything by being vague.

    Parameters
    ----------
    reproduced, low, high : float or None
        The reproduced value and its 95 % interval, in natural units, as ``printed`` is.
    margin : float
        m, in natural units, the same in both directions. The default suits proportions only.
    not_comparable : sequence of str
        Conditions of the run that forbid a comparison: phantoms, random weights, a subset ...
    impossible : sequence of str
        Why no number can be printed so; see `brainlib.papers.consistency.checks`.

    Raises
    ------
    ValueError
        A margin below 0 or nan, or low above high.
    """
    if not margin >= 0:
        raise ValueError(f"expected a margin of 0 or more, received {margin!r}")
    if impossible:
        return Verdict(INCONSISTENT, " ".join(impossible))
    if not_comparable:
        return Verdict(NOT_COMPARABLE, "; ".join(not_comparable))
    if reproduced is None or math.isnan(reproduced):
        return Verdict(INCONCLUSIVE, "no reproduced value: not computed, or undefined here")
    claim = _as_printed(printed.value, printed)
    value = _as_printed(reproduced, printed)
    if printed.operator in _COMPARISONS:
        holds = _COMPARISONS[printed.operator](reproduced, printed.value)
        said = f"{value} is {'' if holds else 'not '}{printed.operator} {claim}"
        return Verdict(REPRODUCED if holds else NOT_REPRODUCED, said)
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return Verdict(INCONCLUSIVE, f"{value} has no interval, so its uncertainty is unknown")
    if low > high:
        raise ValueError(f"expected low <= high, received {low!r} and {high!r}")
    interval = f"the interval {_as_printed(low, printed)} to {_as_printed(high, printed)}"
    ends = [_as_printed(printed.value + step, printed) for step in (-margin, margin)]
    band = f"{ends[0]} to {ends[1]}, the margin around {claim}"
    # Rounding of decimal fractions must not decide, so the ends have a hair's breadth.
    hair = 1e-9 * max(1.0, abs(printed.value))
    above, below = high - printed.value, printed.value - low  # how far the interval reaches
    if max(above, below) <= margin + hair:
        return Verdict(REPRODUCED, f"{interval} lies within {band}")
    if max(-above, -below) > margin + hair:
        return Verdict(NOT_REPRODUCED, f"{interval} lies wholly outside {band}")
    needed = abs(margin - abs(reproduced - printed.value))
    reason = f"{interval}, {_as_printed(high - low, printed)} wide, reaches over an end of {band}"
    if needed <= hair:
        return Verdict(INCONCLUSIVE, f"{reason}; no amount of data decides a value at the very end")
    # An interval shrinks with the square root of the data behind it.
    more = (max(high - reproduced, reproduced - low) / needed) ** 2
    return Verdict(
        INCONCLUSIVE,
        f"{reason}; it would have to keep within {_as_printed(needed, printed)} of {value}, which "
        f"takes about {more:.2g} times the data",
    )


def _as_printed(value: float, printed: Printed) -> str:
    """A number in natural units, as the paper's reader sees it."""
    return f"{value / printed.scale:.4g}{' %' if printed.scale == UNITS['%'] else ''}"
