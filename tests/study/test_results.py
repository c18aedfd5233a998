"""Results, from predictions whose scores are known by hand."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from made_up import result

from brainlib.errors import UsageError
from brainlib.study import explain
from brainlib.study.results import Results


def test_confusion_is_rows_true_by_columns_predicted(jardim):
    assert jardim.confusion("transfer").to_numpy().tolist() == [[296, 7], [5, 292]]


def test_judged_on_the_best_epoch_takes_that_epochs_predictions(jardim):
    trial = jardim.trials["", "cnn", "final"].trial
    made = result(trial, (290, 7, 2, 301), best=(297, 0, 0, 303))
    last, best = made.judged("test"), made.judged("test", epoch="best")
    assert (last["p_yes"] > 0.5).sum() == 292
    assert (best["p_yes"] > 0.5).sum() == 297
    assert list(best["path"]) == list(last["path"])
    assert set(best.columns) == set(last.columns)


def explained(monkeypatch, jardim):
    """Have heat maps without a model, and return the paths that were asked for."""
    asked = []

    def heat_maps(result, dataset, paths, store, scheduler):
        asked.append(list(paths))
        n = len(paths)
        return np.zeros((n, 8, 8, 1), np.uint8), np.zeros((n, 8, 8), np.float32)

    monkeypatch.setattr(explain, "heat_maps", heat_maps)
    return asked


def test_grad_cam_takes_the_first_images_that_both_models_get_right(jardim, monkeypatch):
    asked = explained(monkeypatch, jardim)
    rows = explain.grad_cam_rows(jardim)
    # Transfer: images 0 to 291 are its true positives, 304 (after 5 misses and 7 alarms) to 599
    # its true negatives; the CNN's true negatives begin at 299.
    assert asked == [["test/0.png", "test/304.png"]] * 2
    assert [caption.split("\n")[0] for caption, _, _ in rows] == ["True positive", "True negative"]
    assert "transfer: p(yes) = 0.900" in rows[0][0]
    assert set(rows[0][2]) == {jardim.study.title("cnn"), jardim.study.title("transfer")}


def test_grad_cam_leaves_out_a_kind_of_which_there_is_none(jardim, monkeypatch):
    asked = explained(monkeypatch, jardim)
    for arm in ("cnn", "transfer"):
        trial = jardim.trials["", arm, "final"].trial
        jardim.trials["", arm, "final"] = result(trial, (5, 0, 5, 0))
    assert len(explain.grad_cam_rows(jardim)) == 1
    assert asked == [["test/0.png"]] * 2


def test_grad_cam_of_a_model_that_is_never_right_is_refused(jardim, monkeypatch):
    explained(monkeypatch, jardim)
    for arm in ("cnn", "transfer"):
        trial = jardim.trials["", arm, "final"].trial
        jardim.trials["", arm, "final"] = result(trial, (0, 5, 5, 0))
    with pytest.raises(UsageError, match="no held-out image right"):
        explain.grad_cam_rows(jardim)


def test_the_images_that_a_model_got_wrong_can_be_listed(jardim):
    wrong = jardim.errors("transfer")
    # 5 tumours are missed and 7 images without a tumour are predicted as one; see conftest.
    assert list(wrong["label"]) == ["yes"] * 5 + ["no"] * 7
    assert list(wrong["predicted"]) == ["no"] * 5 + ["yes"] * 7
    assert list(wrong["path"][:2]) == ["test/292.png", "test/293.png"]
    assert wrong["file"][0] == str((jardim.study.dataset.root / "test/292.png").absolute())
    assert wrong["p_yes"][0] == pytest.approx(0.1)
    assert len(jardim.errors("transfer", "fold 1")) == 14


def test_scores_of_folds_are_floats(jardim):
    assert jardim.fold_values("cnn", "accuracy") == pytest.approx([0.98, 0.975, 0.97])


def test_what_is_computed_once_is_kept_with_the_results_and_not_beyond_them(jardim):
    calls = []
    assert [jardim.once("key", lambda: calls.append(1) or 7) for _ in range(2)] == [7, 7] and calls == [1]
    other = Results(jardim.study, jardim.trials)
    assert other.estimate("cnn", "test", "accuracy") is other.estimate("cnn", "test", "accuracy")
    known = weakref.ref(other)
    del other
    gc.collect()
    assert known() is None
