"""What a paper concludes (who wins, in what order, by what ratio), judged on numbers from anywhere.

`judge` splits a conclusion into comparisons of two numbers and asks a source for what each is. The printed numbers
are such a source (`as_printed`), and so are the predictions of a run (`brainlib.study.conclusions`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal

from brainlib.papers.consistency import checks
from brainlib.papers.consistency.confusion import only_matrix, rows_of
from brainlib.papers.schema import Claim, Conclusion, Metric, Paper
from brainlib.stats.comparisons import probability_false

HOLDS, FAILS, OPEN, NO_NUMBER = "holds", "does not hold", "not decided", "no number"
# Two choices: scores that differ by up to two points count as equal, and ratios that differ by up to a quarter as the
# same ratio.
EQUAL, FACTOR = 0.02, 1.25
SHOWN = 4  # comparisons that hold, before they are only counted


@dataclass(frozen=True)
class Place:
    """Where a number of a conclusion stands; `scenario` is "" in a paper without scenarios."""

    arm: str
    phase: str
    stage: str
    scenario: str
    metric: Metric


@dataclass(frozen=True)
class Comparison:
    """One part of a conclusion: a number, or the first against the second, by the conclusion's kind and value."""

    kind: str
    first: Place
    second: Place | None
    value: float

    def verdict(self, low: float, high: float) -> str:
        """Judge the range of the number, of the difference (first minus second) or of the ratio (first to second)."""
        if self.kind == "order":  # strictly
            return HOLDS if low > 0 else FAILS if high <= 0 else OPEN
        bands = {"best": (0.0, math.inf), "equal": (-EQUAL, EQUAL), "at_least": (self.value, math.inf)}
        least, most = bands.get(self.kind) or (self.value / FACTOR, self.value * FACTOR)
        tolerance = 1e-9  # binary fractions must not decide
        if low >= least - tolerance and high <= most + tolerance:
            return HOLDS
        return FAILS if high < least - tolerance or low > most + tolerance else OPEN


@dataclass(frozen=True)
class Found:
    """What a source knows of a comparison: the range that `Comparison.verdict` takes, in words and, if known, P.

    `p_false` bounds the probability that the first number is not above the second.
    """

    low: float
    high: float
    words: str
    p_false: tuple[float, float] | None = None


@dataclass(frozen=True)
class JudgedConclusion:
    """A conclusion, what it comes to by some numbers, and the comparisons behind that, those against it first.

    `p_false` bounds the probability that it is false by the printed accuracies alone (None where these do not tell): at
    least that of its weakest comparison, at most the sum of all.
    """

    id: str
    quote: str
    where: str
    verdict: Literal["holds", "does not hold", "not decided", "no number", "not comparable"]
    reasons: tuple[str, ...]
    p_false: tuple[float, float] | None = None


def comparisons_of(paper: Paper, conclusion: Conclusion) -> Iterator[Comparison]:
    """Split a conclusion: the best against each other one, neighbours in an order, each to the first in a ratio."""
    for scenario, score in itertools.product(conclusion.scenarios or ("",), conclusion.scores):
        places = [
            Place(term.arm, term.phase or paper.arms[term.arm].phases[-1].name, score.stage, scenario, score.metric)
            for term in conclusion.of
        ]
        if conclusion.kind == "at_least":
            yield from (Comparison("at_least", place, None, conclusion.values[0]) for place in places)
        elif conclusion.kind == "ratio":
            for place, value in zip(places[1:], conclusion.values, strict=True):
                yield Comparison("ratio", place, places[0], value)
        else:
            firsts = places[:-1] if conclusion.kind == "order" else [places[0]] * (len(places) - 1)
            for first, second in zip(firsts, places[1:], strict=True):
                yield Comparison(conclusion.kind, first, second, math.nan)


def judge(paper: Paper, conclusion: Conclusion, source: Callable[[Comparison], Found | None]) -> JudgedConclusion:
    """Judge a conclusion: it does not hold if one comparison fails, and holds if all do.

    The source returns None for a comparison that it has no numbers for.
    """
    asked = list(comparisons_of(paper, conclusion))
    found = {comparison: each for comparison in asked if (each := source(comparison))}
    by_verdict = {FAILS: [], OPEN: [], HOLDS: []}
    for comparison, each in found.items():
        by_verdict[comparison.verdict(each.low, each.high)].append(each.words)
    verdict = next((each for each in (FAILS, OPEN) if by_verdict[each]), HOLDS if found else NO_NUMBER)
    missing = len(asked) - len(found)
    if verdict == HOLDS and missing:
        verdict = OPEN
    reasons = [f"{name}: {words}" for name in (FAILS, OPEN) for words in by_verdict[name]]
    if len(by_verdict[HOLDS]) > SHOWN:
        reasons.append(f"holds: {len(by_verdict[HOLDS])} of {len(asked)} comparisons")
    else:
        reasons += [f"holds: {words}" for words in by_verdict[HOLDS]]
    if missing:
        reasons.append(f"without numbers: {missing} of {len(asked)} comparisons")
    chances = [each.p_false for each in found.values() if each.p_false] if conclusion.kind in ("best", "order") else []
    p = (max(low for low, _ in chances), min(1.0, sum(high for _, high in chances))) if chances else None
    return JudgedConclusion(conclusion.id, conclusion.quote, conclusion.where, verdict, tuple(reasons), p)


