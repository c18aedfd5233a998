"""Heat maps against outlined lesions, from maps and masks counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from made_up import GLIOMA, MENINGIOMA, NORMAL, PITUITARY, result, with_images
from PIL import Image
from pngs import write_image

from brainlib.errors import UsageError
from brainlib.report.tables import comparisons
from brainlib.stats.intervals import wilson_interval
from brainlib.study import saliency
from brainlib.study.results import Results

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


def test_hottest_pixels_are_apart_from_more_than_a_tenth_of_the_height_on():
    first, near, far = (np.zeros((20, 20)) for _ in range(3))
    first[5, 5] = near[5, 7] = far[6, 7] = 1  # 0, 2 and the root of 5 pixels away, where two are a tenth
    assert [saliency.apart(first, each) for each in (first, near, far)] == [0, 0, 1]
    assert np.isnan(saliency.apart(first, np.zeros((20, 20))))


def test_trivial_maps_are_a_blob_at_the_centre_and_the_edges_of_the_image():
    blob = saliency.centre(20)
    assert np.unravel_index(blob.argmax(), blob.shape) in {(9, 9), (9, 10), (10, 9), (10, 10)}
    assert blob[9, 13] == pytest.approx(np.exp(-(0.5**2 + 3.5**2) / (2 * 4**2)))  # the standard deviation is 4
    image = np.zeros((20, 20, 3), np.uint8)
    image[:, 8:] = 200
    found = saliency.edges(image)
    assert set(found.argmax(axis=1)) <= {7, 8} and found[:, :4].max() == found[:, 12:].max() == 0


@pytest.fixture
def lesions(jardim, monkeypatch, tmp_path):
    """Ten positives have a lesion in the upper left quarter; the CNN marks it, the other arm does not.

    By LayerCAM it is the other way round. An edge runs through the lesion from top to bottom.
    """
    (tmp_path / "masks" / "test").mkdir(parents=True)
    size = jardim.study.size
    lesion = np.zeros((size, size), np.uint8)
    lesion[: size // 2, : size // 2] = 255
    for number in range(10):
        Image.fromarray(lesion).save(tmp_path / "masks" / "test" / f"{number}.png")

    def maps(asked, dataset, store, scheduler):
        return [(permuted if each.permuted else marked)(each.result, len(each.paths)) for each in asked]

    def marked(result, n):
        found = np.zeros((4, n, size, size), np.float32)
        own, other = (0, -1) if result.trial.arm == "cnn" else (-1, 0)
        found[:3, :, own, own] = found[3, :, other, other] = 1
        return found

    def images(trial, data, paths, store):
        found = np.zeros((len(paths), size, size, 3), np.uint8)
        found[:, :, : size // 4] = 100
        return found

    def permuted(result, n):
        # The CNN's maps turn round when its head is permuted and vanish with the rest; the other's stay.
        ramp = np.linspace(0, 1, size * size, dtype=np.float32).reshape(size, size)
        other = [1 - ramp, 0 * ramp] if result.trial.arm == "cnn" else [ramp, ramp]
        return np.stack([np.stack([each] * n) for each in (ramp, *other)])

    monkeypatch.setattr(saliency, "heat_maps", maps)
    monkeypatch.setattr(saliency, "inputs", images)
    table = jardim.study.dataset.table
    return with_images(jardim, root=tmp_path, table=table.assign(path="test/" + table["path"]))


def test_hits_of_each_arm_are_counted(lesions):
    table = comparisons.lesions(lesions)
    rows = table.frame.set_index(["arm", "map"]).unstack(level=0, sort=False)
    hits = rows["hottest pixel in the lesion"]
    assert hits.loc["Grad-CAM"].tolist() == hits.loc["HiResCAM"].tolist() == [1, 0]
    assert hits.loc["LayerCAM"].tolist() == [0, 1]
    assert list(rows["hottest pixel in the lesion low"].loc["Grad-CAM"]) == pytest.approx([0.722, 0], abs=1e-3)
    assert list(rows["share of the map in the lesion"].loc["Grad-CAM"]) == [1, 0]
    # A quarter of the blob lies in the lesion, and of an edge from top to bottom the upper half.
    assert rows["share of the map in the lesion"].loc[saliency.CENTRE].tolist() == pytest.approx([0.25] * 2, abs=1e-3)
    assert rows["share of the map in the lesion"].loc[saliency.EDGES].tolist() == pytest.approx([0.5] * 2, abs=0.01)
    moved = rows["hottest pixel elsewhere than Grad-CAM's"]
    assert moved.loc["HiResCAM"].tolist() == [0, 0] and moved.loc["LayerCAM"].tolist() == [1, 1]
    assert np.isnan(moved.loc["Grad-CAM"]).all()
    assert "10 test images" in table.caption and "25.0" in table.caption


def test_scores_are_means_of_thirds_by_size_and_by_confidence(lesions, tmp_path):
    size = lesions.study.size
    for number in range(10):  # the lesion of image n has (n + 1) tenths of the height, and leaves the corner from 6 on
        lesion = np.zeros((size, size), np.uint8)
        lesion[: size * (number + 1) // 10, (0 if number < 6 else 1) :] = 255
        Image.fromarray(lesion).save(tmp_path / "masks" / "test" / f"{number}.png")
    found = {(each.arm, each.method, each.images): each for each in saliency.thirds(lesions)}
    thirds = [found["cnn", "Grad-CAM", name] for name in saliency.THIRDS["lesion"]]
    assert [each.n for each in thirds] == [4, 3, 3]
    assert [each.value for each in thirds] == pytest.approx([1, 2 / 3, 0])
    assert [each.reference for each in thirds] == pytest.approx([0.25, 0.6, 0.9], abs=0.02)
    assert len(comparisons.lesion_thirds(lesions).frame) == 2 * 6


def test_slices_of_a_patient_are_no_images_of_their_own(lesions):
    data = lesions.study.dataset
    patient = ["ab"[number % 2] for number in range(len(data.table))]
    two = with_images(lesions, table=data.table.assign(patient=patient))
    values = saliency.lesion_values(two)
    assert values.groupby("group")["path"].nunique().tolist() == [5, 5]
    found = next(each for each in saliency.means(values) if each.method == "Grad-CAM")
    # Of two patients, who agree, and not of ten images.
    assert found.value == 1 and found.low == pytest.approx(wilson_interval(2, 2).low)


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
    """Return results whose final models of both arms have another confusion matrix."""
    finals = {("", arm, "final"): results.trials["", arm, "final"].trial for arm in ("cnn", "transfer")}
    return Results(results.study, results.trials | {place: result(trial, counts) for place, trial in finals.items()})


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
