"""Measure what the public sets give away without a look at the brain, for the tables of docs/results.md.

    python docs/make_shortcuts.py --data DIR

The folder of data sets has one folder for each; those that it lacks are named and left out. No network is trained.
What was found is written to docs/data/shortcuts.json: numbers and conditions, no image. `--out` keeps what was found
among the images.
"""

from __future__ import annotations

import argparse
import json
import time
from datetime import UTC, datetime
from pathlib import Path

from pydantic_core import to_jsonable_python

from brainlib.audit import audit_folder
from brainlib.audit.shortcuts import APART, PUBLISHED
from brainlib.data.registry import REGISTRY
from brainlib.errors import DataError
from brainlib.papers import paper_ids
from brainlib.study import Study
from brainlib.study.shortcuts import of_study
from brainlib.trials import jobs

TARGET = Path(__file__).resolve().parent / "data" / "shortcuts.json"


def main() -> None:
    """Score the shortcuts of each set, and in the protocol of each paper, and write them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, metavar="DIR", help="folder with one folder for each set")
    parser.add_argument("--out", default="reports", metavar="DIR", help="folder of what is kept between runs")
    given = parser.parse_args()
    started, store, sets, papers = time.perf_counter(), Path(given.out).resolve() / "store", {}, {}
    for name in REGISTRY:
        try:
            audit = audit_folder(name, given.data, store)
        except DataError as error:
            print(f"left out: {error}")
            continue
        sets[name] = audit.record()
        print(name, audit.shortcuts)
    for name in paper_ids():
        study = Study(
            name, data=given.data, out=given.out, profile="full", weights="random", arms=["all"], scenarios=["all"]
        )
        if study.paper.data.set.value in sets:
            planned = {PUBLISHED: study, APART: study.duplicates_apart()}
            papers[name] = [
                each
                for split, own in planned.items()
                for scenario in own.scenarios
                for each in of_study(own, scenario, split)
            ]
            print(name, papers[name])
    written = {"created": datetime.now(UTC).isoformat(timespec="seconds"), "environment": jobs.environment(), "seed": 0}
    kept = {name: {"images": each.images, "scores": each.shortcuts} for name, each in sets.items()}
    written |= {"seconds": round(time.perf_counter() - started), "sets": kept, "papers": papers}
    TARGET.parent.mkdir(exist_ok=True)
    text = json.dumps(to_jsonable_python(written, inf_nan_mode="null"), indent=1)
    TARGET.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
