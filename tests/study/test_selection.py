"""A part of a paper: what a user names, what the paper names for a profile, or all of it."""

from __future__ import annotations

import pytest

from brainlib.errors import UsageError
from brainlib.papers.loading import load_paper
from brainlib.study.selection import papers_with, select

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
