"""Intervals against published values, values by hand, scipy and simulation."""

import numpy as np
import pytest
import scipy.stats

from brainlib.stats import intervals
from brainlib.stats.intervals import (
    area_variance,
    auc_interval,
    bootstrap_interval,
    design_effect,
    difference_interval,
    effective_size,
    mean_interval,
    mean_of,
    placements,
    proportion_interval,
    wilson_interval,
)

pytestmark = pytest.mark.filterwarnings("error")

CNN = [97.94, 97.34, 97.70]  # accuracies of three folds in percent, Jardim et al., Table 1


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),  # Newcombe 1998, Table I, method 3
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_gives_the_limits_that_newcombe_published(k, n, low, high):
    interval = wilson_interval(k, n)
    assert (round(interval.low, 4), round(interval.high, 4)) == (low, high)
    assert interval.method == "Wilson 95 %"


def test_wilson_of_nothing_counted_has_no_limits_and_an_impossible_count_is_refused():
    interval = wilson_interval(0, 0)
    assert np.isnan([interval.low, interval.high]).all()
    assert "no image" in interval.method
    with pytest.raises(ValueError, match="k=5, n=4"):
        wilson_interval(5, 4)


def test_wilson_agrees_with_scipy_for_all_counts():
    for k in range(31):
        theirs = scipy.stats.binomtest(k, 30).proportion_ci(0.95, method="wilson")
        assert (wilson_interval(k, 30).low, wilson_interval(k, 30).high) == pytest.approx((theirs.low, theirs.high))


# Images of which some are of one group


