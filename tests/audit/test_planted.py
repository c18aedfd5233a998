"""Planted duplicates: the audit recovers them, and the controls show it when it does not."""

from __future__ import annotations

import numpy as np
import pytest

from brainlib.audit import near_duplicates, planted
from brainlib.data import datasets
from brainlib.data.scan import scan_folder


@pytest.fixture(scope="module")
def sartaj(tmp_path_factory):
    """Scanned phantoms in the layout of a set that is published in two parts, and their folder."""
    data = datasets.load_dataset("sartaj", "phantoms", tmp_path_factory.mktemp("store"), phantoms=60)
    return scan_folder(data.root, "sartaj"), data.root


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Fewer duplicates and phantoms than an audit plants."""
    monkeypatch.setattr(planted, "EACH", 5)
    monkeypatch.setattr(planted, "_PHANTOMS", 60)


def test_most_planted_duplicates_are_recovered_and_none_is_counted_twice(sartaj):
    recall = planted.plant(*sartaj)
    assert [each.alteration for each in recall] == list(planted.PLANTED)
    assert {(each.among, each.planted) for each in recall} == {("sartaj", 5)}
    assert sum(each.recovered for each in recall) >= 0.9 * len(planted.PLANTED) * 5
    assert recall == planted.plant(*sartaj)


def stub(monkeypatch, pairs):
    """Let the audit find these pairs."""
    none = np.zeros(len(pairs))
    found = near_duplicates.NearDuplicates(np.array(pairs, int).reshape(-1, 2), none, none + 1, none, none)
    monkeypatch.setattr(planted.near_duplicates, "find_near_duplicates", lambda thumbnails: found)


def test_an_audit_that_finds_nothing_has_no_recall(sartaj, monkeypatch):
    stub(monkeypatch, [])
    recall, pairs = planted.control_on_phantoms()
    assert {each.recovered for each in (*planted.plant(*sartaj), *recall)} == {0}
    assert pairs == planted.PhantomPairs(grouped=0, wrong=0, neighbours=0)


def test_an_audit_that_joins_all_images_has_wrong_pairs(monkeypatch):
    stub(monkeypatch, [(0, other) for other in range(1, 60)])
    recall, pairs = planted.control_on_phantoms()
    # 15 duplicates of 15 of 45 originals: 15 true pairs among 60 * 59 / 2.
    assert sum(each.recovered for each in recall) == 15
    assert (pairs.grouped, pairs.wrong) == (1770, 1755)
    assert 0 < pairs.neighbours < 200  # three slices a patient, with their duplicates
