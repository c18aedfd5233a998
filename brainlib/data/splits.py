"""Seeded splits of a table of images into training, validation and test parts.

A split is data (`Split`), so that a trial can be hashed, stored and repeated. scikit-learn draws single images, as most
papers do, or whole groups of duplicates, so that no image has a duplicate in another part.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pandas as pd
from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold, train_test_split

from brainlib.errors import UsageError

TRAIN, VALIDATION, TEST, UNUSED = "train", "validation", "test", ""
_MOST_FOLDS = 20  # that a stratified hold-out of groups is joined of: a share is met to within 1/40


@dataclass(frozen=True)
class Split:
    """How a trial divides its images.

    Attributes
    ----------
    holdout, validation : float
        Shares of all images, in [0, 1), that are the test part and, where there are no folds, the validation part. They
        are drawn together and then divided, as an 8-1-1 split (0.1 and 0.1) usually is.
    published, stratified : bool
        Whether the test part is the published one, whatever `holdout` says, and whether each part keeps the class
        proportions of the whole.
    folds, fold : int
        k of a k-fold cross-validation on the rest, 0 for none; and which of the folds validates, 1 to k, 0 to train on
        everything that is not held out.
    by : {"image", "group"}
        Whether single images or whole groups of duplicates are drawn, which come as near to a share as they allow.
    images, seed : int
        How many images to use, drawn evenly from the classes, 0 for all of them; and the seed of every draw.
    leakage : {"refused", "as_published"}
        Whether a group in two parts is an error, or allowed, to repeat a published protocol.
    """

    holdout: float = 0.2
    published: bool = False
    folds: int = 0
    fold: int = 0
    validation: float = 0.0
    stratified: bool = False
    by: str = "image"
    images: int = 0
    seed: int = 0
    leakage: str = "refused"

    def __post_init__(self):
        held, drawn, folds, fold = self.holdout, self.validation, self.folds, self.fold
        share, number = f"a share of {drawn}", f"fold {fold} of {folds}"
        for fits, expected, received in (
            (0 <= held < 1, "holdout must be at least 0 and below 1", held),
            (0 <= drawn < 1, "validation must be at least 0 and below 1", drawn),
            (held + drawn < 1, "holdout and validation must leave images to train on", f"{held} + {drawn}"),
            (folds != 1 and 0 <= fold <= folds, "a fold must be 0 (none) or 1 to k, with k of 2 or more", number),
            (not folds or not drawn, "a split has folds or a validation share, not both", share),
            (not self.published or not drawn, "a split with the published test part draws no validation part", share),
            (self.by in ("image", "group"), "a split is by 'image' or by 'group'", repr(self.by)),
            (self.leakage in ("refused", "as_published"), "leakage is 'refused' or 'as_published'", repr(self.leakage)),
        ):
            if not fits:
                raise UsageError(f"{expected}; received {received}")


def assign(labels, groups, split: Split, published=None) -> np.ndarray:
    """Assign every image to a part: array of str (n,), "train", "validation", "test", or "" for an unused image.

    `labels` and `groups`, (n,), are the class of each image, and its group: duplicates, or images of one patient, that
    must not be divided. `published`, (n,), is its part in the published set, "train" or "test", and is needed for
    ``split.published``; by group, training images with a duplicate in that test part are left out. UsageError if a
    class or a group is too small to be divided so, or a group is in two parts though leakage is refused.
    """
    labels, every = np.asarray(labels), np.asarray(groups)
    parts = np.full(len(labels), UNUSED, dtype="<U10")
    rows = used(labels, split, published)
    groups = None if split.by == "image" else every
    try:
        if split.published:
            in_test = np.asarray(published)[rows] == TEST
            rest, test = rows[~in_test], rows[in_test]
            if groups is not None:
                rest = rest[~np.isin(groups[rest], groups[test])]
        else:
            rest, test = _hold_out(rows, labels, groups, split.holdout + split.validation, split)
        validation = rows[:0]
        if split.fold:
            rest, validation = _fold(rest, labels, groups, split)
        elif split.validation:
            share = split.holdout / (split.holdout + split.validation)
            validation, test = _hold_out(test, labels, groups, share, split)
        parts[rest], parts[validation], parts[test] = TRAIN, VALIDATION, TEST
    except ValueError as error:
        raise UsageError(
            f"cannot split {len(rows)} images of {len(np.unique(labels[rows]))} classes as asked "
            f"({str(error).splitlines()[0]}); use more images or an unstratified split"
        ) from error
    pairs = pd.DataFrame({"group": every, "part": parts})[parts != UNUSED].drop_duplicates()
    divided = pairs["group"].duplicated().sum()
    if divided and split.leakage == "refused":
        raise UsageError(
            f"expected a split that keeps duplicates together, received one with {divided} groups in two "
            "parts; split by 'group', or say leakage='as_published' to repeat a published protocol"
        )
    return parts


def used(labels, split: Split, published=None) -> np.ndarray:
    """Return the positions of the images that a split uses, ascending; parameters as in `assign`."""
    labels = np.asarray(labels)
    if not split.published:
        return choose_images(labels, split.images, split.seed)
    published = np.asarray(published)
    test, train = np.flatnonzero(published == TEST), np.flatnonzero(published != TEST)
    if not len(test) or not len(train):
        raise UsageError(
            "a split with the published test part needs a set that is published in two parts; "
            f"of {len(labels)} images {len(test)} are published as test images"
        )
    if not split.images:
        return np.arange(len(labels))
    # A subset has the proportion of the published parts, with an image of each class in both.
    share = max(len(np.unique(labels)), round(split.images * len(test) / len(labels)))
    counts = (test, share), (train, max(1, split.images - share))
    return np.sort(np.concatenate([part[choose_images(labels[part], n, split.seed)] for part, n in counts]))


def oversampled(labels, rows: np.ndarray, label: str, seed: int, target: str = "largest") -> np.ndarray:
    """Return the positions of training images, with those of a class repeated until it is as large as the largest.

    With the target "mean" it gets the mean size of all classes, and keeps its own if that is larger.
    All images of the class are repeated equally often, but for some, drawn with `seed`, once more.
    """
    own = rows[np.asarray(labels)[rows] == label]
    if len(own) == 0:
        return rows
    sizes = np.unique(np.asarray(labels)[rows], return_counts=True)[1]
    most = sizes.max() if target == "largest" else max(round(sizes.mean()), len(own))
    whole, some = divmod(int(most) - len(own), len(own))
    drawn = np.random.default_rng(seed).permutation(own)[:some]
    return np.concatenate([rows, *[own] * whole, np.sort(drawn)])


def choose_images(labels, images: int, seed: int) -> np.ndarray:
    """Choose a number of images, as many from each class as far as the classes reach: int array, ascending positions.

    The class of each image is in `labels`, array (n,). With `images` 0, n or more, all are chosen.
    """
    labels = np.asarray(labels)
    if images <= 0 or images >= len(labels):
        return np.arange(len(labels))
    random = np.random.default_rng(seed)
    queues = [random.permutation(np.flatnonzero(labels == name)) for name in np.unique(labels)]
    # Round robin over the classes: each gives its next image until there are enough.
    turns = np.concatenate([np.arange(len(queue)) for queue in queues])
    return np.sort(np.concatenate(queues)[np.argsort(turns, kind="stable")[:images]])


def _hold_out(rows, labels, groups, share, split):
    if share == 0:
        return rows, rows[:0]
    if groups is None:
        classes = labels[rows] if split.stratified else None
        rest, held = train_test_split(rows, test_size=share, random_state=split.seed, stratify=classes)
        return np.sort(rest), np.sort(held)
    if split.stratified:
        held = _stratified_groups(labels[rows], groups[rows], share, split.seed)
    else:
        held = _groups(groups[rows], share, split.seed)
    return rows[~held], rows[held]


def _stratified_groups(labels, groups, share, seed):
    """Hold out whole groups in the proportion of the classes: bool (n,). The share is m/k: m of k folds."""
    smallest = min(len(np.unique(groups[labels == label])) for label in np.unique(labels))
    part = Fraction(share).limit_denominator(max(2, round(1 / share), min(_MOST_FOLDS, smallest)))
    folds = StratifiedGroupKFold(part.denominator, shuffle=True, random_state=seed)
    drawn = itertools.islice(folds.split(labels, labels, groups), part.numerator)
    return np.isin(np.arange(len(labels)), np.concatenate([fold for _, fold in drawn]))


def _groups(groups, share, seed):
    """Hold out groups in random order until the share of images is as near as it gets: bool (n,)."""
    number, sizes = np.unique(groups, return_inverse=True, return_counts=True)[1:]
    if len(sizes) < 2:
        raise ValueError("all images are of one group")
    order = np.random.RandomState(seed).permutation(len(sizes))
    wanted = math.ceil(round(share * len(groups), 9))
    count = 1 + np.argmin(np.abs(np.cumsum(sizes[order])[:-1] - wanted))
    return np.isin(number, order[:count])


def _fold(rows, labels, groups, split):
    if groups is None:
        kind = StratifiedKFold if split.stratified else KFold
    else:
        kind, groups = StratifiedGroupKFold if split.stratified else GroupKFold, groups[rows]
    folds = kind(split.folds, shuffle=True, random_state=split.seed).split(rows, labels[rows], groups)
    train, validation = list(folds)[split.fold - 1]
    return rows[train], rows[validation]
