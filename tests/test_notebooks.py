"""All notebooks, run for real in smoke: the whole path from the command to the report."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import nbformat
import pytest
from browsing import Page, Watched, violations

from brainlib import cli
from brainlib.papers.loading import paper_ids
from brainlib.report import notebook
from brainlib.study import records

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
pytestmark = pytest.mark.slow
PAPERS, AUDIT = tuple(paper_ids()), "00_data_audit"


def run(folder, *arguments):
    """Run in smoke, and return results.json, validated by the records that document it."""
    assert cli.main(["run", "--profile", "smoke", "--out", str(folder), *arguments]) == 0
    return records.Run.model_validate_json((folder / "results.json").read_text())


@pytest.fixture(scope="module", autouse=True)
def _phantoms_only():
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("BRAINLIB_DATA", raising=False)
        patch.delenv("BRAINLIB_WEIGHTS", raising=False)
        yield


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The reports and the results of a run on phantoms."""
    out = tmp_path_factory.mktemp("run") / "reports"
    return out, run(out)


@pytest.fixture(scope="module")
def out(ran):
    return ran[0]


@pytest.fixture(scope="module")
def results(ran):
    return ran[1]


@pytest.fixture
def again(out, tmp_path):
    """A folder for another run, which need not audit, decode and train again."""
    shutil.copytree(out / "store", tmp_path / "store")
    return tmp_path


def cells(out, name):
    return nbformat.read(out / "notebooks" / f"{name}.ipynb", as_version=4).cells


def text_of(html):
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def pages(out):
    return {name: (out / f"{name}.html").read_text() for name in (AUDIT, *PAPERS, "index")}


def test_every_figure_is_on_its_page_with_alternative_text(out):
    for name, page in pages(out).items():
        assert Page(page).without_alt == [], name
        if name != "index":
            kinds = [kind for c in cells(out, name) for o in c.get("outputs", ()) for kind in o.get("data", {})]
            own = page.count('<figure id="figure-')
            assert own == sum(kind.startswith("image/") for kind in kinds) > 1, name
            assert page.count("<img") == own + (name != AUDIT), name  # and the answer's


def test_pages_ask_nothing_of_the_network(out):
    for name, page in pages(out).items():
        # The index sorts its tables by one script of its own; the other pages have none.
        assert page.count("<script>") == (name == "index"), name
        assert not re.search(r"<(script\s|link|iframe)", page), name
        assert re.findall(r"""(?:src=["']|url\(["']?)(?!data:)[^"')]+""", page) == [], name


@pytest.mark.parametrize(("width", "scheme"), [(400, "dark"), (1600, "light")])
def test_pages_can_be_read_by_everybody(out, browser, width, scheme):
    for name in ("index", AUDIT, "hajhashem", "jardim", "lu"):  # the others have no other kind of output
        with Watched(browser, width, scheme) as page:
            page.goto((out / f"{name}.html").as_uri())
            assert violations(page) == [], name
            assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        assert page.left == [] and page.errors == [], name


def test_a_printed_page_fits_its_sheets(out, browser):
    wide, high = 1031, 703  # CSS pixels: A4 in landscape less the margins
    with Watched(browser, wide, "light") as page:
        page.emulate_media(media="print")
        for name in (AUDIT, "jardim", "lu"):
            page.goto((out / f"{name}.html").as_uri())
            assert page.evaluate("document.documentElement.scrollWidth") <= wide, name
            heights = page.locator("img").evaluate_all("all => all.map(one => one.getBoundingClientRect().height)")
            assert 0 < max(heights) <= high, name


def test_links_stay_within_the_report(out):
    for name, page in pages(out).items():
        links = [link for _, link in re.findall(r"""href=(["'])(.*?)\1""", page)]
        assert [link for link in links if "//" in link] == [], name
        for link in links:
            file, _, anchor = link.partition("#")
            target = (out / file).read_text() if file else page
            assert not anchor or f'id="{anchor}"' in target, (name, link)


def test_every_part_of_a_papers_page_is_a_click_away_from_the_index(out):
    index = pages(out)["index"]
    for name in PAPERS:
        parts = set(notebook.SECTIONS.values()) - ({"heat maps"} if name in ("hajhashem", "kruszyk") else set())
        parts -= {"t-test"} if name != "jardim" else set()  # the one that prints folds
        links = notebook.sections(out / f"{name}.html")
        assert set(links) == parts, name
        assert all(f'href="{link}"' in index for link in links.values()), name


def test_every_page_is_small_and_names_no_folder_of_this_machine(out):
    for name, page in pages(out).items():
        assert len(page.encode()) < 2_000_000, name
        assert str(out.parent) not in page, name
    for name in ("results.json", "ro-crate-metadata.json"):
        assert str(out.parent) not in (out / name).read_text(), name


def test_on_phantoms_nothing_is_compared_and_each_number_says_why(results):
    for name in PAPERS:
        claims = results.papers[name].result.claims
        # What no images can give is so without any run.
        claims = [claim for claim in claims if claim.verdict != "inconsistent as printed"]
        compared = [claim for claim in claims if claim.reproduced]
        assert compared and {claim.verdict for claim in compared} == {"not comparable"}
        assert all("phantoms" in " ".join(claim.reasons) for claim in compared)
        others = {claim.verdict for claim in claims if not claim.reproduced}
        assert others <= {"not computed", "not run"}


