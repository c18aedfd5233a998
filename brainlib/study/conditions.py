"""What keeps the numbers of a study from being comparable with the printed ones.

Each condition is a short phrase, such as "60 of 3000 images". Tables, verdicts, stored trials, model cards and the
program all show the same ones.
"""

from __future__ import annotations

from collections import Counter

from brainlib.models.backbones import PHANTOMS, RANDOM
from brainlib.study.variation import OWN

PHANTOM_WEIGHTS = "weights pretrained on phantoms"
OTHER_IMAGES = "other images than the paper's"
_WEIGHTS = {RANDOM: "random weights", PHANTOMS: PHANTOM_WEIGHTS}


def of_images(study) -> tuple[str, ...]:
    """List how settings, images and split differ from the paper's: why counts of images are not comparable."""
    found = [*study.changed]
    data, used = study.dataset, study.profile.images
    if data.phantom:
        found.append(f"{len(data.table)} phantoms")
    else:
        if study.other_images or not _are_the_papers(data, study.paper.data.set.value):
            found.append(OTHER_IMAGES)
        if used and used < len(data.table):
            found.append(f"{used} of {len(data.table)} images")
    if study.split_by == "group" != study.paper.protocol.split_by.value:
        found.append("duplicates kept apart")
    if study.options.precision != "float32":
        found.append(f"{study.options.precision} precision")
    return (*found, *data.differences)


def of_study(study) -> tuple[str, ...]:
    """List what holds for every arm: `of_images`, and the size of the images."""
    stated = study.paper.protocol.image_size.value
    size = [f"images of {study.size} instead of {stated} pixels"] if study.size != stated else []
    return (*of_images(study), *size)


def of_arm(study, arm: str) -> tuple[str, ...]:
    """List how an arm's backbone, weights and training differ from the paper's."""
    found = []
    stated, used = study.stated_backbone(arm), study.backbone(arm)
    if stated != used:
        found.append(f"{used} in place of {stated}")
    model = study.paper.arms[arm].model
    if model.kind == "own" and model.function.stated == OWN:
        found.append("own model")
    if study.stops_early(arm):
        of_folds = ", in folds those that are scored" if study.paper.protocol.folds.value else ""
        found.append(f"a fifth of the training images monitored{of_folds}")
    if (source := study.weights[arm].source) in _WEIGHTS:
        found.append(_WEIGHTS[source])
    pairs = list(zip(study.paper.arms[arm].phases, study.phases(arm), strict=True))
    for given, own in pairs:
        of = f" of {own.name}" if len(pairs) > 1 else ""
        if own.trainable != given.trainable.value:
            stated = "all layers" if given.trainable.value == "all" else "a block"
            found.append(f"{'all layers' if own.trainable == 'all' else 'head'} trained in place of {stated}{of}")
        if own.epochs != given.epochs.value:
            found.append(f"{own.epochs} of {given.epochs.value} epochs{of}")
        if own.learning_rate != given.learning_rate.value:
            found.append(f"learning rate {own.learning_rate:g} in place of {given.learning_rate.value:g}{of}")
    return tuple(found)


def _are_the_papers(data, name):
    """Tell whether images have the set's name and, unless it is stated how they differ, its published counts."""
    labels = [folder.label for folder in data.info.folders for _ in range(folder.count)]
    return data.name == name and (data.differences or Counter(data.table["label"]) == Counter(labels))
