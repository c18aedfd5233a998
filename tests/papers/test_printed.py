"""Printed strings of the five papers, and the rule of the verdict branch by branch."""

import itertools
import math

import numpy as np
import pytest

from brainlib.errors import PaperError
from brainlib.papers.printed import MARGIN, Printed, printed_number, verdict

pytestmark = pytest.mark.filterwarnings("error")


@pytest.mark.parametrize(
    ("text", "unit", "value", "decimals", "sign", "tolerance"),
    [
        ("97.94%", None, 0.9794, 2, "=", 0.00005), ("99,67%", None, 0.9967, 2, "=", 0.00005),
        ("98 %", None, 0.98, 0, "=", 0.005), ("98\u00a0%", None, 0.98, 0, "=", 0.005),
        ("0.8431", None, 0.8431, 4, "=", 0.00005), ("0,95", "1", 0.95, 2, "=", 0.005),
        ("T ≈ 0.3977", None, 0.3977, 4, "≈", 0.00005), ("t = 0.3977", "1", 0.3977, 4, "=", 0.00005),
        ("F1 = 0.85", None, 0.85, 2, "=", 0.005), ("p > 0.05", None, 0.05, 2, ">", 0.005),
        ("p<.05", None, 0.05, 2, "<", 0.005), (">97%", None, 0.97, 0, ">", 0.005),
        ("≥ 0.9", None, 0.9, 1, "≥", 0.05), ("all above 0.99", None, 0.99, 2, ">", 0.005),
        ("More than 90%", None, 0.9, 0, ">", 0.005), ("~3000", "images", 3000, 0, "≈", 0.5),
        ("3,264 images", "images", 3264, 0, "=", 0.5), ("2 layers", "layers", 2, 0, "=", 0.5),
        ("316,7", "s", 316.7, 1, "=", 0.05),
        ("about 1 minute per fold", None, 60, 0, "≈", 30), ("20 per fold", "min", 1200, 0, "=", 30),
        ("0.287", "percentage points", 0.00287, 3, "=", 0.000005),
        ("0.092%", "percent^2", 0.0000092, 3, "=", 0.00000005), ("−0.5", None, -0.5, 1, "=", 0.05),
    ],
)  # fmt: skip
def test_a_printed_number_is_read_in_natural_units(text, unit, value, decimals, sign, tolerance):
    printed = printed_number(text, unit)
    assert printed.value == value
    assert (printed.decimals, printed.operator) == (decimals, sign)
    assert printed.tolerance == pytest.approx(tolerance, rel=1e-12)


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "%", "p", "p >", "nan", "inf", "-inf%", "1e999", "0x10", "1_000", "٣", "９７%",
        "97.94%%", "1.2.3", "1,2,3", "1,234.5", "--1", "≈ ≈ 1", "0.95 0.93", "97-98%", "95 ± 2",
        "1\n2", "98% \x00", "97.94% $(rm)", "__import__('os')", "1 month", "twelve", "9" * 13,
        "9" * 10_000, "a" * 79, " " * 10_000, None, 97.94, 98, True, ["1"], b"97%",
    ],
)  # fmt: skip
def test_what_is_not_one_printed_number_is_refused_in_one_short_line(text):
    with pytest.raises(PaperError, match=r"\Aprinted number: expected .*, received .*\Z") as caught:
        printed_number(text)
    assert len(str(caught.value)) < 160


def test_a_comma_before_three_digits_is_not_guessed_at():
    for unit in (None, "1", "s", "%"):
        with pytest.raises(PaperError, match="thousands or decimals"):
            printed_number("3,264", unit)
    assert printed_number("0,264").value == 0.264


@pytest.mark.parametrize(("text", "unit"), [("97%", "1"), ("1 minute", "s"), ("2 layers", "1")])
def test_a_unit_that_contradicts_the_text_is_refused(text, unit):
    with pytest.raises(PaperError, match=rf"expected unit .*, received '{unit}'\Z"):
        printed_number(text, unit)


def test_a_number_formatted_as_a_percentage_is_read_back():
    rng = np.random.default_rng(0)
    for value, decimals in itertools.product(rng.random(50), range(4)):
        printed = printed_number(f"{100 * value:.{decimals}f}%")
        assert abs(printed.value - value) <= printed.tolerance * (1 + 1e-9)


