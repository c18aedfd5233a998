"""The rule of the verdict, branch by branch."""

import itertools
import math

import numpy as np
import pytest

from brainlib.papers.printed import Printed, printed_number
from brainlib.study.verdicts import MARGIN, verdict

PRINTED = Printed(0.95, 2, 0.01)


def test_a_run_that_is_not_comparable_says_so_whatever_came_out():
    reasons = ["phantoms stand in for the images", "random weights"]
    for value in (0.95, 0.1, None, math.nan):
        result = verdict(PRINTED, value, 0.949, 0.951, 0.02, reasons)
        assert result.verdict == "not comparable"
        assert result.reasons == tuple(reasons)


def test_what_cannot_be_printed_so_is_said_whatever_was_run_and_came_out():
    for value, conditions in ((0.95, []), (None, []), (0.95, ["random weights"])):
        result = verdict(PRINTED, value, 0.949, 0.951, 0.02, conditions, ["No images.", "No folds."])
        assert result.verdict == "inconsistent as printed"
        assert result.reasons == ("No images.", "No folds.")


def test_a_missing_or_undefined_value_is_inconclusive():
    both = (PRINTED, printed_number("p > 0.05"))
    for printed, value in itertools.product(both, (None, math.nan)):
        result = verdict(printed, value, math.nan, math.nan)
        assert (result.verdict, result.reasons[0][:19]) == ("inconclusive", "no reproduced value")


def test_a_value_without_an_interval_is_inconclusive_even_when_equal_to_the_printed_one():
    for low, high in ((math.nan, math.nan), (None, None), (0.94, math.inf)):
        result = verdict(PRINTED, 0.95, low, high)
        assert result.verdict == "inconclusive"
        assert result.reasons[0] == "95 % has no interval, so its uncertainty is unknown"


@pytest.mark.parametrize(
    ("low", "value", "high", "expected"),
    [
        (0.935, 0.95, 0.965, "reproduced"),
        (0.93, 0.95, 0.97, "reproduced"),  # the very ends, which floats miss by a rounding
        (0.929, 0.95, 0.969, "inconclusive"),
        (0.80, 0.84, 0.88, "not reproduced"),
        (0.975, 0.98, 0.99, "not reproduced"),  # better than printed is no reproduction either
        (0.90, 0.92, 0.94, "inconclusive"),
        (0.85, 0.95, 1.0, "inconclusive"),  # too wide on both sides
        (0.97, 0.98, 0.99, "inconclusive"),  # touches the end
    ],
)
def test_the_interval_decides_by_where_it_lies(low, value, high, expected):
    assert MARGIN == 0.02
    assert verdict(PRINTED, value, low, high).verdict == expected


def test_the_reason_names_the_interval_and_margin_and_what_would_be_needed():
    band = "93 % to 97 %, the margin around 95 %"
    assert verdict(PRINTED, 0.84, 0.80, 0.88).reasons[0] == f"the interval 80 % to 88 % lies wholly outside {band}"
    # 0.94 is 0.01 inside the margin and its interval reaches 0.03 either way: 3^2 times the data.
    reason = verdict(PRINTED, 0.94, 0.91, 0.97).reasons[0]
    assert "91 % to 97 %, 6 % wide" in reason
    assert "within 1 % of 94 %" in reason
    assert reason.endswith("about 9 times the data")
    assert "no amount of data" in verdict(PRINTED, 0.93, 0.91, 0.95).reasons[0]


def test_more_of_the_data_that_is_asked_for_would_decide():
    rng = np.random.default_rng(3)
    for value, half in rng.uniform([0.88, 0.001], [1.0, 0.08], (300, 2)):
        result = verdict(PRINTED, value, value - half, value + half)
        if result.verdict == "inconclusive":
            times = float(result.reasons[0].split("about ")[1].split()[0])
            less = half / math.sqrt(times * 1.1)  # 1.1: the reason is rounded to two digits
            assert verdict(PRINTED, value, value - less, value + less).verdict != "inconclusive"


def test_the_margin_is_the_same_in_both_directions():
    rng = np.random.default_rng(4)
    seen = set()
    for value, half in rng.uniform([0.85, 0.0], [1.05, 0.05], (500, 2)):
        low, high = value - half, value + half * 0.7
        mirrored = verdict(PRINTED, 1.9 - value, 1.9 - high, 1.9 - low).verdict
        assert verdict(PRINTED, value, low, high).verdict == mirrored
        seen.add(mirrored)
    assert seen == {"reproduced", "not reproduced", "inconclusive"}


def test_a_wider_margin_never_takes_a_reproduction_away_nor_a_narrower_interval_a_decision():
    rng = np.random.default_rng(5)
    for value, half in rng.uniform([0.85, 0.001], [1.0, 0.05], (300, 2)):
        result = verdict(PRINTED, value, value - half, value + half).verdict
        if result == "reproduced":
            assert verdict(PRINTED, value, value - half, value + half, 0.03).verdict == result
        if result != "inconclusive":
            assert verdict(PRINTED, value, value - half / 2, value + half / 2).verdict == result


@pytest.mark.parametrize(
    ("text", "value", "reason"),
    [
        ("p > 0.05", 0.7465, "0.7465 is > 0.05"),
        ("p > 0.05", 0.05, "0.05 is not > 0.05"),
        ("p < 0.05", 0.01, "0.01 is < 0.05"),
        (">97%", 0.96, "96 % is not > 97 %"),
        ("≥ 0.9", 0.9, "0.9 is ≥ 0.9"),
        ("≤ 0.9", 0.91, "0.91 is not ≤ 0.9"),
        ("t > 1", math.inf, "inf is > 1"),
    ],
)
def test_a_printed_comparison_is_reproduced_when_the_value_satisfies_it(text, value, reason):
    result = verdict(printed_number(text), value, None, None)
    assert result.reasons[0] == reason
    assert result.verdict == ("not reproduced" if " not " in reason else "reproduced")


def test_an_impossible_interval_or_margin_is_refused():
    for low, high, margin in ((0.9, 0.8, 0.02), (0.8, 0.9, -0.01), (0.8, 0.9, math.nan)):
        with pytest.raises(ValueError, match="expected"):
            verdict(PRINTED, 0.85, low, high, margin)
