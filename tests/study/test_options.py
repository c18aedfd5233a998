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


def _sources(**options):
    return Options(**options).source, Options(**options).starting_weights


def test_images_and_weights_are_those_of_the_option_or_the_environment_or_phantoms(monkeypatch):
    assert _sources() == ("phantoms", "phantoms")
    assert _sources(data="images") == ("images", "imagenet")
    monkeypatch.setenv("BRAINLIB_DATA", "images")
    monkeypatch.setenv("BRAINLIB_WEIGHTS", "files")
    assert _sources() == ("images", "files")
    assert _sources(data="other", weights="imagenet") == ("other", "imagenet")
    # Results on phantoms are not compared with the paper's, so that no folder of weights is needed.
    assert _sources(data="phantoms", profile="smoke") == ("phantoms", "random")


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
    assert study.options.store == Path.cwd() / "reports" / "store"


LU = load_paper("lu")
JARDIM = load_paper("jardim")


def test_without_names_the_full_profile_runs_all_and_a_small_one_what_the_paper_names_for_it():
    assert select(LU, "full", [], []) == (tuple(LU.arms), tuple(LU.scenarios))
    assert select(JARDIM, "full", [], []) == (("cnn", "transfer"), ("",))
    assert select(LU, "smoke", [], []) == (("mobilenet", "resnet50"), ("glioma", "four"))


@pytest.mark.parametrize("profile", ["smoke", "demo"])
def test_the_winner_runs_in_each_profile_and_so_does_a_baseline_that_is_another_network(profile):
    compared = {"hajhashem": {"resnet18"}, "jardim": {"transfer", "cnn"}, "kruszyk": {"resnet50"}}
    compared |= {"lu": {"mobilenet"}, "yim": {"resnet50v2", "cnn"}}
    for paper, arms in compared.items():
        assert arms <= set(select(load_paper(paper), profile, [], [])[0])


@pytest.mark.parametrize("paper", ["hajhashem", "jardim", "kruszyk", "lu", "yim"])
def test_no_two_models_of_a_demo_on_phantoms_are_one(paper, tmp_path):
    study = Study(paper, out=str(tmp_path))
    assert len({study._model(arm) for arm in study.arms}) == len(study.arms)


def test_a_name_chooses_in_the_order_of_the_paper_and_all_chooses_everything():
    arms, scenarios = select(LU, "smoke", ["vgg16", "mobilenet"], ["four", "glioma"])
    assert arms == tuple(arm for arm in LU.arms if arm in ("mobilenet", "vgg16"))
    assert scenarios == ("glioma", "four")
    assert select(LU, "smoke", ["all"], ["all"]) == (tuple(LU.arms), tuple(LU.scenarios))
    # Names of other papers are passed over.
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
