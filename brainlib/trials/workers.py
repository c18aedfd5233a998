"""Call a function for many jobs, on this machine or on the workers of a Dask cluster.

Each job runs in a process of its own, which this process or a worker starts. Workers of the local cluster outlive the
notebooks of a run.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING

from brainlib import io, progress
from brainlib.errors import BrainlibError, UsageError, reason
from brainlib.trials import devices, processes
from brainlib.trials.jobs import versions

if TYPE_CHECKING:
    from distributed import Client

_TOPIC = "brainlib-progress"


def run(
    function: Callable,
    jobs: Sequence[tuple],
    scheduler: str,
    on_report: Callable | None = None,
    store: Path | None = None,
    files: Sequence[tuple[str, int]] = (),
) -> list:
    """Call ``function(*job, report)`` for every job, each in a process of its own; return the results in order.

    `scheduler` is the address of a Dask scheduler, or "" for this machine, with as many jobs at a time as
    `devices.places` says. What a job reports, such as an epoch and its scores, is handed to `on_report` after the job's
    position. An error of a job is raised here; jobs that finished before it stay done.

    Before the first job, if any, UsageError names a worker that has other versions than this process, cannot write to
    the folder `store`, or does not see one of the `files`, each with its size in bytes. When the scheduler is lost,
    the jobs that it has not finished are given to the next one at its address.
    """
    if not scheduler:
        places = devices.places()[: len(jobs)]
        return processes.run_all(function, jobs, places, on_report or (lambda *values: None))
    from distributed import CancelledError
    from distributed.comm import CommClosedError

    results, patience = {}, 10
    folder = io.temporary_name(store / "workers") if store else None
    try:
        if folder:
            folder.mkdir(parents=True)
        while True:
            try:
                with connected(scheduler, patience) as client:
                    _check(client, folder, files)
                    _on_cluster(client, function, jobs, on_report, folder, results)
                return [results[number] for number in range(len(jobs))]
            except (CancelledError, CommClosedError):
                patience = 600  # it has answered before
                progress.log(f"--scheduler {scheduler}: lost; {len(jobs) - len(results)} jobs wait for the next")
    finally:
        if folder:
            shutil.rmtree(folder, ignore_errors=True)


def _check(client, folder, files):
    """Wait for a worker, and have each compare itself with this process."""
    if not client.scheduler_info()["workers"]:
        progress.log(f"--scheduler {client.scheduler.address}: has no worker yet; waiting for the first")
        client.wait_for_workers(1)
    for address, lack in client.run(lacking, versions(), folder, files, on_error="return").items():
        if isinstance(lack, str):
            _refuse(address, lack)
        elif not isinstance(lack, OSError):  # such as one that has just ended
            _refuse(address, f"brainlib {versions()['brainlib']}, received {reason(lack)}")


def lacking(wanted: dict[str, str], folder: Path | None, files: Sequence[tuple[str, int]] = ()) -> str:
    """Return in words what this process, a worker, has not as a run has it; "" if nothing."""
    for name, here in versions().items():
        if here != wanted.get(name):
            return f"{name} {wanted.get(name)}, received {here}"
    try:
        if folder:  # which a worker of another disk does not have
            tempfile.TemporaryFile(dir=folder).close()
        for path, size in files:
            if (here := os.stat(path).st_size) != size:
                return f"{path} of {size} bytes, received {here}"
    except OSError as error:
        return f"{error.filename}, received {error.strerror}"
    return ""


def _refuse(address, lack):
    if lack:
        advice = "start it with the versions of this run, and with --out, data and weights at the same paths"
        raise UsageError(f"worker {address}: expected {lack}; {advice}")


def _on_cluster(client, function, jobs, on_report, folder, results):
    """Do the jobs that have no result yet, and keep each result as it comes."""
    from distributed import KilledWorker, as_completed

    run_id = uuid.uuid4().hex

    def handle(event):
        _, message = event
        if on_report and message.get("run") == run_id:
            on_report(*message["values"])

    client.subscribe_topic(_TOPIC, handle)
    # Dask prefers the higher priority: in the order of the jobs, those of several notebooks in turn. Jobs that report
    # nothing are short, and come before those that train.
    first, needs = 0 if on_report else 10**6, (versions(), folder)
    futures = {
        client.submit(_on_worker, function, number, job, run_id, needs, pure=False, priority=first - number): number
        for number, job in enumerate(jobs)
        if number not in results
    }
    try:
        for future in as_completed(futures, loop=client.loop):
            results[futures.pop(future)] = future.result()
            future.release()  # else Dask would do the job again where the worker that holds its result is lost
    except KilledWorker as error:
        raise BrainlibError(processes.KILLED) from error
    finally:
        client.cancel(list(futures))
        client.unsubscribe_topic(_TOPIC)


def _on_worker(function, number, job, run_id, needs):
    from distributed import get_worker

    worker = get_worker()
    _refuse(worker.address, lacking(*needs))  # it may have come after the others were checked

    def report(*values):
        worker.log_event(_TOPIC, {"run": run_id, "values": (number, *values)})

    return processes.run(function, job, report)


@contextmanager
def connected(scheduler: str, patience: float = 10) -> Iterator[Client]:
    """Connect to a Dask scheduler for the length of a block; UsageError when none answers within these seconds."""
    from distributed import Client

    expected = (
        f"--scheduler {scheduler}: expected the address of a running Dask scheduler, such as tcp://127.0.0.1:8786"
    )
    if not re.fullmatch(r"(\w+://)?[^/\s]+:\d{1,5}", scheduler):  # which Dask would try to reach, in vain
        raise UsageError(expected)
    try:
        client = Client(scheduler, timeout=patience, set_as_default=False)
    except (OSError, ValueError) as error:
        raise UsageError(f"{expected}; none answered there") from error
    with client:
        yield client


@contextmanager
def local_cluster(jobs: int | None = None, *, warm: bool = True) -> Iterator[str]:
    """Start workers on this machine for the length of a block.

    There are as many as `devices.places` says. Each trains one model at a time, and imports TensorFlow once: at once if
    `warm`, else before the first model. The block receives the address of the scheduler.
    """
    import dask
    from distributed import Nanny, Scheduler, SpecCluster

    local = {"host": "127.0.0.1"}
    # Memory maps count as memory: with a limit, a worker would be restarted for them.
    worker = {**local, "nthreads": 1, "memory_limit": 0, "dashboard": False, "silence_logs": 50}
    nannies = [{"cls": Nanny, "options": {**worker, "env": place}} for place in devices.places(jobs)]
    # Dask moves no task to an idle worker before it knows how long such a task takes.
    settings = {"distributed.scheduler.unknown-task-durations": {"_on_worker": "10 minutes"}}
    before = dict(os.environ)
    # Ctrl-C reaches workers too, but is for their run, which ends them: they inherit from this thread not to heed it.
    resource_tracker.ensure_running()  # a thread that starts it heeds it again
    unheeded = ThreadPoolExecutor(1, initializer=signal.pthread_sigmask, initargs=(signal.SIG_BLOCK, [signal.SIGINT]))
    with dask.config.set(settings), unheeded as pool:
        # Any free port for its page: several runs may be active at once.
        scheduler = {"cls": Scheduler, "options": {**local, "dashboard": False, "dashboard_address": ":0"}}
        cluster = pool.submit(SpecCluster, dict(enumerate(nannies)), scheduler, silence_logs=50).result()
    # Dask also leaves its workers' variables in this process. A notebook's kernel would inherit one that returns freed
    # memory at once, and spend more time on that than on its arrays.
    for name in set(os.environ) - set(before):
        del os.environ[name]
    os.environ.update(before)
    with cluster, connected(cluster.scheduler_address) as client:
        # Referenced until the end: a future without a reference is cancelled.
        warmed = client.scheduler_info()["workers"] if warm else ()
        warming = [client.submit(processes.warm, workers=[worker], pure=False) for worker in warmed]
        try:
            yield cluster.scheduler_address
            client.cancel(warming)
        except BaseException:  # nobody waits for what the workers do
            for nanny in cluster.workers.values():
                nanny.close_gracefully()  # it is not to start another worker
                if nanny.pid:
                    os.kill(nanny.pid, signal.SIGKILL)
            raise
