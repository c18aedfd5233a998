"""Results, from predictions whose scores are known by hand."""

from __future__ import annotations

import numpy as np
import pytest
from made_up import result

from brainlib.errors import UsageError
from brainlib.study import explain


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