def words_of(paper: Paper, comparison: Comparison, first: str, second: str = "") -> str:
    """Write a comparison with its numbers: "four, test, accuracy: MobileNet 97.86%, ResNet50 95.11%"."""
    place, other = comparison.first, comparison.second
    score = " ".join(filter(None, [place.metric.average, place.metric.name, place.metric.label])).replace("_", " ")
    numbers = [f"{_model(paper, place)} {first}"] + ([f"{_model(paper, other)} {second}"] if other else [])
    return f"{', '.join(filter(None, [place.scenario, place.stage, score]))}: {', '.join(numbers)}"


def _model(paper, place):
    arm = paper.arms[place.arm]
    return f"{arm.title} ({place.phase})" if len(arm.phases) > 1 else arm.title


@cache  # a page and a notebook show them
def as_printed(paper: Paper) -> tuple[JudgedConclusion, ...]:
    """Judge a paper's conclusions on the numbers that it prints."""

    def source(comparison):
        numbers = [_printed(paper, place) for place in (comparison.first, comparison.second) if place]
        if None in numbers:
            return None
        (low, high, text), *rest = numbers
        words = words_of(paper, comparison, text, *(each[2] for each in rest))
        if not rest:
            return Found(low, high, words)
        (other_low, other_high, _) = rest[0]
        if comparison.kind == "ratio":
            return Found(low / other_high, high / other_low, words)
        p = _p_false(paper, comparison) if comparison.first.metric == Metric(name="accuracy") else None
        return Found(low - other_high, high - other_low, words, p)

    return tuple(judge(paper, conclusion, source) for conclusion in paper.conclusions)


def _printed(paper, place):
    """Return the range of a printed number and its print; of a share of known images, the share itself."""
    claim = _claim(paper, place)
    if claim is None:
        return _implied(paper, place)
    low, high = claim.number.rounded
    if len(right := _right(claim)) == 1:
        low = high = right[0] / claim.n
    return low, high, claim.printed


def _claim(paper, place) -> Claim | None:
    """Find the most precise claim of a number."""
    found = checks.exact(paper, place.metric.over, arm=place.arm, stage=place.stage, scenario=place.scenario or None)
    found = [claim for claim in found if (claim.metric, paper.phase_of(claim)) == (place.metric, place.phase)]
    return min(found, key=lambda claim: claim.number.tolerance, default=None)


def _right(claim) -> range:
    """Return how many images may be right behind a printed accuracy of known images; empty for another score."""
    weighted = (claim.metric.name, claim.metric.average) == ("sensitivity", "weighted")
    if not claim.n or not (claim.metric == Metric(name="accuracy") or weighted):
        return range(0)
    low, high = claim.number.rounded
    return range(math.ceil(low * claim.n - 1e-9), math.floor(high * claim.n + 1e-9) + 1)


def _implied(paper, place):
    """Return a score of two classes that is not printed, where the printed ones leave a single confusion matrix."""
    rows = [row for row in rows_of(paper) if (row[0].arm, row[0].stage) == (place.arm, place.stage)]
    if place.metric != Metric(name="specificity") or len(rows) != 1 or place.scenario:
        return None
    if (found := only_matrix(rows[0])) is None:
        return None
    positives, _, right = found
    negatives = rows[0][0].n - positives
    share = right / negatives
    return share, share, f"{share:.1%} ({right} of {negatives}), as its confusion matrix implies"


def _p_false(paper, comparison):
    """Bound the probability that the first accuracy is not above the second, whatever was rounded to the prints."""
    first, second = (_claim(paper, place) for place in (comparison.first, comparison.second))
    if first is None or second is None or first.n != second.n or not (_right(first) and _right(second)):
        return None
    a, b = _right(first), _right(second)
    return probability_false(a[-1], b[0], first.n)[0], probability_false(a[0], b[-1], first.n)[1]
