"""Trainings that the kernel kills, for real, since memory does not suffice."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest
from cloudpickle import register_pickle_by_value
from small_trials import phantoms, small_trial

from brainlib.errors import BrainlibError
from brainlib.trials import jobs, processes
from brainlib.trials.run import run_trials

pytestmark = pytest.mark.slow
register_pickle_by_value(sys.modules[__name__])  # a process cannot import this file

#: Where control groups for memory lie, and what bounds one: the first and the second version of Linux.
GROUPS = [
    (Path("/sys/fs/cgroup/memory"), ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes"), "memory.oom_control"),
    (Path("/sys/fs/cgroup"), ("memory.max", "memory.swap.max"), "memory.events"),
]


@pytest.fixture
def group():
    """A control group in which a process is killed at 100 MB; a process joins it by its number. Needs root."""
    root, limits, _ = next((each for each in GROUPS if (each[0] / "cgroup.procs").exists()), GROUPS[0])
    folder = root / f"brainlib-test-{os.getpid()}"
    try:
        folder.mkdir()
        (folder / limits[0]).write_text(str(100 * 2**20))
    except OSError:
        pytest.skip("needs a control group for memory, which root can make")
    if (folder / limits[1]).exists():
        (folder / limits[1]).write_text("0" if limits[1] == "memory.swap.max" else str(100 * 2**20))
    yield folder
    folder.rmdir()


def killed_in(group):
    """How many processes the kernel has killed in a group."""
    (counters,) = [group / name for _, _, name in GROUPS if (group / name).exists()]
    return int(re.search(r"^oom_kill (\d+)", counters.read_text(), re.MULTILINE)[1])


def train_in(group, trial, dataset, folder, report):
    """Join the group, then train."""
    (group / "cgroup.procs").write_text(str(os.getpid()))
    jobs.train(trial, dataset, folder, report)


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """A small trial, its data set and its store."""
    folder = tmp_path_factory.mktemp("data")
    dataset = phantoms(folder)
    return small_trial(dataset), dataset, folder


@pytest.mark.fault(
    "12d", "the kernel kills a training for want of memory, twice", "one line says so; a repeat trains it"
)
def test_a_training_that_is_killed_for_memory_twice_is_an_error_of_one_line(group, asked):
    trial, dataset, folder = asked
    with pytest.raises(BrainlibError, match="killed while it trained, most often for want of memory") as error:
        processes.run(train_in, (group, *asked), lambda *values: None)
    assert killed_in(group) == 2 and "\n" not in str(error.value)
    assert list(folder.glob("trials/*")) == [] and list(folder.rglob("*.tmp")) == []
    (result,) = run_trials([trial], dataset, folder, on_progress=lambda *values: None)
    assert len(result.history) == trial.epochs
