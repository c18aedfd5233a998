"""run_all.sh and .ci/run: set-up once, whatever happens to it, and options handed over unchanged.

A stand-in for Python records how it was called, so that no test installs or runs anything.
"""

from __future__ import annotations

import json
import os
import platform
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

STAND_IN = """\
import json, os, pathlib, shutil, sys, time
import ensurepip, venv
box = pathlib.Path(os.environ["BOX"])
python, *args = sys.argv[1:]
kept = ("BRAINLIB_DATA", "BRAINLIB_WEIGHTS")
env = {name: os.environ.get(name) for name in kept}
call = dict(python=python, args=args, cwd=os.getcwd(), env=env)
with open(box / "calls", "a") as calls:
    calls.write(json.dumps(call) + "\\n")
version = (box / "version").read_text()
if args == ["--version"]:
    print("Python", version)
elif args[0] == "-c":
    sys.version_info = tuple(map(int, version.split(".")))
    exec(args[1])
elif args == ["-P", "-c", "import brainlib"]:
    sys.exit(not (box / "has_brainlib").exists())
elif args[:2] == ["-m", "venv"]:
    home = pathlib.Path(args[2])
    (home / "bin").mkdir()
    (home / "pyvenv.cfg").touch()
    shutil.copy(python, home / "bin" / "python")
elif args[:2] == ["-m", "pip"]:
    time.sleep(float((box / "pip_seconds").read_text()))
    if (box / "pip_fails").exists():
        sys.exit("ERROR: No matching distribution found for numpy==0.0")
else:
    sys.exit(int((box / "status").read_text()))
"""


