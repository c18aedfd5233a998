"""Whether printed scores can come from any confusion matrix, and from the same one."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence

from brainlib.papers.consistency import arithmetic, checks
from brainlib.papers.consistency.checks import CONDITIONAL, CONSISTENT, IMPOSSIBLE, Check, check, exact
from brainlib.papers.schema import Claim, Paper

_EXACT = ("value", "mean", "sd", "variance", "epochs")
_ONE_EPOCH = "as a score of one epoch (a mean over epochs is no such share)"
_WEIGHTED = "a recall weighted by the images of each class, which always equals the accuracy"
NEAR = 0.05  # a choice: other numbers of images are tried within 5 % of the stated one


def places(paper: Paper) -> Iterator[Check]:
    """Whether a number that is printed in several places is the same in all of them."""
    groups = defaultdict(list)
    for claim in exact(paper, *_EXACT):
        key = (claim.metric, claim.arm, claim.arms, claim.stage, claim.scenario, paper.phase_of(claim))
        groups[key].append(claim)
    for group in groups.values():
        if len(group) < 2:
            continue
        if checks.overlap(claim.number.rounded for claim in group):
            finding, why = CONSISTENT, "one number, rounded, is printed so in all places"
        elif both := checks.overlap(claim.number.either for claim in group):
            scale = group[0].number.scale
            finding = CONDITIONAL
            why = (
                f"possible only if a number from {both[0] / scale:.6g} to {both[1] / scale:.6g} was "
                "rounded in one place and truncated in another"
            )
        else:
            finding, why = IMPOSSIBLE, "no number is printed so in all places, rounded or truncated"
        where = "; ".join(f"{claim.printed} ({claim.where})" for claim in group)
        subject = checks.about(paper, group[0], group[0].metric.name)
        yield check(group, "one number in several places", finding, f"{subject}: {where}: {why}.")


def proportions(paper: Paper) -> Iterator[Check]:
    """Whether an accuracy is a whole number of the images that the paper states."""
    for claim in exact(paper):
        # Weighted by the images of each class, the sensitivity is the accuracy.
        weighted = (claim.metric.name, claim.metric.average) == ("sensitivity", "weighted")
        if not claim.n or not (claim.metric.name == "accuracy" or weighted):
            continue
        n, value = claim.n, claim.value
        sizes, below = arithmetic.fitting_sizes([claim.number], n, n), math.floor(value * n)
        finding = checks.finding_of(sizes.rounded, sizes.truncated)
        why = {
            CONSISTENT: _share(round(value * n), n),
            CONDITIONAL: f"possible only if truncated, not rounded: {_share(math.ceil(value * n - 1e-9), n)}",
            IMPOSSIBLE: f"{_share(below, n)}, {_share(below + 1, n)}, and nothing lies between, {_ONE_EPOCH}",
        }[finding]
        sentence = f"{checks.about(paper, claim, checks.names([claim]))} of {n} images: {why}."
        yield check([claim], "a whole number of images", finding, sentence)


def _share(k, n):
    return f"{k} of {n} is {100 * k / n:.4f} %"


def binary_rows(paper: Paper) -> Iterator[Check]:
    """Whether the scores of a row come from one confusion matrix of its images."""
    for row in rows_of(paper):
        n = row[0].n
        if paper.scenario(row[0].scenario).positive is None:
            continue
        fits, truncated = checks.fitting(arithmetic.matrices, row, n)
        weighted = {} if truncated else _with_weighted_recall(row, n)
        finding = checks.finding_of(len(fits) > 1, truncated or weighted)
        if len(fits) == 1:
            why = f"possible only with {_matrices(fits, n)}"
        elif fits:
            why = f"{_matrices(fits, n)}, all numbers rounded"
        elif truncated:
            why = f"possible only if some are truncated, with {_matrices(truncated, n)}"
        elif weighted:
            why = f"possible only if the sensitivity is {_WEIGHTED}, with {_matrices(weighted, n)}"
        else:
            least, most, near = _nearby(row, n)
            why = f"no confusion matrix of {n} images has them, rounded or truncated, {_ONE_EPOCH}"
            if near:
                why += f"; from {least} to {most} images, only {checks.listed(near)} would do"
            else:
                why += f", nor of any other number from {least} to {most}"
            if _equals_recall(row):
                why += (
                    "; an accuracy is the mean of sensitivity and specificity, weighted by the images of each class, "
                    "and cannot equal the one and not the other; nor is there a matrix if the sensitivity is "
                    f"{_WEIGHTED}"
                )
        sentence = f"{checks.about(paper, row[0], checks.names(row))} of {n} images: {why}."
        yield check(row, "one confusion matrix", finding, sentence)


def _equals_recall(row):
    """Whether a row has the accuracy as its sensitivity, and not as its specificity."""
    by_name = {claim.metric.name: claim.value for claim in row}
    return by_name.get("accuracy") == by_name.get("sensitivity") != by_name.get("specificity")


def _with_weighted_recall(row, n):
    """Search the matrices of a row whose sensitivity is the mean over both classes: it says what the accuracy says."""
    left = [claim for claim in row if claim.metric.name != "sensitivity"]
    return arithmetic.matrices(checks.ranges(left, "either"), n) if _equals_recall(row) else {}


def _nearby(row, n):
    """From which to which other number of images a row was tried, and those that admit it."""
    half_width = round(NEAR * n)
    least, most = max(2, n - half_width), n + half_width
    accuracy = [claim.number for claim in row if claim.metric.name == "accuracy"]
    sizes = arithmetic.fitting_sizes(accuracy, most, least).rounded if accuracy else range(least, most + 1)
    return least, most, [size for size in sizes if arithmetic.matrices(checks.ranges(row, "rounded"), size)]


def weighted_rows(paper: Paper) -> Iterator[Check]:
    """Whether accuracy and weighted scores of two classes come from one confusion matrix."""
    for row in rows_of(paper, average="weighted"):
        n = row[0].n
        names = {claim.metric.name for claim in row}
        if len(paper.scenario(row[0].scenario).classes) != 2 or names <= {"precision", "f1"}:
            continue
        fits, truncated = checks.fitting(arithmetic.weighted_matrices, row, n)
        finding = checks.finding_of(fits, truncated)
        sizes = f"{checks.listed(truncated)} images of one class among them"
        why = {
            CONSISTENT: f"so with {sizes}",
            CONDITIONAL: f"possible only if some are truncated, with {sizes}",
            IMPOSSIBLE: "no confusion matrix has them, rounded or truncated",
        }[finding]
        sentence = f"{checks.about(paper, row[0], checks.names(row))} of {n} images: {why}."
        yield check(row, "one confusion matrix, weighted averages", finding, sentence)


def collapsed(paper: Paper) -> Iterator[dict[str, Claim]]:
    """Yield the four scores, by name, of each model that predicts one class for every image."""
    for row in rows_of(paper, average="weighted"):
        by_name = {claim.metric.name: claim for claim in row}
        if set(arithmetic.FOUR) <= set(by_name) and arithmetic.is_collapsed(checks.ranges(row, "rounded"), row[0].n):
            yield by_name


def collapsed_rows(paper: Paper) -> Iterator[Check]:
    """Whether a row of a model that predicts one class for every image fits its own validation accuracy."""
    for row in collapsed(paper):
        tested = row["accuracy"]
        share = round(tested.value * tested.n) / tested.n
        scores = list(row.values())
        subject = checks.about(paper, scores[0], checks.names(scores))
        row_of = f"{subject} are those of a model that predicts one class for every image"
        validated = exact(paper, name="accuracy", stage="validation", arm=tested.arm, scenario=tested.scenario)
        validated = [claim for claim in validated if paper.phase_of(claim) == paper.phase_of(tested)]
        if not validated:
            yield check(scores, "a collapsed model", CONSISTENT, f"{row_of}, of {share:.2%} of the images.")
        for claim in validated:
            fits = abs(claim.value - share) < 0.05
            why = (
                f"; its validation accuracy, {claim.printed}, is that of no such model, where "
                f"that class has about {share:.0%}: possible only if it is of another epoch"
            )
            finding = CONSISTENT if fits else CONDITIONAL
            yield check([*scores, claim], "a collapsed model", finding, f"{row_of}{'' if fits else why}.")


def class_reports(paper: Paper) -> Iterator[Check]:
    """Whether the scores of each class fit its support, and all of them together the accuracy."""
    supports = {claim.metric.label: round(claim.value) for claim in exact(paper, name="images", stage="test")}
    rows = defaultdict(list)
    for claim in exact(paper):
        metric = claim.metric
        if metric.label and metric.name in arithmetic.SCORES and supports.get(metric.label):
            rows[metric.label].append(claim)
    n, least, most = supports.get(None, sum(supports[label] for label in rows)), 0, 0
    if not rows or n > checks.MOST_SEARCHED:
        return
    for label, row in rows.items():
        support = supports[label]
        fits, truncated = checks.fitting(arithmetic.hits, row, support, n)
        finding = checks.finding_of(fits, truncated)
        why = f"no number of its {support} images gives them"
        if truncated:
            why = f"{truncated[0]} to {truncated[-1]} of its {support} images found"
        least, most = least + (truncated or [0])[0], most + (truncated or [support])[-1]
        only = "possible only if some are truncated: " if finding == CONDITIONAL else ""
        yield check(row, "scores of a class", finding, f"{label}: {checks.names(row)}: {only}{why}.")
    every = [claim for row in rows.values() for claim in row]
    for claim in exact(paper, name="accuracy", stage="test", arm=every[0].arm):
        if paper.phase_of(claim) != paper.phase_of(every[0]):
            continue
        low, high = (bound * n for bound in claim.number.rounded)
        low, high = math.ceil(low - 1e-9), math.floor(high + 1e-9)
        finding = CONSISTENT if low <= most and high >= least else IMPOSSIBLE
        why = f"{low} to {high} right, where the classes allow {least} to {most}"
        sentence = f"{checks.about(paper, claim, checks.names([claim]))} of {n} images: {why}."
        yield check([claim, *every], "accuracy of all classes", finding, sentence, 1)


def rows_of(paper: Paper, average: str | None = None) -> list[list[Claim]]:
    """Scores of the same images by the same model, positive class or one average, each in its most precise print."""
    rows = defaultdict(dict)
    for claim in exact(paper):
        metric = claim.metric
        own = metric.name in arithmetic.SCORES and not metric.label
        if not own or not 0 < (claim.n or 0) <= checks.MOST_SEARCHED or metric.average not in (average, None):
            continue
        row = rows[claim.arm, claim.stage, claim.scenario, paper.phase_of(claim), claim.n]
        if metric.name not in row or claim.number.tolerance < row[metric.name].number.tolerance:
            row[metric.name] = claim
    rows = [list(row.values()) for row in rows.values()]
    return [row for row in rows if len(row) > 1 and any(claim.metric.average == average for claim in row)]


def _matrices(found, n):
    positives, (tp, tn) = next(iter(found.items()))
    several = f"{checks.listed(found)} positives among {n}; for one, " if len(found) > 1 else ""
    return (
        f"{several}{positives} positives and {n - positives} negatives, of which {tp} and {tn} are classified correctly"
    )


def only_matrix(row: Sequence[Claim]) -> tuple[int, int, int] | None:
    """Return positives, true positives and true negatives behind scores of two classes; None unless one matrix fits."""
    found = arithmetic.matrices(checks.ranges(row, "rounded"), row[0].n)
    if len(found) != 1:
        return None
    ((positives, (tp, tn)),) = found.items()
    return positives, tp, tn
