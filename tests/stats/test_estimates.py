"""Reproduced numbers: which interval belongs to which score, of one part and over folds."""

import math

import numpy as np
import pandas as pd
import pytest
from predicted import binary, table

from brainlib.errors import UsageError
from brainlib.stats import estimates
from brainlib.stats.estimates import Estimate
from brainlib.stats.intervals import auc_interval, mean_interval, wilson_interval
from brainlib.stats.predictions import decide

pytestmark = pytest.mark.filterwarnings("error")

CLASSES = ["no", "yes"]


def estimate(metric, table, classes, positive=None, seed=0, average=None):
    return estimates.estimate(metric, decide(table, classes, positive, average=average), seed)


def fold_estimate(metric, over, tables, classes, average=None):
    return estimates.fold_estimate(metric, over, [decide(table, classes, average=average) for table in tables])


def noisy(seed, n=120):
    rng = np.random.default_rng(seed)
    truth = np.arange(n) % 2 == 0
    logits = rng.normal(np.where(truth, 1.2, -1.2), 1.5)
    return binary(truth, 1 / (1 + np.exp(-logits)))


def four(seed, n=160):
    rng = np.random.default_rng(seed)
    classes = ["a", "b", "c", "d"]
    truth = rng.integers(0, 4, n)
    p = rng.random((n, 4)) + 0.5 * np.eye(4)[truth]
    return table(np.array(classes)[truth], p / p.sum(axis=1, keepdims=True), classes), classes


def value(metric, table):
    return decide(table, CLASSES).value(metric)


@pytest.mark.parametrize(
    ("metric", "k", "n"),
    [("accuracy", 43, 51), ("sensitivity", 23, 25), ("specificity", 20, 26), ("precision", 23, 29)],
)
def test_a_proportion_has_wilsons_interval_on_its_own_denominator(metric, k, n):
    table = binary([1] * 25 + [0] * 26, [0.9] * 23 + [0.2] * 2 + [0.8] * 6 + [0.1] * 20)
    limits = wilson_interval(k, n)
    expected = Estimate(k / n, limits.low, limits.high, n, "Wilson 95 %")
    assert estimate(metric, table, CLASSES, "yes") == expected


def test_the_area_of_one_class_has_the_interval_of_an_area():
    table = noisy(0)
    result = estimate("auc", table, CLASSES, "yes")
    expected = auc_interval(table["label"] == "yes", table["p_yes"])
    assert result == Estimate.of(value("auc", table), 120, expected)


def test_f1_of_a_class_has_the_interval_of_the_share_that_it_is_a_function_of():
    # 23 of 25 found and 6 false: TP / (TP + FP + FN) = 23 / 31, and F1 = 46 / 54 = 2 (23/31) / (1 + 23/31).
    table = binary([1] * 25 + [0] * 26, [0.9] * 23 + [0.2] * 2 + [0.8] * 6 + [0.1] * 20)
    result, share = estimate("f1", table, CLASSES), wilson_interval(23, 31)
    assert (result.value, result.n) == (pytest.approx(46 / 54), 51)
    assert (result.low, result.high) == pytest.approx([2 * x / (1 + x) for x in (share.low, share.high)])


@pytest.mark.parametrize("metric", ["accuracy", "sensitivity", "precision", "f1", "auc"])
def test_duplicates_of_every_image_do_not_narrow_an_interval(metric):
    single = noisy(2, n=400)
    repeated = pd.concat([single] * 4, ignore_index=True)
    one, four_times = (estimate(metric, t, CLASSES) for t in (single, repeated))
    assert (four_times.low, four_times.high) == pytest.approx((one.low, one.high), abs=2e-3)
    assert four_times.design_effect == pytest.approx(4, rel=0.02) and math.isnan(one.design_effect)
    apart = four_times.naive
    assert (apart.high - apart.low) / (one.high - one.low) == pytest.approx(0.5, abs=0.03)


def test_averages_have_a_bootstrap_of_groups_that_the_seed_determines():
    table, classes = four(1)
    first, again, other = (estimate("f1", table, classes, seed=seed, average="macro") for seed in (1, 1, 2))
    assert first == again != other
    repeated = pd.concat([table] * 4, ignore_index=True)
    assert estimate("f1", repeated, classes, seed=1, average="macro").low == first.low


