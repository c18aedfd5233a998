"""Progress reaches its reader: as a bar in a notebook, as lines elsewhere."""

from __future__ import annotations

import errno
from types import SimpleNamespace

import IPython
import pytest
import tqdm.auto
import tqdm.notebook

from brainlib import progress


@pytest.fixture
def clock(monkeypatch):
    times = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: times[-1])
    return times


@pytest.fixture
def bars(monkeypatch):
    """The bars that a notebook shows, oldest first."""
    found = []

    class Bar(tqdm.notebook.tqdm):
        def __init__(self, **options):
            super().__init__(**options, mininterval=0)
            found.append(self)

    monkeypatch.setattr(tqdm.auto, "tqdm", Bar)
    monkeypatch.setattr(progress, "in_notebook", lambda: True)
    return found


def shown_of(bar):
    """Text before the bar, its value and style, and the text behind it."""
    before, moving, behind = bar.container.children
    texts = [part.value.replace("\N{FIGURE SPACE}", " ") for part in (before, behind)]
    return texts[0], moving.value, moving.bar_style, texts[1]


def test_outside_a_notebook_the_task_and_a_line_every_two_seconds_are_printed(clock, capsys):
    with progress.shown("3 models to train") as on_progress:
        for seconds, fraction in ((1.0, 0.2), (2.5, 0.4), (3.0, 0.6), (4.5, 0.8), (4.6, 1.0)):
            clock.append(seconds)
            on_progress(fraction, f"at {fraction}")
    assert capsys.readouterr().err.splitlines() == ["3 models to train", "at 0.4", "at 0.8", "at 1.0"]


@pytest.mark.fault("3q", "the disk of the log is full, or its terminal is gone", "the run goes on without a log")
def test_a_line_that_cannot_be_written_ends_no_work(monkeypatch):
    def gone(text):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(progress.sys, "stderr", SimpleNamespace(write=gone, flush=lambda: None))
    progress.log("3 models to train")


def test_only_a_kernel_whose_reader_has_not_asked_for_lines_shows_a_bar(monkeypatch):
    monkeypatch.delenv(progress.VARIABLE, raising=False)
    assert not progress.in_notebook()  # IPython is imported here, and runs no cell
    monkeypatch.setattr(IPython, "get_ipython", lambda: SimpleNamespace(kernel=None))
    assert progress.in_notebook()
    monkeypatch.setenv(progress.VARIABLE, "lines")
    assert not progress.in_notebook()


def test_the_bar_of_a_notebook_shows_the_task_the_fraction_and_the_line(bars):
    with progress.shown("3 models to train") as on_progress:
        on_progress(0.25, "[1/3] cnn: epoch <2>/8")
        (bar,) = bars
        before, value, _, behind = shown_of(bar)
        assert (before, value) == ("3 models to train:  25% ", pytest.approx(0.25))
        assert behind.endswith(", [1/3] cnn: epoch &lt;2&gt;/8")
    assert shown_of(bar)[1:3] == (pytest.approx(1), "success")


def test_an_error_leaves_a_red_bar_where_it_was(bars):
    with pytest.raises(KeyboardInterrupt), progress.shown("3 models to train") as on_progress:
        on_progress(0.5, "half")
        raise KeyboardInterrupt
    assert shown_of(bars[0])[1:3] == (pytest.approx(0.5), "danger")


def test_a_duration_is_in_seconds_up_to_a_minute_and_a_half():
    assert [progress.duration(seconds) for seconds in (0.4, 89.4, 90, 180)] == ["0 s", "89 s", "2 min", "3 min"]
