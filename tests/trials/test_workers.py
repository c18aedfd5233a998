"""Jobs in processes of their own, here and on a cluster: the same results, and nothing left behind."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from cloudpickle import register_pickle_by_value
from PIL import Image
from small_trials import assert_same, phantoms, small_trial

from brainlib.audit import find_near_duplicates
from brainlib.data.phantoms.draw import make_phantoms
from brainlib.data.thumbnails import thumbnail
from brainlib.errors import BrainlibError, DataError, UsageError
from brainlib.models.backbones import Weights
from brainlib.models.build import ModelSpec
from brainlib.models.training import Phase
from brainlib.trials import processes, workers
from brainlib.trials.run import run_trials

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


def die_with_worker_once(marker, report):
    """Kill the worker, with which this process ends."""
    if not os.path.exists(marker):
        open(marker, "w").close()
        os.kill(multiprocessing.parent_process().pid, signal.SIGKILL)
        time.sleep(600)
    return "lived"


def note_and_kill_worker_once(notes, name, report):
    """Note each job that is done; d waits for the others, and kills its worker once."""
    with open(notes, "a") as file:
        file.write(name)
    if name == "d" and Path(notes).read_text().count("d") == 1:
        limit = time.monotonic() + 60
        while len(Path(notes).read_text()) < 4 and time.monotonic() < limit:
            time.sleep(0.01)
        time.sleep(1)  # in which their results arrive
        os.kill(multiprocessing.parent_process().pid, signal.SIGKILL)
        time.sleep(600)


def die(report):
    os.kill(os.getpid(), signal.SIGKILL)


def refuse(report):
    raise DataError("expected an image, received a text")


def meet(folder, name, report):
    """Wait until two jobs run at once; return the environment of this one."""
    (Path(folder) / name).touch()
    limit = time.monotonic() + 60
    while len(list(Path(folder).iterdir())) < 2:
        assert time.monotonic() < limit
        time.sleep(0.01)
    return os.environ["PLACE"]


def fail_or_wait(marker, report):
    """Fail as soon as another job waits; that one never ends by itself."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(marker)
        time.sleep(600)
    raise DataError("expected another value")


class Odd(Exception):
    def __init__(self):
        super().__init__("odd")
        self.lock = __import__("threading").Lock()


def fail(report):
    raise Odd


@pytest.fixture(scope="module")
def cluster():
    """The address of a local cluster."""
    with workers.local_cluster() as address:
        yield address


@pytest.mark.fault("2l", "SIGINT reaches the workers too, as by Ctrl-C", "they ignore it; their run ends them")
def test_a_worker_heeds_no_interrupt_which_is_for_its_run(cluster):
    with workers.connected(cluster) as client:
        pids = set(client.run(os.getpid).values())
        for pid in pids:
            os.kill(pid, signal.SIGINT)
        assert set(client.run(os.getpid).values()) == pids


def test_a_job_starts_clean_and_leaves_nothing_behind():
    first, second = (processes.run(keep, (n,), print) for n in (1, 2))
    assert (first[1], second[1], kept) == ([1], [2], [])
    assert len({first[0], second[0], os.getpid()}) == 3


def test_on_a_cluster_too_each_job_has_its_process(cluster):
    found = workers.run(keep, [(1,), (2,), (3,)], cluster)
    assert [values for _, values in found] == [[1], [2], [3]]
    assert len({pid for pid, _ in found}) == 3


def test_near_duplicates_are_compared_on_a_cluster(cluster):
    made = make_phantoms(16, size=96, altered_duplicates=4)
    small = np.stack([thumbnail(Image.fromarray(each)) for each in made.images])
    found = find_near_duplicates(small, run=partial(workers.run, scheduler=cluster))
    assert np.array_equal(found.pairs, find_near_duplicates(small).pairs) and len(found.pairs) >= 4


def test_reports_arrive_in_order_before_the_result():
    reports = []
    assert processes.run(count, (4,), lambda *values: reports.append(values)) == "done"
    assert reports == [(0, 0.0), (1, 0.5), (2, 1.0), (3, 1.5)]


def test_several_threads_may_start_jobs_at_once():
    main = dict(vars(sys.modules["__main__"]))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda n: processes.run(keep, (n,), print), range(4)))
    assert [values for _, values in found] == [[0], [1], [2], [3]]
    assert vars(sys.modules["__main__"]) == main


def ignore(*values):
    """Take no note of a report."""


def test_as_many_jobs_run_at_once_as_there_are_places_each_in_its_environment(tmp_path):
    jobs = [(str(tmp_path), name) for name in "ab"]
    assert processes.run_all(meet, jobs, [{"PLACE": "0"}, {"PLACE": "1"}], ignore) == ["0", "1"]
    assert processes.run_all(meet, jobs, [{"PLACE": "0"}], ignore) == ["0", "0"]
    assert "PLACE" not in os.environ


@pytest.mark.fault("2i", "one of several trainings fails", "its error is raised, and the others are ended")
def test_when_one_job_fails_the_others_are_ended(tmp_path):
    before = multiprocessing.active_children()
    with pytest.raises(DataError, match="another value"):
        processes.run_all(fail_or_wait, [(str(tmp_path / "marker"),)] * 2, [{}, {}], ignore)
    assert set(multiprocessing.active_children()) <= set(before)


