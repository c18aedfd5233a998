"""Run notebooks with parameters, side by side, each to a page, and find the sections of a page.

The notebook itself is left as it is: papermill executes a copy, which goes to ``out/notebooks``.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import nbformat
import papermill
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpecManager
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillExecutionError
from traitlets import default

import brainlib
from brainlib import errors, io, progress
from brainlib.report import notebook_page

logging.getLogger("papermill").setLevel(logging.CRITICAL)  # how a notebook ended is said here
_IN_FRAGMENTS = "?/:@!$&'()*+,;="  # what a fragment of an address may hold besides letters and digits

#: The headings of notebooks that the index links to, and what it calls them: of two by one name, the later counts.
#: A heading may end in a bracket, such as the paper's number of a figure.
SECTIONS = {
    "Are the printed numbers possible?": "possible or not",
    "Reporting checklist": "reporting checklist",
    "Without duplicates": "without duplicates",
    "Shortcuts": "shortcuts",
    "Controls": "controls",
    "The t-test": "t-test",
    "Uncertainty and calibration": "intervals and calibration",
    "Several seeds": "several seeds",
    "Training": "learning curves",
    "Learning curves": "learning curves",
    "Grad-CAM": "heat maps",
    "Verdict": "verdicts",
}


@dataclass(frozen=True)
class Outcome:
    """How the run of a notebook ended: its error is one line, and its page need not exist."""

    name: str
    ok: bool
    error: str | None
    seconds: float
    html: Path


@dataclass
class _Kernels:
    """The kernels of notebooks that run side by side, which end together."""

    managers: list[AsyncKernelManager] = field(default_factory=list)
    ended: bool = False

    def end(self) -> None:
        """Kill those that run, and start no others."""
        self.ended = True
        for manager in list(self.managers):
            with contextlib.suppress(AttributeError):  # one that has ended has no process
                manager.provisioner.process.kill()


class _Named:
    """Standard error for a notebook: whole lines, each with the notebook's name, since others print there as well."""

    def __init__(self, name: str):
        self.name, self.rest = name, ""

    def write(self, text: str) -> None:
        *lines, self.rest = f"{self.rest}{text}".split("\n")
        for line in lines:
            progress.log(line if self.name in line or not line else f"{self.name}: {line}")

    def flush(self) -> None:
        """Do nothing: a line is printed when it is whole."""


def run_notebooks(notebooks: Mapping[Path, Mapping[str, Any]], out: Path) -> list[Outcome]:
    """Run notebooks with their parameters side by side, each as `run_notebook` does; return how each ended, in order.

    One that fails takes no other along. When this function is left by an interrupt, no kernel is left behind.
    """
    kernels, order = _Kernels(), [notebook.stem for notebook in notebooks]

    def run(notebook: Path) -> Outcome:
        progress.log(f"{notebook.stem}: running {notebook.name}")
        return run_notebook(notebook, notebooks[notebook], out, kernels, order)

    with ThreadPoolExecutor(len(notebooks)) as pool:
        try:
            return list(pool.map(run, notebooks))
        except BaseException:
            kernels.end()
            raise


def run_notebook(
    notebook: Path,
    parameters: Mapping[str, Any],
    out: Path,
    kernels: _Kernels | None = None,
    order: Sequence[str] = (),
) -> Outcome:
    """Execute a notebook and write ``out/notebooks/NAME.ipynb`` and ``out/NAME.html``.

    The kernel is this interpreter, in this working directory. What it prints on standard error goes to the terminal,
    line by line and with the notebook's name, and not into the page. A notebook that fails is rendered up to the
    failure. Whatever an earlier run left of this notebook's page and result is removed first. The page leads to those
    before and after it in `order`. A parameter that the notebook does not have is a UsageError, before anything is
    written.
    """
    notebook, out = Path(notebook), Path(out)
    started, name, shareable = time.perf_counter(), notebook.stem, _shareable(parameters)
    page = out / f"{name}.html"
    try:
        _check_parameters(notebook, parameters)
        for left in (page, out / "results" / f"{name}.json"):
            left.unlink(missing_ok=True)
        executed, error = _execute(notebook, parameters, kernels or _Kernels())
        executed = nbformat.from_dict(_map_text(executed, shareable))
        error = error and shareable(error)
        with io.writing(out / "notebooks" / f"{name}.ipynb") as file:
            file.write(nbformat.writes(executed).encode())
        notebook_page.write(page, executed, error, order)
    except errors.UsageError:
        raise
    except Exception as problem:  # noqa: BLE001 - one notebook must not take the others along
        error = shareable(_reason(type(problem).__name__, str(problem)))
    return Outcome(name, error is None, error, time.perf_counter() - started, page)


