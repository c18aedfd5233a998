"""Which numbers of images the printed scores need, and which public sets have them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from brainlib.data import splits
from brainlib.data.registry import REGISTRY
from brainlib.papers.consistency import confusion, implied
from brainlib.papers.consistency.checks import (
    CONDITIONAL,
    CONSISTENT,
    IMPOSSIBLE,
    Check,
    check,
    listed,
    numbers,
)
from brainlib.papers.schema import Paper

AROUND = 0.2  # sizes are tried within a fifth of what the protocol draws: beyond, multiples fit too


def totals(paper: Paper) -> Iterator[Check]:
    """Whether printed numbers of images add up, and are those of the published set."""
    info = REGISTRY[paper.data.set.value]
    by_stage = defaultdict(dict)
    for number in numbers(paper, "value"):
        if number.claim.metric.name == "images":
            by_stage[number.claim.stage].setdefault(number.claim.metric.label, number)
    for stage, found in by_stage.items():
        labels = [label for label in found if label is not None]
        where = f" of the {stage} part" if stage else ""
        if None in found and set(labels) >= set(paper.data.classes):
            parts = [round(found[label].printed.value) for label in labels]
            total = round(found[None].printed.value)
            same = sum(parts) == total
            yield check(
                [found[label] for label in found],
                "images of the classes",
                CONSISTENT if same else IMPOSSIBLE,
                f"{' + '.join(map(str, parts))} = {sum(parts)} images{where}; {total} are printed.",
            )
        folders = [f for f in info.folders if stage is None or f.part == stage]
        if not folders or (stage and paper.protocol.holdout.value != "published"):
            continue
        for label, number in found.items():
            published = sum(f.count for f in folders if label in (None, f.label))
            printed = round(number.printed.value)
            what = f"{label or 'all'} images{where}"
            yield check(
                [number],
                "images of the published set",
                CONSISTENT if printed == published else CONDITIONAL,
                f"{number.claim.printed} {what}; {info.title} was published with {published}"
                + ("." if printed == published else ": possible only if another edition or set was used."),
            )


def part_sizes(paper: Paper) -> Iterator[Check]:
    """Whether one size of a part admits all of its printed accuracies, and the protocol draws it."""
    for scenario in paper.scenarios or ("",):
        for part in (splits.VALIDATION, splits.TEST):
            claims = accuracies(paper, scenario, part)
            drawn = drawn_size(paper, scenario, part)
            if not claims or not drawn:
                continue
            printed = {claim.number for claim in claims}
            values = len({round(number.value, 9) for number in printed})
            sizes = implied.fitting_sizes(
                list(printed), round(drawn * (1 + AROUND)), max(1, round(drawn * (1 - AROUND)))
            )
            title = f"{paper.scenario(scenario).title}, {part} part"
            said = (
                f"{title}: {values} different accuracies; the protocol draws {drawn} images; "
                f"sizes within a fifth of it that admit them all: {listed(sizes.rounded)}"
            )
            if drawn in sizes.rounded:
                finding, why = CONSISTENT, ""
            elif drawn in sizes.truncated:
                finding, why = CONDITIONAL, "; possible only if some are cut off, not rounded"
            elif sizes.truncated:
                finding = CONDITIONAL
                why = f"; possible only with {listed(sizes.truncated)} images, rounded or cut off"
            else:
                finding, why = IMPOSSIBLE, ", rounded or cut off"
            yield check(claims, "size of a part", finding, f"{said}{why}.")


def whose_set(paper: Paper) -> Iterator[Check]:
    """Where the paper names no set: which public sets have the size that its numbers need."""
    if paper.data.set.assumed is None:
        return
    stated = [
        number
        for number in numbers(paper, "value")
        if number.claim.metric.name == "images" and not number.claim.metric.label and not number.claim.stage
    ]
    if stated:
        needed = round(stated[0].printed.value)
        fitting = [name for name, info in REGISTRY.items() if info.total == needed]
        claims, said = stated[:1], f"{stated[0].claim.printed} images are printed"
    else:
        holdout = paper.protocol.holdout.value
        row = next(iter(confusion.rows_of(paper)), [])
        if not row or holdout == "published":
            return
        sizes = {name: math.ceil(info.total * holdout) for name, info in REGISTRY.items() if info.total}
        fitting = [name for name, n in sizes.items() if confusion.matrices(row, n, "either")]
        claims = row
        said = (
            f"held out from the public sets known here are {listed(sorted(set(sizes.values())), 9)} images "
            f"({holdout:.0%} of each), and only "
            f"{listed([sizes[name] for name in fitting])} admit {', '.join(x.name for x in row)}"
        )
    named = ", ".join(f"{REGISTRY[name].title} ({REGISTRY[name].total} images)" for name in fitting)
    yield check(
        claims,
        "whose set",
        CONDITIONAL,
        f"no set is named; {said}; of the public sets known here "
        + (f"only {named} has that size." if len(fitting) == 1 else f"{named or 'none'} have that size."),
    )


def confusion_counts(paper: Paper) -> Iterator[Check]:
    """Whether printed cells of a confusion matrix give the printed accuracy, and which draw they need."""
    right, wrong = defaultdict(dict), defaultdict(dict)
    for number in numbers(paper, "value"):
        metric = number.claim.metric
        if metric.name == "count" and metric.predicted in (None, metric.label):
            right[number.claim.arm][metric.label] = number
        elif metric.name == "errors":
            wrong[number.claim.arm][metric.label] = number
    for arm, cells in right.items():
        accuracy = [
            x
            for x in numbers(paper, "value")
            if (x.claim.arm, x.claim.stage, x.claim.metric.name) == (arm, "test", "accuracy") and x.claim.n
        ]
        if set(cells) == set(paper.data.classes) and accuracy:
            n, total = accuracy[0].claim.n, sum(round(x.printed.value) for x in cells.values())
            low, high = accuracy[0].rounded
            fits = low <= total / n <= high
            sums = " + ".join(x.claim.printed for x in cells.values())
            yield check(
                [*cells.values(), accuracy[0]],
                "counts against the accuracy",
                CONSISTENT if fits else IMPOSSIBLE,
                f"{paper.arms[arm].title}: {sums} = {total} right of {n} is {total / n:.4f}; "
                f"{accuracy[0].claim.printed} is printed.",
            )
        yield from _drawn_classes(paper, arm, cells, wrong[arm])


def _drawn_classes(paper, arm, right, wrong):
    info = REGISTRY[paper.data.set.value]
    holdout = paper.protocol.holdout.value
    for label in (label for label in right if label in wrong):
        drawn = round(right[label].printed.value + wrong[label].printed.value)
        published = sum(f.count for f in info.folders if f.label == label)
        expected = published * holdout
        stratified = abs(drawn - expected) <= 1
        yield check(
            [right[label], wrong[label]],
            "images of a class in the test part",
            CONSISTENT if stratified else CONDITIONAL,
            f"{paper.arms[arm].title}: {right[label].claim.printed} right and {wrong[label].claim.printed} wrong "
            f"are {drawn} images of {label}; {holdout:.0%} of the set's {published} are {expected:.1f}"
            + ("." if stratified else ": possible only by a draw that is not stratified."),
        )


def accuracies(paper: Paper, scenario: str, stage: str) -> list:
    """Claims of an exact accuracy of a scenario's part."""
    return [
        number.claim
        for number in numbers(paper, "value")
        if number.claim.metric.name == "accuracy"
        and number.printed.operator == "="
        and (number.claim.scenario or "", number.claim.stage) == (scenario, stage)
    ]


def drawn_size(paper: Paper, scenario: str, part: str) -> int:
    """Images of a part, as the protocol draws it from the published set; 0 where it draws none."""
    folders = REGISTRY[paper.data.set.value].folders
    labels = np.repeat([f.label for f in folders], [f.count for f in folders])
    parts = np.repeat([f.part for f in folders], [f.count for f in folders])
    own = np.isin(labels, paper.scenario(scenario).classes)
    drawn = splits.assign(labels[own], np.arange(own.sum()), paper.protocol.split(), parts[own])
    return int((drawn == part).sum())


def published_size(paper: Paper, scenario: str) -> int:
    """Images of a scenario's classes in the published set."""
    classes = paper.scenario(scenario).classes
    return sum(f.count for f in REGISTRY[paper.data.set.value].folders if f.label in classes)


METHODS = (totals, part_sizes, whose_set, confusion_counts)
