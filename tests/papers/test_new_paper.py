"""The guide for a new paper: its two files, as they stand there, make a paper that runs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from brainlib.study import records

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the project with the guide's paper added, and nothing else changed."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("brainlib", "notebooks"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    blocks = re.findall(r"```(\w+)\n(.*?)\n```", (ROOT / "docs" / "new_paper.md").read_text(), re.DOTALL)
    (yaml,) = [text for language, text in blocks if language == "yaml"]
    (folder / "brainlib" / "papers" / "invented.yaml").write_text(yaml)
    cells = []
    for language, text in blocks:
        if language == "markdown":
            cells.append(nbformat.v4.new_markdown_cell(text))
        elif language == "python":
            cells.append(nbformat.v4.new_code_cell(text))
    cells[1].metadata["tags"] = ["parameters"]
    python = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=python), folder / "notebooks" / "invented.ipynb")
    return folder


def brainlib(checkout, *arguments):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BRAINLIB_")}
    done = subprocess.run(
        [sys.executable, "-m", "brainlib", *arguments],
        cwd=checkout,
        env=environment | {"PYTHONPATH": str(checkout)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_its_claims_and_their_checks_are_known(checkout):
    listed = [line.split()[1] for line in brainlib(checkout, "claims", "invented").splitlines()]
    assert listed == ["table1.accuracy", "table1.sensitivity", "section4.time"]
    brainlib(checkout, "check", "invented", "--json", "checks.json")
    checks = json.loads((checkout / "checks.json").read_text())
    # 61 of 64 is 95.3 %.
    assert any("61 of 64" in check["sentence"] and check["finding"] == "consistent" for check in checks)


@pytest.mark.slow
def test_it_runs_and_stands_in_the_report(checkout):
    output = brainlib(checkout, "run", "--profile", "smoke", "--papers", "invented", "--out", "reports")
    assert re.search(r"invented: ran", output)
    answers = records.Run.model_validate_json((checkout / "reports" / "results.json").read_text())
    claims = {claim.id: claim for claim in answers.papers["invented"].result.claims}
    assert claims["table1.accuracy"].reproduced.n == 15  # a quarter of 60 phantoms
    assert claims["table1.accuracy"].verdict == "not comparable"
    assert claims["section4.time"].verdict == "not computed"
    index = (checkout / "reports" / "index.html").read_text()
    assert "A network of eight filters tells tumours from none" in index and "95.3%" in index
    page = (checkout / "reports" / "invented.html").read_text()
    assert "A small CNN" in page and "60 phantoms" in page
