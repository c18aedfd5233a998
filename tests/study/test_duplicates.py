"""Scores without duplicates, from predictions whose duplicates and errors are known by hand."""

from __future__ import annotations

import dataclasses
import gc
import math
import weakref

import numpy as np
import pandas as pd
import pytest
from made_up import predictions, result, study_of, with_images

from brainlib.report.tables import claims, comparisons
from brainlib.study import duplicates
from brainlib.study.results import Results
from brainlib.study.verdicts import judge


def with_training(made, train):
    """The same result with these training images besides its own."""
    train = train.assign(phase=made.trial.phases[-1].name)
    return dataclasses.replace(made, predictions=pd.concat([made.predictions, train], ignore_index=True))


def with_duplicates(trial, *, duplicates):
    """Of 100 test images 90 are right; the first `duplicates` positives, all right, are in training too."""
    train = predictions("train", 100, 0, 0, 100)
    train["group"] += 1000
    train.loc[: duplicates - 1, "group"] = np.arange(duplicates)
    return with_training(result(trial, (45, 5, 5, 45)), train)


@pytest.fixture
def hajhashem(tmp_path):
    def of(duplicates):
        study = study_of("hajhashem", tmp_path)
        (trial,) = study.trials()
        return Results(study, {("", "resnet18", "final"): with_duplicates(trial, duplicates=duplicates)})

    return of


def test_copies_of_training_images_leave_the_score(hajhashem):
    accuracy, sensitivity, specificity, _ = duplicates.duplicate_effects(hajhashem(20))
    assert (accuracy.published.value, accuracy.published.n) == (0.9, 100)
    # 70 of 80 are right without the twenty duplicates, which were all right.
    assert (accuracy.without_duplicates.value, accuracy.without_duplicates.n) == (0.875, 80)
    assert (accuracy.leaked.value, accuracy.leaked.n) == (1.0, 20)
    assert accuracy.difference == pytest.approx(-0.025)
    assert accuracy.low < -0.025 < accuracy.high <= 0  # leaving out what is right never helps
    assert sensitivity.without_duplicates.value == pytest.approx(25 / 30)
    assert specificity.difference == 0 and specificity.leaked.n == 0
    unchanged = duplicates.duplicate_effects(hajhashem(0))[0]
    assert unchanged.without_duplicates == unchanged.published
    assert unchanged.difference == 0 and math.isnan(unchanged.leaked.value)


def test_a_test_set_of_copies_alone_leaves_nothing(hajhashem):
    results = hajhashem(10)
    trial = results.trials["", "resnet18", "final"]
    trial.predictions.loc[trial.predictions["part"] == "train", "group"] = np.resize(np.arange(100), 200)
    accuracy = duplicates.duplicate_effects(results)[0]
    assert math.isnan(accuracy.without_duplicates.value) and accuracy.without_duplicates.n == 0
    assert math.isnan(accuracy.difference)
    claim = next(each for each in judge(results) if each.id == "abstract.accuracy")
    assert math.isnan(claim.without_duplicates.value) and claim.verdict_without_duplicates == "inconclusive"


def test_results_are_freed_after_their_duplicates_were_computed(hajhashem):
    results = hajhashem(20)
    duplicates.duplicate_effects(results)
    kept = weakref.ref(results)
    del results
    gc.collect()
    assert kept() is None


def test_each_claim_is_judged_twice(hajhashem):
    results = hajhashem(20)
    judged = {each.id: each for each in judge(results)}
    claim = judged["abstract.accuracy"]
    left = {each.metric.name for each in judged.values() if each.reproduced and not each.without_duplicates}
    assert left <= {"images", "training_seconds", "count", "errors"}  # which do not change
    # 84.31 % is printed; Wilson for 70 of 80 is 78.5 to 93.1 %.
    assert (claim.without_duplicates.value, claim.verdict_without_duplicates) == (0.875, "inconclusive")
    rows = claims.verdicts(results).frame.set_index("claim")
    row = rows.loc[["resnet18 – test: accuracy"]].iloc[0]
    assert (row["n"], row["without duplicates"], row["n without"]) == (100, 0.875, 80)


