"""docs/own_data.md: a reader's own images, from the folder to the score."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pngs import write_image

from brainlib.data.phantoms.draw import make_phantoms

PAGE = Path(__file__).resolve().parent.parent / "docs" / "own_data.md"


@pytest.fixture
def folder(tmp_path):
    """The folder of the page: 60 phantoms of 27 patients, of which six are duplicates, all in the test folder."""
    drawn = make_phantoms(60, kinds=("none", "glioma"), slices_per_patient=2, exact_duplicates=3, altered_duplicates=3)
    for number, (pixels, row) in enumerate(zip(drawn.images, drawn.table.itertuples(), strict=True)):
        patient = int(row.patient.rpartition("-")[2])
        part = "test" if patient % 9 == 7 or row.alteration else "train"
        label = "healthy" if row.kind == "none" else "sick"
        write_image(tmp_path / "my_images" / part / label / f"p{patient:04}_{number}.png", pixels)
    return tmp_path


@pytest.mark.slow
def test_the_page_runs_and_prints_what_it_shows(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    text = PAGE.read_text(encoding="utf-8")
    (code,), (shown,) = (re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL) for kind in ("python", "text"))
    assert len(code.splitlines()) <= 10
    exec(code, {})
    # A score may differ from machine to machine, and with it what is said of it.
    score = re.compile(
        r"[0-9.]+ \([0-9.]+ to [0-9.]+\)|50.0(?= +50 )|\(collapsed\)|(at|above|below) chance|expected finding: ."
    )
    printed, expected = (score.sub("", each).split() for each in (capsys.readouterr().out, shown))
    assert printed == expected
