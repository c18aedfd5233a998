"""Scores against confusion matrices counted by hand and against scikit-learn."""

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics

from brainlib.errors import BrainlibError, DataError, UsageError
from brainlib.metrics import (
    METRICS,
    area_under_roc,
    confusion,
    count,
    decide,
    predicted_labels,
    scores,
    select_part,
)

pytestmark = pytest.mark.filterwarnings("error")

FOUR = ["glioma", "meningioma", "none", "pituitary"]


def table(labels, probabilities, classes, part="test"):
    """A predictions table as a trial stores it, float32 and all."""
    frame = pd.DataFrame(
        {
            "path": [f"{i}.png" for i in range(len(labels))],
            "label": list(labels),
            "part": part,
            "group": np.arange(len(labels)),
        }
    )
    columns = pd.DataFrame(
        np.asarray(probabilities, dtype=np.float32).reshape(len(labels), len(classes)),
        columns=[f"p_{name}" for name in classes],
    )
    return pd.concat([frame, columns], axis=1)


def binary(labels, p_yes, part="test"):
    p_yes = np.asarray(p_yes, dtype=float)
    return table(labels, np.stack([1 - p_yes, p_yes], axis=1), ["no", "yes"], part)


def random_four(seed, n=200):
    """Four classes, none absent or never predicted at this size, hits two times out of three."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 4, n)
    logits = rng.normal(size=(n, 4))
    logits[np.arange(n), truth] += 1.5
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return truth, p, table(np.array(FOUR)[truth], p, FOUR)


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
    assert (result.n, result.averaging) == (51, "positive class 'yes'")


def test_the_confusion_matrix_is_labelled_true_by_predicted():
    matrix = confusion(HAJHASHEM, ["no", "yes"])
    assert matrix.loc["yes"].tolist() == [2, 23]
    assert matrix.loc["no"].tolist() == [20, 6]
    assert (matrix.index.name, matrix.columns.name) == ("true", "predicted")


@pytest.mark.parametrize(
    ("metric", "k", "n"),
    [
        ("accuracy", 43, 51),
        ("sensitivity", 23, 25),
        ("recall", 23, 25),
        ("specificity", 20, 26),
        ("precision", 23, 29),
    ],
)
def test_each_proportion_has_the_counts_behind_it(metric, k, n):
    assert count(metric, HAJHASHEM, ["no", "yes"]) == (k, n)


def test_naming_the_other_class_positive_swaps_sensitivity_and_specificity():
    one = scores(HAJHASHEM, ["no", "yes"], "yes")
    other = scores(HAJHASHEM, ["no", "yes"], "no")
    assert (other.sensitivity, other.specificity) == (one.specificity, one.sensitivity)
    assert other.precision == 20 / 22
    assert (other.accuracy, other.auc) == pytest.approx((one.accuracy, one.auc))


def test_binary_scores_agree_with_scikit_learn():
    rng = np.random.default_rng(0)
    for _ in range(20):
        truth = rng.random(60) < 0.4
        p = np.round(np.clip(rng.normal(0.35 + 0.3 * truth, 0.25), 0, 1), 2)
        predictions = binary(np.where(truth, "yes", "no"), p)
        result = scores(predictions, ["no", "yes"], "yes", threshold=0.4)
        p = predictions["p_yes"].to_numpy(dtype=float)
        called = p > 0.4
        assert result.accuracy == pytest.approx(sklearn.metrics.accuracy_score(truth, called))
        assert result.precision == pytest.approx(sklearn.metrics.precision_score(truth, called))
        assert result.recall == pytest.approx(sklearn.metrics.recall_score(truth, called))
        assert result.specificity == pytest.approx(
            sklearn.metrics.recall_score(truth, called, pos_label=False)
        )
        assert result.f1 == pytest.approx(sklearn.metrics.f1_score(truth, called))
        assert result.auc == pytest.approx(sklearn.metrics.roc_auc_score(truth, p))


def test_scores_of_four_classes_are_the_macro_averages_of_scikit_learn():
    truth, p, predictions = random_four(1)
    result = scores(predictions, FOUR)
    called = p.argmax(axis=1)
    macro = {"average": "macro"}
    assert result.accuracy == pytest.approx((truth == called).mean())
    precision = sklearn.metrics.precision_score(truth, called, **macro)
    assert result.precision == pytest.approx(precision)
    assert result.recall == pytest.approx(sklearn.metrics.recall_score(truth, called, **macro))
    assert result.f1 == pytest.approx(sklearn.metrics.f1_score(truth, called, **macro))
    assert result.auc == pytest.approx(
        sklearn.metrics.roc_auc_score(truth, p, multi_class="ovr", **macro)
    )
    assert result.averaging == "macro average over 4 classes, each against the rest"
    matrix = sklearn.metrics.confusion_matrix(truth, called)
    assert confusion(predictions, FOUR).to_numpy().tolist() == matrix.tolist()


def test_a_class_named_among_four_is_scored_against_the_rest():
    truth, p, predictions = random_four(2)
    called = p.argmax(axis=1)
    result = scores(predictions, FOUR, positive="none")
    report = sklearn.metrics.classification_report(
        truth, called, target_names=FOUR, output_dict=True
    )["none"]
    assert result.precision == pytest.approx(report["precision"])
    assert result.recall == pytest.approx(report["recall"])
    assert result.f1 == pytest.approx(report["f1-score"])
    assert result.accuracy == pytest.approx((truth == called).mean())
    assert count("sensitivity", predictions, FOUR, "none")[1] == report["support"]


def test_macro_averages_are_the_means_of_the_classes_against_the_rest():
    predictions = random_four(3)[2]
    whole = scores(predictions, FOUR)
    each = [scores(predictions, FOUR, positive=name) for name in FOUR]
    for metric in METRICS[1:]:
        assert getattr(whole, metric) == pytest.approx(np.mean([getattr(s, metric) for s in each]))


def test_renaming_and_reordering_the_classes_and_the_rows_changes_no_score():
    predictions = random_four(4)[2]
    shuffled = predictions.sample(frac=1, random_state=0)
    one, other = scores(predictions, FOUR), scores(shuffled, FOUR[::-1])
    for metric in METRICS:
        assert getattr(one, metric) == pytest.approx(getattr(other, metric))


def test_no_positive_image_leaves_sensitivity_f1_and_auc_undefined_and_the_rest_defined():
    result = scores(binary(["no"] * 4, [0.1, 0.2, 0.9, 0.3]), ["no", "yes"])
    assert np.isnan([result.sensitivity, result.recall, result.f1, result.auc]).all()
    assert (result.accuracy, result.specificity, result.precision) == (0.75, 0.75, 0.0)


def test_no_negative_image_leaves_specificity_and_auc_undefined():
    result = scores(binary(["yes"] * 4, [0.9, 0.8, 0.2, 0.7]), ["no", "yes"])
    assert np.isnan([result.specificity, result.auc]).all()
    assert (result.sensitivity, result.precision) == (0.75, 1.0)


def test_no_positive_prediction_leaves_precision_and_f1_undefined():
    result = scores(binary(["yes", "no", "no"], [0.4, 0.1, 0.2]), ["no", "yes"])
    assert np.isnan([result.precision, result.f1]).all()
    assert (result.sensitivity, result.specificity, result.auc) == (0.0, 1.0, 1.0)


def test_f1_is_zero_where_precision_and_recall_are_zero_and_defined():
    assert scores(binary(["yes", "no"], [0.1, 0.9]), ["no", "yes"]).f1 == 0.0


def test_a_macro_average_over_a_class_that_is_absent_is_undefined():
    p = np.full((3, 4), 0.1) + np.diag([0.6] * 4)[[0, 1, 2]]
    result = scores(table(["glioma", "meningioma", "none"], p, FOUR), FOUR)
    assert result.accuracy == 1.0
    assert np.isnan([result.precision, result.recall, result.f1, result.auc]).all()


def test_the_threshold_itself_is_negative_as_keras_has_it():
    predictions = binary(["yes", "yes", "no"], [0.5, 0.75, 0.25])
    assert predicted_labels(predictions, ["no", "yes"]).tolist() == ["no", "yes", "no"]
    assert predicted_labels(predictions, ["no", "yes"], threshold=0.2).tolist() == ["yes"] * 3
    assert predicted_labels(predictions, ["no", "yes"], None, None).tolist() == ["no", "yes", "no"]
    assert predicted_labels(predictions, ["no", "yes"], "no", 0.6).tolist() == ["yes", "yes", "no"]


def test_the_last_of_two_classes_is_positive_unless_named():
    assert decide(HAJHASHEM, ["no", "yes"]).averaging == "positive class 'yes'"
    assert scores(HAJHASHEM, ["yes", "no"]).sensitivity == 20 / 26


def test_the_area_counts_ties_as_halves_and_is_undefined_for_one_class():
    truth = np.array([True, True, False, False])
    # Pairs: 0.7 beats both, 0.4 ties one and loses none to 0.1.
    assert area_under_roc(truth, np.array([0.7, 0.4, 0.4, 0.1])) == 3.5 / 4
    assert area_under_roc(truth, np.full(4, 0.2)) == 0.5
    assert np.isnan(area_under_roc(np.array([True, True]), np.array([0.1, 0.2])))


def test_taking_rows_with_repeats_scores_those_rows():
    decisions = decide(HAJHASHEM, ["no", "yes"])
    rows = np.array([0, 0, 0, 24, 25, 50])  # three hits, a miss, a false alarm, a true negative
    taken = decisions.take(rows)
    assert (taken.value("sensitivity"), taken.value("specificity")) == (0.75, 0.5)
    assert taken.groups.tolist() == rows.tolist()


def test_one_part_is_selected_and_a_mixture_of_parts_is_refused():
    mixed = pd.concat([HAJHASHEM, binary(["yes", "no"], [0.1, 0.9], part="train")])
    assert scores(select_part(mixed, "test"), ["no", "yes"]).n == 51
    assert scores(select_part(mixed, "train"), ["no", "yes"]).accuracy == 0.0
    with pytest.raises(DataError, match="expected one part .* received test, train"):
        scores(mixed, ["no", "yes"])
    with pytest.raises(DataError, match="'validation', received parts: test, train"):
        select_part(mixed, "validation")
    with pytest.raises(UsageError, match="received 'valid'"):
        select_part(mixed, "valid")
    with pytest.raises(DataError, match="'part'"):
        select_part(mixed.drop(columns="part"), "test")


def _with(column, value):
    broken = HAJHASHEM.astype({"p_no": object, "p_yes": object, "group": object})
    broken.loc[3, column] = value
    return broken


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (HAJHASHEM.drop(columns=["p_no", "group"]), "expected columns group, p_no, received path"),
        (HAJHASHEM.iloc[:0], "empty table"),
        (_with("label", "maybe"), "expected labels of no, yes, received maybe"),
        (_with("label", np.nan), "received nan"),
        (_with("p_yes", np.nan), "nan] for 3.png"),
        (_with("p_yes", 0.5), "0.5] for 3.png"),
        (_with("p_yes", "high"), "expected numbers"),
        (_with("p_yes", np.inf), "inf] for 3.png"),
        (_with("part", "holdout"), "received holdout, test"),
        (_with("group", None), "a group for every image"),
        (HAJHASHEM.assign(p_no=-0.5, p_yes=1.5), "[-0.5, 1.5] for 0.png"),
    ],
)
def test_a_table_that_cannot_be_trusted_is_refused_in_one_line(broken, said):
    with pytest.raises(DataError) as caught:
        scores(broken, ["no", "yes"])
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_probabilities_may_miss_a_sum_of_one_by_rounding_and_no_more():
    assert scores(HAJHASHEM.assign(p_no=HAJHASHEM["p_no"] * 0.9999), ["no", "yes"]).n == 51
    with pytest.raises(DataError, match="sum to 1"):
        scores(HAJHASHEM.assign(p_no=HAJHASHEM["p_no"] * 0.999), ["no", "yes"])


@pytest.mark.parametrize(
    "call",
    [
        lambda: scores(HAJHASHEM, ["yes"]),
        lambda: scores(HAJHASHEM, ["yes", "yes"]),
        lambda: scores(HAJHASHEM, ["no", "yes"], "tumour"),
        lambda: scores(HAJHASHEM, ["no", "yes"], threshold=50),
        lambda: scores(HAJHASHEM, ["no", "yes"], threshold=np.nan),
        lambda: count("f1", HAJHASHEM, ["no", "yes"]),
        lambda: count("precision", random_four(5)[2], FOUR),
        lambda: decide(HAJHASHEM, ["no", "yes"]).value("kappa"),
    ],
)
def test_a_question_that_has_no_answer_is_refused_in_one_line(call):
    with pytest.raises(BrainlibError, match=r"\Aexpected .*, received .*\Z"):
        call()