def test_what_a_profile_leaves_out_is_said_on_the_page_and_in_the_answers(out, results):
    lu = results.papers["lu"].result
    assert "arm inception_v3" in lu.not_run and "scenario glioma" not in lu.not_run
    left = [claim for claim in lu.claims if claim.arm == "inception_v3" and claim.metric]
    assert left and {claim.verdict for claim in left} == {"not run"}
    assert "--arms inception_v3 runs it" in " ".join(left[0].reasons)
    for page in (pages(out)["lu"], pages(out)["index"]):
        assert "arm inception_v3" in page
    rows = re.findall(r"<tr>.*?</tr>", pages(out)["lu"], re.DOTALL)
    assert any("not run" in row for row in rows)


def test_what_differs_from_the_paper_is_listed_and_tables_refer_to_it(out):
    text = text_of(pages(out)["jardim"])
    for condition in ("60 phantoms", "transfer: random weights", "transfer: 2 of 30 epochs"):
        assert condition in text
    assert "[60 phantoms" not in text
    assert text.count("Not comparable with the printed numbers: conditions 1") >= 5


def test_the_audit_knows_phantoms_and_finds_their_duplicates(out, results):
    found = results.audit.result
    assert found.phantoms and set(found.sets) >= {"br35h", "sartaj", "nickparvar"}
    # Of 60 phantoms 24 to 26 are duplicates of others, in a published test part of training images.
    assert all(30 <= each.duplicates["near"].images <= 40 for each in found.sets.values())
    assert sum(found.sets["sartaj"].duplicates["near"].leaked_test_images.values()) > 0
    assert "Phantoms in place of the published images" in pages(out)[AUDIT]


def test_each_paper_counts_the_test_images_that_have_a_duplicate_in_training(results):
    for name in PAPERS:
        scores = [score for score in results.papers[name].result.duplicates if score.score == "accuracy"]
        assert scores and all(each.leaked.n + each.without_duplicates.n == each.published.n for each in scores)


def kept(folder):
    """When each file of the store was written, but for the audit, which compares other sets in another run."""
    files = [path for path in (folder / "store").rglob("*") if path.is_file() and "audit" not in path.parts]
    return {path: path.stat().st_mtime_ns for path in files}


def test_a_repeat_trains_nothing_and_says_the_same(results, again, capfd):
    before = kept(again)
    papers = ("jardim", "hajhashem")  # one with folds, heat maps and two arms, and a plain one
    repeated = run(again, "--papers", ",".join(papers))
    assert "to train" not in capfd.readouterr().err
    assert kept(again) == before
    for name in papers:
        assert repeated.papers[name].result.claims == results.papers[name].result.claims


def test_controls_are_run_when_asked_for(again, capfd):
    answers = run(again, "--papers", "hajhashem", "--controls")
    assert capfd.readouterr().err.count("5 models to train") == 1
    result = answers.papers["hajhashem"].result
    assert result.options.controls
    assert [(each.control, each.split) for each in result.controls] == [
        ("labels as given", "duplicates kept apart"),
        ("shuffled labels", "as published"),
        ("shuffled labels", "duplicates kept apart"),
        ("background alone", "duplicates kept apart"),
        ("brain masked out", "duplicates kept apart"),
    ]
    # A fifth of 60 images; where duplicates are kept apart, a whole group goes over it by one.
    assert [each.n for each in result.controls] == [13, 12, 13, 13, 13]
    assert all(each.chance == 0.5 for each in result.controls)
    page = (again / "hajhashem.html").read_text()
    assert page.count("labels as given") == 1 and "60 phantoms" in page
    # Ten of each of 13 alterations in the paper's set, 60 of them among phantoms of its own, and the 13 of 30 images of
    # each class that are duplicates as the phantoms were drawn.
    planted = answers.audit.result.planted
    assert sum(each.planted for each in planted) == 216
    assert sum(each.recovered for each in planted) > 0.95 * 216
    assert "of 216 planted duplicates" in text_of((again / "index.html").read_text())


def test_exploring_trains_only_what_the_store_lacks(again, capfd):
    given = {"paper": "hajhashem", "arm": "resnet18", "setting": "protocol.batch_size", "value": 16}
    given |= {"profile": "smoke", "out": str(again)}
    outcome = notebook.run_notebook(NOTEBOOKS / "explore.ipynb", given, again)
    assert outcome.error is None
    assert capfd.readouterr().err.count("1 model to train") == 1
    page = text_of(outcome.html.read_text())
    assert "16 in place of 32" in page and "McNemar" in page


def test_heat_maps_are_measured(results):
    for name in ("jardim", "lu", "yim"):
        found = results.papers[name].result.heat_maps
        lesions = [each for each in found if each.score == "hottest pixel in the lesion"]
        assert lesions and all(0 < each.reference < 0.5 and each.n > 3 for each in lesions)
        alike = [each.value for each in found if each.score == "all weights permuted" and each.n]
        assert all(-1 <= value < 0.999 for value in alike)
    assert results.papers["hajhashem"].result.heat_maps == ()
