"""What a run costs as it grows: images, arms, seeds, cores and workers, each with the exponent of its seconds.

    python benchmarks/growth.py --json growth.json

The run is the CNN of jardim on phantoms of 96 pixels, three folds and a final model of four epochs each, with the
search for duplicates, in an empty store; the phantoms are drawn before. One quantity grows while the others stay. Cores
are those that the process may use. Each point is the quicker of two runs, taken in turn, each in a process of its own.
The exponent is the slope of a line through the logarithms: 1 for seconds in proportion, -1 for twice as fast on two.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from bench import describe, find_brainlib, last_line
from measuring import seconds_of

USUAL = {"images": 120, "arms": 1, "seeds": 1, "workers": 1}
SIZES = {
    "images": (60, 120, 240, 480),
    "arms": (1, 2, 4),
    "seeds": (1, 2, 4),
    "cores": tuple(n for n in (1, 2, 4, 8, 16) if n <= (os.cpu_count() or 1)),
    "workers": (1, 2, 4),
}
RUNS = {
    "images": "four trainings",
    "arms": "four trainings an arm",
    "seeds": "four trainings a seed",
    "cores": "four trainings, one worker",
    "workers": "twelve trainings (three arms)",
}


def main() -> None:
    """Measure every growth, print, write."""
    find_brainlib()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(SIZES), metavar="A,B", help=f"some of {', '.join(SIZES)}")
    parser.add_argument("--json", default="growth.json", metavar="FILE", help="file of the results")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--point", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.point:
        print(run(**json.loads(arguments.point)))
        return
    started, described, rows = time.perf_counter(), describe(), []
    for what in arguments.only.split(","):
        rows.append(grown(what, arguments.repeats))
        print(json.dumps(rows[-1]), flush=True)
    written = {"machine": described, "seconds": time.perf_counter() - started, "rows": rows}
    Path(arguments.json).write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")


def grown(what: str, repeats: int) -> dict:
    """Measure the points of one quantity, and fit its exponent."""
    sizes, found = SIZES[what], {"what": what, "of": RUNS[what]}
    usual = USUAL | ({"arms": 3} if what == "workers" else {})
    try:
        seconds = [[point(usual, what, n) for n in sizes] for _ in range(repeats)]
    except subprocess.CalledProcessError as error:
        return {**found, "error": last_line(error.stderr)}
    best = np.min(seconds, axis=0)
    exponent = np.polyfit(np.log(sizes), np.log(best), 1)[0] if len(sizes) > 1 else np.nan
    return {**found, "sizes": sizes, "seconds": best.tolist(), "exponent": float(exponent)}


def point(usual: dict, what: str, n: int) -> float:
    """Return the seconds of one run, in a process of its own."""
    asked = usual if what == "cores" else {**usual, what: n}
    command = [sys.executable, __file__, "--point", json.dumps(asked)]
    if what == "cores":
        command = ["taskset", "-c", f"0-{n - 1}", *command]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(printed.split()[-1])


def run(images: int, arms: int, seeds: int, workers: int) -> float:
    """Return the seconds of one run, in this process and those that it starts."""
    from brainlib.study.options import PROFILES, Profile
    from brainlib.study.study import Study
    from brainlib.trials.run import run_trials
    from brainlib.trials.workers import local_cluster

    PROFILES["smoke"] = Profile(images=images, size=96, epochs=4)
    with tempfile.TemporaryDirectory() as out, local_cluster(workers) as address:
        study = Study("jardim", profile="smoke", arms=["cnn"], data="phantoms", out=out)
        _ = study.indexed

        def train():
            for seed in range(seeds):
                at_seed = study.at_seed(seed)
                # Of equal trials one is trained: the arms differ by a unit of a layer.
                trials = [
                    dataclasses.replace(trial, model=dataclasses.replace(trial.model, dense=(500 + arm,)))
                    for arm in range(arms)
                    for trial in at_seed.trials()
                ]
                run_trials(trials, at_seed.dataset, study.options.store, scheduler=address)

        return seconds_of(train)


if __name__ == "__main__":
    main()
