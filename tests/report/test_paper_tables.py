"""What a paper says by itself: sizes of its parts, how its scores are averaged, what it does not report."""

from __future__ import annotations

import pytest

from brainlib.papers.loading import load_paper
from brainlib.report.tables import paper as tables
from brainlib.study.study import Study


@pytest.fixture(scope="module")
def lu(tmp_path_factory):
    out = str(tmp_path_factory.mktemp("out"))
    return Study("lu", profile="smoke", data="phantoms", out=out)  # the tables do not depend on the images at hand


def test_the_sizes_that_admit_every_accuracy_are_those_that_the_split_draws(lu):
    rows = tables.split_sizes(lu).frame
    # A fifth of 1426, 1437, 1401 and 3264 images, rounded up and halved.
    assert list(rows["this split draws"]) == [143, 143, 144, 144, 140, 141, 326, 327]
    tests = rows[rows["part"] == "test"]
    assert list(tests["rounded or truncated"]) == ["143", "144", "141", "327"]
    assert list(tests["sizes that admit them all, rounded"]) == ["143", "144", "141", "327"]
    # 93.55 % is 305 of 326 only when truncated: 93.5582 %.
    four = rows[rows["part"] == "validation"].iloc[-1]
    assert four["sizes that admit them all, rounded"] == "none"
    assert four["rounded or truncated"] == "326"


def test_the_collapsed_rows_are_those_of_weighted_averages(lu):
    rows = tables.averaging(lu).frame
    assert list(rows["row"]) == ["VGG16, fine-tuning", "", ""] * 2
    assert list(rows["n"][::3]) == [141, 327]
    assert list(rows["numbers"]) == ["printed", "weighted averages", "macro averages"] * 2
    scores = (100 * rows[["accuracy", "precision", "sensitivity", "f1"]]).round(2).to_numpy().tolist()
    assert scores[0] == scores[1] == [35.46, 12.57, 35.46, 18.57]
    assert scores[3] == scores[4] == [15.29, 2.34, 15.29, 4.06]
    # Macro of two classes: half of 50/141, half of 1, half of 100/191.
    assert scores[2] == [35.46, 17.73, 50.00, 26.18]


def test_the_only_matrix_behind_printed_scores_gives_the_one_that_is_not_printed():
    row = tables.implied(load_paper("hajhashem")).frame.iloc[0]
    counts = row[["n", "true positives", "false negatives", "true negatives", "false positives"]].tolist()
    assert counts == [51, 23, 2, 20, 6]
    # 20 / 26 with Wilson's interval, and 23 / 25, which is printed.
    assert row["specificity"] == 20 / 26 and row["sensitivity"] == 0.92
    assert (row["specificity low"], row["specificity high"]) == pytest.approx((0.5795, 0.8897), abs=1e-4)
    assert tables.implied(load_paper("kruszyk")).rows == []


def test_what_a_paper_does_not_report_is_listed_and_counted():
    table = tables.reporting(load_paper("yim"), "partly", "not reported")
    rows = table.frame.set_index("item")
    assert set(rows["judgement"]) == {"partly", "not reported"} and len(rows) == 37 and 7 not in rows.index
    assert rows.loc[44, "in the paper"].endswith('(NRF) grant"; missing: the role of the funder')
    assert "Of the 39 items of CLAIM 2024 that can apply to the paper, 2 are reported, 19 in part" in table.caption
    assert "Methods: data 1 of 5;" in table.caption and "Other information 0 + 2 of 3." in table.caption
    assert len(tables.reporting(load_paper("yim")).frame) == 44


def test_of_a_paper_that_was_not_judged_only_that_is_said():
    mine = load_paper("yim").model_copy(update={"id": "mine"})
    table = tables.reporting(mine)
    assert table.rows == [] and table.caption == "No reporting checklist was filled in for this paper."
