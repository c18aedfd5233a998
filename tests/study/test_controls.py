"""Controls: altered sets hide what they should, and a model that only memorises is recognised."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from made_up import FACTS

from brainlib.audit import novelty
from brainlib.audit.shortcuts import GREY, HEADER, PIXELS
from brainlib.data import altered, datasets, images, splits
from brainlib.data.thumbnails import thumbnail
from brainlib.report.tables import comparisons
from brainlib.study import controls, shortcuts
from brainlib.study.results import Results, run_together
from brainlib.study.study import Study
from brainlib.trials import run
from brainlib.trials.trial import TrialResult


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory):
    """A hundred and twenty phantoms in the layout of br35h, nearly half of them duplicates."""
    return datasets.load_dataset("br35h", "phantoms", tmp_path_factory.mktemp("store"), phantoms=120)


def test_shuffled_labels_are_shared_by_duplicates_and_drawn_by_the_seed(phantoms):
    first, again, other = (altered.shuffled(phantoms, seed) for seed in (0, 0, 1))
    together = pd.Series(phantoms.group_ids(patients=True))
    assert (first.table["label"].groupby(together).nunique() == 1).all()
    assert first.fingerprint == again.fingerprint
    assert len({phantoms.fingerprint, first.fingerprint, other.fingerprint}) == 3
    # Every group has the label of some group: how often each is drawn stays.
    before, after = (sorted(each.table.groupby(together)["label"].first()) for each in (phantoms, first))
    assert before == after
    agree = (first.table["label"] == phantoms.table["label"]).mean()
    assert 0.2 < agree < 0.8


def pixels_of(root, paths):
    return np.stack([np.asarray(images.decode(root / path)) for path in paths]).astype(float)


def test_a_masked_set_hides_the_head_or_the_brain(phantoms, tmp_path):
    whole, paths = {}, phantoms.table["path"][60:100]  # with a tumour
    for kind in (altered.BACKGROUND, altered.NO_BRAIN):
        data = altered.masked(phantoms, kind, tmp_path)
        assert list(data.table["path"]) == list(phantoms.table["path"])
        assert data.fingerprint != phantoms.fingerprint
        whole[kind] = pixels_of(data.root, paths)
        # A second call reads what the first has written.
        written = {path: path.stat().st_mtime_ns for path in data.root.rglob("*")}
        assert altered.masked(phantoms, kind, tmp_path).fingerprint == data.fingerprint
        assert {path: path.stat().st_mtime_ns for path in data.root.rglob("*")} == written
    plain, tumours = pixels_of(phantoms.root, paths), pixels_of(phantoms.root / "masks", paths) > 127
    assert plain[tumours].mean() > 50
    # Of a lesion nothing is left: under a masked brain but for what touches the skull.
    assert whole[altered.BACKGROUND][tumours].max() == 0
    assert (whole[altered.NO_BRAIN][tumours] == 0).mean() > 0.9
    # Of bright pixels next to none stay in the background, and skull and scalp do under a masked brain.
    bright = {kind: (pixels > 60).sum() / (plain > 60).sum() for kind, pixels in whole.items()}
    assert bright[altered.BACKGROUND] < 0.005
    assert 0.1 < bright[altered.NO_BRAIN] < 0.6


def test_an_image_without_a_head_is_masked_whole_and_one_without_a_border_has_a_ring():
    nothing = np.zeros((64, 48), np.uint8)
    assert altered.hidden(nothing, altered.BACKGROUND).all()
    full = np.full((100, 100, 3), 200, np.uint8)
    assert altered.hidden(full, altered.BACKGROUND).all()
    hidden = altered.hidden(full, altered.NO_BRAIN)
    assert hidden[10:90, 10:90].all() and not hidden[:6].any() and not hidden[:, -6:].any()


def memorising(planned, sets, folder, **_):
    """In the place of training: each image is given the label of the training image most like it."""
    sets = sets if isinstance(sets, list) else [sets] * len(planned)
    looks = {id(dataset): vectors(dataset) for dataset in sets}
    return [memorised(trial, dataset, looks[id(dataset)]) for trial, dataset in zip(planned, sets, strict=True)]


def vectors(dataset):
    small = np.stack([thumbnail(images.decode(dataset.root / path)) for path in dataset.table["path"]])
    found = novelty.signatures(small)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def memorised(trial, dataset, looks):
    table = dataset.table
    parts = splits.assign(table["label"], dataset.group_ids(patients=True), trial.split, table["part"].to_numpy())
    train = np.flatnonzero(parts == "train")
    nearest = train[(looks @ looks[train].T).argmax(axis=1)]
    predicted = (table["label"].to_numpy()[nearest] == trial.classes[1]).astype(float)
    p = {f"p_{trial.classes[0]}": 1 - predicted, f"p_{trial.classes[1]}": predicted}
    made = table[["path", "label"]].assign(part=parts, group=dataset.group_ids(), phase=trial.phases[-1].name, **p)
    made = made[made["part"] != ""].reset_index(drop=True)
    history = pd.DataFrame({"phase": trial.phases[-1].name, "epoch": [1], "val_accuracy": [0.5]})
    return TrialResult(trial, made, history, made.assign(epoch=1), FACTS)


@pytest.fixture
def leaking(phantoms, monkeypatch, tmp_path):
    """jardim's transfer arm on phantoms of which each has three duplicates, by a model that memorises."""
    monkeypatch.setattr(run, "run_trials", memorising)
    options = dict(profile="full", data="phantoms", out=str(tmp_path), arms=["transfer"], controls=True, seed=1)
    table = pd.concat([phantoms.table] * 4, ignore_index=True)
    table["path"] = [f"{n}-{path}" for n, path in enumerate(table["path"])]
    for source, path in zip([*phantoms.table["path"]] * 4, table["path"], strict=True):
        target = tmp_path / "images" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((phantoms.root / source).read_bytes())
    data = dataclasses.replace(
        phantoms, root=tmp_path / "images", table=table, duplicates=np.tile(phantoms.group_ids(), 4)
    )
    return Study("jardim", dataset=data, **options).run()


