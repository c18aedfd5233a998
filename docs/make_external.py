"""Measure patient leakage on Cheng's set, leaks of published splits, and what sets are worth to one another.

    python docs/make_external.py --data DIR --weights DIR patients leaks external

The folder of data sets has one folder for each (see brainlib/data/sets.yaml); those that it lacks are left out, and
named. The model is that of docs/protocols/frozen.yaml. What was found is written to docs/data for docs/results.md, to a
file for each measurement: numbers and conditions, no image. Of the patients the predictions are kept, rounded, in
reports/reference/cheng-patients, and docs/make_results.py scores them. Trained models are kept in --out, so that a run
that was interrupted goes on.
"""

from __future__ import annotations

import argparse
import json
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter

from brainlib.audit.findings import facing_groups, near_groups
from brainlib.data import load_dataset
from brainlib.data.datasets import DataSet
from brainlib.data.registry import REGISTRY
from brainlib.errors import DataError
from brainlib.papers import load_paper
from brainlib.study import Study, external_validation, kept
from brainlib.study.external import ExternalScore
from brainlib.study.leakage import cross_validated
from brainlib.trials import jobs

DOCS = Path(__file__).resolve().parent
DATA, PROTOCOL = DOCS / "data", DOCS / "protocols" / "frozen.yaml"
PATIENTS = DOCS.parent / "reports" / "reference" / "cheng-patients" / "predictions.parquet"
KINDS = {"patients": tuple[str, ...], "leaks": tuple[str, ...], "external": tuple[ExternalScore, ...]}


def patients(data: str, options: dict) -> tuple[tuple[str, ...], dict]:
    """Cross-validate on Cheng's set by slice, by duplicate group and by patient."""
    cheng = load_dataset("cheng", data, Path(options["out"]) / "store")
    study = Study(load_paper(PROTOCOL), cheng, **options)
    tested = cross_validated(study).merge(cheng.table[["path", "byte_hash"]], on="path")
    PATIENTS.parent.mkdir(parents=True, exist_ok=True)
    kept.rounded(tested).to_parquet(PATIENTS, index=False, compression="zstd", compression_level=19)
    about = {"images": len(cheng.table), "patients": int(cheng.table["patient"].nunique())}
    models = {"classes": cheng.classes, "models": len(tested.groupby(["arm", "split", "fold"]))}
    return (), about | models


def external(data: str, options: dict) -> tuple[tuple[ExternalScore, ...], dict]:
    """Train on each set and test on each."""
    sets = loaded(data, options)
    about = {"images": {name: len(each.table) for name, each in sets.items()}}
    return external_validation(load_paper(PROTOCOL), sets, **options), about


def leaks(data: str, options: dict) -> tuple[tuple[str, ...], dict]:
    """Count the published test images with a duplicate among the published training images, by kind of duplicate."""
    store, about = Path(options["out"]) / "store", {}
    for name, each in loaded(data, options).items():
        scan = each.scan(store)
        part = scan.table["part"].to_numpy()
        if "test" not in part:
            continue
        groups = {kind: scan.table[f"{kind}_hash"].to_numpy() for kind in ("byte", "pixel")}
        groups |= {"facing": facing_groups(scan, store), "near": near_groups(scan, store)}
        found = {kind: np.isin(of[part == "test"], of[part == "train"]) for kind, of in groups.items()}
        about[name] = {"test": int((part == "test").sum()), **{kind: int(each.sum()) for kind, each in found.items()}}
    return (), {"leaks": about}


def loaded(data: str, options: dict) -> dict[str, DataSet]:
    """Load every set that the folder of data sets has."""
    sets = {}
    for name in REGISTRY:
        try:
            sets[name] = load_dataset(name, data, Path(options["out"]) / "store")
        except DataError as error:
            print(f"left out: {error}")
    return sets


def main() -> None:
    """Measure what is asked for, and write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("measurements", nargs="+", choices=KINDS)
    parser.add_argument("--data", required=True, metavar="DIR", help="folder with one folder for each set")
    parser.add_argument("--weights", required=True, metavar="DIR", help="folder of Keras' weight files")
    parser.add_argument("--out", default="reports", metavar="DIR", help="folder of what is kept between runs")
    given = parser.parse_args()
    for name in given.measurements:
        started = time.perf_counter()
        options = {"profile": "full", "weights": given.weights, "out": given.out}
        rows, about = globals()[name](given.data, options)
        written = {"created": datetime.now(UTC).isoformat(timespec="seconds"), "environment": jobs.environment()}
        written |= {"seconds": round(time.perf_counter() - started), "protocol": PROTOCOL.name, "seed": 0, **about}
        written["rows"] = json.loads(TypeAdapter(KINDS[name]).dump_json(rows))
        DATA.mkdir(exist_ok=True)
        (DATA / f"{name}.json").write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