@pytest.mark.parametrize(
    ("text", "unit", "shown"),
    [
        ("98%", None, "98"), ("98%", "%", "98"), ("97.94%", "%", "97.94"), ("0,95", None, "0.95"),
        ("0,95", "%", "95"), ("0.9", "%", "90"), ("0.8431", "%", "84.31"), (">97%", None, ">97"),
        ("T ≈ 0.3977", None, "≈0.3977"), ("3,264 images", None, "3264"), ("0.092%", "percent^2", "0.092"),
        ("20 per fold", "s", "1200"),
    ],
)  # fmt: skip
def test_a_printed_number_is_shown_with_the_digits_that_were_printed(text, unit, shown):
    own = {"3,264 images": "images", "20 per fold": "min", "0.092%": "percent^2"}.get(text)
    assert printed_number(text, own).text(unit) == shown


PRINTED = Printed(0.95, 2, 0.01)


def test_a_run_that_is_not_comparable_says_so_whatever_came_out():
    reasons = ["phantoms stand in for the images", "random weights"]
    for value in (0.95, 0.1, None, math.nan):
        result = verdict(PRINTED, value, 0.949, 0.951, 0.02, reasons)
        assert result.verdict == "not comparable"
        assert result.reason == "phantoms stand in for the images; random weights"


def test_what_cannot_be_printed_so_is_said_whatever_was_run_and_came_out():
    for value, conditions in ((0.95, []), (None, []), (0.95, ["random weights"])):
        result = verdict(PRINTED, value, 0.949, 0.951, 0.02, conditions, ["No images.", "No folds."])
        assert result.verdict == "inconsistent as printed"
        assert result.reason == "No images. No folds."


def test_a_missing_or_undefined_value_is_inconclusive():
    both = (PRINTED, printed_number("p > 0.05"))
    for printed, value in itertools.product(both, (None, math.nan)):
        result = verdict(printed, value, math.nan, math.nan)
        assert (result.verdict, result.reason[:19]) == ("inconclusive", "no reproduced value")


def test_a_value_without_an_interval_is_inconclusive_even_when_equal_to_the_printed_one():
    for low, high in ((math.nan, math.nan), (None, None), (0.94, math.inf)):
        result = verdict(PRINTED, 0.95, low, high)
        assert result.verdict == "inconclusive"
        assert result.reason == "95 % has no interval, so its uncertainty is unknown"


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
    assert verdict(PRINTED, value, low, high, 0.02).verdict == expected


def test_the_reason_names_the_interval_and_the_margin_in_printed_units():
    inside, outside = verdict(PRINTED, 0.95, 0.935, 0.965), verdict(PRINTED, 0.84, 0.80, 0.88)
    band = "93 % to 97 %, the margin around 95 %"
    assert inside.reason == f"the interval 93.5 % to 96.5 % lies within {band}"
    assert outside.reason == f"the interval 80 % to 88 % lies wholly outside {band}"


def test_an_inconclusive_reason_says_how_wide_the_interval_is_and_what_would_be_needed():
    # 0.94 is 0.01 inside the margin and its interval reaches 0.03 either way: 3^2 times the data.
    reason = verdict(PRINTED, 0.94, 0.91, 0.97).reason
    assert "91 % to 97 %, 6 % wide" in reason
    assert "within 1 % of 94 %" in reason
    assert reason.endswith("about 9 times the data")
    assert "no amount of data" in verdict(PRINTED, 0.93, 0.91, 0.95).reason


def test_more_of_the_data_that_is_asked_for_would_decide():
    rng = np.random.default_rng(3)
    for value, half in rng.uniform([0.88, 0.001], [1.0, 0.08], (300, 2)):
        result = verdict(PRINTED, value, value - half, value + half)
        if result.verdict == "inconclusive":
            times = float(result.reason.split("about ")[1].split()[0])
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


def test_the_default_margin_is_two_percentage_points():
    assert MARGIN == 0.02
    assert verdict(PRINTED, 0.96, 0.951, 0.9699).verdict == "reproduced"
    assert verdict(PRINTED, 0.96, 0.951, 0.9701).verdict == "inconclusive"


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
    assert result.reason == reason
    assert result.verdict == ("not reproduced" if " not " in reason else "reproduced")


def test_an_impossible_interval_or_margin_is_refused():
    for low, high, margin in ((0.9, 0.8, 0.02), (0.8, 0.9, -0.01), (0.8, 0.9, math.nan)):
        with pytest.raises(ValueError, match="expected"):
            verdict(PRINTED, 0.85, low, high, margin)