@pytest.mark.parametrize("average", ["macro", "weighted"])
def test_averages_over_classes_have_a_bootstrap(average):
    table, classes = four(3)
    decisions = decide(table, classes, average=average)
    for metric in ("precision", "specificity", "f1", "auc"):
        result = estimate(metric, table, classes, average=average)
        assert result.low < result.value == decisions.value(metric) < result.high
        assert "bootstrap" in result.method


def test_the_accuracy_of_four_classes_and_the_proportions_of_one_have_wilsons_interval():
    table, classes = four(3)
    accuracy = estimate("accuracy", table, classes)
    assert (accuracy.method, accuracy.n) == ("Wilson 95 %", 160)
    of_one = estimate("precision", table, classes, positive="b")
    assert (of_one.method, of_one.n < 160) == ("Wilson 95 %", True)
    with pytest.raises(UsageError, match="name a class or an average"):
        estimate("precision", table, classes)


def test_a_weighted_sensitivity_is_the_accuracy_with_its_interval_and_a_macro_one_is_not():
    table, classes = four(5)
    weighted = estimate("sensitivity", table, classes, average="weighted")
    assert weighted == estimate("accuracy", table, classes)
    macro = estimate("sensitivity", table, classes, average="macro")
    assert macro.value != weighted.value
    assert "bootstrap" in macro.method


def test_the_loss_has_a_bootstrap_of_groups():
    table = binary([1, 0] * 30, [0.8, 0.4] * 30)
    result = estimate("loss", table, CLASSES)
    assert result.value == pytest.approx(-(math.log(0.8) + math.log(0.6)) / 2)
    # Two equally frequent values: the standard error is half their distance over sqrt(60).
    half_width = 1.96 * (math.log(0.8) - math.log(0.6)) / 2 / math.sqrt(60)
    assert result.high - result.value == pytest.approx(half_width, rel=0.1)
    assert result.value - result.low == pytest.approx(half_width, rel=0.1)
    assert result.method.startswith("group bootstrap 95 %")
    assert estimate("loss", *four(3)).high < 2  # needs neither a class nor an average


@pytest.mark.parametrize("metric", ["sensitivity", "f1", "auc"])
def test_an_undefined_score_has_no_limits(metric):
    result = estimate(metric, binary([0] * 12, np.linspace(0.1, 0.9, 12)), CLASSES)
    assert np.isnan([result.value, result.low, result.high]).all()


@pytest.mark.parametrize("average", [None, "macro"])
def test_a_perfect_score_has_an_interval(average):
    perfect = binary([1, 0] * 5, [0.9, 0.1] * 5)
    for metric in ("accuracy", "sensitivity", "specificity", "precision", "f1", "auc"):
        result = estimate(metric, perfect, CLASSES, average=average)
        assert (result.value, result.high) == (1.0, 1.0) and 0.4 < result.low < 0.9, metric
    # Of which each image is there ten times, it is no surer.
    tenfold = estimate("accuracy", pd.concat([perfect] * 10), CLASSES)
    assert tenfold.low == pytest.approx(wilson_interval(10, 10).low)


def test_the_mean_over_folds_has_a_t_interval_over_the_folds():
    folds = [noisy(seed) for seed in (10, 11, 12)]
    values = [value("accuracy", fold) for fold in folds]
    result, expected = fold_estimate("accuracy", "mean", folds, CLASSES), mean_interval(values)
    assert result.value == pytest.approx(np.mean(values))
    assert (result.low, result.high) == pytest.approx((expected.low, expected.high))
    assert result.method.endswith("2 degrees of freedom; 3 folds give a wide interval")
    assert result.n == 360


def test_the_interval_of_a_mean_stays_within_zero_and_one():
    nearly = [binary([1, 0] * 20, [0.9, 0.1] * (20 - i) + [0.1, 0.1] * i) for i in (0, 1, 4)]
    result = fold_estimate("accuracy", "mean", nearly, CLASSES)
    assert mean_interval([1, 39 / 40, 36 / 40]).high > 1
    assert result.high == 1.0


def test_the_interval_of_a_mean_loss_has_no_upper_limit():
    folds = [binary([1] * 4, [p] * 4) for p in (0.1, 0.2, 0.4)]
    result = fold_estimate("loss", "mean", folds, CLASSES)
    expected = mean_interval([math.log(10), math.log(5), math.log(2.5)])
    assert result.value == pytest.approx((math.log(10) + math.log(5) + math.log(2.5)) / 3)
    assert (result.low, result.high) == pytest.approx((expected.low, expected.high), rel=1e-6)
    assert result.low < 0
    assert result.high > 1


