"""The multiverse: which universes are designed, and what their scores say, against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from brainlib.report import figures, tables
from brainlib.study import Study, multiverse
from brainlib.study.multiverse import Specification, alternatives, design, effects
from brainlib.study.results import Results

BACKBONE = {"resnet50v2": "mobilenet_025"}


@pytest.fixture
def transfer(tmp_path):
    return Study("jardim", data="phantoms", profile="smoke", weights="random", arms=["transfer"], backbone=BACKBONE,
                 out=str(tmp_path))  # fmt: skip


def test_alternatives_are_what_can_be_trained_or_scored_anew_and_nothing_else(transfer):
    trained, read = alternatives(transfer, "transfer")
    assert read == {
        "protocol.epoch": ("best",),
        "protocol.threshold": ("youden",),
        "protocol.final": ("best_fold", "last_fold"),
    }
    assert trained["protocol.batch_size"] == (16, 64) and trained["arms.transfer.model.scaling"] == ("unit", "raw")
    # Another arm's settings, the backbone, the test over the folds and words are none.
    assert not [key for key in trained if "cnn" in key or "backbone" in key or "t_test" in key]
    assert all(" " not in str(value) for key, values in trained.items() for value in values if isinstance(value, str))


def test_universes_are_one_change_at_a_time_and_then_drawn_and_no_two_train_the_same(transfer):
    trained, _ = alternatives(transfer, "transfer")
    single = sum(map(len, trained.values()))
    found = design(transfer, trained, single + 6)
    assert found[0] == {} and [len(each) for each in found[1 : single + 1]] == [1] * single
    assert len(found) == single + 6 and max(map(len, found)) > 1
    keys = {frozenset(t.key for t in multiverse._changed(transfer, each).trials()) for each in found}
    assert len(keys) == len(found)
    assert found == design(transfer, trained, single + 6) != design(transfer, trained, single + 6, seed=1)
    # Augmentation gives up the stored activations of the frozen network: it is tried, but not combined.
    flipped = [each for each in found if any("augmentation" in key for key in each)]
    assert len(flipped) == 1 == len(flipped[0])
    # Two alternatives to one setting and one to another make six universes, however many are asked for.
    few = {"protocol.batch_size": (16, 64), "protocol.stratified": (True,)}
    assert len(design(transfer, few, 50)) == 6


def made(values):
    """Specifications of universes by their choices, as many as there are values."""
    return [Specification(i, choices, False, value, value > 0.92) for i, (choices, value) in enumerate(values)]


def test_effects_of_choices_that_add_up_are_recovered():
    choices = [{}, {"a": "1"}, {"b": "1"}, {"a": "1", "b": "1"}, {"a": "2"}, {"a": "2", "b": "1"}]
    adds = {("a", "1"): 0.03, ("a", "2"): -0.05, ("b", "1"): 0.01}
    found = effects(made([(each, 0.9 + sum(adds[pair] for pair in each.items())) for each in choices]))
    assert [(each.setting, each.alternative) for each in found] == [("a", "2"), ("a", "1"), ("b", "1")]
    assert [each.effect for each in found] == pytest.approx([-0.05, 0.03, 0.01])
    assert [each.n for each in found] == [2, 2, 3] and effects(made([({}, 0.9)])) == []
    # Of two alternatives that always come together nobody knows which it was.
    found = effects(made([({}, 0.9), ({"a": "1", "b": "1"}, 0.8), ({"c": "1"}, 0.92), ({}, 0.9)]))
    assert [each.setting for each in found] == ["c", "a", "b"] and found[0].effect == pytest.approx(0.02)
    assert all(np.isnan(each.effect) and np.isnan(each.low) for each in found[1:])


def test_effects_that_differ_in_the_last_digits_alone_keep_the_order_of_their_names():
    found = effects(made([({}, 0.9), ({"a": "1"}, 0.8), ({"b": "1"}, 0.8 - 1e-13), ({"c": "1"}, 0.9)]))
    assert [each.setting for each in found] == ["a", "b", "c"]


def test_the_interval_of_an_effect_holds_the_true_one_and_not_none():
    rng = np.random.default_rng(3)
    choices = [{key: "1" for key in "abc" if rng.random() < 0.5} for _ in range(60)]
    found = effects(made([(each, 0.9 + 0.04 * ("a" in each) + 0.01 * rng.normal()) for each in choices]))
    assert (found[0].setting, found[0].low < 0.04 < found[0].high) == ("a", True) and found[0].low > 0.02
    assert all(each.low < 0 < each.high for each in found[1:])


def test_a_printed_number_is_reached_within_the_margin_of_its_verdict():
    curve = made([({}, 0.95), ({"a": "1"}, 0.90), ({"b": "1"}, 0.93)])
    found = multiverse._reached("c", "94%", True, curve, [0.95, 0.93])
    assert (found.universes, found.n, found.low, found.median, found.high) == (2, 3, 0.90, 0.93, 0.95)
    assert found.deviation == pytest.approx(0.02 / np.sqrt(2))


def test_readings_score_the_same_predictions_and_the_t_test_is_asked_in_all_ways(jardim):
    # The stored results in two universes that differ in nothing: what is counted are readings.
    universes = [(i, {}, False, jardim) for i in range(2)]
    found = multiverse._summary(jardim, "transfer", {"protocol.threshold": ("youden",)}, universes, 2)
    by_claim = {each.claim: each for each in found.reached}
    # 588 of 600 are right, as printed, but the threshold and the class of the sensitivity could be others.
    accuracy = by_claim["abstract.pt.transfer.accuracy"]
    assert (accuracy.universes, accuracy.n, accuracy.m) == (2, 2, 2) and accuracy.median == pytest.approx(0.98)
    sensitivity = by_claim["abstract.pt.transfer.sensitivity"]
    assert (sensitivity.n, sensitivity.m) == (2, 6)  # of the class, or an average of either kind
    p = by_claim["text.p"]
    assert (p.printed, p.n, p.m) == ("no significant difference", 2, 6)  # paired, unpaired, corrected
    assert p.universes == 0 and p.readings == 2  # the same difference in each fold: the unpaired test alone misses it
    plot = figures.specification_curve(found)
    assert f"{len(found.curve)} specifications of 2 universes" in plot.alt


def test_a_conclusion_is_judged_in_each_universe_on_its_scores(jardim):
    (conclusion,) = (each for each in jardim.study.paper.conclusions if each.id == "cnn_ahead")
    found = multiverse._concluded(conclusion, "transfer", [(0, {}, False, jardim)], jardim)
    # The CNN of these results is ahead in accuracy, sensitivity and specificity, as the paper's is.
    assert [each.reached for each in found] == [True]


def test_a_reading_that_no_stored_prediction_can_score_is_left_out(jardim):
    study = jardim.study.varied("protocol.epoch", "best").varied("protocol.final", "last_fold")
    best = Results(study, jardim.trials)
    found = multiverse._curve(multiverse._claims(jardim.study, "transfer")[0], [(0, {}, True, best)])
    assert found == []


@pytest.mark.slow
def test_universes_are_trained_once_and_shown_where_they_are_asked_for(tmp_path, capfd):
    def shown():
        study = Study("hajhashem", data="phantoms", profile="smoke", weights="random", out=str(tmp_path),
                      backbone={"resnet18": "mobilenet_025"}, multiverse=3)  # fmt: skip
        results = study.run()
        return tables.multiverse(results, "resnet18"), multiverse.of_arm(results, "resnet18")

    table, found = shown()
    assert found.universes == 3 and "3 universes" in table.caption and len(table.frame) == len(found.reached)
    assert "2 models to train, 1 taken from the store" in capfd.readouterr().err
    again, same = shown()
    assert repr(same) == repr(found) and "to train" not in capfd.readouterr().err


def test_without_being_asked_for_there_is_none(jardim):
    assert multiverse.of_arm(jardim, "transfer") is None
    table = tables.multiverse(jardim, "transfer")
    assert table.frame.empty and "--multiverse" in table.caption
