"""The forest plot: which accuracies are shown, where their marks lie, and what its alternative text states."""

from __future__ import annotations

import json

import pytest
from stored import claim, result

from brainlib.report.figures import forest
from brainlib.report.headlines import headlines
from brainlib.study.records import PaperResult

FOUND = {"value": 0.9, "low": 0.8, "high": 0.95, "n": 60, "method": "Wilson"}


def rows(*claims):
    return headlines({"jardim": PaperResult.model_validate_json(json.dumps(result(claims=list(claims))))})


def marks(plot, marker):
    lines = [each for each in plot.figure.axes[0].get_lines() if each.get_marker() == marker]
    return [round(float(each.get_xdata()[0]), 4) for each in lines if each.get_xdata()[0] == each.get_xdata()[0]]


def test_marks_lie_at_the_accuracies_and_the_alternative_text_states_them():
    clean = FOUND | {"value": 0.7, "low": 0.6, "high": 0.8}
    plot = forest(
        rows(
            claim(verdict="inconclusive", printed="95%", reproduced=FOUND, without_duplicates=clean),
            claim("folds", printed="100%", stage="folds", over="mean", reproduced=FOUND, without_duplicates=None),
        )
    )
    axes = plot.figure.axes[0]
    assert marks(plot, "D") == [0.95, 1.0] and marks(plot, "o") == [0.9, 0.7, 0.9]
    intervals = [tuple(each.get_xdata()) for each in axes.get_lines() if each.get_marker() == "None"]
    assert [pair for pair in intervals if pair[0] == pair[0]] == [(0.8, 0.95), (0.6, 0.8), (0.8, 0.95)]
    # All of it lies on the axis, from the interval's lower limit, 60 %, to 100 %.
    assert axes.get_xlim() == (0.6, 1)
    first, second = plot.alt.replace("\N{NO-BREAK SPACE}", " ").split("; ")
    assert first.endswith(
        "printed 95 %, this run 90.00 % (80.00 to 95.00), without duplicates 70.00 % (60.00 to 80.00)"
    )
    assert second.endswith("CNN, mean of the folds: printed 100 %, this run 90.00 % (80.00 to 95.00) (not comparable).")
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["CNN, test", "CNN, mean of the folds*"]  # of one paper
    assert axes.get_xlabel().endswith("* not comparable with the paper")
    alone = forest(rows(claim(reproduced=FOUND | {"low": None, "high": None}, without_duplicates=None)))
    assert marks(alone, "o") == [0.9] and "this run 90.00\N{NO-BREAK SPACE}% (not" in alone.alt


@pytest.mark.parametrize(
    "changes",
    [{"metric": "sensitivity"}, {"stage": "fold 1"}, {"over": "variance"}]
    + [{"reproduced": None}, {"reproduced": FOUND | {"value": None}}],
)
def test_only_accuracies_of_whole_stages_that_were_computed_are_drawn(changes):
    assert rows(claim(**changes)) == []


def test_a_number_printed_twice_is_drawn_once_and_validation_gives_way_to_test():
    shown = rows(
        claim("validation", stage="validation"),
        claim("table"),
        claim("abstract"),
        claim("other", arm=None, stage="validation"),
    )
    assert [row.claim.id for row in shown] == ["table", "other"]


def test_many_accuracies_fit_on_a_screen():
    figure = forest(40 * rows(claim(reproduced=FOUND))).figure
    assert figure.get_figheight() * 96 <= 900
    assert min(label.get_fontsize() for label in figure.axes[0].get_yticklabels()) >= 7
