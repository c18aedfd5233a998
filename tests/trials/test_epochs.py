"""The progress of several trials: a fraction of all epochs, and the time that is left."""

from __future__ import annotations

import pytest

from brainlib.trials import run
from brainlib.trials.run import Epochs


@pytest.fixture
def clock(monkeypatch):
    """A list whose last entry is the time in seconds."""
    times = [1000.0]
    monkeypatch.setattr(run.time, "monotonic", lambda: times[-1])
    return times


def epochs_of(trials):
    steps = []
    return Epochs(trials, lambda *step: steps.append(step)), steps


def test_time_left_is_that_of_the_epochs_after_the_first(clock):
    on_epoch, steps = epochs_of([("jardim cnn fold 1", 5)])
    on_epoch(0, 0, 0.0, 0.0)
    for epoch, seconds in enumerate([60, 10, 14, 12, 12], start=1):
        clock.append(clock[-1] + seconds)
        on_epoch(0, epoch, 1 / epoch, epoch / 10)
    assert [line for _, line in steps] == [
        # The first epoch, with decoding and building, is no measure.
        "[1/1] jardim cnn fold 1: epoch 1/5, loss 1.0000, accuracy 0.1000, time left not known yet",
        "[1/1] jardim cnn fold 1: epoch 2/5, loss 0.5000, accuracy 0.2000, about 30 s left",
        "[1/1] jardim cnn fold 1: epoch 3/5, loss 0.3333, accuracy 0.3000, about 24 s left",
        "[1/1] jardim cnn fold 1: epoch 4/5, loss 0.2500, accuracy 0.4000, about 12 s left",
        "[1/1] jardim cnn fold 1: epoch 5/5, loss 0.2000, accuracy 0.5000, done in 2 min",
    ]


def test_a_trial_that_goes_on_from_a_checkpoint_says_so_and_measures_its_own_epochs_only(clock):
    on_epoch, steps = epochs_of([("cnn", 30)])
    for epoch, seconds in ((0, 1), (1, 60), (2, 40), (0, 1), (2, 9), (3, 50), (4, 40)):
        clock.append(clock[-1] + seconds)
        on_epoch(0, epoch, 0.5, 0.75)
    assert [line.partition("accuracy 0.7500, ")[2] for _, line in steps] == [
        "time left not known yet",
        "about 19 min left",
        "goes on from here",
        "about 22 min left",
        "about 20 min left",
    ]


def test_trials_trained_at_the_same_time_have_times_of_their_own(clock):
    on_epoch, steps = epochs_of([("slow", 3), ("quick", 3)])
    for number in (0, 1):
        on_epoch(number, 0, 0.0, 0.0)
    for epoch in (1, 2):
        for number in (1, 0):
            clock.append(clock[-1] + 20)
            on_epoch(number, epoch, 0.0, 0.0)
    lines = [line for _, line in steps]
    assert "[2/2] quick: epoch 2/3" in lines[2] and "about 40 s left" in lines[2]
    assert "[1/2] slow: epoch 2/3" in lines[3] and "about 40 s left" in lines[3]


def test_the_fraction_counts_the_epochs_of_all_trials():
    on_epoch, steps = epochs_of([("a", 3), ("b", 1)])
    for number, epoch in ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (0, 3)):
        on_epoch(number, epoch, 0.5, 0.75)
    assert [fraction for fraction, _ in steps] == [0.25, 0.5, 0.75, 1]
    assert [line.split(",")[0] for _, line in steps] == [
        "[1/2] a: epoch 1/3",
        "[1/2] a: epoch 2/3",
        "[2/2] b: epoch 1/1",
        "[1/2] a: epoch 3/3",
    ]


def test_the_fraction_does_not_decrease_when_a_trial_starts_again():
    on_epoch, steps = epochs_of([("a", 4)])
    for epoch in (0, 1, 2, 0, 1, 2, 3, 4):
        on_epoch(0, epoch, 0.5, 0.75)
    assert [fraction for fraction, _ in steps] == [0.25, 0.5, 0.5, 0.5, 0.75, 1]
