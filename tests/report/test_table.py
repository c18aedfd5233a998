"""Tables keep numbers and format them at display; nothing of what they hold is taken for HTML."""

from __future__ import annotations

import math
import re

import pytest

from brainlib.report.table import COUNT, NUMBER, P_VALUE, PERCENT, POINTS, SECONDS, Format, Table

SPACE = "\N{NO-BREAK SPACE}"


@pytest.mark.fault("7c", "HTML and scripts in the cells of a table, such as names of files", "shown as text")
def test_hostile_text_is_shown_not_obeyed():
    hostile = "<script>alert(1)</script>"
    html = Table([{hostile: hostile}], hostile)._repr_html_()
    assert "<script" not in html and html.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 4
    assert "&#34; onload=&#34;x" in Table([{"a": 1}], '" onload="x')._repr_html_()
    assert Table([], "Nothing & why.")._repr_html_() == "<p>Nothing &amp; why.</p>"


@pytest.mark.parametrize(
    "how, value, written",
    [
        (PERCENT, 0.98765, f"98.77{SPACE}%"),
        (Format("%", 100, digits=0), 1, f"100{SPACE}%"),
        (POINTS, 0.001, f"+0.10{SPACE}points"),
        (POINTS, -0.0071, f"-0.71{SPACE}points"),
        (COUNT, 3064, "3064"),
        (NUMBER, 0.123456, "0.1235"),
        (NUMBER, math.inf, "inf"),
        (P_VALUE, 0.05, "0.0500"),
        (P_VALUE, 1e-9, "< 0.0001"),
        (SECONDS, 12.34, f"12.3{SPACE}s"),
        (PERCENT, math.nan, "–"),
        (PERCENT, None, "–"),
    ],
)
def test_a_number_is_written_in_its_format(how, value, written):
    assert how.text(value) == written


def test_limits_are_written_where_both_are_known():
    assert PERCENT.text(0.9583, 0.9392, 0.9716) == f"95.83{SPACE}% (93.92 to 97.16)"
    assert PERCENT.text(0.9583, 0.9392, 0.9716, unit=False) == "95.83 (93.92 to 97.16)"
    assert PERCENT.text(0.5, math.nan, math.nan) == PERCENT.text(0.5) == f"50.00{SPACE}%"
    assert PERCENT.text(math.nan, 0.1, 0.2) == "–"
    assert Format("%", 100, digits=0, before="> ").text(0.97, 0.96, 0.98, unit=False) == "> 97 (96 to 98)"


def test_a_table_shows_what_its_frame_holds_as_numbers():
    rows = [
        {"arm": "a", "accuracy": PERCENT(0.5, 0.401, 0.6), "printed": "98%", "change": POINTS(0.001), "images": 3}
        | {"ratio": 1 / 3, "known": True},
        {"arm": "b", "accuracy": PERCENT(math.nan), "printed": "not run", "change": POINTS.score(None, "not run")}
        | {"images": 12, "ratio": 2.0, "known": False},
        {"arm": "c", "accuracy": PERCENT(0.25), "printed": "0,95", "change": POINTS(-0.0071), "images": 7},
    ]
    table = Table(rows, "All.")
    shown = table.shown()
    assert list(shown) == ["arm", f"accuracy,{SPACE}%", "printed", f"change,{SPACE}points", "images", "ratio", "known"]
    assert list(shown.iloc[0]) == ["a", "50.00 (40.10 to 60.00)", "98%", "+0.10", "3", "0.3333", "yes"]
    assert list(shown.iloc[1]) == ["b", "–", "not run", "not run", "12", "2", "no"]
    assert list(shown.iloc[2]) == ["c", "25.00", "0,95", "-0.71", "7", "", ""]
    assert table.frame["accuracy"].sum() == 0.75
    html = table._repr_html_()
    kinds = re.findall(r'<th scope="col"([^>]*)>', html)
    assert ['class="n"' in kind for kind in kinds] == [False, True, False, True, True, True, False]
    for name in ("accuracy", "not run"):
        assert name in repr(table)


def test_rows_of_different_units_carry_their_units():
    rows = [
        {"score": "accuracy", "value": PERCENT(0.9, 0.8, 0.95), "n": 60},
        {"score": "time", "value": SECONDS(61.0)},
        {"score": "loss", "value": NUMBER.score(None, "not run")},
    ]
    table = Table(rows, "All.")
    assert list(table.shown()["value"]) == [f"90.00{SPACE}% (80.00 to 95.00)", f"61.0{SPACE}s", "not run"]
    assert list(table.shown()["n"]) == ["60", "", ""]
    assert list(table.frame) == ["score", "value", "value low", "value high", "n"]
    assert table.frame["value"].sum() == 61.9


def test_a_cell_says_how_it_is_aligned_so_that_jupyterlab_agrees():
    long = "word " * 100
    html = Table([{"name": "a", "n": 1, "why": long}] * 80, "Long.")._repr_html_()
    assert html.count(long.strip()) == 80  # shown whole
    assert '<td style="text-align: left">a</td>' in html
    assert '<td style="text-align: left; min-width: 14rem">word' in html
    assert '<td class="n" style="text-align: right">1</td>' in html


def test_a_table_is_written_as_csv_in_natural_units_and_without_its_images(tmp_path):
    table = Table(
        [{"arm": "cnn, small", "accuracy": PERCENT(0.9583, 0.9, 0.98)}], "Accuracies.", ["data:image/png;base64,"]
    )
    table.to_csv(tmp_path / "table.csv")
    written = (tmp_path / "table.csv").read_text()
    assert written == table.to_csv() == 'arm,accuracy,accuracy low,accuracy high\n"cnn, small",0.9583,0.9,0.98\n'
    assert '<img alt="cnn, small"' in table._repr_html_()
    assert Table([], "Nothing.").shown().empty and Table([], "Nothing.").to_csv() == "\n"


def test_a_verdict_has_a_colour_beside_its_word_and_other_words_have_none():
    html = Table([{"verdict": "not reproduced", "note": "not comparable"}], "Verdicts.")._repr_html_()
    assert html.count("border-left") == 1 and "not reproduced</span>" in html
