"""Trials: what is in a key, and what their results tell."""

from __future__ import annotations

import dataclasses

import pandas as pd
import pytest

from brainlib.data.splits import Split
from brainlib.models.backbones import Weights
from brainlib.models.build import ModelSpec
from brainlib.models.training import Phase
from brainlib.trials import trial
from brainlib.trials.trial import Trial, TrialResult

BASE = Trial(
    paper="jardim",
    arm="cnn",
    stage="fold 1",
    data="0123456789abcdef",
    classes=("no", "yes"),
    size=16,
    model=ModelSpec("cnn"),
    weights=Weights("file", "/here/w.h5", "keras", "00ff"),
    phases=(Phase("a", "head", 2, 1e-3, (("flip", "both"),)), Phase("b", ("block",), 1, 1e-4)),
    split=Split(),
    batch_size=8,
    loss="binary_crossentropy",
    seed=0,
    monitored="validation",
)
OTHER = {
    "paper": "yim",
    "arm": "transfer",
    "stage": "final",
    "data": "fedcba9876543210",
    "classes": ("yes", "no"),
    "size": 17,
    "batch_size": 9,
    "loss": "categorical_crossentropy",
    "seed": 1,
    "monitored": "test",
    "scenario": "glioma",
    "oversampled": "yes",
    "oversampled_to": "mean",
    "resizing": "padded",
    "groups": "00112233",
    "precision": "mixed",
    "keep_model": True,
    "conditions": ("other images",),
}
NO_PART_OF_THE_KEY = {"paper", "arm", "stage", "scenario", "keep_model", "conditions"}


def other_value(value):
    """A valid value that is not this one."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1 if isinstance(value, int) else value / 2 + 0.05
    if isinstance(value, tuple):
        return (*value, 3)
    others = {"image": "group", "group": "image", "refused": "as_published"}
    return others.get(value, f"{value}2")


def variants():
    """Each field of a trial, and of what it is made of, changed alone."""
    for field in dataclasses.fields(Trial):
        value = getattr(BASE, field.name)
        if field.name in OTHER:
            yield field.name, dataclasses.replace(BASE, **{field.name: OTHER[field.name]})
        elif field.name == "phases":
            for part in dataclasses.fields(Phase):
                changed = other_value(getattr(value[0], part.name))
                first = dataclasses.replace(value[0], **{part.name: changed})
                yield f"phases.{part.name}", dataclasses.replace(BASE, phases=(first, value[1]))
            yield "phases.order", dataclasses.replace(BASE, phases=value[::-1])
        else:
            for part in dataclasses.fields(value):
                options = {part.name: other_value(getattr(value, part.name))}
                if options == {"fold": 1}:
                    options = {"folds": 3, "fold": 1}
                if options == {"folds": 1}:
                    options = {"folds": 3}
                changed = dataclasses.replace(value, **options)
                yield f"{field.name}.{part.name}", dataclasses.replace(BASE, **{field.name: changed})


VARIANTS = dict(variants())


@pytest.mark.parametrize("field", VARIANTS)
def test_a_key_changes_with_what_changes_the_result_and_with_nothing_else(field):
    ignored = field in NO_PART_OF_THE_KEY | {"weights.file", "split.leakage"}
    assert VARIANTS[field] != BASE
    assert (VARIANTS[field].key == BASE.key) == ignored


def test_every_field_of_a_trial_was_changed():
    changed = {name.split(".")[0] for name in VARIANTS}
    assert changed == {field.name for field in dataclasses.fields(Trial)}
    keys = [trial.key for trial in VARIANTS.values() if trial.key != BASE.key]
    assert len(set(keys)) == len(keys)


def test_keys_of_stored_results_stay_the_same(monkeypatch):
    # Where these change, every stored trial is trained again: only with `RECIPE`.
    monkeypatch.setattr(trial, "version", lambda name: "1.0")
    assert BASE.key == "802017e3aad51cfd979206c7"
    split = Split(holdout=0.25, folds=3, fold=1, by="group", stratified=True)
    other = dataclasses.replace(BASE, monitored="test", groups="00112233", oversampled="yes", split=split)
    assert other.key == "a76a0fc6bb80028ba0ef456c"


@pytest.mark.parametrize("name", ["TensorFlow", "Keras"])
def test_a_key_changes_with_the_version_of(name, monkeypatch):
    before, version = BASE.key, trial.version
    monkeypatch.setattr(trial, "version", lambda asked: version(asked) + "x" * (asked == name.lower()))
    assert BASE.key != before


def test_the_best_epoch_is_the_earliest_of_the_highest_accuracy():
    def best(*accuracies):
        epochs = range(1, len(accuracies) + 1)
        history = pd.DataFrame({"phase": "b", "epoch": epochs, "val_accuracy": accuracies})
        return TrialResult(BASE, None, history, None, {}).best_epoch()

    assert best(0.5, 0.75, 0.75, 0.6) == 2
    assert best(0.9, 0.1) == 1
