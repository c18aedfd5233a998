"""Shortcuts: whether the label of an image can be told without a look at the brain.

Three classifiers that need no network are trained as a model would be: a random forest on the header of the file
(width, height, mode, format, bytes, quantisation tables of JPEG), a random forest on ten numbers of the grey values,
and a logistic regression on 16 by 16 pixels (see `brainlib.data.hints`). Where one of them scores as high as a model,
the images do not test whether that model recognises tumours.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from brainlib.data.scan import Scan
from brainlib.data.splits import choose_images
from brainlib.stats.estimates import Estimate, score

HEADER, GREY, PIXELS = "file header", "ten numbers of the grey values", "16 by 16 pixels"
PUBLISHED, APART = "as published", "duplicates kept apart"  # splits
FOLDS = 5  # of a folder that is not published in two parts
MOST = 10_000  # images, so that millions take no longer: a choice
_TREES = 100


def scores(
    scan: Scan, folds: Sequence[tuple[np.ndarray, np.ndarray]], groups: np.ndarray, seed: int = 0
) -> dict[str, Estimate]:
    """Train each shortcut on images of a scan, and return its balanced accuracy on others by its name.

    The folds are positions of images to train on and to predict, none of the latter in two folds. The 95 % interval is
    a bootstrap that draws whole groups, int (n,), such as those of duplicates. The seed is that of the forests and the
    bootstrap. {} where a class is missing from a training part.
    """
    labels, features = scan.table["label"].to_numpy(), _features(scan)
    classes = np.unique(labels)
    if len(classes) < 2 or any(len(np.unique(labels[train])) < len(classes) for train, _ in folds):
        return {}
    tested, found = np.concatenate([test for _, test in folds]), {}
    for name, values in features.items():
        predicted = [_predicted(name, values[train], labels[train], values[test], seed) for train, test in folds]
        table = pd.DataFrame(np.concatenate(predicted), columns=classes)
        found[name] = score(labels[tested], table, "recall", average="macro", groups=groups[tested], seed=seed)
    return found


def of_audit(scan: Scan, groups: np.ndarray) -> dict[str, dict[str, Estimate]]:
    """Return the `scores` of a whole set, of at most `MOST` images drawn evenly from the classes, by split; seed 0.

    Of a set that is published in two parts: as published, and without the training images of which a duplicate is in
    the test part. Of any other: cross-validated, each duplicate group in one fold. {} where a class has fewer groups
    than there are folds.
    """
    rows = choose_images(scan.table["label"], MOST, 0)
    scan, groups = replace(scan, table=scan.table.iloc[rows], hints=scan.hints[rows]), groups[rows]
    labels, parts = (scan.table[name].to_numpy() for name in ("label", "part"))
    if min((len(np.unique(groups[labels == label])) for label in np.unique(labels)), default=0) < FOLDS:
        return {}
    train, test = (np.flatnonzero(parts == part) for part in ("train", "test"))
    if len(train) and len(test):
        apart = train[~np.isin(groups[train], groups[test])]
        splits = {PUBLISHED: [(train, test)], APART: [(apart, test)]}
    else:
        folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
        splits = {APART: list(folds.split(labels, labels, groups))}
    found = {split: scores(scan, folds, groups) for split, folds in splits.items()}
    return {split: each for split, each in found.items() if each}


def _features(scan):
    """Values of each shortcut, by its name: (n, m)."""
    table, hints, n = scan.table, scan.hints, len(scan.table)
    coded = [pd.factorize(table[name], sort=True)[0] for name in ("mode", "format")]
    header = [*(table[name].to_numpy() for name in ("width", "height", "bytes")), *coded]
    header = np.column_stack([*header, hints["quantisation"].reshape(n, -1)])
    return {HEADER: header, GREY: hints["grey"], PIXELS: hints["pixels"].reshape(n, -1) / 255}


def _predicted(name, train, labels, test, seed):
    """Probabilities of the classes, in alphabetical order."""
    if name == PIXELS:
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, class_weight="balanced", max_iter=200))
    else:
        model = RandomForestClassifier(_TREES, min_samples_leaf=2, class_weight="balanced", random_state=seed)
    with threadpool_limits(1, "blas"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a regression that has not converged predicts all the same
        return model.fit(train, labels).predict_proba(test)
