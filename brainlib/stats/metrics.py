"""Scores of stored predictions: counts, ranks and losses of one part of the images.

A score that the images cannot define (a sensitivity without a positive image, a precision without
a positive prediction) is nan, never a silent 0: so it is for the class that is scored, which of two
classes is the last one unless another is named. Over several classes, each against the rest, there
are the macro average, the plain mean, and the weighted one, by the images of each class. They are
what papers print from scikit-learn, and go by its rule: a class that has images and is never
predicted has precision 0 and F1 0, or else a model that ignores a class would have no average at
all. A class without images leaves a macro average undefined and weighs nothing in a weighted one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from brainlib.errors import DataError, UsageError

PARTS = ("train", "validation", "test")
PROPORTIONS = ("accuracy", "sensitivity", "specificity", "precision", "recall")
METRICS = (*PROPORTIONS, "f1", "auc", "loss")
AVERAGES = ("macro", "weighted")
EPSILON = 1e-7  # Keras' own: a probability of 0 would make the loss infinite
SUM_TOLERANCE = 1e-4  # float32 softmax over a handful of classes is well within


@dataclass(frozen=True, eq=False)
class Decisions:
    """A validated part of a predictions table as arrays, with each image's predicted class.

    Attributes
    ----------
    classes : tuple of str
    positive : int or None
        Index of the class that is scored; None where an average is, or where neither was named.
    average : {None, "macro", "weighted"}
        Average over the classes.
    truth, predicted : (n,) int arrays
        Indices into ``classes``.
    probabilities : (n, c) float array
    groups : (n,) array
        Group of copies of each image.
    """

    classes: tuple[str, ...]
    positive: int | None
    average: str | None
    truth: np.ndarray
    predicted: np.ndarray
    probabilities: np.ndarray
    groups: np.ndarray

    @property
    def proportions(self) -> tuple[str, ...]:
        """Names of the scores that are one count over another.

        A weighted sensitivity, the sum of n_c / n times hits_c / n_c, is the accuracy.
        """
        if self.positive is not None:
            return PROPORTIONS
        return ("accuracy", *(("sensitivity", "recall") if self.average == "weighted" else ()))

    @property
    def averaging(self) -> str:
        """What every score but the accuracy and the loss refers to."""
        c = len(self.classes)
        if self.positive is not None:
            kind = "positive class" if c == 2 else "class"
            return f"{kind} {self.classes[self.positive]!r}"
        if self.average is None:
            return "neither a class nor an average"
        how = {"macro": "macro average over", "weighted": "weighted by the images of each of"}
        return f"{how[self.average]} {c} classes, a class that is never predicted counting 0"

    def take(self, rows: np.ndarray) -> Decisions:
        """The images at the given positions; a position may come several times."""
        names = ("truth", "predicted", "probabilities", "groups")
        return replace(self, **{name: getattr(self, name)[rows] for name in names})

    def count(self, metric: str) -> tuple[int, int]:
        """The numerator and denominator (k, n) behind a proportion.

        Raises
        ------
        UsageError
            A score that is not one proportion (F1, AUC, loss, most averages).
        """
        if metric not in self.proportions:
            raise UsageError(f"expected a proportion, one of {', '.join(self.proportions)}, received {metric!r}")
        if metric == "accuracy" or self.average:
            return int((self.truth == self.predicted).sum()), len(self.truth)
        return self._count(metric, self.positive)

    def value(self, metric: str) -> float:
        """One score of METRICS in [0, 1], or nan where these images do not define it.

        The loss alone may exceed 1: the mean categorical cross-entropy in nats, of probabilities
        that are kept 1e-7 off 0 and 1, as Keras does.

        Raises
        ------
        UsageError
            A name that is not in METRICS, or a score of more than two classes other than accuracy
            and loss, with neither a class nor an average named.
        """
        if metric not in METRICS:
            raise UsageError(f"expected a metric of {', '.join(METRICS)}, received {metric!r}")
        if metric in self.proportions:
            return _ratio(*self.count(metric))
        if metric == "loss":
            of_truth = self.probabilities[np.arange(len(self.truth)), self.truth]
            return float(-np.log(np.clip(of_truth, EPSILON, 1 - EPSILON)).mean())
        if self.positive is not None:
            return self._of_class(metric, self.positive)
        if self.average is None:
            raise UsageError(
                f"expected what the {metric} of {len(self.classes)} classes refers to, received "
                "nothing: name a class or an average"
            )
        return self._average(metric)

    def _average(self, metric: str) -> float:
        images = np.bincount(self.truth, minlength=len(self.classes))
        if self.average == "macro" and not images.all():
            return math.nan
        present = np.flatnonzero(images)
        values = np.array([self._of_class(metric, c) for c in present])
        if metric in ("precision", "f1"):  # nan: never predicted, since these have images
            values = np.nan_to_num(values)
        weights = images[present] if self.average == "weighted" else None
        return float(np.average(values, weights=weights))

    def _count(self, metric: str, c: int) -> tuple[int, int]:
        is_class, called = self.truth == c, self.predicted == c
        if metric == "specificity":
            return int((~is_class & ~called).sum()), int((~is_class).sum())
        whole = called if metric == "precision" else is_class
        return int((is_class & called).sum()), int(whole.sum())

    def _of_class(self, metric: str, c: int) -> float:
        if metric == "auc":
            return area_under_roc(self.truth == c, self.probabilities[:, c])
        if metric != "f1":
            return _ratio(*self._count(metric, c))
        hits, n_class = self._count("recall", c)
        _, n_called = self._count("precision", c)
        # The harmonic mean of two numbers is undefined as soon as one of them is.
        return _ratio(2 * hits, n_class + n_called) if n_class and n_called else math.nan


def _ratio(k: int, n: int) -> float:
    return k / n if n else math.nan


def area_under_roc(is_positive: np.ndarray, score: np.ndarray) -> float:
    """Area under the ROC curve by the Mann-Whitney statistic, ties counted as one half.

    Parameters
    ----------
    is_positive : (n,) array of bool
    score : (n,) array of float
        Higher means more likely positive.

    Returns
    -------
    float
        In [0, 1] (Hanley and McNeil 1982); nan when one class is absent.
    """
    m = int(np.sum(is_positive))
    pairs = m * (len(is_positive) - m)
    if pairs == 0:
        return math.nan
    return float((rankdata(score)[is_positive].sum() - m * (m + 1) / 2) / pairs)


def decide(
    predictions: pd.DataFrame,
    classes: Sequence[str],
    positive: str | None = None,
    threshold: float | None = 0.5,
    average: str | None = None,
) -> Decisions:
    """Validate a predictions table of one part and give each image its predicted class.

    Parameters
    ----------
    predictions : DataFrame
        One row an image: path, label, part, group and p_<class> (probability) for each class.
    classes : sequence of str
        Order of the label indices.
    positive : str, optional
        The class that is scored, against the rest; of two classes the last one unless named. With
        an average it only says which of two classes the threshold is about.
    threshold : float, optional
        With two classes an image is positive where p_<positive> > threshold (strictly, as Keras'
        binary accuracy has it); None means 0.5. With more classes the most probable one is
        predicted, the first of equals, and the threshold plays no part.
    average : {None, "macro", "weighted"}
        Scores averaged over the classes, each against the rest, also of two classes; None for
        those of ``positive``. Of more than two classes one of the two must be named, or there is
        only an accuracy and a loss.

    Raises
    ------
    DataError
        A table that lacks columns or rows, mixes parts (a score over training and test images is
        nobody's), holds unknown labels, or whose probabilities are nan, outside [0, 1] or do not
        sum to 1 within 1e-4.
    UsageError
        Classes, positive class, threshold or average that cannot be, or both a class and an
        average of more than two classes.
    """
    classes = tuple(classes)
    if len(classes) < 2 or len(set(classes)) < len(classes):
        raise UsageError(f"expected two or more different classes, received {list(classes)}")
    if positive is not None and positive not in classes:
        raise UsageError(f"expected a positive class of {list(classes)}, received {positive!r}")
    if average is not None and average not in AVERAGES:
        raise UsageError(f"expected an average of {', '.join(AVERAGES)}, received {average!r}")
    if average and positive is not None and len(classes) > 2:
        raise UsageError(f"expected a class or an average, received {positive!r} and {average!r}")
    threshold = 0.5 if threshold is None else threshold
    if not 0 <= threshold <= 1:
        raise UsageError(f"expected a threshold between 0 and 1, received {threshold!r}")
    truth, probabilities = _checked(predictions, classes)
    index = None if positive is None else classes.index(positive)
    if len(classes) == 2:
        index = 1 if index is None else index
        predicted = np.where(probabilities[:, index] > threshold, index, 1 - index)
    else:
        predicted = probabilities.argmax(axis=1)
    index, groups = None if average else index, predictions["group"].to_numpy()
    return Decisions(classes, index, average, truth, predicted, probabilities, groups)


def _checked(predictions: pd.DataFrame, classes: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Label indices (n,) and probabilities (n, c) of a table that holds what it must."""
    columns = [f"p_{name}" for name in classes]
    missing = [c for c in ["path", "label", "part", "group", *columns] if c not in predictions]
    if missing:
        present = ", ".join(map(str, predictions.columns)) or "no columns"
        raise DataError(f"predictions: expected columns {', '.join(missing)}, received {present}")
    if predictions.empty:
        raise DataError("predictions: expected at least one image, received an empty table")
    parts = sorted(map(str, predictions["part"].unique()))
    if len(parts) > 1 or parts[0] not in PARTS:
        raise DataError(f"predictions: expected one part of {', '.join(PARTS)}, received {', '.join(parts)}")
    if predictions["group"].isna().any():
        raise DataError("predictions: expected a group for every image, received NaN")
    unknown = sorted(set(map(str, predictions["label"])) - set(classes))
    if unknown:
        raise DataError(f"predictions: expected labels of {', '.join(classes)}, received {', '.join(unknown)}")
    try:
        probabilities = predictions[columns].to_numpy(dtype=float)
    except (TypeError, ValueError) as error:
        raise DataError(f"predictions: expected numbers as probabilities, {error}") from error
    # A comparison with nan is False, so this catches nan as well.
    sums_to_one = np.abs(probabilities.sum(axis=1) - 1) <= SUM_TOLERANCE
    good = ((probabilities >= 0) & (probabilities <= 1)).all(axis=1) & sums_to_one
    if not good.all():
        row = int(np.argmin(good))
        raise DataError(
            "predictions: expected probabilities in [0, 1] that sum to 1, received "
            f"{[float(f'{p:.6g}') for p in probabilities[row]]} for {predictions['path'].iloc[row]}"
        )
    return pd.Index(classes).get_indexer(predictions["label"]), probabilities


def predicted_labels(
    predictions: pd.DataFrame,
    classes: Sequence[str],
    positive: str | None = None,
    threshold: float | None = 0.5,
) -> np.ndarray:
    """Predicted class name of each row, (n,) of str; parameters and errors as in `decide`."""
    decisions = decide(predictions, classes, positive, threshold)
    return np.array(decisions.classes, dtype=object)[decisions.predicted]


def confusion(
    predictions: pd.DataFrame,
    classes: Sequence[str],
    positive: str | None = None,
    threshold: float | None = 0.5,
) -> pd.DataFrame:
    """Counts of images, rows "true" by columns "predicted", (c, c) in the order of ``classes``.

    Parameters and errors as in `decide`.
    """
    decisions = decide(predictions, classes, positive, threshold)
    c, names = len(decisions.classes), pd.Index(decisions.classes)
    cells = np.bincount(decisions.truth * c + decisions.predicted, minlength=c * c)
    return pd.DataFrame(cells.reshape(c, c), names.rename("true"), names.rename("predicted"))


def per_class(predictions: pd.DataFrame, classes: Sequence[str], threshold: float | None = 0.5) -> pd.DataFrame:
    """Scores of each class against the rest and their averages, as scikit-learn's report has them.

    Parameters and errors as in `decide`; of two classes the threshold is about the last one.

    Returns
    -------
    DataFrame
        (c + 2) rows: a class each, in the order of ``classes``, then "macro average" and "weighted
        average". Columns precision, sensitivity, f1 (in [0, 1], or nan; in a class's own row also
        where the averages count 0) and support (images, of the averages all of them).
    """
    names = ("precision", "sensitivity", "f1")
    whole = decide(predictions, classes, threshold=threshold)
    rows = {}
    for c, name in enumerate(whole.classes):
        of_class, support = replace(whole, positive=c), int((whole.truth == c).sum())
        rows[name] = [*map(of_class.value, names), support]
    for kind in AVERAGES:
        average = replace(whole, positive=None, average=kind)
        rows[f"{kind} average"] = [*map(average.value, names), len(whole.truth)]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=[*names, "support"])
    return table.rename_axis("class")


def collapsed(
    predictions: pd.DataFrame,
    classes: Sequence[str],
    positive: str | None = None,
    threshold: float | None = 0.5,
) -> str | None:
    """Name of the one class that a model gives to all images, None where it gives several.

    None as well where the images are of a single class: then it may well be right. Parameters and
    errors as in `decide`.
    """
    decisions = decide(predictions, classes, positive, threshold)
    if np.ptp(decisions.truth) == 0 or np.ptp(decisions.predicted) > 0:
        return None
    return decisions.classes[decisions.predicted[0]]
