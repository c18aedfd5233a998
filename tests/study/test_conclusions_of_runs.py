"""What papers conclude, judged on predictions whose scores are known by hand."""

from __future__ import annotations

import numpy as np
import pytest
from made_up import dataset_of, result, study_of, with_images

from brainlib.study.conclusions import judge
from brainlib.study.results import Results


def by_id(results):
    return {each.id: each for each in judge(results)}


def test_a_difference_on_the_same_images_decides_an_order(jardim):
    # 598 against 588 of 600, with 2 and 12 errors on different images: 1.67 points, standard error 0.62. The made-up
    # probabilities are 0.9 or 0.1, so that the AUC is the balanced accuracy: 0.997 against 0.980.
    found = by_id(jardim)["cnn_ahead"]
    accuracy = next(reason for reason in found.reasons if "test, accuracy" in reason)
    assert "CNN without transfer learning 99.67 %, ResNet50V2 with transfer learning 98.00 %" in accuracy
    assert accuracy.startswith("holds") and "(difference " in accuracy
    # Of tumours 297 and 292 of 297 are found, of others 301 and 296 of 303: at least 0.1 points apart.
    assert found.verdict == "holds" and found.p_false is None


def test_the_other_order_does_not_hold_nor_does_one_of_equal_predictions(jardim):
    cnn, transfer = (jardim.trials["", arm, "final"].trial for arm in ("cnn", "transfer"))
    worse = {
        ("", "cnn", "final"): result(cnn, (270, 27, 2, 301)),
        ("", "transfer", "final"): result(transfer, (297, 0, 2, 301)),
    }
    assert by_id(Results(jardim.study, jardim.trials | worse))["cnn_ahead"].verdict == "does not hold"
    same = {("", "transfer", "final"): result(transfer, (297, 0, 2, 301))}
    tied = by_id(Results(jardim.study, jardim.trials | same))["cnn_ahead"]
    assert tied.verdict == "does not hold" and "ResNet50V2 with transfer learning 99.67 %" in tied.reasons[0]


def test_a_ratio_of_times_is_judged_on_any_machine(jardim):
    # 12 s for every fold of both: a ratio of 1 where 3 was printed, without any variation.
    found = by_id(jardim)["times"]
    assert "ratio 1" in found.reasons[0] and found.verdict in ("does not hold", "not decided")
    for number, fold in enumerate(jardim.folds):
        facts = jardim.trials["", "cnn", fold].facts
        seconds = facts["seconds"] | {"training": 36.0 + number}
        object.__setattr__(jardim.trials["", "cnn", fold], "facts", facts | {"seconds": seconds})
    again = by_id(Results(jardim.study, jardim.trials))["times"]
    assert again.verdict == "holds" and "ratio 3.08" in again.reasons[0]


def test_under_a_condition_a_conclusion_is_not_comparable_and_says_what_it_comes_to(jardim):
    found = by_id(with_images(jardim, phantom=True))["cnn_ahead"]
    assert found.verdict == "not comparable"
    assert (found.reasons[0], found.reasons[-1]) == ("here it holds", "3000 phantoms")


def test_what_was_not_run_has_no_number(lu):
    assert by_id(lu)["four.after"].verdict == "no number"  # of one arm
    assert "without numbers: 12 of 12 comparisons" in by_id(lu)["four.after"].reasons


def test_a_least_score_is_judged_by_its_interval(hajhashem):
    # Wilson: 23 of 25 is 75.0 to 97.8 %, 20 of 26 is 57.9 to 89.0 %.
    found = by_id(hajhashem)["high_sensitivity_and_specificity"]
    assert found.verdict == "does not hold" and "specificity" in found.reasons[0]
    assert any(reason.startswith("not decided: test, sensitivity") for reason in found.reasons)


@pytest.mark.parametrize(("groups", "verdict"), [(np.arange(3096), "holds"), (np.arange(3096) // 2, "does not hold")])
def test_whether_duplicates_were_removed_is_what_the_audit_finds(groups, verdict, tmp_path):
    study = study_of("kruszyk", tmp_path, dataset_of("dubail", groups), arms=["resnet50"])
    found = by_id(Results(study, {}))["no_duplicates"]
    assert found.verdict == verdict
    assert f"{'100.0' if verdict == 'holds' else '0.0'}% of 3096 images have no duplicate" in found.reasons[0]