def test_a_model_that_memorises_scores_on_shuffled_labels_as_long_as_duplicates_leak(leaking):
    found = {(each.control, each.split): each for each in controls.run_controls(leaking)}
    leak = found[controls.SHUFFLED, controls.PUBLISHED]
    apart = found[controls.SHUFFLED, controls.APART]
    assert leak.value > 0.9 and leak.finding == "above chance" and leak.expected == ""
    assert apart.finding == apart.expected == "at chance"
    assert leak.chance == 0.5 and leak.n == 96 and apart.low < 0.5 < apart.high
    table = comparisons.controls(leaking)
    assert "without the expected finding: 0" in table.caption
    row = table.frame[table.frame["control"] == "effect of duplicates alone"].iloc[0]
    effect = row["balanced accuracy"]
    assert effect == pytest.approx(leak.value - apart.value) and effect > 0.25
    # Real images would be compared with phantoms as well; these are phantoms.
    kinds = {"labels as given", "shuffled labels", "background alone", "brain masked out"}
    assert {each.control for each in found.values()} == kinds


def test_all_that_a_run_asks_for_is_trained_at_one_time(leaking, monkeypatch):
    planned = []

    def noted(trials, sets, folder, **_):
        planned.append(len(sets))
        return memorising(trials, sets, folder)

    monkeypatch.setattr(run, "run_trials", noted)
    assert len(controls.run_controls(leaking)) == 5 and planned == [5]
    # So are three seeds and the models with duplicates kept apart: of each three folds and a final one.
    options = leaking.study.options.model_dump() | {"controls": False, "seeds": 3, "retrain": True}
    results = Study("jardim", dataset=leaking.study.dataset, **options).run()
    assert planned == [5, 16]
    assert [each.study.options.seed for each in (results, *results.repeats)] == [1, 2, 3]
    published, apart = (each.estimate("transfer", "test", "accuracy").value for each in (results, results.retrained))
    assert results.retrained.study.split_by == "group" and apart < published - 0.1
    # A study of which nothing is planned has results of nothing.
    (nothing,) = run_together([(results.study, [])])
    assert nothing.trials == {} and nothing.folds == []


def test_controls_run_only_when_asked_for_and_unexpected_findings_are_counted(leaking):
    options = leaking.study.options.model_dump() | {"controls": False}
    plain = Study("jardim", dataset=leaking.study.dataset, **options)
    results = Results(plain, leaking.trials)
    assert controls.run_controls(results) == ()
    assert "--controls" in comparisons.controls(results).caption
    other = Results(leaking.study, leaking.trials)
    other.once("controls", lambda: (control(0.4, 0.3, 0.5, "at chance"),))
    table = comparisons.controls(other)
    assert "without the expected finding: 1" in table.caption
    assert list(table.frame.loc[0, ["finding", "expected"]]) == ["above chance", "at chance"]


