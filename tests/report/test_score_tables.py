"""Tables of four classes, from counts whose scores are known by hand."""

from __future__ import annotations

import re

import pytest
from made_up import GLIOMA, MENINGIOMA, NORMAL, PITUITARY, plain, result, result_of_classes, study_of

from brainlib.papers.schema import Metric
from brainlib.report.tables import scores
from brainlib.study.results import Results

COLUMNS = {
    "validation accuracy": ("validation", "accuracy"),
    "accuracy": ("test", "accuracy"),
    "precision": ("test", Metric(name="precision", average="weighted")),
    "recall": ("test", Metric(name="sensitivity", average="weighted")),
    "F1": ("test", Metric(name="f1", average="weighted")),
}


def test_printed_and_reproduced_stand_below_each_other(lu):
    table = scores.comparison(lu, COLUMNS, "four", "fine-tuning")
    rows = table.frame
    assert list(rows["arm"][:2]) == ['MobileNet ("Ours")', ""]
    assert list(rows["numbers"][:2]) == ["printed", "this run"]
    assert list(rows.loc[0, list(COLUMNS)]) == [0.9724, 0.9786, 0.9791, 0.9786, 0.9786]
    # 300 / 327; precision is 93 * 85/94 + 94 * 80/89 + 50 * 48/55 + 90 * 87/89 over 327.
    assert rows.loc[1, "accuracy"] == 300 / 327
    assert rows.loc[1, "precision"] == pytest.approx(0.9181, abs=1e-4)
    assert table.shown().map(plain).loc[1, "accuracy,\N{NO-BREAK SPACE}%"] == "91.74 (88.25 to 94.26)"
    assert "327 test images" in table.caption and "fine-tuning" in table.caption


def test_an_arm_and_a_scenario_that_were_not_run_say_so_beside_the_printed_numbers(lu):
    table = scores.comparison(lu, COLUMNS, "four", "fine-tuning")
    rows, shown = table.frame, table.shown()
    at = rows.index[rows["arm"] == "VGG16"][0]
    assert rows.loc[at, "accuracy"] == 0.1529 and rows.loc[at + 1, "numbers"] == "not run"
    assert shown.loc[at + 1, "accuracy,\N{NO-BREAK SPACE}%"] == ""
    other = scores.comparison(lu, COLUMNS, "glioma", "fine-tuning").frame
    assert set(other["numbers"]) == {"printed", "not run"}
    for table in (scores.folds(lu, "vgg16"), scores.per_class(lu, "vgg16", "four")):
        assert re.fullmatch(r"<p>VGG16.*: not run\.</p>", table._repr_html_())


def test_a_collapsed_model_is_named_beside_its_scores(lu):
    rows = scores.comparison(lu, COLUMNS, "four", "transfer learning").frame
    assert rows.loc[1, "arm"] == "collapsed: predicts no_tumor for every image"
    # The row that lu prints of VGG16: 50 of 327, by averages weighted with the support.
    assert list((100 * rows.loc[1, list(COLUMNS)[1:]].astype(float)).round(2)) == [15.29, 2.34, 15.29, 4.06]
    assert (
        lu.title("mobilenet", "four", phase="transfer learning") == 'MobileNet ("Ours"), all four classes (collapsed)'
    )
    assert lu.title("mobilenet", "four") == 'MobileNet ("Ours"), all four classes'


@pytest.mark.parametrize(
    ("numbers", "shown"),
    [([4], "check 4"), ([1, 2], "checks 1, 2"), ([1, 2, 3], "checks 1 to 3"), ([1, 2, 4], "checks 1, 2, 4")],
)
def test_what_is_listed_is_referred_to_by_its_numbers(numbers, shown):
    assert scores.numbered("check", numbers) == shown


def test_an_arm_of_which_nothing_is_printed_has_the_row_of_what_was_run(tmp_path):
    study = study_of("yim", tmp_path, arms=["cnn", "mobilenet_v2"])
    counts = {"glioma": {"glioma": 9, "notumor": 1}, "notumor": {"notumor": 30}}
    trained = {
        ("", trial.arm, "final"): result_of_classes(trial, {p.name: counts for p in trial.phases})
        for trial in study.trials()
    }
    columns = {"accuracy": ("test", "accuracy"), "loss": ("test", "loss")}
    table = scores.comparison(Results(study, trained), columns, "", "transfer learning")
    rows, shown = table.frame, table.shown().map(plain)
    assert "40 test images" in table.caption  # of an arm that has this phase: the first has not
    assert list(rows["arm"]) == ["ResNet50V2", "", "MobileNetV2"]  # and none that was neither printed nor run
    assert list(rows["numbers"]) == ["printed", "not run", "this run"]
    # 97% is printed, without digits.
    assert shown.iloc[0, 2] == "97" and shown.loc[0, "loss"] == "–"
    assert shown.iloc[2, 2] == "97.50 (87.12 to 99.56)"
    # 39 times -log 0.7 and once -log 0.1, over 40; a loss is no percentage.
    assert re.fullmatch(r"0\.4053 \(0\.3\d+ to 0\.\d+\)", shown.loc[2, "loss"])