@pytest.mark.parametrize("over", ["mean", "sd"])
def test_averages_over_classes_are_taken_in_each_fold(over):
    classes = four(1)[1]
    folds = [four(seed)[0] for seed in (1, 2, 3)]
    values = [decide(fold, classes, average="weighted").value("f1") for fold in folds]
    result = fold_estimate("f1", over, folds, classes, average="weighted")
    expected = np.mean(values) if over == "mean" else np.std(values, ddof=1)
    assert result.value == pytest.approx(expected)
    one = fold_estimate("f1", "value", folds[:1], classes, average="weighted")
    assert one == estimate("f1", folds[0], classes, average="weighted")


@pytest.mark.parametrize(("over", "spread"), [("variance", np.var), ("sd", np.std)])
def test_the_spread_over_folds_has_divisor_k_minus_1_and_a_bootstrap_within_folds(over, spread):
    folds = [noisy(seed, n=60 + 10 * seed) for seed in (1, 2, 3)]
    values = [value("sensitivity", fold) for fold in folds]
    result = fold_estimate("sensitivity", over, folds, CLASSES)
    assert result.value == pytest.approx(spread(values, ddof=1))
    assert 0 <= result.low < result.high
    assert result.method.endswith("within each fold")
    assert result == fold_estimate("sensitivity", over, folds, CLASSES)


def test_the_bootstrap_of_the_variance_over_folds_has_the_size_that_theory_gives():
    # Folds of equal accuracy q: a resampled one varies by q (1 - q) / n, and the variance over
    # three is that times half a chi^2 with two degrees of freedom, an exponential variable.
    fold = binary([1] * 200, [0.9] * 160 + [0.1] * 40)
    result = fold_estimate("accuracy", "variance", [fold] * 3, CLASSES)
    assert result.value == pytest.approx(0, abs=1e-20)
    assert result.low == pytest.approx(0.8 * 0.2 / 200 * -math.log(0.975), rel=0.25)
    assert result.high == pytest.approx(0.8 * 0.2 / 200 * -math.log(0.025), rel=0.1)


@pytest.mark.parametrize("over", ["mean", "variance", "sd"])
def test_a_score_undefined_in_one_fold_is_undefined_over_all(over):
    folds = [noisy(6), binary([0] * 12, np.linspace(0.1, 0.9, 12))]
    result = fold_estimate("sensitivity", over, folds, CLASSES)
    assert np.isnan([result.value, result.low, result.high]).all()


def test_a_single_fold_has_a_mean_without_limits_and_no_spread():
    mean, variance = (fold_estimate("f1", o, [noisy(7)], CLASSES) for o in ("mean", "variance"))
    assert mean.value == value("f1", noisy(7))
    assert np.isnan([mean.low, mean.high, variance.value, variance.low]).all()


def test_folds_that_do_not_fit_the_question_are_refused_in_one_line():
    for over, tables in (("median", [noisy(8)]), ("mean", []), ("value", [noisy(8), noisy(9)])):
        with pytest.raises(UsageError, match=r"\A.*expected .*, received .*\Z"):
            fold_estimate("f1", over, tables, CLASSES)
    assert fold_estimate("f1", "value", [noisy(8)], CLASSES) == estimate("f1", noisy(8), CLASSES)


def test_predictions_of_any_model_are_scored_from_labels_and_probabilities():
    labels = ["no", "no", "yes", "yes"]
    yes = np.array([0.1, 0.6, 0.7, 0.9])
    probabilities = pd.DataFrame({"no": 1 - yes, "yes": yes})
    found = estimates.score(labels, probabilities)
    assert (found.value, found.n) == (0.75, 4) and found.low < 0.75 < found.high
    assert estimates.score(labels, probabilities, "sensitivity").value == 1
    assert estimates.score(labels, probabilities, "sensitivity", positive="no").value == 0.5
    grouped = estimates.score(labels, probabilities, groups=[0, 0, 1, 1])
    assert grouped.value == 0.75 and grouped.naive == wilson_interval(3, 4) and grouped.low < found.low
