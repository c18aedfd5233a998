"""Who does the work: this process, or the workers of a Dask cluster; and how it is going.

Workers of the local cluster outlive the notebooks and train each model in a process of its own.
Without a cluster the same functions run here, in reach of a debugger.
"""

from __future__ import annotations

import multiprocessing
import os
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import contextmanager

from brainlib.errors import BrainlibError, UsageError
from brainlib.progress import duration
from brainlib.trials import processes

_TOPIC = "brainlib-progress"


class Progress:
    """Says which trial of how many, which epoch, and how long it will take.

    Parameters
    ----------
    trials : sequence of (str, int)
        Name and number of epochs of each.
    log : callable
        Called with a line, at most every two seconds a trial, and at each trial's end.
    on_progress : callable, optional
        Called at every epoch's end with the finished part of all epochs, from 0 to 1, and a line.
    """

    def __init__(
        self,
        trials: Sequence[tuple[str, int]],
        log: Callable[[str], None],
        on_progress: Callable[[float, str], None] | None = None,
    ):
        self.trials, self.log, self.on_progress = list(trials), log, on_progress
        self.started, self.first, self.spoken, self.finished = {}, {}, {}, {}

    def epoch(self, number: int, epoch: int, loss: float, accuracy: float) -> None:
        """Take note of a finished epoch of trial `number`; epoch 0 is the trial's start."""
        now = time.monotonic()
        name, epochs = self.trials[number]
        if epoch == 0:
            self.started[number] = now
            return
        self.first.setdefault(number, now)
        # A trial whose worker was killed begins again: the bar waits for it rather than go back.
        self.finished[number] = max(epoch, self.finished.get(number, 0))
        last = epoch == epochs
        quiet = not last and now - self.spoken.get(number, 0) < 2
        if quiet and not self.on_progress:
            return
        if last:
            state = f"done in {duration(now - self.started.get(number, now))}"
        else:
            # The first epoch comes with decoding and with building the model: no measure.
            pace = (now - self.first[number]) / (epoch - 1) if epoch > 1 else None
            left = pace and f"about {duration(pace * (epochs - epoch))} left"
            state = left or "time left not known yet"
        line = (
            f"[{number + 1}/{len(self.trials)}] {name}: epoch {epoch}/{epochs}, loss {loss:.4f}, "
            f"accuracy {accuracy:.4f}, {state}"
        )
        if not quiet:
            self.spoken[number] = now
            self.log(line)
        if self.on_progress:
            self.on_progress(sum(self.finished.values()) / sum(n for _, n in self.trials), line)


def run(function: Callable, jobs: Sequence[tuple], scheduler: str, progress: Progress | None):
    """Call ``function(*job, report)`` for every job.

    Parameters
    ----------
    function : callable
        Importable by the workers. Its last argument reports an epoch.
    jobs : sequence of tuple
    scheduler : str
        Address of a Dask scheduler, or "" for this process.
    progress : Progress or None

    Returns
    -------
    list
        Results in the order of the jobs.

    Raises
    ------
    BrainlibError
        What a job raised; the other jobs that had finished are in the store.
    UsageError
        No scheduler answers at the address.
    """
    if not scheduler:
        return [_here(function, number, job, progress) for number, job in enumerate(jobs)]
    with connected(scheduler) as client:
        return _there(client, function, jobs, progress)


def _here(function, number, job, progress):
    def report(*values):
        if progress:
            progress.epoch(number, *values)

    report(0, 0.0, 0.0)
    return function(*job, report)


def _there(client, function, jobs, progress):
    run_id = uuid.uuid4().hex

    def heard(event):
        _, message = event
        if progress and message.get("run") == run_id:
            progress.epoch(*message["values"])

    client.subscribe_topic(_TOPIC, heard)
    futures = [
        # In the order of the jobs: Dask prefers the higher priority.
        client.submit(_on_worker, function, number, job, run_id, pure=False, priority=-number)
        for number, job in enumerate(jobs)
    ]
    try:
        return client.gather(futures)
    except BrainlibError:
        raise
    except Exception as error:
        if type(error).__name__ == "KilledWorker":
            raise BrainlibError(
                "a worker was killed while it trained, most often for want of memory; "
                "use fewer --jobs or a smaller --profile"
            ) from error
        raise
    finally:
        client.cancel(futures)
        client.unsubscribe_topic(_TOPIC)


def _on_worker(function, number, job, run_id):
    from distributed import get_worker

    worker = get_worker()

    def report(*values):
        epoch, *scores = values
        message = {"run": run_id, "values": (number, epoch, *map(float, scores))}
        worker.log_event(_TOPIC, message)

    report(0, 0.0, 0.0)
    if multiprocessing.current_process().daemon:  # a worker of the user's, who may have no children
        return function(*job, report)
    return processes.run(function, job, report)


@contextmanager
def connected(scheduler: str):
    """Connect to a Dask scheduler for the length of a block.

    Raises
    ------
    UsageError
        When none answers within ten seconds.
    """
    from distributed import Client

    try:
        client = Client(scheduler, timeout="10s", set_as_default=False)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"--scheduler {scheduler}: expected the address of a running Dask scheduler, such as "
            "tcp://127.0.0.1:8786; none answered there"
        ) from error
    with client:
        yield client


@contextmanager
def local_cluster(jobs: int):
    """Start workers on this machine for the length of a block.

    Each trains one model at a time, in a process of its own; TensorFlow is loaded once, ahead of
    the first model.

    Parameters
    ----------
    jobs : int
        Models trained side by side; the cores are divided among them.

    Yields
    ------
    str
        Address of the scheduler.
    """
    import dask
    from distributed import LocalCluster

    threads = max(1, (os.cpu_count() or 1) // jobs)
    environment = {
        "TF_NUM_INTRAOP_THREADS": str(threads),
        "OMP_NUM_THREADS": str(threads),
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }
    # Dask moves no task to an idle worker before it knows how long such a task takes.
    settings = {
        "distributed.scheduler.unknown-task-durations": {"_on_worker": "10 minutes"},
        "distributed.worker.daemon": False,  # a worker has a child for each model
    }
    before = dict(os.environ)
    with dask.config.set(settings):
        cluster = LocalCluster(
            n_workers=jobs,
            threads_per_worker=1,
            processes=True,
            memory_limit=0,  # memory maps count as memory, and would have the worker restarted
            dashboard_address=":0",  # any free port: several runs may stand side by side
            env=environment,
            silence_logs=50,
        )
    # Dask leaves what it sets for its workers in this process too. A notebook's kernel would inherit
    # a setting that gives memory back at once, and spend more time on that than on its arrays.
    for name in set(os.environ) - set(before):
        del os.environ[name]
    os.environ.update(before)
    with cluster, connected(cluster.scheduler_address) as client:
        # Held until the end: a future that nobody holds is cancelled.
        warming = [
            client.submit(processes.warm, workers=[worker], pure=False) for worker in client.scheduler_info()["workers"]
        ]
        try:
            yield cluster.scheduler_address
        finally:
            client.cancel(warming)