@pytest.mark.fault("2m", "SIGKILL of one of several trainings at once", "it is done again, and the others go on")
def test_a_job_that_was_killed_beside_others_is_done_again_and_the_others_stay(tmp_path):
    jobs = [(str(tmp_path / "marker"),)] * 4
    assert processes.run_all(die_once, jobs, [{}, {}], ignore) == ["lived"] * 4


@pytest.mark.parametrize("where", ["", "cluster"])
@pytest.mark.fault("2a", "SIGKILL of a training process", "it is started again, once")
@pytest.mark.fault(
    "12f", "a training process is killed twice in a row", "one line says that memory ran out, most likely"
)
def test_a_process_that_was_killed_is_started_again_once(where, request, tmp_path):
    scheduler = request.getfixturevalue(where) if where else ""
    assert workers.run(die_once, [(str(tmp_path / "marker"),)], scheduler) == ["lived"]
    with pytest.raises(BrainlibError, match="want of memory; use fewer --jobs") as error:
        workers.run(die, [()], scheduler)
    assert "\n" not in str(error.value)


@pytest.mark.fault("2b", "SIGKILL of a worker of the local cluster while it trains", "another takes its place")
@pytest.mark.fault("14b", "SIGKILL of the worker of a scheduler that trains", "another worker does it")
def test_the_job_of_a_worker_that_was_killed_is_done_by_another(cluster, tmp_path):
    assert workers.run(die_with_worker_once, [(str(tmp_path / "marker"),)], cluster) == ["lived"]


@pytest.mark.fault("2n", "SIGKILL of a worker that has finished other trainings", "these are not done again")
def test_what_a_killed_worker_has_finished_is_not_done_again(cluster, tmp_path):
    notes = tmp_path / "notes"
    workers.run(note_and_kill_worker_once, [(str(notes), name) for name in "abcd"], cluster)
    assert sorted(notes.read_text()) == list("abcdd")


@pytest.mark.parametrize("where", ["", "cluster"])
def test_an_error_of_a_job_is_raised_unchanged(where, request):
    scheduler = request.getfixturevalue(where) if where else ""
    with pytest.raises(DataError, match="^expected an image, received a text$"):
        workers.run(refuse, [()], scheduler)


def test_an_error_that_cannot_be_pickled_is_raised_with_its_traceback():
    with pytest.raises(RuntimeError, match="in fail\n.*\n.*Odd: odd"):
        processes.run(fail, (), print)


@pytest.mark.fault("1h", "SIGKILL of the process that asked for a training", "the training process ends too")
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


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """A data set and two trials: dropout in the one, augmentation and a backbone in the other."""
    dataset = phantoms(tmp_path_factory.mktemp("data"))
    transfer = small_trial(
        dataset,
        arm="transfer",
        size=32,
        model=ModelSpec("transfer", backbone="mobilenet_025", pooling="average"),
        weights=Weights("random"),
        phases=(
            Phase("head", "head", 1, 1e-3),
            Phase("fine", ("conv_pw_13",), 1, 1e-3, (("flip", "both"), ("rotation", 15.0))),
        ),
    )
    return dataset, [small_trial(dataset, keep_model=True), transfer]


def trained(asked, folder, **options):
    lines, (dataset, trials) = [], asked
    return run_trials(trials, dataset, folder, on_progress=lambda _, line: lines.append(line), **options), lines


@pytest.fixture(scope="module")
def inline(asked, tmp_path_factory):
    return trained(asked, tmp_path_factory.mktemp("inline"))


@pytest.fixture(scope="module")
def distributed(asked, cluster, tmp_path_factory):
    return trained(asked, tmp_path_factory.mktemp("distributed"), scheduler=cluster)


@pytest.mark.fault(
    "14a", "trials are trained by the workers of a Dask scheduler", "the results are those of one process, bit for bit"
)
def test_a_worker_gives_the_same_bits_as_this_process(inline, distributed):
    for here, there in zip(inline[0], distributed[0], strict=True):
        assert_same(here, there)


@pytest.mark.parametrize("where", ["inline", "distributed"])
def test_progress_names_each_trial_and_its_scores(where, request):
    results, lines = request.getfixturevalue(where)
    ends = sorted(line for line in lines if "done in" in line)
    pattern = r"\[(\d)/2\] (.*): epoch 2/2, loss (.*), accuracy (.*), done in \d+ s"
    for number, (line, result) in enumerate(zip(ends, results, strict=True), start=1):
        found = re.fullmatch(pattern, line).groups()
        last = result.history.iloc[-1]
        expected = (f"{last['loss']:.4f}", f"{last['val_accuracy']:.4f}")
        assert found == (str(number), result.trial.name, *expected)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense://x", "127.0.0.1:notaport"])
@pytest.mark.fault("14k", "no scheduler answers at the address", "refused in one line")
def test_no_scheduler_at_the_address_is_reported_in_one_line(address, monkeypatch):
    import distributed

    client = distributed.Client
    monkeypatch.setattr(
        distributed, "Client", lambda address, **options: client(address, **{**options, "timeout": "0.5s"})
    )
    with pytest.raises(UsageError) as error:
        workers.run(keep, [(1,)], address)
    expected = f"--scheduler {address}: expected the address of a running Dask scheduler, such as tcp://127.0.0.1:8786"
    assert str(error.value) == (f"{expected}; none answered there" if address.endswith(":1") else expected)
