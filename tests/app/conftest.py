"""A store with two small models."""

from __future__ import annotations

import pytest
from small_trials import final_trial, phantoms

from brainlib import progress
from brainlib.trials.run import run_trials


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Folder of reports with two models, of seeds 0 and 1; the results of the first."""
    out = tmp_path_factory.mktemp("reports")
    dataset = phantoms(out / "store")
    trials = [final_trial(dataset, seed=seed, conditions=("2 of 30 epochs",)) for seed in (0, 1)]
    results = run_trials(trials, dataset, out / "store", on_progress=progress.ignore)
    return out, results[0]
