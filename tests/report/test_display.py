"""What a notebook shows of the objects that a cell names."""

from __future__ import annotations

import re

import pytest
from IPython.core.interactiveshell import InteractiveShell

from brainlib.audit import audit_folder
from brainlib.report.display import register


@pytest.fixture
def shown():
    """Show an object as a notebook does, as plain text."""
    shell = InteractiveShell.instance()
    register()

    def text(thing):
        html = shell.display_formatter.format(thing)[0]["text/html"]
        return " ".join(re.sub(r"<[^>]+>", " ", html).replace("\N{NO-BREAK SPACE}", " ").split())

    yield text
    InteractiveShell.clear_instance()


def test_results_and_trials_show_their_scores(jardim, shown):
    # 598 and 588 of 600 are right.
    assert "jardim, models trained: 8" in shown(jardim) and "99.67 (98.79 to 99.91) 600" in shown(jardim)
    one = jardim.trials["", "cnn", "final"]
    assert "jardim cnn final: 2 epochs in 12 s" in shown(one) and "test 600 99.67" in shown(one)
    trial = shown(one.trial)
    assert one.trial.key in trial and "batch size 32" in trial and "learning rate 0.0001" in trial


def test_papers_and_studies_show_a_summary(jardim, shown):
    paper = shown(jardim.study.paper)
    assert "23 values stated, 14 assumed" in paper
    assert "What this run of jardim does." in shown(jardim.study)


def test_an_audit_shows_its_findings(tmp_path, shown):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "<b>.png").write_bytes(b"no image")
    assert "0 images, 1 unreadable" in shown(audit_folder(str(tmp_path)))
