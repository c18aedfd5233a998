"""Calibration, against values by hand and by scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from predicted import binary
from sklearn.metrics import brier_score_loss

from brainlib.stats.calibration import calibration


def test_the_error_is_the_distance_of_confidence_and_accuracy_weighted_by_images():
    # Four images at 0.85, one of them wrong: |0.85 - 0.75|. Six at 0.65, three wrong: |0.65 - 0.5|.
    truth = [1, 1, 1, 0] + [1, 1, 1, 0, 0, 0]
    found = calibration(binary(truth, [0.85] * 4 + [0.65] * 6), ("no", "yes"))
    assert found.error == pytest.approx(0.4 * 0.10 + 0.6 * 0.15)
    assert [each.images for each in found.curve] == [6, 4]
    assert [each.accuracy for each in found.curve] == [0.5, 0.75]


def test_a_confident_no_is_confident():
    found = calibration(binary([0, 0, 1, 1], [0.05, 0.05, 0.95, 0.95]), ("no", "yes"))
    assert found.error == pytest.approx(0.05)
    assert [each.confidence for each in found.curve] == [pytest.approx(0.95)]


def test_the_brier_score_of_two_classes_is_twice_that_of_the_positive_one():
    rng = np.random.default_rng(0)
    truth, p = rng.random(50) < 0.5, rng.random(50)
    found = calibration(binary(truth, p), ("no", "yes"))
    assert found.brier == pytest.approx(2 * brier_score_loss(truth, p))
    assert found.brier_interval.low < found.brier < found.brier_interval.high


def test_calibrated_probabilities_have_an_error_near_zero():
    rng = np.random.default_rng(0)
    p = rng.random(20_000)
    good = calibration(binary(rng.random(20_000) < p, p), ("no", "yes"))
    bad = calibration(binary(rng.random(20_000) < 0.5, p), ("no", "yes"))
    assert good.error < 0.015 < 0.2 < bad.error


def test_a_probability_of_one_falls_into_the_last_bin():
    found = calibration(binary([1, 1, 0], [1.0, 1.0, 0.0]), ("no", "yes"))
    assert (found.error, found.brier, [each.images for each in found.curve]) == (0.0, 0.0, [3])