def test_single_images_have_no_design_effect_and_groups_that_agree_have_that_of_their_size():
    right = np.arange(40) < 30
    assert design_effect(right, np.arange(40)) == 1
    assert proportion_interval(right, np.arange(40)) == wilson_interval(30, 40)
    # Groups of four that are right or wrong together: four times the variance, as of ten images.
    found = proportion_interval(right, np.arange(40) // 10 * 10 + np.arange(40) % 10 // 5)
    assert found.naive == wilson_interval(30, 40)
    together = np.repeat(np.arange(10) < 7, 4)
    assert design_effect(together, np.repeat(np.arange(10), 4)) == pytest.approx(4)
    expected, found = wilson_interval(7, 10), proportion_interval(together, np.repeat(np.arange(10), 4))
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.method == "Wilson 95 % of 10 effective images (40 in 10 groups)"


def test_groups_of_unequal_size_count_by_the_size_of_an_images_group():
    # Sizes 1, 1, 4: an image's group has (1 + 1 + 16) / 6 = 3 images on average, 6 images are worth 2.
    groups = [0, 1, 2, 2, 2, 2]
    assert effective_size(groups) == pytest.approx(2)
    # All right: nothing is known of the correlation, which is taken as 1.
    perfect = proportion_interval(np.ones(6, bool), groups)
    assert (perfect.low, perfect.high) == (pytest.approx(wilson_interval(2, 2).low), 1.0)


def test_the_correlation_within_groups_is_the_moment_estimator_with_two_groups_added():
    # Two pairs, one of them divided: rests 1/4, 1/4, 1/4, -3/4. Squares 3/4; pairs (1/2)^2 + (-1/2)^2 - 3/4 = -1/4.
    # Mean size 2, two groups of correlation 1: (-1/4 + 4) / (3/4 + 4) = 15/19, times (2 - 1).
    assert design_effect(np.array([1.0, 1, 1, 0]), [0, 0, 1, 1]) == pytest.approx(1 + 15 / 19)


def test_the_area_of_five_images_is_the_sum_done_by_hand():
    # Positives 0.9, 0.6, 0.4 beat 1, 1 and 1/2 of the negatives 0.5, 0.3; these lose to 2/3 and 1
    # of the positives. Area 5/6; variances 1/12 and 1/18; SE^2 = 1/36 + 1/36 = 1/18. Two negatives: t of one degree.
    truth, score = np.array([True, False, True, False, True]), [0.9, 0.5, 0.6, 0.3, 0.4]
    assert area_variance(truth, placements(truth, score), np.arange(5)) == pytest.approx(1 / 18)
    interval = auc_interval(truth, score)
    low, high = np.log(5) + np.array([-1, 1]) * 12.7062047 * np.sqrt(1 / 18) / (5 / 36)
    assert (interval.low, interval.high) == pytest.approx((1 / (1 + np.exp(-low)), 1 / (1 + np.exp(-high))))
    assert interval.method == "DeLong 95 %, on the logit scale"


def test_the_variance_of_an_area_with_ties_follows_from_its_definition_pair_by_pair():
    rng = np.random.default_rng(3)
    truth = rng.random(90) < 0.4
    score = np.round(rng.normal(truth, 1.0), 1)
    pairs = score[truth][:, None] - score[~truth][None, :]
    wins = (pairs > 0) + 0.5 * (pairs == 0)
    m, n = wins.shape
    expected = wins.mean(axis=1).var(ddof=1) / m + wins.mean(axis=0).var(ddof=1) / n
    assert (pairs == 0).any()
    assert area_variance(truth, placements(truth, score), np.arange(90)) == pytest.approx(expected)


def test_the_variance_of_an_area_of_groups_is_obuchowskis():
    # Three groups: {+, +}, {-, -}, {+, -}. Placements: positives 1, 1, 2/3; negatives 1, 1, 2/3. Area 8/9.
    # Rests of the groups: positives 2/9, 0, -2/9; negatives 0, 2/9, -2/9; two groups have positives, two negatives.
    # 2 * (8/81) / 9 + 2 * (8/81) / 9 + 2 * 3/2 * (4/81) / 9.
    truth = np.array([True, True, False, False, True, False])
    score = np.array([0.9, 0.8, 0.1, 0.2, 0.5, 0.6])
    groups = np.array([0, 0, 1, 1, 2, 2])
    assert area_variance(truth, placements(truth, score), groups) == pytest.approx((32 + 12) / 729)
    found = auc_interval(truth, score, groups)
    assert found.naive == auc_interval(truth, score) and "Obuchowski" in found.method
    independent = area_variance(truth, placements(truth, score), np.arange(6))
    assert found.design_effect == pytest.approx((32 + 12) / 729 / independent)


def test_a_perfect_area_of_duplicates_is_that_of_as_many_images_as_there_are_groups():
    truth = np.arange(20) < 10
    four_times = auc_interval(np.repeat(truth, 4), np.repeat(truth + 0.0, 4), np.repeat(np.arange(20), 4))
    assert four_times.low == pytest.approx(auc_interval(truth, truth + 0.0).low)


def test_a_perfect_area_keeps_a_width_that_shrinks_with_the_number_of_images():
    lows = []
    for n in (1, 10, 100):
        truth = np.arange(2 * n) < n
        interval = auc_interval(truth, truth + 0.0)
        assert interval.high == 1.0
        assert "Newcombe" in interval.method
        lows.append(interval.low)
    # With one image a class the equation is (1 - x)^2 = z^2 x (1 - x).
    assert lows[0] == pytest.approx(1 / (1 + 1.959963985**2))
    # With ten: N = 9, and x solves (1 - x)^2 = z^2 x (1-x) (1 + N (..)) / 100.
    x = lows[1]
    spread = 1 + 9 * ((1 - x) / (2 - x) + x / (1 + x))
    assert (1 - x) ** 2 == pytest.approx(1.959963985**2 * x * (1 - x) * spread / 100)
    assert lows[0] < lows[1] < lows[2] < 1


def test_an_area_of_zero_mirrors_an_area_of_one_and_equal_scores_centre_on_a_half():
    truth = np.arange(20) < 8
    best, worst = auc_interval(truth, truth + 0.0), auc_interval(truth, -1.0 * truth)
    assert (worst.low, worst.high) == pytest.approx((1 - best.high, 1 - best.low))
    flat = auc_interval(truth, np.full(20, 0.3))
    assert (flat.low + flat.high) / 2 == pytest.approx(0.5)
    assert flat.low < 0.4


def test_an_area_without_one_of_the_classes_has_no_limits():
    interval = auc_interval([True, True], [0.2, 0.8])
    assert np.isnan([interval.low, interval.high]).all()
    assert "class is absent" in interval.method


def test_the_bootstrap_of_single_images_agrees_with_wilson():
    hits = np.arange(400) < 320
    drawn = bootstrap_interval(mean_of(hits), np.arange(400))
    exact = wilson_interval(320, 400)
    assert [drawn.low, drawn.high] == pytest.approx([exact.low, exact.high], abs=0.01)
    assert drawn.method == "group bootstrap 95 %, 2000 resamples"


def test_duplicates_in_groups_of_nine_make_the_bootstrap_three_times_as_wide():
    hits = np.repeat(np.arange(100) < 70, 9)

    def width(groups):
        interval = bootstrap_interval(mean_of(hits), groups)
        return interval.high - interval.low

    duplicates = np.repeat(np.arange(100), 9)
    assert width(duplicates) / width(np.arange(900)) == pytest.approx(3, rel=0.1)


def test_the_bootstrap_draws_whole_groups_within_each_stratum(monkeypatch):
    rng = np.random.default_rng(5)
    groups = rng.integers(0, 12, 60)
    strata = np.repeat([0, 1], 30)
    sizes = {(s, g): ((strata == s) & (groups == g)).sum() for s in (0, 1) for g in range(12)}
    groups_in = [len(set(groups[strata == s])) for s in (0, 1)]

    def check(counts):
        for times in counts.astype(int):
            drawn = [0, 0]
            for (s, g), size in sizes.items():
                of_group = times[(strata == s) & (groups == g)]
                assert len(set(of_group.tolist())) <= 1
                drawn[s] += of_group[0] if size else 0
            assert drawn == groups_in
        return counts.mean(axis=1)

    monkeypatch.setattr(intervals, "N_RESAMPLES", 40)
    bootstrap_interval(check, groups, strata=strata)


def test_the_bootstrap_repeats_itself_by_seed():
    mean = mean_of(np.random.default_rng(2).normal(size=50))
    groups = np.arange(50)
    assert bootstrap_interval(mean, groups, seed=4) == bootstrap_interval(mean, groups, seed=4)
    assert bootstrap_interval(mean, groups, seed=4) != bootstrap_interval(mean, groups, seed=5)


def test_undefined_resamples_are_left_out_and_counted():
    # A resample of 30 lacks row 0 with probability (29/30)^30 = 0.36.
    mean = mean_of(np.arange(30.0))
    interval = bootstrap_interval(lambda counts: np.where(counts[:, 0], mean(counts), np.nan), np.arange(30))
    left_out = int(interval.method.split(", ")[-1].split()[0])
    assert interval.method.endswith("undefined left out")
    assert left_out == pytest.approx(723, abs=75)
    assert interval.low < 14.5 < interval.high


@pytest.mark.parametrize(
    ("statistic", "groups", "reason"),
    [
        (lambda counts: np.where(counts[:, 0], np.nan, counts[:, 1]), np.arange(30), "too few to go by"),
        (lambda counts: np.nan, np.arange(30), "too few to go by"),
        (lambda counts: 1.0, np.arange(30), "all agree"),
        (lambda counts: counts[:, 0], np.zeros(30), "at least two groups"),
        (lambda counts: counts[:, 0], np.array([]), "at least two groups"),
    ],
)
def test_a_bootstrap_that_cannot_say_anything_gives_no_limits(statistic, groups, reason):
    interval = bootstrap_interval(statistic, groups)
    assert np.isnan([interval.low, interval.high]).all()
    assert reason in interval.method


def test_the_interval_of_three_folds_uses_a_t_of_4_30():
    # Mean 97.66, squares 0.0784 + 0.1024 + 0.0016 = 0.1824, variance 0.0912, SE 0.17436.
    interval = mean_interval(CNN)
    assert interval.low == pytest.approx(97.66 - 4.302653 * np.sqrt(0.0912 / 3), abs=1e-6)
    assert interval.high == pytest.approx(97.66 + 4.302653 * np.sqrt(0.0912 / 3), abs=1e-6)
    assert interval.method == "t 95 % over 3 values, 2 degrees of freedom"


@pytest.mark.parametrize("values", [[], [0.9], [0.9, np.nan, 0.8], [0.7, 0.7, 0.7]])
def test_a_mean_without_a_known_spread_has_no_limits(values):
    interval = mean_interval(values)
    assert np.isnan([interval.low, interval.high]).all()


# Coverage, by simulation: 3 Monte Carlo errors either way of what each method promises.


@pytest.mark.slow
def test_a_bootstrap_of_groups_covers_where_one_of_images_does_not(monkeypatch):
    monkeypatch.setattr(intervals, "N_RESAMPLES", 400)
    rng, runs, groups = np.random.default_rng(2), 300, 60
    by_group = by_image = 0
    for run in range(runs):
        values = np.repeat(rng.random(groups) < 0.8, 4).astype(float)  # four duplicates of each image
        found = [
            bootstrap_interval(mean_of(values), each, run)
            for each in (np.repeat(np.arange(groups), 4), np.arange(4 * groups))
        ]
        by_group += found[0].low <= 0.8 <= found[0].high
        by_image += found[1].low <= 0.8 <= found[1].high
    # The percentile bootstrap of 60 groups falls a little short of 95 %; that of images by far.
    assert by_group / runs > 0.95 - 0.03 - 3 * np.sqrt(0.95 * 0.05 / runs)
    assert by_image / runs < 0.75


@pytest.mark.slow
@pytest.mark.parametrize(("positives", "negatives"), [(60, 140), (15, 36)])
def test_the_interval_of_an_area_covers_the_true_one(positives, negatives):
    # Two normal distributions 1.5 deviations apart: the true area is Phi(1.5 / sqrt(2)) = 0.856.
    rng, runs, area = np.random.default_rng(4), 2000, scipy.stats.norm.cdf(1.5 / np.sqrt(2))
    truth = np.arange(positives + negatives) < positives
    covered = 0
    for _ in range(runs):
        interval = auc_interval(truth, 1.5 * truth + rng.normal(size=len(truth)))
        covered += interval.low <= area <= interval.high
    assert abs(covered / runs - 0.95) < 0.01 + 3 * np.sqrt(0.95 * 0.05 / runs)


@pytest.mark.slow
def test_intervals_of_groups_cover_the_true_score_where_naive_ones_do_not():
    # 80 groups of one to eight images: a group's images share nine tenths of the variance of their scores.
    rng, runs, area = np.random.default_rng(6), 1000, scipy.stats.norm.cdf(1.5 / np.sqrt(2))
    groups = np.repeat(np.arange(80), np.arange(80) % 8 + 1)
    covered = np.zeros(4)
    for _ in range(runs):
        truth = (rng.random(80) < 0.5)[groups]
        noise = np.sqrt(0.9) * rng.normal(size=80)[groups] + np.sqrt(0.1) * rng.normal(size=len(groups))
        right = noise < scipy.stats.norm.ppf(0.9)
        share, auc = proportion_interval(right, groups), auc_interval(truth, 1.5 * truth + noise, groups)
        for n, (found, true) in enumerate([(share, 0.9), (share.naive, 0.9), (auc, area), (auc.naive, area)]):
            covered[n] += found.low <= true <= found.high
    assert (np.abs(covered[[0, 2]] / runs - 0.95) < 0.02).all()
    assert (covered[[1, 3]] / runs < 0.75).all()


def test_a_difference_of_independent_proportions_is_newcombes():
    # Newcombe, Statistics in Medicine 1998, 17:873, Table II, method 10: 56/70 - 48/80, 9/10 - 3/10, 6/7 - 2/7.
    published = {(56, 70, 48, 80): (0.0524, 0.3339), (9, 10, 3, 10): (0.1705, 0.8090), (6, 7, 2, 7): (0.0582, 0.8062)}
    for (a, m, b, n), limits in published.items():
        first, second = wilson_interval(a, m), wilson_interval(b, n)
        found = difference_interval((a / m, first.low, first.high), (b / n, second.low, second.high))
        assert (found.low, found.high) == pytest.approx(limits, abs=5e-5)
