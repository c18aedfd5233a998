"""A table of predictions, validated, with each image's predicted class: what is scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from brainlib.errors import DataError, UsageError
from brainlib.stats import metrics
from brainlib.stats.metrics import AVERAGES, METRICS, PROPORTIONS

PARTS = ("train", "validation", "test")
YOUDEN = "youden"
SUM_TOLERANCE = 1e-3  # of probabilities that were written with three digits


@dataclass(frozen=True, eq=False)
class Decisions:
    """A validated part of a predictions table as arrays, with each image's predicted class.

    ``positive`` is the index of the class that is scored; None where an average is, or where neither was named.
    ``truth`` and ``predicted``, (n,), are indices into ``classes``, ``probabilities`` is (n, c), and ``groups``, (n,),
    the duplicate group of each image.
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
        """Names of the scores that are one count over another; so is a weighted sensitivity, which is the accuracy."""
        if self.positive is not None:
            return PROPORTIONS
        return ("accuracy", *(("sensitivity", "recall") if self.average == "weighted" else ()))

    def outcomes(self, metric: str) -> tuple[np.ndarray, np.ndarray]:
        """Return whether each image in a proportion's denominator is in its numerator, bool (n,), and its group, (n,).

        F1 of a class counts as one by TP / (TP + FP + FN). `UsageError` for any other score.
        """
        if metric not in self.proportions and not (metric == "f1" and self.positive is not None):
            raise UsageError(f"expected a proportion, one of {', '.join(self.proportions)}, received {metric!r}")
        right = self.truth == self.predicted
        of_class, named = self.truth == self.positive, self.predicted == self.positive
        if metric == "accuracy" or self.average:
            counted = np.ones(len(right), dtype=bool)
        else:
            kinds = {"precision": named, "specificity": ~of_class, "f1": of_class | named}
            counted = kinds.get(metric, of_class)
            right = ~named if metric == "specificity" else right & of_class
        return right[counted], self.groups[counted]

    def value(self, metric: str) -> float:
        """Compute one score of METRICS in [0, 1], or nan where these images do not define it.

        The loss alone may exceed 1: the mean categorical cross-entropy in nats; see `metrics.cross_entropies`.
        `UsageError` for a name that is not in METRICS, or a score of more than two classes other than accuracy and
        loss, with neither a class nor an average named.
        """
        return float(self.values(metric, np.ones(len(self.truth))))

    def values(self, metric: str, times: np.ndarray) -> np.ndarray:
        """Compute a score as `value` does, each image counting so many times, for every row of ``times`` (..., n)."""
        if metric not in METRICS:
            raise UsageError(f"expected a metric of {', '.join(METRICS)}, received {metric!r}")
        c = len(self.classes)
        one_hot = np.eye(c)[self.truth]
        if metric == "loss":
            losses = metrics.cross_entropies(one_hot, self.probabilities)
            return metrics.ratio(times @ losses, times.sum(axis=-1))
        if metric != "accuracy" and self.positive is None and self.average is None:
            raise UsageError(
                f"expected what the {metric} of {c} classes refers to, received nothing: name a class or an average"
            )
        if metric == "auc":
            if self.average is None:
                of_class = self.probabilities[:, self.positive]
                return metrics.area_under_roc(self.truth == self.positive, of_class, times)
            areas = [metrics.area_under_roc(self.truth == k, self.probabilities[:, k], times) for k in range(c)]
            return metrics.averaged(np.stack(areas, axis=-1), times @ one_hot, self.average)
        if metric in self.proportions and self.average:
            metric = "accuracy"
        cells = times @ np.eye(c * c)[self.truth * c + self.predicted]
        return metrics.score(cells.reshape(*cells.shape[:-1], c, c), metric, self.positive, self.average)

    @property
    def labels(self) -> np.ndarray:
        """Name of the predicted class of each image, (n,) of str."""
        return np.array(self.classes, dtype=object)[self.predicted]

    @property
    def collapsed(self) -> str | None:
        """The one class that the model predicts; None if it predicts several, or if all images are of one class."""
        if np.ptp(self.truth) == 0 or np.ptp(self.predicted) > 0:
            return None
        return self.classes[self.predicted[0]]

    def confusion(self) -> pd.DataFrame:
        """Return the counts of images, rows "true" by columns "predicted", with the names of the classes."""
        names, c = pd.Index(self.classes), len(self.classes)
        counts = np.bincount(self.truth * c + self.predicted, minlength=c * c).reshape(c, c)
        return pd.DataFrame(counts, names.rename("true"), names.rename("predicted"))

    def per_class(self) -> pd.DataFrame:
        """Compute the scores of each class against the rest and their averages, as scikit-learn's report does.

        A row a class, then "macro average" and "weighted average"; columns precision, sensitivity, f1 (in [0, 1], or
        nan; in a class's own row also where the averages count 0) and support (images).
        """
        rows = {name: replace(self, positive=c, average=None) for c, name in enumerate(self.classes)}
        rows |= {f"{kind} average": replace(self, positive=None, average=kind) for kind in AVERAGES}
        columns = {name: [row.value(name) for row in rows.values()] for name in ("precision", "sensitivity", "f1")}
        support = [*self.confusion().sum(axis=1), *[len(self.truth)] * len(AVERAGES)]
        return pd.DataFrame({**columns, "support": support}, pd.Index(rows, name="class"))


