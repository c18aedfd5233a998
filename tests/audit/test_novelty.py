"""Duplicates of training images and novel images are recognised: among phantoms, synthetic and real images."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from brainlib.audit import findings, near_duplicates, novelty
from brainlib.data import datasets, images
from brainlib.data.phantoms.draw import ALTERATIONS, alter
from brainlib.data.scan import scan_folder
from brainlib.data.thumbnails import thumbnail


def apart(name, root, store):
    """Divide a set in two parts that share no duplicate and no patient: thumbnails, groups, the second part, paths."""
    found = scan_folder(root, name, store)
    near = findings.audit_scan(found, store=store).table["near"].to_numpy()
    groups = datasets.index(name, root, store).together(found.table["path"], near)
    drawn = np.random.default_rng(0).permutation(np.unique(groups))
    other = np.isin(groups, drawn[: len(drawn) // 4])
    paths = [root / path for path in found.table["path"]]
    return found.thumbnails, groups, other, paths


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory):
    store = tmp_path_factory.mktemp("store")
    root = datasets.load_dataset("br35h", "phantoms", store, phantoms=160).root
    thumbnails, groups, other, paths = apart("br35h", root, store)
    known = novelty.NoveltyDetector(thumbnails[~other], groups[~other])
    return known, thumbnails, groups, other, [path for path, out in zip(paths, other, strict=True) if not out]


@pytest.mark.parametrize("alteration", ALTERATIONS)
def test_an_altered_training_image_is_recognised_as_a_duplicate(phantoms, alteration):
    known, *_, paths = phantoms
    for row in (0, 31, 62, 93):
        pixels = np.asarray(images.decode(paths[row]).convert("L"))
        altered, _ = alter(alteration, pixels, np.zeros(pixels.shape, bool), np.random.default_rng(row))
        found = known.nearest(thumbnail(Image.fromarray(altered)), 3)
        assert len(found) == 3
        assert row in {each.row for each in found if each.duplicate}
        assert all(each.duplicate is None or each.duplicate >= near_duplicates.THRESHOLD for each in found)


def test_no_image_of_another_group_is_called_a_duplicate(phantoms):
    known, thumbnails, _, other, _ = phantoms
    found = [known.nearest(thumbnails[row], 1)[0] for row in np.flatnonzero(other)]
    assert all(each.duplicate is None for each in found)


def test_95_percent_of_the_training_images_are_within_the_limit_of_one_another(phantoms):
    known, thumbnails, groups, other, _ = phantoms
    own, signs = groups[~other], novelty.signatures(thumbnails[~other])
    mirrored = novelty.signatures(thumbnails[~other][:, :, ::-1])
    nearest = []
    for group in np.unique(own):
        row = np.flatnonzero(own == group)[0]
        gaps = [np.linalg.norm(each[row] - signs[own != group], axis=1).min() for each in (signs, mirrored)]
        nearest.append(min(gaps))
    assert known.limit == pytest.approx(sorted(nearest)[int(np.ceil(0.95 * (len(nearest) - 1)))], rel=1e-3)


def test_a_mirror_image_has_the_score_of_the_image(phantoms):
    known, thumbnails, *_ = phantoms
    # Images of the training set: their distance is the root of a rounding error, which depends on the processor.
    assert known.novelty(thumbnails[:9, :, ::-1]) == pytest.approx(known.novelty(thumbnails[:9]), abs=0.01)


@pytest.fixture(scope="module")
def synthetic():
    """Thumbnails of images that are no slices: noise, clouds, a disc, stripes."""
    rng = np.random.default_rng(0)
    across, down = np.meshgrid(np.linspace(-1, 1, 128), np.linspace(-1, 1, 128))
    noise, clouds = rng.integers(0, 256, (128, 128)), np.kron(rng.integers(0, 256, (8, 8)), np.ones((16, 16)))
    disc, stripes = 200 * (across**2 + down**2 < 0.7), 255 * (np.sin(20 * across) > 0)
    return np.stack([thumbnail(Image.fromarray(each.astype(np.uint8))) for each in (noise, clouds, disc, stripes)])


def test_synthetic_images_are_novel_and_phantoms_of_other_patients_mostly_are_not(phantoms, synthetic):
    known, thumbnails, _, other, _ = phantoms
    assert (known.novelty(synthetic) > 1).all()
    # Slices of other patients, at the 5 % that the limit is made for.
    assert (known.novelty(thumbnails[other]) > 1).mean() <= 0.2


def test_equal_images_of_different_groups_give_finite_scores(phantoms):
    known = novelty.NoveltyDetector(np.stack([phantoms[1][0]] * 3), np.arange(3))
    assert np.isfinite(known.novelty(phantoms[1][:2])).all() and known.novelty(phantoms[1][5:6])[0] > 1


@pytest.mark.real_data
def test_few_real_images_are_novel_and_phantoms_are_more_novel(data_dir, tmp_path, phantoms, synthetic):
    thumbnails, groups, other, _ = apart("navoneel", datasets.locate("navoneel", data_dir), tmp_path)
    known = novelty.NoveltyDetector(thumbnails[~other], groups[~other])
    held_out = known.novelty(thumbnails[other])
    assert (held_out > 1).mean() <= 0.15
    assert np.median(known.novelty(phantoms[1])) > np.median(held_out)
    assert (known.novelty(synthetic) > 1).all()
    # And most real images are none of the phantoms.
    assert (phantoms[0].novelty(thumbnails) > 1).mean() > 0.5
