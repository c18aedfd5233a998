"""Splits: proportions by hand, and that nothing stands on both sides."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import GroupShuffleSplit, StratifiedGroupKFold

from brainlib.data import splits
from brainlib.data.groups import joined
from brainlib.data.splits import assign, choose_images, oversampled
from brainlib.errors import UsageError

# Most tests are about other things than leakage, on images that all have a duplicate.
Split = partial(splits.Split, leakage="as_published")

# 100 images of two classes, 60 to 40, in pairs of duplicates.
LABELS = np.array(["no"] * 60 + ["yes"] * 40)
PAIRS = np.arange(100) // 2


def count(parts, name, labels=None):
    chosen = parts == name
    if labels is None:
        return int(chosen.sum())
    return {label: int((chosen & (labels == label)).sum()) for label in np.unique(labels)}


@pytest.mark.parametrize(
    ("images", "train", "validation", "test", "fifth"),
    [(3000, 2400, 300, 300, 600), (3264, 2611, 326, 327, 653), (3096, 2476, 310, 310, 620), (253, 202, 25, 26, 51)],
)
def test_eight_one_one_and_a_fifth_of_the_published_sets(images, train, validation, test, fifth):
    # A fifth is drawn, 652.8 of 3264 rounded up to 653, and its half, 326.5, rounded up to 327.
    labels = np.arange(images) % 4
    parts = assign(labels, labels, Split(holdout=0.1, validation=0.1))
    found = tuple(count(parts, name) for name in ("train", "validation", "test"))
    assert found == (train, validation, test)
    assert count(assign(labels, labels, Split(holdout=0.2)), "test") == fifth


@pytest.mark.parametrize(
    ("split", "train", "validation", "test"),
    [(Split(holdout=0.1, validation=0.1), 80, 10, 10)] + [(Split(0.2, folds=4, fold=k), 60, 20, 20) for k in (1, 4)],
)
def test_a_stratified_split_keeps_six_to_four_in_every_part(split, train, validation, test):
    parts = assign(LABELS, PAIRS, replace(split, stratified=True))
    for name, images in {"train": train, "validation": validation, "test": test}.items():
        assert count(parts, name, LABELS) == {"no": 0.6 * images, "yes": 0.4 * images}


@pytest.mark.parametrize("by", ["image", "group"])
@pytest.mark.parametrize("stratified", [False, True])
def test_folds_divide_the_rest_and_leave_the_test_part_alone(by, stratified):
    each = [assign(LABELS, PAIRS, Split(0.2, False, 3, fold, 0.0, stratified, by, seed=4)) for fold in (1, 2, 3)]
    final = assign(LABELS, PAIRS, Split(0.2, False, 0, 0, 0.0, stratified, by, seed=4))
    for parts in each:
        np.testing.assert_array_equal(parts == "test", final == "test")
        assert count(parts, "train") + count(parts, "validation") == count(final, "train")
    validated = sum((parts == "validation").astype(int) for parts in each)
    # Every image that is not held out validates exactly once.
    np.testing.assert_array_equal(validated, final == "train")
    assert 0 < count(final, "test") < 30


GROUPED = [
    Split(holdout=0.2, by="group"),
    Split(holdout=0.2, by="group", stratified=True),
    Split(holdout=0.1, validation=0.1, by="group"),
    Split(holdout=0.1, validation=0.1, by="group", stratified=True),
    Split(holdout=0.2, folds=3, fold=2, by="group"),
    Split(holdout=0.2, folds=3, fold=2, by="group", stratified=True),
    Split(holdout=0.2, by="group", images=50),
]


@pytest.mark.parametrize("split", GROUPED)
@pytest.mark.parametrize("seed", range(5))
def test_duplicates_never_stand_on_both_sides(split, seed):
    random = np.random.default_rng(seed)
    groups = random.integers(0, 40, 100)  # of one to several images, mixed classes
    parts = assign(LABELS, groups, replace(split, seed=seed))
    for group in np.unique(groups):
        assert len(set(parts[groups == group]) - {""}) <= 1
    assert count(parts, "train") > count(parts, "test") > 0


@pytest.mark.parametrize("share", [0.1, 0.15, 0.2, 0.3, 0.35, 0.4, 0.5])
@pytest.mark.parametrize("stratified", [False, True])
def test_a_holdout_by_group_is_the_share_of_images_that_was_asked_for(share, stratified):
    # A hundred groups of ten duplicates and two hundred single images: 1200 images of two classes.
    groups = np.concatenate([np.repeat(np.arange(100), 10), np.arange(100, 300)])
    labels = np.where(groups % 3 == 0, "yes", "no")
    for seed in range(5):
        split = Split(holdout=share, by="group", stratified=stratified, seed=seed)
        parts = assign(labels, groups, split)
        assert count(parts, "test") == pytest.approx(share * 1200, abs=15)
        if stratified:
            for label in ("yes", "no"):
                assert (parts[labels == label] == "test").mean() == pytest.approx(share, abs=0.03)


def test_a_holdout_of_single_images_by_group_is_drawn_as_scikit_learn_draws_it():
    draw = GroupShuffleSplit(1, test_size=0.3, random_state=4)
    _, test = next(draw.split(LABELS, groups=np.arange(100)))
    parts = assign(LABELS, np.arange(100), Split(holdout=0.3, by="group", seed=4))
    assert np.flatnonzero(parts == "test").tolist() == sorted(test)


def test_a_stratified_holdout_of_a_kth_is_the_first_of_k_folds():
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=4)
    _, test = next(folds.split(LABELS, LABELS, PAIRS))
    parts = assign(LABELS, PAIRS, Split(holdout=0.2, by="group", stratified=True, seed=4))
    assert np.flatnonzero(parts == "test").tolist() == test.tolist()


@pytest.mark.parametrize("by", ["image", "group"])
def test_a_seed_repeats_and_another_seed_does_not(by):
    one, again, other = (assign(LABELS, PAIRS, Split(holdout=0.2, by=by, seed=seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    if by == "image":  # which ignores the groups
        np.testing.assert_array_equal(one, assign(LABELS, np.zeros(100, int), Split(holdout=0.2, seed=1)))
    assert (one != other).any()


def test_images_outside_the_subset_have_no_part():
    parts = assign(LABELS, PAIRS, Split(holdout=0.2, images=50))
    assert count(parts, "") == 50
    assert count(parts, "test") == 10
    assert count(np.where(parts == "", "", "used"), "used", LABELS) == {"no": 25, "yes": 25}


def test_a_subset_is_balanced_as_far_as_the_classes_reach():
    labels = np.array(["a"] * 3 + ["b"] * 20 + ["c"] * 20)
    chosen = labels[choose_images(labels, 13, seed=0)]
    assert [int((chosen == name).sum()) for name in "abc"] == [3, 5, 5]
    uneven = labels[choose_images(labels, 14, seed=0)]
    assert sorted(int((uneven == name).sum()) for name in "abc") == [3, 5, 6]


def test_a_larger_subset_holds_the_smaller_one():
    for seed in range(5):
        small, large = (choose_images(LABELS, n, seed) for n in (15, 40))
        assert set(small) < set(large) and set(large) != set(choose_images(LABELS, 40, seed + 1))
        assert len(small) == 15 and len(large) == 40
        assert (np.diff(large) > 0).all()
    for images in (0, 100, 1000):  # all images, when none or more than there are is asked
        assert choose_images(LABELS, images, 0).tolist() == list(range(100))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"holdout": 1.0}, "holdout must be at least 0 and below 1; received 1.0"),
        ({"holdout": -0.1}, "received -0.1"),
        ({"holdout": float("nan")}, "received nan"),
        ({"validation": 1.5}, "validation must be"),
        ({"holdout": 0.5, "validation": 0.5}, "leave images to train on"),
        ({"folds": 1, "fold": 1}, "k of 2 or more"),
        ({"folds": 3, "fold": 4}, "received fold 4 of 3"),
        ({"fold": 1}, "received fold 1 of 0"),
        ({"folds": -3}, "received fold 0 of -3"),
        ({"folds": 3, "validation": 0.1}, "not both"),
        ({"by": "patient"}, "received 'patient'"),
        ({"leakage": "ignored"}, "'refused' or 'as_published'"),
    ],
)
def test_a_split_that_makes_no_sense_is_refused_in_one_line(options, words):
    with pytest.raises(UsageError) as error:
        Split(**options)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("labels", "split"),
    [
        (["a"], Split(holdout=0.2)),
        ([], Split(holdout=0.2)),
        (["a", "b", "b", "b"], Split(holdout=0.25, stratified=True)),
        (["a", "b"] * 3, Split(holdout=0.2, folds=10, fold=1)),
        (["a", "b"] * 3, Split(holdout=0.2, folds=10, fold=1, by="group")),
        (["a", "b"] * 3, Split(holdout=0.2, folds=10, fold=1, by="group", stratified=True)),
    ],
)
def test_too_few_images_are_refused_in_one_line(labels, split):
    with pytest.raises(UsageError, match="cannot split") as error:
        assign(labels, np.arange(len(labels)), split)
    assert "\n" not in str(error.value)


# The published division.
PUBLISHED = np.array((["train"] * 45 + ["test"] * 15) + (["train"] * 30 + ["test"] * 10))


def test_the_published_test_part_is_taken_as_it_is():
    parts = assign(LABELS, PAIRS, Split(published=True, seed=5), PUBLISHED)
    assert parts.tolist() == PUBLISHED.tolist()


def test_a_subset_keeps_the_proportion_of_the_published_parts_and_tests_every_class():
    parts = assign(LABELS, PAIRS, Split(published=True, images=20), PUBLISHED)
    # A quarter of the set is published as the test part.
    assert (count(parts, "train"), count(parts, "test")) == (15, 5)
    assert set(PUBLISHED[parts == "test"]) == {"test"}
    assert set(count(parts, "test", LABELS).values()) == {2, 3}
    small = assign(LABELS, PAIRS, Split(published=True, images=4), PUBLISHED)
    assert count(small, "test", LABELS) == {"no": 1, "yes": 1} and count(small, "train") == 2


def test_columns_of_a_part_of_a_table_are_taken_by_position():
    labels, published = pd.Series(LABELS)[40:], pd.Series(PUBLISHED)[40:]
    split = Split(published=True, images=20)
    assert splits.used(labels, split, published).tolist() == splits.used(LABELS[40:], split, PUBLISHED[40:]).tolist()


@pytest.mark.parametrize("parts", [[""] * 100, ["train"] * 100, ["test"] * 100])
def test_a_set_that_is_not_published_in_two_parts_is_refused(parts):
    with pytest.raises(UsageError, match="published in two parts; of 100 images"):
        assign(LABELS, PAIRS, Split(published=True), np.array(parts))


def test_the_small_class_is_repeated_until_it_equals_the_largest():
    labels = np.array(["a"] * 7 + ["b"] * 3 + ["c"] * 5)
    rows = oversampled(labels, np.arange(15), "b", seed=0)
    assert rows[:15].tolist() == list(range(15))
    repeats = np.unique(rows[15:], return_counts=True)
    # 7 - 3 = 4 more: each of the three once, and one of them twice.
    assert set(repeats[0]) <= {7, 8, 9} and sorted(repeats[1]) == [1, 1, 2]
    assert (labels[rows] == "b").sum() == 7
    for label in ("a", "d"):  # the largest, and one that no image has
        assert oversampled(labels, np.arange(15), label, seed=0).tolist() == list(range(15))


def test_the_small_class_may_be_repeated_up_to_the_mean_of_all():
    labels = np.array(["a"] * 7 + ["b"] * 2 + ["c"] * 6)
    rows = oversampled(labels, np.arange(15), "b", seed=0, target="mean")
    assert (labels[rows] == "b").sum() == 5
    assert oversampled(labels, np.arange(15), "a", seed=0, target="mean").tolist() == list(range(15))


# Leakage


@pytest.mark.parametrize("stratified", [True, False])
@pytest.mark.parametrize(
    "options", [{"holdout": 0.2}, {"holdout": 0.2, "folds": 3, "fold": 2}, {"holdout": 0.1, "validation": 0.1}]
)
def test_a_split_that_divides_duplicates_is_refused_unless_it_is_a_published_one(options, stratified):
    with pytest.raises(UsageError, match=r"[1-9]\d* groups in two parts; split by 'group'"):
        assign(LABELS, PAIRS, splits.Split(**options, stratified=stratified))
    parts = assign(LABELS, PAIRS, splits.Split(**options, stratified=stratified, by="group"))
    assert all(len(set(parts[PAIRS == pair])) == 1 for pair in range(50))
    as_published = splits.Split(**options, stratified=stratified, leakage="as_published")
    assert set(assign(LABELS, PAIRS, as_published)) >= {"train", "test"}


def test_images_that_are_not_used_do_not_leak():
    # One of each pair is used at most: two images of fifty pairs, drawn from either class.
    groups = np.concatenate([np.arange(50), np.arange(50)])
    labels = np.array(["no", "yes"] * 50)
    split = splits.Split(holdout=0.5, images=2, seed=1)
    assert (assign(labels, groups, split) != "").sum() == 2


def test_of_a_published_test_part_the_training_images_with_a_duplicate_in_it_are_left_out():
    published = np.array(["train", "test"] * 25 + ["train"] * 50)  # of the first 25 pairs both
    split = splits.Split(published=True, by="group")
    parts = assign(LABELS, PAIRS, split, published)
    assert (parts[:50:2] == "").all() and (parts[1:50:2] == "test").all()
    assert (parts[50:] == "train").all()
    with pytest.raises(UsageError, match="25 groups in two parts"):
        assign(LABELS, PAIRS, splits.Split(published=True), published)


def test_what_one_of_two_groupings_keeps_together_stays_together():
    # Duplicates 0-1 and 2-3; patients 1-2 and 4-5: one chain of four, and a pair.
    assert joined([7, 7, 3, 3, 1, 0], [1, 5, 5, 2, 8, 8]).tolist() == [0, 0, 0, 0, 1, 1]
    assert joined([0, 1, 2], [5, 5, 0]).tolist() == [0, 0, 1]
