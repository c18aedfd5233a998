"""Trials that train in about a second, for the tests of everything that handles trials."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from brainlib.data import datasets
from brainlib.data.datasets import DataSet
from brainlib.data.splits import Split
from brainlib.models.backbones import Weights
from brainlib.models.build import ModelSpec
from brainlib.models.training import Phase
from brainlib.trials.trial import Trial, TrialResult

IMAGES = 24


def phantoms(store: Path) -> DataSet:
    """Phantoms in the layout of br35h."""
    return datasets.load_dataset("br35h", "phantoms", store, phantoms=IMAGES)


def small_trial(dataset: DataSet, **changes) -> Trial:
    """A CNN of four filters with dropout, two epochs on 16 by 16 pixels."""
    given = {
        "paper": "paper",
        "arm": "cnn",
        "stage": "fold 1",
        "data": dataset.fingerprint,
        "classes": dataset.classes,
        "size": 16,
        "model": ModelSpec("cnn", channels=1, convolutions=(4,), conv_dropout=0.25, dense=(8,)),
        "weights": Weights("none"),
        "phases": (Phase("training", "all", 2, 1e-3),),
        "split": Split(holdout=0.25, folds=3, fold=1, leakage="as_published"),
        "batch_size": 8,
        "loss": "binary_crossentropy",
        "seed": 0,
        "monitored": "validation",
    }
    return Trial(**{**given, **changes})


def final_trial(dataset: DataSet, **changes) -> Trial:
    """A small trial that keeps its model, in the place of the final CNN of jardim."""
    return small_trial(dataset, paper="jardim", stage="final", monitored="test", keep_model=True, **changes)


def assert_same(one: TrialResult, two: TrialResult) -> None:
    """Compare results bit for bit, but for what was measured with a clock."""
    pd.testing.assert_frame_equal(one.predictions, two.predictions, check_exact=True)
    pd.testing.assert_frame_equal(one.epochs, two.epochs, check_exact=True)
    timeless = [result.history.drop(columns="seconds") for result in (one, two)]
    pd.testing.assert_frame_equal(*timeless, check_exact=True)
