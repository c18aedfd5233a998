"""Tables of four classes, from counts whose scores are known by hand."""

from __future__ import annotations

import re

from made_up import GLIOMA, MENINGIOMA, NORMAL, PITUITARY, plain, result_of_classes, study_of

from brainlib.report.tables import scores
from brainlib.study import explain
from brainlib.study.results import Results

COLUMNS = {
    "validation accuracy": ("validation", "accuracy"),
    "accuracy": ("test", "accuracy"),
    "precision": ("test", scores.weighted("precision")),
    "recall": ("test", scores.weighted("sensitivity")),
    "F1": ("test", scores.weighted("f1")),
}


def test_an_arm_that_was_not_run_is_a_sentence_and_no_empty_table(lu):
    for table in (scores.folds(lu, "vgg16"), scores.per_class(lu, "vgg16", "four")):
        assert re.fullmatch(r"<p>VGG16.*: not run\.</p>", table._repr_html_())


def test_printed_and_reproduced_stand_below_each_other(lu):
    table = scores.comparison(lu, COLUMNS, "four", "fine-tuning")
    rows = table.frame.map(plain)
    assert list(rows["arm"][:2]) == ['MobileNet ("Ours")', ""] and list(rows["numbers"][:2]) == [
        "printed",
        "reproduced",
    ]
    assert list(rows.loc[0, list(COLUMNS)]) == ["97.24 %", "97.86 %", "97.91 %", "97.86 %", "97.86 %"]
    # 300 / 327; precision is 93 * 85/94 + 94 * 80/89 + 50 * 48/55 + 90 * 87/89 over 327.
    assert rows.loc[1, "accuracy"] == "91.74 % (88.25 to 94.26 %)"
    assert rows.loc[1, "precision"].startswith("91.81 %")
    assert "327 test images" in table.caption and "fine-tuning" in table.caption


def test_a_collapsed_model_is_named_beside_its_scores(lu):
    rows = scores.comparison(lu, COLUMNS, "four", "transfer learning").frame.map(plain)
    assert rows.loc[1, "arm"] == "collapsed: calls every image no_tumor"
    # The row that lu prints of VGG16: 50 of 327, by averages weighted with the support.
    shown = [rows.loc[1, name].split(" (")[0] for name in list(COLUMNS)[1:]]
    assert shown == ["15.29 %", "2.34 %", "15.29 %", "4.06 %"]


def test_an_arm_and_a_scenario_that_were_not_run_say_so_beside_the_printed_numbers(lu):
    rows = scores.comparison(lu, COLUMNS, "four", "fine-tuning").frame.map(plain)
    at = rows.index[rows["arm"] == "VGG16"][0]
    assert rows.loc[at, "accuracy"] == "15.29 %" and rows.loc[at + 1, "numbers"] == "not run"
    assert rows.loc[at + 1, "accuracy"] == ""
    other = scores.comparison(lu, COLUMNS, "glioma", "fine-tuning").frame
    assert set(other["numbers"]) == {"printed", "not run"}


def test_an_arm_of_which_nothing_is_printed_has_the_row_of_what_was_run(monkeypatch, tmp_path):
    study = study_of("yim", monkeypatch, tmp_path, arms=["cnn", "mobilenet_v2"])
    counts = {"glioma": {"glioma": 9, "notumor": 1}, "notumor": {"notumor": 30}}
    trained = {
        ("", trial.arm, "final"): result_of_classes(trial, {p.name: counts for p in trial.phases})
        for trial in study.trials()
    }
    columns = {"accuracy": ("test", "accuracy"), "loss": ("test", "loss")}
    table = scores.comparison(Results(study, trained), columns, "", "transfer learning")
    rows = table.frame.map(plain)
    assert "40 test images" in table.caption  # of an arm that has this phase: the first has not
    assert list(rows["arm"][:3]) == ["ResNet50V2", "", "MobileNetV2"]
    assert list(rows["numbers"][:4]) == ["printed", "not run", "reproduced", "not run"]
    assert rows.loc[0, "accuracy"] == "97.00 %" and rows.loc[0, "loss"] == "–"
    assert rows.loc[2, "accuracy"] == "97.50 % (87.12 to 99.56 %)"
    # 39 times -log 0.7 and once -log 0.1, over 40; a loss is no percentage.
    assert re.fullmatch(r"0\.4053 \(0\.3\d+ to 0\.\d+\)", rows.loc[2, "loss"])


