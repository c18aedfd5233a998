"""Which numbers of images the printed scores need, and which public sets have them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np

from brainlib.data import splits
from brainlib.data.registry import REGISTRY
from brainlib.papers.consistency import checks
from brainlib.papers.consistency.arithmetic import Sizes, fitting_sizes, matrices
from brainlib.papers.consistency.checks import CONDITIONAL, CONSISTENT, IMPOSSIBLE, Check, check, exact
from brainlib.papers.consistency.confusion import rows_of
from brainlib.papers.schema import Claim, Paper

AROUND = 0.2  # sizes are tried within a fifth of what the protocol draws: beyond, multiples fit too


def totals(paper: Paper) -> Iterator[Check]:
    """Whether printed numbers of images add up, and are those of the published set."""
    info = REGISTRY[paper.data.set.value]
    by_stage = defaultdict(dict)
    for claim in exact(paper, name="images"):
        by_stage[claim.stage].setdefault(claim.metric.label, claim)
    for stage, found in by_stage.items():
        labels = [label for label in found if label is not None]
        where = f" of the {stage} part" if stage else ""
        if None in found and set(labels) >= set(paper.data.classes):
            parts = [round(found[label].value) for label in labels]
            total = round(found[None].value)
            finding = CONSISTENT if sum(parts) == total else IMPOSSIBLE
            sentence = f"{' + '.join(map(str, parts))} = {sum(parts)} images{where}; {total} are printed."
            yield check(found.values(), "images of the classes", finding, sentence)
        folders = [f for f in info.folders if stage is None or f.part == stage]
        if not folders or (stage and paper.protocol.holdout.value != "published"):
            continue
        for label, claim in found.items():
            published = sum(f.count for f in folders if label in (None, f.label))
            finding, why = CONSISTENT, ""
            if round(claim.value) != published:
                finding, why = CONDITIONAL, ": possible only if another edition or set was used"
            what = f"{claim.printed} {label or 'all'} images{where}"
            sentence = f"{what}; {info.title} was published with {published}{why}."
            yield check([claim], "images of the published set", finding, sentence)


@dataclass(frozen=True)
class Part:
    """Sizes of a part of a scenario that admit its printed accuracies, within a fifth of what the protocol draws."""

    scenario: str | None
    part: str
    claims: tuple[Claim, ...]
    drawn: int
    sizes: Sizes

    @property
    def values(self) -> int:
        """How many different accuracies are printed."""
        return len({round(claim.value, 9) for claim in self.claims})


def parts(paper: Paper) -> Iterator[Part]:
    """Yield the validation and the test part of each scenario for which accuracies are printed."""
    for scenario in paper.scenarios or (None,):
        for part in (splits.VALIDATION, splits.TEST):
            claims = exact(paper, name="accuracy", stage=part, scenario=scenario)
            claims = [claim for claim in claims if claim.number.operator == "="]
            drawn = drawn_size(paper, scenario, part) if claims else 0
            if drawn:
                printed = [claim.number for claim in claims]
                sizes = fitting_sizes(printed, round(drawn * (1 + AROUND)), max(1, round(drawn * (1 - AROUND))))
                yield Part(scenario, part, tuple(claims), drawn, sizes)


def part_sizes(paper: Paper) -> Iterator[Check]:
    """Whether one size of a part admits all of its printed accuracies, and the protocol draws it."""
    for part in parts(paper):
        finding = checks.finding_of(part.drawn in part.sizes.rounded, part.sizes.truncated)
        if finding == CONSISTENT:
            why = ""
        elif part.drawn in part.sizes.truncated:
            why = "; possible only if some are truncated, not rounded"
        elif part.sizes.truncated:
            why = f"; possible only with {checks.listed(part.sizes.truncated)} images, rounded or truncated"
        else:
            why = ", rounded or truncated"
        sentence = (
            f"{paper.scenario(part.scenario).title}, {part.part} part: {part.values} different accuracies; the "
            f"protocol draws {part.drawn} images; sizes within a fifth of it that admit them all: "
            f"{checks.listed(part.sizes.rounded)}{why}."
        )
        yield check(part.claims, "size of a part", finding, sentence)


def whose_set(paper: Paper) -> Iterator[Check]:
    """Where the paper names no set: which public sets have the size that its numbers need."""
    if paper.data.set.assumed is None:
        return
    stated = [claim for claim in exact(paper, name="images", stage=None) if claim.metric.label is None]
    if stated:
        needed = round(stated[0].value)
        fitting = [name for name, info in REGISTRY.items() if info.total == needed]
        claims, basis = stated[:1], f"{stated[0].printed} images are printed"
    else:
        holdout = paper.protocol.holdout.value
        row = next(iter(rows_of(paper)), [])
        if not row or holdout == "published":
            return
        sizes = {name: math.ceil(info.total * holdout) for name, info in REGISTRY.items() if info.total}
        fitting = [name for name, n in sizes.items() if matrices(checks.ranges(row, "either"), n)]
        claims = row
        basis = (
            f"held out from the public sets known here are {checks.listed(sorted(set(sizes.values())), 9)} images "
            f"({holdout:.0%} of each), and only "
            f"{checks.listed([sizes[name] for name in fitting])} admit {checks.names(row)}"
        )
    sets = ", ".join(f"{REGISTRY[name].title} ({REGISTRY[name].total} images)" for name in fitting) or "none"
    found = f"only {sets} has" if len(fitting) == 1 else f"{sets} have"
    sentence = f"no set is named; {basis}; of the public sets known here {found} that size."
    yield check(claims, "whose set", CONDITIONAL, sentence)


def confusion_counts(paper: Paper) -> Iterator[Check]:
    """Whether printed cells of a confusion matrix give the printed accuracy, and which draw they need."""
    right, wrong = defaultdict(dict), defaultdict(dict)
    for claim in exact(paper):
        metric = claim.metric
        if metric.name == "count" and metric.predicted in (None, metric.label):
            right[claim.arm][metric.label] = claim
        elif metric.name == "errors":
            wrong[claim.arm][metric.label] = claim
    for arm, cells in right.items():
        accuracy = [claim for claim in exact(paper, name="accuracy", stage="test", arm=arm) if claim.n]
        if set(cells) == set(paper.data.classes) and accuracy:
            n, total = accuracy[0].n, sum(round(x.value) for x in cells.values())
            low, high = accuracy[0].number.rounded
            finding = CONSISTENT if low <= total / n <= high else IMPOSSIBLE
            sums = f"{' + '.join(x.printed for x in cells.values())} = {total} right of {n}"
            sentence = f"{paper.arms[arm].title}: {sums} is {total / n:.4f}; {accuracy[0].printed} is printed."
            yield check([*cells.values(), accuracy[0]], "counts against the accuracy", finding, sentence)
        yield from _drawn_classes(paper, arm, cells, wrong[arm])


def _drawn_classes(paper, arm, right, wrong):
    holdout = paper.protocol.holdout.value
    for label in (label for label in right if label in wrong and holdout != "published"):
        drawn = round(right[label].value + wrong[label].value)
        published = published_size(paper, [label])
        finding, why = CONSISTENT, ""
        if abs(drawn - published * holdout) > 1:
            finding, why = CONDITIONAL, ": possible only by a draw that is not stratified"
        sentence = (
            f"{paper.arms[arm].title}: {right[label].printed} right and {wrong[label].printed} wrong are {drawn} "
            f"images of {label}; {holdout:.0%} of the set's {published} are {published * holdout:.1f}{why}."
        )
        yield check([right[label], wrong[label]], "images of a class in the test part", finding, sentence)


def drawn_size(paper: Paper, scenario: str | None, part: str) -> int:
    """Images of a part, as the protocol draws it from the published set; 0 where it draws none."""
    folders = REGISTRY[paper.data.set.value].folders
    labels = np.repeat([f.label for f in folders], [f.count for f in folders])
    parts = np.repeat([f.part for f in folders], [f.count for f in folders])
    own = np.isin(labels, paper.scenario(scenario).classes)
    drawn = splits.assign(labels[own], np.arange(own.sum()), paper.protocol.split(), parts[own])
    return int((drawn == part).sum())


def published_size(paper: Paper, labels: Collection[str]) -> int:
    """Images of these classes in the published set."""
    return sum(f.count for f in REGISTRY[paper.data.set.value].folders if f.label in labels)
