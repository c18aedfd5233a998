"""Scores against confusion matrices counted by hand and against scikit-learn."""

import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics
from predicted import binary, table

from brainlib.errors import BrainlibError, DataError, UsageError
from brainlib.stats.metrics import METRICS, accuracy, area_under_roc, cross_entropy
from brainlib.stats.predictions import decide

pytestmark = pytest.mark.filterwarnings("error")

FOUR = ["glioma", "meningioma", "none", "pituitary"]


def random_four(seed, n=200):
    """Four classes, none absent or never predicted at this size, hits two times out of three."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 4, n)
    logits = rng.normal(size=(n, 4))
    logits[np.arange(n), truth] += 1.5
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return truth, p, table(np.array(FOUR)[truth], p, FOUR)


def scores(predictions, classes, positive=None, threshold=0.5, average=None):
    """All scores at once, under their names."""
    decisions = decide(predictions, classes, positive, threshold, average)
    return SimpleNamespace(**{name: decisions.value(name) for name in METRICS})


def predicting(labels, predicted, classes):
    """A table in which each image is given the named class, with 0.7 for certain."""
    rest = 0.3 / (len(classes) - 1)
    chosen = np.array(predicted)[:, None] == np.array(classes)
    return table(labels, np.where(chosen, 0.7, rest), classes)


# Haj Hashem Khani and Maleki Nodehi print 0.8431, 0.7931, 0.92, 0.8519: TP 23, FN 2, FP 6, TN 20.
HAJHASHEM = binary(["yes"] * 25 + ["no"] * 26, [0.9] * 23 + [0.2] * 2 + [0.8] * 6 + [0.1] * 20)


def test_the_confusion_matrix_behind_hajhashem_gives_the_printed_scores():
    result = scores(HAJHASHEM, ["no", "yes"], "yes")
    assert round(result.accuracy, 4) == 0.8431
    assert round(result.precision, 4) == 0.7931
    assert result.recall == result.sensitivity == 23 / 25
    assert round(result.f1, 4) == 0.8519
    assert result.specificity == 20 / 26
    # Of 25 * 26 pairs: 23 at 0.9 beat all; 2 at 0.2 beat the 20 at 0.1.
    assert result.auc == pytest.approx((23 * 26 + 2 * 20) / (25 * 26))


def test_the_confusion_matrix_is_labelled_true_by_predicted():
    matrix = decide(HAJHASHEM, ["no", "yes"]).confusion()
    assert matrix.loc["yes"].tolist() == [2, 23]
    assert matrix.loc["no"].tolist() == [20, 6]
    assert (matrix.index.name, matrix.columns.name) == ("true", "predicted")


@pytest.mark.parametrize(
    ("metric", "k", "n"),
    [("accuracy", 43, 51), ("sensitivity", 23, 25), ("recall", 23, 25), ("specificity", 20, 26), ("precision", 23, 29)],
)
def test_each_proportion_has_the_counts_behind_it(metric, k, n):
    right, groups = decide(HAJHASHEM, ["no", "yes"]).outcomes(metric)
    assert (right.sum(), len(right), len(groups)) == (k, n, n)


def test_naming_the_other_class_positive_swaps_sensitivity_and_specificity():
    one = scores(HAJHASHEM, ["no", "yes"], "yes")
    other = scores(HAJHASHEM, ["no", "yes"], "no")
    assert (other.sensitivity, other.specificity) == (one.specificity, one.sensitivity)
    assert other.precision == 20 / 22
    assert (other.accuracy, other.auc) == pytest.approx((one.accuracy, one.auc))
    # The last of two classes is positive unless one is named.
    assert vars(scores(HAJHASHEM, ["no", "yes"])) == vars(one)
    assert vars(scores(HAJHASHEM, ["yes", "no"])) == pytest.approx(vars(other))


def test_binary_scores_agree_with_scikit_learn():
    rng = np.random.default_rng(0)
    for _ in range(20):
        truth = rng.random(60) < 0.4
        p = np.round(np.clip(rng.normal(0.35 + 0.3 * truth, 0.25), 0, 1), 2)
        predictions = binary(np.where(truth, "yes", "no"), p)
        result = scores(predictions, ["no", "yes"], "yes", threshold=0.4)
        p = predictions["p_yes"].to_numpy(dtype=float)
        predicted = p > 0.4
        assert result.accuracy == pytest.approx(sklearn.metrics.accuracy_score(truth, predicted))
        assert result.precision == pytest.approx(sklearn.metrics.precision_score(truth, predicted))
        assert result.recall == pytest.approx(sklearn.metrics.recall_score(truth, predicted))
        assert result.specificity == pytest.approx(sklearn.metrics.recall_score(truth, predicted, pos_label=False))
        assert result.f1 == pytest.approx(sklearn.metrics.f1_score(truth, predicted))
        assert result.auc == pytest.approx(sklearn.metrics.roc_auc_score(truth, p))


@pytest.mark.parametrize("average", ["macro", "weighted"])
@pytest.mark.parametrize("seed", range(5))
def test_averages_over_four_classes_are_those_of_scikit_learn(average, seed):
    truth, p, predictions = random_four(seed)
    result = scores(predictions, FOUR, average=average)
    predicted = p.argmax(axis=1)
    expected = sklearn.metrics.precision_recall_fscore_support(truth, predicted, average=average, zero_division=0)
    assert (result.precision, result.recall, result.f1) == pytest.approx(expected[:3])
    assert result.sensitivity == result.recall
    assert result.accuracy == pytest.approx((truth == predicted).mean())
    assert result.auc == pytest.approx(sklearn.metrics.roc_auc_score(truth, p, multi_class="ovr", average=average))
    assert result.loss == pytest.approx(sklearn.metrics.log_loss(truth, p), rel=1e-6)
    matrix = sklearn.metrics.confusion_matrix(truth, predicted)
    assert decide(predictions, FOUR).confusion().to_numpy().tolist() == matrix.tolist()


@pytest.mark.parametrize("average", ["macro", "weighted"])
def test_a_class_that_is_never_predicted_counts_zero_as_in_scikit_learn(average):
    rng = np.random.default_rng(6)
    for _ in range(20):
        labels = rng.permutation(FOUR * 3)
        predicted = rng.choice(FOUR[:3], 12)  # never the last
        result = scores(predicting(labels, predicted, FOUR), FOUR, average=average)
        expected = sklearn.metrics.precision_recall_fscore_support(labels, predicted, average=average, zero_division=0)
        assert (result.precision, result.recall, result.f1) == pytest.approx(expected[:3])


@pytest.mark.parametrize("average", ["macro", "weighted"])
def test_averages_over_two_classes_are_those_of_scikit_learn(average):
    rng = np.random.default_rng(7)
    for _ in range(20):
        labels = np.where(rng.random(30) < 0.3, "yes", "no")
        labels[:2] = ["no", "yes"]
        predictions = binary(labels, rng.random(30))
        predicted = np.where(predictions["p_yes"] > 0.4, "yes", "no")
        result = scores(predictions, ["no", "yes"], "yes", 0.4, average)
        expected = sklearn.metrics.precision_recall_fscore_support(labels, predicted, average=average, zero_division=0)
        assert (result.precision, result.recall, result.f1) == pytest.approx(expected[:3])
        # The specificity of a class is the sensitivity of the other one.
        recall = sklearn.metrics.recall_score(labels, predicted, average=None)[::-1]
        weights = np.unique(labels, return_counts=True)[1] if average == "weighted" else None
        assert result.specificity == pytest.approx(np.average(recall, weights=weights))


def test_a_collapsed_model_has_the_weighted_averages_that_lu_prints():
    # Table VI, VGG16: 141 images, 50 of them normal, every one predicted as normal.
    classes = ["normal", "pituitary"]
    predictions = predicting(["normal"] * 50 + ["pituitary"] * 91, ["normal"] * 141, classes)
    result = scores(predictions, classes, average="weighted")
    printed = [result.accuracy, result.precision, result.recall, result.f1]
    assert [f"{100 * value:.2f}" for value in printed] == ["35.46", "12.57", "35.46", "18.57"]
    macro = scores(predictions, classes, average="macro")
    assert (macro.precision, macro.recall) == pytest.approx((50 / 141 / 2, 0.5))
    assert macro.f1 == pytest.approx(100 / 191 / 2)
    of_tumour = scores(predictions, classes, "pituitary")
    assert of_tumour.recall == 0.0
    assert np.isnan([of_tumour.precision, of_tumour.f1]).all()


def test_a_weighted_sensitivity_is_one_count_over_another_and_no_other_average_is():
    decisions = decide(HAJHASHEM, ["no", "yes"], average="weighted")
    assert decisions.proportions == ("accuracy", "sensitivity", "recall")
    for metric in decisions.proportions:
        assert decisions.outcomes(metric)[0].mean() == 43 / 51
        assert decisions.value(metric) == 43 / 51
    assert decide(HAJHASHEM, ["no", "yes"], average="macro").proportions == ("accuracy",)


def test_more_than_two_classes_have_only_an_accuracy_and_a_loss_until_one_or_an_average_is_named():
    decisions = decide(random_four(1)[2], FOUR)
    assert decisions.proportions == ("accuracy",)
    assert 0 < decisions.value("accuracy") < 1
    assert decisions.value("loss") > 0
    for metric in set(METRICS) - {"accuracy", "loss"}:
        with pytest.raises(UsageError, match="name a class or an average"):
            decisions.value(metric)


def test_the_loss_is_the_mean_cross_entropy_of_the_true_class_in_nats():
    p = [[0.5, 0.25, 0.125, 0.125], [0.25, 0.25, 0.25, 0.25]]
    # ln 2 for the half, ln 8 for the eighth, ln 4 twice for the quarter.
    for labels, expected in ((["glioma", "none"], math.log(2 * 4) / 2), (["none", "none"], math.log(8 * 4) / 2)):
        assert decide(table(labels, p, FOUR), FOUR).value("loss") == pytest.approx(expected)


def test_the_loss_of_a_certainty_is_clipped_as_keras_does():
    wrong, right = binary(["yes"], [0.0]), binary(["yes"], [1.0])
    assert decide(wrong, ["no", "yes"]).value("loss") == pytest.approx(7 * math.log(10))
    assert decide(right, ["no", "yes"]).value("loss") == pytest.approx(1e-7)


def test_renaming_and_reordering_the_classes_and_the_rows_changes_no_score():
    predictions = random_four(4)[2]
    shuffled = predictions.sample(frac=1, random_state=0)
    for named in ({"average": "macro"}, {"average": "weighted"}, {"positive": "none"}):
        one, other = scores(predictions, FOUR, **named), scores(shuffled, FOUR[::-1], **named)
        assert vars(one) == pytest.approx(vars(other))


@pytest.mark.parametrize(
    ("labels", "p_yes", "undefined", "defined"),
    [
        # No positive image, no negative one, no positive prediction; F1 is 0 where precision and recall are.
        (["no"] * 4, [0.1, 0.2, 0.9, 0.3], "sensitivity recall f1 auc", {"specificity": 0.75, "precision": 0.0}),
        (["yes"] * 4, [0.9, 0.8, 0.2, 0.7], "specificity auc", {"sensitivity": 0.75, "precision": 1.0}),
        (["yes", "no", "no"], [0.4, 0.1, 0.2], "precision f1", {"sensitivity": 0, "specificity": 1, "auc": 1}),
        (["yes", "no"], [0.1, 0.9], "", {"precision": 0, "recall": 0, "f1": 0}),
    ],
)
def test_what_images_do_not_define_is_undefined_and_the_rest_defined(labels, p_yes, undefined, defined):
    result = vars(scores(binary(labels, p_yes), ["no", "yes"]))
    assert {name for name, value in result.items() if np.isnan(value)} == set(undefined.split())
    assert {name: result[name] for name in defined} == defined


def test_a_class_without_images_leaves_a_macro_average_undefined_and_has_no_weight():
    labels, predicted = ["glioma", "glioma", "none"], ["glioma", "pituitary", "none"]
    predictions = predicting(labels, predicted, FOUR)
    macro = scores(predictions, FOUR, average="macro")
    undefined = [macro.precision, macro.recall, macro.specificity, macro.f1, macro.auc]
    assert np.isnan(undefined).all()
    assert macro.accuracy == 2 / 3
    weighted = scores(predictions, FOUR, average="weighted")
    assert (weighted.precision, weighted.recall) == pytest.approx((1.0, 2 / 3))
    assert weighted.f1 == pytest.approx((2 * (2 / 3) + 1 * 1) / 3)
    assert weighted.specificity == 1.0


def test_images_of_a_single_class_define_no_specificity_and_no_area():
    weighted = scores(binary(["no"] * 3, [0.1, 0.2, 0.9]), ["no", "yes"], average="weighted")
    assert np.isnan([weighted.specificity, weighted.auc]).all()
    assert (weighted.precision, weighted.f1) == pytest.approx((1.0, 0.8))


def test_the_threshold_itself_is_negative_as_keras_has_it():
    predictions = binary(["yes", "yes", "no"], [0.5, 0.75, 0.25])
    assert decide(predictions, ["no", "yes"]).labels.tolist() == ["no", "yes", "no"]
    assert decide(predictions, ["no", "yes"], threshold=0.2).labels.tolist() == ["yes"] * 3
    assert decide(predictions, ["no", "yes"], None, None).labels.tolist() == ["no", "yes", "no"]
    assert decide(predictions, ["no", "yes"], "no", 0.6).labels.tolist() == ["yes", "yes", "no"]


def test_the_area_counts_ties_as_halves_and_is_undefined_for_one_class():
    truth = np.array([True, True, False, False])
    # Pairs: 0.7 beats both, 0.4 ties one and loses none to 0.1.
    assert area_under_roc(truth, np.array([0.7, 0.4, 0.4, 0.1])) == 3.5 / 4
    assert area_under_roc(truth, np.full(4, 0.2)) == 0.5
    assert np.isnan(area_under_roc(np.array([True, True]), np.array([0.1, 0.2])))


@pytest.mark.parametrize("named", [{}, {"average": "macro"}, {"average": "weighted"}, {"positive": "none"}])
def test_images_that_count_several_times_score_like_a_table_that_repeats_them(named):
    if named:
        predictions, classes = random_four(6, n=40)[2], FOUR
    else:
        predictions, classes = HAJHASHEM, ["no", "yes"]
    counts = np.random.default_rng(0).integers(0, 3, (5, len(predictions)))
    decisions = decide(predictions, classes, **named)
    for metric in METRICS:
        found = decisions.values(metric, counts.astype(float))
        for times, value in zip(counts, found, strict=True):
            repeated = predictions.loc[predictions.index.repeat(times)]
            assert value == pytest.approx(decide(repeated, classes, **named).value(metric), nan_ok=True)


def test_scores_of_target_arrays_are_those_of_a_table():
    truth, p, predictions = random_four(9)
    decisions = decide(predictions, FOUR)
    assert accuracy(np.eye(4)[truth], p) == decisions.value("accuracy")
    assert cross_entropy(np.eye(4)[truth], p) == pytest.approx(decisions.value("loss"))
    # One unit: ln 2 for a half, and ln 4 for a quarter of the class that is not there.
    assert cross_entropy(np.array([[1.0], [0.0]]), np.array([[0.5], [0.75]])) == pytest.approx(1.5 * math.log(2))
    assert accuracy(np.array([[1.0], [0.0]]), np.array([[0.51], [0.75]])) == 0.5
    assert math.isnan(accuracy(np.empty((0, 1)), np.empty((0, 1))))
    assert math.isnan(cross_entropy(np.empty((0, 2)), np.empty((0, 2))))


def test_the_scores_of_each_class_stand_above_their_averages():
    labels = ["a"] * 4 + ["b"] * 3 + ["c"]
    predicted = ["a", "a", "a", "b", "b", "a", "a", "a"]  # c is never predicted
    report = decide(predicting(labels, predicted, ["a", "b", "c"]), ["a", "b", "c"]).per_class()
    assert report.index.tolist() == ["a", "b", "c", "macro average", "weighted average"]
    assert report.index.name == "class"
    assert report.columns.tolist() == ["precision", "sensitivity", "f1", "support"]
    assert report["support"].tolist() == [4, 3, 1, 8, 8]
    assert report.loc["a"].tolist() == pytest.approx([3 / 6, 3 / 4, 6 / 10, 4])
    assert report.loc["b"].tolist() == pytest.approx([1 / 2, 1 / 3, 2 / 5, 3])
    assert report.loc["c", "sensitivity"] == 0.0
    assert report.loc["c", ["precision", "f1"]].isna().all()
    # The averages count 0 where c's own row is undefined.
    macro, weighted = report.loc["macro average"], report.loc["weighted average"]
    assert macro.iloc[:3].tolist() == pytest.approx([1 / 3, 13 / 36, 1 / 3])
    assert weighted.iloc[:3].tolist() == pytest.approx([3.5 / 8, 4 / 8, 3.6 / 8])


def test_the_scores_of_each_class_are_those_of_scikit_learns_report():
    truth, p, predictions = random_four(8)
    expected = pd.DataFrame(
        sklearn.metrics.classification_report(truth, p.argmax(axis=1), target_names=FOUR, output_dict=True)
    ).T.drop("accuracy")
    report = decide(predictions, FOUR).per_class()
    assert report.to_numpy(dtype=float) == pytest.approx(expected.to_numpy(dtype=float))
    binary_report = decide(HAJHASHEM, ["no", "yes"], threshold=0.85).per_class()
    assert binary_report.loc["yes"].tolist() == pytest.approx([1.0, 23 / 25, 46 / 48, 25])


@pytest.mark.parametrize(
    ("truth", "predicted", "collapsed"),
    [("abc", "bbb", "b"), ("abc", "bba", None), ("bb", "bb", None)],  # the last is never wrong
)
def test_a_model_that_gives_every_image_one_class_has_collapsed_to_it(truth, predicted, collapsed):
    assert decide(predicting(list(truth), list(predicted), list("abc")), "abc").collapsed == collapsed


@pytest.mark.parametrize(
    ("positive", "threshold", "collapsed"),
    [(None, 0.5, "yes"), (None, 0.7, None), ("no", 0.3, None), (None, 0.95, "no")],
)
def test_whether_a_model_of_two_classes_has_collapsed_depends_on_the_threshold(positive, threshold, collapsed):
    assert decide(binary(["no", "yes"], [0.6, 0.9]), ["no", "yes"], positive, threshold).collapsed == collapsed


def _with(column, value):
    broken = HAJHASHEM.astype({"p_no": object, "p_yes": object, "group": object})
    broken.loc[3, column] = value
    return broken


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (HAJHASHEM.drop(columns=["p_no", "group"]), "expected columns group, p_no, received path"),
        (HAJHASHEM.iloc[:0], "empty table"),
        (_with("label", "maybe"), "expected labels of no, yes, received maybe"),
        (_with("label", np.nan), "received nan"),
        (_with("p_yes", np.nan), "nan] for 3.png"),
        (_with("p_yes", 0.5), "0.5] for 3.png"),
        (_with("p_yes", "high"), "expected numbers"),
        (_with("p_yes", np.inf), "inf] for 3.png"),
        (_with("part", "holdout"), "expected one part of train, validation, test, received holdout, test"),
        (_with("part", "train"), "received test, train"),
        (_with("group", None), "a group for every image"),
        (HAJHASHEM.assign(p_no=-0.5, p_yes=1.5), "[-0.5, 1.5] for 0.png"),
    ],
)
def test_a_table_that_cannot_be_trusted_is_refused_in_one_line(broken, message):
    with pytest.raises(DataError) as caught:
        scores(broken, ["no", "yes"])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_probabilities_may_miss_a_sum_of_one_by_rounding_and_no_more():
    nearly = HAJHASHEM.assign(p_no=HAJHASHEM["p_no"] * 0.9991)
    assert scores(nearly, ["no", "yes"]).accuracy == 43 / 51
    with pytest.raises(DataError, match="sum to 1"):
        scores(HAJHASHEM.assign(p_no=HAJHASHEM["p_no"] * 0.998), ["no", "yes"])


@pytest.mark.parametrize(
    "call",
    [
        lambda: scores(HAJHASHEM, ["yes"]),
        lambda: scores(HAJHASHEM, ["yes", "yes"]),
        lambda: scores(HAJHASHEM, ["no", "yes"], "tumour"),
        lambda: scores(HAJHASHEM, ["no", "yes"], threshold=50),
        lambda: scores(HAJHASHEM, ["no", "yes"], threshold=np.nan),
        lambda: decide(HAJHASHEM, ["no", "yes"]).outcomes("auc"),
        lambda: decide(HAJHASHEM, ["no", "yes"], average="macro").outcomes("sensitivity"),
        lambda: decide(random_four(5)[2], FOUR, average="weighted").outcomes("precision"),
        lambda: decide(random_four(5)[2], FOUR, average="micro"),
        lambda: decide(random_four(5)[2], FOUR, "none", average="macro"),
        lambda: decide(random_four(5)[2], FOUR).value("f1"),
        lambda: decide(HAJHASHEM, ["no", "yes"]).value("kappa"),
    ],
)
def test_a_question_that_has_no_answer_is_refused_in_one_line(call):
    with pytest.raises(BrainlibError, match=r"\Aexpected .*, received .*\Z"):
        call()


def test_youdens_threshold_has_the_largest_sum_of_sensitivity_and_specificity():
    # Positives 0.4, 0.6, 0.9, negatives 0.1, 0.2, 0.65: between 0.2 and 0.4: 1 + 2/3; at 0.5: 2/3 twice.
    table = binary([1, 1, 1, 0, 0, 0], [0.4, 0.6, 0.9, 0.1, 0.2, 0.65])
    decisions = decide(table, ["no", "yes"], threshold="youden")
    assert (decisions.value("sensitivity"), decisions.value("specificity")) == (1, pytest.approx(2 / 3))
    assert decide(table, ["no", "yes"]).value("sensitivity") == pytest.approx(2 / 3)
