"""Heat maps against outlined lesions, from maps and masks counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from made_up import GLIOMA, MENINGIOMA, NORMAL, PITUITARY, result, with_images
from PIL import Image
from pngs import write_image

from brainlib.errors import UsageError
from brainlib.report.tables import comparisons
from brainlib.study import saliency

MASK = np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]], bool)


def heat(*marked, value=1.0):
    found = np.zeros((4, 4), np.float32)
    for place in marked:
        found[place] = value
    return found


def test_a_map_on_the_lesion_and_one_beside_it():
    on, beside = heat((0, 1)), heat((3, 3))
    assert [saliency.pointing(each, MASK) for each in (on, beside)] == [True, False]
    assert [saliency.energy(each, MASK) for each in (on, beside)] == [1.0, 0.0]
    # One of the lesion's four pixels; and one that is not of them, of five in all.
    assert [saliency.overlap(each, MASK) for each in (on, beside)] == [0.25, 0.0]
    # A uniform map has the share of the lesion, and a map of zeros none.
    even, nothing = np.ones((4, 4)), np.zeros((4, 4))
    assert saliency.energy(even, MASK) == saliency.overlap(even, MASK) == 0.25
    assert np.isnan(saliency.energy(nothing, MASK)) and saliency.overlap(nothing, MASK) == 0


def test_the_threshold_is_of_the_largest_value():
    found = heat((0, 0), (0, 1), (1, 0), (1, 1), value=0.6) + heat((3, 3), value=0.3)
    assert saliency.overlap(found, MASK) == pytest.approx(4 / 5)  # 0.3 is half of 0.6
    assert saliency.overlap(found, MASK, threshold=0.6) == 1.0
    assert saliency.energy(found, MASK) == pytest.approx(2.4 / 2.7)


@pytest.fixture
def lesions(jardim, monkeypatch, tmp_path):
    """Ten positives have a lesion in the upper left quarter; the CNN marks it, the other arm does not."""
    (tmp_path / "masks" / "test").mkdir(parents=True)
    size = jardim.study.size
    lesion = np.zeros((size, size), np.uint8)
    lesion[: size // 2, : size // 2] = 255
    for number in range(10):
        Image.fromarray(lesion).save(tmp_path / "masks" / "test" / f"{number}.png")

    def maps(asked, dataset, store, scheduler):
        return [(permuted if each.permuted else marked)(each.result, len(each.paths)) for each in asked]

    def marked(result, n):
        found = np.zeros((n, size, size), np.float32)
        corner = (0, 0) if result.trial.arm == "cnn" else (size - 1, size - 1)
        found[:, corner[0], corner[1]] = 1
        return found

    def permuted(result, n):
        # The CNN's maps turn round when its head is permuted and vanish with the rest; the other's stay.
        ramp = np.linspace(0, 1, size * size, dtype=np.float32).reshape(size, size)
        other = [1 - ramp, 0 * ramp] if result.trial.arm == "cnn" else [ramp, ramp]
        return np.stack([np.stack([each] * n) for each in (ramp, *other)])

    monkeypatch.setattr(saliency, "heat_maps", maps)
    return with_images(jardim, root=tmp_path)


def test_hits_of_each_arm_are_counted(lesions):
    table = comparisons.lesions(lesions)
    rows = table.frame
    assert list(rows["hottest pixel in the lesion"]) == [1, 0]
    assert list(rows["hottest pixel in the lesion low"]) == pytest.approx([0.722, 0], abs=1e-3)
    assert list(rows["share of the map in the lesion"]) == [1, 0]
    assert "10 test images" in table.caption and "25.0" in table.caption


def test_a_map_that_stays_when_the_weights_are_permuted_is_seen(lesions):
    found = {(each.arm, each.score): each for each in saliency.measure(lesions)}
    assert found["cnn", saliency.HEAD_PERMUTED].value == pytest.approx(-1)
    assert np.isnan(found["cnn", saliency.ALL_PERMUTED].value)  # a map of zeros has no ranks
    assert found["cnn", saliency.ALL_PERMUTED].n == 0
    assert found["transfer", saliency.ALL_PERMUTED].value == pytest.approx(1)
    table = comparisons.sanity(lesions).frame
    assert list(table["n of all weights permuted"]) == [0, 20]
    assert np.isnan(table.loc[0, "all weights permuted"]) and table.loc[1, "all weights permuted"] == pytest.approx(1)


def test_a_set_without_masks_is_not_scored(lesions, tmp_path):
    elsewhere = with_images(lesions, root=tmp_path / "elsewhere")
    found, table = saliency.measure(elsewhere), comparisons.lesions(elsewhere)
    assert table.frame.empty and "No lesion" in table.caption
    assert {each.score for each in found} == set(saliency.SANITY_SCORES)


@pytest.fixture
def explained(monkeypatch):
    """Have heat maps without a model, and list the paths that were asked for first."""
    asked = []

    def heat_maps(wanted, dataset, store, scheduler):
        asked.extend(list(each.paths) for each in wanted[: len(wanted) // 3])  # then those of both scores
        return [np.zeros((len(each.paths), 8, 8), np.float32) for each in wanted]

    monkeypatch.setattr(saliency, "heat_maps", heat_maps)
    monkeypatch.setattr(saliency, "inputs", lambda trial, data, paths, store: np.zeros((len(paths), 8, 8, 3), np.uint8))
    return asked


def with_counts(results, *counts):
    """Replace the final models of both arms by ones of another confusion matrix."""
    for arm in ("cnn", "transfer"):
        trial = results.trials["", arm, "final"].trial
        results.trials["", arm, "final"] = result(trial, counts)
    return results


def test_grad_cam_takes_the_first_images_that_both_models_get_right(jardim, explained):
    rows = saliency.grad_cam_rows(jardim)
    # Transfer: images 0 to 291 are its true positives, 304 (after 5 misses and 7 alarms) to 599
    # its true negatives; the CNN's true negatives begin at 299.
    assert explained == [["test/0.png", "test/304.png"]] * 2
    assert [(row.kind, row.shown) for row in rows] == [("True positive", "yes"), ("True negative", "yes")]
    titles = [jardim.study.title(arm) for arm in ("cnn", "transfer")]
    assert [row.probabilities[titles[1]] for row in rows] == pytest.approx([0.9, 0.1])
    assert list(rows[0].overlays) == titles and rows[0].lesion is None


def test_the_lesion_of_an_explained_image_is_outlined_where_a_mask_has_one(jardim, explained, tmp_path):
    mask = np.zeros((8, 8), np.uint8)
    for path, value in {"test/0.png": 255, "test/304.png": 0}.items():
        mask[2:4, 2:6] = value
        write_image(tmp_path / "masks" / path, mask)
    with_lesion, without = saliency.grad_cam_rows(with_images(jardim, root=tmp_path))
    assert with_lesion.lesion.shape == (jardim.study.size,) * 2 and with_lesion.lesion.mean() == pytest.approx(1 / 8)
    assert without.lesion is None


def test_of_many_classes_grad_cam_takes_an_image_of_each_that_was_got_right(lu, explained):
    rows = saliency.grad_cam_rows(lu, "four")
    assert explained == [["test/0.png", "test/102.png", "test/187.png", "test/237.png"]]
    assert [row.kind for row in rows] == [row.shown for row in rows] == [GLIOMA, MENINGIOMA, NORMAL, PITUITARY]
    assert list(rows[3].probabilities.values())[0] == pytest.approx(0.7)


def test_grad_cam_leaves_out_a_class_of_which_no_image_is_right(jardim, explained):
    assert len(saliency.grad_cam_rows(with_counts(jardim, 5, 0, 5, 0))) == 1
    assert explained == [["test/0.png"]] * 2
    with pytest.raises(UsageError, match="predicts no test image correctly"):
        saliency.grad_cam_rows(with_counts(jardim, 0, 5, 5, 0))
