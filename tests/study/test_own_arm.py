"""A model of a user's own as one more arm of a study, and the page that shows it."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from made_up import study_of

from brainlib.data import splits
from brainlib.errors import UsageError
from brainlib.papers.loading import load_paper
from brainlib.study.study import Study
from brainlib.trials.stored import Stored

ROOT = Path(__file__).parents[2]


def build(size, classes):
    """Stands for a user's function: nothing here builds a model."""


def momentum(rate):
    """Stands for a user's optimizer."""


@pytest.fixture
def jardim(tmp_path):
    return study_of("jardim", tmp_path, arms=["cnn"])


def final(study, arm):
    return next(trial for trial in study.trials() if (trial.arm, trial.stage) == (arm, "final"))


def test_an_own_arm_trains_as_the_one_that_it_is_like_on_the_same_images(jardim):
    study = jardim.with_arm("mine", build, like="cnn", optimizer=momentum, learning_rate=0.02)
    assert (jardim.arms, study.arms) == (("cnn",), ("cnn", "mine")) and "mine" not in jardim.paper.arms
    theirs, ours = final(study, "cnn"), final(study, "mine")
    assert theirs == final(jardim, "cnn") and theirs.key == final(jardim, "cnn").key != ours.key
    given = {"learning_rate": 0.02, "trainable": "head", "optimizer": ours.phases[0].optimizer}
    assert ours.phases == (dataclasses.replace(theirs.phases[0], **given),)
    assert ours.phases[0].optimizer.call is momentum and ours.model.function.call is build
    assert (ours.split, ours.seed, ours.monitored, ours.size) == (theirs.split, 0, "test", 240)
    # No number of it is comparable with a printed one, and those of the others stay so.
    assert study.conditions("mine") == ("mine: own model",) and study.conditions("cnn") == ()


def test_a_stored_trial_holds_names_and_hashes_of_functions_but_not_these(jardim):
    trial = final(jardim.with_arm("mine", "test_own_arm:build", like="cnn"), "mine")
    told = json.loads(json.dumps(trial.described()))
    assert told["model"]["function"] == {"name": "test_own_arm:build", "sha256": trial.model.function.sha256}
    assert Stored("key", {"trial": told}).arm == "mine"
    assert Stored("key", {"trial": final(jardim, "cnn").described()}).arm == "CNN without transfer learning"


def test_several_functions_of_one_name_stay_apart(jardim):
    study = jardim
    for width in (8, 16):
        study = study.with_arm(f"width{width}", lambda size, classes, width=width: width, like="cnn")
    study = study.at_seed(1).duplicates_apart()
    assert [final(study, f"width{width}").model.function.call(240, 2) for width in (8, 16)] == [8, 16]


@pytest.mark.parametrize(("paper", "arm"), [("jardim", "cnn"), ("hajhashem", "resnet18"), ("lu", "mobilenet")])
def test_early_stopping_never_monitors_a_test_image(paper, arm, tmp_path):
    plain = study_of(paper, tmp_path, arms=[arm])
    trials = [final(plain.with_arm("mine", build, arm, **given), "mine") for given in ({}, {"early_stopping": 3})]
    table, groups = plain.dataset.table, plain.dataset.group_ids()
    labels = np.asarray(table["label"])
    parts = [splits.assign(labels, groups, trial.split, np.asarray(table["part"])) for trial in trials]
    np.testing.assert_array_equal(parts[0] == "test", parts[1] == "test")
    assert trials[1].monitored == "validation" and (parts[1] == "validation").any()
    # A fifth of the images to train on, unless the protocol has monitored ones.
    share = np.mean(parts[1][parts[1] != "test"] == "validation")
    assert share == pytest.approx(1 / 9 if paper == "lu" else 1 / 5, abs=0.01)
    told = plain.with_arm("mine", build, arm, early_stopping=3).conditions("mine")
    assert any("monitored" in each for each in told) == (paper != "lu")


def test_the_optimizer_of_a_paper_can_be_a_function(jardim):
    study = jardim.with_arm("mine", build, like="cnn").varied("protocol.optimizer", momentum)
    assert {trial.phases[0].optimizer.call for trial in study.trials()} == {momentum}
    assert re.fullmatch(r"optimizer test_own_arm:momentum#\w{8} in place of adam", study.changed[0])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"name": "cnn"}, "expected a new name, .* received 'cnn'"),
        ({"like": "vgg"}, "one of cnn, transfer as like; received 'mine' and 'vgg'"),
        ({"build": "nowhere:build"}, "received nowhere:build"),
        ({"epoch": 3}, "mine: .* not permitted"),
        ({"epochs": 0}, "mine: .* greater than or equal to 1; received 0"),
        ({"optimizer": "momentum"}, "mine: .* received 'momentum'"),
        ({"channels": 2}, "mine: expected 1 or 3; received 2"),
    ],
)
def test_an_arm_that_cannot_be_is_refused_in_one_line(jardim, given, words):
    with pytest.raises(UsageError) as refused:
        jardim.with_arm(**{"name": "mine", "build": build, "like": "cnn", **given})
    assert re.search(words, str(refused.value)) and "\n" not in str(refused.value)


def test_a_paper_can_name_a_function_as_its_model(tmp_path):
    text = (ROOT / "brainlib" / "papers" / "hajhashem.yaml").read_text(encoding="utf-8")
    begin, end = text.index("      kind: transfer"), text.index("    phases:")
    model = '      kind: own\n      function: {value: "test_own_arm:build", stated: "Table 1"}\n'
    model += '      channels: {value: 3, stated: "Table 1"}\n'
    path = tmp_path / "hajhashem.yaml"
    path.write_text(text[:begin] + model + text[end:], encoding="utf-8")
    study = Study(load_paper(path), dataset=study_of("hajhashem", tmp_path).dataset, profile="full", data="elsewhere")
    assert final(study, "resnet18").model.function.call is build
    assert study.conditions("resnet18") == ()  # it is the paper's model


@pytest.mark.slow
def test_the_page_runs(tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "own_model.md").read_text(encoding="utf-8"), re.DOTALL)
    told = "[scores.frame['this run'].notna().sum(), distinct.n, folder.name, panel.alt, len(paired.frame)]"
    script = tmp_path / "page.py"
    script.write_text("\n".join([*blocks, "import json", f"print(json.dumps({told}, default=int))"]), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    scores, distinct, folder, alt, pairs = json.loads(done.stdout.splitlines()[-1])
    assert scores == 4 and 0 < distinct < 12 and pairs > 0 and "mine" in alt
    card = json.loads((tmp_path / folder / "card.json").read_text(encoding="utf-8"))
    assert card["arm"] == "mine" and "mine: own model" in card["conditions"]
    assert card["trial"]["model"]["function"]["name"] == "__main__:build"
