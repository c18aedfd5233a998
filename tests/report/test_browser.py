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
    runs = [json.loads((REFERENCE / name / "results.json").read_text()) for name in RUNS]
    failed = {"status": "failed", "error": "no such luck", "seconds": 1.0, "report": None, "result": None}
    for run in runs[1:]:
        runs[0]["papers"].update(run["papers"])
    runs[0]["papers"]["yim"] = failed
    content = records.Run.model_validate_json(json.dumps(runs[0]))
    return write_index(tmp_path_factory.mktemp("report"), content)


def unfold(page):
    page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
@pytest.mark.parametrize("name", ["index.html", "consistency.html"])
def test_pages_can_be_read_by_everybody(browser, index, name, width, scheme):
    with Watched(browser, width, scheme) as page:
        page.goto(index.with_name(name).as_uri())
        unfold(page)
        assert violations(page) == []
        # What is wider than the window scrolls by itself, never the whole page.
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.left == [] and page.errors == []


def test_the_answer_and_what_failed_stand_on_the_first_screen(browser, index):
    with Watched(browser, 1600, "light") as page:
        page.goto(index.as_uri())
        for text in ("not reproduced", "1 notebook failed", "no such luck"):
            assert page.get_by_text(text).first.bounding_box()["y"] < 900
        drawn = page.locator("figure img").first
        assert drawn.evaluate("image => image.naturalHeight") > 300 and drawn.bounding_box()["width"] > 800
        assert drawn.bounding_box()["y"] < 500


def test_the_index_is_four_screens_and_cuts_no_table(browser, index):
    cut = (
        "[...document.querySelectorAll('.scroll')].filter((e) => e.scrollWidth > e.clientWidth).map((e) => e.ariaLabel)"
    )
    with Watched(browser, 1400, "light") as page:
        page.goto(index.as_uri())
        assert page.evaluate("document.documentElement.scrollHeight") <= 4000
        unfold(page)
        assert page.evaluate(cut) == []
    with Watched(browser, 400, "light") as page:
        page.goto(index.as_uri())
        assert "Papers" in page.evaluate(cut)  # which is said beside it
        table = page.get_by_role("region", name="Papers")
        assert "Scrolls" in table.evaluate("table => getComputedStyle(table, '::before').content")


def test_a_link_to_what_is_folded_opens_it(browser, index):
    with Watched(browser, 1600, "light") as page:
        page.goto(index.as_uri())
        claims = page.get_by_role("region", name="Printed numbers of kruszyk, not comparable")
        assert not claims.is_visible()
        page.locator("table.papers").get_by_role("link", name="kruszyk").press("Enter")
        claims.wait_for(state="visible", timeout=5000)  # the page hears of the new address a moment later
        assert not page.get_by_role("region", name="Printed numbers of lu").first.is_visible()


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
        unfold(page)
        table = page.locator("table.accuracies.run")

        def printed():
            return [float(text.split()[0]) for text in table.locator("tbody td:nth-child(3)").all_inner_texts()]

        before = printed()
        head = table.get_by_role("button", name="Printed")
        head.click()
        assert printed() == sorted(before) != before
        assert table.locator("th[aria-sort=ascending]").inner_text().startswith("Printed")
        head.press("Enter")
        assert printed() == sorted(before, reverse=True)
        table = page.get_by_role("region", name="Printed numbers of kruszyk, not comparable").locator("table")
        table.get_by_role("button", name="Printed").click()
        cells = table.locator("tbody td:nth-child(3)")
        values = [float(cell) for cell in cells.evaluate_all("cells => cells.map(cell => cell.dataset.sort)")]
        texts = cells.all_inner_texts()
    assert page.errors == []
    # Decimal commas and points, and images: 0,09 comes before 0.95, and this before 158 images.
    assert values == sorted(values) and any("," in text for text in texts) and len(set(values)) > 3
