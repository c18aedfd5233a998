"""Call a function in a process of its own, which starts clean and ends with everything it held.

Training resets Keras and seeds every global generator: what else runs in the caller's process, such
as a user's own Keras session, is not touched. TensorFlow also keeps parts of every model until its
process ends (tf-keras issue 286): a process that had trained the twenty small models of a smoke run
held more than 5 GiB. Importing TensorFlow for each of them would take longer than training some, so
on Linux the processes are forked from a server that has imported it and computed nothing; elsewhere
they are spawned.
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
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection

import cloudpickle

from brainlib.errors import BrainlibError

# By name: this module itself never imports TensorFlow.
_PRELOADED = "brainlib.models._tensorflow"
KILLED = "a process was killed while it trained, most often for want of memory; use fewer --jobs or a smaller --profile"
_starting = threading.Lock()


def warm() -> None:
    """Start the server that processes are forked from, so that it imports TensorFlow meanwhile."""
    if _context().get_start_method() == "forkserver":
        from multiprocessing import forkserver

        forkserver.ensure_running()


def run(function: Callable, arguments: tuple, report: Callable) -> object:
    """Call ``function(*arguments, report)`` in a process of its own; return or raise what it does.

    The function is any that cloudpickle can carry, such as one of a notebook; `report` runs in this
    process. Where the process was killed, and so was a second one, a BrainlibError is raised.
    """
    for _ in range(2):  # a process that was killed may have been the largest one by chance
        with contextlib.suppress(EOFError):
            return _attempt(function, arguments, report)
    raise BrainlibError(KILLED)


def _context():
    context = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
    context.set_forkserver_preload([_PRELOADED])
    return context


def _attempt(function, arguments, report):
    receiver, sender = _context().Pipe(duplex=False)
    work = cloudpickle.dumps((function, arguments))
    process = _context().Process(target=_serve, args=(sender, work), daemon=True)
    with _starting, _startable():
        process.start()
    sender.close()  # so that the end of the process is the end of the file
    try:
        while True:
            kind, value = receiver.recv()
            if kind == "report":
                report(*value)
            elif kind == "result":
                return cloudpickle.loads(value)
            else:
                raise cloudpickle.loads(value)
    finally:
        receiver.close()
        process.kill()  # it has sent all it had to send, or nobody waits for it any more
        process.join()


@contextlib.contextmanager
def _startable() -> Iterator[None]:
    """Let any process start others: a script without a guard of its main part, and a Dask worker.

    A new process would run the caller's script once more to define its functions, but cloudpickle
    carries these. A daemonic process, such as a Dask worker, may have no children, which would
    outlive it, but ours end with it (`_end_with_parent`).
    """
    this, main = multiprocessing.current_process()._config, vars(sys.modules["__main__"])
    before = {name: main[name] for name in ("__file__", "__spec__") if name in main}
    daemonic = this.pop("daemon", None)
    main.update(dict.fromkeys(before))
    try:
        yield
    finally:
        main.update(before)
        if daemonic is not None:
            this["daemon"] = daemonic


def _serve(connection: Connection, work: bytes) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends with the process that started it
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        importlib.import_module(_PRELOADED).start_worker()
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
        cloudpickle.loads(pickled := cloudpickle.dumps(error))
    except Exception:  # noqa: BLE001 - an exception may hold anything, and refuse in any way
        pickled = cloudpickle.dumps(RuntimeError("".join(traceback.format_exception(error))))
    return pickled


def _end_with_parent():
    multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
    os._exit(1)
