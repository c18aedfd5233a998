"""Runs that are killed, find the disk full or start in odd surroundings: nothing is lost, and all end alike."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc"),
]
NAMESPACES = "unshare", "--mount", "--net"
ROOT = (
    shutil.which("unshare")
    and shutil.which("ip")
    and subprocess.run([*NAMESPACES, "true"], capture_output=True).returncode == 0
)
needs_root = pytest.mark.skipif(not ROOT, reason="mounting a file system and taking the network away need root")
LIMIT = 300  # seconds: on a busy machine a run takes long
MARK = "BRAINLIB_TEST_RUN"  # which every process of a run inherits
ODD = "a b\n<b>&\"'%41 #?"


def command(out: Path) -> list[str | Path]:
    return [sys.executable, "-m", "brainlib", "run", "--profile", "smoke", "--papers", "hajhashem", "--out", out]


def environment(**changes: str | None) -> dict[str, str]:
    """The environment of a run on phantoms; None removes a variable."""
    given = os.environ | {"BRAINLIB_DATA": None, "BRAINLIB_WEIGHTS": None, MARK: uuid.uuid4().hex} | changes
    return {name: value for name, value in given.items() if value is not None}


def run(out: Path, within: tuple[str, ...] = (), **changes: str | None) -> subprocess.CompletedProcess:
    """Run to the end."""
    return subprocess.run(
        [*within, *command(out)], env=environment(**changes), capture_output=True, text=True, timeout=LIMIT
    )


def result(out: Path) -> tuple[dict[str, bytes], dict]:
    """What a run found: predictions byte for byte, and all that is not of a clock or of the machine's memory."""

    def timeless(part):
        if isinstance(part, dict):
            return {k: timeless(v) for k, v in part.items() if k != "created" and "seconds" not in k and "mib" not in k}
        return [timeless(each) for each in part] if isinstance(part, list) else part

    tables = sorted(path for path in out.glob("store/trials/*/*.parquet") if path.stem != "history")
    stored = {f"{path.parent.name}/{path.name}": path.read_bytes() for path in tables}
    return stored, timeless(json.loads((out / "results.json").read_text(encoding="utf-8")))


def processes_of(mark: str) -> list[str]:
    """The command lines of a run's processes."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if f"{MARK}={mark}".encode() in path.read_bytes():
                found.append((path.parent / "cmdline").read_text(errors="replace"))
    return found


def kill_a_run(out: Path, pattern: str, line: str) -> None:
    """Start a run, and kill its first process alone at the first file of this pattern or with this line."""
    marked, printed = environment(), out.parent / "printed"
    with open(printed, "wb") as file:
        process = subprocess.Popen(command(out), env=marked, stdout=file, stderr=file, start_new_session=True)
    limit = time.monotonic() + LIMIT
    try:
        while not (list(out.glob(pattern)) if pattern else line in printed.read_text()):
            assert process.poll() is None and time.monotonic() < limit, printed.read_text()
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait()
    while left := processes_of(marked[MARK]):
        assert time.monotonic() < limit, left
        time.sleep(0.1)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """What a run finds that ends at the first attempt, in odd surroundings."""
    folder, within = tmp_path_factory.mktemp("undisturbed"), ()
    changes = {"HOME": None, "LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONHASHSEED": "12345"}
    if ROOT:
        changes["TMPDIR"] = str(folder / "full")
        (folder / "full").mkdir()
        alone = 'ip link set lo up && mount -t tmpfs -o size=4k none "$TMPDIR" && echo >"$TMPDIR/file" && exec "$@"'
        within = (*NAMESPACES, "sh", "-c", alone, "sh")
    done = run(folder / ODD, within, **changes)
    assert done.returncode == 0, done.stdout + done.stderr
    return result(folder / ODD)


@pytest.fixture(scope="module")
def disturbed(tmp_path_factory):
    """What a run finds that was killed three times."""
    out = tmp_path_factory.mktemp("disturbed") / f"ü{ODD}"
    for pattern, line in (("store/audit/.*", ""), ("store/images/.*", ""), ("", "epoch 1/2")):
        kill_a_run(out, pattern, line)
        assert not (out / "results.json").exists() and not list(out.glob("store/trials/[!.]*"))
    done = run(out)
    assert done.returncode == 0, done.stdout + done.stderr
    return result(out)


@pytest.mark.fault("1a", "SIGKILL of a run while it compares images", "no process is left; a repeat ends equal")
@pytest.mark.fault("1b", "SIGKILL of a run while it decodes images", "no process is left; a repeat ends equal")
@pytest.mark.fault("1c", "SIGKILL of a run while it trains", "no process is left; a repeat ends equal")
def test_a_run_that_was_killed_three_times_ends_as_one_that_was_not(undisturbed, disturbed):
    assert disturbed == undisturbed and len(disturbed[0]) == 2


@pytest.mark.fault("6b", "--out with a new line, HTML, quotes, an umlaut and %41", "the results are the same")
@pytest.mark.fault("6c", "HOME is unset", "the results are the same")
@pytest.mark.fault("15a", "a POSIX locale without UTF-8, another seed of hashes", "the results are the same")
def test_names_home_and_locale_change_no_result(undisturbed, disturbed):
    assert undisturbed == disturbed


@needs_root
@pytest.mark.fault("6d", "the folder for temporary files is full", "another is used; the results are the same")
@pytest.mark.fault("6f", "there is no network but the loopback", "the results are the same")
def test_a_full_temporary_folder_and_no_network_change_no_result(undisturbed, disturbed):
    assert undisturbed == disturbed


@pytest.fixture
def disk(tmp_path):
    """A folder that is a file system of its own, and a function that changes its options."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", folder], check=True)
    yield folder, lambda options: subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)
    subprocess.run(["umount", "--lazy", folder], check=True)


@needs_root
@pytest.mark.fault("3a", "a disk of 1 MB, where the images do not fit", "exit status 1; a line for each notebook")
@pytest.mark.fault("3b", "a disk of 20 MB, where the trained model does not fit", "exit status 1; one line names it")
@pytest.mark.fault("3c", "a full disk is enlarged, and the run repeated", "the results are the same")
def test_a_full_disk_is_one_line_and_a_larger_one_gives_the_results(undisturbed, disk):
    out, remount = disk
    for size, failed in (("1m", 2), ("20m", 1)):
        remount(f"size={size}")
        done = run(out)
        lines = [line for line in done.stdout.splitlines() if "FAILED" in line]
        assert (done.returncode, len(lines)) == (1, failed), done.stdout + done.stderr
        assert all("expected to write" in line and "No space left on device" in line for line in lines)
        assert "Traceback" not in done.stderr and not list(out.rglob(".*.tmp"))
    remount("size=300m")
    done = run(out)
    assert done.returncode == 0, done.stdout + done.stderr
    assert result(out) == undisturbed


@needs_root
@pytest.mark.fault("6g", "--out is on a file system that is read-only", "refused in one line")
def test_a_disk_that_cannot_be_written_is_refused_in_one_line(disk):
    out, remount = disk
    remount("ro")
    done = run(out)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert str(out) in done.stderr and "Read-only file system" in done.stderr
