"""What a user may choose, and what is taken where nothing is chosen."""

from __future__ import annotations

from pathlib import Path

import pytest

from brainlib.errors import UsageError
from brainlib.study.options import Options


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch):
    for name in ("BRAINLIB_DATA", "BRAINLIB_WEIGHTS"):
        monkeypatch.delenv(name, raising=False)


def test_without_a_choice_phantoms_and_random_weights_are_taken():
    assert (Options().source, Options().starting_weights) == ("phantoms", "random")


def test_the_environment_names_folders_that_an_option_overrules(monkeypatch):
    monkeypatch.setenv("BRAINLIB_DATA", "images")
    monkeypatch.setenv("BRAINLIB_WEIGHTS", "files")
    assert (Options().source, Options().starting_weights) == ("images", "files")
    chosen = Options(data="other", weights="imagenet")
    assert (chosen.source, chosen.starting_weights) == ("other", "imagenet")
    # Phantoms are never compared, so a folder of weights is not asked for their sake.
    assert Options(data="phantoms").starting_weights == "random"


def test_real_images_ask_for_pretrained_weights():
    assert Options(data="images").starting_weights == "imagenet"


def test_the_store_lies_in_the_output(tmp_path):
    assert Options(out=str(tmp_path)).store == tmp_path / "store"
    assert Options(out="reports").store == Path.cwd() / "reports" / "store"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"epochs": 3}, ["unknown parameter 'epochs'", "profile"]),
        ({"profile": "tiny"}, ["profile", "'smoke', 'demo' or 'full'", "'tiny'"]),
        ({"seed": "0"}, ["seed", "integer", "'0'"]),
        ({"seed": -1}, ["seed", "-1"]),
        ({"fresh": 1}, ["fresh", "boolean"]),
        ({"backbone": ["a=b"]}, ["backbone", "dict"]),
        ({"backbone": {"a": 1}}, ["backbone", "string"]),
    ],
)
def test_a_parameter_that_cannot_be_is_refused_in_one_line(given, words):
    with pytest.raises(UsageError) as refused:
        Options.of(given)
    assert "\n" not in str(refused.value)
    for word in words:
        assert word in str(refused.value)
