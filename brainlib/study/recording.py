"""What a paper's notebook leaves for the report: ``results/PAPER.json``.

Its fields are those of `schema.PaperResult`, which checks them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict

from brainlib.data.datasets import info_of
from brainlib.io import writing
from brainlib.papers.consistency.checks import Check
from brainlib.papers.schema import Claim
from brainlib.stats import intervals
from brainlib.stats.estimates import Estimate
from brainlib.study.controls import Control
from brainlib.study.duplicates import duplicate_effects
from brainlib.study.options import KAGGLE, PHANTOMS
from brainlib.study.pairs import compared
from brainlib.study.results import Results
from brainlib.study.saliency import HeatMapScore
from brainlib.study.verdicts import Verdict


def write(
    results: Results,
    repeats: Sequence[Results],
    retrained: Results | None,
    claims: Sequence[dict],
    checks: Sequence[Check],
    controls: Sequence[Control],
    heat_maps: Sequence[HeatMapScore],
) -> None:
    """Write ``results/PAPER.json`` in the output folder of a study.

    Parameters
    ----------
    results : Results
    repeats : sequence of Results
        Of the other seeds.
    retrained : Results or None
        Of the study that keeps copies together.
    claims : sequence of dict
        As `claim_as_dict` gives them.
    checks : sequence of Check
    controls : sequence of Control
    heat_maps : sequence of HeatMapScore

    Raises
    ------
    StoreError
        When it cannot be written.
    """
    study, paper = results.study, results.study.paper
    data, options = study.dataset, study.options
    source = options.source if options.source in (KAGGLE, PHANTOMS) else "folder"
    final = results.trial(study.arms[0], "test", study.scenarios[0])
    tests, equivalences = compared(results, repeats)
    record = {
        "paper": paper.id,
        "title": paper.citation.title,
        "authors": list(paper.citation.authors),
        "year": paper.citation.year,
        "options": {
            "profile": options.profile,
            "data": source,
            "weights": {arm: study.weights[arm].label for arm in study.arms},
            "backbone": dict(options.backbone),
            "seed": options.seed,
            "seeds": options.seeds,
            "retrain": options.retrain,
            "controls": options.controls,
        },
        "profile": asdict(study.profile),
        "data": {
            "set": data.name,
            "title": info_of(data.name).title,
            "source": source,
            "images": len(data.table),
            "used": len({p for r in results.trials.values() for p in r.predictions["path"]}),
            "fingerprint": data.fingerprint,
            "differences": list(data.differences),
        },
        "arms": {
            arm: {
                "title": study.title(arm),
                "weights": study.weights[arm].label,
                "conditions": list(study.conditions(arm)),
            }
            for arm in study.arms
        },
        "not_run": list(study.not_run()),
        "conditions": list(study.conditions()),
        "environment": final.facts["environment"],
        "seconds": {"training": sum(result.facts["seconds"]["training"] for result in results.trials.values())},
        "claims": list(claims),
        "checks": [asdict(check) for check in checks],
        "tests": [asdict(test) for test in tests],
        "equivalences": [asdict(test) for test in equivalences],
        "duplicate_effects": [
            asdict(score) for scenario in study.scenarios for score in duplicate_effects(results, retrained, scenario)
        ],
        "calibration": [_calibrated(results, arm, scenario) for scenario in study.scenarios for arm in study.arms],
        "controls": [asdict(control) for control in controls],
        "heat_maps": [asdict(score) for score in heat_maps],
    }
    path = options.store.parent / "results" / f"{paper.id}.json"
    with writing(path) as file:
        file.write(json.dumps(_finite(record), indent=1).encode())


def _calibrated(results, arm, scenario):
    found = results.calibration(arm, scenario)
    return {
        "arm": arm,
        "scenario": scenario,
        "error": [found.error, found.error_interval.low, found.error_interval.high],
        "brier": [found.brier, found.brier_interval.low, found.brier_interval.high],
        "curve": found.curve.to_dict("records"),
    }


def printed_interval(claim: Claim) -> intervals.Interval | None:
    """Sampling error of a printed accuracy: Wilson's 95 % interval from the images that it is of.

    None for a score whose number of images the paper does not give, such as a sensitivity.
    """
    metric = claim.metric
    share = metric.name == "accuracy" or (metric.name, metric.average) == ("sensitivity", "weighted")
    if not (share and claim.n and metric.over == "value"):
        return None
    printed = claim.number
    return intervals.wilson_interval(round(printed.value * claim.n), claim.n)


def claim_as_dict(
    claim: Claim,
    estimate: Estimate | None,
    verdict: Verdict,
    margin: float | None,
    by_seed: Sequence[float],
    clean: tuple[Estimate, Verdict] | None,
) -> dict:
    """A claim and what became of it; the fields are those of `schema.Claim`."""
    metric = claim.metric
    own = printed_interval(claim) if metric else None
    over_seeds = intervals.mean_interval(by_seed) if len(by_seed) > 1 else None
    return {
        "id": claim.id,
        "where": claim.where,
        "printed": claim.printed,
        "unit": claim.unit,
        "arm": claim.arm,
        "stage": claim.stage,
        "scenario": claim.scenario,
        "phase": claim.phase,
        "metric": metric and metric.name,
        "over": metric and metric.over,
        "label": metric and metric.label,
        "average": metric and metric.average,
        "n": claim.n,
        "printed_interval": own and [own.low, own.high],
        "reproduced": estimate and asdict(estimate),
        "margin": margin,
        "by_seed": list(by_seed),
        "mean_over_seeds": over_seeds and [sum(by_seed) / len(by_seed), over_seeds.low, over_seeds.high],
        "verdict": verdict.verdict,
        "reason": "; ".join(verdict.reasons),
        "clean": clean and asdict(clean[0]),
        "clean_verdict": clean and clean[1].verdict,
    }


def _finite(value):
    """Replace nan and infinities, which JSON does not know, by null."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