def test_shortcuts_stand_beside_the_arms_in_either_split(leaking):
    found = shortcuts.run_shortcuts(leaking)
    rows = {(each.split, each.arm or each.control): each for each in found}
    names = (HEADER, GREY, PIXELS, "transfer")
    assert list(rows) == [(split, name) for split in (controls.PUBLISHED, controls.APART) for name in names]
    # Three of four duplicates are training images: all that is seen is remembered.
    assert all(rows[controls.PUBLISHED, name].value > 0.9 for name in names)
    assert rows[controls.PUBLISHED, PIXELS].n == 96 and rows[controls.PUBLISHED, PIXELS].chance == 0.5
    apart = rows[controls.APART, HEADER]
    assert apart.finding == "at chance" and apart.n == rows[controls.APART, "transfer"].n
    # That of the arm is one of the controls.
    assert rows[controls.APART, "transfer"] in controls.run_controls(leaking)
    table = comparisons.shortcuts(leaking)
    assert list(table.frame["classifier"]) == [HEADER, GREY, PIXELS, leaking.study.title("transfer")]
    assert table.frame.loc[0, "duplicates kept apart"] == apart.value
    assert "As published, a classifier of" in table.caption and "do not test what they are meant" in table.caption


def scored(arm, name, value, low, high, split=controls.PUBLISHED, scenario=""):
    found = controls.Estimate(value, low, high, 50, "")
    return controls.control_of(found, 0.5, arm, scenario, name, split)


def test_a_shortcut_is_sufficient_within_or_above_the_interval_of_an_arm_that_is_above_chance():
    header, grey = scored("", HEADER, 0.80, 0.7, 0.9), scored("", GREY, 0.85, 0.75, 0.92)
    better, equal, worse = (
        scored(arm, "", v, v - 0.04, v + 0.04) for arm, v in zip("abc", (0.9, 0.88, 0.7), strict=True)
    )
    perfect, lost = scored("d", "", 1.0, np.nan, np.nan), scored("e", "", 0.5, 0.4, 0.6)
    arms = [better, equal, worse, perfect, lost]
    assert shortcuts.sufficient([header, grey, *arms]) == [(grey, [equal, worse])]
    assert shortcuts.sufficient([header, better, perfect, lost]) == []
    assert shortcuts.sufficient([scored("", PIXELS, 1.0, np.nan, np.nan), perfect])[0][1] == [perfect]
    assert shortcuts.sufficient([grey, scored("f", "", 0.7, np.nan, np.nan)]) == []  # of very few images
    # Not one that is at chance, nor of another split or scenario.
    assert shortcuts.sufficient([scored("", GREY, 0.55, 0.45, 0.65), lost]) == []
    others = scored("a", "", 0.7, 0.6, 0.8, controls.APART), scored("a", "", 0.7, 0.6, 0.8, scenario="four")
    assert shortcuts.sufficient([grey, *others]) == []


def test_images_that_are_too_few_for_groups_have_shortcuts_as_published_alone(phantoms, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "run_trials", memorising)
    one = dataclasses.replace(phantoms, duplicates=np.zeros(120, int))
    results = Study("jardim", dataset=one, profile="full", out=str(tmp_path), arms=["transfer"]).run()
    assert {each.split for each in shortcuts.run_shortcuts(results)} == {controls.PUBLISHED}


def control(value, low, high, expected):
    found = controls.estimates.Estimate(value, low, high, 50, "")
    return controls.control_of(found, 0.25, "transfer", "", "shuffled labels", controls.APART, expected)


@pytest.mark.parametrize(
    ("value", "low", "high", "finding"),
    [
        (0.40, 0.30, 0.50, "above chance"),
        (0.28, 0.20, 0.36, "at chance"),
        (0.10, 0.02, 0.20, "below chance"),
        (0.25, np.nan, np.nan, "at chance"),  # one class for every image
        (1.00, np.nan, np.nan, "above chance"),  # not one wrong
        (np.nan, np.nan, np.nan, "undefined"),
    ],
)
def test_a_finding_is_where_the_interval_lies(value, low, high, finding):
    found = control(value, low, high, "")
    assert found.finding == finding


def test_a_model_has_collapsed_where_it_gives_one_class_and_not_where_it_gives_each_its_own(leaking):
    table = leaking.predictions("transfer", "test")
    for predicted, value, collapsed in (("no", 0.5, True), (table["label"], 1.0, False)):
        tumour = (table.assign(predicted=predicted)["predicted"] == "yes").astype(float)
        given, made = table.assign(p_yes=tumour, p_no=1 - tumour), Results(leaking.study, leaking.trials)
        made.predictions = lambda *_, given=given: given
        found = controls.score(made, "transfer", "", controls.GIVEN, controls.PUBLISHED)
        assert (found.value, found.collapsed, np.isnan(found.low)) == (value, collapsed, collapsed)
