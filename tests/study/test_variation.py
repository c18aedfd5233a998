"""One value of a protocol changed: that one, validated as the paper's own is, and named as a condition."""

from __future__ import annotations

import dataclasses

import pytest
from made_up import study_of

from brainlib.errors import UsageError
from brainlib.papers.loading import load_paper, paper_ids
from brainlib.papers.provenance import FrozenDict, key_of, settings_of
from brainlib.study.variation import WHY, varied


def settings(paper):
    """The settings of a paper by their keys."""
    return {key_of(path): setting for path, setting in settings_of(paper)}


@pytest.mark.parametrize(
    ("paper", "setting", "value"),
    [
        ("jardim", "protocol.batch_size", 16),
        ("jardim", "arms.cnn.phases[0].learning_rate", 0.01),
        ("lu", "arms.mobilenet.phases[1].epochs", 7),
        ("jardim", "arms.transfer.model.dense", (64,)),
        ("jardim", "protocol.optimizer", "sgd"),
    ],
)
def test_one_value_changes_and_all_others_stay(paper, setting, value):
    before = load_paper(paper)
    after, _ = varied(before, setting, value)
    old, new = settings(before), settings(after)
    assert new[setting].value == value and new[setting].assumed == WHY
    assert [name for name in old if old[name].value != new[name].value] == [setting]
    assert before == load_paper(paper)


def test_an_arm_whose_id_holds_a_dot_can_be_varied():
    paper = load_paper("jardim")
    paper = paper.model_copy(
        update={"arms": FrozenDict({"cnn.v1.5": paper.arms["cnn"]}), "claims": (), "conclusions": ()}
    )
    setting = "arms.cnn.v1.5.phases[0].epochs"
    after, change = varied(paper, setting, 7)
    assert after.arms["cnn.v1.5"].phases[0].epochs.value == 7
    assert paper.arms["cnn.v1.5"].phases[0].epochs.value != 7
    assert change == "cnn.v1.5, phase 1: epochs 7 in place of 30"


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("protocol.batchsize", 16, "near it are protocol.batch_size"),
        ("protocol.batch_size", 32, "expected another value than the paper's"),
        ("protocol.batch_size", 0, "greater than or equal to 1; received 0"),
        ("protocol.batch_size", "16", "a valid integer; received '16'"),
        ("protocol.stratified", 1, "a valid boolean; received 1"),
        ("protocol.optimizer", "momentum", "'sgd_momentum' or 'lion'; received 'momentum'"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(setting, value, words):
    with pytest.raises(UsageError) as refused:
        varied(load_paper("jardim"), setting, value)
    assert words in str(refused.value) and "\n" not in str(refused.value)


def test_a_changed_study_trains_another_model_and_names_the_change(tmp_path):
    plain = study_of("jardim", tmp_path)
    changed = plain.varied("arms.cnn.phases[0].learning_rate", 0.01).varied("protocol.batch_size", 16)
    ours, theirs = plain.trials()[0], changed.trials()[0]
    assert (theirs.phases[0].learning_rate, theirs.batch_size) == (0.01, 16)
    same = dataclasses.replace(theirs, phases=ours.phases, batch_size=ours.batch_size, conditions=())
    assert same == ours and theirs.key != ours.key
    notes = ("cnn, phase 1: learning rate 0.01 in place of 0.0001", "batch size 16 in place of 32")
    assert changed.changed == notes and plain.changed == ()
    assert changed.conditions()[:2] == notes


@pytest.mark.parametrize("paper", paper_ids())
def test_every_alternative_that_a_paper_names_can_be_tried_or_is_refused_with_a_reason(paper):
    before = load_paper(paper)
    for key, setting in settings(before).items():
        for other in setting.alternatives:
            try:
                after, change = varied(before, key, other)
            except UsageError as refused:  # words for a reading that no value expresses
                assert isinstance(other, str), (key, refused)
            else:
                assert settings(after)[key].value == other and " in place of " in change
