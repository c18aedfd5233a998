"""Scores of confusion matrices, ranks and losses of one part of the images.

A score that the images cannot define (a sensitivity without a positive image, a precision without a positive
prediction) is nan, never a silent 0. Averages over the classes, each against the rest, follow the rule of
scikit-learn, from which papers print them: a class that has images and is never predicted has precision 0 and F1 0,
or else a model that ignores a class would have no average at all. A class without images leaves a macro average
(the plain mean) undefined and weighs nothing in a weighted one (by the images of each class).
"""

from __future__ import annotations

import math

import numpy as np

PROPORTIONS = ("accuracy", "sensitivity", "specificity", "precision", "recall")
METRICS = (*PROPORTIONS, "f1", "auc", "loss")
AVERAGES = ("macro", "weighted")
EPSILON = 1e-7  # Keras' own: a probability of 0 would make the loss infinite


def score(matrices: np.ndarray, metric: str, positive: int | None = None, average: str | None = None) -> np.ndarray:
    """Compute a score in [0, 1] of each of a stack of confusion matrices, nan where the images do not define it.

    The matrices, (..., c, c), count images, rows true and columns predicted classes. ``metric`` is one of METRICS but
    "auc" and "loss", which need more than counts, ``positive`` the index of the class that is scored against the rest,
    and ``average``, one of AVERAGES, takes its place. Neither is needed for the accuracy.
    """
    images, total = matrices.sum(axis=-1), matrices.sum(axis=(-2, -1))
    if metric == "accuracy":
        return ratio(np.trace(matrices, axis1=-2, axis2=-1), total)
    scores = ratio(*counts(matrices, metric))
    if metric == "f1":  # the harmonic mean of two numbers is undefined as soon as one of them is
        scores = np.where((images > 0) & (matrices.sum(axis=-2) > 0), scores, math.nan)
    if average is None:
        return scores[..., positive]
    if metric in ("precision", "f1"):  # nan: never predicted, or without images
        scores = np.nan_to_num(scores)
    return averaged(scores, images, average)


def counts(matrices: np.ndarray, metric: str) -> tuple[np.ndarray, np.ndarray]:
    """Return numerator and denominator of a score of each class against the rest, two (..., c) arrays."""
    hits, images = np.diagonal(matrices, axis1=-2, axis2=-1), matrices.sum(axis=-1)
    predicted = matrices.sum(axis=-2)
    if metric == "precision":
        return hits, predicted
    if metric == "f1":
        return 2 * hits, images + predicted
    if metric == "specificity":
        others = matrices.sum(axis=(-2, -1))[..., None] - images
        return others - predicted + hits, others
    return hits, images


def ratio(k: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Divide counts; nan where there is nothing to count."""
    return np.divide(k, n, out=np.full(np.shape(n), math.nan), where=n > 0)[()]


def averaged(scores: np.ndarray, images: np.ndarray, average: str) -> np.ndarray:
    """Average scores of classes, (..., c), of so many images each; nan where the average is undefined."""
    if average == "macro":
        return np.where((images > 0).all(axis=-1), scores.mean(axis=-1), math.nan)
    weighted = np.where(images > 0, scores * images, 0.0)  # a class without images weighs nothing
    return ratio(weighted.sum(axis=-1), images.sum(axis=-1))


def area_under_roc(is_positive: np.ndarray, score: np.ndarray, times: np.ndarray | None = None) -> np.ndarray:
    """Area under the ROC curve by the Mann-Whitney statistic, ties counted as one half (Hanley and McNeil 1982).

    Of (n,) arrays; ``times`` (..., n) is how often each image counts, once by default. nan when one class is absent.
    """
    times = np.ones(len(score)) if times is None else times
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.diff(score[order], prepend=-math.inf))  # of each run of equal scores
    drawn, positive = times[..., order], np.asarray(is_positive)[order]
    positives = np.add.reduceat(drawn * positive, starts, axis=-1)
    negatives = np.add.reduceat(drawn * ~positive, starts, axis=-1)
    beaten = np.cumsum(negatives, axis=-1) - negatives / 2
    return ratio((positives * beaten).sum(axis=-1), positives.sum(axis=-1) * negatives.sum(axis=-1))


def cross_entropies(targets: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Cross-entropy of each image in nats, of probabilities that are kept 1e-7 off 0 and 1, as Keras does.

    Both arrays are (n, c), one-hot and softmax, or (n, 1), 0 or 1 and the probability of the positive class of two.
    """
    p = np.clip(np.asarray(predicted, dtype=np.float64), EPSILON, 1 - EPSILON)
    terms = targets * np.log(p)
    if p.shape[1] == 1:
        terms = terms + (1 - targets) * np.log(1 - p)
    return -terms.sum(axis=1)


def cross_entropy(targets: np.ndarray, predicted: np.ndarray) -> float:
    """Mean of `cross_entropies`; nan for no image."""
    return float(cross_entropies(targets, predicted).mean()) if len(targets) else math.nan


def accuracy(targets: np.ndarray, predicted: np.ndarray) -> float:
    """Share of images whose most probable class (0.5 for a single unit) is the true one; nan for no image.

    Arrays as in `cross_entropies`.
    """
    true, chosen = (x > 0.5 if x.shape[1] == 1 else x.argmax(axis=1) for x in (targets, predicted))
    return float((true == chosen).mean()) if len(targets) else math.nan
