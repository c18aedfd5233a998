"""The bar that a notebook shows while models are trained: when, what it says, and how it ends."""

from __future__ import annotations

import html
import re
import sys
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from brainlib import audit, bars, datasets, report, trials, workers
from test_report import write_notebook


class Kernel:
    """What a bar needs of a kernel whose cell a person runs."""

    def __init__(self):
        self.asked, self.published = {"content": {"allow_stdin": True}}, []
        self.shell = SimpleNamespace(display_pub=SimpleNamespace(publish=self.publish))

    def get_parent(self, channel):
        return self.asked

    def publish(self, output, transient, update):
        self.published.append((output, transient, update))


@pytest.fixture
def kernel(monkeypatch):
    pytest.importorskip("ipywidgets")
    kernel = Kernel()
    monkeypatch.setattr(bars, "_kernel", lambda: kernel)
    monkeypatch.setenv("JPY_SESSION_NAME", "/home/me/notebooks/jardim.ipynb")
    return kernel


@pytest.fixture
def clock(monkeypatch):
    """The time in seconds, to be moved."""
    now = [1000.0]
    monkeypatch.setattr(bars.time, "monotonic", lambda: now[0])
    return now


# When


def test_a_cell_that_a_person_runs_in_a_browser_is_watched(kernel):
    assert bars.watched()


def test_nobody_watches_papermill_even_if_started_from_a_notebook(kernel):
    kernel.asked = {"content": {"allow_stdin": False}}
    assert not bars.watched()


def test_a_console_shows_no_widgets(kernel, monkeypatch):
    monkeypatch.delenv("JPY_SESSION_NAME")
    assert not bars.watched()


def test_work_behind_a_cell_is_not_watched(kernel):
    with ThreadPoolExecutor(1) as pool:
        assert not pool.submit(bars.watched).result()


