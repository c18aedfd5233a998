"""Tests of two models, against published examples, hand-computed values and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as distributions
from sklearn.datasets import make_moons
from sklearn.model_selection import RepeatedStratifiedKFold, cross_val_score
from sklearn.svm import SVC

from brainlib.stats import comparisons
from brainlib.stats.comparisons import corrected_resampled_t, paired_t, unpaired_t

# Accuracies of three folds in percent, Jardim et al., Table 1: (a) CNN, (b) transfer learning.
CNN = [97.94, 97.34, 97.70]
TRANSFER = [98.26, 97.78, 97.25]


def correct(both, only_a, only_b, neither):
    a = [True] * (both + only_a) + [False] * (only_b + neither)
    b = [True] * both + [False] * only_a + [True] * only_b + [False] * neither
    return np.array(a), np.array(b)


# Two accuracies


def test_mcnemar_is_a_sign_test_of_the_images_that_divide_the_models():
    # 1 against 9: 2 (1 + 10) / 2^10.
    test = comparisons.mcnemar(*correct(50, 1, 9, 40))
    assert test.p == pytest.approx(2 * 11 / 1024)
    assert (test.difference, test.n) == (pytest.approx(-0.08), 100)


def test_the_interval_of_a_paired_difference_is_newcombes_method_10():
    # Newcombe 1998 (Stat. Med. 17:2635), table III, 36, 12, 2 and 0 images.
    test = comparisons.mcnemar(*correct(36, 12, 2, 0))
    assert (test.low, test.high) == (pytest.approx(0.0569, abs=1e-4), pytest.approx(0.3404, abs=1e-4))
    turned = comparisons.mcnemar(*correct(36, 2, 12, 0))
    assert (turned.low, turned.high) == (pytest.approx(-test.high), pytest.approx(-test.low))


def test_models_that_agree_on_every_image_do_not_differ():
    test = comparisons.mcnemar(*correct(30, 0, 0, 5))
    assert (test.p, test.difference) == (1.0, 0.0)
    assert test.low < 0 < test.high  # seen in 35 images, not known of all


def test_predictions_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="one prediction an image"):
        comparisons.mcnemar(np.ones(3, bool), np.ones(4, bool))


def test_duplicates_of_every_image_leave_p_and_the_interval_of_mcnemar_as_they_are():
    one = comparisons.mcnemar(*correct(50, 1, 9, 40))
    three = comparisons.mcnemar(*(np.repeat(each, 3) for each in correct(50, 1, 9, 40)), np.repeat(np.arange(100), 3))
    assert three.p == pytest.approx(one.p)
    assert (three.low, three.high) == pytest.approx((one.low, one.high), abs=5e-3)
    assert comparisons.mcnemar(*(np.repeat(each, 3) for each in correct(50, 1, 9, 40))).p < one.p / 100


def test_differences_of_groups_of_images_flip_their_sign_together():
    # Sums 3, 1 and -1 of three groups: of the eight sums +-3 +-1 +-1, 3 comes twice and 5 once, and mirrored.
    a, b = np.array([1, 1, 1, 1, 0], bool), np.array([0, 0, 0, 0, 1], bool)
    assert comparisons.mcnemar(a, b, [0, 0, 0, 1, 2]).p == pytest.approx(6 / 8)


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


def test_duplicates_of_every_image_leave_p_of_delong_as_it_is():
    rng, truth = np.random.default_rng(1), np.arange(200) < 90
    scores = [truth + rng.normal(size=200) for _ in range(2)]
    one = comparisons.delong_test(truth, *scores)
    groups = np.repeat(np.arange(200), 3)
    three = comparisons.delong_test(*(np.repeat(each, 3) for each in (truth, *scores)), groups)
    assert (three.difference, three.p) == pytest.approx((one.difference, one.p))


# Folds


def test_the_tests_of_the_jardim_folds_are_the_sums_done_by_hand():
    # Differences -0.32, -0.44, 0.45: mean -0.31/3, squares about it 0.466467, variance 0.2332333.
    paired = paired_t(CNN, TRANSFER)
    assert paired.difference == pytest.approx(-0.31 / 3)
    assert (paired.t, paired.df) == (pytest.approx(-0.370600, abs=1e-6), 2)
    # Pooled: (0.1824 + 0.5104667) / 4 = 0.1732167, times 2/3, root 0.339820.
    unpaired = unpaired_t(CNN, TRANSFER)
    assert (unpaired.t, unpaired.df) == (pytest.approx(-0.304082, abs=1e-6), 4)
    # Three folds: 1/3 + (1/3)/(2/3) = 5/6 of 0.2332333, root 0.440864.
    corrected = corrected_resampled_t(CNN, TRANSFER, 1 / 3)
    assert (corrected.t, corrected.df) == (pytest.approx(-0.234388, abs=1e-6), 2)
    assert min(paired.p, unpaired.p, corrected.p) > 0.05


def test_the_plain_t_tests_agree_with_scipy():
    rng = np.random.default_rng(8)
    for k in (2, 5, 10):
        a, b = rng.normal(0.9, 0.02, k), rng.normal(0.88, 0.02, k)
        for ours, theirs in (
            (paired_t(a, b), distributions.ttest_rel(a, b)),
            (unpaired_t(a, b), distributions.ttest_ind(a, b)),
        ):
            limits = theirs.confidence_interval(0.95)
            assert (ours.t, ours.p, ours.df) == pytest.approx((theirs.statistic, theirs.pvalue, theirs.df))
            assert (ours.low, ours.high) == pytest.approx((limits.low, limits.high))


def test_the_correction_of_nadeau_and_bengio_widens_by_the_ratio_of_the_variances():
    a, b = np.random.default_rng(9).normal(size=(2, 10))
    plain, corrected = paired_t(a, b), corrected_resampled_t(a, b, 0.1)
    # (1/10 + 1/9) over 1/10.
    widening = np.sqrt((1 / 10 + 1 / 9) / (1 / 10))
    assert plain.t / corrected.t == pytest.approx(widening)
    assert (corrected.high - corrected.low) / (plain.high - plain.low) == pytest.approx(widening)
    assert corrected.p > plain.p


def test_repeated_folds_corrected_give_the_values_that_scikit_learn_publishes():
    # "Statistical comparison of models using grid search", scikit-learn's example gallery: ten times
    # ten folds of 100 points, two kernels. It prints a corrected t of 0.750 with a one-sided p of
    # 0.227, and an uncorrected t of 2.611 with p 0.005.
    points, labels = make_moons(noise=0.352, random_state=1, n_samples=100)
    folds = RepeatedStratifiedKFold(n_splits=10, n_repeats=10, random_state=0)
    rbf, linear = (
        cross_val_score(SVC(kernel=kernel), points, labels, scoring="roc_auc", cv=folds) for kernel in ("rbf", "linear")
    )
    corrected, plain = corrected_resampled_t(rbf, linear, 10 / 100), paired_t(rbf, linear)
    assert (corrected.t, corrected.p / 2) == (pytest.approx(0.750, abs=5e-4), pytest.approx(0.227, abs=5e-4))
    assert (plain.t, plain.p / 2) == (pytest.approx(2.611, abs=5e-4), pytest.approx(0.005, abs=5e-4))


@pytest.mark.parametrize("test", [paired_t, unpaired_t, lambda a, b: corrected_resampled_t(a, b, 0.2)])
def test_swapping_the_models_changes_the_sign_and_nothing_else(test):
    one, other = test(CNN, TRANSFER), test(TRANSFER, CNN)
    assert (one.t, one.low, one.high) == pytest.approx((-other.t, -other.high, -other.low))
    assert one.p == pytest.approx(other.p)


@pytest.mark.parametrize("test", [paired_t, unpaired_t, lambda a, b: corrected_resampled_t(a, b, 0.2)])
def test_a_difference_without_variation_is_infinitely_significant_or_undefined(test):
    certain = test([0.9, 0.9, 0.9], [0.8, 0.8, 0.8])
    assert (certain.t, certain.p) == (np.inf, 0.0)
    assert np.isnan([certain.low, certain.high]).all()
    assert test([0.8] * 3, [0.9] * 3).t == -np.inf
    none = test([0.9, 0.9, 0.9], [0.9, 0.9, 0.9])
    assert none.difference == 0
    assert np.isnan([none.t, none.p, none.low, none.high]).all()


def test_a_constant_difference_that_only_rounding_varies_counts_as_constant():
    a = np.array([0.97, 0.3, 0.1])
    b = a - 0.01
    assert np.var(a - b, ddof=1) > 0  # rounding, which would give a t of about 1e15
    assert paired_t(a, b).t == np.inf


@pytest.mark.parametrize("test", [paired_t, unpaired_t, lambda a, b: corrected_resampled_t(a, b, 0.2)])
@pytest.mark.parametrize("values", [([0.9, np.nan, 0.8], [0.7, 0.8, 0.9]), ([1], [0]), ([], [])])
def test_a_fold_without_a_score_or_a_single_fold_leaves_the_test_undefined(test, values):
    result = test(*values)
    assert np.isnan([result.t, result.p, result.low, result.high]).all()


def test_unequal_numbers_of_folds_and_impossible_shares_are_refused():
    for test in (paired_t, unpaired_t):
        with pytest.raises(ValueError, match="one value a fold"):
            test([0.9, 0.8], [0.9])
    with pytest.raises(ValueError, match="test share"):
        corrected_resampled_t(CNN, TRANSFER, 1.0)


@pytest.mark.slow
@pytest.mark.parametrize(("k", "share"), [(10, 0.1), (3, 1 / 3)])
def test_the_corrected_t_test_keeps_its_level_where_the_plain_one_does_not(k, share):
    # Scores of k splits, correlated by the share that is judged, as Nadeau and Bengio assume.
    rng, runs = np.random.default_rng(3), 4000
    common, own = rng.normal(0, 1, (runs, 1)), rng.normal(0, 1, (runs, k))
    scores, zero = np.sqrt(share) * common + np.sqrt(1 - share) * own, np.zeros(k)
    plain = np.mean([paired_t(row, zero).p < 0.05 for row in scores])
    corrected = np.mean([corrected_resampled_t(row, zero, share).p < 0.05 for row in scores])
    error = np.sqrt(0.05 * 0.95 / runs)
    assert abs(corrected - 0.05) < 3 * error
    assert plain > 0.05 + 10 * error


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


@pytest.mark.parametrize(
    ("a", "b", "margin", "seeds", "published"),
    [
        # baycomp 1.0.3, CorrelatedTTest.probs(a, b, rope=margin, runs=seeds)
        ([0.9794, 0.9734, 0.9770], [0.9750, 0.9790, 0.9720], 0.01, 1, (0.1246772687, 0.7883491654, 0.0869735659)),
        ([0.90, 0.88, 0.91, 0.89, 0.93, 0.87], [0.86, 0.87, 0.85, 0.88, 0.86, 0.84], 0.02, 2,
         (0.7740420149, 0.2063310581, 0.0196269270)),
    ],
)  # fmt: skip
def test_the_posterior_is_that_of_baycomp(a, b, margin, seeds, published):
    found = comparisons.posterior(a, b, margin, seeds)
    assert (found.above, found.within, found.below) == pytest.approx(published, abs=1e-9)


def test_more_seeds_settle_a_clear_difference_and_none_settles_one_at_the_margin():
    scores = [0.90, 0.96, 0.97], [0.85, 0.92, 0.86]
    clear = comparisons.posterior(*scores, 0.02)
    assert clear.above < 0.95 and clear.more_seeds > 1
    # With so many seeds, the same mean and the same spread, it is.
    more = clear.more_seeds + 1
    a, b = map(np.array, scores)
    spread = np.std(a - b, ddof=1) / np.std(np.tile(a - b, more), ddof=1)
    mean = np.mean(a - b)
    stretched = mean + (np.tile(a - b, more) - mean) * spread
    assert comparisons.posterior(stretched, 0 * stretched, 0.02, more).above >= 0.95
    assert comparisons.posterior(stretched[:-3], 0 * stretched[:-3], 0.02, more - 1).above < 0.95
    # A mean at the very margin stays undecided.
    assert comparisons.posterior([0.90, 0.92, 0.94], [0.89, 0.90, 0.91], 0.02).more_seeds is None


def test_without_variation_there_is_no_posterior():
    assert np.isnan(comparisons.posterior([0.9, 0.9], [0.8, 0.8], 0.02).above)
    with pytest.raises(ValueError, match="two or more folds a seed"):
        comparisons.posterior([0.9, 0.8], [0.8, 0.7], 0.02, seeds=2)
