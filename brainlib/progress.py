"""Progress of long work: one callback, shown as a tqdm bar in a notebook and as lines elsewhere.

Numeric code takes an `OnProgress` and does not know how it is shown. `study`, `report` and `cli` show it.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

#: Called with the finished part of the work, from 0 to 1, and a line that describes the current step.
OnProgress = Callable[[float, str], None]

#: Set to "lines" where a notebook runs without a reader, as under papermill.
VARIABLE = "BRAINLIB_PROGRESS"
_QUIET = 2  # seconds between two lines


def ignore(fraction: float, line: str) -> None:
    """Show nothing: the default of numeric functions."""


def part(on_progress: OnProgress, start: float, end: float, label: str = "") -> OnProgress:
    """Report the progress of one step, with a label, as the part from `start` to `end` of the whole work."""
    return lambda fraction, line: on_progress(start + (end - start) * fraction, f"{label}{line}")


def log(line: str) -> None:
    """Print a line on standard error, in one piece where several threads print, and flush it.

    Where nobody can read it, as in a terminal that was closed or in a file on a full disk, work goes on without it.
    """
    with suppress(OSError):
        print(f"{line}\n", end="", file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """Write a duration in seconds, or in minutes from 90 seconds on."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def shell() -> object | None:
    """Return the running IPython, in a terminal or a kernel; None without one."""
    ipython = sys.modules.get("IPython")  # where nobody has imported it, none is running
    return ipython.get_ipython() if ipython else None


def in_notebook() -> bool:
    """Whether a reader sees the output of the running cell."""
    return hasattr(shell(), "kernel") and os.environ.get(VARIABLE) != "lines"


@contextmanager
def shown(task: str) -> Iterator[OnProgress]:
    """Show the progress of a block, whose task is named, such as "8 models to train".

    In a notebook the bar turns green when the block ends and red when it raises. Elsewhere the task
    is printed first, then a line at most every two seconds, and the line that comes with fraction 1.
    """
    if not in_notebook():
        log(task)
        yield _lines()
        return
    from tqdm.auto import tqdm

    form = "{desc}: {percentage:3.0f}% |{bar}| {elapsed}<{remaining}{postfix}"
    with tqdm(total=1.0, desc=task, bar_format=form, miniters=0) as bar:

        def on_progress(fraction: float, line: str) -> None:
            bar.set_postfix_str(line, refresh=False)
            bar.update(fraction - bar.n)

        yield on_progress
        bar.update(1.0 - bar.n)


def _lines() -> OnProgress:
    printed = time.monotonic()

    def on_progress(fraction: float, line: str) -> None:
        nonlocal printed
        if fraction >= 1 or time.monotonic() - printed >= _QUIET:
            printed = time.monotonic()
            log(line)

    return on_progress
