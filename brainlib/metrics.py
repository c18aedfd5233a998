"""Scores of stored predictions: counts and ranks of one part of the images, and nothing else.

A score that the images cannot define (a sensitivity without a positive image, a precision without
a positive prediction) is nan, never a silent 0. With two classes, or with a class named, the scores
are those of the positive class; else they are macro averages: the plain mean over the classes, each
against the rest, nan as soon as one class has none.
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
METRICS = (*PROPORTIONS, "f1", "auc")
SUM_TOLERANCE = 1e-4  # float32 softmax over a handful of classes is well within


@dataclass(frozen=True, eq=False)
class Decisions:
    """A validated part of a predictions table as arrays, with each image's predicted class.

    Attributes
    ----------
    classes : tuple of str
    positive : int or None
        Index of the positive class; None for macro averages over more than two classes.
    truth, predicted : (n,) int arrays
        Indices into ``classes``.
    probabilities : (n, c) float array
    groups : (n,) array
        Group of copies of each image.
    """

    classes: tuple[str, ...]
    positive: int | None
    truth: np.ndarray
    predicted: np.ndarray
    probabilities: np.ndarray
    groups: np.ndarray

    @property
    def proportions(self) -> tuple[str, ...]:
        """Names of the scores that are one count over another."""
        return ("accuracy",) if self.positive is None else PROPORTIONS

    @property
    def averaging(self) -> str:
        """What every score but the accuracy refers to."""
        if self.positive is None:
            return f"macro average over {len(self.classes)} classes, each against the rest"
        return f"positive class {self.classes[self.positive]!r}"

    def take(self, rows: np.ndarray) -> Decisions:
        """The images at the given positions; a position may come several times."""
        names = ("truth", "predicted", "probabilities", "groups")
        return replace(self, **{name: getattr(self, name)[rows] for name in names})

    def count(self, metric: str) -> tuple[int, int]:
        """The numerator and denominator (k, n) behind a proportion.

        Raises
        ------
        UsageError
            A score that is not one proportion (F1, AUC, a macro average).
        """
        if metric not in self.proportions:
            raise UsageError(
                f"expected a proportion, one of {', '.join(self.proportions)}, received {metric!r}"
            )
        if metric == "accuracy":
            return int((self.truth == self.predicted).sum()), len(self.truth)
        return self._count(metric, self.positive)

    def value(self, metric: str) -> float:
        """One score in [0, 1], or nan where these images do not define it.

        Raises
        ------
        UsageError
            A name that is not in METRICS.
        """
        if metric not in METRICS:
            raise UsageError(f"expected a metric of {', '.join(METRICS)}, received {metric!r}")
        if metric == "accuracy":
            return _ratio(*self.count("accuracy"))
        against_rest = range(len(self.classes)) if self.positive is None else (self.positive,)
        return float(np.mean([self._of_class(metric, c) for c in against_rest]))

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


@dataclass(frozen=True)
class Scores:
    """All scores of one part of a predictions table.

    Attributes
    ----------
    n : int
        Number of images.
    averaging : str
        What every score but the accuracy refers to: the positive class, or macro averages.
    accuracy, sensitivity, specificity, precision, recall, f1, auc : float
        In [0, 1]; nan where undefined. Recall and sensitivity are two names of one score.
    """

    n: int
    averaging: str
    accuracy: float
    sensitivity: float
    specificity: float
    precision: float
    recall: float
    f1: float
    auc: float


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


def select_part(predictions: pd.DataFrame, part: str) -> pd.DataFrame:
    """Rows of a predictions table that belong to one part.

    Parameters
    ----------
    predictions : DataFrame
        Columns path, label, part, group and p_<class> for each class.
    part : {"train", "validation", "test"}

    Raises
    ------
    DataError
        The table has no column "part" or no image of that part.
    UsageError
        An unknown part.
    """
    if part not in PARTS:
        raise UsageError(f"expected a part of {', '.join(PARTS)}, received {part!r}")
    if "part" not in predictions.columns:
        raise DataError(f"predictions: expected a column 'part', received {_names(predictions)}")
    chosen = predictions[predictions["part"] == part]
    if chosen.empty:
        present = ", ".join(sorted(map(str, predictions["part"].unique()))) or "none"
        raise DataError(f"predictions: expected images of part {part!r}, received parts: {present}")
    return chosen


def decide(
    predictions: pd.DataFrame,
    classes: Sequence[str],
    positive: str | None = None,
    threshold: float | None = 0.5,
) -> Decisions:
    """Validate a predictions table of one part and give each image its predicted class.

    Parameters
    ----------
    predictions : DataFrame
        One row an image: path, label, part, group and p_<class> (probability) for each class.
    classes : sequence of str
        Order of the label indices.
    positive : str, optional
        The positive class; of two classes the last one unless named. Of more classes, the one whose
        scores against the rest are wanted; macro averages unless named.
    threshold : float, optional
        With two classes an image is positive where p_<positive> > threshold (strictly, as Keras'
        binary accuracy has it); None means 0.5. With more classes the most probable one is
        predicted, the first of equals, and the threshold plays no part.

    Raises
    ------
    DataError
        A table that lacks columns or rows, mixes parts (a score over training and test images is
        nobody's), holds unknown labels, or whose probabilities are nan, outside [0, 1] or do not
        sum to 1 within 1e-4.
    UsageError
        Classes, positive class or threshold that cannot be.
    """
    classes = tuple(classes)
    if len(classes) < 2 or len(set(classes)) < len(classes):
        raise UsageError(f"expected two or more different classes, received {list(classes)}")
    if positive is not None and positive not in classes:
        raise UsageError(f"expected a positive class of {list(classes)}, received {positive!r}")
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
    groups = predictions["group"].to_numpy()
    return Decisions(classes, index, truth, predicted, probabilities, groups)


def _names(predictions: pd.DataFrame) -> str:
    return ", ".join(map(str, predictions.columns)) or "no columns"


def _checked(predictions: pd.DataFrame, classes: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Label indices (n,) and probabilities (n, c) of a table that holds what it must."""
    columns = [f"p_{name}" for name in classes]
    missing = [c for c in ["path", "label", "part", "group", *columns] if c not in predictions]
    if missing:
        raise DataError(
            f"predictions: expected columns {', '.join(missing)}, received {_names(predictions)}"
        )
    if predictions.empty:
        raise DataError("predictions: expected at least one image, received an empty table")
    parts = sorted(map(str, predictions["part"].unique()))
    if len(parts) > 1 or parts[0] not in PARTS:
        raise DataError(
            f"predictions: expected one part of {', '.join(PARTS)}, received {', '.join(parts)}; "
            "choose one with select_part"
        )
    if predictions["group"].isna().any():
        raise DataError("predictions: expected a group for every image, received NaN")
    unknown = sorted(set(map(str, predictions["label"])) - set(classes))
    if unknown:
        raise DataError(
            f"predictions: expected labels of {', '.join(classes)}, received {', '.join(unknown)}"
        )
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


def scores(
    predictions: pd.DataFrame,
    classes: Sequence[str],
    positive: str | None = None,
    threshold: float | None = 0.5,
) -> Scores:
    """All scores of one part of a predictions table; parameters and errors as in `decide`."""
    decisions = decide(predictions, classes, positive, threshold)
    values = {name: decisions.value(name) for name in METRICS}
    return Scores(len(decisions.truth), decisions.averaging, **values)


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
    c = len(decisions.classes)
    cells = np.bincount(decisions.truth * c + decisions.predicted, minlength=c * c)
    return pd.DataFrame(
        cells.reshape(c, c),
        index=pd.Index(decisions.classes, name="true"),
        columns=pd.Index(decisions.classes, name="predicted"),
    )


def count(
    metric: str,
    predictions: pd.DataFrame,
    classes: Sequence[str],
    positive: str | None = None,
    threshold: float | None = 0.5,
) -> tuple[int, int]:
    """The counts (k, n) behind a proportion; see `Decisions.count` and `decide`."""
    return decide(predictions, classes, positive, threshold).count(metric)
