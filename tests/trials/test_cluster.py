"""A cluster of one's own: each worker is checked before it trains, and a scheduler that ends loses nothing."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import distributed
import pytest
from cloudpickle import register_pickle_by_value

import brainlib
from brainlib import cli
from brainlib.errors import UsageError
from brainlib.trials import jobs, processes, workers

pytestmark = pytest.mark.slow
register_pickle_by_value(sys.modules[__name__])  # a worker cannot import this file
PACKAGE = Path(brainlib.__file__).parent
OPTIONS = {"threads_per_worker": 1, "processes": False, "protocol": "tcp://", "host": "127.0.0.1"}


def note(folder, name, report):
    """Say that this job was begun, and wait where it is told to."""
    with open(Path(folder) / name, "a") as file:
        file.write("begun\n")
    while (Path(folder) / f"{name}.wait").exists():
        time.sleep(0.05)
    return name


def wait_for(condition):
    limit = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.05)


@pytest.fixture
def direct(monkeypatch):
    """Have a worker that is a thread of this process do jobs itself."""
    monkeypatch.setattr(processes, "run", lambda function, job, report: function(*job, report))


@pytest.fixture(scope="module")
def cluster():
    """A cluster whose only worker is a thread of this process, by its address."""
    with distributed.LocalCluster(n_workers=1, **OPTIONS, dashboard_address=None, silence_logs=50) as cluster:
        yield cluster.scheduler_address


@contextlib.contextmanager
def only(folder, *command):
    """A cluster whose only worker is a process that is started by a command in a folder, where Python imports from."""
    with distributed.LocalCluster(n_workers=0, **OPTIONS, dashboard_address=None, silence_logs=50) as cluster:
        options = [cluster.scheduler_address, "--no-nanny", "--nthreads", "1", "--no-dashboard", "--host", "127.0.0.1"]
        words = [*command, sys.executable, "-m", "distributed.cli.dask_worker", *options]
        with subprocess.Popen(words, stderr=subprocess.DEVNULL, cwd=folder) as worker:
            try:
                yield cluster.scheduler_address
            finally:
                worker.kill()


def refused(address, store, files=()):
    """The one line that names the worker; no job has begun."""
    (store / "jobs").mkdir(parents=True)
    with pytest.raises(UsageError, match="^worker tcp://127.0.0.1:[0-9]+: expected ") as error:
        workers.run(note, [(str(store / "jobs"), "one")], address, None, store, files)
    assert "\n" not in str(error.value) and not list((store / "jobs").iterdir())
    assert [path.name for path in store.iterdir()] == ["jobs"]
    return str(error.value)


@pytest.mark.fault("14d", "a worker does not see --out", "refused before anything trains, with its name and the path")
@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="mounts a file system, as root")
def test_a_worker_on_another_disk_is_refused(store):
    (store / "jobs").mkdir(parents=True)
    shutil.rmtree(store / "jobs")
    with only(
        PACKAGE.parent, "unshare", "-m", "sh", "-c", f'mount -t tmpfs none {store} && exec "$@"', "sh"
    ) as address:
        said = refused(address, store)
    assert f"expected {store}/.workers." in said and "received No such file or directory" in said


@pytest.mark.fault("14e", "a worker has another brainlib of the same version", "refused before anything trains")
def test_a_worker_with_other_code_is_refused(store, tmp_path):
    shutil.copytree(PACKAGE, tmp_path / "other" / "brainlib", ignore=shutil.ignore_patterns("__pycache__"))
    with open(tmp_path / "other" / "brainlib" / "errors.py", "a") as file:
        file.write("# another line\n")
    with only(tmp_path / "other") as address:
        assert f"expected code {jobs.versions()['code']}, received " in refused(address, store)


@pytest.mark.fault("14f", "a worker has no brainlib", "refused before anything trains")
def test_a_worker_without_brainlib_is_refused(store, tmp_path):
    (tmp_path / "brainlib.py").write_text("raise ImportError('No module named brainlib')")
    with only(tmp_path) as address:
        assert "received ImportError(" in refused(address, store)


@pytest.mark.fault("14g", "Python or a package of a worker has another version", "refused before anything trains")
@pytest.mark.parametrize("name", ["brainlib", "python", "tensorflow", "keras", "numpy"])
def test_a_worker_with_another_version_is_refused(cluster, store, monkeypatch, name):
    here, asked = jobs.versions(), []

    def versions():
        asked.append(name)  # first by this process, then by the worker
        return here if len(asked) == 1 else {**here, name: "0.0.1"}

    monkeypatch.setattr(workers, "versions", versions)
    assert f"expected {name} {here[name]}, received 0.0.1; start it with" in refused(cluster, store)


@pytest.mark.fault("14l", "brainlib run with a worker of another version", "one line, status 2, nothing written")
def test_the_command_line_refuses_in_one_line(cluster, tmp_path, monkeypatch, capsys):
    answers = iter([jobs.versions(), {**jobs.versions(), "keras": "0.0.1"}])
    monkeypatch.setattr(workers, "versions", lambda: next(answers))
    words = ["--papers", "hajhashem", "--data", "phantoms", "--weights", "random", "--scheduler", cluster]
    assert cli.main(["run", "--out", str(tmp_path / "out"), *words]) == 2
    said = capsys.readouterr().err
    assert (
        said.startswith("brainlib: error: worker tcp://127.0.0.1:")
        and "received 0.0.1; " in said
        and said.count("\n") == 1
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.fault("14h", "a worker sees other images or weights than the run", "refused before anything trains")
def test_a_worker_with_other_files_is_refused(cluster, store, tmp_path):
    there, absent = tmp_path / "there.png", tmp_path / "absent.png"
    there.write_bytes(b"12345")
    assert f"expected {there} of 4 bytes, received 5; " in refused(cluster, store, [(str(there), 4)])
    shutil.rmtree(store)
    files = [(str(there), 5), (str(absent), 5)]
    assert f"expected {absent}, received No such file or directory; " in refused(cluster, store, files)


@pytest.mark.fault("14i", "a worker without --out comes while others train", "it is refused before it trains")
def test_a_worker_that_comes_later_is_checked_too(cluster, store, tmp_path, direct):
    needs, job = (jobs.versions(), str(store / "gone")), (str(tmp_path), "one")
    with workers.connected(cluster) as client:
        with pytest.raises(UsageError, match=f"expected {store}/gone.*, received No such file"):
            client.submit(workers._on_worker, note, 0, job, "run", needs, pure=False).result()
    assert not (tmp_path / "one").exists()


@pytest.mark.fault("14j", "the scheduler has no worker yet", "that is said once, and the run waits for one")
def test_without_a_worker_the_run_waits_and_says_so(store, tmp_path, direct, capsys):
    with distributed.LocalCluster(n_workers=0, **OPTIONS, dashboard_address=None, silence_logs=50) as cluster:
        threading.Timer(1, cluster.scale, [1]).start()
        assert workers.run(note, [(str(tmp_path), "one")], cluster.scheduler_address, None, store) == ["one"]
    assert capsys.readouterr().err.count("has no worker yet; waiting for the first\n") == 1
    assert not list(store.iterdir())


@contextlib.contextmanager
def scheduler(port):
    options = ["--host", "127.0.0.1", "--port", str(port), "--no-dashboard"]
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", *options]
    paths = os.pathsep.join([str(PACKAGE.parent), str(Path(__file__).parent)])  # a scheduler imports the functions
    environment = {**os.environ, "PYTHONPATH": paths}
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environment) as process:
        try:
            yield
        finally:
            process.kill()


@contextlib.contextmanager
def steady_worker(address):
    """A worker, a thread of this process, that is started again when it ends."""
    ended = threading.Event()

    async def serve():
        while not ended.is_set():
            with contextlib.suppress(OSError):
                async with distributed.Worker(address, nthreads=1, dashboard=False, silence_logs=50) as worker:
                    while not ended.is_set() and worker.status == distributed.core.Status.running:
                        await asyncio.sleep(0.05)
            await asyncio.sleep(0.05)

    thread = threading.Thread(target=asyncio.run, args=[serve()])
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@pytest.mark.fault(
    "14c", "the scheduler is killed and started again", "the run goes on; what was done is not done again"
)
def test_a_scheduler_that_is_started_again_is_given_the_jobs_that_are_left(tmp_path, store, direct, capsys):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    asked, found = [(str(tmp_path), name) for name in "abc"], []
    (tmp_path / "b.wait").touch()
    run = threading.Thread(
        target=lambda: found.extend(workers.run(note, asked, f"tcp://127.0.0.1:{port}", None, store))
    )
    with steady_worker(f"tcp://127.0.0.1:{port}"):
        with scheduler(port):
            run.start()
            wait_for((tmp_path / "b").exists)
            time.sleep(1)  # until the client has the result of a
        (tmp_path / "b.wait").unlink()
        with scheduler(port):
            run.join(60)
    assert found == ["a", "b", "c"]
    assert (tmp_path / "a").read_text() == "begun\n"
    assert capsys.readouterr().err.count("lost; 2 jobs wait for the next") == 1