def _check_parameters(notebook, parameters):
    known = papermill.inspect_notebook(notebook)
    for name in parameters:
        if name not in known:
            expected = f"one of {', '.join(known)}" if known else "none"
            raise errors.UsageError(f"{notebook.name}: unknown parameter '{name}'; expected {expected}")


def _execute(notebook, parameters, kernels):
    class ThisPython(AsyncKernelManager):
        # A user's own kernel "python3" may belong to another environment: without folders to search,
        # ipykernel's own is left, started with sys.executable.
        @default("kernel_spec_manager")
        def _no_folders(self):
            return KernelSpecManager(kernel_dirs=[])

        # Progress as lines for the terminal, no start-up messages of TensorFlow, and no more of a GPU's memory
        # than is used. The kernel itself uses none: the workers do, each bound to one of its own.
        async def start_kernel(self, **options):
            defaults = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
            environment = defaults | os.environ | {progress.VARIABLE: "lines", "CUDA_VISIBLE_DEVICES": "-1"}
            options["env"] = environment | options.get("env", {})
            # To end it, jupyter_client interrupts it first, which it would report as an error.
            options["extra_arguments"] = [*options.get("extra_arguments", ()), "--log-level=CRITICAL"]
            await super().start_kernel(**options)
            kernels.managers.append(self)
            if kernels.ended:
                kernels.end()

        # Sockets in a folder of this user's: a port that is free when it is chosen can be taken when the kernel binds
        # it, and other users of the machine could reach it.
        transport = "ipc"

        @default("connection_file")
        def _in_the_folder(self):
            return str(Path(folder) / "kernel")

    error = None
    with tempfile.TemporaryDirectory(dir=io.socket_folder()) as folder:
        target = Path(folder) / "executed.ipynb"
        try:
            papermill.execute_notebook(
                notebook,
                target,
                dict(parameters),
                kernel_name="python3",
                kernel_manager_class=ThisPython,
                progress_bar=False,
                stderr_file=_Named(notebook.stem),
            )
        except PapermillExecutionError as failure:
            error = _reason(failure.ename, failure.evalue)
        except DeadKernelError:
            error = "the notebook's process was killed, most often because memory ran out"
        if kernels.ended:
            raise InterruptedError
        executed = nbformat.read(target, as_version=4)
    executed.cells = [c for c in executed.cells if "papermill-error-cell-tag" not in c.metadata.get("tags", [])]
    executed.metadata.papermill.pop("output_path", None)
    executed.metadata.papermill["input_path"] = notebook.name
    return executed, error


def _reason(kind: str, message: str) -> str:
    # The last line with a word in it: some end in a caret below their place.
    last = ([line.strip() for line in message.splitlines() if re.search(r"\w", line)] or [""])[-1]
    ours = getattr(errors, kind, None)
    if last and isinstance(ours, type) and issubclass(ours, errors.BrainlibError):
        return last
    return f"{kind}: {last}" if last else kind


def _shareable(parameters: Mapping[str, Any]) -> Callable[[str], str]:
    """Return what replaces folders of this machine in a text by names that say as much."""
    short = {Path(sys.prefix): "", Path(brainlib.__file__).parent: "", Path(os.path.expanduser("~")): "~"}
    short[Path.cwd()] = "."
    for value in parameters.values():
        if isinstance(value, str) and os.path.isabs(value := os.path.expanduser(value)):
            short[Path(value)] = ""
    names = {
        str(path): name or f"…/{folder.name}"
        for folder, name in short.items()
        for path in (folder, folder.resolve())
        if len(path.parts) > 1
    }
    longest = "|".join(re.escape(path) for path in sorted(names, key=len, reverse=True))
    # Not within a longer path or within base64, but right behind a colour of a traceback.
    pattern = re.compile(rf"(?:(?<![\w.+/~-])|(?<=\dm))(?:file://)?({longest})(?![\w-])")
    return lambda text: pattern.sub(lambda match: names[match[1]], text)


def _map_text(node, change):
    if isinstance(node, dict):
        images = [key for key in ("image/png", "image/jpeg") if isinstance(node.get(key), str)]
        return {key: value if key in images else _map_text(value, change) for key, value in node.items()}
    if isinstance(node, list):
        return [_map_text(value, change) for value in node]
    return change(node) if isinstance(node, str) else node


def sections(page: Path) -> dict[str, str]:
    """Return the links to the sections of a page, from beside it, by the names in `SECTIONS`.

    A section that is not there has no link; a page that is missing or cannot be read has none.
    """
    try:
        html = page.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return {}
    ids = [unescape(found) for found in re.findall(r'<h[1-6] id="([^"]+)"', html)]
    by_heading = {found.split("-(")[0]: quote(found, safe=_IN_FRAGMENTS) for found in reversed(ids)}
    there = {heading: by_heading.get(heading.replace(" ", "-")) for heading in SECTIONS}
    return {SECTIONS[heading]: f"{quote(page.name)}#{found}" for heading, found in there.items() if found}
