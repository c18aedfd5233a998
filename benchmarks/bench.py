"""Every ratio that docs/performance.md reports, measured in one run of about ten minutes on two cores.

    ./run_all.sh bench
    ./run_all.sh bench --only cnn,heat_maps         # parts of it; --help lists them
    PYTHONPATH=OTHER python benchmarks/bench.py     # the brainlib of another checkout

Each part runs in a process of its own, so that one that fails leaves the others. Ratios compare ways that took turns
within the part. A table is printed, and written with the machine's description as JSON.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import other_rows
import page
import training_rows
from measuring import machine

PARTS = {part.__name__: part for part in (*training_rows.ROWS, *other_rows.ROWS, *other_rows.ASKED_FOR)}
USUAL = [name for name, part in PARTS.items() if part not in other_rows.ASKED_FOR]
LONGEST = 900  # seconds that a part may take
BUSY = 0.5  # load from which ratios mean little


def main() -> None:
    """Measure, print, write."""
    find_brainlib()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog=f"parts: {', '.join(PARTS)}")
    parser.add_argument("--only", default=",".join(USUAL), metavar="A,B", help="parts; all but demo by default")
    parser.add_argument(
        "--json", default="bench.json", metavar="FILE", help="file of the results; bench.json by default"
    )
    parser.add_argument("--part", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part:
        rows = []
        for row in PARTS[arguments.part]():
            rows.append(row)
            Path(arguments.json).write_text(json.dumps(rows))
        return
    if unknown := set(arguments.only.split(",")) - set(PARTS):
        parser.error(f"--only: expected some of {', '.join(PARTS)}; received {min(unknown)}")
    measure(arguments.only.split(","), Path(arguments.json))


def measure(names: list[str], result: Path) -> None:
    """Measure parts, each in a process of its own."""
    started, described, rows = time.perf_counter(), describe(), []
    for name in names:
        before = time.perf_counter()
        for row in rows_of(name):
            rows.append(row)
            print(f"{row['what']}: {row.get('error') or f'{page.shown(row)} | {page.judged(row)}'}", flush=True)
        print(f"    ({name}: {time.perf_counter() - before:.0f} s)", flush=True)
    written = {"machine": described, "seconds": time.perf_counter() - started, "rows": rows}
    result.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    print(f"\n{page.markdown(*page.measured(rows))}\n{written['seconds']:.0f} s, written to {result}")


def find_brainlib() -> None:
    """Let this process, and those that it starts, import the brainlib of this checkout if none is installed."""
    if importlib.util.find_spec("brainlib") is None:
        root = str(Path(__file__).parents[1])
        sys.path.append(root)
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), root]))
    # run_all.sh, which starts the program, takes the environment that is active.
    os.environ.setdefault("VIRTUAL_ENV", sys.prefix)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def describe() -> dict:
    """Print and return what the machine is, with a warning if it is busy."""
    described = machine()
    for fact, value in described.items():
        print(f"{fact}: {value}")
    if (load := described["load at the start"]) > BUSY:
        print(f"warning: the load is {load}; a ratio from a busy machine means little")
    return described


def last_line(text: str) -> str:
    """Return the last line that says anything."""
    return next((line for line in reversed(text.splitlines()) if line.strip()), "no reason given")


def rows_of(name: str) -> list[dict]:
    """Return the rows of a part, those before a failure included, which is the last row then."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.json"
        command = [sys.executable, __file__, "--part", name, "--json", str(file)]
        error = ""
        try:
            ran = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=LONGEST)
            if ran.returncode:
                error = last_line(ran.stderr)
        except subprocess.TimeoutExpired:
            error = f"took more than {LONGEST} s"
        rows = json.loads(file.read_text()) if file.exists() else []
    if error:
        rows.append({"what": name, "error": error, "target": "", "met": None})
    return rows


if __name__ == "__main__":
    main()
