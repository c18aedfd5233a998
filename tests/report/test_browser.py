"""The report in a real browser: at two widths, light and dark, by keyboard, without the network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from browsing import Watched, violations

from brainlib.report.index import write_index
from brainlib.study import records

REFERENCE = Path(__file__).parents[2] / "reports" / "reference"
RUNS = ("jardim-mobilenet_025-5_seeds", "hajhashem-mobilenet_v2", "lu-mobilenet", "kruszyk-mobilenet_025")
LOOKS = [(width, scheme) for width in (400, 1600) for scheme in ("light", "dark")]


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    """The index of the stored runs of four papers, and of one that failed."""
    runs = [json.loads((REFERENCE / f"{name}.json").read_text()) for name in RUNS]
    failed = {"status": "failed", "error": "no such luck", "seconds": 1.0, "report": None, "result": None}
    for run in runs[1:]:
        runs[0]["papers"].update(run["papers"])
    runs[0]["papers"]["yim"] = failed
    content = records.Run.model_validate_json(json.dumps(runs[0]))
    return write_index(tmp_path_factory.mktemp("report"), content)


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
@pytest.mark.parametrize("name", ["index.html", "consistency.html"])
def test_pages_can_be_read_by_everybody(browser, index, name, width, scheme):
    with Watched(browser, width, scheme) as page:
        page.goto(index.with_name(name).as_uri())
        assert violations(page) == []
        # What is wider than the window scrolls by itself, never the whole page.
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.left == [] and page.errors == []


def test_the_answer_and_what_failed_stand_on_the_first_screen(browser, index):
    with Watched(browser, 1600, "light") as page:
        page.goto(index.as_uri())
        for text in ("not reproduced", "1 notebook failed", "no such luck"):
            assert page.get_by_text(text).first.bounding_box()["y"] < 900
        assert page.locator("table.accuracies tbody tr").count() > 8
        drawn = page.locator("figure.forest img")
        assert drawn.evaluate("image => image.naturalHeight") > 300 and drawn.bounding_box()["width"] > 800


@pytest.mark.parametrize("name", ["index.html", "consistency.html"])
def test_a_printed_page_is_no_wider_than_its_sheet_and_shows_what_was_folded(browser, index, name):
    a4 = 1031  # CSS pixels: 297 mm less the margins
    with Watched(browser, a4, "dark") as page:
        page.emulate_media(media="print")
        page.goto(index.with_name(name).as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= a4
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert page.locator("details").last.locator(":scope > :not(summary)").first.is_visible()


def test_a_table_is_sorted_by_a_click_and_by_the_keyboard(browser, index):
    with Watched(browser, 1600, "light") as page:
        page.goto(index.as_uri())
        table = page.locator("table.accuracies")

        def printed():
            return [float(text.split()[0]) for text in table.locator("tbody td:nth-child(3)").all_inner_texts()]

        before = printed()
        head = table.get_by_role("button", name="Printed")
        head.click()
        assert printed() == sorted(before) != before
        assert table.locator("th[aria-sort=ascending]").inner_text().startswith("Printed")
        head.press("Enter")
        assert printed() == sorted(before, reverse=True)
        table = page.locator("section[aria-labelledby=paper-kruszyk] table.claims")
        table.get_by_role("button", name="Printed").click()
        cells = table.locator("tbody td:nth-child(3)")
        values = [float(cell) for cell in cells.evaluate_all("cells => cells.map(cell => cell.dataset.sort)")]
        texts = cells.all_inner_texts()
    assert page.errors == []
    # Decimal commas and points, and images: 0,09 comes before 0.95, and this before 158 images.
    assert values == sorted(values) and any("," in text for text in texts) and len(set(values)) > 3
