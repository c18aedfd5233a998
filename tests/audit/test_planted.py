"""Planted copies: the audit finds them, and says so when it does not."""

from __future__ import annotations

import numpy as np
import pytest

from brainlib.audit import near_duplicates, planted
from brainlib.data import datasets
from brainlib.data.phantoms.draw import ALTERATIONS
from brainlib.data.scan import files_of, scan_files


@pytest.fixture(scope="module")
def sartaj(tmp_path_factory):
    """Phantoms in the layout of a set that is published in two parts, looked at; and their folder."""
    data = datasets.load("sartaj", "phantoms", tmp_path_factory.mktemp("store"), phantoms=60)
    return scan_files("sartaj", data.root, *files_of("sartaj", data.root)), data.root


def test_most_planted_copies_are_found_and_none_is_counted_twice(sartaj):
    found = planted.plant(*sartaj)
    assert [each.alteration for each in found] == list(ALTERATIONS)
    assert {(each.among, each.planted) for each in found} == {("sartaj", planted.EACH)}
    assert sum(each.found for each in found) >= 0.95 * len(ALTERATIONS) * planted.EACH
    assert found == planted.plant(*sartaj)


def test_an_audit_that_finds_nothing_is_found_out(sartaj, monkeypatch):
    nothing = near_duplicates.NearDuplicates(np.zeros((0, 2), int), np.zeros(0, bool), np.zeros(0))
    monkeypatch.setattr(planted.near_duplicates, "find_near_duplicates", lambda thumbnails: nothing)
    assert {each.found for each in planted.plant(*sartaj)} == {0}
    known = planted.truth()
    assert sum(each.found for each in known.planted) == 0
    assert (known.grouped, known.wrong, known.neighbours) == (0, 0, 0)


def test_an_audit_that_calls_everything_a_copy_is_found_out(monkeypatch):
    def everything(thumbnails):
        n = len(thumbnails)
        pairs = np.stack([np.zeros(n - 1, int), np.arange(1, n)], axis=1)
        return near_duplicates.NearDuplicates(pairs, np.zeros(n - 1, bool), np.ones(n - 1))

    monkeypatch.setattr(planted.near_duplicates, "find_near_duplicates", everything)
    known = planted.truth()
    # Sixty copies of sixty of 180 originals: 60 true pairs among 240 * 239 / 2.
    assert (known.grouped, known.wrong) == (28680, 28620)
    assert 0 < known.neighbours < 1000  # three slices a patient, with their copies


def test_the_table_gives_each_alteration_and_the_whole(sartaj):
    found = (
        *(planted.Planted("set", kind, 10, 9) for kind in ALTERATIONS),
        *(planted.Planted("phantoms", kind, 5, 5) for kind in ALTERATIONS),
    )
    table = planted.planted_table(found, planted.Truth(found[6:], 70, 8, 8))
    assert list(table.frame["jpeg"]) == ["9 of 10", "5 of 5"]
    # Wilson for 54 of 60 and 30 of 30.
    assert [text.replace("\N{NO-BREAK SPACE}", " ") for text in table.frame["found (95 %)"]] == [
        "90.0 % (79.9 to 95.3)",
        "100.0 % (88.6 to 100.0)",
    ]
    assert "70 pairs" in table.caption and "8 are no copies" in table.caption.replace("\n", " ")
