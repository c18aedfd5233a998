"""A store with two small models, and the mark of what trains or opens a browser."""

from __future__ import annotations

import pytest
from small_trials import final_trial, phantoms

from brainlib.trials.run import run_trials


def pytest_collection_modifyitems(items):
    for item in items:
        if {"trained", "served", "browser"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Folder of reports with two models, of seeds 0 and 1; the results of the first."""
    out = tmp_path_factory.mktemp("reports")
    dataset = phantoms(out / "store")
    trials = [final_trial(dataset, seed=seed, conditions=("2 of 30 epochs",)) for seed in (0, 1)]
    results = run_trials(trials, dataset, out / "store", log=lambda line: None)
    return out, results[0]
