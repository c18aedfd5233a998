"""Phantoms: truth that can be relied on, lesions where they belong, no plane as a shortcut."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.tree import DecisionTreeClassifier

from brainlib.data.phantoms.draw import ALTERATIONS, KINDS, PLANES, make_phantoms
from brainlib.errors import UsageError


@pytest.fixture(scope="module")
def slices():
    """72 patients at full size: six of each kind and plane."""
    return make_phantoms(72, slices_per_patient=1, seed=3)


@pytest.fixture(scope="module")
def with_duplicates():
    """60 originals, 6 exact duplicates, 12 altered ones (each alteration twice)."""
    return make_phantoms(78, exact_duplicates=6, altered_duplicates=12, seed=5, size=120)


def select(phantoms, kind, planes=PLANES):
    """Yield image, mask and plane of each slice of one kind."""
    for row in np.flatnonzero((phantoms.table.kind == kind) & phantoms.table.plane.isin(planes)):
        yield phantoms.images[row], phantoms.masks[row], phantoms.table.plane[row]


def air_around(image):
    """The air outside the head: dark pixels connected to an upper corner."""
    smooth = ndimage.gaussian_filter(image.astype(float), 1.0)
    regions, _ = ndimage.label(smooth < 0.3 * np.percentile(image, 99))
    return (regions == regions[0, 0]) | (regions == regions[0, -1])


def depth_of(image):
    """Distance of each pixel to the air outside, in pixels (1 mm at 240 pixels)."""
    return ndimage.distance_transform_edt(~air_around(image))


def ring_around(mask, near, far):
    return ndimage.binary_dilation(mask, iterations=far) & ~ndimage.binary_dilation(mask, iterations=near)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not():
    first, again = (make_phantoms(8, size=64, seed=7, altered_duplicates=2) for _ in range(2))
    other = make_phantoms(8, size=64, seed=8, altered_duplicates=2)
    assert first.images.tobytes() == again.images.tobytes()
    assert first.masks.tobytes() == again.masks.tobytes()
    pd.testing.assert_frame_equal(first.table, again.table)
    assert all((a != b).mean() > 0.2 for a, b in zip(first.images, other.images, strict=True))


def test_the_number_of_threads_does_not_change_a_byte():
    code = (
        "import hashlib; from brainlib.data.phantoms.draw import make_phantoms; "
        "print(hashlib.sha256(make_phantoms(4, slices_per_patient=1).images).hexdigest())"
    )
    digests = set()
    for count in ("1", "2"):
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), count)
        digests.add(subprocess.check_output([sys.executable, "-c", code], env=os.environ | threads))
    assert len(digests) == 1


def test_a_patients_slices_do_not_depend_on_how_many_slices_or_duplicates_are_drawn():
    few = make_phantoms(10, size=64)
    many = make_phantoms(45, size=64, exact_duplicates=3, altered_duplicates=4)
    np.testing.assert_array_equal(few.images, many.images[:10])
    np.testing.assert_array_equal(few.masks, many.masks[:10])
    pd.testing.assert_frame_equal(few.table, many.table[:10])


def test_the_mask_is_empty_exactly_for_slices_without_a_tumour(slices):
    wide = make_phantoms(120, size=48, slices_per_patient=10)  # far from the lesion's centre too
    for phantoms in (slices, wide):
        has_lesion = phantoms.masks.any(axis=(1, 2))
        np.testing.assert_array_equal(has_lesion, phantoms.table.kind != "none")
        # in square mm: 60 is 9 mm across, 2200 is 53 mm
        area = phantoms.masks.sum(axis=(1, 2)) * (240 / phantoms.images.shape[1]) ** 2
        assert area[has_lesion].min() > 60 and area.max() < 2200


def test_a_head_is_bright_on_black_and_lies_in_the_middle_of_the_image(slices):
    for image, plane in zip(slices.images, slices.table.plane, strict=True):
        air = air_around(image)
        assert image[air].mean() < 25 and image[~air].mean() > 60
        if plane != "sagittal":  # whose face makes it lopsided
            assert abs(np.nonzero(~air)[1].mean() - 119.5) < 20


def test_a_healthy_axial_or_coronal_head_is_nearly_symmetric(slices):
    for image, _, _ in select(slices, "none", ("axial", "coronal")):
        smooth = ndimage.gaussian_filter(image.astype(float), 6)
        columns = np.nonzero(~air_around(image))[1]
        shifted = ndimage.shift(smooth, (0, 119.5 - (columns.min() + columns.max()) / 2))
        assert np.corrcoef(shifted.ravel(), shifted[:, ::-1].ravel())[0, 1] > 0.8


def test_a_meningioma_sits_on_the_dura(slices):
    """Only bone and scalp, some 10 to 24 mm, lie between it and the air, and the bone is dark."""
    for image, mask, _ in select(slices, "meningioma", ("axial", "coronal")):
        air = air_around(image)
        depth, nearest = ndimage.distance_transform_edt(~air, return_indices=True)
        assert 10 < depth[mask].min() < 24
        start = np.argwhere(mask)[np.argmin(depth[mask])]
        end = nearest[:, start[0], start[1]]
        path = ndimage.map_coordinates(image, np.linspace(start, end, 40).T, order=1)
        assert path.min() < 0.4 * np.median(image[mask])  # bone
        assert path[len(path) // 3 :].max() > 0.5 * np.median(image[mask])  # scalp, beyond it


def test_a_meningioma_is_brighter_and_more_uniform_than_what_is_around_it(slices):
    for image, mask, _ in select(slices, "meningioma"):
        inner = image[ndimage.binary_erosion(mask, iterations=3)].astype(float)
        around = image[ring_around(mask, 2, 8)].astype(float)
        assert np.median(inner) > 1.25 * np.median(around)
        assert inner.std() / inner.mean() < 0.12 < around.std() / around.mean()


def test_a_glioma_lies_in_the_brain_with_a_bright_rim_around_a_dark_core(slices):
    for image, mask, plane in select(slices, "glioma"):
        if plane != "sagittal":  # where the mouth may open the head to the air
            assert depth_of(image)[mask].min() > 12  # deeper than scalp and bone
        inner = ndimage.distance_transform_edt(mask)
        core = image[inner >= 0.6 * inner.max()]
        rim = image[(inner > 1) & (inner <= 4)]
        assert np.percentile(rim, 90) > 1.4 * np.median(core)


def test_a_glioma_is_more_irregular_than_a_meningioma(slices):
    def boundary_per_area(mask):  # compactness, least for a disc
        edge = mask & ~ndimage.binary_erosion(mask)
        return edge.sum() ** 2 / mask.sum()

    glioma, meningioma = (
        np.median([boundary_per_area(mask) for _, mask, _ in select(slices, kind)]) for kind in ("glioma", "meningioma")
    )
    assert glioma > 1.1 * meningioma


def test_a_glioma_is_surrounded_by_oedema_darker_than_the_brain_beyond(slices):
    contrasts = []
    for image, mask, _ in select(slices, "glioma", ("axial", "coronal")):
        inside = depth_of(image) > 22
        near, far = ring_around(mask, 2, 7) & inside, ring_around(mask, 16, 30) & inside
        contrasts.append(np.median(image[near]) / np.median(image[far]))
    assert np.median(contrasts) < 0.9


def test_a_pituitary_tumour_lies_on_the_midline_at_the_skull_base(slices):
    for image, mask, plane in select(slices, "pituitary"):
        rows, columns = np.nonzero(~air_around(image))
        lesion = np.argwhere(mask).mean(axis=0)
        across = (lesion[1] - columns.min()) / np.ptp(columns)
        assert image[mask].mean() > 1.3 * np.median(image[ring_around(mask, 2, 8)])
        if plane == "sagittal":  # anterior is left
            assert 0.35 < across < 0.5
        else:
            assert abs(across - 0.5) < 0.06
        if plane == "axial":  # before the middle of the head
            assert 0.33 < (lesion[0] - rows.min()) / np.ptp(rows) < 0.5
        else:  # 90 to 140 mm below the vertex: under the brain, above the throat
            assert 90 < lesion[0] - rows.min() < 140


@pytest.mark.parametrize(("kinds", "per_patient"), [(KINDS, 1), (KINDS, 3), (("none", "glioma"), 4)])
def test_kinds_are_balanced_in_every_leading_part(kinds, per_patient):
    table = make_phantoms(38, size=48, kinds=kinds, slices_per_patient=per_patient).table
    for stop in range(1, 39):
        counts = table.kind[:stop].value_counts().reindex(list(kinds), fill_value=0)
        assert counts.max() - counts.min() <= 1


def test_a_patient_has_one_kind_one_plane_and_slices_a_few_millimetres_apart():
    phantoms = make_phantoms(48, size=120, slices_per_patient=4)
    patients = phantoms.table.groupby("patient")
    assert (patients.size() == 4).all() and len(patients) == 12
    assert (patients[["kind", "plane"]].nunique() == 1).all(axis=None)
    assert patients.position.nunique().eq(4).all()
    assert (patients.position.max() - patients.position.min()).between(1, 7).all()
    flat = phantoms.images.reshape(48, -1).astype(float)
    alike = np.corrcoef(flat)
    patient, plane = (phantoms.table[c].to_numpy() for c in ("patient", "plane"))
    same = (patient[:, None] == patient) & ~np.eye(48, dtype=bool)
    others = (patient[:, None] != patient) & (plane[:, None] == plane)
    assert alike[same].mean() > alike[others].mean() + 0.1


def test_every_kind_comes_in_every_plane_equally_often(slices):
    counts = pd.crosstab(slices.table.kind, slices.table.plane)
    assert counts.shape == (4, 3) and (counts == 6).all(axis=None)  # 72 = 4 x 3 x 6


def test_plane_and_position_do_not_tell_a_healthy_slice_from_a_tumour():
    table = make_phantoms(480, size=48, slices_per_patient=2).table
    known = table.position.to_frame().join(pd.get_dummies(table.plane))
    healthy = table.kind == "none"
    tree = DecisionTreeClassifier(min_samples_leaf=15, random_state=0, class_weight="balanced")
    guess = cross_val_predict(tree, known, healthy, groups=table.patient, cv=GroupKFold(5), method="predict_proba")
    assert roc_auc_score(healthy, guess[:, 1]) < 0.6


@pytest.mark.parametrize("kind", ["pituitary", "glioma"])
def test_in_a_two_class_set_healthy_slices_lie_where_the_tumours_do(kind):
    table = make_phantoms(120, size=48, kinds=(kind, "none"), slices_per_patient=1).table
    at_sella = table[table.plane == "axial"].set_index("kind").position.between(-30, -15)
    assert at_sella[kind].all() == at_sella["none"].all() == (kind == "pituitary")


def test_exact_duplicates_are_bit_identical_to_the_originals_that_the_table_names(with_duplicates):
    exact = with_duplicates.table[with_duplicates.table.alteration == "exact"]
    assert len(exact) == 6 and exact.duplicate_of.is_unique and exact.duplicate_of.between(0, 59).all()
    for row, source in exact.duplicate_of.items():
        np.testing.assert_array_equal(with_duplicates.images[row], with_duplicates.images[source])
        np.testing.assert_array_equal(with_duplicates.masks[row], with_duplicates.masks[source])
    originals = {image.tobytes() for image in with_duplicates.images[:60]}
    assert len(originals) == 60  # nothing else is a duplicate
    table, columns = with_duplicates.table, ["kind", "plane", "patient", "position"]
    assert (table.duplicate_of[:60] == -1).all() and (table.alteration[:60] == "").all()
    np.testing.assert_array_equal(table.loc[60:, columns], table.loc[table.duplicate_of[60:], columns])


def test_altered_duplicates_differ_from_their_originals_but_show_the_same_slice(with_duplicates):
    altered = with_duplicates.table[66:]
    assert sorted(altered.alteration) == sorted(ALTERATIONS * 2)
    for row, (source, how) in altered[["duplicate_of", "alteration"]].iterrows():
        image, original = with_duplicates.images[row].astype(float), with_duplicates.images[source].astype(float)
        assert (image != original).any()
        if how == "mirrored":
            np.testing.assert_array_equal(image[:, ::-1], original)
            np.testing.assert_array_equal(with_duplicates.masks[row][:, ::-1], with_duplicates.masks[source])
            continue
        least = {"rotated": 0.75, "cropped": 0.5, "resized": 0.95}.get(how, 0.97)
        assert np.corrcoef(image.ravel(), original.ravel())[0, 1] > least
        if how in ("jpeg", "resized", "contrast"):  # which move no pixel
            np.testing.assert_array_equal(with_duplicates.masks[row], with_duplicates.masks[source])


def test_the_mask_of_an_altered_duplicate_moves_with_its_image():
    phantoms = make_phantoms(60, altered_duplicates=30, seed=2, kinds=("meningioma",), slices_per_patient=1)
    for row in np.flatnonzero(phantoms.table.alteration.isin(["mirrored", "rotated", "cropped"])):
        image, mask = phantoms.images[row], phantoms.masks[row]
        inner = image[ndimage.binary_erosion(mask, iterations=3)]
        assert np.median(inner) > 1.25 * np.median(image[ring_around(mask, 2, 8)])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0}, "n must be a whole number of at least 1, received 0"),
        ({"n": 2.5}, "n must be a whole number"),
        ({"n": 4, "seed": -1}, "seed must be a whole number of at least 0, received -1"),
        ({"n": 4, "size": 10}, "size must be a whole number of at least 48, received 10"),
        ({"n": 4, "slices_per_patient": 0}, "slices_per_patient"),
        ({"n": 4, "altered_duplicates": -1}, "altered_duplicates"),
        ({"n": 4, "exact_duplicates": 2, "altered_duplicates": 2}, "n = 4 with 4 duplicates"),
        ({"n": 4, "kinds": ("glioma", "stroke")}, "received glioma, stroke"),
        ({"n": 4, "kinds": ("glioma", "glioma")}, "different names"),
        ({"n": 4, "kinds": ()}, "received none at all"),
    ],
)
def test_arguments_out_of_range_are_refused_in_one_line(arguments, message):
    with pytest.raises(UsageError) as error:
        make_phantoms(**arguments)
    assert message in str(error.value) and "\n" not in str(error.value)
