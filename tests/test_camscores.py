"""Heat maps against outlined lesions, from maps and masks counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from brainlib import camscores
from test_results import jardim  # noqa: F401 - a fixture

MASK = np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]], bool)


def heat(*marked, value=1.0):
    found = np.zeros((4, 4), np.float32)
    for place in marked:
        found[place] = value
    return found


def test_a_map_on_the_lesion_and_one_beside_it():
    on, beside = heat((0, 1)), heat((3, 3))
    assert [camscores.pointing(each, MASK) for each in (on, beside)] == [True, False]
    assert [camscores.energy(each, MASK) for each in (on, beside)] == [1.0, 0.0]
    # One of the lesion's four pixels; and one that is not of them, of five in all.
    assert [camscores.overlap(each, MASK) for each in (on, beside)] == [0.25, 0.0]


def test_an_even_map_has_the_share_of_the_lesion():
    even = np.ones((4, 4))
    assert camscores.energy(even, MASK) == camscores.overlap(even, MASK) == 0.25


def test_the_threshold_is_of_the_largest_value():
    found = heat((0, 0), (0, 1), (1, 0), (1, 1), value=0.6) + heat((3, 3), value=0.3)
    assert camscores.overlap(found, MASK) == pytest.approx(4 / 5)  # 0.3 is half of 0.6
    assert camscores.overlap(found, MASK, threshold=0.6) == 1.0
    assert camscores.energy(found, MASK) == pytest.approx(2.4 / 2.7)


def test_a_map_of_zeros_says_nothing():
    nothing = np.zeros((4, 4))
    assert np.isnan(camscores.energy(nothing, MASK)) and camscores.overlap(nothing, MASK) == 0


def test_the_table_counts_hits_of_each_arm(jardim, monkeypatch, tmp_path):  # noqa: F811
    # Ten positives have a lesion in the upper left quarter; the CNN marks it, the other arm does not.
    jardim.study.dataset.root = tmp_path
    (tmp_path / "masks" / "test").mkdir(parents=True)
    size = jardim.study.size
    lesion = np.zeros((size, size), np.uint8)
    lesion[: size // 2, : size // 2] = 255
    for number in range(10):
        Image.fromarray(lesion).save(tmp_path / "masks" / "test" / f"{number}.png")

    def maps(result, dataset, paths, store, scheduler):
        found = np.zeros((len(paths), size, size), np.float32)
        corner = (0, 0) if result.trial.arm == "cnn" else (size - 1, size - 1)
        found[:, corner[0], corner[1]] = 1
        return None, found

    monkeypatch.setattr(camscores, "heat_maps", maps)
    table = camscores.cam_table(jardim)
    rows = table.frame.map(lambda text: text.replace("\N{NO-BREAK SPACE}", " "))
    assert list(rows["hottest pixel in the lesion"]) == ["100 % (72 to 100)", "0 % (0 to 28)"]
    assert list(rows["share of the map in the lesion"]) == ["100.0 %", "0.0 %"]
    assert "10 images held out" in table.caption and "25.0" in table.caption


def test_a_set_without_masks_is_not_scored(jardim, tmp_path):  # noqa: F811
    jardim.study.dataset.root = tmp_path
    table = camscores.cam_table(jardim)
    assert table.frame.empty and "No lesion" in table.caption
