"""How a run begins and ends beside others, under signals, and on a machine that lacks something."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import nbformat
import pytest

from brainlib import cli, io
from brainlib.study.options import Options

#: A paper's notebook that trains for ever, and writes that it does.
TRAINING = """from brainlib.trials import workers

def train(folder, report):
    import pathlib, time
    from brainlib import io
    with io.writing_folder(pathlib.Path(folder, "store", "trials", "abc")):
        pathlib.Path(folder, "trains").touch()
        time.sleep(600)

workers.run(train, [(out,)], scheduler)"""
#: The program with other notebooks: those in the current folder.
PROGRAM = """import pathlib, sys
from brainlib import cli
cli._notebook = lambda name: pathlib.Path.cwd() / f"{name}.ipynb"
sys.exit(cli.main())"""
RUN = ("run", "--profile", "smoke", "--papers", "hajhashem", "--jobs", "1", "--out", "reports")


def write_notebook(path: Path, source: str) -> None:
    given = {name: field.get_default() for name, field in Options.model_fields.items()} | {"sets": []}
    parameters = "\n".join(f"{name} = {value!r}" for name, value in given.items())
    cells = [
        nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell(source),
    ]
    python = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=python), path)


def until(condition, seconds=60):
    """Wait for a condition, and return what it is."""
    limit = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < limit:
        time.sleep(0.05)
    return found


class Program:
    """The program in a folder and a process group of its own, and every process that it starts."""

    def __init__(self, folder: Path, *command: str):
        self.folder, self.mark, temporary = folder, f"BRAINLIB_TEST={uuid.uuid4().hex}", folder / "tmp"
        temporary.mkdir(exist_ok=True)
        kept = {name: value for name, value in os.environ.items() if name not in ("BRAINLIB_DATA", "BRAINLIB_WEIGHTS")}
        environment = kept | {"TMPDIR": str(temporary), "JUPYTER_RUNTIME_DIR": str(temporary)}
        environment |= dict([self.mark.split("=")])
        options = {"env": environment, "cwd": folder, "start_new_session": True, "restore_signals": True}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        # A shell has its background jobs ignore Ctrl-C, nohup the end of the terminal, and these tests may run so.
        heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        heed += "signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"
        self.process = subprocess.Popen([sys.executable, "-c", heed + PROGRAM, *command], **options, **pipes)

    def processes(self) -> list[int]:
        """Every process with this program's mark in its environment."""
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):
                if self.mark.encode() in path.read_bytes():
                    found.append(int(path.parent.name))
        return found

    def ended(self) -> tuple[int, list[str]]:
        """Wait for the end; return the status and what was said on standard error."""
        said = self.process.communicate(timeout=60)[1]
        return self.process.returncode, said.splitlines()

    def end(self) -> None:
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@pytest.fixture
def program(tmp_path):
    """Start the program in a folder of its own; whatever it leaves is ended after the test."""
    started = []

    def start(*command):
        started.append(Program(tmp_path, *command))
        return started[-1]

    yield start
    for each in started:
        each.end()


linux = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="lists processes as Linux does")
KEPT = "finished results are kept, run the same command to continue"


def answered(tmp_path, run, number) -> list[str]:
    """Wait until a program that received a signal has ended as it should; return what it said before that."""
    status, said = run.ended()
    line = f"brainlib: {'interrupted' if number == signal.SIGINT else 'ended'}; {KEPT}"
    assert (status, line in said) == (128 + number, True), said
    said.remove(line)
    assert until(lambda: not run.processes())
    left = [path for path in tmp_path.rglob("*") if path.is_file() and "dask-scratch-space" not in path.parts]
    assert [path for path in left if path.parent.name == "tmp" or path.name.endswith(".tmp")] == []
    return said


@pytest.mark.slow
@linux
@pytest.mark.fault("2d", "SIGINT to the program alone while a model is trained", "one line, status 130, nothing left")
@pytest.mark.fault("2e", "Ctrl-C, again and again, while a model is trained", "one line, status 130, nothing left")
@pytest.mark.fault("2g", "SIGTERM to all processes while a model is trained", "one line, status 143, nothing left")
@pytest.mark.parametrize(
    ("number", "everywhere"), [(signal.SIGINT, False), (signal.SIGINT, True), (signal.SIGTERM, True)]
)
def test_a_signal_is_answered_in_one_line_and_leaves_nothing(tmp_path, program, number, everywhere):
    write_notebook(tmp_path / "00_data_audit.ipynb", "")
    write_notebook(tmp_path / "hajhashem.ipynb", TRAINING)
    run = program(*RUN)
    if not until((tmp_path / "reports" / "trains").exists):
        run.end()
        pytest.fail("\n".join(run.process.communicate()))
    with contextlib.suppress(ProcessLookupError):  # it has ended
        for _ in range(1 + 20 * everywhere):
            (os.killpg if everywhere else os.kill)(run.process.pid, number)
            time.sleep(0.1 * everywhere)
    before = answered(tmp_path, run, number)
    assert all(re.match(r"(00_data_audit|hajhashem): running ", line) for line in before), before


