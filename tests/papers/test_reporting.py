"""What papers report of a checklist: every item is judged, and what is quoted stands in the paper."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from brainlib.errors import PaperError
from brainlib.papers.loading import paper_ids
from brainlib.papers.reporting import FOLDER, STATUSES, by_section, checklist, reporting_of

ROOT = Path(__file__).parents[2]
#: Beginnings of the texts of the papers, where these are at hand.
TEXTS = {"yim": "000", "jardim": "001", "hajhashem": "002", "lu": "003", "kruszyk": "004"}


@pytest.fixture
def written(tmp_path):
    """Read the judgements of jardim after a change of their text."""

    def read(old, new):
        text = (FOLDER / "jardim.yaml").read_text(encoding="utf-8")
        assert old in text
        (tmp_path / "jardim.yaml").write_text(text.replace(old, new, 1), encoding="utf-8")
        return reporting_of("jardim", tmp_path)

    return read


def test_the_checklist_has_44_items_in_short_words():
    numbers = [int(number) for items in checklist().sections.values() for number in items]
    assert numbers == list(range(1, 45))
    words = [text for items in checklist().sections.values() for text in items.values()]
    assert len(set(words)) == 44 and max(len(text.split()) for text in words) <= 12
    assert "2024" in checklist().name


@pytest.mark.parametrize("paper", paper_ids())
def test_every_item_of_every_paper_is_judged(paper):
    items = reporting_of(paper)
    assert [item.number for item in items] == list(range(1, 45))
    assert all(item.status in STATUSES and item.words for item in items)
    assert all((item.status == "partly") == (item.missing is not None) for item in items)
    assert [item for section in by_section(items).values() for item in section] == list(items)


# Read off the papers a second time.
CHECKED = [
    ("hajhashem", 44, "reported", "Funding"),
    ("hajhashem", 24, "reported", "ImageNet"),
    ("hajhashem", 23, "not reported", "no software"),
    ("jardim", 19, "reported", "600 images"),
    ("jardim", 40, "not reported", "no limitation"),
    ("jardim", 29, "partly", "t-test"),
    ("kruszyk", 39, "reported", "Figures 4 to 6"),
    ("kruszyk", 7, "partly", "3096"),
    ("lu", 40, "reported", "Section V"),
    ("lu", 44, "not reported", "thanks"),
    ("lu", 25, "not reported", "optimizer"),
    ("yim", 7, "reported", "reference 4"),
    ("yim", 9, "not reported", "scaling"),
    ("yim", 44, "partly", "NRF"),
    *[(paper, 33, "not reported", "none was made") for paper in TEXTS],
    *[(paper, 34, "not applicable", "trial") for paper in TEXTS],
]


@pytest.mark.parametrize(("paper", "number", "status", "words"), CHECKED)
def test_judgements_are_those_of_a_second_reading(paper, number, status, words):
    item = reporting_of(paper)[number - 1]
    assert (item.number, item.status, words in item.words) == (number, status, True)


@pytest.mark.real_data
@pytest.mark.parametrize("paper", TEXTS)
def test_what_is_quoted_stands_in_the_paper(data_dir, paper):
    found = list((data_dir.parent / "papers").glob(f"{TEXTS[paper]}_*.txt"))
    if not found:
        pytest.skip("the texts of the papers are not at hand")
    text = " ".join(found[0].read_text(encoding="utf-8").split())
    quotes = [
        quote for item in reporting_of(paper) for quote in re.findall('"([^"]+)"', f"{item.words} {item.missing}")
    ]
    assert len(quotes) >= 10 and [quote for quote in quotes if quote not in text] == []


def test_a_paper_that_was_not_judged_has_no_items():
    assert reporting_of("nobody") == ()


CHANGES = [
    ('"44":', '"45":', "claim/jardim.yaml: 44: expected a judgement, received none"),
    ('"1":', '"99":\n  reported: there\n"1":', "claim/jardim.yaml: 99: no item of CLAIM 2024"),
    ('"1":', '"one":\n  reported: there\n"1":', "claim/jardim.yaml: one"),
    ("  missing: versions\n", "", "claim/jardim.yaml: 23: expected one of reported, partly with missing"),
    ("  reported: Title", "  missing: all\n  reported: Title", "claim/jardim.yaml: 1: expected one of"),
    ("  reported: Title", "  not_reported: nothing\n  reported: Title", "received not_reported, reported"),
    ("  reported: Title", "  claimed: Title", "claim/jardim.yaml: 1.claimed: expected no key of this name"),
    ("  reported: Title", "  reported: Title: there, Title", "claim/jardim.yaml: line 4"),
]


@pytest.mark.parametrize(("old", "new", "words"), CHANGES)
def test_a_file_with_a_fault_is_refused_in_one_line(written, tmp_path, old, new, words):
    with pytest.raises(PaperError) as refused:
        written(old, new)
    told = str(refused.value).replace(f"{tmp_path.name}/", "claim/")
    assert words in told and "\n" not in told


def test_the_page_of_reporting_has_the_counts():
    text = (ROOT / "docs" / "reporting.md").read_text(encoding="utf-8")
    for paper in paper_ids():
        counts = [sum(item.status == status for item in reporting_of(paper)) for status in STATUSES]
        assert f"| `{paper}` | {' | '.join(map(str, counts))} |" in text
    assert checklist().name in text
