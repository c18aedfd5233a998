"""What a check of a paper's printed numbers is, and what the checks share.

A printed number stands for a range. Rounded, the number behind "97.86%" lies from 97.855 to 97.865;
truncated after the last digit, from 97.86 to below 97.87. Each check asks whether there are images,
counts or folds that put every number of a kind into its range. A finding is *consistent* where they exist with
every number rounded, *conditional* where they exist only under a condition, which the sentence names, and
*impossible* where they do not exist. A check that finds nothing wrong is kept as well.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from brainlib.papers.schema import Claim, Paper

# Of images behind scores whose counts are searched: beyond, searches take minutes, and most numbers fit.
MOST_SEARCHED = 2500
CONSISTENT, CONDITIONAL, IMPOSSIBLE = FINDINGS = ("consistent", "conditional", "impossible")


@dataclass(frozen=True)
class Check:
    """What one check of a paper found, as a sentence with the arithmetic behind it.

    ``claims`` are the ids of those that took part. Of an impossible finding, ``suspect`` are the ids of those that
    cannot stand as printed; not, for instance, the folds that a wrong mean was compared with.
    """

    paper: str
    claims: tuple[str, ...]
    method: str
    finding: Literal["consistent", "conditional", "impossible"]
    sentence: str
    suspect: tuple[str, ...] = ()


def check(claims: Iterable[Claim], method: str, finding: str, sentence: str, suspects: int = 0) -> Check:
    """Make one check, to which `check_paper` adds the paper; the first claims are the suspects (0: all)."""
    ids = tuple(claim.id for claim in claims)
    suspect = ids[: suspects or len(ids)] if finding == IMPOSSIBLE else ()
    return Check("", ids, method, finding, sentence, suspect)


def exact(paper: Paper, *over: str, name: str | None = None, **fields: object) -> list[Claim]:
    """Return the claims of a paper that are one exact number, of a metric taken over one of these, by default a value.

    Only those of the metric of a name, and with these fields, if any are given.
    """
    own = [claim for claim in paper.claims if claim.metric and claim.metric.over in (over or ("value",))]
    own = [claim for claim in own if name in (None, claim.metric.name) and claim.number.operator in "=≈"]
    return [claim for claim in own if all(getattr(claim, field) == value for field, value in fields.items())]


def ranges(row: Iterable[Claim], reading: str) -> dict[str, tuple[float, float]]:
    """Return the range that each metric of a row stands for; reading is "rounded" or "either"."""
    return {claim.metric.name: getattr(claim.number, reading) for claim in row}


def fitting(search: Callable, row: Sequence[Claim], *images: int) -> tuple[Collection, Collection]:
    """Return what admits a row with all its numbers rounded, and with each rounded or truncated."""
    rounded = search(ranges(row, "rounded"), *images)
    return rounded, rounded or search(ranges(row, "either"), *images)


def finding_of(rounded: object, truncated: object) -> str:
    """Return the finding of two answers: whether all numbers fit rounded, and whether rounded or truncated."""
    return CONSISTENT if rounded else CONDITIONAL if truncated else IMPOSSIBLE


def names(row: Iterable[Claim]) -> str:
    """Name metric and print of each claim: "accuracy 97.86%, f1 0.98"."""
    return ", ".join(f"{claim.metric.name} {claim.printed}" for claim in row)


def about(paper: Paper, claim: Claim, what: str) -> str:
    """Name the model and the images of a claim before what a sentence says of them."""
    scenario = claim.scenario and paper.scenario(claim.scenario).title
    arm = claim.arm and paper.arms[claim.arm].title
    where = ", ".join(filter(None, [arm, scenario, claim.phase, claim.stage]))
    return f"{where}: {what}" if where else what


def overlap(given: Iterable[tuple[float, float]]) -> tuple[float, float] | None:
    """Return what all ranges have in common; None where that is nothing, or no more than a point."""
    lows, highs = zip(*given, strict=True)
    low, high = max(lows), min(highs)
    # Rounding of binary fractions must not decide.
    return (low, high) if high - low > 1e-9 * max(1.0, abs(high)) else None


def listed(values: Sequence, most: int = 6) -> str:
    """Write numbers one after the other; of many, the first two and the last."""
    values = list(map(str, values))
    if len(values) > most:
        return f"{', '.join(values[:2])} ... {values[-1]}"
    return ", ".join(values) or "none"
