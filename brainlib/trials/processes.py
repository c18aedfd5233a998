"""Call a function in a process of its own, which starts clean and ends with everything it held.

Training resets Keras and seeds every global generator: what else runs in the caller's process, such as a user's own
Keras session, is not touched. TensorFlow also keeps parts of every model until its process ends (tf-keras issue 286): a
process that had trained the twenty small models of a smoke run held more than 5 GiB. Importing TensorFlow for each of
them would take longer than training some, so on Linux the processes are forked from a server that has imported it and
computed nothing; elsewhere they are spawned.
"""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import util
from multiprocessing.connection import Connection

import cloudpickle

from brainlib import io
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

    The function is any that cloudpickle can carry, such as one of a notebook; `report` runs in this process. Where the
    process was killed, and so was a second one, a BrainlibError is raised.
    """
    return run_all(function, [arguments], [{}], lambda number, *values: report(*values))[0]


def run_all(
    function: Callable, jobs: Sequence[tuple], places: Sequence[dict[str, str]], report: Callable
) -> list[object]:
    """Do as `run` does for several jobs, and return the results in their order.

    As many run at a time as there are places, each in the environment of its place; `report` receives the job's
    position first. When one fails, those that run are ended and none is started any more.
    """
    waiting, free, running, tries = deque(range(len(jobs))), list(places), {}, Counter()
    results = [None] * len(jobs)
    try:
        while waiting or running:
            while waiting and free:
                number, place = waiting.popleft(), free.pop(0)
                tries[number] += 1
                running[_Process(function, jobs[number], place)] = number
            for process in multiprocessing.connection.wait(running):
                number = running[process]
                try:
                    kind, value = process.receiver.recv()
                except EOFError:
                    if tries[number] > 1:
                        raise BrainlibError(KILLED) from None
                    kind = "killed"
                if kind == "report":
                    report(number, *value)
                    continue
                if kind == "error":
                    raise cloudpickle.loads(value)
                del running[process]
                process.end()
                if kind == "result":
                    results[number] = cloudpickle.loads(value)
                else:  # it may have been the largest one by chance: once more, beside one fewer
                    waiting.appendleft(number)
                if kind == "result" or not running:
                    free.append(process.place)
    finally:
        for process in running:
            process.end()
    return results


def _context():
    usual = tempfile.tempdir
    tempfile.tempdir = io.socket_folder()
    util.get_temp_dir()  # multiprocessing keeps it, and removes it in the end
    tempfile.tempdir = usual
    context = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
    context.set_forkserver_preload([_PRELOADED])
    return context


class _Process:
    """A process that does one job in the environment of its place, and what it sends back."""

    def __init__(self, function, arguments, place):
        self.place = place
        self.receiver, sender = _context().Pipe(duplex=False)
        work = cloudpickle.dumps((function, arguments, place))
        self.process = _context().Process(target=_serve, args=(sender, work), daemon=True)
        with _starting, _startable():
            self.process.start()
        sender.close()  # so that the end of the process is the end of the file

    def fileno(self):
        """Return what `multiprocessing.connection.wait` waits for."""
        return self.receiver.fileno()

    def end(self):
        self.receiver.close()
        self.process.kill()  # it has sent all it had to send, or nobody waits for it any more
        self.process.join()


@contextlib.contextmanager
def _startable() -> Iterator[None]:
    """Let any process start others: a script without a guard of its main part, and a Dask worker.

    A new process would run the caller's script once more to define its functions, but cloudpickle carries these. A
    daemonic process, such as a Dask worker, may have no children, which would outlive it, but ours end with it
    (`_end_with_parent`).
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
        function, arguments, place = cloudpickle.loads(work)
        os.environ.update(place)  # TensorFlow reads it when it first computes
        importlib.import_module(_PRELOADED).start_worker()
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
