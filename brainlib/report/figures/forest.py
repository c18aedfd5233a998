"""The headline numbers of a run side by side: what was printed, what came out, and without copies."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from brainlib.errors import PaperError
from brainlib.papers.printed import printed_number
from brainlib.study.records import Claim, PaperResult, Reproduced

WIDTH = 260.0  # of the drawing, in pixels
_EDGE = 14.0  # pixels on either side, for marks at an end


class Row(NamedTuple):
    """One accuracy: where it stands, and the same as places on the drawing (pixels, None: not there)."""

    paper: str
    name: str
    claim: Claim
    printed_x: float
    reproduced_x: tuple[float, float, float]
    clean_x: tuple[float, float, float] | None


class Forest(NamedTuple):
    """Rows, and the ticks of their common axis as (place, percent)."""

    rows: tuple[Row, ...]
    ticks: tuple[tuple[float, int], ...]


def forest(ran: Mapping[str, PaperResult]) -> Forest:
    """Every printed accuracy that was reproduced, once.

    Of an accuracy that stands in several places of a paper, the first that is reproduced counts; those of
    single folds, and of validation images where there is one of test images, are left to the notebooks.

    Parameters
    ----------
    ran : mapping of PaperResult
        By id of the paper.
    """
    chosen = {}
    for paper, result in ran.items():
        for claim in result.claims:
            headline = claim.metric == "accuracy" and claim.over in ("value", "mean")
            whole = claim.stage in ("test", "validation", "folds")
            if headline and whole and claim.reproduced and claim.reproduced.value is not None:
                place = (paper, claim.arm, claim.scenario, claim.phase, claim.stage, claim.label)
                if place not in chosen and printed_value(claim) is not None:
                    chosen[place] = claim
    # Validation images stand in where a paper prints no accuracy of test images.
    tested = {place[:4] for place in chosen if place[4] == "test"}
    chosen = {p: c for p, c in chosen.items() if p[4] != "validation" or p[:4] not in tested}
    if not chosen:
        return Forest((), ())
    printed = {place: printed_value(claim) for place, claim in chosen.items()}
    lowest = min(
        [*printed.values()]
        + [limit for c in chosen.values() for each in (c.reproduced, c.clean) for limit in _limits(each)]
    )
    start = max(0, min(90, 10 * math.floor(10 * lowest)))
    scale = (WIDTH - 2 * _EDGE) / (1 - start / 100)

    def x(fraction):
        return round(_EDGE + (fraction - start / 100) * scale, 1)

    step = 10 if start >= 40 else 20
    return Forest(
        tuple(
            Row(
                place[0],
                _name(ran[place[0]], claim),
                claim,
                x(printed[place]),
                tuple(map(x, _limits(claim.reproduced))),
                tuple(map(x, _limits(claim.clean))) if claim.clean and claim.clean.value is not None else None,
            )
            for place, claim in chosen.items()
        ),
        tuple((x(tick / 100), tick) for tick in range(start + (-start) % step, 101, step)),
    )


def printed_value(claim: Claim) -> float | None:
    """The printed number in natural units; None where the file that it comes from holds no such number."""
    try:
        return printed_number(claim.printed, claim.unit).value
    except PaperError:
        return None


def _limits(found: Reproduced | None) -> tuple[float, ...]:
    """Low end, value and high end; the value thrice where there is no interval."""
    if found is None or found.value is None:
        return ()
    return tuple(found.value if each is None else each for each in (found.low, found.value, found.high))


def _name(result, claim):
    title = result.arms[claim.arm].title if claim.arm in result.arms else claim.arm or "all arms"
    stage = {"folds": "mean of the folds"}.get(claim.stage, claim.stage)
    return ", ".join(filter(None, [title, claim.scenario, claim.phase, stage]))
