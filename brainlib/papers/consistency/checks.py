"""Whether a paper's printed numbers are possible, and agree with each other, before any training.

A printed number stands for a range. Rounded, the number behind "97.86%" lies from 97.855 to 97.865;
cut off after the last digit, from 97.86 to below 97.87. Each check asks whether there are images,
counts or folds that put every number of a kind into its range:

- *consistent*: they exist, with every number rounded;
- *conditional*: they exist only under a condition, which the sentence names;
- *impossible*: they do not exist, rounded or cut off.

A check that finds nothing wrong is kept as well. The checks themselves are in `rowchecks`,
`sizechecks` and `foldchecks`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from brainlib.papers.printed import Printed
from brainlib.papers.schema import Claim, Paper

CONSISTENT, CONDITIONAL, IMPOSSIBLE = FINDINGS = ("consistent", "conditional", "impossible")


@dataclass(frozen=True)
class Check:
    """What one check of a paper found.

    Attributes
    ----------
    paper : str
    claims : tuple of str
        Ids of the claims that took part.
    method : str
    finding : {"consistent", "conditional", "impossible"}
    sentence : str
        The finding with the arithmetic behind it.
    suspect : tuple of str
        Of an impossible finding the claims that cannot stand as printed; not, for instance, the
        folds that a wrong mean was held against.
    """

    paper: str
    claims: tuple[str, ...]
    method: str
    finding: str
    sentence: str
    suspect: tuple[str, ...] = ()


@dataclass(frozen=True)
class Number:
    """A claim with its printed number, and the ranges that it stands for, in natural units."""

    claim: Claim
    printed: Printed

    @property
    def rounded(self) -> tuple[float, float]:
        """What is printed so when it is rounded, both ends included."""
        reach = self.printed.tolerance
        return self.printed.value - reach, self.printed.value + reach

    @property
    def either(self) -> tuple[float, float]:
        """What is printed so when it is rounded or cut off."""
        return self.rounded[0], self.printed.value + 2 * self.printed.tolerance

    @property
    def name(self) -> str:
        """Metric and print: "accuracy 97.86%"."""
        return f"{self.claim.metric.name} {self.claim.printed}"


def numbers(paper: Paper, *over: str) -> list[Number]:
    """The claims of a paper that are one exact number, of a metric taken over one of these."""
    found = [Number(claim, claim.number) for claim in paper.claims if claim.metric and claim.metric.over in over]
    return [number for number in found if number.printed.operator in "=≈"]


def phase_of(paper: Paper, claim: Claim) -> str:
    """The phase that a claim is about: the last one of its arm, if it names none."""
    return claim.phase or (paper.arms[claim.arm].phases[-1].name if claim.arm else "")


def place(paper: Paper, claim: Claim) -> str:
    """What a sentence calls the model and the images of a claim."""
    scenario = paper.scenario(claim.scenario).title if claim.scenario else ""
    arm = paper.arms[claim.arm].title if claim.arm else ""
    phase = claim.phase or ""
    return ", ".join(filter(None, [arm, scenario, phase, claim.stage]))


def check(claims: Iterable[Number | Claim], method: str, finding: str, sentence: str, suspects: int = 0) -> Check:
    """One check, of a paper that `consistency.check_paper` puts in; the first claims are the suspects (0: all)."""
    given = [each.claim if isinstance(each, Number) else each for each in claims]
    ids = tuple(claim.id for claim in given)
    suspect = ids[: suspects or len(ids)] if finding == IMPOSSIBLE else ()
    return Check("", ids, method, finding, sentence, suspect)


def overlap(ranges: Iterable[tuple[float, float]]) -> tuple[float, float] | None:
    """What all ranges have in common; None where that is nothing, or no more than a point."""
    lows, highs = zip(*ranges, strict=True)
    low, high = max(lows), min(highs)
    # Rounding of binary fractions must not decide.
    return (low, high) if high - low > 1e-9 * max(1.0, abs(high)) else None


def listed(values: Sequence, most: int = 6) -> str:
    """Write numbers one after the other; of many, the first and the last."""
    values = list(map(str, values))
    if len(values) > most:
        return f"{', '.join(values[:2])} ... {values[-1]}"
    return ", ".join(values) or "none"
