"""JupyterLab in a real browser: the bar of a running cell, before and after a reload."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest

from browsing import Watched

ROOT = Path(__file__).parents[1]
PATIENCE = 60  # seconds, for each step on a busy machine

# As trials.run_trials does it, without a model; it ends when it is told to.
WORK = """
import time
from pathlib import Path
from brainlib import bars, workers
assert bars.watched()
with bars.shown("2 models to train", "2 models trained", at_once=True) as moved:
    progress = workers.Progress([("made up", 1000), ("another", 1000)], lambda line: None, moved)
    for epoch in range(1, 1001):
        if Path("enough").exists():
            break
        progress.epoch(0, epoch, 0.5, 0.75)
        time.sleep(0.2)
"""


@pytest.fixture
def lab(tmp_path):
    """The address of a JupyterLab that has one notebook, ``work.ipynb``, and its folder.

    Nothing of the developer's own configuration, kernels or running servers plays a part.
    """
    pytest.importorskip("jupyterlab")
    folder = tmp_path / "notebooks"
    folder.mkdir()
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(WORK)])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "", "language": "python"}
    nbformat.write(notebook, folder / "work.ipynb")
    foreign = ("JUPYTER", "JPY_", "IPYTHON")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "HOME"):
        (tmp_path / name).mkdir()
        environment[name] = str(tmp_path / name)
    environment |= {"JUPYTER_NO_CONFIG": "1", "PYTHONPATH": str(ROOT)}
    token = secrets.token_hex()
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", "--port=0",
        f"--IdentityProvider.token={token}",
        f"--ServerApp.root_dir={folder}",
        "--KernelSpecManager.kernel_dirs=[]",  # leaves ipykernel's own: this interpreter
        "--LabApp.expose_app_in_browser=True",  # to rename the notebook
        "--LabApp.extension_manager=readonly",  # asks no registry
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=log, stderr=log)
    try:
        said = tmp_path / "JUPYTER_RUNTIME_DIR" / f"jpserver-{server.pid}.json"
        until(lambda: server.poll() is not None or (said.exists() and said.read_text().endswith("}")))
        assert server.poll() is None, (tmp_path / "log").read_text()
        yield f"{json.loads(said.read_text())['url']}lab/tree/work.ipynb?token={token}", folder
    finally:
        server.terminate()  # ends the kernel as well
        try:
            server.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            server.kill()  # the kernel ends when it sees that its parent is gone


def until(condition):
    """Wait for a condition that no page can see."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


@pytest.mark.slow
def test_a_bar_is_there_and_moves_after_a_reload(lab, browser):
    address, folder = lab
    with Watched(browser, 1200, "light") as page:
        page.set_default_timeout(PATIENCE * 1000)
        page.goto(address)
        page.get_by_text("| Idle").first.wait_for()  # the kernel can be asked
        # The kernel will know its first name only.
        page.evaluate("jupyterapp.serviceManager.contents.rename('work.ipynb', 'renamed.ipynb')")
        page.get_by_role("tab", name="renamed.ipynb").wait_for()
        page.locator(".jp-CodeCell .cm-content").first.click()
        page.keyboard.press("Shift+Enter")
        # With its role and its name: to be seen, and to be heard.
        bar = page.get_by_role("progressbar", name="2 models to train")
        bar.wait_for()
        until(lambda: "widget-view" in (folder / "renamed.ipynb").read_text())  # the page saves by itself
        page.reload()
        bar.wait_for()
        before = bar.evaluate("bar => bar.value")
        page.wait_for_function(
            "before => document.querySelector('.jp-OutputArea progress').value > before", arg=before
        )
        assert page.get_by_text("[1/2] made up: epoch").is_visible()
        (folder / "enough").touch()
        page.get_by_text("2 models trained in").wait_for()
        assert bar.count() == 0
    assert page.left == []
