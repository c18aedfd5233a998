"""External validation: images that the training set has too are recognised, and do not count."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from test_controls import memorising

from brainlib.data import load_dataset
from brainlib.data.phantoms.draw import make_phantoms
from brainlib.data.registry import REGISTRY
from brainlib.papers import load_paper
from brainlib.report import tables
from brainlib.study import external
from brainlib.trials import run

NEW, SHARED = 30, 30


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """Healthy slices with labels that say nothing: the second set has all of the first, and as many new ones."""
    root = tmp_path_factory.mktemp("sets")
    drawn = make_phantoms(NEW + SHARED, size=96, kinds=("none",), slices_per_patient=1)
    for name, numbers, classes in (
        ("first", range(SHARED), ("tumour", "none")),
        ("second", range(NEW + SHARED), ("tumour", "none")),
        ("third", range(10), ("glioma", "pituitary")),
    ):
        for number in numbers:
            path = root / name / classes[number % 2] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(drawn.images[number]).save(path)
    return {name: load_dataset(root / name, store=root / "store") for name in ("first", "second", "third")}


@pytest.fixture(scope="module")
def scores(sets):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "run_trials", memorising)
        # Beside the sets, hence in the folder that they share.
        options = {"out": str(sets["first"].root.parent / "reports"), "profile": "full", "weights": "random"}
        found = external.external_validation(load_paper("jardim"), sets, arms=["cnn"], **options)
    return {(each.trained_on, each.tested_on): each for each in found}


def test_a_memorising_model_scores_on_another_set_by_the_images_that_its_own_set_has(scores):
    found = scores["first", "second"]
    assert (found.published.n, found.external.n) == (NEW + SHARED, NEW)
    assert found.left == {"none": NEW // 2, "tumour": NEW // 2}
    # Four fifths of the shared images were trained on, and are remembered.
    assert found.published.value > 0.6 and found.external.value == pytest.approx(0.5, abs=0.25)
    correct = found.published.value * found.published.n - found.external.value * found.external.n
    assert correct >= 0.8 * SHARED


def test_where_nothing_is_left_there_is_no_score(scores):
    found = scores["second", "first"]
    assert found.published.value > 0.7 and found.published.n == SHARED
    assert np.isnan(found.external.value) and found.external.n == 0 and set(found.left.values()) == {0}
    shown = tables.external_validation(list(scores.values()))
    row = shown.frame.query("`trained on` == 'second' and `tested on` == 'first'").iloc[0]
    assert row["images left"] == 0 and "nothing left" in repr(shown)


def test_the_fifth_that_is_held_out_is_whole_groups_and_pairs_of_sets_share_two_classes(scores):
    assert scores["first", "first"].external == scores["first", "first"].published
    assert 4 <= scores["first", "first"].external.n <= 8
    # The third set has tumours alone, and kinds of them that the others do not know.
    assert [pair for pair in scores if "third" in pair] == [("third", "third")]
    assert scores["third", "third"].classes == ("glioma", "pituitary")


def test_parts_are_in_the_key_of_a_trial_and_patients_of_two_sets_are_not_one(sets, tmp_path, monkeypatch):
    planned = []

    def noted(trials, dataset, folder, **_):
        planned.extend(trials)
        return memorising(trials, dataset, folder)

    monkeypatch.setattr(run, "run_trials", noted)
    two = {name: sets[name] for name in ("first", "second")}
    two = {name: dataclasses.replace(data, table=data.table.assign(patient="1")) for name, data in two.items()}
    united = external.united(two)
    assert set(united.table["patient"]) == {"first/1", "second/1"}
    assert set(united.table["path"].str.split("/").str[0]) == {"first", "second"}
    named = {name: dataclasses.replace(data, table=data.table.assign(patient=None)) for name, data in two.items()}
    options = {"out": str(tmp_path), "profile": "full", "weights": "random", "arms": ["cnn"]}
    external.external_validation(load_paper("jardim"), named, **options)
    assert len({trial.key for trial in planned}) == len(planned) == 2


def test_kinds_that_both_sets_have_are_compared(scores):
    # Of the classes glioma, none and pituitary the other set has two, of which the second is more probable here.
    rows = {"path": ["1", "2"], "label": ["glioma", "none"], "part": "test", "group": [0, 1]}
    table = pd.DataFrame(rows | {"p_glioma": [0.2, 0.1], "p_none": [0.1, 0.3], "p_pituitary": [0.7, 0.6]})
    assert external._score(table, ["glioma", "none"], 0).value == 1.0
    assert external._score(table.assign(p_none=0.0, p_glioma=0.0), ["glioma", "none"], 0).value == 0.5


def test_every_label_of_a_registered_set_means_something_that_all_sets_share():
    for info in REGISTRY.values():
        assert {info.means.get(label, label) for label in info.classes} <= {
            name for names in external.CLASSES.values() for name in names
        }