def test_each_class_then_macro_and_weighted_averages(lu):
    rows = scores.per_class(lu, "mobilenet", "four").frame.set_index("class")
    assert list(rows.index) == [GLIOMA, MENINGIOMA, NORMAL, PITUITARY, "macro average", "weighted average"]
    # Glioma: 85 of 93 are found, 85 of 94 predictions are right, so F1 = 170 / 187.
    assert list(rows.loc[GLIOMA, ["precision", "sensitivity", "f1"]]) == pytest.approx([85 / 94, 85 / 93, 170 / 187])
    assert rows.loc[NORMAL, "sensitivity"] == pytest.approx(0.96)
    assert rows.loc["macro average", "sensitivity"] == pytest.approx((85 / 93 + 80 / 94 + 48 / 50 + 87 / 90) / 4)
    assert rows.loc["weighted average", "sensitivity"] == pytest.approx(300 / 327)
    assert list(rows["support"]) == [93, 94, 50, 90, 327, 327]


def test_missed_tumours_are_counted_after_each_phase(lu):
    table = scores.missed_tumours(lu, "four")
    rows = table.frame
    assert list(rows["after"]) == ["transfer learning", "fine-tuning"]
    assert (list(rows["tumours"]), list(rows["missed"]), list(rows["false alarms"])) == ([277, 277], [277, 7], [0, 2])
    # 7 of 277: Wilson 1.2 to 5.1 %.
    assert plain(table.shown().iloc[1]["share missed,\N{NO-BREAK SPACE}%"]) == "2.5 (1.2 to 5.1)"


def test_other_work_ends_with_this_paper_and_this_run(lu):
    table = scores.other_work(lu, "mobilenet", "four")
    assert list(table.frame["reference"])[-2:] == ["this paper, as printed", "this run"]
    assert table.frame["accuracy"].iloc[0] == 0.9474
    shown = list(table.shown().map(plain).iloc[:, 2])
    assert {"> 95", "96"} <= set(shown)  # as printed
    assert shown[-2:] == ["97.86", "91.74 (88.25 to 94.26)"]


def test_counts_of_the_confusion_matrix_stand_beside_those_of_the_text(tmp_path):
    study = study_of("kruszyk", tmp_path, arms=["resnet50"])
    (trial,) = study.trials()
    classes = study.paper.data.classes
    counts = {name: {name: 100 + n, classes[n - 1]: 5 + n} for n, name in enumerate(classes)}
    trained = result_of_classes(trial, {phase.name: counts for phase in trial.phases})
    table = scores.counts(Results(study, {("", trial.arm, trial.stage): trained}))
    own = table.frame["arm"] == "ResNet-50"
    for images, found, of in table.frame.loc[own, ["images", "this run", "of images"]].itertuples(index=False):
        label, predicted = images.split(" predicted as ")
        row = counts[label]
        assert of == sum(row.values())
        assert found == (of - row[label] if predicted == "otherwise" else row.get(predicted, 0))
    assert own.sum() > 1
    assert set(table.shown()[~own]["this run"]) == {"not run"}


def test_the_fold_table_holds_scores_mean_and_variance_beside_the_printed_ones(jardim):
    table = scores.folds(jardim, "cnn")
    rows, shown = table.frame.set_index("fold"), table.shown().map(plain).set_index("fold")
    assert list(rows["accuracy"]) == pytest.approx([0.98, 0.975, 0.97, 0.975, 2.5e-5])
    assert list(rows["accuracy, printed"])[-2:] == pytest.approx([0.9766, 9.2e-6])
    assert list(shown["accuracy"])[-2:] == ["97.50 %", "0.250 points²"]
    assert list(shown["accuracy, printed"])[-2:] == ["97.66 %", "0.092 points²"]
    assert rows.loc["fold 1", "specificity, printed"] == 0.9634
    assert "2400 validation images" in table.caption


def test_scores_on_the_test_images_have_intervals_and_their_method(jardim):
    table = scores.test_scores(jardim, ("accuracy", "sensitivity"))
    first, second, *_ = (row for _, row in table.frame.iterrows())
    # Wilson for 598 of 600.
    assert (first["this run low"], first["this run high"]) == pytest.approx((0.9879, 0.9991), abs=1e-4)
    assert (first["n"], second["n"]) == (600, 297)
    assert first["interval by"] == "Wilson 95 %"
    # A printed number keeps its digits.
    assert list(table.shown().map(plain).iloc[::2, 2]) == ["99.67", "98"]


def test_the_best_epoch_is_shown_beside_the_last_one_and_times_with_the_machine(jardim):
    trial = jardim.trials["", "cnn", "final"].trial
    jardim.trials["", "cnn", "final"] = result(trial, (290, 7, 2, 301), best=(297, 0, 0, 303))
    assert "a processor, 2 cores, no GPU" in scores.times(jardim).caption
    rows = scores.best_epochs(jardim).frame.set_index("trained")
    row = rows[rows["monitored"] == "test"].iloc[0]
    assert list(row[["last epoch", "best epoch", "effect"]]) == pytest.approx([0.985, 1.0, 0.015])
    assert row["best epoch is"] == 1


def test_printed_supports_stand_beside_those_of_the_run(tmp_path):
    study = study_of("yim", tmp_path, arms=["cnn"])
    (trial,) = study.trials()
    counts = {name: {name: 2} for name in study.paper.data.classes}
    trained = result_of_classes(trial, {phase.name: counts for phase in trial.phases})
    rows = scores.per_class(Results(study, {("", "cnn", "final"): trained}), "cnn").frame.set_index("class")
    printed = rows.loc[["glioma", "meningioma", "notumor", "pituitary", "macro average"], "support, printed"]
    assert printed.tolist() == [300, 306, 405, 300, 1311]
