"""The page around a notebook's cells: the answer at its top, its contents, and numbered tables and figures."""

from __future__ import annotations

import json
import re
from html import unescape

import nbformat
import pytest
from browsing import Watched, assert_whole_by_itself, violations
from markupsafe import escape
from stored import audited, claim, result

from brainlib.report import notebook_page
from brainlib.report.table import Table
from brainlib.report.tables.scores import numbered

TABLE = Table([{"score": 1.0}], f"Scores. Not comparable with the printed numbers: {numbered('condition', [1, 2, 3])}.")
WIDE = Table(
    [{"setting": "trainable", "why": 20 * "The paper is silent. ", "alternatives": 5 * "all layers ", "n": 1.0}] * 2
    + [{"key": 3 * "arms.mobilenet.phases[0].learning_rate"}],
    "The protocol.",
)
HEADINGS = ("# A small CNN\n\nProse.", "## Test & scores", "### Conditions")


def executed(*outputs):
    """An executed notebook: its headings, then a cell that displays each output."""
    cells = [nbformat.v4.new_markdown_cell(text) for text in HEADINGS]
    for data in outputs:
        shown = nbformat.v4.new_output(
            "display_data", data, metadata={"image/png": {"alt": 'Curves of "<A>": 1 to 0. After 2 epochs.'}}
        )
        cells.append(nbformat.v4.new_code_cell("print('the code')", outputs=[shown]))
    return nbformat.v4.new_notebook(cells=cells, metadata={"papermill": {"parameters": {}}})


def write(out, stored=None, error=None, name="jardim"):
    if stored:
        (out / "results").mkdir()
        (out / "results" / f"{name}.json").write_text(json.dumps(stored))
    page = out / f"{name}.html"
    tables = [{"text/html": each._repr_html_()} for each in (WIDE, TABLE)]
    outputs = (tables[0], {"image/png": "iVBORw0KGgo="}, tables[1])
    notebook_page.write(page, executed(*outputs), error, ["hajhashem", "jardim", "lu"])
    return page


def text_of(page):
    """The words of a page, one space apart."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page[page.index("<main>") :])).split())


def test_the_answer_counts_verdicts_and_says_what_is_claimed_found_and_what_it_rests_on(tmp_path):
    claims = [claim(), claim("other", "inconsistent as printed"), claim("another", "not comparable", metric="auc")]
    page = write(tmp_path, result(claims=claims)).read_text()
    text = text_of(page)
    assert text.startswith("Synthetic images (phantoms): nothing here judges the paper. A small CNN The answer")
    assert "1 inconsistent as printed 2 not comparable" in text
    assert "The highest accuracy of its abstract is 99.67 %: CNN without transfer learning, test" in text
    assert (
        "95.83 % (86.00 to 98.85) of 60 images are classified correctly, and 88.00 % (74.50 to 94.70) of the 41" in text
    )
    assert "60 phantoms in the layout of Br35H, 1 of the 2 models of the paper, one seed. 2 conditions keep" in text
    assert page.count("<img") == 2 and page.index("data:image/svg") < page.index("Prose.")


@pytest.mark.parametrize(
    ("source", "conditions", "images"),
    [("folder", [], "Real images: 50 of 60 of Br35H."),
     ("kaggle", ["other images than the paper's"], "Other images than the paper's: 50 of 60 of Br35H.")],
)  # fmt: skip
def test_a_banner_says_what_the_images_were(tmp_path, source, conditions, images):
    data = result()["data"] | {"source": source, "used": 50}
    page = write(tmp_path, result(data=data, conditions=conditions)).read_text()
    assert f'<p class="banner">\n{escape(images)}\n</p>' in page


def test_a_notebook_that_failed_says_what_is_claimed_and_that_there_is_no_answer(tmp_path):
    page = write(tmp_path, result(), error="no such luck").read_text()
    assert "This notebook failed.</strong> no such luck" in page
    assert "The paper prints 94 numbers." in page
    assert "Found No answer: the notebook failed before its results were complete." in text_of(page)
    assert page.count("No answer") == 1
    assert "not comparable</li>" not in page


def test_claimed_and_found_name_a_scenario_in_the_same_words_and_own_models_are_counted_apart(tmp_path):
    arms = {"mobilenet": {"title": "MobileNet", "weights": "none", "conditions": [], "collapsed": {}}}
    arms["mine"] = arms["mobilenet"] | {"title": "Mine"}
    place = {"arm": "mobilenet", "scenario": "four", "phase": "fine-tuning"}
    found = result("lu", arms=arms, conditions=[], claims=[claim("other", scenario="glioma"), claim(**place)])
    text = text_of(write(tmp_path, found, name="lu").read_text())
    assert '97.86 %: MobileNet ("Ours"), all four classes, fine-tuning, test.' in text
    assert "Found MobileNet, all four classes, fine-tuning, test: 95.83 %" in text
    assert "1 of the 5 models of the paper, 1 of your own, one seed. The images and the protocol are" in text


def test_the_audit_says_how_many_images_have_a_duplicate_and_how_many_test_images_leaked(tmp_path):
    planted = {"among": "sartaj", "alteration": "mirrored", "planted": 10, "recovered": 9}
    text = text_of(write(tmp_path, audited() | {"planted": [planted]}, name="00_data_audit").read_text())
    assert text.startswith("Real images, of the sets named below.")
    assert "exact or near: 10 of 3264 in sartaj. Leaks" in text
    assert ": 5 of 394 in sartaj. Pairs of duplicates with different classes: 1." in text
    assert "of 10 planted duplicates, of which it is not told, it found 9." in text


def test_tables_and_figures_are_numbered_and_lead_to_the_conditions(tmp_path):
    html = write(tmp_path).read_text()
    assert_whole_by_itself(html)
    assert re.findall(r'<caption id="(.*?)"', html) == ["table-1", "table-2"]
    assert (
        'Table 2.</a> Scores. Not comparable with the printed numbers: <a href="#Conditions">conditions 1 to 3</a>.'
        in html
    )
    assert 'Figure 1.</a> Curves of "&lt;A&gt;": 1 to 0.</figcaption>' in html
    assert re.findall(r'<li class="(h\d)"><a href="#(.*?)">(.*?)<', html) == [
        ("h2", "Test-&amp;-scores", "Test &amp; scores"),
        ("h3", "Conditions", "Conditions"),
    ]
    assert html.count('href="hajhashem.html" rel="prev"') == html.count('href="lu.html" rel="next"') == 2


def test_one_switch_shows_all_code_and_contents_fold_where_the_window_is_narrow(browser, tmp_path):
    page_file = write(tmp_path, result())
    for width, unfolded in ((400, False), (1400, True)):
        with Watched(browser, width, "dark") as page:
            page.goto(page_file.as_uri())
            assert violations(page) == []
            code, contents = page.get_by_text("the code").first, page.get_by_role("link", name="Conditions", exact=True)
            assert not code.is_visible() and contents.is_visible() == unfolded
            page.get_by_label("Show code").check()
            assert code.is_visible()
            page.emulate_media(media="print")
            assert not page.get_by_label("Show code").is_visible()
            page.set_viewport_size({"width": 1031, "height": 900})  # A4 less the margins
            assert page.evaluate("document.documentElement.scrollWidth") <= 1031
        assert page.left == [] and page.errors == []
