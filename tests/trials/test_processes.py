"""A job in its own process: nothing of it stays, and nothing of it gets lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cloudpickle import register_pickle_by_value

from brainlib.errors import BrainlibError, DataError
from brainlib.trials import processes, workers

pytestmark = pytest.mark.slow

register_pickle_by_value(sys.modules[__name__])  # a process cannot import this file

kept = []


def keep(value, report):
    kept.append(value)
    return os.getpid(), list(kept)


def count(n, report):
    for number in range(n):
        report(number, number / 2)
    return "done"


def die_once(marker, report):
    if not os.path.exists(marker):
        open(marker, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return "lived"


def die(report):
    os.kill(os.getpid(), signal.SIGKILL)


def spoilt(report):
    raise DataError("expected an image, received a text")


class Odd(Exception):
    def __init__(self):
        super().__init__("odd")
        self.lock = __import__("threading").Lock()


def fail(report):
    raise Odd


def test_a_job_starts_clean_and_leaves_nothing_behind():
    first, second = (processes.run(keep, (n,), print) for n in (1, 2))
    assert (first[1], second[1], kept) == ([1], [2], [])
    assert len({first[0], second[0], os.getpid()}) == 3


def test_on_a_cluster_too_each_job_has_its_process():
    with workers.local_cluster(1) as address:
        said = workers.run(keep, [(1,), (2,), (3,)], address)
    assert [values for _, values in said] == [[1], [2], [3]]
    assert len({pid for pid, _ in said}) == 3


def test_reports_arrive_in_order_before_the_result():
    heard = []
    assert processes.run(count, (4,), lambda *values: heard.append(values)) == "done"
    assert heard == [(0, 0.0), (1, 0.5), (2, 1.0), (3, 1.5)]


def test_a_process_that_was_killed_is_tried_again_and_then_given_up(tmp_path):
    assert processes.run(die_once, (str(tmp_path / "marker"),), print) == "lived"
    with pytest.raises(BrainlibError, match="want of memory; use fewer --jobs") as error:
        processes.run(die, (), print)
    assert "\n" not in str(error.value)


def test_an_error_is_raised_as_it_was_there():
    with pytest.raises(DataError, match="^expected an image, received a text$"):
        processes.run(spoilt, (), print)


def test_an_error_that_cannot_travel_is_told_with_its_traceback():
    with pytest.raises(RuntimeError, match="in fail\n.*\n.*Odd: odd"):
        processes.run(fail, (), print)


def test_a_process_ends_when_the_one_that_asked_for_it_is_killed(tmp_path):
    program = (
        "import os, time\nfrom brainlib.trials import processes\n"
        "def wait(path, report):\n"
        "    with open(path + '.new', 'w') as file:\n"
        "        file.write(str(os.getpid()))\n"
        "    os.rename(path + '.new', path)\n"
        "    time.sleep(600)\n"
        f"if __name__ == '__main__':\n    processes.run(wait, ({str(tmp_path / 'pid')!r},), print)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program])
    limit = time.monotonic() + 120
    while not (tmp_path / "pid").exists():
        assert parent.poll() is None and time.monotonic() < limit
        time.sleep(0.05)
    child = Path("/proc") / (tmp_path / "pid").read_text()
    assert child.exists()
    parent.kill()
    parent.wait()
    while child.exists() and "\nState:\tZ" not in (child / "status").read_text():
        assert time.monotonic() < limit
        time.sleep(0.05)
