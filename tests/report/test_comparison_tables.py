"""Comparisons of arms and calibration as readers see them, from counts known by hand."""

from __future__ import annotations

import numpy as np
import pytest
from made_up import plain

from brainlib.report.tables import comparisons
from brainlib.stats import comparisons as tests


def test_arms_on_the_same_images_by_the_images_that_divide_them(jardim):  # noqa: F811
    rows = comparisons.same_images(jardim).frame.map(plain)
    assert list(rows["of"]) == ["accuracy", "AUC"]
    # The CNN is wrong on 2 normal images, the transfer arm on 12 others of 600: 2 against 12.
    first = rows.iloc[0]
    assert first["arms"] == "cnn minus transfer" and first["difference"] == "+1.67 points"
    assert first["n"] == "600" and float(first["p"]) < float(first["p, Holm"])


def test_the_t_tests_stand_on_these_folds_and_on_the_printed_ones(jardim):  # noqa: F811
    rows = comparisons.t_tests(jardim, "transfer", "cnn").frame
    printed = rows[rows["on"] == "printed folds"]
    # Paired: mean difference 0.1033 points, deviation 0.4829, so t = 0.1033 / (0.4829 / sqrt 3).
    assert list(printed["t"]) == ["0.3706", "0.3041", "0.2344"]
    assert list(printed["df"]) == ["2", "4", "2"]
    ours = rows[rows["on"] == "these folds"]
    # The same quarter of a point in every fold: no variance, and the paired t is infinite.
    assert set(ours["difference"]) == {"+0.25 points"}
    assert ours["t"].iloc[0] == "inf"
    # Unpaired: both variances 0.25 points squared, so t = 0.25 / sqrt(2 * 0.25 / 3).
    assert ours["t"].iloc[1] == f"{0.25 / np.sqrt(0.5 / 3):.4f}"


def test_equivalence_stands_on_these_folds_and_on_the_printed_ones(jardim):  # noqa: F811
    rows = comparisons.equivalence(jardim, "transfer", "cnn").frame.map(plain)
    assert list(rows["on"]) == ["these folds", "printed folds"]
    assert rows.loc[0, "p of equivalence"] == "–"  # the same quarter of a point in every fold
    printed = rows.loc[1]
    # Differences 0.32, 0.44, -0.45: mean 0.1033, deviation 0.4829.
    expected = tests.equivalence([0.9826, 0.9778, 0.9725], [0.9794, 0.9734, 0.9770], 0.02)
    assert printed["difference"] == "+0.10 points"
    assert float(printed["p of equivalence"]) == pytest.approx(expected.p, abs=1e-4)
    least = 100 * tests.detectable_difference(0.004829, 3)
    assert printed["least difference found in 8 of 10 studies"] == f"{least:.2f} points"


def test_one_arm_has_no_other_to_be_compared_with(lu):  # noqa: F811
    assert comparisons.same_images(lu, "four").frame.empty


def test_calibration_counts_the_images_that_a_model_is_sure_of(jardim, lu):  # noqa: F811
    rows = comparisons.calibration_table(comparisons.calibrations(jardim)).frame.map(plain)
    # All are called with 0.9; of the CNN 598 of 600 are right.
    assert rows.loc[0, "called with 0.9 or more"] == "600 of 600"
    assert (rows.loc[0, "of these right"], rows.loc[0, "calibration error"]) == ("99.7 %", "9.7 %")
    four = comparisons.calibration_table(comparisons.calibrations(lu, "four")).frame.map(plain)
    assert four.loc[0, "called with 0.9 or more"] == "0 of 327"
    assert four.loc[0, "calibration error"] == "21.7 %"  # 91.74 - 70


def test_the_t_test_of_each_seed(jardim):  # noqa: F811
    rows = comparisons.t_by_seed(jardim, [jardim], "transfer", "cnn").frame.map(plain)
    assert len(rows) == 2 and rows.loc[0, "unpaired t"] == "0.6124"  # 0.25 / sqrt(0.5 / 3)
    assert rows.loc[0, "a difference at 5 %"] == "paired"  # of no variance at all
    assert "All 6 folds together" in comparisons.t_by_seed(jardim, [jardim], "transfer", "cnn").caption


def test_an_arm_that_was_not_run_is_held_against_as_printed(jardim, monkeypatch):  # noqa: F811
    monkeypatch.setattr(jardim.study, "arms", ("transfer",))
    table = comparisons.t_by_seed(jardim, [], "transfer", "cnn")
    assert "these folds, cnn as printed" in table.caption
    # 98.25, 97.75, 97.25 against 97.94, 97.34, 97.70 printed.
    assert table.frame.loc[0, "difference"] == "+0.09 points"
