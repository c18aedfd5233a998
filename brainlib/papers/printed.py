"""Numbers as papers print them, parsed into natural units: a fraction for "97.94%", seconds for minutes."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from brainlib.errors import PaperError

# What one unit of a printed number is in natural units. Any other unit counts things: 1.
UNITS = {"%": 1e-2, "percentage points": 1e-2, "percent^2": 1e-4, "1": 1.0, "s": 1.0, "min": 60.0}
_WORDS = {
    **dict.fromkeys(("around", "about", "approximately", "nearly", "almost"), "≈"),
    **dict.fromkeys(("above", "over", "more than"), ">"),
    **dict.fromkeys(("below", "under", "less than"), "<"),
}
_SPELLED = "zero one two three four five six seven eight nine ten eleven twelve thirteen".split()
#: What every printed number has: a digit, or a number in words.
NUMBER = rf"[0-9]|(?i:\b(?:{'|'.join(_SPELLED)})\b)"
_DIGITS = {word: str(number) for number, word in enumerate(_SPELLED)}
_LONGEST = 80  # characters
_PRINTED = re.compile(
    r"""
    (?: (?: [a-z][a-z0-9 _-]{0,30}? \s* )? (?P<sign> [=≈~<>≤≥] )
      | (?: all \s )? (?P<word> WORDS ) \s )?
    \s* (?P<number> [-+−]? (?: (?P<thousands> [1-9]\d{0,2} (?:,\d{3})+ )
                           | \d{1,12} (?: [.,]\d{1,10} )? | [.,]\d{1,10} ) )
    \s* (?: (?P<percent> % | percent(?:age \s points)?\b )
          | (?P<min> min(?:utes?)?\b ) | (?P<s> s(?:ec(?:onds?)?)?\b ) | (?P<noun> [a-z]+ ) )?
    (?: \s* per \s (?:fold|epoch|image) )?
    """.replace("WORDS", "|".join(_WORDS).replace(" ", r"\s")),
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)


@dataclass(frozen=True)
class Printed:
    """A printed number in natural units: a fraction for a percentage, seconds for a time, else as printed.

    ``decimals`` are the digits printed after the decimal point, ``scale`` the natural units in one printed unit (0.01
    for a percentage), ``operator`` is "=", "≈", or a comparison: ">", "<", "≥", "≤".
    """

    value: float
    decimals: int
    scale: float
    operator: str = "="

    @property
    def tolerance(self) -> float:
        """Half a unit of the last printed digit, in natural units: the most that rounding changes."""
        return 0.5 * 10.0**-self.decimals * self.scale

    @property
    def rounded(self) -> tuple[float, float]:
        """The range of numbers that are printed so when they are rounded, both ends included."""
        return self.value - self.tolerance, self.value + self.tolerance

    @property
    def either(self) -> tuple[float, float]:
        """The range of numbers that are printed so when they are rounded or truncated."""
        return self.rounded[0], self.value + 2 * self.tolerance

    def text(self, unit: str | None = None) -> str:
        """Write the number with the digits that were printed, no more: "98" for "98%", ">97" for ">97%".

        ``unit``, a key of `UNITS`, is the unit in which it is written without its sign, by default the printed one:
        "0,95" is "0.95" by itself and "95" in "%".
        """
        scale = self.scale if unit is None else UNITS[unit]
        decimals = max(0, self.decimals + round(math.log10(scale / self.scale)))
        return f"{'' if self.operator == '=' else self.operator}{self.value / scale:.{decimals}f}"


def printed_number(text: str, unit: str | None = None) -> Printed:
    """Parse a number as a paper prints it: "97.94%", "0,95", "T ≈ 0.3977", "p > 0.05", ">97%", "ten epochs".

    ``text`` holds one number with, at most, a name and a sign or word of comparison before it ("around", "above") and
    its unit behind it. A comma is a decimal comma, but "3,264" is 3264 where ``unit`` counts things ("images") and
    refused as ambiguous elsewhere. ``unit`` is needed where a table prints it apart: a key of `UNITS`, or the name of
    what is counted; else the text's own is taken, 1 if it has none. Anything else is a `PaperError`, in one line.
    """
    shown = repr(text)[:60]
    if not isinstance(text, str) or len(text) > _LONGEST:
        raise PaperError(f"printed number: expected a string of at most {_LONGEST} characters, received {shown}")
    plain = re.sub(r"[\u00a0\u2009\u202f]", " ", text).strip()
    plain = re.sub(r"\b[A-Za-z]+\b", lambda word: _DIGITS.get(word[0].lower(), word[0]), plain)
    match = _PRINTED.fullmatch(plain)
    if match is None:
        raise PaperError(f"printed number: expected one number such as '97.94%' or 'p > 0.05', received {shown}")
    own = next((name for name in ("percent", "min", "s", "noun") if match[name]), None)
    if own == "percent":
        fitting = ("%", "percentage points", "percent^2")
    else:
        fitting = (match["noun"].lower() if own == "noun" else own or unit or "1",)
    if unit is None:  # a word in the text is no unit unless it is named as one
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
    operator = {None: "=", "~": "≈"}.get(match["sign"], match["sign"])
    if match["word"]:
        operator = _WORDS[re.sub(r"\s+", " ", match["word"].lower())]
    return Printed(value, decimals, scale, operator)