def decide(
    predictions: pd.DataFrame,
    classes: Sequence[str],
    positive: str | None = None,
    threshold: float | str | None = 0.5,
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
        an average it only names which of two classes the threshold is about.
    threshold : float, optional
        With two classes an image is positive where p_<positive> > threshold (strictly, as Keras'
        binary accuracy has it); None means 0.5, and "youden" the threshold with the largest sum of sensitivity and
        specificity on these very images (Youden, Cancer 1950, 3:32), which flatters. With more classes the most
        probable one is predicted.
    average : {None, "macro", "weighted"}
        Scores averaged over the classes, each against the rest. Of more than two classes an average
        or ``positive`` must be named, or there is only an accuracy and a loss.

    `DataError` for a table that lacks columns or rows, mixes parts, holds unknown labels, or whose probabilities are
    nan, outside [0, 1] or do not sum to 1 within 0.001; `UsageError` for other arguments that cannot be.
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
    if threshold != YOUDEN and not 0 <= threshold <= 1:
        raise UsageError(f"expected a threshold between 0 and 1, received {threshold!r}")
    truth, probabilities = _checked(predictions, classes)
    index = None if positive is None else classes.index(positive)
    if len(classes) == 2:
        index = 1 if index is None else index
        threshold = _youden(truth == index, probabilities[:, index]) if threshold == YOUDEN else threshold
        predicted = np.where(probabilities[:, index] > threshold, index, 1 - index)
    else:
        predicted = probabilities.argmax(axis=1)
    index, groups = None if average else index, predictions["group"].to_numpy()
    return Decisions(classes, index, average, truth, predicted, probabilities, groups)


def _youden(positive, scores):
    """Return the threshold with the largest sum of sensitivity and specificity, halfway between two scores."""
    values = np.unique(scores)
    between = np.concatenate([[-1.0], (values[1:] + values[:-1]) / 2, [2.0]])
    found = [np.searchsorted(np.sort(scores[of]), between, side="right") for of in (positive, ~positive)]
    missed, refused = (count / max(n, 1) for count, n in zip(found, (positive.sum(), (~positive).sum()), strict=True))
    return between[np.argmax(refused - missed)]


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
    unknown = sorted(set(map(str, predictions["label"].unique())) - set(classes))
    if unknown:
        raise DataError(f"predictions: expected labels of {', '.join(classes)}, received {', '.join(unknown)}")
    try:
        probabilities = predictions[columns].to_numpy(dtype=float)
    except (TypeError, ValueError) as error:
        raise DataError(f"predictions: expected numbers as probabilities, {error}") from error
    # A comparison with nan is False, so this catches nan as well.
    sums_to_one = np.abs(probabilities.sum(axis=1) - 1) <= SUM_TOLERANCE + 1e-9
    good = ((probabilities >= 0) & (probabilities <= 1)).all(axis=1) & sums_to_one
    if not good.all():
        row = int(np.argmin(good))
        raise DataError(
            "predictions: expected probabilities in [0, 1] that sum to 1, received "
            f"{[float(f'{p:.6g}') for p in probabilities[row]]} for {predictions['path'].iloc[row]}"
        )
    return pd.Index(classes).get_indexer(predictions["label"]), probabilities
