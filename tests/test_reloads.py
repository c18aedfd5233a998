"""A real kernel that is busy, and what a page asks it that was just reloaded."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager

PATIENCE = 60  # seconds, for each answer of a busy machine
BUSY = """
import time
from pathlib import Path
from brainlib import bars
assert bars.watched()
show = bars.Bar._show
def and_be_slow(*output, **how):
    show(*output, **how)
    time.sleep(0.5)  # in which a quick page asks
bars.Bar._show = and_be_slow
with bars.Bar("2 models to train", "2 models trained"):
    while not Path("enough").exists():
        time.sleep(0.05)
"""


@pytest.fixture
def client(tmp_path, monkeypatch):
    """A page's side of a kernel that runs in an empty folder."""
    pytest.importorskip("ipywidgets")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    monkeypatch.setenv("JPY_SESSION_NAME", str(tmp_path / "work.ipynb"))
    manager = KernelManager(kernel_spec_manager=KernelSpecManager(kernel_dirs=[]))
    manager.start_kernel(cwd=str(tmp_path))
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=PATIENCE)
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def until(receive, wanted):
    """The content of the first message that is wanted."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        message = receive(timeout=PATIENCE)
        if wanted(message):
            return message["content"]
    raise AssertionError("waited in vain")


def reply(client, request):
    """The answer to a request; others may come before, of when the kernel started slowly."""
    return until(client.get_shell_msg, lambda m: m["parent_header"]["msg_id"] == request)


def ask(client, kind, **content):
    """Send a request as a page does; its id is returned."""
    message = client.session.msg(kind, content, metadata={"version": "1.0.0"})  # of ipywidgets' protocol
    client.shell_channel.send(message)
    return message["header"]["msg_id"]


def test_a_busy_kernel_says_who_it_is_and_what_its_widgets_show(client, tmp_path):
    heard = client.get_iopub_msg
    busy = client.execute(BUSY, allow_stdin=True)
    shown = until(heard, lambda m: m["msg_type"] == "update_display_data")["data"]
    model = shown["application/vnd.jupyter.widget-view+json"]["model_id"]
    # In this order, of the thread that runs the cell, JupyterLab asks before it shows a widget.
    assert "kernel subshells" in reply(client, client.kernel_info())["supported_features"]
    ask(client, "comm_open", comm_id="page", target_name="jupyter.widget.control", data={})
    asked = ask(client, "comm_msg", comm_id="page", data={"method": "request_states"})
    states = until(heard, lambda m: m["content"].get("comm_id") == "page")["data"]["states"]
    assert "2 models to train" in states[model]["state"]["value"]
    answered = (asked, "idle")  # what a page waits for as well
    until(heard, lambda m: (m["parent_header"]["msg_id"], m["content"].get("execution_state")) == answered)
    (tmp_path / "enough").touch()
    assert reply(client, busy)["status"] == "ok"
    # Afterwards the kernel receives messages as it did before.
    assert reply(client, client.execute("1"))["status"] == "ok"
