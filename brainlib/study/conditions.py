"""What keeps the numbers of a study from being comparable with the printed ones.

Each condition is a short phrase, such as "60 of 3000 images". They are found here and nowhere else: titles, verdicts,
stored trials, model cards and the program all show the same ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from brainlib.data.registry import info_of

if TYPE_CHECKING:
    from brainlib.study.study import Study

OTHER_IMAGES = "other images than the paper's"
DUPLICATES_APART = "duplicates kept apart"


def of_study(study: Study) -> tuple[str, ...]:
    """Find what of the protocol, the images and the split is not the paper's, whatever the arm."""
    apart = study.split_by == "group" != study.paper.protocol.split_by.value
    return (*study.changed, *_of_images(study), *([DUPLICATES_APART] if apart else []))


def of_arm(study: Study, arm: str) -> tuple[str, ...]:
    """Find what of an arm's backbone, weights and training is not the paper's."""
    return tuple(_of_arm(study, arm))


def every(study: Study, *arms: str) -> tuple[str, ...]:
    """Find all conditions of some arms, by default of those that are run; an arm's own begin with its name."""
    found = [*of_study(study), *study.dataset.differences]
    stated = study.paper.protocol.image_size.value
    if study.size != stated:
        found.append(f"images of {study.size} instead of {stated} pixels")
    return (*found, *(f"{arm}: {each}" for arm in arms or study.arms for each in of_arm(study, arm)))


def _of_images(study) -> Iterator[str]:
    data, used = study.dataset, study.profile.images
    if data.phantom:
        yield f"{len(data.table)} phantoms"
        return
    if study.other_images or not _is_the_papers(study):
        yield OTHER_IMAGES
    if used and used < len(data.table):
        yield f"{used} of {len(data.table)} images"


def _is_the_papers(study):
    """Tell whether a data set has the name and, where it does not say how it differs, the counts of the paper's."""
    data, name = study.dataset, study.paper.data.set.value
    published = Counter()
    for folder in info_of(name).folders:
        published[folder.label] += folder.count
    return data.name == name and (bool(data.differences) or Counter(data.table["label"]) == published)


def _of_arm(study, arm):
    settings = study.paper.arms[arm]
    stated, used = study.stated_backbone(arm), study.backbone(arm)
    if stated != used:
        yield f"{used} in place of {stated}"
    if study.weights[arm].source == "random":
        yield "random weights"
    pairs = list(zip(settings.phases, study.phases(arm), strict=True))
    if any(own.trainable != given.trainable.value for given, own in pairs):
        yield "all layers trained in place of a block"
    for given, own in pairs:
        if own.epochs != given.epochs.value:
            of = f" of {own.name}" if len(pairs) > 1 else ""
            yield f"{own.epochs} of {given.epochs.value} epochs{of}"
