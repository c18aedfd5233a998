"""Comparisons of arms and calibration as readers see them, from counts known by hand."""

from __future__ import annotations

import numpy as np
import pytest

from brainlib.report.tables import comparisons
from brainlib.stats import comparisons as tests


def test_arms_on_the_same_images_by_the_images_that_divide_them(jardim, lu):
    rows = comparisons.same_images(jardim).frame
    assert list(rows["score"]) == ["accuracy", "AUC"]
    # The CNN is wrong on 2 normal images, the transfer arm on 12 others of 600: 2 against 12.
    first = rows.iloc[0]
    assert first["arms"] == "cnn minus transfer" and first["difference"] == pytest.approx(1 / 60)
    assert first["n"] == 600 and first["p"] < first["p, Holm"]
    assert comparisons.same_images(lu, "four").frame.empty  # of one arm


def test_the_t_tests_stand_on_these_folds_and_on_the_printed_ones(jardim):
    rows = comparisons.t_tests(jardim, "transfer", "cnn").frame
    printed = rows[rows["on"] == "printed folds"]
    # Paired: mean difference 0.1033 points, deviation 0.4829, so t = 0.1033 / (0.4829 / sqrt 3).
    assert list(printed["t"]) == pytest.approx([0.3706, 0.3041, 0.2344], abs=1e-4)
    assert list(printed["degrees of freedom"]) == [2, 4, 2]
    ours = rows[rows["on"] == "these folds"]
    # The same quarter of a point in every fold: no variance, and the paired t is infinite.
    assert list(ours["difference"]) == pytest.approx([0.0025] * 3)
    assert ours["t"].iloc[0] == np.inf
    # Unpaired: both variances 0.25 points squared, so t = 0.25 / sqrt(2 * 0.25 / 3).
    assert ours["t"].iloc[1] == pytest.approx(0.25 / np.sqrt(0.5 / 3))


def test_equivalence_stands_on_these_folds_and_on_the_printed_ones(jardim):
    rows = comparisons.equivalence(jardim, "transfer", "cnn").frame
    assert list(rows["on"]) == ["these folds", "printed folds"]
    assert np.isnan(rows.loc[0, "p of equivalence"])  # the same quarter of a point in every fold
    # Differences 0.32, 0.44, -0.45: mean 0.1033, deviation 0.4829.
    expected = tests.equivalence([0.9826, 0.9778, 0.9725], [0.9794, 0.9734, 0.9770], 0.02).p
    found = list(rows.loc[1, ["difference", "p of equivalence", "smallest detectable difference"]])
    assert found == pytest.approx([0.0010333, expected, tests.detectable_difference(0.004829, 3)], abs=1e-4)
    posterior = tests.posterior([0.9826, 0.9778, 0.9725], [0.9794, 0.9734, 0.9770], 0.02)
    assert posterior.within > 0.95 and rows.loc[1, "settled by"] == "these"
    found = list(rows.loc[1, ["P(transfer better)", "P(within 2 points)", "P(cnn better)"]])
    assert found == pytest.approx([posterior.above, posterior.within, posterior.below])


def test_calibration_counts_the_images_of_high_confidence(jardim, lu):
    rows = comparisons.calibration(jardim).frame
    # The probability of each predicted class is 0.9; 598 of 600 predictions of the CNN are right.
    confident = "images with a probability of 0.9 or more"
    assert (rows.loc[0, confident], rows.loc[0, "images"]) == (600, 600)
    assert rows.loc[0, "of these correct"] == pytest.approx(598 / 600)
    assert rows.loc[0, "calibration error"] == pytest.approx(598 / 600 - 0.9)
    four = comparisons.calibration(lu, "four").frame
    assert four.loc[0, confident] == 0 and np.isnan(four.loc[0, "of these correct"])
    assert four.loc[0, "calibration error"] == pytest.approx(300 / 327 - 0.7)


def test_the_t_test_of_each_seed(jardim):
    jardim.repeats = [jardim]
    table = comparisons.t_by_seed(jardim, "transfer", "cnn")
    rows = table.frame
    assert len(rows) == 2 and rows.loc[0, "unpaired t"] == pytest.approx(0.25 / np.sqrt(0.5 / 3))
    assert rows.loc[0, "significant at 5 %"] == "paired"  # of no variance at all
    assert "All 6 folds together" in table.caption


def test_an_arm_that_was_not_run_is_compared_as_printed(jardim, monkeypatch):
    monkeypatch.setitem(vars(jardim.study), "arms", ("transfer",))
    monkeypatch.delitem(jardim.study.weights, "cnn")
    assert "these folds, cnn as printed" in set(comparisons.t_tests(jardim, "transfer", "cnn").frame["on"])
    table = comparisons.t_by_seed(jardim, "transfer", "cnn")
    assert "these folds, cnn as printed" in table.caption
    # 98.25, 97.75, 97.25 and 97.94, 97.34, 97.70 printed.
    assert table.frame.loc[0, "difference"] == pytest.approx(0.0009, abs=1e-5)
