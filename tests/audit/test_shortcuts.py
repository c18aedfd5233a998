"""Shortcuts: what gives a label away is found, what does not is not, and duplicates are kept apart."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from brainlib.audit import shortcuts
from brainlib.audit.findings import audit_folder
from brainlib.audit.shortcuts import APART, GREY, HEADER, PIXELS, PUBLISHED
from brainlib.data import datasets
from brainlib.data.hints import HINTS
from brainlib.data.scan import Scan


def scan_of(labels, part="", **given):
    """A scan of images that differ in nothing but chance, and in what is given."""
    n, rng = len(labels), np.random.default_rng(0)
    table = pd.DataFrame({"label": labels, "part": part, "width": 200, "height": 200, "mode": "L", "format": "JPEG"})
    table["bytes"] = rng.integers(5000, 6000, n)
    hints = np.zeros(n, HINTS)
    hints["grey"] = rng.normal(80, 5, (n, 10))
    hints["pixels"] = rng.integers(0, 256, (n, 16, 16))
    for name, values in given.items():
        if name in HINTS.names:
            hints[name] = values
        else:
            table[name] = values
    return Scan("made up", table, (), np.zeros((n, 1, 1), np.uint8), hints)


LABELS = np.array(["no", "yes"] * 60)
YES = LABELS == "yes"


@pytest.mark.parametrize(
    ("shortcut", "given"),
    [
        (HEADER, {"width": np.where(YES, 200, 225)}),
        (HEADER, {"format": np.where(YES, "JPEG", "PNG")}),
        (HEADER, {"quantisation": np.where(YES, 3, 5)[:, None, None]}),
        (GREY, {"grey": np.where(YES, 80, 90)[:, None] + np.arange(10)}),
        (PIXELS, {"pixels": np.where(YES, 40, 60)[:, None, None] + np.arange(16)}),
    ],
)
def test_the_shortcut_that_sees_the_difference_scores_and_the_others_are_at_chance(shortcut, given):
    found = shortcuts.of_audit(scan_of(LABELS, **given), np.arange(120))
    assert list(found) == [APART] and list(found[APART]) == [HEADER, GREY, PIXELS]
    for name, each in found[APART].items():
        assert each.n == 120
        assert each.value == 1 if name == shortcut else each.low < 0.5 < each.high, name


def test_what_is_remembered_of_duplicates_counts_as_published_and_not_with_duplicates_apart():
    # Thirty images, each four times, with labels drawn at random: half of the duplicates are test images.
    rng, image = np.random.default_rng(1), np.repeat(np.arange(60), 4)
    labels = np.array(["no", "yes"])[rng.permutation(np.arange(60) % 2)][image]
    pixels = rng.integers(0, 256, (60, 16, 16))[image]
    part = np.where((np.arange(240) % 4 < 2) | (image < 20), "train", "test")
    scan = scan_of(labels, part, pixels=pixels, grey=rng.normal(80, 5, (60, 10))[image])
    found = shortcuts.of_audit(scan, image)
    assert found[PUBLISHED][PIXELS].value == found[PUBLISHED][GREY].value == 1
    for name in (GREY, PIXELS):
        assert found[APART][name].low < 0.5 < found[APART][name].high
        assert found[APART][name].n == found[PUBLISHED][name].n == 80


def test_the_same_seed_gives_the_same_scores_and_another_other_ones():
    scan, halves = scan_of(LABELS), [(np.arange(60), np.arange(60, 120))]
    first, again, other = (shortcuts.scores(scan, halves, np.arange(120), seed) for seed in (0, 0, 1))
    assert first == again != other


def test_too_few_groups_or_one_class_have_no_scores():
    assert shortcuts.of_audit(scan_of(LABELS), np.where(YES, 0, np.arange(120))) == {}
    assert shortcuts.of_audit(scan_of(np.full(50, "yes")), np.arange(50)) == {}
    assert shortcuts.of_audit(scan_of(np.array([])), np.array([], int)) == {}
    # A training part that lacks a class.
    assert shortcuts.scores(scan_of(LABELS), [(np.flatnonzero(YES), np.flatnonzero(~YES))], np.arange(120)) == {}


def test_neither_header_nor_grey_values_of_phantoms_tell_their_class(tmp_path):
    data = datasets.load_dataset("br35h", "phantoms", tmp_path, phantoms=150)
    scan = data.scan(tmp_path)
    patients = pd.Series(data.group_ids(patients=True), data.table["path"])[scan.table["path"]].to_numpy()
    found = shortcuts.of_audit(scan, patients)[APART]
    assert found[HEADER].low < 0.5 and found[GREY].low < 0.5


@pytest.mark.real_data
def test_the_header_of_navoneels_files_tells_more_than_chance(data_dir):
    found = audit_folder("navoneel", str(data_dir)).record().shortcuts[APART]
    # Most images without a tumour come from other places, in other sizes and formats.
    assert found[HEADER].low > 0.6 and found[HEADER].n == 253
