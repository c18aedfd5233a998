"""Ask how much the verdicts of stored runs depend on duplicates among the test images, for a table of docs/results.md.

    python docs/make_verdicts.py --data DIR

The predictions of these runs were not kept, so how alike the images of a duplicate group were classified is not known.
Each test accuracy that is comparable with the printed one is judged for correlations from 0 (all images independent) to
1 (the images of a group are right or wrong together). What was found is written to docs/data/verdicts.json.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from brainlib.data import splits
from brainlib.stats.intervals import effective_size, wilson_interval
from brainlib.study import Study, records
from brainlib.study.verdicts import MARGIN, NOT_COMPARABLE, verdict
from brainlib.trials import jobs

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "docs" / "data" / "verdicts.json"
RUNS = {"full-mobilenet_v2": "jardim", "lu-mobilenet": "lu"}
STEPS = np.linspace(0, 1, 101)  # of the correlation within groups


def main() -> None:
    """Judge the test accuracies of the runs again, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, metavar="DIR", help="folder with one folder for each set")
    parser.add_argument("--out", default="reports", metavar="DIR", help="folder of what is kept between runs")
    given, rows = parser.parse_args(), []
    for run, paper in RUNS.items():
        stored = records.read(ROOT / "reports" / "reference" / run / "results.json", records.Run).papers[paper].result
        study = Study(paper, data=given.data, out=given.out, profile="full", weights="random", scenarios=["all"])
        effective = {scenario: effective_size(groups_of_test(study, scenario)) for scenario in study.scenarios}
        for claim in stored.claims:
            metric = claim.metric
            if claim.stage != "test" or claim.verdict == NOT_COMPARABLE or not claim.reproduced or not metric:
                continue
            if (metric.name, metric.over) == ("accuracy", "value"):
                rows.append({"run": run, "paper": paper} | judged(claim, effective[claim.scenario or ""]))
    TARGET.write_text(json.dumps({"rows": rows}, indent=1) + "\n", encoding="utf-8")


def groups_of_test(study: Study, scenario: str) -> np.ndarray:
    """Return the duplicate group of each test image of a scenario."""
    final = next(trial for trial in study.trials() if (trial.stage, trial.scenario) == ("final", scenario))
    rows, parts = jobs.split(final, study.dataset)
    return study.dataset.group_ids(patients=True)[rows][parts == splits.TEST]


def judged(claim: records.JudgedClaim, effective: float) -> dict:
    """Judge a claim for each correlation within groups: the verdicts at 0 and 1, and where they change."""
    found, n = claim.reproduced, claim.reproduced.n

    def at(correlation):
        size = n / (1 + correlation * (n / effective - 1))
        limits = wilson_interval(found.value * size, size)
        return verdict(claim.number, found.value, limits.low, limits.high, MARGIN).verdict, limits

    verdicts = [at(step)[0] for step in STEPS]
    changes = [float(step) for step, each in zip(STEPS, verdicts, strict=True) if each != verdicts[0]]
    together = at(1)[1]
    return {
        "claim": claim.id,
        "printed": claim.printed,
        "n": n,
        "effective": round(effective, 1),
        "value": found.value,
        "independent": [found.low, found.high],
        "together": [together.low, together.high],
        "verdict": verdicts[0],
        "verdict_together": verdicts[-1],
        "changes_at": changes[0] if changes else None,
    }


if __name__ == "__main__":
    main()
