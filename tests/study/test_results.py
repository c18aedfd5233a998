"""Results, from predictions whose scores are known by hand."""

from __future__ import annotations

import pytest
from made_up import result

from brainlib.errors import UsageError


def test_confusion_is_rows_true_by_columns_predicted(jardim):
    assert jardim.fold_values("cnn", "accuracy") == pytest.approx([0.98, 0.975, 0.97])
    assert jardim.confusion("transfer").to_numpy().tolist() == [[296, 7], [5, 292]]


def test_judged_on_the_best_epoch_takes_that_epochs_predictions(jardim):
    trial = jardim.trials["", "cnn", "final"].trial
    made = result(trial, (290, 7, 2, 301), best=(297, 0, 0, 303))
    last, best = made.judged("test"), made.judged("test", epoch="best")
    assert (last["p_yes"] > 0.5).sum() == 292
    assert (best["p_yes"] > 0.5).sum() == 297
    assert list(best["path"]) == list(last["path"])
    assert set(best.columns) == set(last.columns)


def test_the_images_that_a_model_got_wrong_can_be_listed(jardim):
    wrong = jardim.errors("transfer")
    # 5 tumours are missed and 7 images without a tumour are predicted as one; see conftest.
    assert list(wrong["label"]) == ["yes"] * 5 + ["no"] * 7
    assert list(wrong["predicted"]) == ["no"] * 5 + ["yes"] * 7
    assert list(wrong["path"][:2]) == ["test/292.png", "test/293.png"]
    assert wrong["file"][0] == str((jardim.study.dataset.root / "test/292.png").absolute())
    assert wrong["p_yes"][0] == pytest.approx(0.1)
    assert len(jardim.errors("transfer", "fold 1")) == 14


def test_what_is_computed_once_is_kept_with_the_results(jardim):
    calls = []
    assert [jardim.once("key", lambda: calls.append(1) or 7) for _ in range(2)] == [7, 7] and calls == [1]
    assert jardim.estimate("cnn", "test", "accuracy") is jardim.estimate("cnn", "test", "accuracy")


@pytest.mark.parametrize("place", [("vgg", "test"), ("cnn", "folds"), ("cnn", "fold 4"), ("cnn", "test", "four")])
def test_what_was_not_trained_is_refused_with_what_was(jardim, lu, place):
    expected = "an arm of cnn, transfer, a stage of fold 1, fold 2, fold 3, validation, test; received"
    with pytest.raises(UsageError, match=expected):
        jardim.predictions(*place)
    with pytest.raises(UsageError, match="a scenario of four; received 'mobilenet', 'test', 'glioma'"):
        lu.errors("mobilenet", "test", "glioma")


def test_a_score_of_no_known_name_is_refused_in_a_line(jardim):
    with pytest.raises(UsageError, match="score name.*'accuracy'.*received 'acuracy'") as caught:
        jardim.fold_values("cnn", "acuracy")
    assert "\n" not in str(caught.value)
