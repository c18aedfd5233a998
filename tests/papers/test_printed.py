"""Printed strings of the five papers."""

import itertools

import numpy as np
import pytest

from brainlib.errors import PaperError
from brainlib.papers.printed import printed_number

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
        ("ten epochs", "epochs", 10, 0, "=", 0.5), ("Three", "models", 3, 0, "=", 0.5),
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
        "1\n2", "98% \x00", "97.94% $(rm)", "__import__('os')", "1 month", "twelfth", "9" * 13,
        "9" * 10_000, "a" * 79, " " * 10_000, None, 97.94, 98, True, ["1"], b"97%",
    ],
)  # fmt: skip
@pytest.mark.fault("8i", "a printed number that is none, or is endless", "refused in one line")
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
