"""The same results inline and on a cluster, and progress that says how far it is."""

from __future__ import annotations

import os
import re
import sys

import dask
import pandas as pd
import pytest
from cloudpickle import register_pickle_by_value
from small_trials import phantoms, small_trial
from test_processes import die, die_once

from brainlib import progress
from brainlib.data.splits import Split
from brainlib.errors import BrainlibError, UsageError
from brainlib.models.backbones import Weights
from brainlib.models.build import ModelSpec
from brainlib.models.training import Phase
from brainlib.trials import workers
from brainlib.trials.run import run_trials

pytestmark = pytest.mark.slow

# Workers cannot import this file.
register_pickle_by_value(sys.modules[__name__])


@pytest.fixture(scope="module")
def cluster():
    """The address of a real local cluster with one worker; patient for one death of it."""
    import distributed  # noqa: F401 - with its settings, which a dask.config.set around it would drop

    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        workers.local_cluster(1) as address,
    ):
        yield address


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """A data set and two trials: dropout in the one, augmentation and a backbone in the other."""
    dataset = phantoms(tmp_path_factory.mktemp("data"))
    transfer = small_trial(
        dataset,
        arm="transfer",
        size=32,
        model=ModelSpec("transfer", backbone="mobilenet_025", pooling="average"),
        weights=Weights("random"),
        phases=(
            Phase("head", "head", 1, 1e-3),
            Phase("fine", ("conv_pw_13",), 1, 1e-3, (("flip", "both"), ("rotation", 15.0))),
        ),
    )
    return dataset, [small_trial(dataset, keep_model=True), transfer]


def trained(asked, folder, **options):
    lines, (dataset, trials) = [], asked
    return run_trials(trials, dataset, folder, on_progress=lambda _, line: lines.append(line), **options), lines


@pytest.fixture(scope="module")
def inline(asked, tmp_path_factory):
    return trained(asked, tmp_path_factory.mktemp("inline"))


@pytest.fixture(scope="module")
def distributed(asked, cluster, tmp_path_factory):
    return trained(asked, tmp_path_factory.mktemp("distributed"), scheduler=cluster)


def test_a_worker_gives_the_same_bits_as_this_process(inline, distributed):
    for here, there in zip(inline[0], distributed[0], strict=True):
        pd.testing.assert_frame_equal(here.predictions, there.predictions, check_exact=True)
        pd.testing.assert_frame_equal(here.epochs, there.epochs, check_exact=True)
        pd.testing.assert_frame_equal(
            here.history.drop(columns="seconds"),
            there.history.drop(columns="seconds"),
            check_exact=True,
        )


@pytest.mark.parametrize("where", ["inline", "distributed"])
def test_progress_names_each_trial_and_its_scores(where, request):
    results, lines = request.getfixturevalue(where)
    ends = [line for line in lines if "done in" in line]
    pattern = r"\[(\d)/2\] (.*): epoch 2/2, loss (.*), accuracy (.*), done in \d+ s"
    for number, (line, result) in enumerate(zip(ends, results, strict=True), start=1):
        found = re.fullmatch(pattern, line).groups()
        last = result.history.iloc[-1]
        expected = (f"{last['loss']:.4f}", f"{last['val_accuracy']:.4f}")
        assert found == (str(number), result.trial.name, *expected)


@pytest.mark.parametrize("where", ["", "cluster"])
def test_an_error_of_a_job_arrives_as_it_was_raised(where, asked, store, request):
    dataset, _ = asked
    scheduler = request.getfixturevalue(where) if where else ""
    bad = small_trial(dataset, split=Split(holdout=0.25, folds=40, fold=1))
    with pytest.raises(UsageError) as error:
        run_trials([bad], dataset, store, scheduler=scheduler, on_progress=progress.ignore)
    assert str(error.value).startswith("cannot split 24 images of 2 classes as asked")
    assert "\n" not in str(error.value)


def add(one, two, report):
    report(1, 0.5, 0.5)
    return one + two


@pytest.mark.parametrize("where", ["", "cluster"])
def test_results_come_in_the_order_of_the_jobs(where, request):
    scheduler = request.getfixturevalue(where) if where else ""
    assert workers.run(add, [(1, 2), (5, 6), (3, 4)], scheduler) == [3, 11, 7]


def test_a_job_whose_worker_is_killed_is_done_again(cluster, tmp_path):
    marker = str(tmp_path / "marker")
    assert workers.run(die_once, [(marker,)], cluster) == ["lived"]
    assert os.path.exists(marker)


def test_workers_that_are_killed_again_and_again_are_said_in_one_line(cluster):
    with pytest.raises(BrainlibError, match="want of memory; use fewer --jobs") as error:
        workers.run(die, [()], cluster)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense://x", "127.0.0.1:notaport"])
def test_no_scheduler_at_the_address_is_said_in_one_line(address, monkeypatch):
    import distributed

    client = distributed.Client
    monkeypatch.setattr(
        distributed, "Client", lambda address, **options: client(address, **{**options, "timeout": "0.5s"})
    )
    with pytest.raises(UsageError, match="none answered there") as error:
        workers.run(add, [(1, 2)], address)
    assert address in str(error.value) and "\n" not in str(error.value)
