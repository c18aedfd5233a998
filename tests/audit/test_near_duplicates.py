"""Near-duplicates: planted ones are found, neighbouring slices and other patients are not."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from PIL import Image

from brainlib.audit import near_duplicates
from brainlib.data import images
from brainlib.data.groups import connected
from brainlib.data.phantoms.draw import ALTERATIONS, POSES, alter, make_phantoms
from brainlib.data.thumbnails import SIDE, thumbnail


def thumbnails(slices):
    return np.stack([thumbnail(Image.fromarray(each)) for each in slices])


@pytest.fixture(scope="module")
def planted():
    """Sixty slices of twenty patients, and 36 altered duplicates of them: six of each alteration."""
    made = make_phantoms(96, altered_duplicates=36, seed=11)
    return made.table, near_duplicates.find_near_duplicates(thumbnails(made.images))


@pytest.mark.parametrize("alteration", ALTERATIONS)
def test_each_kind_of_duplicate_is_in_one_group_with_its_original(planted, alteration):
    table, found = planted
    group = connected(len(table), found.pairs)
    altered = table[table["alteration"] == alteration]
    together = group[altered.index] == group[altered["duplicate_of"]]
    assert together.mean() >= 5 / 6  # benchmarks/near_duplicates.py measures it of many more


def test_no_slices_of_two_patients_are_paired_and_few_neighbouring_slices(planted):
    table, found = planted
    first, second = found.pairs.T
    original = np.where(table["duplicate_of"] < 0, table.index, table["duplicate_of"])
    patient = table["patient"].to_numpy()
    assert (patient[first] == patient[second]).all()
    # The three slices of a patient lie 1.6 to 4.3 mm apart, closer than those of the real sets.
    assert (original[first] == original[second]).mean() > 0.9


def test_a_mirrored_duplicate_is_marked_as_mirrored(planted):
    table, found = planted
    mirrored = table.index[table["alteration"] == "mirrored"]
    direct = {frozenset(pair): flag for pair, flag in zip(found.pairs.tolist(), found.mirrored, strict=True)}
    flags = [direct.get(frozenset((row, table.loc[row, "duplicate_of"]))) for row in mirrored]
    assert flags.count(True) >= 5 and False not in flags


@pytest.fixture(scope="module")
def posed():
    """Twelve slices of twelve patients, and by kind of pose an altered duplicate of each: their pairs, by kind."""
    made, kinds = make_phantoms(12, slices_per_patient=1, seed=2), {}
    for kind in POSES:
        rng = np.random.default_rng(3)
        altered = [alter(kind, *both, rng)[0] for both in zip(made.images, made.masks, strict=True)]
        kinds[kind] = near_duplicates.find_near_duplicates(thumbnails([*made.images, *altered]))
    return kinds


@pytest.mark.parametrize("kind", POSES)
def test_a_duplicate_in_another_pose_inverted_cut_or_labelled_is_found_and_no_other_patient(posed, kind):
    first, second = posed[kind].pairs.T
    assert (second == first + 12).all()
    assert len(first) >= (9 if kind == "cut" else 11)  # benchmarks/near_duplicates.py measures it of many more


#: How each pose is described: mirrored, degrees clockwise, and inverted.
DESCRIBED = {
    "flipped": (True, 180, False),
    "quarter turn": (False, -90, False),
    "half turn": (False, 180, False),
    "inverted": (False, 0, True),
}


@pytest.mark.parametrize("kind", DESCRIBED)
def test_a_pair_tells_the_pose_of_its_second_image(posed, kind):
    mirrored, turned, inverted = DESCRIBED[kind]
    found = posed[kind]
    assert set(found.mirrored.tolist()) == {mirrored} and set(found.inverted.tolist()) == {inverted}
    assert abs((found.turned - turned + 180) % 360 - 180).max() < 2


def test_neighbouring_slices_in_other_poses_are_not_paired():
    made, rng = make_phantoms(60, seed=6), np.random.default_rng(0)
    kinds = ["jpeg", "flipped", "half turn", "inverted", "quarter turn", "turned"]
    slices = [alter(kinds[n % 6], made.images[n], made.masks[n], rng)[0] for n in range(60)]
    found = near_duplicates.find_near_duplicates(thumbnails(slices))
    patient = made.table["patient"].to_numpy()
    assert (patient[found.pairs[:, 0]] == patient[found.pairs[:, 1]]).all()
    assert len(found.pairs) <= 2  # of 60 pairs of neighbours, 1.6 to 4.3 mm apart


def test_thumbnails_may_be_mapped_from_disk(planted, tmp_path):
    small = thumbnails(make_phantoms(96, altered_duplicates=36, seed=11).images)
    np.save(tmp_path / "thumbnails.npy", small)
    mapped = near_duplicates.find_near_duplicates(np.load(tmp_path / "thumbnails.npy", mmap_mode="r"))
    assert all(np.array_equal(each, vars(mapped)[name]) for name, each in vars(planted[1]).items())


def test_images_whose_candidates_are_sought_in_turn_are_in_the_same_groups(planted, monkeypatch):
    small, done = thumbnails(make_phantoms(96, altered_duplicates=36, seed=11).images), []
    monkeypatch.setattr(near_duplicates, "_QUERIES", 40)
    found = near_duplicates.find_near_duplicates(small, lambda share, _: done.append(share))
    assert np.array_equal(connected(96, found.pairs), connected(96, planted[1].pairs))
    assert done == sorted(done) and done[-1] == 1


def test_jobs_elsewhere_find_the_same_pairs(planted, monkeypatch):
    small, given = thumbnails(make_phantoms(96, altered_duplicates=36, seed=11).images), []

    def run(function, jobs):
        given.extend(len(pairs) for _, pairs, *_ in jobs)
        return [function(*job, None) for job in jobs]

    monkeypatch.setattr(near_duplicates, "_JOB", 500)
    found = near_duplicates.find_near_duplicates(small, run=run)
    assert np.array_equal(found.pairs, planted[1].pairs) and max(given) == 500
    assert np.allclose(found.correlation, planted[1].correlation, atol=1e-4)


def test_a_pair_tells_by_how_much_its_second_image_is_turned():
    phantom = make_phantoms(1, seed=0).images[0]
    for angle in (-130, -30, 75):  # Pillow turns the other way round
        turned = np.asarray(Image.fromarray(phantom).rotate(-angle, Image.Resampling.BILINEAR))
        found = near_duplicates.find_near_duplicates(thumbnails([phantom, turned]))
        assert found.turned == pytest.approx([angle], abs=3) and not found.mirrored[0]


def test_a_pair_of_symmetric_images_is_returned_once():
    # In both orientations it is a candidate, and in both the detail correlates by 0.99.
    phantom = make_phantoms(1, seed=0).images[0]
    symmetric = np.maximum(phantom, phantom[:, ::-1])
    smaller = np.asarray(Image.fromarray(symmetric).resize((200, 200), Image.Resampling.BILINEAR))
    found = near_duplicates.find_near_duplicates(thumbnails([symmetric, smaller]))
    assert found.pairs.tolist() == [[0, 1]]
    assert len(found.mirrored) == 1 and found.correlation == pytest.approx([0.993], abs=1e-3)


def test_a_thumbnail_shows_the_head_whatever_the_margin_and_the_scale():
    phantom = make_phantoms(1, seed=4).images[0]
    wide = np.pad(phantom, ((30, 90), (120, 10)))
    large = Image.fromarray(phantom).resize((512, 512), Image.Resampling.BILINEAR)
    plain, padded = thumbnails([phantom, wide]).astype(float)
    # A shift by 3 of the 96 pixels makes 38 grey values; this is less than one pixel.
    assert abs(plain - padded).mean() < 10
    assert abs(plain - thumbnail(large)).mean() < 3


def test_few_images_and_uniform_images_have_no_pairs():
    two = thumbnails(make_phantoms(2, seed=1).images)
    # Nothing shows that uniform images are the same slice.
    uniform = [np.full((3, SIDE, SIDE), grey, np.uint8) for grey in (0, 7, 255)]
    for given in (two[:0], two[:1], two, *uniform):
        found = near_duplicates.find_near_duplicates(given)
        assert found.pairs.shape == (0, 2) and len(found.mirrored) == len(found.correlation) == 0


def test_the_search_is_deterministic_and_reports_its_progress(planted):
    made, shares = make_phantoms(96, altered_duplicates=36, seed=11), []
    again = near_duplicates.find_near_duplicates(thumbnails(made.images), lambda share, _: shares.append(share))
    assert np.array_equal(again.pairs, planted[1].pairs)
    assert np.array_equal(again.correlation, planted[1].correlation)
    assert shares == sorted(shares) and shares[-1] == 1


def test_the_correlation_of_a_pair_does_not_depend_on_the_order_of_the_two():
    small = thumbnails(make_phantoms(24, altered_duplicates=12, seed=5).images)
    pairs = np.array(list(itertools.combinations(range(24), 2)))
    one, other = (near_duplicates.compare(small, each) for each in (pairs, pairs[:, ::-1]))
    assert (one.correlation > 0.5).sum() >= 12  # those that were planted
    assert np.array_equal(one.correlation, other.correlation)


@pytest.mark.real_data
def test_a_real_duplicate_is_found_whichever_of_the_two_comes_first(data_dir):
    # One slice, once sharpened. The detail correlates by 0.93 if the sharp one is the moving image, else by 0.85.
    pair = [thumbnail(images.decode(data_dir / "br35h" / "yes" / f"y{n}.jpg")) for n in (826, 1103)]
    for both in (pair, pair[::-1]):
        found = near_duplicates.find_near_duplicates(np.stack(both))
        assert found.pairs.tolist() == [[0, 1]] and found.correlation[0] == pytest.approx(0.93, abs=0.02)


@pytest.mark.real_data
def test_a_real_slice_that_was_sharpened_and_mirrored_is_found(data_dir):
    slices = [images.decode(data_dir / "br35h" / name).convert("L") for name in ("yes/y10.jpg", "no/no100.jpg")]
    sharp = Image.fromarray(np.clip(2.2 * np.asarray(slices[0], float), 0, 255).astype(np.uint8)[:, ::-1])
    found = near_duplicates.find_near_duplicates(np.stack([thumbnail(each) for each in [*slices, sharp]]))
    assert found.pairs.tolist() == [[0, 2]] and found.mirrored.tolist() == [True]
