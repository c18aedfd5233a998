"""What a notebook shows of the objects that a cell names."""

from __future__ import annotations

import re

import pytest
from IPython.core.interactiveshell import InteractiveShell

from brainlib.audit import audit_folder
from brainlib.errors import UsageError
from brainlib.report import counterpart, figures, tables
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


def test_what_a_cell_names_is_shown_by_its_table(jardim, shown, tmp_path):
    # 598 and 588 of 600 are right.
    assert "jardim, models trained: 8" in shown(jardim) and "99.67 (98.79 to 99.91) 600" in shown(jardim)
    one = jardim.trials["", "cnn", "final"]
    assert "jardim cnn final: 2 epochs in 12 s" in shown(one) and "test 600 99.67" in shown(one)
    assert one.trial.key in shown(one.trial) and "batch size 32" in shown(one.trial)
    assert "25 values stated, 22 assumed" in shown(jardim.study.paper)
    assert "What this run of jardim does." in shown(jardim.study)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "<b>.png").write_bytes(b"no image")
    assert "0 images, 1 unreadable" in shown(audit_folder(str(tmp_path)))


def test_a_counterpart_bears_the_names_of_the_paper_in_its_caption_and_no_other_name(jardim):
    paper, table = jardim.study.paper, tables.overview(jardim)
    names = paper.exhibits_in("The networks")
    assert names == ["Figure 1", "Figure 2", "Figure 3"]
    named = counterpart(table, paper, *names)
    assert named.caption == f"Counterpart of the paper's Figure 1, Figure 2 and Figure 3: {table.caption}"
    plot = counterpart(figures.confusion({"CNN": jardim.confusion("cnn")}), paper, "Figure 6")
    assert plot.alt.startswith("Counterpart of the paper's Figure 6: Confusion matrix. CNN")
    with pytest.raises(UsageError, match=r"jardim: expected one of Figure 1, .*, received Figure 5"):
        counterpart(table, paper, "Figure 5")
