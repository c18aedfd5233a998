"""Which counts of images are behind printed scores: arithmetic of numbers, without papers."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from brainlib.errors import UsageError
from brainlib.papers.printed import Printed

Range = tuple[float, float]

FOUR = ("accuracy", "precision", "sensitivity", "f1")
# A choice: towards 1 the formulas of a collapsed model (a, a^2 ...) all run into 1, where a good
# model's scores lie as well. A test set of which nine tenths are one class is none of the papers'.
HIGHEST_COLLAPSE = 0.9
# What mlscorecheck calls the scores.
_ITS_NAMES = {"accuracy": "acc", "sensitivity": "sens", "specificity": "spec", "precision": "ppv", "f1": "f1p"}
SCORES = tuple(_ITS_NAMES)
_ROUNDING = 1e-12  # of binary fractions, which must not decide
_ENDS = 10  # more than a sentence lists
_AT_ONCE = 256  # numbers of positives, so that the arrays stay small


@dataclass(frozen=True)
class Sizes:
    """Numbers of images, ascending, that admit every printed proportion as rounded, or as rounded or truncated.

    ``truncated`` holds all of ``rounded``.
    """

    rounded: tuple[int, ...]
    truncated: tuple[int, ...]


def fitting_sizes(printed: Sequence[Printed], most: int, least: int = 1) -> Sizes:
    """Find the numbers of images n that admit, for every printed proportion p, a count k with k/n = p.

    Let u be one unit of the last printed digit. Rounded, k/n lies within p - u/2 to p + u/2, both
    ends included, since a half may have gone up or to the even digit; truncated, it lies from p to
    below p + u. With p = d u and u = 1/U that is in whole numbers

        (2d - 1) n <= 2 U k <= (2d + 1) n        d n <= U k < (d + 1) n,

    so n fits where a multiple of 2U (of U) lies between the ends; nothing is left to floats. Each
    multiple of a fitting n fits, too, and from n = U on every n does (10 000 for percentages with two
    decimals), so a large ``most`` adds sizes without evidence for them.
    """
    for one in printed:
        if not (0 <= one.value <= 1 and one.operator == "="):
            raise UsageError(f"expected a printed proportion in [0, 1], received {one}")
    n = np.arange(least, most + 1)
    rounded = either = np.ones(len(n), dtype=bool)
    for one in set(printed):
        per_unit = round(10**one.decimals / one.scale)
        d = round(one.value * per_unit)
        k_from, k_to = -((1 - 2 * d) * n // (2 * per_unit)), (2 * d + 1) * n // (2 * per_unit)
        fits = np.maximum(k_from, 0) <= np.minimum(k_to, n)
        k_truncated = -(-d * n // per_unit)  # the smallest k that is not below
        rounded = rounded & fits
        either = either & (fits | (k_truncated * per_unit < (d + 1) * n))
    return Sizes(tuple(n[rounded].tolist()), tuple(n[either].tolist()))


def matrices(ranges: Mapping[str, Range], n: int) -> dict[int, tuple[int, int]]:
    """Find the numbers of positives that admit scores of n images, with the true positives and negatives of one matrix.

    ``ranges`` has the smallest and largest value of accuracy, sensitivity, specificity, precision, F1, or of some.
    mlscorecheck (Fazekas and Kovács, https://github.com/FalseNegativeLab/mlscorecheck) searches the
    confusion matrices of each number of positives that the ranges do not exclude already; of very many, those of the
    `_ENDS` smallest and largest that it admits.
    """
    candidates = _not_excluded(ranges, n)
    if not candidates:
        return {}
    from mlscorecheck.check.binary import check_1_testset_no_kfold  # takes a second to import
    from mlscorecheck.core import logger

    logger.setLevel("WARNING")
    scores = {_ITS_NAMES[name]: (low + high) / 2 for name, (low, high) in ranges.items()}
    half_widths = {_ITS_NAMES[name]: (high - low) / 2 for name, (low, high) in ranges.items()}

    def admitted(candidates):
        for positives in candidates:
            testset = {"p": positives, "n": n - positives}
            result = check_1_testset_no_kfold(testset=testset, scores=scores, eps=half_widths)
            if not result["inconsistency"]:
                yield positives, (result["evidence"]["tp"], result["evidence"]["tn"])

    found = dict(itertools.islice(admitted(candidates), _ENDS))
    if len(found) == _ENDS:  # else every candidate was asked
        found |= itertools.islice(admitted(each for each in candidates[::-1] if each not in found), _ENDS)
    return dict(sorted(found.items()))


def _not_excluded(ranges: Mapping[str, Range], n: int) -> list[int]:
    """Numbers of positives that have a matrix of every score, each of which bounds the false positives by the true."""
    slack = 1e-5  # more than what mlscorecheck allows for the rounding of floats
    wide = {name: (max(low - slack, 0.0), high + slack) for name, (low, high) in ranges.items()}
    low, high = wide.pop("sensitivity", (0.0, 1.0))
    found = []
    for start in range(1, n, _AT_ONCE):
        positives = np.arange(start, min(start + _AT_ONCE, n))[:, None]
        least, most = np.ceil(low * positives), np.minimum(np.floor(high * positives), positives)
        tp = least + np.arange(max(0, (most - least).max()) + 1)
        bounds = [(0.0, n - positives), *(_false_positives(name, *wide[name], tp, positives, n) for name in wide)]
        lows, highs = zip(*bounds, strict=True)
        fits = (tp <= most) & (np.ceil(reduce(np.maximum, lows)) <= np.floor(reduce(np.minimum, highs)))
        found += positives[fits.any(axis=1), 0].tolist()
    return found


def _false_positives(name, low, high, tp, positives, n):
    """Fewest and most false positives, as fractions, with which a score lies from low to high."""
    if name == "specificity":
        return (1 - high) * (n - positives), (1 - low) * (n - positives)
    if name == "accuracy":
        return tp + n - positives - high * n, tp + n - positives - low * n
    hits, others = (tp, tp) if name == "precision" else (2 * tp, tp + positives)  # score: hits / (others + fp)
    return hits / high - others, hits / low - others if low else np.inf


def weighted_matrices(ranges: Mapping[str, Range], n: int) -> list[int]:
    """Find the numbers of images of one of two classes, 1 to n - 1, that admit ranges of weighted scores.

    Every confusion matrix is tried that has the accuracy: for each size of the first class, each number of its images
    and of the other's that are classified correctly. A class that is never predicted has precision 0.
    """
    correct = np.arange(n + 1)
    share = correct / n  # the accuracy and, weighted, the sensitivity
    correct = correct[_within({"accuracy": share, "sensitivity": share}, ranges)]
    found = []
    for size in range(1, n) if len(correct) else ():
        a = np.arange(max(0, correct[0] - n + size), min(size, correct[-1]) + 1)[:, None]  # of the first class
        b = correct - a  # of the second
        first, second = _of_class(a, n - size - b, size), _of_class(b, size - a, n - size)
        scores = {
            name: size / n * np.nan_to_num(first[name]) + (1 - size / n) * np.nan_to_num(second[name])
            for name in ("precision", "f1")
        }
        if (_within(scores, ranges) & (b >= 0) & (b <= n - size)).any():
            found.append(size)
    return found


def hits(ranges: Mapping[str, Range], support: int, n: int) -> list[int]:
    """Find by trial how many of a class's ``support`` images among n are classified correctly, by ranges of scores."""
    tp, fp = np.broadcast_arrays(np.arange(support + 1)[:, None], np.arange(n - support + 1))
    return np.flatnonzero(_within(_of_class(tp, fp, support), ranges).any(axis=1)).tolist()


def _of_class(tp, fp, images):
    """Scores of a class of so many images against the rest, by name; nan for 0 / 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return {"sensitivity": tp / images, "precision": tp / (tp + fp), "f1": 2 * tp / (tp + fp + images)}


def _within(scores, ranges):
    """Where every score that has a range lies within it."""
    pairs = [(scores[name], *ranges[name]) for name in scores if name in ranges]
    inside = [(score >= low - _ROUNDING) & (score <= high + _ROUNDING) for score, low, high in pairs]
    return np.logical_and.reduce(inside) if inside else np.ones_like(next(iter(scores.values())), dtype=bool)


def is_collapsed(ranges: Mapping[str, Range], n: int) -> bool:
    """Say whether the ranges of the `FOUR` fit a model that predicts one class for all n images, by weighted averages.

    Each number of images of that class is tried, below 0.9 of all: beyond nothing is concluded (`HIGHEST_COLLAPSE`).
    """
    shares = np.arange(n + 1) / n
    return bool(_within(_of_one_class(shares[shares < HIGHEST_COLLAPSE]), ranges).any())


def _of_one_class(share):
    """Weighted scores of a model that predicts a class of this share for every image, by name; see `collapse_rows`."""
    return dict(zip(FOUR, (share, share**2, share, 2 * share**2 / (1 + share)), strict=True))


def collapse_rows(accuracy: float, n: int, classes: int) -> dict[str, dict[str, float]]:
    """Compute the scores of a model that predicts one class for every image, by either average.

    Of n images k = round(accuracy n) are of that class, a = k/n. It has precision a, sensitivity 1 and F1 2a/(1+a);
    each other class is never predicted and counts 0. So weighted by the images of each class the averages are a^2, a
    and 2a^2/(1+a); the macro averages over C classes are a/C, 1/C and 2a/((1+a)C).
    """
    a = round(accuracy * n) / n
    macro = (a, a / classes, 1 / classes, 2 * a / ((1 + a) * classes))
    return {"weighted": _of_one_class(a), "macro": dict(zip(FOUR, macro, strict=True))}
