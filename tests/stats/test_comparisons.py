"""Tests of two models, against published examples, hand-computed values and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as distributions
from sklearn.metrics import roc_auc_score

from brainlib.stats import comparisons


def answers(both, only_a, only_b, neither):
    a = [True] * (both + only_a) + [False] * (only_b + neither)
    b = [True] * both + [False] * only_a + [True] * only_b + [False] * neither
    return np.array(a), np.array(b)


# Two accuracies


def test_mcnemar_is_a_sign_test_of_the_images_that_divide_the_models():
    # 1 against 9: 2 (1 + 10) / 2^10.
    test = comparisons.mcnemar(*answers(50, 1, 9, 40))
    assert test.p == pytest.approx(2 * 11 / 1024)
    assert (test.difference, test.n) == (pytest.approx(-0.08), 100)


def test_the_interval_of_a_paired_difference_is_newcombes_method_10():
    # Newcombe 1998 (Stat. Med. 17:2635), table III, 36, 12, 2 and 0 images.
    test = comparisons.mcnemar(*answers(36, 12, 2, 0))
    assert (test.low, test.high) == (pytest.approx(0.0569, abs=1e-4), pytest.approx(0.3404, abs=1e-4))
    turned = comparisons.mcnemar(*answers(36, 2, 12, 0))
    assert (turned.low, turned.high) == (pytest.approx(-test.high), pytest.approx(-test.low))


def test_models_that_agree_on_every_image_do_not_differ():
    test = comparisons.mcnemar(*answers(30, 0, 0, 5))
    assert (test.p, test.difference) == (1.0, 0.0)
    assert test.low < 0 < test.high  # seen in 35 images, not known of all


def test_answers_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="one answer an image"):
        comparisons.mcnemar(np.ones(3, bool), np.ones(4, bool))


# Two areas under the curve


def test_delong_of_hand_computed_placements():
    # Two of each class. A: perfect. B: 3 of 4 pairs right; placements of the positives 1 and 1/2,
    # of the negatives 1/2 and 1, so the differences are 0, 1/2 and 1/2, 0 with variance 1/8 each.
    truth = np.array([True, True, False, False])
    test = comparisons.delong_test(truth, [0.9, 0.8, 0.2, 0.1], [0.9, 0.4, 0.5, 0.1])
    assert test.difference == pytest.approx(0.25)
    error = np.sqrt(0.125 / 2 + 0.125 / 2)
    assert test.p == pytest.approx(2 * distributions.norm.sf(0.25 / error))


def test_delong_of_equal_scores_has_no_interval_and_does_not_differ():
    truth = np.array([True, False] * 10)
    score = np.random.default_rng(0).random(20)
    test = comparisons.delong_test(truth, score, score)
    assert (test.p, test.difference) == (1.0, 0.0) and np.isnan(test.low)


def test_delong_takes_the_difference_of_the_areas():
    rng = np.random.default_rng(1)
    truth = rng.random(60) < 0.4
    a, b = truth + rng.normal(0, 1, 60), truth + rng.normal(0, 2, 60)
    test = comparisons.delong_test(truth, a, b)
    assert test.difference == pytest.approx(roc_auc_score(truth, a) - roc_auc_score(truth, b))


# Folds


def test_equivalence_is_the_larger_of_two_one_sided_tests():
    a, b = [0.95, 0.96, 0.97, 0.95], [0.95, 0.95, 0.965, 0.955]
    test = comparisons.equivalence(a, b, margin=0.02)
    differences = np.subtract(a, b)
    one_sided = [
        distributions.ttest_1samp(differences, -0.02, alternative="greater").pvalue,
        distributions.ttest_1samp(differences, 0.02, alternative="less").pvalue,
    ]
    assert test.p == pytest.approx(max(one_sided))
    # p is below 0.05 exactly where the 90 % interval lies within the margin.
    assert (test.p < 0.05) == (-0.02 < test.low and test.high < 0.02)


def test_equivalence_at_the_end_of_the_interval_has_p_of_a_twentieth():
    a, b = [0.95, 0.96, 0.97], [0.94, 0.955, 0.968]
    end = comparisons.equivalence(a, b, margin=1.0).high
    assert comparisons.equivalence(a, b, margin=end).p == pytest.approx(0.05)


def test_power_agrees_with_published_values():
    # Cohen 1988, table 2.3.5: two-sided 5 %, a one-sample effect of 0.5 in 34 cases has 0.80 (as
    # G*Power prints it: 0.8078).
    assert comparisons.power_of_paired_t(0.5, 1, 34) == pytest.approx(0.8078, abs=5e-4)
    assert comparisons.power_of_paired_t(0, 1, 3) == pytest.approx(0.05)


def test_three_folds_find_only_differences_of_more_than_three_deviations():
    least = comparisons.detectable_difference(0.005, 3)
    assert comparisons.power_of_paired_t(least, 0.005, 3) == pytest.approx(0.8)
    assert least / 0.005 > 3


def test_holm_is_that_of_a_worked_example():
    # 0.01, 0.04, 0.03, 0.005 of four: 4 x 0.005, 3 x 0.01, 2 x 0.03, then not below the one before.
    assert comparisons.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert comparisons.holm([0.5, np.nan, 0.9])[0] == pytest.approx(1.0)


@pytest.mark.slow
def test_sizes_of_the_tests_and_coverage_of_the_interval():
    rng, wrong, covered, unequal, equal = np.random.default_rng(0), 0, 0, 0, 0
    for _ in range(2000):
        a, b = rng.random((2, 120)) < 0.9
        mcnemar = comparisons.mcnemar(a, b)
        wrong += mcnemar.p < 0.05
        covered += mcnemar.low <= 0 <= mcnemar.high
        truth = np.arange(80) < 40
        unequal += comparisons.delong_test(truth, *(truth + rng.normal(0, 1, (2, 80)))).p < 0.05
        folds = rng.normal(0, 1, (2, 6))
        equal += comparisons.equivalence(folds[0] + 1, folds[1], 1.0).p < 0.05
    error = np.sqrt(0.05 * 0.95 / 2000)
    assert wrong / 2000 <= 0.05 + 3 * error  # exact tests keep below their level
    assert covered / 2000 >= 0.95 - 3 * error
    assert abs(unequal / 2000 - 0.05) <= 3 * error + 0.01  # DeLong's is an approximation
    assert equal / 2000 <= 0.05 + 3 * error  # at the very end of the margin


@pytest.mark.slow
def test_the_power_is_the_share_of_studies_that_find_the_difference():
    rng, runs, promised = np.random.default_rng(1), 4000, 0.8
    least = comparisons.detectable_difference(1.0, 3, promised)
    folds = rng.normal(least, 1.0, (runs, 3))
    found = np.mean(distributions.ttest_1samp(folds, 0, axis=1).pvalue < 0.05)
    assert found == pytest.approx(promised, abs=3 * np.sqrt(0.8 * 0.2 / runs))
