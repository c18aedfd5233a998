"""A process that is killed while it trains: the next one goes on at the epoch that it had reached."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from functools import partial

import numpy as np
import pytest
from small_trials import assert_same, phantoms, small_trial

from brainlib import progress
from brainlib.errors import BrainlibError
from brainlib.models.backbones import Weights
from brainlib.models.build import ModelSpec
from brainlib.models.training import Phase
from brainlib.trials import jobs, processes, store, workers
from brainlib.trials.run import run_trials
from brainlib.trials.trial import TrialResult

pytestmark = pytest.mark.slow
CHANGES = (("flip", "both"), ("rotation", 15.0))
# Trials of five epochs; the epochs in which their process is killed, and those that it had reported.
TRIALS = {
    # Both draw random numbers; the fourth epoch is the first on stored activations.
    "dropout and augmentation": (
        {"phases": (Phase("all", "all", 3, 1e-2, CHANGES), Phase("head", "head", 2, 1e-2))},
        {3: [1, 2], 4: [2, 3]},
    ),
    "batch normalisation, then a frozen backbone": (
        {
            "phases": (Phase("all", "all", 3, 1e-2), Phase("head", "head", 2, 1e-2)),
            "model": ModelSpec("transfer", backbone="mobilenet_025", pooling="average", head_dropout=(0.3,)),
            "weights": Weights("random"),
            "size": 32,
        },
        {5: [1, 2, 3, 4]},
    ),
}


def killed(trial, dataset, folder, report, deaths):
    """Train, with a checkpoint after every epoch; the process is killed near the end of each of these epochs, once."""
    from brainlib.models import training

    accuracy, reached = training.metrics.accuracy, [0]

    def fatal(*arguments):
        mark = folder / f"killed in {reached[-1] + 1}"
        if reached[-1] + 1 in deaths and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return accuracy(*arguments)

    def reporting(epoch, *scores):
        reached.append(epoch)
        report(epoch, *scores)

    training.metrics.accuracy = fatal
    jobs.Checkpoint = partial(jobs.Checkpoint, every=0)
    jobs.train(trial, dataset, folder, reporting)


def trained(trial, dataset, folder, deaths=()):
    """Return the result, and the epochs that were reported, of a trial whose process is killed."""
    reports, job = [], partial(killed, deaths=tuple(deaths))
    while not store.holds(folder, trial.key):
        with suppress(BrainlibError):  # two processes were killed
            processes.run(job, (trial, dataset, folder), lambda *values: reports.append(values[0]))
    facts, tables = store.read(folder, trial.key)
    return TrialResult(trial, facts=facts, **tables), reports


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return phantoms(tmp_path_factory.mktemp("images"))


def weights_of(folder, trial):
    return store.load_model(folder, trial.key).get_weights()


@pytest.mark.parametrize("name", TRIALS)
@pytest.mark.fault(
    "13a",
    "SIGKILL of a training, again and again, in the middle of its epochs",
    "it goes on from its checkpoint; same predictions and weights",
)
def test_a_trial_whose_process_is_killed_ends_as_if_it_had_not_been(dataset, tmp_path, name):
    changes, deaths = TRIALS[name]
    trial = small_trial(dataset, keep_model=True, **changes)
    whole, reports = trained(trial, dataset, tmp_path / "whole")
    assert reports == [0, 1, 2, 3, 4, 5]
    resumed, reports = trained(trial, dataset, tmp_path / "killed", deaths)
    # Each process reports what it goes on from.
    starts = [[0, *epochs] for epochs in deaths.values()]
    assert reports == [*sum(starts, []), 0, *range(max(deaths) - 1, 6)]
    assert_same(resumed, whole)
    for one, two in zip(*(weights_of(tmp_path / each, trial) for each in ("whole", "killed")), strict=True):
        np.testing.assert_array_equal(one, two)
    assert resumed.facts["seconds"]["other"] > 0
    assert list((tmp_path / "killed" / "unfinished").iterdir()) == []


def test_who_asks_for_a_fresh_result_goes_on_from_no_checkpoint(dataset, tmp_path, monkeypatch):
    trial, there = small_trial(dataset), []
    place = store.unfinished(tmp_path, trial.key)
    place.parent.mkdir()
    place.write_bytes(b"")

    def stop(*arguments):
        there.append(place.exists())
        raise BrainlibError

    monkeypatch.setattr(workers, "run", stop)
    for fresh in (False, True):
        with pytest.raises(BrainlibError):
            run_trials([trial], dataset, tmp_path, fresh=fresh, on_progress=progress.ignore)
    assert there == [True, False]