def test_a_retrained_model_stands_beside_the_published_one(hajhashem):
    results = hajhashem(20)
    results.retrained = hajhashem(0)
    table = comparisons.duplicates(results)
    assert "20 of 100" in table.caption
    first = table.frame.iloc[0]
    # Each image is its own group: Wilson's interval of 90 of 100.
    name = "retrained, duplicates kept apart"
    found = list(first[[name, f"{name} low", f"{name} high", "images retrained"]])
    assert found == pytest.approx([0.9, 0.8256, 0.9448, 100], abs=1e-4)
    assert first["difference"] == pytest.approx(-0.025)
    assert "--retrain" in comparisons.duplicates(hajhashem(20)).caption


def beside(results, retrained):
    """The accuracy of a retrained model beside a published one."""
    results.retrained = retrained
    return duplicates.duplicate_effects(results)[0].retrained


def test_a_retrained_score_knows_no_more_than_its_groups_of_copies(hajhashem):
    other = hajhashem(0)
    table = other.trials["", "resnet18", "final"].predictions
    test = table.index[table["part"] == "test"]
    wrong = test[45:55]
    table.loc[wrong, "group"] = 9
    table.loc[test.difference(wrong), "group"] = np.arange(90) // 10
    accuracy = beside(hajhashem(0), other)
    # Of ten groups of ten one is wrong: Wilson's interval of 9 of 10, and as if independent of 90 of 100.
    assert (accuracy.value, accuracy.n) == (0.9, 100)
    assert (accuracy.low, accuracy.high) == pytest.approx((0.5958, 0.9821), abs=1e-4)
    assert (accuracy.naive.low, accuracy.naive.high) == pytest.approx((0.8256, 0.9448), abs=1e-4)
    assert accuracy.design_effect == pytest.approx(10)


def test_a_retrained_model_that_is_always_right_has_an_interval(hajhashem):
    other = hajhashem(0)
    table = other.trials["", "resnet18", "final"].predictions
    table["p_yes"] = np.where(table["label"] == "yes", 0.9, 0.1)
    table["p_no"] = 1 - table["p_yes"]
    accuracy = beside(hajhashem(0), other)
    assert accuracy.value == accuracy.high == 1 and accuracy.low == pytest.approx(0.963, abs=0.001)  # Wilson


def test_the_groups_of_the_audit_replace_those_that_were_stored(hajhashem):
    results = hajhashem(0)
    paths = results.trials["", "resnet18", "final"].predictions["path"]
    table = pd.DataFrame({"path": paths, "patient": None})
    results = with_images(results, table=table, duplicates=np.arange(len(paths)) % 150)
    left = results.without_duplicates.predictions("resnet18", "test")
    # Of 100 test and 200 training images, numbers 0 to 99 come again at 150 to 249.
    assert left.empty


def test_the_mean_of_folds_has_a_difference_paired_by_fold(jardim):
    # Without duplicates fold 1 has 98.00 %, as published; of the others one duplicate each is left out, all right.
    for number in (2, 3):
        key = "", "cnn", f"fold {number}"
        jardim.trials[key] = with_training(jardim.trials[key], predictions("train", 1, 0, 0, 0))
    found = [s for s in duplicates.duplicate_effects(jardim) if s.score == duplicates.FOLDS]
    assert [score.arm for score in found] == ["cnn", "transfer"]
    cnn, transfer = found
    expected = np.mean([784 / 800, 779 / 799, 775 / 799])
    assert cnn.without_duplicates.value == pytest.approx(expected) and cnn.leaked.n == 2
    changes = [0, 779 / 799 - 780 / 800, 775 / 799 - 776 / 800]
    assert cnn.difference == pytest.approx(np.mean(changes))
    half_width = 4.3027 * np.std(changes, ddof=1) / np.sqrt(3)
    assert cnn.low == pytest.approx(np.mean(changes) - half_width, rel=1e-3)
    assert transfer.difference == 0
