"""A verdict for every printed number, from predictions whose scores are known by hand."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from made_up import result, study_of, with_images

from brainlib.study.records import PaperResult
from brainlib.study.results import Results
from brainlib.study.verdicts import Verdicts


@pytest.fixture
def hajhashem(tmp_path):
    study = study_of("hajhashem", tmp_path)
    (trial,) = study.trials()
    # The only confusion matrix of 51 images that gives the four printed figures.
    trained = {("", "resnet18", "final"): result(trial, (23, 2, 6, 20))}
    return Verdicts(Results(study, trained))


def verdict_of(verdicts, claim_id):
    return next((e, v) for claim, e, v in verdicts.claims if claim.id == claim_id)


def test_the_implied_confusion_matrix_gives_the_printed_figures(hajhashem):
    for name, value in {
        "abstract.accuracy": 43 / 51,
        "abstract.precision": 23 / 29,
        "abstract.recall": 23 / 25,
        "abstract.f1": 46 / 54,
    }.items():
        assert verdict_of(hajhashem, name)[0].value == pytest.approx(value, abs=1e-12)


def test_fifty_images_confirm_nothing_even_where_every_figure_agrees(hajhashem):
    estimate, verdict = verdict_of(hajhashem, "abstract.accuracy")
    assert estimate.high - estimate.low > 0.15
    assert verdict.verdict == "inconclusive"


def test_each_claim_of_jardim_is_judged_by_its_own_rule(jardim):  # noqa: F811
    verdicts = Verdicts(jardim)

    def said(claim_id):
        return verdict_of(verdicts, claim_id)[1]

    # 598 of 600 right: Wilson's interval 98.79 to 99.91 % lies within two points of 99.67 %.
    assert said("abstract.en.cnn.accuracy").verdict == "reproduced"
    assert said("dataset.images").verdict == "reproduced"
    assert said("dataset.images.yes").verdict == "reproduced"
    assert said("dataset.test_images").verdict == "reproduced"
    assert said("text.t").verdict == "inconclusive"
    assert "no interval" in said("text.t").reasons[0]
    # Unpaired t of 0.6124 on 4 degrees of freedom: p = 0.573.
    estimate, verdict = verdict_of(verdicts, "text.p")
    assert estimate.value == pytest.approx(0.5733, abs=1e-3)
    assert verdict.verdict == "reproduced"
    assert said("text.cnn.training_time").verdict == "not comparable"
    assert "another machine" in said("text.cnn.training_time").reasons[0]
    assert said("methods.epochs").verdict == "not computed"
    assert "protocol.loss" in said("methods.output_units").reasons[0]


def test_what_no_folds_can_give_is_inconsistent_whatever_was_run(jardim):  # noqa: F811
    verdicts = Verdicts(jardim)
    for name in ("text.cnn.sd.accuracy", "table1.cnn.fold1.accuracy"):
        estimate, verdict = verdict_of(verdicts, name)
        assert verdict.verdict == "inconsistent as printed" and math.isfinite(estimate.value)
    assert "0.2967 to 0.3073 %" in verdict_of(verdicts, "text.cnn.sd.accuracy")[1].reasons[0]
    # Its folds were only what the deviation was held against, and that of the transfer arm fits 800.
    assert verdict_of(verdicts, "table1.cnn.mean.accuracy")[1].verdict != "inconsistent as printed"


def test_a_count_of_other_images_is_not_comparable(jardim):
    other = with_images(jardim, table=jardim.study.dataset.table.iloc[:-1], duplicates=np.arange(2999))
    estimate, verdict = verdict_of(Verdicts(other), "dataset.images")
    assert (estimate.value, verdict.verdict) == (2999, "not comparable")
    assert verdict.reasons == ("other images than the paper's",)


def test_a_condition_of_one_arm_does_not_touch_the_other(jardim):  # noqa: F811
    jardim.study.weights["transfer"] = type(jardim.study.weights["transfer"])("random")
    verdicts = Verdicts(jardim)
    assert verdict_of(verdicts, "abstract.en.cnn.accuracy")[1].verdict == "reproduced"
    for name in ("abstract.en.transfer.accuracy", "text.p", "text.t"):
        verdict = verdict_of(verdicts, name)[1]
        assert verdict.verdict == "not comparable"
        assert "transfer: random weights" in verdict.reasons


def test_a_number_printed_in_several_places_has_one_row(jardim):  # noqa: F811
    table = Verdicts(jardim).table().frame
    (row,) = [row for _, row in table.iterrows() if row["claim"] == "cnn – test: accuracy"]
    places = row["where"].split("; ")
    assert len(places) == 4 and places[-1] == "Conclusion"
    assert table["claim"].duplicated().sum() == 0


def test_conditions_are_named_by_their_numbers(jardim):  # noqa: F811
    verdicts = Verdicts(with_images(jardim, phantom=True))
    listed = verdicts.conditions_table().frame
    assert list(listed["number"]) == list(range(1, len(listed) + 1))
    assert list(listed["condition"]) == ["3000 phantoms"]
    table = verdicts.table().frame
    assert set(table["verdict"]) == {"not comparable", "inconsistent as printed"}
    assert table.loc[table["claim"] == "cnn – test: accuracy", "reason"].item() == "condition 1"


@pytest.mark.parametrize("which", ["jardim", "hajhashem"])
def test_what_is_saved_is_what_the_report_reads(which, request):
    given = request.getfixturevalue(which)
    verdicts = given if which == "hajhashem" else Verdicts(given)
    verdicts.save()
    text = (verdicts.study.options.store.parent / "results" / f"{which}.json").read_text()
    json.loads(text, parse_constant=pytest.fail)  # no NaN, which is no JSON
    saved = PaperResult.model_validate_json(text)
    assert [claim.id for claim in saved.claims] == [c.id for c in verdicts.study.paper.claims]
    assert "elsewhere" not in text


def plain(text):
    return str(text).replace("\N{NO-BREAK SPACE}", " ")


def test_over_seeds_stand_each_value_mean_spread_range_and_whether_the_printed_one_is_inside(jardim):  # noqa: F811
    other = Results(jardim.study.at_seed(1), dict(jardim.trials))
    trial = jardim.trials["", "cnn", "final"].trial
    other.trials["", "cnn", "final"] = result(trial, (290, 7, 2, 301))
    verdicts = Verdicts(jardim, [other])
    rows = verdicts.seeds_table().frame.map(plain).set_index("claim")
    row = rows.loc["cnn – test: accuracy"]
    # 598 and 591 of 600.
    assert [row["seed 0"], row["seed 1"]] == ["99.67 %", "98.50 %"]
    # 12.706 standard errors of 0.5833 points either way, of two values.
    assert row["mean (95 %)"] == "99.08 % (91.67 % to 106.50 %)"
    assert (row["range"], row["printed inside"]) == ("98.50 % to 99.67 %", "yes")
    assert row["standard deviation"] == "0.82 %"  # 1.1667 / sqrt 2
    assert rows.loc["transfer – test: accuracy", "printed inside"] == "yes"  # 98 % is printed, 588 are right
    verdicts.save()
    saved = json.loads((jardim.study.options.store.parent / "results" / "jardim.json").read_text())
    saved_claims = {claim["id"]: claim for claim in saved["claims"]}
    accuracy, setting = saved_claims["conclusion.cnn.accuracy"], saved_claims["methods.epochs"]
    assert accuracy["by_seed"] == pytest.approx([598 / 600, 591 / 600])
    assert accuracy["mean_over_seeds"] == pytest.approx([0.99083, 0.9167, 1.0650], abs=1e-4)
    assert (setting["by_seed"], setting["mean_over_seeds"], setting["margin"]) == ([], None, None)
    assert (accuracy["margin"], saved_claims["table1.cnn.variance.accuracy"]["margin"]) == (
        0.02,
        pytest.approx(0.005**2),
    )


def test_the_stored_result_carries_tests_of_arms_folds_and_seeds_and_calibration(jardim):  # noqa: F811
    other = Results(jardim.study.at_seed(1), dict(jardim.trials))
    Verdicts(jardim, [other]).save()
    path = jardim.study.options.store.parent / "results" / "jardim.json"
    saved = PaperResult.model_validate_json(path.read_text())
    said = [(test.on, test.seed, test.score, test.name.split()[0]) for test in saved.tests]
    assert said[:4] == [
        ("test images", seed, score, name)
        for seed in (0, 1)
        for score, name in (("accuracy", "McNemar,"), ("AUC", "DeLong,"))
    ]
    kinds = ("paired", "unpaired", "corrected")
    assert said[4:10] == [(on, 0, "accuracy", name) for on in ("these folds", "printed folds") for name in kinds]
    assert said[10:13] == [("these folds", 1, "accuracy", name) for name in kinds]
    # The printed folds once; then the folds of both seeds as one test.
    assert said[13:] == [("these folds, 2 seeds", 0, "accuracy", "corrected")]
    assert {(test.first, test.second) for test in saved.tests[4:]} == {("transfer", "cnn")}
    printed = next(test for test in saved.tests if test.on == "printed folds")
    assert (printed.t, printed.df) == (pytest.approx(0.3706, abs=1e-4), 2)
    assert [(each.on, each.seed) for each in saved.equivalences] == [
        ("these folds", 0),
        ("printed folds", 0),
        ("these folds", 1),
    ]
    first = saved.calibration[0]
    # All are called with 0.9; of the CNN 598 of 600 are right.
    assert (first.arm, first.curve[0].images) == ("cnn", 600)
    assert first.error[0] == pytest.approx(598 / 600 - 0.9)


def test_one_seed_has_no_spread_and_says_how_to_get_one(jardim):  # noqa: F811
    table = Verdicts(jardim).seeds_table()
    assert table.frame.empty and "--seeds 5" in table.caption


def test_another_seed_is_another_split_of_the_same_images(jardim):  # noqa: F811
    study = jardim.study
    other = study.at_seed(3)
    assert other.dataset is study.dataset and other.options.seeds == 1
    first, second = study.trials()[0], other.trials()[0]
    assert (first.seed, second.seed, second.split.seed) == (0, 3, 3)
    assert first.key != second.key


def test_a_printed_accuracy_has_the_sampling_error_of_its_images(jardim):  # noqa: F811
    rows = Verdicts(jardim).table().frame.set_index("claim")
    # Wilson for 598 of 600; of how many images the sensitivity is, the paper does not say.
    assert rows.loc["cnn – test: accuracy", "its own 95 %"] == "98.79 to 99.91"
    assert rows.loc["cnn – test: sensitivity", "its own 95 %"] == "–"
