"""Options of a run: their defaults, and the part of a paper that they select."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from brainlib.errors import UsageError
from brainlib.papers.loading import load_paper
from brainlib.study.options import Options, papers_with, select
from brainlib.study.study import Study


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


def test_a_notebook_types_its_options_once():
    variables = {"arms": ["cnn"], "profile": "smoke", "seeds": 2, "paper": "jardim", "math": math}
    study = Study("jardim", **Options.read(variables))
    assert study.options == Options(arms=["cnn"], profile="smoke", seeds=2)


LU = load_paper("lu")
JARDIM = load_paper("jardim")


def test_the_full_profile_runs_all_of_a_paper_unless_something_is_named():
    assert select(LU, "full", [], []) == (tuple(LU.arms), tuple(LU.scenarios))
    assert select(JARDIM, "full", [], []) == (("cnn", "transfer"), ("",))


def test_a_small_profile_runs_what_the_paper_names_for_it():
    arms, scenarios = select(LU, "smoke", [], [])
    assert (arms, scenarios) == (("mobilenet", "resnet50"), ("glioma", "four"))


@pytest.mark.parametrize("profile", ["smoke", "demo"])
@pytest.mark.parametrize(
    ("paper", "winner", "baseline"),
    [
        ("hajhashem", "resnet18", "resnet18"),
        ("jardim", "transfer", "cnn"),
        ("kruszyk", "resnet50", "resnet50"),
        ("lu", "mobilenet", "resnet50"),
        ("yim", "resnet50v2", "cnn"),
    ],
)
def test_winner_and_baseline_run_in_each_profile(paper, winner, baseline, profile):
    arms, _ = select(load_paper(paper), profile, [], [])
    assert {winner, baseline} <= set(arms)


def test_a_name_chooses_in_the_order_of_the_paper_and_all_chooses_everything():
    arms, scenarios = select(LU, "smoke", ["vgg16", "mobilenet"], ["four", "glioma"])
    assert arms == tuple(arm for arm in LU.arms if arm in ("mobilenet", "vgg16"))
    assert scenarios == ("glioma", "four")
    assert select(LU, "smoke", ["all"], ["all"]) == (tuple(LU.arms), tuple(LU.scenarios))


def test_names_of_other_papers_are_passed_over():
    assert select(JARDIM, "full", ["mobilenet", "cnn"], ["glioma"]) == (("cnn",), ("",))


def test_a_name_that_no_paper_has_is_refused():
    with pytest.raises(UsageError, match="--arms: expected any of all, .*; received 'resnet51'"):
        select(LU, "full", ["mobilenet", "resnet51"], [])
    with pytest.raises(UsageError, match="--scenarios: expected any of .*received 'five'"):
        select(LU, "full", [], ["five"])
    with pytest.raises(UsageError, match="expected any of cnn, transfer for jardim"):
        select(JARDIM, "full", ["mobilenet"], [])


def test_without_papers_those_are_run_that_have_what_is_named():
    everything = ["hajhashem", "jardim", "kruszyk", "lu", "yim"]
    assert papers_with([], []) == papers_with(["all"], ["all"]) == everything
    assert papers_with(["mobilenet", "resnet50"], []) == ["kruszyk", "lu", "yim"]
    assert papers_with(["mobilenet"], ["glioma"]) == papers_with([], ["glioma"]) == ["lu"]
    with pytest.raises(UsageError, match="no paper has together"):
        papers_with(["resnet18"], ["glioma"])
