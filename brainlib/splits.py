"""Who trains, who validates, who is tested: seeded divisions of a table of images.

A split is data (`Split`), so that a trial can be hashed, stored and repeated. `assign` turns it
into one word an image: "train", "validation", "test", or "" for an image that the trial leaves
out. Splitting is done by scikit-learn; by image, as most papers do, or by group of copies, so
that two copies of a picture never stand on both sides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import (
    GroupKFold,
    GroupShuffleSplit,
    KFold,
    StratifiedGroupKFold,
    StratifiedKFold,
    train_test_split,
)

from brainlib.errors import UsageError

TRAIN, VALIDATION, TEST, UNUSED = "train", "validation", "test", ""


@dataclass(frozen=True)
class Split:
    """How one trial divides its images.

    Attributes
    ----------
    holdout : float
        Share of the images held out as the test part, in [0, 1).
    folds : int
        k of a k-fold cross-validation on the rest; 0 for none.
    fold : int
        Which fold validates, 1 to `folds`; 0 trains on everything that is not held out.
    validation : float
        Share of all images taken as the validation part when there are no folds
        (0.1 with a hold-out of 0.1 is the 8-1-1 split), in [0, 1).
    stratified : bool
        Whether each part keeps the class proportions of the whole.
    by : {"image", "group"}
        Whether single images or whole groups of copies are drawn.
    images : int
        How many images to use, drawn evenly from the classes; 0 for all of them.
    seed : int
        Seed of the draw.
    """

    holdout: float = 0.2
    folds: int = 0
    fold: int = 0
    validation: float = 0.0
    stratified: bool = False
    by: str = "image"
    images: int = 0
    seed: int = 0

    def __post_init__(self):
        for name in ("holdout", "validation"):
            if not 0 <= getattr(self, name) < 1:
                raise UsageError(
                    f"{name} must be at least 0 and below 1; received {getattr(self, name)}"
                )
        if self.holdout + self.validation >= 1:
            raise UsageError(
                "holdout and validation must leave images to train on; "
                f"received {self.holdout} + {self.validation}"
            )
        if self.folds == 1 or self.folds < 0 or not 0 <= self.fold <= self.folds:
            raise UsageError(
                "a fold must be 0 (none) or 1 to k, with k of 2 or more; "
                f"received fold {self.fold} of {self.folds}"
            )
        if self.folds and self.validation:
            raise UsageError("a split has folds or a validation share, not both")
        if self.by not in ("image", "group"):
            raise UsageError(f"a split is by 'image' or by 'group'; received '{self.by}'")


def assign(labels, groups, split: Split) -> np.ndarray:
    """Give every image its part.

    Parameters
    ----------
    labels : array of shape (n,)
        Class of each image.
    groups : array of shape (n,)
        Group of copies of each image; read only when ``split.by == "group"``.
    split : Split

    Returns
    -------
    array of str, shape (n,)
        "train", "validation", "test", or "" where the image is not used.

    Raises
    ------
    UsageError
        When a class or a group is too small to be divided so.
    """
    labels, groups = np.asarray(labels), np.asarray(groups)
    parts = np.full(len(labels), UNUSED, dtype="<U10")
    rows = choose_images(labels, split.images, split.seed)
    if split.by == "image":
        groups = None
    try:
        rest, test = _hold_out(rows, labels, groups, split.holdout, split)
        parts[test] = TEST
        if split.fold:
            folds = list(_folds(rest, labels, groups, split))
            rest, validation = folds[split.fold - 1]
        else:
            share = split.validation / (1 - split.holdout)
            rest, validation = _hold_out(rest, labels, groups, share, split)
        parts[rest], parts[validation] = TRAIN, VALIDATION
    except ValueError as error:
        raise UsageError(
            f"cannot split {len(rows)} images of {len(np.unique(labels[rows]))} classes as asked "
            f"({str(error).splitlines()[0]}); use more images or an unstratified split"
        ) from error
    return parts


def choose_images(labels, images: int, seed: int) -> np.ndarray:
    """Choose a subset with as equal a number from each class as there is.

    Parameters
    ----------
    labels : array of shape (n,)
    images : int
        How many; 0 or at least n chooses all.
    seed : int

    Returns
    -------
    array of int, ascending
        Positions of the chosen images.
    """
    labels = np.asarray(labels)
    if images <= 0 or images >= len(labels):
        return np.arange(len(labels))
    random = np.random.default_rng(seed)
    queues = [random.permutation(np.flatnonzero(labels == name)) for name in np.unique(labels)]
    # Round robin over the classes: each gives its next image until there are enough.
    ranked = np.concatenate([np.stack([np.arange(len(q)), q], axis=1) for q in queues])
    turns = np.argsort(ranked[:, 0], kind="stable")
    return np.sort(ranked[turns[:images], 1])


def _hold_out(rows, labels, groups, share, split):
    if share == 0:
        return rows, rows[:0]
    if groups is None:
        rest, held = train_test_split(
            rows,
            test_size=share,
            random_state=split.seed,
            stratify=labels[rows] if split.stratified else None,
        )
    elif split.stratified:
        # One fold of a k-fold with k = 1/share is the stratified, group-wise hold-out.
        k = max(2, round(1 / share))
        folds = StratifiedGroupKFold(k, shuffle=True, random_state=split.seed)
        rest, held = next(folds.split(rows, labels[rows], groups[rows]))
        rest, held = rows[rest], rows[held]
    else:
        draw = GroupShuffleSplit(1, test_size=share, random_state=split.seed)
        rest, held = next(draw.split(rows, groups=groups[rows]))
        rest, held = rows[rest], rows[held]
    return np.sort(rest), np.sort(held)


def _folds(rows, labels, groups, split):
    options = {"n_splits": split.folds, "shuffle": True, "random_state": split.seed}
    if groups is None:
        folds = StratifiedKFold(**options) if split.stratified else KFold(**options)
        pairs = folds.split(rows, labels[rows])
    else:
        folds = StratifiedGroupKFold(**options) if split.stratified else GroupKFold(**options)
        pairs = folds.split(rows, labels[rows], groups[rows])
    for train, validation in pairs:
        yield rows[train], rows[validation]
