"""Whether printed scores can come from any confusion matrix, and from the same one."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from brainlib.papers.consistency.checks import (
    CONDITIONAL,
    CONSISTENT,
    IMPOSSIBLE,
    Check,
    Number,
    check,
    listed,
    numbers,
    overlap,
    phase_of,
    place,
)
from brainlib.papers.consistency.implied import collapse_rows, fitting_sizes, is_collapsed
from brainlib.papers.schema import Paper

_EXACT = ("value", "mean", "sd", "variance", "epochs")
# What mlscorecheck calls the scores.
_ITS_NAMES = {
    "accuracy": "acc",
    "sensitivity": "sens",
    "specificity": "spec",
    "precision": "ppv",
    "f1": "f1p",
}
_FOUR = ("accuracy", "precision", "sensitivity", "f1")
NEAR = 0.05  # how far around the stated number of images another one is looked for: a choice


def places(paper: Paper) -> Iterator[Check]:
    """Whether a number that is printed in several places is the same in all of them."""
    groups = defaultdict(list)
    for number in numbers(paper, *_EXACT):
        claim = number.claim
        phase = phase_of(paper, claim)
        key = (claim.metric, claim.arm, claim.arms, claim.stage, claim.scenario, phase)
        groups[key].append(number)
    for group in groups.values():
        if len(group) < 2:
            continue
        if overlap(number.rounded for number in group):
            finding, why = CONSISTENT, "one number, rounded, is printed so in all places"
        elif both := overlap(number.either for number in group):
            scale = group[0].printed.scale
            finding = CONDITIONAL
            why = (
                f"possible only if a number from {both[0] / scale:.6g} to {both[1] / scale:.6g} was "
                "rounded in one place and cut off in another"
            )
        else:
            finding, why = IMPOSSIBLE, "no number is printed so in all places, rounded or cut off"
        said = "; ".join(f"{number.claim.printed} ({number.claim.where})" for number in group)
        yield check(group, "one number in several places", finding, f"{_subject(paper, group[0])}: {said}: {why}.")


def proportions(paper: Paper) -> Iterator[Check]:
    """Whether an accuracy is a whole number of the images that it is said to be of."""
    for number in numbers(paper, "value"):
        claim = number.claim
        # Weighted by the images of each class, the sensitivity is the accuracy.
        weighted = (claim.metric.name, claim.metric.average) == ("sensitivity", "weighted")
        if not claim.n or not (claim.metric.name == "accuracy" or weighted):
            continue
        n, value = claim.n, number.printed.value
        sizes = fitting_sizes([number.printed], n, n)
        if sizes.rounded:
            k = round(value * n)
            finding, why = CONSISTENT, f"{k} of {n} is {100 * k / n:.4f} %"
        elif sizes.truncated:
            k = math.ceil(value * n - 1e-9)
            finding = CONDITIONAL
            why = f"possible only if cut off, not rounded: {k} of {n} is {100 * k / n:.4f} %"
        else:
            k = math.floor(value * n)
            finding = IMPOSSIBLE
            why = (
                f"{k} of {n} is {100 * k / n:.4f} %, {k + 1} of {n} is {100 * (k + 1) / n:.4f} %, and "
                "nothing lies between"
            )
        yield check(
            [number],
            "a whole number of images",
            finding,
            f"{_subject(paper, number)} {claim.printed} of {n} images: {why}.",
        )


def binary_rows(paper: Paper) -> Iterator[Check]:
    """Whether the scores of a row come from one confusion matrix of its images."""
    for row in rows_of(paper, average=None):
        scenario = paper.scenario(row[0].claim.scenario or "")
        if scenario.positive is None or any(x.claim.metric.label for x in row):
            continue
        n = row[0].claim.n
        fits, cut = matrices(row, n, "rounded"), matrices(row, n, "either")
        if fits:
            finding, why = CONSISTENT, f"{_matrices(fits, n)}, all numbers rounded"
            if len(fits) == 1:
                finding = CONDITIONAL
                why = f"possible only with {_matrices(fits, n)}"
        elif cut:
            finding, why = CONDITIONAL, f"possible only if some are cut off, with {_matrices(cut, n)}"
        else:
            finding = IMPOSSIBLE
            least, most, near = _nearby(row, n)
            why = f"no confusion matrix of {n} images has them, rounded or cut off"
            if near:
                why += f"; from {least} to {most} images, only {listed(near)} would do"
            else:
                why += f", nor of any other number from {least} to {most}"
            by_name = {number.claim.metric.name: number.printed.value for number in row}
            equal = by_name.get("accuracy") == by_name.get("sensitivity") != by_name.get("specificity")
            if equal and not near:
                why += (
                    "; an accuracy is the mean of sensitivity and specificity, weighted by the images "
                    "of each class, and cannot equal the one and not the other"
                )
        yield check(
            row, "one confusion matrix", finding, f"{place(paper, row[0].claim)}: {_names(row)} of {n} images: {why}."
        )


def _nearby(row, n):
    """From which to which other number of images a row was tried, and those that admit it."""
    reach = round(NEAR * n)
    least, most = max(2, n - reach), n + reach
    accuracy = [number.printed for number in row if number.claim.metric.name == "accuracy"]
    sizes = fitting_sizes(accuracy, most, least).rounded if accuracy else range(least, most + 1)
    return least, most, [size for size in sizes if matrices(row, size, "rounded")]


def matrices(row: Sequence[Number], n: int, reading: str) -> dict[int, tuple[int, int]]:
    """Numbers of positives that admit a row of scores of two classes.

    mlscorecheck (Fazekas and Kovács, https://github.com/FalseNegativeLab/mlscorecheck) searches the
    confusion matrices of one number of positives; each is tried in turn.

    Parameters
    ----------
    row : sequence of Number
        Accuracy, sensitivity, specificity, precision, F1, or some of them.
    n : int
        Images.
    reading : {"rounded", "either"}
        Whether each number is rounded, or rounded or cut off.

    Returns
    -------
    dict
        By number of positives, true positives and true negatives of one matrix.
    """
    from mlscorecheck.check.binary import check_1_testset_no_kfold
    from mlscorecheck.core import logger

    logger.setLevel("WARNING")
    scores, reach = {}, {}
    for number in row:
        low, high = getattr(number, reading)
        name = _ITS_NAMES[number.claim.metric.name]
        scores[name], reach[name] = (low + high) / 2, (high - low) / 2
    found = {}
    for positives in range(1, n):
        testset = {"p": positives, "n": n - positives}
        said = check_1_testset_no_kfold(testset=testset, scores=scores, eps=reach)
        if not said["inconsistency"]:
            found[positives] = (said["evidence"]["tp"], said["evidence"]["tn"])
    return found


def weighted_rows(paper: Paper) -> Iterator[Check]:
    """Whether accuracy and weighted scores of two classes come from one confusion matrix."""
    for row in rows_of(paper, average="weighted"):
        scenario = paper.scenario(row[0].claim.scenario or "")
        if len(scenario.classes) != 2:
            continue
        n = row[0].claim.n
        fits = weighted_matrices(row, n, "rounded")
        cut = weighted_matrices(row, n, "either")
        if fits:
            finding, why = CONSISTENT, f"so with {listed(fits)} images of one class among them"
        elif cut:
            finding = CONDITIONAL
            why = f"possible only if some are cut off, with {listed(cut)} images of one class among them"
        else:
            finding, why = IMPOSSIBLE, "no confusion matrix has them, rounded or cut off"
        yield check(
            row,
            "one confusion matrix, weighted averages",
            finding,
            f"{place(paper, row[0].claim)}: {_names(row)} of {n} images: {why}.",
        )


def weighted_matrices(row: Sequence[Number], n: int, reading: str) -> list[int]:
    """Numbers of images of one of two classes that admit a row of weighted scores, 1 to n - 1.

    Every confusion matrix is tried: for each size of the first class, each number of its images and
    of the other's that are called right. A class that is never predicted has precision 0.
    """
    ranges = {number.claim.metric.name: getattr(number, reading) for number in row}
    found = []
    for size in range(1, n):
        a = np.arange(size + 1)[:, None]  # right of the first class
        b = np.arange(n - size + 1)[None, :]  # right of the second
        with np.errstate(invalid="ignore", divide="ignore"):
            called = [a + (n - size - b), b + (size - a)]
            precision = [np.nan_to_num(right / k) for right, k in zip((a, b), called, strict=True)]
            f1 = [2 * right / (k + s) for right, k, s in zip((a, b), called, (size, n - size), strict=True)]
        share = size / n
        scores = {
            "accuracy": (a + b) / n,
            "sensitivity": (a + b) / n,
            "precision": share * precision[0] + (1 - share) * precision[1],
            "f1": share * f1[0] + (1 - share) * f1[1],
        }
        fits = np.ones(np.broadcast(a, b).shape, dtype=bool)
        for name, (low, high) in ranges.items():
            fits &= (scores[name] >= low - 1e-12) & (scores[name] <= high + 1e-12)
        if fits.any():
            found.append(size)
    return found


def collapsed_rows(paper: Paper) -> Iterator[Check]:
    """Whether a row of a model that calls every image one class fits its own validation accuracy."""
    for row in rows_of(paper, average="weighted"):
        by_name = {number.claim.metric.name: number for number in row}
        if set(by_name) != set(_FOUR) or not is_collapsed(*(by_name[n].printed for n in _FOUR)):
            continue
        claim = by_name["accuracy"].claim
        classes = paper.scenario(claim.scenario or "").classes
        rows = collapse_rows(*(by_name[n].printed for n in _FOUR), n=claim.n, classes=len(classes))
        share = rows.loc["weighted", "accuracy"]
        said = f"{place(paper, claim)}: {_names(row)} are those of a model that calls every image one class"
        watched = [
            number
            for number in numbers(paper, "value")
            if number.claim.stage == "validation"
            and number.claim.metric.name == "accuracy"
            and (number.claim.arm, number.claim.scenario) == (claim.arm, claim.scenario)
            and phase_of(paper, number.claim) == phase_of(paper, claim)
        ]
        if not watched:
            yield check(row, "a collapsed model", CONSISTENT, f"{said}, of {share:.2%} of the images.")
        for number in watched:
            fits = abs(number.printed.value - share) < 0.05
            why = (
                f"; its validation accuracy, {number.claim.printed}, is that of no such model, where "
                f"that class has about {share:.0%}: possible only if it is of another epoch"
            )
            yield check(
                [*row, number],
                "a collapsed model",
                CONSISTENT if fits else CONDITIONAL,
                said + ("." if fits else f"{why}."),
            )


def class_reports(paper: Paper) -> Iterator[Check]:
    """Whether the scores of each class fit its support, and all of them together the accuracy."""
    supports = {
        number.claim.metric.label: round(number.printed.value)
        for number in numbers(paper, "value")
        if number.claim.metric.name == "images" and number.claim.stage == "test"
    }
    rows = defaultdict(list)
    for number in numbers(paper, "value"):
        metric = number.claim.metric
        if metric.label and metric.name in _ITS_NAMES and supports.get(metric.label):
            rows[metric.label].append(number)
    if not rows:
        return
    n, least, most = supports.get(None, sum(supports[label] for label in rows)), 0, 0
    for label, row in rows.items():
        support = supports[label]
        fits = _of_class(row, support, n, "rounded")
        cut = fits or _of_class(row, support, n, "either")
        finding = CONSISTENT if fits else CONDITIONAL if cut else IMPOSSIBLE
        why = (
            f"{cut[0]} to {cut[-1]} of its {support} images found"
            if cut
            else f"no number of its {support} images gives them"
        )
        least, most = least + (cut[0] if cut else 0), most + (cut[-1] if cut else support)
        only = "possible only if some are cut off: " if finding == CONDITIONAL else ""
        yield check(row, "scores of a class", finding, f"{label}: {_names(row)}: {only}{why}.")
    every = [number for row in rows.values() for number in row]
    for number in numbers(paper, "value"):
        metric = number.claim.metric
        if metric.name != "accuracy" or phase_of(paper, number.claim) != phase_of(paper, every[0].claim):
            continue
        if number.claim.arm != every[0].claim.arm or number.claim.stage != "test":
            continue
        low, high = (bound * n for bound in number.rounded)
        possible = math.ceil(low - 1e-9) <= most and math.floor(high + 1e-9) >= least
        yield check(
            [number, *every],
            "accuracy of all classes",
            CONSISTENT if possible else IMPOSSIBLE,
            f"{_subject(paper, number)} {number.claim.printed} of {n} images: "
            f"{math.ceil(low - 1e-9)} to {math.floor(high + 1e-9)} right, where the classes allow "
            f"{least} to {most}.",
            1,
        )


def _of_class(row, support, n, reading):
    """How many images of a class may be found: every count of hits and false alarms is tried."""
    ranges = {number.claim.metric.name: getattr(number, reading) for number in row}
    tp = np.arange(support + 1)[:, None]
    fp = np.arange(n - support + 1)[None, :]
    with np.errstate(invalid="ignore", divide="ignore"):
        scores = {
            "sensitivity": tp / support + 0 * fp,
            "precision": tp / (tp + fp),
            "f1": 2 * tp / (tp + fp + support),
        }
    fits = np.ones((support + 1, n - support + 1), dtype=bool)
    for name, (low, high) in ranges.items():
        fits &= (scores[name] >= low - 1e-12) & (scores[name] <= high + 1e-12)
    return np.flatnonzero(fits.any(axis=1)).tolist()


def rows_of(paper: Paper, average: str | None = None) -> list[list[Number]]:
    """Scores of the same images by the same model, of each score its most precise print.

    Scores of the positive class, or averages of one kind.
    """
    rows = defaultdict(dict)
    for number in numbers(paper, "value"):
        claim = number.claim
        metric = claim.metric
        own = metric.name in _ITS_NAMES and not metric.label
        if not own or not claim.n or claim.metric.average not in (average, None):
            continue
        key = (claim.arm, claim.stage, claim.scenario, phase_of(paper, claim), claim.n)
        row = rows[key]
        if metric.name not in row or number.printed.tolerance < row[metric.name].printed.tolerance:
            row[metric.name] = number
    averages = {key: {x.claim.metric.average for x in row.values()} for key, row in rows.items()}
    return [
        list(row.values())
        for key, row in rows.items()
        if len(row) > 1 and (average in averages[key]) and (average or averages[key] == {None})
    ]


def _matrices(found, n):
    positives, (tp, tn) = next(iter(found.items()))
    several = f"{listed(found)} positives among {n}; for one, " if len(found) > 1 else ""
    return f"{several}{positives} positives and {n - positives} negatives, of which {tp} and {tn} are called right"


def _names(row):
    return ", ".join(number.name for number in row)


def _subject(paper, number):
    where = place(paper, number.claim)
    return f"{where}: {number.claim.metric.name}" if where else number.claim.metric.name


METHODS = (places, proportions, binary_rows, weighted_rows, collapsed_rows, class_reports)