class Box:
    """A copy of run_all.sh in a folder of its own; its PATH holds little but a stand-in Python."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.project = folder / "the project"
        self.venv = self.project / ".venv"
        self.stamp = self.venv / "setup.complete"
        (self.project / ".ci").mkdir(parents=True)
        for name in ("run_all.sh", ".ci/run"):
            shutil.copy(ROOT / name, self.project / name)
        (self.project / "requirements.txt").write_text("numpy==2.0\n")
        (self.project / "requirements-cuda.txt").write_text("nvidia==12.0\n")
        (self.project / "pyproject.toml").write_text("[project]\n")
        self.bin = folder / "bin"
        self.bin.mkdir()
        for tool in ("bash", "cat", "cksum", "cp", "dirname", "flock", "mkdir", "mv", "rm", "tail"):
            if found := shutil.which(tool):
                (self.bin / tool).symlink_to(found)
        self.set("stand_in.py", STAND_IN)
        self.put_python(self.bin / "python3")
        for name, value in {"version": "3.11.7", "pip_seconds": "0", "status": "0"}.items():
            self.set(name, value)

    def put_python(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        command = shlex.join([sys.executable, "-IS", str(self.folder / "stand_in.py")])
        path.write_text(f'#!/usr/bin/env bash\nexec {command} "$0" "$@"\n')
        path.chmod(0o755)

    def put_gpu(self, listed: str = "GPU 0: a name (UUID: GPU-1)") -> None:
        (self.bin / "nvidia-smi").write_text(f"#!/usr/bin/env bash\n[ $1 = -L ] && echo '{listed}'\n")
        (self.bin / "nvidia-smi").chmod(0o755)

    def set(self, name: str, value: str = "") -> None:
        (self.folder / name).write_text(value)

    def start(self, *args: str, script: str = "run_all.sh", cwd: Path | None = None, **env: str):
        return subprocess.Popen(
            [self.project / script, *args],
            cwd=cwd or self.project,
            # Without a word about CUDA, the tests would find this machine's GPU.
            env={"PATH": str(self.bin), "BOX": str(self.folder), "BRAINLIB_CUDA": "0", **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *args: str, **options) -> subprocess.CompletedProcess:
        process = self.start(*args, **options)
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(args, process.returncode, out, err)

    def calls(self) -> list[dict]:
        log = self.folder / "calls"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def installs(self) -> list[list[str]]:
        calls = [call["args"] for call in self.calls()]
        return [args[3:] for args in calls if args[:3] == ["-m", "pip", "install"]]


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def test_the_first_call_installs_the_pins_then_the_package_then_runs_and_a_second_sets_up_nothing(box):
    first = box.run("--profile", "smoke")
    assert (first.returncode, first.stderr) == (0, "Setting up .venv: one time, a few minutes\n")
    pins, package = box.installs()
    assert pins == ["--quiet", "-r", str(box.project / "requirements.txt")]
    assert package == ["--quiet", "--no-deps", "--no-build-isolation", "-e", str(box.project)]
    before = len(box.calls())
    assert box.run("--help").stderr == ""
    for last, options in ((box.calls()[before - 1], ["--profile", "smoke"]), (box.calls()[before], ["--help"])):
        assert last["python"] == str(box.venv / "bin/python")
        assert last["args"] == ["-P", "-m", "brainlib", "run", *options]
    assert len(box.calls()) == before + 1


@pytest.mark.parametrize("changed", ["requirements.txt", "pyproject.toml", "folder"])
def test_an_environment_is_made_anew_when_what_it_was_made_from_changes(box, changed):
    box.run()
    if changed == "folder":
        box.project = box.project.rename(box.folder / "moved")
    else:
        (box.project / changed).write_text("# other\n")
    assert [box.run().returncode for _ in range(2)] == [0, 0]
    assert len(box.installs()) == 4 and box.installs()[-1][-1] == str(box.project)


@pytest.mark.fault("1i", "SIGKILL while run_all.sh sets up", "the next call makes the environment anew")
def test_a_set_up_that_was_killed_is_made_anew(box):
    box.set("pip_seconds", "60")
    process = box.start()
    deadline = time.monotonic() + 30
    while not box.installs() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    leftover = box.venv / "half-written"
    leftover.touch()
    assert not box.stamp.exists()
    box.set("pip_seconds", "0")
    assert box.run().returncode == 0
    assert box.stamp.exists() and not leftover.exists()
    assert len(box.installs()) == 3


@pytest.mark.fault("6i", "the installation of a dependency fails", "one line with the reason and the log")
def test_a_failed_installation_is_one_line_with_the_reason_and_the_log(box):
    box.set("pip_fails")
    failed = box.run()
    assert failed.returncode == 2
    _, message = failed.stderr.splitlines()
    assert message.startswith("run_all.sh: error: ")
    assert "No matching distribution found for numpy==0.0" in message
    log = Path(message.rsplit("see ", 1)[1])
    assert "No matching distribution" in log.read_text()
    (box.folder / "pip_fails").unlink()
    assert box.run().returncode == 0


on_the_gpus_platform = pytest.mark.skipif(
    (platform.system(), platform.machine()) != ("Linux", "x86_64"), reason="TensorFlow's wheels use no GPU here"
)


@on_the_gpus_platform
def test_where_a_gpu_is_found_cuda_is_installed_too_and_the_set_up_says_so(box):
    box.put_gpu()
    first = box.run(BRAINLIB_CUDA="")
    assert first.returncode == 0
    assert first.stderr.splitlines()[1:] == [
        "NVIDIA GPU: installing CUDA as well, which takes some GB (BRAINLIB_CUDA=0 leaves it out)"
    ]
    both = ["-r", str(box.project / "requirements.txt"), "-r", str(box.project / "requirements-cuda.txt")]
    assert box.installs()[0] == ["--quiet", *both]
    assert box.run(BRAINLIB_CUDA="").stderr == "" and len(box.installs()) == 2
    (box.project / "requirements-cuda.txt").write_text("nvidia==13.0\n")
    box.run(BRAINLIB_CUDA="")
    assert len(box.installs()) == 4


@on_the_gpus_platform
def test_a_gpu_that_comes_or_is_declined_makes_the_environment_anew_and_one_that_leaves_does_not(box):
    def cuda(wish=""):
        before = len(box.installs())
        assert box.run(BRAINLIB_CUDA=wish).returncode == 0
        made = box.installs()[before:]
        return any("-cuda.txt" in word for word in made[0]) if made else "kept"

    box.put_gpu("No devices were found")
    if Path("/proc/driver/nvidia/gpus").exists():
        pytest.skip("this machine has a GPU, which cannot be hidden")
    assert (cuda(), cuda()) == (False, "kept")
    box.put_gpu()
    assert (cuda("0"), cuda(), cuda("1")) == ("kept", True, "kept")
    (box.bin / "nvidia-smi").unlink()
    assert (cuda(), cuda("0"), cuda(), cuda("1")) == ("kept", False, "kept", True)


def test_a_failed_installation_of_cuda_is_one_line_too(box):
    box.set("pip_fails")
    failed = box.run(BRAINLIB_CUDA="1")
    assert failed.returncode == 2
    *_, message = failed.stderr.splitlines()
    assert message.startswith("run_all.sh: error: set-up failed (ERROR: No matching distribution")
    assert not box.stamp.exists()


@pytest.mark.skipif(shutil.which("flock") is None, reason="run_all.sh needs flock for this")
@pytest.mark.fault("5e", "two calls of run_all.sh at once in a new checkout", "one sets up, and both run")
def test_two_calls_at_once_set_up_once_and_both_run(box):
    box.set("pip_seconds", "0.3")
    both = [box.start("--out", name) for name in ("a", "b")]
    for process in both:
        process.communicate(timeout=60)
    assert [process.returncode for process in both] == [0, 0]
    assert len(box.installs()) == 2
    assert sorted(call["args"][-1] for call in box.calls() if "run" in call["args"]) == ["a", "b"]


@pytest.mark.parametrize("version", ["3.10.13", "3.14.0", ""])
@pytest.mark.fault("6j", "Python is missing, or TensorFlow does not support it", "one line; no environment is made")
def test_a_python_that_tensorflow_does_not_support_is_one_line_and_no_environment(box, version):
    box.set("version", version)
    if not version:
        (box.bin / "python3").unlink()
    refused = box.run()
    assert refused.returncode == 2
    (message,) = refused.stderr.splitlines()
    assert "3.11" in message and message.endswith(f"found Python {version}" if version else "found none")
    assert not box.venv.exists()


def test_a_newer_python_beside_an_old_one_is_found(box):
    (box.bin / "python3").write_text("#!/usr/bin/env bash\nexit 1\n")
    box.put_python(box.bin / "python3.13")
    assert box.run().returncode == 0


def test_an_environment_made_by_hand_is_left_alone(box):
    box.put_python(box.venv / "pyvenv.cfg")
    refused = box.run()
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert (box.venv / "pyvenv.cfg").exists() and box.installs() == []


@pytest.mark.parametrize("variable", ["VIRTUAL_ENV", "CONDA_PREFIX"])
@pytest.mark.parametrize("has_brainlib", [True, False])
def test_an_active_environment_is_used_if_it_has_brainlib_and_else_not_touched(box, variable, has_brainlib):
    active, own = box.folder / "active", box.venv / "bin/python"
    box.put_python(active / "bin/python")
    if has_brainlib:
        box.set("has_brainlib")
    assert box.run("--jobs", "1", **{variable: str(active)}).returncode == 0
    asked = [call["args"] for call in box.calls() if call["python"] == str(active / "bin/python")]
    assert asked[0] == ["-P", "-c", "import brainlib"] and len(asked) == (2 if has_brainlib else 1)
    assert box.calls()[-1]["python"] == str(active / "bin/python" if has_brainlib else own)
    assert box.venv.exists() != has_brainlib


def test_options_reach_brainlib_unchanged_in_the_folder_of_the_caller(box):
    box.run("--data", "../my images", "--out", "", cwd=box.bin)
    last = box.calls()[-1]
    assert (last["args"][4:], last["cwd"]) == (["--data", "../my images", "--out", ""], str(box.bin))


@pytest.mark.parametrize(
    ("given", "called", "in_project"),
    [
        ("app --port 9", "-P -m brainlib app --port 9", False),
        ("bench --only cnn", "{project}/benchmarks/bench.py --only cnn", False),
        ("test -k a", "-m pytest -k a", True),
        ("test --fast -x", "-m pytest -m not slow -x", True),
        ("docs", "-m pdoc --docformat numpy --output-directory build/api brainlib", True),
    ],
)
def test_a_command_is_started_in_its_folder_and_its_status_returned(box, given, called, in_project):
    box.set("status", "1")
    assert box.run(*given.split(), cwd=box.folder).returncode == 1
    last = box.calls()[-1]
    assert " ".join(last["args"]) == called.format(project=box.project)
    assert last["cwd"] == str(box.project if in_project else box.folder)


def test_jupyterlab_opens_a_working_copy_of_the_notebooks(box):
    original = box.project / "notebooks" / "a.ipynb"
    original.parent.mkdir()
    original.write_text("as published")
    box.run("lab", "--no-browser", cwd=box.folder)
    copy = box.project / "my_notebooks" / "a.ipynb"
    assert copy.read_text() == "as published"
    copy.write_text("with outputs")
    (original.parent / "b.ipynb").write_text("new")
    box.run("lab", "--no-browser")
    assert (copy.read_text(), original.read_text()) == ("with outputs", "as published")
    assert (copy.parent / "b.ipynb").read_text() == "new"
    last = box.calls()[-1]
    assert (last["args"], last["cwd"]) == (["-m", "jupyter", "lab", "--no-browser"], str(copy.parent))
    assert "my_notebooks/" in (ROOT / ".gitignore").read_text().splitlines()


@pytest.mark.parametrize("shared", [True, False])
def test_continuous_integration_uses_shared_images_and_weights_where_they_are(box, shared):
    folders = {f"BRAINLIB_{name.upper()}": box.folder / "shared" / name for name in ("data", "weights")}
    for folder in folders.values() if shared else ():
        folder.mkdir(parents=True)
    assert box.run(script=".ci/run", cwd=box.folder).returncode == 0
    last = box.calls()[-1]
    assert last["args"] == ["-m", "pytest"]
    assert last["env"] == {name: str(folder) if shared else None for name, folder in folders.items()}
