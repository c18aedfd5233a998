"""The headline numbers: which are shown, and where their marks lie."""

from __future__ import annotations

import json

import pytest
from test_index import claim, result

from brainlib.report.figures.forest import WIDTH, forest
from brainlib.study.records import PaperResult

FOUND = {"value": 0.9, "low": 0.8, "high": 0.95, "n": 60, "method": "Wilson"}


def paper(*claims):
    return {"jardim": PaperResult.model_validate_json(json.dumps(result(claims=list(claims))))}


def test_marks_lie_on_one_axis_that_holds_them_all():
    drawn = forest(
        paper(
            claim(printed="95%", reproduced=FOUND, clean=FOUND | {"value": 0.7, "low": 0.6, "high": 0.8}),
            claim("folds", printed="100%", stage="folds", over="mean", reproduced=FOUND, clean=None),
        )
    )
    first, second = drawn.rows
    # From 60 to 100 % over what the edges of 14 pixels leave: 5.8 pixels a point.
    assert drawn.ticks == ((14.0, 60), (72.0, 70), (130.0, 80), (188.0, 90), (246.0, 100))
    assert first.printed_x == 217.0 and first.reproduced_x == (130.0, 188.0, 217.0)
    assert first.clean_x == (14.0, 72.0, 130.0) and second.clean_x is None
    assert second.printed_x == WIDTH - 14 and second.name == "CNN, mean of the folds"


def test_an_accuracy_without_an_interval_has_a_mark_alone():
    (row,) = forest(paper(claim(reproduced=FOUND | {"low": None, "high": None}, clean=None))).rows
    assert len(set(row.reproduced_x)) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"metric": "sensitivity"},
        {"stage": "fold 1"},
        {"over": "variance"},
        {"reproduced": None},
        {"reproduced": FOUND | {"value": None}},
    ],
)
def test_only_accuracies_of_whole_stages_that_were_reproduced_are_drawn(changes):
    assert forest(paper(claim(**changes))).rows == ()


def test_a_number_printed_twice_is_drawn_once_and_validation_gives_way_to_test():
    rows = forest(
        paper(
            claim("validation", stage="validation"),
            claim("table"),
            claim("abstract"),
            claim("other", arm=None, stage="validation"),
        )
    ).rows
    assert [row.claim.id for row in rows] == ["table", "other"]


def test_nothing_reproduced_draws_nothing():
    assert forest({}) == ((), ())
