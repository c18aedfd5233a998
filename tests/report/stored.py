"""Records of a made-up run as they are stored: dicts as in results.json."""

from __future__ import annotations

INDEPENDENT = {"naive": None, "design_effect": None}  # of an interval of images none of which are of one group
CONDITION, TRAINED = "phantoms, no real images", "2 instead of 30 epochs"


def claim(name="test.cnn.accuracy", verdict="not comparable", *, metric="accuracy", over="value", **changes):
    reproduced = {"value": 0.9583, "low": 0.86, "high": 0.9885, "n": 60, "method": "Wilson"} | INDEPENDENT
    return {
        "id": name,
        "printed": "99,67%",
        "unit": "%",
        "where": "Table 3",
        "n": 600,
        "n_why": None,
        "arm": "cnn",
        "arms": [],
        "stage": "test",
        "scenario": None,
        "phase": None,
        "metric": {"name": metric, "over": over, "label": None, "predicted": None, "average": None},
        "why_not": None,
        "printed_interval": {"low": 0.988, "high": 0.9991, "method": "Wilson"} | INDEPENDENT,
        "reproduced": reproduced,
        "margin": 0.02,
        "verdict": verdict,
        "reasons": [CONDITION],
        "naive_verdict": None,
        "by_seed": [0.9583],
        "mean_over_seeds": None,
        "without_duplicates": {"value": 0.88, "low": 0.745, "high": 0.947, "n": 41, "method": "Wilson 95 %"}
        | INDEPENDENT,
        "verdict_without_duplicates": "not reproduced",
        "collapsed": None,
    } | changes


def result(paper="jardim", **changes):
    return {
        "schema_version": 2,
        "paper": paper,
        "title": "Evaluation of transfer learning",
        "authors": ["A. Jardim"],
        "year": None,
        "options": {"profile": "smoke", "data": "phantoms", "weights": {"cnn": "none"}, "backbone": {}, "seed": 0}
        | {"seeds": 1, "retrain": False, "controls": False, "multiverse": 0},
        "profile": {"images": 60, "size": 64, "epochs": 2, "learning_rate": 0.0},
        "data": {"set": "br35h", "title": "Br35H", "source": "phantoms", "images": 60, "used": 60}
        | {"fingerprint": "0123456789abcdef", "differences": []},
        "arms": {"cnn": {"title": "CNN", "weights": "none", "conditions": [TRAINED], "collapsed": {}}},
        "not_run": [],
        "conditions": [CONDITION],
        "environment": {"python": "3.11.2", "tensorflow": "2.21.0"},
        "training_seconds": 12.5,
        "claims": [claim()],
        "checks": [check()],
        **{name: [] for name in ("tests", "equivalences", "duplicates", "calibration", "controls", "heat_maps")},
        "shortcuts": [],
        "multiverse": [],
        "conclusions": [],
    } | changes


def check(finding="consistent", **changes):
    return {
        "paper": "jardim",
        "claims": ["test.cnn.accuracy"],
        "method": "a whole number of images",
        "finding": finding,
        "sentence": "598 of 600 is 99.6667 %.",
        "suspect": [],
    } | changes


def audited():
    """What the notebook of the data leaves of one set."""
    counts = {"byte": 2, "pixel": 3, "near": 5}
    found = {
        "name": "sartaj",
        "images": 3264,
        "images_by_class": {"no": 3264},
        "test_images": 394,
        "unreadable": [],
        "duplicates": {
            kind: {"groups": n, "images": 2 * n, "leaked_test_images": {"no": n}} for kind, n in counts.items()
        },
        "contradictions": [["a.png", "b.png"]],
        "flagged": [],
    }
    overlaps = {"sartaj": {"br35h": 7}}
    return {"phantoms": False, "sets": {"sartaj": found}, "overlaps": overlaps, "planted": [], "phantom_pairs": None}
