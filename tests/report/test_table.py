"""Tables show every word, and nothing of what they hold is taken for HTML."""

from __future__ import annotations

import math
import re

import pandas as pd

from brainlib.report.table import Table, percent, with_limits


def test_hostile_text_is_shown_not_obeyed():
    hostile = "<script>alert(1)</script>"
    html = Table(pd.DataFrame({hostile: [hostile]}), hostile)._repr_html_()
    assert "<script" not in html and "onload" not in Table(
        pd.DataFrame({"a": [1]}), '" onload="x'
    )._repr_html_().replace("&quot; onload=&quot;x", "")
    assert html.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 4


def test_long_text_and_long_tables_are_not_cut():
    long = "word " * 100
    html = Table(pd.DataFrame({"a": [long] * 80}), "Long.")._repr_html_()
    assert html.count(long.strip()) == 80


def test_what_is_missing_is_left_empty():
    html = Table(pd.DataFrame({"a": [math.nan]}), "Empty.")._repr_html_()
    assert "<td></td>" in html


def test_numbers_are_aligned_and_a_unit_stands_once_in_its_heading():
    one = percent(0.5)
    html = Table(
        pd.DataFrame(
            {
                "score": [one, "–", f"{one} (40.1 to 60.0) of 12"],
                "mixed": [one, "0.25", "–"],
                "change": ["+0.10 points", "-0.71 to +0.92 points", "not run"],
                "count": [3, 12, 7],
                "words": ["30 of them", "all", ""],
                "nothing": ["–", "", "–"],
            }
        ),
        "All.",
    )._repr_html_()
    heads = re.findall(r"<th scope=\"col\"([^>]*)>([^<]*)", html.replace("\N{NO-BREAK SPACE}", " "))
    assert heads == [
        (' class="n"', "score, %"),
        (' class="n"', "mixed"),
        (' class="n"', "change, points"),
        (' class="n"', "count"),
        ("", "words"),
        ("", "nothing"),
    ]
    rows = [re.findall(r"<td[^>]*>([^<]*)", row) for row in re.findall(r"<tr><td.*", html)]
    assert rows[0] == ["50.00", one, "+0.10", "3", "30 of them", "–"]
    assert rows[1][:4] == ["–", "0.25", "-0.71 to +0.92", "12"]
    assert rows[2][:3] == ["50.00 (40.1 to 60.0) of 12", "–", "not run"]


def test_a_table_of_nothing_is_a_sentence():
    assert Table(pd.DataFrame(), "Nothing & why.")._repr_html_() == "<p>Nothing &amp; why.</p>"


def test_a_percentage_has_two_digits_and_no_place_to_break():
    assert percent(0.98765) == "98.77\N{NO-BREAK SPACE}%"
    assert percent(1, digits=0) == "100\N{NO-BREAK SPACE}%"
    assert percent(math.nan) == "–"


def test_a_share_with_its_limits_and_without_those_that_are_not_known():
    space = "\N{NO-BREAK SPACE}"
    assert with_limits(0.98667, 0.97391, 0.99321) == f"98.67{space}% (97.4 to 99.3)"
    assert with_limits(0.5, math.nan, math.nan, 1) == with_limits(0.5, None, None, 1) == f"50.0{space}%"
    assert with_limits(math.nan, 0.1, 0.2) == with_limits(None, None, None) == "–"
