"""Intervals against published values, values by hand, scipy and simulation."""

import numpy as np
import pytest
import scipy.stats

from brainlib.stats import intervals
from brainlib.stats.intervals import (
    bootstrap_interval,
    delong_interval,
    difference_interval,
    mean_interval,
    mean_of,
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


def test_delong_of_five_images_is_the_sum_done_by_hand():
    # Positives 0.9, 0.6, 0.4 beat 1, 1 and 1/2 of the negatives 0.5, 0.3; these lose to 2/3 and 1
    # of the positives. Area 5/6; variances 1/12 and 1/18; SE^2 = 1/36 + 1/36 = 1/18.
    interval = delong_interval([True, False, True, False, True], [0.9, 0.5, 0.6, 0.3, 0.4])
    assert interval.low == pytest.approx(5 / 6 - 1.959963985 * np.sqrt(1 / 18), abs=1e-9)
    assert interval.high == 1.0
    assert interval.method == "DeLong 95 %"


def test_delong_counts_ties_as_halves_as_its_definition_pair_by_pair_does():
    rng = np.random.default_rng(3)
    truth = rng.random(90) < 0.4
    score = np.round(rng.normal(truth, 1.0), 1)
    pairs = score[truth][:, None] - score[~truth][None, :]
    wins = (pairs > 0) + 0.5 * (pairs == 0)
    m, n = wins.shape
    error = np.sqrt(wins.mean(axis=1).var(ddof=1) / m + wins.mean(axis=0).var(ddof=1) / n)
    interval = delong_interval(truth, score)
    expected = wins.mean() + scipy.stats.norm.ppf(0.975) * error * np.array([-1, 1])
    assert (pairs == 0).any()
    assert [interval.low, interval.high] == pytest.approx(expected)


def test_a_perfect_area_keeps_a_width_that_shrinks_with_the_number_of_images():
    lows = []
    for n in (1, 10, 100):
        truth = np.arange(2 * n) < n
        interval = delong_interval(truth, truth + 0.0)
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
    best, worst = delong_interval(truth, truth + 0.0), delong_interval(truth, -1.0 * truth)
    assert (worst.low, worst.high) == pytest.approx((1 - best.high, 1 - best.low))
    flat = delong_interval(truth, np.full(20, 0.3))
    assert (flat.low + flat.high) / 2 == pytest.approx(0.5)
    assert flat.low < 0.4


def test_an_area_without_one_of_the_classes_has_no_limits():
    interval = delong_interval([True, True], [0.2, 0.8])
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
@pytest.mark.parametrize(("positives", "negatives", "short"), [(60, 140, 0.02), (15, 36, 0.045)])
def test_delongs_interval_covers_the_true_area_of_many_images(positives, negatives, short):
    # Two normal distributions 1.5 deviations apart: the true area is Phi(1.5 / sqrt(2)) = 0.856.
    rng, runs, area = np.random.default_rng(4), 2000, scipy.stats.norm.cdf(1.5 / np.sqrt(2))
    truth = np.arange(positives + negatives) < positives
    covered = 0
    for _ in range(runs):
        interval = delong_interval(truth, 1.5 * truth + rng.normal(size=len(truth)))
        covered += interval.low <= area <= interval.high
    # It is made for many images, and of few falls short of 95 % by four points, as its docstring says.
    error = 3 * np.sqrt(0.95 * 0.05 / runs)
    assert -short - error < covered / runs - 0.95 < error


def test_a_difference_of_independent_proportions_is_newcombes():
    # Newcombe, Statistics in Medicine 1998, 17:873, Table II, method 10: 56/70 - 48/80, 9/10 - 3/10, 6/7 - 2/7.
    published = {(56, 70, 48, 80): (0.0524, 0.3339), (9, 10, 3, 10): (0.1705, 0.8090), (6, 7, 2, 7): (0.0582, 0.8062)}
    for (a, m, b, n), limits in published.items():
        first, second = wilson_interval(a, m), wilson_interval(b, n)
        found = difference_interval((a / m, first.low, first.high), (b / n, second.low, second.high))
        assert (found.low, found.high) == pytest.approx(limits, abs=5e-5)
