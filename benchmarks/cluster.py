"""What a run on a cluster survives, what it sends, and what the scheduler costs.

    python benchmarks/cluster.py faults       # as root, on Linux; about five minutes
    python benchmarks/cluster.py overhead     # about three minutes

`faults` makes two hosts of this machine, network namespaces that a pair of veth devices joins and that share its
disk: scheduler, client and a worker are on the first, a worker on the second. The CNN of jardim is trained on phantoms,
while a worker is killed, the scheduler is killed and started again, or the link is down for a minute. Workers that end
are started again, as a service manager would. Predictions are compared with those of one process, bit for bit.

`overhead` has workers that are threads of one process, each on its own connection, and trials that sleep for a second,
with a data set of 3000 images: what is measured is the work of client and scheduler, not that of training.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench import find_brainlib

HOSTS = {"brainlib-a": "10.213.0.1", "brainlib-b": "10.213.0.2"}
FIRST, SECOND = HOSTS
ADDRESS = f"tcp://{HOSTS[FIRST]}:8786"
LONGEST = 300  # seconds that a disturbed run may take
DARK = 60  # seconds without a link


def main() -> None:
    """Measure what is asked for, and print it."""
    find_brainlib()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("faults", "overhead", "train"))
    parser.add_argument("--only", default=",".join(FAULTS), metavar="A,B", help=f"some of {', '.join(FAULTS)}")
    parser.add_argument("--workers", default="1,4,16,64", metavar="N,N")
    parser.add_argument("--store", help=argparse.SUPPRESS)
    parser.add_argument("--scheduler", default="", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.what == "train":
        train(Path(arguments.store), arguments.scheduler)
    elif arguments.what == "overhead":
        for workers in map(int, arguments.workers.split(",")):
            print(json.dumps(overhead(workers)), flush=True)
    else:
        faults(arguments.only.split(","))


def train(store: Path, scheduler: str) -> None:
    """Train the trials that are compared."""
    import dataclasses

    from brainlib.study.options import PROFILES, Profile
    from brainlib.study.study import Study
    from brainlib.trials import devices
    from brainlib.trials.run import run_trials

    devices.places = lambda: [{}]  # one model at a time on all threads, as a worker that was started by hand
    PROFILES["smoke"] = Profile(images=120, size=96, epochs=12)
    study = Study("jardim", profile="smoke", arms=["cnn"], data="phantoms", out=str(store.parent))
    trials = [dataclasses.replace(trial, keep_model=False) for trial in study.trials()]
    trials += [dataclasses.replace(trials[0], seed=seed) for seed in (1, 2)]
    run_trials(trials, study.dataset, store, scheduler=scheduler)


def faults(names: list[str]) -> None:
    """Disturb a run in several ways, and compare what it stores."""
    with tempfile.TemporaryDirectory(prefix="brainlib-cluster-") as scratch:
        reference = Path(scratch) / "one" / "store"
        started = time.perf_counter()
        subprocess.run(command(reference), check=True, stderr=subprocess.DEVNULL)
        expected = predictions(reference)
        print(f"one process: {len(expected)} tables in {time.perf_counter() - started:.0f} s", flush=True)
        for name in names:
            print(json.dumps(disturbed(name, Path(scratch) / name / "store", expected)), flush=True)


def disturbed(name: str, store: Path, expected: dict) -> dict:
    """Run on two hosts, with one disturbance after the first trial; return what was seen."""
    with tempfile.TemporaryDirectory() as scratch, Hosts(Path(scratch)) as hosts:
        hosts.start_scheduler()
        hosts.start_workers()
        before, started = hosts.sent(), time.perf_counter()
        with open(store.parent.with_suffix(".log"), "wb") as log:
            client = hosts.popen(FIRST, command(store, ADDRESS), stderr=log)
        while not list(store.glob("trials/*/trial.json")) and client.poll() is None:
            time.sleep(0.2)
        time.sleep(1)  # into the next ones
        FAULTS[name](hosts)
        try:
            status = client.wait(LONGEST)
        except subprocess.TimeoutExpired:
            status = "still running"
        seconds = time.perf_counter() - started
        sent = {f"bytes {way}": n - before[way] for way, n in hosts.sent().items()}
        lines = Path(log.name).read_text().splitlines()
        said = [line for line in lines if "lost" in line or "rror" in line]
    found = predictions(store)
    equal = sum(found.get(key) == value for key, value in expected.items())
    row = {"fault": name, "status": status, "seconds": round(seconds), "equal": f"{equal} of {len(expected)}"}
    return row | {**sent, "said": said}


def predictions(store: Path) -> dict[str, bytes]:
    """Return the bytes of all stored predictions."""
    return {
        f"{file.parent.name}/{file.name}": file.read_bytes()
        for file in store.glob("trials/*/*.parquet")
        if file.name != "history.parquet"  # which holds seconds
    }


def command(store: Path, scheduler: str = "") -> list[str]:
    """Return the command that trains the trials."""
    store.mkdir(parents=True)
    return [sys.executable, __file__, "train", "--store", str(store), "--scheduler", scheduler]


class Hosts:
    """Two network namespaces that a pair of devices joins, and what runs there."""

    def __init__(self, scratch: Path):
        self.scratch, self.processes = scratch, {}

    def __enter__(self) -> Hosts:
        for name in HOSTS:
            ip("netns", "add", name)
        ip("link", "add", "veth-a", "netns", FIRST, "type", "veth", "peer", "name", "veth-b", "netns", SECOND)
        for (name, address), device in zip(HOSTS.items(), ("veth-a", "veth-b"), strict=True):
            ip("-n", name, "address", "add", f"{address}/24", "dev", device)
            for each in ("lo", device):
                ip("-n", name, "link", "set", each, "up")
        return self

    def __exit__(self, *_) -> None:
        for process in self.processes.values():
            kill(process)
        for name in HOSTS:
            ip("netns", "delete", name)

    def popen(self, host: str, command: list[str], **options) -> subprocess.Popen:
        """Start a process on a host, in a process group of its own."""
        process = subprocess.Popen(["ip", "netns", "exec", host, *command], start_new_session=True, **options)
        self.processes[process.pid] = process
        return process

    def start_scheduler(self) -> None:
        """Start the scheduler on the first host."""
        options = ["--host", HOSTS[FIRST], "--port", "8786", "--no-dashboard"]
        self.scheduler = self._dask("dask_scheduler", FIRST, options)

    def start_workers(self) -> None:
        """Start a worker on each host, again and again when it ends."""
        self.workers = {}
        for host, address in HOSTS.items():
            options = [ADDRESS, "--host", address, "--no-dashboard", "--nthreads", "1", "--memory-limit", "0"]
            options += ["--local-directory", str(self.scratch), "--death-timeout", "20"]
            self.workers[host] = self._dask("dask_worker", host, options, "while true; do {}; sleep 1; done")

    def _dask(self, module, host, options, loop="exec {}"):
        words = " ".join([sys.executable, "-m", f"distributed.cli.{module}", *options])
        with open(self.scratch / f"{module}-{host}.log", "ab") as log:
            return self.popen(host, ["bash", "-c", loop.format(words)], stdout=log, stderr=log)

    def sent(self) -> dict[str, int]:
        """Return the bytes that went over the link so far, to the second host and from it."""
        (device,) = json.loads(ip("-n", SECOND, "-json", "-s", "link", "show", "veth-b"))
        return {f"{way} b": device["stats64"][key]["bytes"] for way, key in (("to", "rx"), ("from", "tx"))}


def ip(*arguments: str) -> str:
    """Call ip(8)."""
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True).stdout


def kill(process: subprocess.Popen) -> None:
    """Kill a process and its group."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()


