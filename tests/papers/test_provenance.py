"""Settings by their key paths, in words, and without their provenance."""

from __future__ import annotations

import pytest

from brainlib.papers.loading import load_paper
from brainlib.papers.provenance import in_words, key_of, name_of, values


@pytest.mark.parametrize(
    ("path", "key", "name"),
    [
        (("protocol", "batch_size"), "protocol.batch_size", "batch size"),
        (("data", "set"), "data.set", "set"),
        (("arms", "cnn", "model", "dense"), "arms.cnn.model.dense", "cnn: dense"),
        (("arms", "a.b", "phases", 1, "epochs"), "arms.a.b.phases[1].epochs", "a.b, phase 2: epochs"),
    ],
)
def test_a_key_path_is_written_as_a_key_and_in_words(path, key, name):
    assert (key_of(path), name_of(path)) == (key, name)


@pytest.mark.parametrize(
    ("value", "words"),
    [(True, "yes"), ((32, 64), "32, 64"), ((), "none"), ({}, "none"), ({"flip": "both"}, "flip both"), (0.5, "0.5")],
)
def test_a_value_is_written_without_the_marks_of_python(value, words):
    assert in_words(value) == words


def test_the_values_of_a_part_have_its_shape_and_no_provenance():
    arm = load_paper("jardim").arms["cnn"]
    model = values(arm.model)
    assert model["kind"] == "cnn" and model["convolutions"] == arm.model.convolutions.value
    assert list(model) == list(type(arm.model).model_fields)
    assert values(arm.phases)[0]["epochs"] == arm.phases[0].epochs.value
    assert values(load_paper("jardim").protocol)["folds"] == 3
    assert values(load_paper("lu").protocol)["folds"] is None