@pytest.mark.slow
@linux
@pytest.mark.fault("2f", "SIGTERM to the program alone while its workers start", "one line, status 143, nothing left")
@pytest.mark.fault("2h", "Ctrl-C while the workers of a run start", "one line, status 130, nothing left")
@pytest.mark.fault("2q", "the terminal is closed (SIGHUP) while the workers of a run start", "status 129, nothing left")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_workers_start_is_one_line_too(tmp_path, program, number):
    write_notebook(tmp_path / "00_data_audit.ipynb", "")
    write_notebook(tmp_path / "hajhashem.ipynb", TRAINING)
    run = program(*RUN)
    assert until(lambda: len(run.processes()) > 2)
    (os.killpg if number == signal.SIGINT else os.kill)(run.process.pid, number)
    assert answered(tmp_path, run, number) == []


@pytest.mark.slow
@linux
@pytest.mark.fault("11f", "SIGTERM to the program that shows images", "our line, status 143, nothing left")
@pytest.mark.fault("11g", "Ctrl-C in the program that shows images", "our line, status 130, nothing left")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_program_that_shows_images_ends_by_a_signal_too(tmp_path, program, number):
    app = program("app", "--no-browser", "--port", "18866")
    first = app.process.stderr.readline()
    assert "token=" in first, first
    app.process.stderr.readline()  # how to end it
    time.sleep(0.5)
    os.kill(app.process.pid, number)
    said = "\n".join(answered(tmp_path, app, number))
    assert "Traceback" not in said, said


@pytest.mark.fault("5b", "two runs at once with the same --out", "the second says that it waits, and waits")
@pytest.mark.slow
def test_a_run_waits_until_another_with_its_folder_has_ended(tmp_path, program):
    write_notebook(tmp_path / "00_data_audit.ipynb", "")
    write_notebook(tmp_path / "hajhashem.ipynb", TRAINING)
    out = tmp_path / "reports"
    with io.alone_in(out / "store", lambda: pytest.fail("nobody else is here")):
        run = program(*RUN)
        assert run.process.stderr.readline() == f"another run uses {out}; this one begins when it has ended\n"
        time.sleep(0.5)
        assert run.process.poll() is None
        assert not (out / "notebooks").exists()
    assert run.process.stderr.readline().startswith(("00_data_audit: running", "hajhashem: running"))


def refused(tmp_path, *command, **options) -> str:
    """Run a command that is refused; return its one line."""
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, **options)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert done.stderr.startswith("brainlib: error: ") and list(tmp_path.iterdir()) == []
    return done.stderr


@pytest.mark.fault("15b", "PYTHONOPTIMIZE=2, which takes texts away that libraries need", "one line, status 2")
def test_python_without_docstrings_is_refused(tmp_path):
    for command in ("run", "app"):
        said = refused(tmp_path, sys.executable, "-OO", "-m", "brainlib", command)
        assert "PYTHONOPTIMIZE: expected 0 or 1, received 2" in said


@pytest.mark.fault("12b", "a limit of 1 GiB or 3 GiB of virtual memory (prlimit --as)", "one line, status 2")
@pytest.mark.parametrize("gib", [1, 3])
def test_a_limit_of_virtual_memory_that_no_training_fits_in_is_refused(tmp_path, gib):
    resource = pytest.importorskip("resource")

    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (gib * 2**30, gib * 2**30))

    said = refused(tmp_path, sys.executable, "-m", "brainlib", "run", preexec_fn=limit)
    assert "virtual memory" in said and f"received {gib}.0 GiB" in said


@pytest.mark.fault("6e", "a machine without a loopback interface", "one line at once, status 2")
def test_a_machine_that_cannot_talk_to_itself_is_refused(tmp_path):
    apart = ["unshare", "--net"]
    if not shutil.which("unshare") or subprocess.run([*apart, "true"], capture_output=True).returncode:
        pytest.skip("needs the right to make a network namespace")
    for command in ("run", "app"):
        assert "127.0.0.1: expected" in refused(tmp_path, *apart, sys.executable, "-m", "brainlib", command)


@pytest.mark.fault("16d", '--out ""', "one line, status 2; the current folder is not used")
@pytest.mark.parametrize("command", ["run", "score x.csv", "export abc new", "app"])
def test_an_empty_name_of_a_folder_is_refused(tmp_path, monkeypatch, capsys, command):
    monkeypatch.chdir(tmp_path)
    assert cli.main([*command.split(), "--out", ""]) == 2
    said = capsys.readouterr().err
    assert "out: expected" in said and said.count("\n") == 1 and list(tmp_path.iterdir()) == []


@pytest.mark.fault("16c", "--scheduler with what is no address", "one line at once, status 2")
def test_what_is_no_address_of_a_scheduler_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("distributed.Client", lambda *_, **__: pytest.fail("tried to reach it"))
    for address in ("abc", "tcp://", "127.0.0.1", "tcp://127.0.0.1"):
        assert cli.main(["run", "--data", "phantoms", "--scheduler", address, "--out", str(tmp_path / "new")]) == 2
        said = capsys.readouterr().err
        assert f"--scheduler {address}: expected the address" in said and said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
