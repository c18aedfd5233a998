"""Tables of a paper's results, from predictions whose scores are known by hand."""

from __future__ import annotations

import re

import numpy as np
import pytest
from made_up import result

from brainlib.errors import UsageError
from brainlib.report.tables import scores
from brainlib.study import explain


def test_the_fold_table_holds_scores_mean_and_variance_beside_the_printed_ones(jardim):
    rows = scores.folds(jardim, "cnn").frame.set_index("fold")
    spaced = rows["accuracy"].str.replace("\N{NO-BREAK SPACE}", " ")
    assert list(spaced) == ["98.00 %", "97.50 %", "97.00 %", "97.50 %", "0.250"]
    assert list(rows["accuracy, printed"])[-2:] == ["97.66\N{NO-BREAK SPACE}%", "0.092"]
    assert rows.loc["fold 1", "specificity, printed"] == "96.34\N{NO-BREAK SPACE}%"
    assert "2400 images" in scores.folds(jardim, "cnn").caption


def test_scores_on_the_images_held_out_have_intervals_and_their_method(jardim):
    rows = scores.scores(jardim, ("accuracy", "sensitivity")).frame
    first = rows.iloc[0]
    assert (first["printed"], first["reproduced"]) == (
        "99.67\N{NO-BREAK SPACE}%",
        "99.67\N{NO-BREAK SPACE}%",
    )
    # Wilson for 598 of 600.
    assert first["95 % interval"] == "98.79 to 99.91\N{NO-BREAK SPACE}%"
    assert (first["n"], rows.iloc[1]["n"]) == ("600", "297")
    assert first["interval by"] == "Wilson 95 %"


def test_confusion_is_rows_true_by_columns_predicted(jardim):
    assert jardim.confusion("transfer").to_numpy().tolist() == [[296, 7], [5, 292]]


def test_the_best_epoch_is_shown_beside_the_last_one(jardim):
    trial = jardim.trials["", "cnn", "final"].trial
    jardim.trials["", "cnn", "final"] = result(trial, (290, 7, 2, 301), best=(297, 0, 0, 303))
    rows = scores.best_epochs(jardim).frame.set_index("trained")
    row = rows[rows["judged on"] == "test"].iloc[0]
    assert row["last epoch"] == "98.50\N{NO-BREAK SPACE}%"
    assert (row["best epoch"], row["which"]) == ("100.00\N{NO-BREAK SPACE}%", 1)


def test_judged_on_the_best_epoch_takes_that_epochs_predictions(jardim):
    trial = jardim.trials["", "cnn", "final"].trial
    made = result(trial, (290, 7, 2, 301), best=(297, 0, 0, 303))
    last, best = made.judged("test"), made.judged("test", epoch="best")
    assert (last["p_yes"] > 0.5).sum() == 292
    assert (best["p_yes"] > 0.5).sum() == 297
    assert list(best["path"]) == list(last["path"])
    assert set(best.columns) == set(last.columns)


def test_times_are_told_with_the_machine(jardim):
    table = scores.times(jardim)
    assert "a processor, 2 cores, no GPU" in table.caption
    assert set(table.frame["training (s)"]) == {"12.0"}


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


def shown(thing):
    """What a notebook shows of a thing, as plain text."""
    text = re.sub(r"<[^>]+>", " ", thing._repr_html_()).replace("\N{NO-BREAK SPACE}", " ")
    return " ".join(text.split())


def test_what_a_notebook_names_shows_itself(jardim):
    assert "jardim: 8 trained models" in shown(jardim)
    # 598 and 588 of 600 are right.
    assert "accuracy, %" in shown(jardim) and "99.67 98.79 to 99.91 600" in shown(jardim)
    one = jardim.trials["", "cnn", "final"]
    assert "jardim cnn final: 2 epochs in 12 s" in shown(one) and "test 600 99.67" in shown(one)
    said = shown(one.trial)
    assert one.trial.key in said and "batch size 32" in said and "learning rate 0.0001" in said
    paper = shown(jardim.study.paper)
    assert "23 values stated, 14 assumed" in paper and f"printed numbers {len(jardim.study.paper.claims)}" in paper