def nothing(hosts: Hosts) -> None:
    """Leave the run alone."""


def worker(hosts: Hosts) -> None:
    """Kill the worker of the second host, with its nanny; another one is started."""
    for pid in map(int, ip("netns", "pids", SECOND).split()):
        if pid != hosts.workers[SECOND].pid:  # the loop
            os.kill(pid, signal.SIGKILL)


def scheduler(hosts: Hosts) -> None:
    """Kill the scheduler, and start one at its address five seconds later."""
    kill(hosts.scheduler)
    time.sleep(5)
    hosts.start_scheduler()


def link(hosts: Hosts) -> None:
    """Take the link between the hosts down for a minute."""
    ip("-n", SECOND, "link", "set", "veth-b", "down")
    time.sleep(DARK)
    ip("-n", SECOND, "link", "set", "veth-b", "up")


FAULTS = {"nothing": nothing, "worker": worker, "scheduler": scheduler, "link": link}


def sleep(trial: object, dataset: object, folder: Path, report: object) -> None:
    """Take a second, and report two epochs."""
    for epoch in range(3):
        time.sleep(0.5 * (epoch > 0))
        report(epoch, 0.0, 0.0)


def made_up(n: int) -> object:
    """Return a data set of n images that are not there, as large as those of Br35H in its description."""
    import pandas as pd

    from brainlib.data.datasets import DataSet
    from brainlib.data.registry import info_of

    digits = [f"{number:064x}" for number in range(n)]
    columns = {"path": [f"no/y{number}.jpg" for number in range(n)], "label": "no", "part": "", "bytes": 30000}
    columns |= {"width": 240, "height": 240, "mode": "RGB", "format": "JPEG", "byte_hash": digits, "pixel_hash": digits}
    table = pd.DataFrame({**columns, "patient": pd.Series([None] * n, dtype=object)})
    return DataSet(
        info_of("br35h"), Path("/nowhere"), table, ("no", "yes"), "0" * 16, (), False, table.index.to_numpy()
    )


def overhead(workers: int) -> dict:
    """Return the seconds a trial costs beyond its own, where as many as there are workers run at a time."""
    from distributed import LocalCluster

    from brainlib.trials import processes
    from brainlib.trials import workers as brainlib_workers

    processes.run = lambda function, job, report: function(*job, report)  # in the thread of the worker itself
    trials = min(1000, 50 * workers)
    dataset = made_up(3000)
    options = {
        "n_workers": workers,
        "threads_per_worker": 1,
        "processes": False,
        "protocol": "tcp://",
        "memory_limit": 0,
    }
    with (
        tempfile.TemporaryDirectory() as store,
        LocalCluster(**options, dashboard_address=None, silence_logs=50, host="127.0.0.1") as cluster,
    ):
        jobs = [(number, dataset, store) for number in range(trials)]
        started, busy = time.perf_counter(), time.process_time()
        brainlib_workers.run(sleep, jobs, cluster.scheduler_address, lambda *values: None, Path(store))
        wall, busy = time.perf_counter() - started, time.process_time() - busy
    least = trials / workers
    row = {"workers": workers, "trials": trials, "seconds": round(wall, 1), "at least": round(least, 1)}
    return row | {"efficiency": round(least / wall, 3), "processor ms a trial": round(1000 * busy / trials, 1)}


if __name__ == "__main__":
    main()
