"""Tables of claims, from predictions whose scores are known by hand."""

from __future__ import annotations

import pytest
from made_up import plain, result, with_images

from brainlib.report.tables import claims
from brainlib.study.results import Results


def test_a_number_printed_in_several_places_has_one_row(jardim):
    table = claims.verdicts(jardim).frame
    (row,) = [row for _, row in table.iterrows() if row["claim"] == "cnn – test: accuracy"]
    places = row["where"].split("; ")
    assert len(places) == 4 and places[-1] == "Conclusion"
    assert table["claim"].duplicated().sum() == 0


def test_conditions_are_given_by_their_numbers(jardim):
    phantoms = with_images(jardim, phantom=True)
    listed = claims.conditions(phantoms).frame
    assert list(listed["number"]) == list(range(1, len(listed) + 1))
    assert list(listed["condition"]) == ["3000 phantoms"]
    table = claims.verdicts(phantoms).frame
    assert set(table["verdict"]) == {"not comparable", "inconsistent as printed"}
    assert table.loc[table["claim"] == "cnn – test: accuracy", "reason"].item() == "condition 1"


def test_a_printed_number_keeps_its_digits_and_ours_stands_in_its_unit(jardim):
    table = claims.verdicts(jardim)
    rows = table.frame.set_index("claim")
    shown = table.shown().map(plain).set_index(rows.index)
    # Wilson for 598 of 600; 98% is printed without digits.
    assert rows.loc["cnn – test: accuracy", "printed low"] == pytest.approx(0.9879, abs=1e-4)
    assert shown.loc["cnn – test: accuracy", "this run"] == "99.67 % (98.79 to 99.91)"
    assert shown.loc["transfer – test: accuracy", "printed"].startswith("98 %")
    assert shown.loc["images", "this run"] == "3000 images"
    assert shown.loc["transfer against cnn – folds: p of the t-test", "printed"] == "> 0.05"


def test_a_conclusion_stands_by_its_printed_numbers_and_by_this_run(jardim):
    rows = claims.conclusions(jardim).frame.set_index("conclusion")
    row = rows.loc['"a slight advantage in all the metrics analyzed"']
    assert (row["as printed"], row["this run"]) == ("holds", "holds")
    # Of 600 images 598 and, rounded to 98%, 585 to 591: 2^-14 at least.
    assert row["P(false), at least"] == pytest.approx(2.0**-14) and 0.01 < row["at most"] < 0.05
    assert "99,67%" in row["printed numbers"] and "99.67 %" in row["numbers of this run"]


def test_over_seeds_stand_mean_spread_range_and_whether_the_printed_one_is_inside(jardim):
    assert claims.seeds(jardim).frame.empty  # of one seed
    other = Results(jardim.study.at_seed(1), dict(jardim.trials))
    trial = jardim.trials["", "cnn", "final"].trial
    other.trials["", "cnn", "final"] = result(trial, (290, 7, 2, 301))
    jardim.repeats = [other]
    rows = claims.seeds(jardim).frame.set_index("claim")
    row = rows.loc["cnn – test: accuracy"]
    # 598 and 591 of 600.
    assert [row["seed 0"], row["seed 1"]] == pytest.approx([598 / 600, 591 / 600])
    assert (row["lowest"], row["highest"], row["printed inside"]) == (row["seed 1"], row["seed 0"], True)
    assert row["standard deviation"] == pytest.approx(0.011667 / 2**0.5, abs=1e-5)
    assert rows.loc["transfer – test: accuracy", "printed inside"]  # 98 % is printed, 588 are right
