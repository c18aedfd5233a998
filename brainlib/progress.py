"""How far long work is: one callback, shown as a tqdm bar in a notebook and as lines elsewhere.

Numeric code takes an `OnProgress` and knows nothing of who shows it.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: Called with the finished part of the work, from 0 to 1, and a line that says what is being done.
OnProgress = Callable[[float, str], None]

#: Set to "lines" where a notebook runs without a reader, as under papermill.
VARIABLE = "BRAINLIB_PROGRESS"
_QUIET = 2  # seconds between two lines


def ignore(fraction: float, line: str) -> None:
    """Show nothing: the default of numeric functions."""


def part(on_progress: OnProgress, start: float, end: float) -> OnProgress:
    """Report the progress of one step as the part from `start` to `end` of the whole work."""
    return lambda fraction, line: on_progress(start + (end - start) * fraction, line)


def log(line: str) -> None:
    """Print a line of progress on standard error, at once."""
    print(line, file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """Write a duration in seconds, or in minutes from a minute and a half."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def in_notebook() -> bool:
    """Whether a reader sees the output of the running cell."""
    return "ipykernel" in sys.modules and os.environ.get(VARIABLE) != "lines"


@contextmanager
def shown(task: str) -> Iterator[OnProgress]:
    """Show the progress of a block.

    Parameters
    ----------
    task : str
        What is done, such as "8 models to train".

    Yields
    ------
    OnProgress
    """
    if in_notebook():
        with _bar(task) as on_progress:
            yield on_progress
    else:
        yield _lines(task)


@contextmanager
def _bar(task: str) -> Iterator[OnProgress]:
    from tqdm.auto import tqdm

    form = "{desc}: {percentage:3.0f}% |{bar}| {postfix} [{elapsed}<{remaining}]"
    with tqdm(total=1.0, desc=task, bar_format=form) as bar:

        def on_progress(fraction: float, line: str) -> None:
            bar.set_postfix_str(line, refresh=False)
            bar.update(fraction - bar.n)

        yield on_progress
        bar.update(1.0 - bar.n)


def _lines(task: str) -> OnProgress:
    spoken = time.monotonic()

    def on_progress(fraction: float, line: str) -> None:
        nonlocal spoken
        if time.monotonic() - spoken >= _QUIET:
            spoken = time.monotonic()
            log(f"{task}: {line}")

    return on_progress
