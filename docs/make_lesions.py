"""Score heat maps on Cheng's outlined tumours, for the tables of docs/results.md.

    python docs/make_lesions.py --data DIR --weights DIR

The model is that of docs/protocols/frozen.yaml, split by patient, once as it is and once with flattened in place of
pooled features. All test slices are explained. What was found is written to docs/data/lesions.json: numbers and
conditions, no image. Trained models and heat maps are kept in --out.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter

from brainlib.data import load_dataset
from brainlib.papers import load_paper
from brainlib.papers.schema import Metric
from brainlib.study import Study, saliency
from brainlib.trials import jobs

DOCS = Path(__file__).resolve().parent
PROTOCOL, DATA = DOCS / "protocols" / "frozen.yaml", DOCS / "data" / "lesions.json"
ARM, BALANCED = "mobilenet", Metric(name="sensitivity", average="macro")


def models(study: Study) -> dict[str, Study]:
    """Return the studies of the models that are explained."""
    return {
        "pooled features": study,
        "flattened features": study.varied(f"arms.{ARM}.model.pooling", "flatten"),
    }


def measured(study: Study, title: str) -> tuple[list[saliency.HeatMapScore], dict]:
    """Return the scores of a model's heat maps, with its title in the place of the arm, and what it is."""
    results = study.run()
    values, score = saliency.lesion_values(results, images=0), results.estimate(ARM, "test", BALANCED)
    found = [*saliency.means(values), *saliency.thirds(results, images=0)]
    test = results.predictions(ARM, "test")
    patients = study.dataset.table.set_index("path").loc[test["path"], "patient"]
    about = {"settings": study.changed, "balanced_accuracy": dataclasses.asdict(score)}
    about |= {"test_slices": len(test), "test_patients": int(patients.nunique())}
    return [dataclasses.replace(each, arm=title) for each in found], about


def main() -> None:
    """Train and explain the models, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, metavar="DIR", help="folder of data sets")
    parser.add_argument("--weights", required=True, metavar="DIR", help="folder of Keras' weight files")
    parser.add_argument("--out", default="reports", metavar="DIR", help="folder of what is kept between runs")
    given, started, rows, about = parser.parse_args(), time.perf_counter(), [], {}
    cheng = load_dataset("cheng", given.data, Path(given.out) / "store")
    study = Study(load_paper(PROTOCOL), cheng, profile="full", weights=given.weights, out=given.out)
    for title, each in models(study.duplicates_apart()).items():
        found, about[title] = measured(each, title)
        rows += found
    written = {"created": datetime.now(UTC).isoformat(timespec="seconds"), "environment": jobs.environment()}
    written |= {"seconds": round(time.perf_counter() - started), "protocol": PROTOCOL.name, "seed": 0, "models": about}
    written["rows"] = json.loads(TypeAdapter(list[saliency.HeatMapScore]).dump_json(rows))
    DATA.parent.mkdir(exist_ok=True)
    DATA.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
