"""Answer a page of JupyterLab that is reloaded while a cell runs.

Before it shows a widget again, the page asks the kernel who it is, and for the state of all widgets.
JupyterLab would have a thread of its own for widgets, but starts it after these questions, so they
go to the thread that is busy with the cell. The thread that receives messages answers them instead.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager

_PARTS = ("shell_channel_thread", "shell_channel_thread_main", "shell_handlers", "shell_stream", "iopub_socket")
_WIDGETS = "jupyter.widget.control"  # what a page opens to ask for the state of all widgets


@contextmanager
def answered(kernel):
    """Answer reloaded pages for the length of a block in which the kernel is busy.

    Parameters
    ----------
    kernel : ipykernel.kernelbase.Kernel
        Before version 7 it receives messages in the busy thread; nothing is done then, nor where a later
        one has other parts.
    """
    if not all(getattr(kernel, part, None) for part in _PARTS):
        yield
        return
    stream, session, pages = kernel.shell_stream, kernel.session, set()

    async def received(message):
        asked = False
        try:
            identities, parts = session.feed_identities(message, copy=False)
            peeked = session.deserialize(parts, content=False, copy=False)
            kind, content = peeked["header"]["msg_type"], session.unpack(peeked["content"])
            if kind == "comm_open" and content["target_name"] == _WIDGETS:
                pages.add(content["comm_id"])
            asked = kind == "kernel_info_request" or kind.startswith("comm_") and content["comm_id"] in pages
        except Exception:  # noqa: BLE001, S110 - the kernel says what is wrong with a message
            pass
        if not asked:
            await kernel.shell_channel_thread_main(message)
            return
        request = session.deserialize(parts, copy=False)
        _status(kernel, "busy", request)
        try:
            answer = kernel.shell_handlers[kind](stream, identities, request)
            if answer is not None:
                await answer
        finally:
            _status(kernel, "idle", request)

    _listen(stream, received)
    try:
        yield
    finally:
        _listen(stream, kernel.shell_channel_thread_main)


def _status(kernel, state, request):
    # A page takes an answer for complete when the kernel is idle again.
    kernel.session.send(kernel.iopub_socket, "status", {"execution_state": state}, request)


def _listen(stream, callback):
    # In the thread of the stream, where alone it may be touched; after that, no message goes elsewhere.
    listening = threading.Event()

    def listen():
        stream.on_recv(callback, copy=False)
        listening.set()

    stream.io_loop.add_callback(listen)
    listening.wait(timeout=10)  # in vain where the kernel is being shut down