def test_each_class_then_macro_and_weighted_averages(lu):
    rows = scores.per_class(lu, "mobilenet", "four").frame.set_index("class").map(plain)
    assert list(rows.index) == [GLIOMA, MENINGIOMA, NORMAL, PITUITARY, "macro average", "weighted average"]
    # Glioma: 85 of 93 found, 85 of 94 calls right, so F1 = 170 / 187.
    assert list(rows.loc[GLIOMA, ["precision", "sensitivity", "f1"]]) == ["90.43 %", "91.40 %", "90.91 %"]
    assert rows.loc[NORMAL, "sensitivity"] == "96.00 %"
    # (91.40 + 85.11 + 96.00 + 96.67) / 4, and 300 / 327.
    assert rows.loc["macro average", "sensitivity"] == "92.29 %"
    assert rows.loc["weighted average", "sensitivity"] == "91.74 %"
    assert list(rows["support"]) == ["93", "94", "50", "90", "327", "327"]


def test_tumours_read_as_normal_are_counted_after_each_phase(lu):
    rows = scores.tumours_read_as_normal(lu, "four").frame.map(plain)
    assert list(rows["after"]) == ["transfer learning", "fine-tuning"]
    assert rows.loc[0, "called no_tumor"].startswith("277 (100.0 %")
    # 7 of 277: Wilson 1.2 to 5.1 %.
    assert rows.loc[1, "called no_tumor"] == "7 (2.5 %; 1.2 to 5.1 %)"
    assert rows.loc[1, "called a tumour"].startswith("2 (4.0 %")
    assert list(rows["tumours"]) == ["277", "277"]


def test_other_work_ends_with_this_paper_and_this_run(lu):
    rows = scores.other_work(lu, "mobilenet", "four").frame.map(plain)
    assert rows["accuracy"].iloc[0] == "94.74%"
    assert list(rows["reference"])[-2:] == ["this paper, as printed", "this run"]
    assert list(rows["accuracy"])[-2:] == ["97.86 %", "91.74 % (88.25 to 94.26 %)"]


def test_counts_of_the_confusion_matrix_stand_beside_those_of_the_text(monkeypatch, tmp_path):
    study = study_of("kruszyk", monkeypatch, tmp_path, arms=["resnet50"])
    (trial,) = study.trials()
    classes = study.paper.data.classes
    counts = {name: {name: 100 + n, classes[n - 1]: 5 + n} for n, name in enumerate(classes)}
    trained = result_of_classes(trial, {phase.name: counts for phase in trial.phases})
    results = Results(study, {("", trial.arm, trial.stage): trained})
    rows = scores.counts(results).frame.map(plain)
    own = rows[rows["arm"] == "ResNet-50"]
    for _, row in own.iterrows():
        label, called = row["images"].split(" called ")
        wrong = sum(k for other, k in counts[label].items() if other != label)
        expected = wrong if called == "otherwise" else counts[label].get(called, 0)
        assert int(row["reproduced"]) == expected
        assert int(row["of our images"]) == sum(counts[label].values())
    assert len(own) > 1
    assert set(rows[rows["arm"] != "ResNet-50"]["reproduced"]) == {"not run"}


def test_of_many_classes_grad_cam_takes_an_image_of_each_that_was_got_right(lu, monkeypatch):
    import numpy as np

    def heat_maps(result, dataset, paths, store, scheduler):
        assert paths == ["test/0.png", "test/102.png", "test/187.png", "test/237.png"]
        return np.zeros((4, 8, 8, 3), np.uint8), np.zeros((4, 8, 8), np.float32)

    monkeypatch.setattr(explain, "heat_maps", heat_maps)
    rows = explain.grad_cam_rows(lu, "four")
    assert [said.split("\n")[0] for said, _, _ in rows] == [GLIOMA, MENINGIOMA, NORMAL, PITUITARY]
    assert "mobilenet: p(pituitary_tumor) = 0.700" in rows[3][0]
