"""A progress bar in JupyterLab, which is there and moves again when the page is reloaded."""

from __future__ import annotations

import html
import os
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from brainlib import reloads

_SHORT = 2  # seconds: what takes no longer needs no bar
_open: list[Callable] = []  # of the outermost block of `shown`, if any
# A reloaded page knows the outputs that were saved, and hears of no others: so the page saves, by
# the keys of JupyterLab and Notebook, when the bar has taken the place of this output. They save
# what is in front; should that be another tab, it waits. A notebook that never got a name is not
# saved: JupyterLab would ask for one. The kernel knows the first name alone, the tab today's.
_SAVE = """let panel;
const saving = setInterval(() => {
  panel ??= document.querySelector('[data-brainlib-bar="BAR"]')?.closest(".jp-NotebookPanel");
  if (!panel) return;
  const tab = document.querySelector(`.lm-TabBar-tab[data-id="${panel.id}"]`);
  if (tab && !tab.classList.contains("jp-mod-current") && panel.isConnected) return;
  clearInterval(saving);
  if (!panel.isConnected || /^Untitled/.test(tab?.textContent.trim() ?? "")) return;
  document.body.dispatchEvent(new KeyboardEvent("keydown", {
    key: "s", code: "KeyS", keyCode: 83, bubbles: true,
    [/Mac/i.test(navigator.platform) ? "metaKey" : "ctrlKey"]: true,
  }));
}, 300);
setTimeout(() => clearInterval(saving), 600000);"""


def watched() -> bool:
    """Whether this is a cell that a person runs in a browser, and ipywidgets is there.

    A notebook that ``run_all.sh`` is started from leaves its environment to papermill's kernels;
    but papermill says with each cell, as a page never does, that nobody can be asked for input.
    """
    kernel = _kernel()
    if not kernel or not os.environ.get("JPY_SESSION_NAME"):
        return False
    if threading.current_thread() is not threading.main_thread():
        return False  # work that goes on behind a cell, or after it
    try:
        import ipywidgets  # noqa: F401
    except ImportError:
        return False
    return bool(kernel.get_parent("shell").get("content", {}).get("allow_stdin"))


def _kernel():
    loaded = sys.modules.get("ipykernel.kernelbase")
    return loaded.Kernel.instance() if loaded and loaded.Kernel.initialized() else None


def duration(seconds: float) -> str:
    """Say a duration in seconds, or in minutes from a minute and a half."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


@contextmanager
def shown(name: str, done: str, at_once: bool = False) -> Iterator[Callable[[float, str], None]]:
    """Show a bar of a block that may take long, where it is `watched` and takes more than two seconds.

    Of blocks within one another the outermost has the bar, and the others write into its line: a page
    that is reloaded hears of no output that the running cell makes later, so one bar must do for all.

    Parameters
    ----------
    name, done : str
        As of `Bar`.
    at_once : bool
        Whether the bar is shown from the beginning.

    Yields
    ------
    callable
        To be called with the finished part, from 0 to 1, and a line. Where nobody watches it does nothing.
    """
    if not watched():
        yield lambda fraction, line: None
        return
    if _open:
        if at_once:
            _open[0](None, name, True)
        yield lambda fraction, line: _open[0](None, line)
        return
    started, bar, step = time.monotonic(), None, ""
    with ExitStack() as until_end:

        def moved(fraction, line, now=at_once):
            nonlocal bar, step
            if bar is None and (now or time.monotonic() - started > _SHORT):
                bar = until_end.enter_context(Bar(name, done, started))
            if fraction is not None:
                step = line
            elif step:
                line = f"{step}: {line}"
            if bar:
                bar.moved(bar.fraction if fraction is None else fraction, line)

        _open.append(moved)
        until_end.callback(_open.clear)
        if at_once:
            moved(0, name)
        yield moved


class Bar:
    """A bar in the output of the running cell, for the length of a block; see `watched`.

    At the end one line takes its place. After an exception it stays where it was, red, and says so.

    Parameters
    ----------
    name : str
        What is said at first, and what the bar is called for who does not see it.
    done : str
        What is said at the end, before how long it took.
    started : float, optional
        When the work began, by `time.monotonic`; by default now.
    """

    def __init__(self, name: str, done: str, started: float | None = None):
        import ipywidgets

        self.name, self.done, self.line, self.fraction = name, done, name, 0.0
        self.started, self.drawn = time.monotonic() if started is None else started, 0.0
        self.place, self.until_end = {"display_id": uuid.uuid4().hex}, ExitStack()
        # Not ipywidgets' own bar, which has neither a role nor a name.
        self.widget = ipywidgets.HTML(self._drawing())

    def moved(self, fraction: float, line: str) -> None:
        """Show a fraction, from 0 to 1, and a line; at most five times a second."""
        self.fraction, now = fraction, time.monotonic()
        if fraction == 1 or now - self.drawn >= 0.2:
            self.drawn, self.line = now, line
            self.widget.value = self._drawing()

    def _drawing(self, colour="--jp-brand-color1"):
        return (
            f'<progress data-brainlib-bar="{self.place["display_id"]}" value="{self.fraction:.4f}" aria-label="{html.escape(self.name)}" '
            f'style="width: 20em; accent-color: var({colour})"></progress> {html.escape(self.line)}'
        )

    def __enter__(self) -> Bar:
        script = _SAVE.replace("BAR", self.place["display_id"])
        # First: a page may ask as soon as it sees the bar.
        self.until_end.enter_context(reloads.answered(_kernel()))
        self._show({"application/javascript": script}, update=False)
        self._show({**self.widget._repr_mimebundle_(), "text/plain": self.name})
        return self

    def __exit__(self, kind, error, trace):
        self.until_end.close()
        if kind:
            how = "interrupted" if kind is KeyboardInterrupt else f"failed, {kind.__name__}"
            self.line = f"{how}; before: {self.line}"
            self.widget.value = self._drawing("--jp-error-color1")
            return
        said = f"{self.done} in {duration(time.monotonic() - self.started)}"
        # A page that was reloaded hears of the widget alone; in a saved file only text lasts.
        self.widget.value = html.escape(said)
        self._show({"text/plain": said})

    def _show(self, output, update=True):
        _kernel().shell.display_pub.publish(output, transient=self.place, update=update)