def test_without_ipywidgets_lines_will_do(kernel, monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    assert not bars.watched()


def test_plain_python_has_no_kernel(monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", "/home/me/notebooks/jardim.ipynb")
    assert not bars.watched()


# What it says


def shown(bar):
    """Fraction, name, colour and text of a bar as it is drawn."""
    found = re.fullmatch(
        r'<progress data-brainlib-bar="\w+" value="(.*)" aria-label="(.*)" style=".* var\((.*)\)"></progress> (.*)', bar.widget.value
    )
    fraction, name, colour, text = found.groups()
    return float(fraction), html.unescape(name), colour, html.unescape(text)


def test_a_bar_shows_how_far_it_is(kernel):
    with bars.Bar("2 models to train", "2 models trained") as bar:
        assert shown(bar) == (0, "2 models to train", "--jp-brand-color1", "2 models to train")
        bar.moved(0.25, "[1/2] <cnn>: epoch 1/2")
        assert shown(bar) == (0.25, "2 models to train", "--jp-brand-color1", "[1/2] <cnn>: epoch 1/2")
        bar.moved(0.5, "so soon after the other, this is not drawn")
        assert shown(bar)[0] == 0.25
        bar.moved(1, "but the end is")
        assert shown(bar)[0] == 1


def test_the_bar_takes_the_place_of_what_saves_the_notebook(kernel):
    with bars.Bar("2 models to train", "2 models trained") as bar:
        (script, place, first), (output, again, update) = kernel.published
        # The script finds the notebook by the bar in it.
        assert f'data-brainlib-bar="{place["display_id"]}"' in script["application/javascript"] and not first
        assert f'data-brainlib-bar="{place["display_id"]}"' in bar.widget.value
        assert output["application/vnd.jupyter.widget-view+json"]["model_id"] == bar.widget.model_id
        assert output["text/plain"] == "2 models to train" and update and place == again


# How it ends


def test_at_the_end_one_line_is_left(kernel, clock):
    with bars.Bar("8 models to train", "8 models trained") as bar:
        clock[0] += 125
    output, place, update = kernel.published[-1]
    assert output == {"text/plain": "8 models trained in 2 min"} and update
    assert place == kernel.published[0][1]
    assert bar.widget.value == "8 models trained in 2 min"  # for a page that was reloaded


@pytest.mark.parametrize(
    ("problem", "said"), [(KeyboardInterrupt, "interrupted"), (ValueError, "failed, ValueError")]
)
def test_a_bar_that_stopped_says_so(kernel, problem, said):
    with pytest.raises(problem), bars.Bar("2 models to train", "2 models trained") as bar:
        bar.moved(0.25, "[1/2] cnn: epoch 1/2")
        raise problem
    text = f"{said}; before: [1/2] cnn: epoch 1/2"
    assert shown(bar) == (0.25, "2 models to train", "--jp-error-color1", text)
    assert len(kernel.published) == 2


# Work that may be short


def test_short_work_shows_no_bar(kernel, clock):
    with bars.shown("60 images to look at", "60 images looked at") as moved:
        clock[0] += 1.5
        moved(1, "60 of 60 images")
        clock[0] += 10
    assert kernel.published == []


def test_long_work_shows_a_bar_when_it_is_long(kernel, clock):
    with bars.shown("3000 images to look at", "3000 images looked at") as moved:
        moved(0.1, "300 of 3000 images")
        assert kernel.published == []
        clock[0] += 10
        moved(0.2, "600 of 3000 images")
        assert [output["text/plain"] for output, *_ in kernel.published[1:]] == ["3000 images to look at"]
        clock[0] += 20
    assert kernel.published[-1][0] == {"text/plain": "3000 images looked at in 30 s"}


def test_long_work_that_is_interrupted_says_so(kernel, clock, monkeypatch):
    drawn = []
    monkeypatch.setattr(bars.Bar, "_drawing", lambda bar, *colour: drawn.append(bar.line) or bar.line)
    with pytest.raises(KeyboardInterrupt), bars.shown("3000 images to look at", "looked at") as moved:
        clock[0] += 10
        moved(0.2, "600 of 3000 images")
        raise KeyboardInterrupt
    assert drawn[-1] == "interrupted; before: 600 of 3000 images"


def test_long_work_that_nobody_watches_shows_nothing(kernel, clock):
    kernel.asked = {"content": {"allow_stdin": False}}
    with bars.shown("3000 images to look at", "3000 images looked at") as moved:
        clock[0] += 10
        moved(0.2, "600 of 3000 images")
    assert kernel.published == []


def test_of_blocks_within_one_another_the_outermost_has_the_bar(kernel, clock, monkeypatch):
    moves, moved_as_ever = [], bars.Bar.moved
    monkeypatch.setattr(bars.Bar, "moved", lambda bar, *move: moves.append(move) or moved_as_ever(bar, *move))
    with bars.shown("2 sets to audit", "2 sets audited") as moved:
        for number, name in enumerate(("br35h", "sartaj")):
            moved(number / 2, name)
            with bars.shown("9 images to look at", "9 images looked at") as part:
                clock[0] += 10
                part(0.5, "5 of 9 images")
                clock[0] += 10
            assert moves[-1] == (number / 2, f"{name}: 5 of 9 images")
    # What saves the page, the bar, and the line at the end.
    assert len(kernel.published) == 3
    assert kernel.published[-1][0] == {"text/plain": "2 sets audited in 40 s"}


def test_training_within_longer_work_shows_its_bar_at_once(kernel, clock):
    with bars.shown("4 more seeds", "4 more seeds at hand") as moved:
        moved(0, "seed 1")
        assert kernel.published == []
        with bars.shown("2 models to train", "2 models trained", at_once=True):
            assert kernel.published[1][0]["text/plain"] == "4 more seeds"


def test_after_a_block_that_failed_the_next_has_a_bar_of_its_own(kernel, clock):
    for _ in range(2):
        kernel.published.clear()
        with pytest.raises(ValueError), bars.shown("2 sets to audit", "2 sets audited", at_once=True):
            raise ValueError
        assert kernel.published[1][0]["text/plain"] == "2 sets to audit"


def test_a_watched_audit_has_one_bar(kernel, clock, monkeypatch, tmp_path):
    monkeypatch.setattr(bars, "_SHORT", -1)
    moves = []
    monkeypatch.setattr(bars.Bar, "moved", lambda bar, fraction, line: moves.append(line))
    data = datasets.load("navoneel", "phantoms", tmp_path, phantoms=20)
    audit.copies(data, tmp_path)
    n, files, pictures = len(data.table), *data.table[["byte_hash", "pixel_hash"]].nunique()
    said = [output["text/plain"] for output, *_ in kernel.published if "text/plain" in output]
    assert said == [f"{n} images to audit", f"{n} images audited in 0 s"]
    assert moves[0] == "navoneel, looking" and f"navoneel, looking: {files} of {files} images" in moves
    assert moves[-1].startswith("navoneel, comparing: ") and moves[-1].endswith(f" pairs of {pictures} pictures")
    kernel.published.clear()
    monkeypatch.setattr(bars, "_SHORT", 2)
    audit.copies(data, tmp_path)  # from the store, in no time
    assert kernel.published == []


# Where trials are run

Made = namedtuple("Made", "key name epochs keep_model")
TWO = [Made("a", "cnn fold 1", 2, False), Made("b", "cnn final", 1, True)]


@pytest.fixture
def trained(monkeypatch):
    """Trials that take no time: a list of those trained, of which nothing is stored at first."""
    done = []

    def run(function, jobs, scheduler, progress):
        for number, (trial, *_) in enumerate(jobs):
            done.append(trial)
            for epoch in range(trial.epochs + 1):
                progress.epoch(number, epoch, 0.5, 0.75)

    monkeypatch.setattr(workers, "run", run)
    monkeypatch.setattr(trials, "_read", lambda folder, trial: trial)
    monkeypatch.setattr(trials.store, "holds", lambda folder, key, model: key in {t.key for t in done})
    return done


def test_a_watched_cell_has_a_bar_in_place_of_lines_where_something_is_trained(
    kernel, trained, tmp_path, capsys
):
    assert trials.run_trials(TWO, None, tmp_path) == TWO
    assert kernel.published[1][0]["text/plain"] == "2 models to train"
    assert kernel.published[-1][0] == {"text/plain": "2 models trained in 0 s"}
    kernel.published.clear()
    assert trials.run_trials(TWO, None, tmp_path) == TWO
    assert kernel.published == [] and len(trained) == 2
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("given", ["say", "moved"])
def test_who_asks_for_progress_gets_it_instead(kernel, trained, tmp_path, given, capsys):
    heard = []
    trials.run_trials(TWO, None, tmp_path, **{given: lambda *values: heard.append(values)})
    said = capsys.readouterr().err.splitlines()
    assert kernel.published == []
    if given == "say":
        assert heard[0] == ("2 models to train",) and said == []
    else:
        assert [fraction for fraction, _ in heard] == [1 / 3, 2 / 3, 1]
        assert said[0] == "2 models to train" and heard[-1][1] == said[-1]


def test_without_a_page_nothing_changes(trained, tmp_path, capsys):
    trials.run_trials(TWO, None, tmp_path)
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "2 models to train" and "[2/2] cnn final: epoch 1/1" in said[-1]


def test_a_report_has_lines_even_if_it_is_made_from_a_notebook(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("JPY_SESSION_NAME", "/home/me/notebooks/jardim.ipynb")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    notebook = write_notebook(
        tmp_path / "made_up.ipynb", "# Made up", "from brainlib import bars\nassert not bars.watched()"
    )
    assert report.run_notebook(notebook, {}, tmp_path / "out").error is None
