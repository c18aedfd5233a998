"""Each job in a process of its own, which starts clean and takes its memory with it when it ends.

TensorFlow keeps parts of every model until its process ends (tf-keras issue 286): a process that
had trained the twenty small models of a smoke run held more than 5 GiB. Importing TensorFlow anew
for each of them would take longer than training some, so on Linux they are forked from a server
that has imported it and computed nothing; elsewhere they are spawned.
"""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection

import cloudpickle

from brainlib.errors import BrainlibError

# By name: this module itself never loads TensorFlow.
_PRELOADED = "brainlib.models._tensorflow"
ATTEMPTS = 2  # a process that was killed may have been the largest one by chance


def warm() -> None:
    """Start the server that processes are forked from, so that it imports TensorFlow meanwhile."""
    if _context().get_start_method() == "forkserver":
        from multiprocessing import forkserver

        forkserver.ensure_running()


def run(function: Callable, arguments: tuple, report: Callable):
    """Call ``function(*arguments, report)`` in a process of its own.

    Parameters
    ----------
    function : callable
    arguments : tuple
    report : callable
        Called here with what the function calls its last argument with.

    Returns
    -------
    object

    Raises
    ------
    BrainlibError
        The process was killed, and so was a second one.
    Exception
        What the function raised.
    """
    for _ in range(ATTEMPTS):
        with contextlib.suppress(EOFError):
            return _attempt(function, arguments, report)
    raise BrainlibError(
        "a process was killed while it trained, most often for want of memory; use fewer --jobs or a smaller --profile"
    )


def _context():
    context = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
    context.set_forkserver_preload([_PRELOADED])
    return context


def _attempt(function, arguments, report):
    here, there = _context().Pipe(duplex=False)
    work = cloudpickle.dumps((function, arguments))
    process = _context().Process(target=_serve, args=(there, work), daemon=True)
    process.start()
    there.close()  # so that the end of the process is the end of the file
    try:
        while True:
            kind, value = here.recv()
            if kind == "report":
                report(*value)
            elif kind == "result":
                return cloudpickle.loads(value)
            else:
                raise cloudpickle.loads(value)
    finally:
        here.close()
        process.kill()  # it has said all it had to say, or nobody listens any more
        process.join()


def _serve(connection: Connection, work: bytes) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends with the process that asked for it
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        importlib.import_module(_PRELOADED).find_devices()
        function, arguments = cloudpickle.loads(work)
        result = function(*arguments, lambda *values: connection.send(("report", values)))
        answer = ("result", cloudpickle.dumps(result))
    except BaseException as error:
        if not isinstance(error, BrainlibError):
            error.add_note(traceback.format_exc())
        answer = ("error", _pickled(error))
    connection.send(answer)


def _pickled(error):
    try:
        cloudpickle.loads(said := cloudpickle.dumps(error))
    except Exception:  # noqa: BLE001 - an exception may hold anything, and refuse in any way
        said = cloudpickle.dumps(RuntimeError("".join(traceback.format_exception(error))))
    return said


def _end_with_parent():
    multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
    os._exit(1)
