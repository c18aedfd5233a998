"""Which numbers of images the printed scores need, and which public sets have them."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
from scipy import stats

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
    """Where the paper names no set: which public sets have the size that its numbers need, and how likely the draw is.

    A set counts with and without the unlabelled images of its archive. The number of tumours in a plain draw of n
    images is hypergeometric.
    """
    if paper.data.set.assumed is None:
        return
    stated = [claim for claim in exact(paper, name="images", stage=None) if claim.metric.label is None]
    if stated:
        needed = round(stated[0].value)
        sets = [f"{info.title} ({n} images)" for info, n in _editions() if n == needed]
        found = f"only {sets[0]} has" if len(sets) == 1 else f"{', '.join(sets) or 'none'} have"
        claims = stated[:1]
        why = f"{stated[0].printed} images are printed; of the public sets known here {found} that size"
    else:
        holdout = paper.protocol.holdout.value
        claims = next(iter(rows_of(paper)), [])
        if not claims or holdout == "published":
            return
        tried, fitting = set(), []
        for info, total in _editions():
            n = math.ceil(total * holdout)
            tried.add(n)
            tumours = sum(f.count for f in info.folders if info.means.get(f.label) != "none")
            for positives in matrices(checks.ranges(claims, "either"), n):
                draw = stats.hypergeom(total, tumours, n)
                least = positives <= draw.mean()
                tail, side = (draw.cdf(positives), "fewer") if least else (draw.sf(positives - 1), "more")
                fitting.append(
                    f"{n} of {info.title} ({total} images) with {positives} tumours, where a plain draw has "
                    f"{draw.mean():.1f}, and {positives} or {side} in {tail:.1%}"
                )
        why = (
            f"held out from the public sets known here are {checks.listed(sorted(tried), 9)} images ({holdout:.0%} of "
            f"each); of these {checks.names(claims)} fit {'; '.join(fitting) or 'none'}"
        )
    yield check(claims, "whose set", CONDITIONAL, f"no set is named; {why}.")


def _editions():
    """Yield registered sets with their numbers of images, those with unlabelled images a second time with these."""
    for info in REGISTRY.values():
        yield from ((info, info.total + more) for more in sorted({0, info.unlabelled}) if info.total)


def divisions(paper: Paper) -> Iterator[Check]:
    """Whether scenarios of two classes that share the normal one can be parts of one division of the images.

    In one division the parts of k scenarios hold the normal images k times, and the part of all classes holds them
    once, so that the sizes of the k parts add up to that of all classes and k - 1 times the normal images.
    """
    by_part = defaultdict(dict)
    for part in parts(paper):
        by_part[part.part][frozenset(paper.scenario(part.scenario).classes)] = part
    for name, found in by_part.items():
        whole = found.pop(frozenset(paper.data.classes), None)
        pairs = [part for classes, part in found.items() if len(classes) == 2 and paper.data.normal in classes]
        if whole is None or len(pairs) != len(paper.data.classes) - 1:
            continue
        k, possible = len(pairs), [each.sizes.truncated for each in (*pairs, whole)]
        found = [
            (sizes, total) for *sizes, total in itertools.product(*possible) if (sum(sizes) - total) % (k - 1) == 0
        ]
        if found:
            finding, (sizes, total) = CONSISTENT, found[0]
            why = f"so if {(sum(sizes) - total) // (k - 1)} of them are normal"
        else:
            finding, sizes, total = CONDITIONAL, [each[0] for each in possible[:-1]], possible[-1][0]
            why = "possible only if each scenario was divided by itself, whatever number of them is normal"
        sentence = (
            f"{name} parts of {' + '.join(map(str, sizes))} images, each with the same normal ones, and of {total} "
            f"images of all classes: {why}."
        )
        claims = [claim for part in (*pairs, whole) for claim in part.claims]
        yield check(claims, "one division for all scenarios", finding, sentence)


def confusion_counts(paper: Paper) -> Iterator[Check]:
    """Whether printed cells of a confusion matrix give the printed accuracy, and which draw they need."""
    right, wrong, mistaken = defaultdict(dict), defaultdict(dict), defaultdict(list)
    for claim in exact(paper):
        metric = claim.metric
        if metric.name == "count" and metric.predicted in (None, metric.label):
            right[claim.arm][metric.label] = claim
        elif metric.name == "count":
            mistaken[claim.arm].append(claim)
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
            yield from _counted_in_all(paper.arms[arm].title, cells.values(), mistaken[arm], n)
        yield from _drawn_classes(paper, arm, cells, wrong[arm])


def _counted_in_all(title, right, mistaken, n):
    """Whether cells of a confusion matrix, on and off its diagonal, hold more images than there are."""
    if not mistaken:
        return
    correct, wrong = (sum(round(claim.value) for claim in claims) for claims in (right, mistaken))
    finding, why = (CONSISTENT, "") if correct + wrong <= n else (IMPOSSIBLE, ", if each count is read literally")
    if finding == IMPOSSIBLE and len(mistaken) == 2 and len({claim.value for claim in mistaken}) == 1:
        why += f"; with {mistaken[0].printed} for both ways together it would be {correct + wrong // 2}"
    counts = " + ".join(claim.printed for claim in mistaken)
    sentence = f"{title}: {correct} right and {counts} mistaken are {correct + wrong} of {n} images{why}."
    yield check([*mistaken, *right], "counts against the images", finding, sentence, len(mistaken))


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
