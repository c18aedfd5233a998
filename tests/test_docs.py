"""README and docs: short enough, with links that lead somewhere and tables that are up to date."""

from __future__ import annotations

import re
import runpy
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from brainlib import cli, load_dataset
from brainlib.audit.findings import near_groups
from brainlib.report.headlines import SHORTCUTS, reference

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("*/README.md")])


@pytest.fixture(scope="module")
def make_results():
    """The script docs/make_results.py."""
    return SimpleNamespace(**runpy.run_path(str(ROOT / "docs" / "make_results.py")))


def anchors_of(page: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ +(.+?)\s*$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_readme_is_short_and_shows_a_figure_before_its_first_section():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 160
    assert len(text.split()) <= 1300
    assert "](docs/img/forest.svg)" in text.split("\n## ")[0]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_anchors_exist(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors_of(target), link


def test_every_page_of_docs_is_linked_from_the_readme():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [page.name for page in ROOT.glob("docs/*.md") if f"(docs/{page.name})" not in text] == []


def test_tables_are_those_that_the_command_writes(make_results):
    for page in make_results.PAGES:
        text = page.read_text(encoding="utf-8")
        assert "<!-- table: " in text
        assert make_results.filled(text) == text, f"{page.name}: run python docs/make_results.py"


def test_the_figures_show_the_reference_results(make_results):
    # Their alternative texts are composed of the plotted numbers.
    for name, plot in make_results.figures().items():
        assert plot.alt in (make_results.IMAGES / name).read_text(encoding="utf-8"), name


def test_the_indexs_summary_holds_the_reference_results(make_results):
    stored = reference()
    assert stored == make_results.reference(), "run python docs/make_results.py"
    first = next(row for row in stored.headlines if row.shortcuts)
    found = [f"{100 * first.shortcut(name).value:.0f}" for name in SHORTCUTS]
    assert (first.paper, first.claim.printed, found) == ("jardim", "99.67%", ["95", "75"])
    # It travels with every installed package.
    assert make_results.SUMMARY.stat().st_size < 30_000


def test_performance_is_what_the_stored_results_give():
    page = SimpleNamespace(**runpy.run_path(str(ROOT / "benchmarks" / "page.py")))
    text = page.PAGE.read_text(encoding="utf-8")
    assert text.count("<!-- table: ") == 3 and page.filled(text) == text, "run python benchmarks/page.py"
    assert page.markdown(*page.growth()) in page.FIGURE.read_text(encoding="utf-8")
    text = page.AUDIT.read_text(encoding="utf-8")
    assert text.count("<!-- table: ") == 2 and page.filled(text) == text, "run python benchmarks/page.py"
    assert page.markdown(*page.tools()) in page.FOUND.read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_page_of_faults_is_what_the_tests_prove():
    page = SimpleNamespace(**runpy.run_path(str(ROOT / "docs" / "make_faults.py")))
    text = page.PAGE.read_text(encoding="utf-8")
    assert page.filled(text) == text, "run python docs/make_faults.py"
    numbers = Counter(f"{kind}{letter}" for kind, letter, *_ in page.faults())
    assert max(numbers.values(), default=0) <= 1, f"used twice: {numbers.most_common(1)}"


def test_the_examples_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "examples.md").read_text(encoding="utf-8"), re.DOTALL)
    names = {}
    for block in blocks:
        exec(block, names)
    shown = capsys.readouterr().out
    assert "DeLong" in shown and "near-duplicates" in shown
    assert len(names["accuracies"]) == 3 and all(isinstance(each, float) for each in names["accuracies"])
    assert names["frame"]["accuracy"].iloc[:3].tolist() == names["accuracies"]
    assert (names["errors"]["label"] != names["errors"]["predicted"]).all()
    assert all(Path(file).is_file() for file in names["files"])
    assert len(names["leaked"]) == len(names["everything"]) - len(names["distinct"])


def test_the_page_of_own_predictions_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    load_dataset("br35h", "phantoms", tmp_path / "store", phantoms=60).root.rename("br35h")
    text = (ROOT / "docs" / "own_predictions.md").read_text(encoding="utf-8")
    scikit_learn, pytorch, in_python = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    compile(pytorch, "", "exec")  # there is none here
    names = {}
    exec(scikit_learn, names)
    Path("cnn.csv").write_bytes(Path("forest.csv").read_bytes())
    for command in re.findall(r"^\$ brainlib (.*)", text, re.MULTILINE):
        assert cli.main(command.split()) == 0
    shown = capsys.readouterr().out
    assert shown.count("12 test images, of which") == 3 and "McNemar" in shown
    assert "Not comparable, because of phantoms; 12 test images in place of 600." in shown
    exec(in_python, names)
    results = names["results"]
    assert results.estimate("forest", "test", "accuracy").n == 12
    assert results.without_duplicates.estimate("forest", "test", "accuracy").n < 12


@pytest.mark.real_data
def test_lists_of_duplicates_are_what_the_audit_finds_and_clean_a_copy(data_dir, tmp_path, monkeypatch, capsys):
    script = SimpleNamespace(**runpy.run_path(str(ROOT / "docs" / "make_duplicates.py")))
    scan = script.scan_of("navoneel", [data_dir])
    found = script.listed(scan)
    text = found.to_csv(index=False)
    assert (script.LISTS / "navoneel.csv").read_text() == text, "run python docs/make_duplicates.py"
    page = (script.LISTS / "README.md").read_text(encoding="utf-8")
    assert script.row("navoneel", scan, found) in page
    (tmp_path / "navoneel.csv").write_text(text)
    (tmp_path / "navoneel").symlink_to(data_dir / "navoneel")
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(code, {})
    # It leaves an image a group.
    assert len(scan.table) - len(capsys.readouterr().out.splitlines()) == len(set(near_groups(scan)))


def test_lists_of_duplicates_are_small_and_of_hashes():
    for file in (ROOT / "docs" / "duplicates").glob("*.csv"):
        header, *rows = file.read_text().splitlines()
        assert header == "sha256,group" and all(re.fullmatch(r"[0-9a-f]{64},\d+", row) for row in rows)
        assert file.stat().st_size < 1_000_000


def test_the_manifest_for_a_codechecker_lists_files_that_are_there():
    text = (ROOT / "codecheck.yml").read_text(encoding="utf-8")
    content = yaml.safe_load(text)
    assert text.startswith("---\n")  # which the specification demands
    assert {"README.md", "docs/results.md"} <= {each["file"] for each in content["manifest"]}
    assert all((ROOT / each["file"]).is_file() and each["comment"] for each in content["manifest"])
    assert content["version"] == "https://codecheck.org.uk/spec/config/2.0/" and content["paper"]["authors"]


@pytest.mark.slow
def test_the_reference_results_follow_from_the_kept_predictions(capsys):
    assert cli.main(["verify", str(ROOT)]) == 0
    said = capsys.readouterr().out
    assert "jardim-multiverse: same\n" in said and "hajhashem-multiverse: same\n" in said
