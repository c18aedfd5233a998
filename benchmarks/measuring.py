"""What the rows of `bench` and `growth` share: times of epochs, ratios, how busy the cores were, the machine."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

VERSIONS = ("tensorflow", "keras", "numpy", "tf-keras-vis", "torch")


class Clock:
    """The times of the start, of the end of each epoch, two at least, and of the end."""

    def __init__(self) -> None:
        self.times = [time.perf_counter()]

    def tick(self, *_) -> None:
        """Note the time."""
        self.times.append(time.perf_counter())

    @property
    def total(self) -> float:
        """Seconds from the start to the end."""
        return self.times[-1] - self.times[0]

    @property
    def spans(self) -> np.ndarray:
        """Seconds of the first epoch with what precedes it, of one that follows, and of what follows the last."""
        first, *others, last = np.diff(self.times)
        return np.array([first, np.median(others), last])

    def spent(self, epochs: int, times: float = 1) -> float:
        """Seconds of a run of this many epochs, each of `times` as many images; what precedes them takes as long."""
        first, each, last = self.spans
        return float(first - each + times * (epochs * each + last))


def row(what: str, value: float, unit: str = "", target: str = "", ours=None, other=None) -> dict:
    """Return a row: `value`, in `unit`, is what the target, such as ">= 1.3", judges; the others are seconds."""
    value, met = float(value), None
    if target:
        sign, bound = target.split()
        met = value >= float(bound) if sign == ">=" else value <= float(bound)
    return {"what": what, "ours": ours, "other": other, "value": value, "unit": unit, "target": target, "met": met}


def times_as_fast(what: str, ours: float, other: float, target: str = "") -> dict:
    """Return the row of a comparison in which more is better: how many times as fast ours is."""
    return row(what, other / ours, "times as fast", target, ours, other)


def fastest(repeats: int, **ways: Callable[[], float]) -> dict[str, float]:
    """Return the least seconds of each way, taken in turn so that each meets the same moods of the machine."""
    spent = [{name: way() for name, way in ways.items()} for _ in range(repeats)]
    return {name: min(each[name] for each in spent) for name in ways}


def seconds_of(call: Callable, *arguments) -> float:
    """Return the seconds that a call takes."""
    started = time.perf_counter()
    call(*arguments)
    return time.perf_counter() - started


class Busy:
    """The share of the machine's cores that were busy, since this was made; nan where the system does not say."""

    def __init__(self) -> None:
        self.before = self._ticks()

    @staticmethod
    def _ticks():
        try:
            numbers = [int(each) for each in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
        except OSError:
            return np.full(2, np.nan)
        return np.array([sum(numbers[:8]), numbers[3] + numbers[4]], float)  # all, and idle or waiting for the disk

    def cores(self) -> float:
        """Return how many cores were busy, on average."""
        whole, idle = self._ticks() - self.before
        return float((1 - idle / whole) * os.cpu_count())


def machine() -> dict:
    """Describe the machine, without its name."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    found = {"system": f"{platform.system()} {platform.machine()}", "processor": _processor()}
    found |= {"cores": os.cpu_count(), "memory, GiB": round(memory, 1), "Python": platform.python_version()}
    for name in VERSIONS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    found["load at the start"] = round(os.getloadavg()[0], 2)
    return found | {"commit of brainlib": _commit()}


def _processor():
    try:
        found = re.search(r"^model name\s*: *(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.processor()


def _commit():
    import brainlib

    command = ["git", "-C", str(Path(brainlib.__file__).parent), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
