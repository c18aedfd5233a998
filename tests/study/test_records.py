"""Records: what is computed is what is stored and read again."""

from __future__ import annotations

import json
import math

import pytest

from brainlib.study import records
from brainlib.study.records import PaperResult
from brainlib.study.results import Results


@pytest.fixture(autouse=True)
def images_not_looked_at(monkeypatch):
    # Shortcuts are scored on the files, of which these results have none.
    monkeypatch.setattr(records, "run_shortcuts", lambda results: ())


def path_of(results):
    return results.study.options.store.parent / "results" / f"{results.study.paper.id}.json"


@pytest.mark.parametrize("which", ["jardim", "hajhashem"])
def test_what_is_saved_is_read_again(which, request):
    results = request.getfixturevalue(which)
    saved = records.save(results)
    text = path_of(results).read_text()
    json.loads(text, parse_constant=pytest.fail)  # no NaN, which is no JSON
    again = records.read(path_of(results), PaperResult)
    assert again.model_dump_json() == saved.model_dump_json() and again.schema_version == 2
    assert [claim.id for claim in again.claims] == [claim.id for claim in results.study.paper.claims]
    assert "elsewhere" not in text


def test_a_number_that_is_not_defined_is_nan_here_and_null_there(jardim):
    records.save(jardim)
    stored = json.loads(path_of(jardim).read_text())["claims"]
    (p,) = (each for each in stored if each["id"] == "text.p")
    assert p["reproduced"]["low"] is None
    (p,) = (each for each in records.read(path_of(jardim), PaperResult).claims if each.id == "text.p")
    assert math.isnan(p.reproduced.low)


def test_the_record_holds_tests_of_arms_folds_and_seeds_and_calibration(jardim):
    jardim.repeats = [Results(jardim.study.at_seed(1), dict(jardim.trials))]
    saved = records.save(jardim)
    found = [(each.on, each.seed, each.score, each.test.name.split()[0]) for each in saved.tests]
    assert found[:4] == [
        ("test images", seed, score, name)
        for seed in (0, 1)
        for score, name in (("accuracy", "McNemar,"), ("AUC", "DeLong,"))
    ]
    kinds = ("paired", "unpaired", "corrected")
    assert found[4:10] == [(on, 0, "accuracy", name) for on in ("these folds", "printed folds") for name in kinds]
    assert found[10:13] == [("these folds", 1, "accuracy", name) for name in kinds]
    # The printed folds once; then the folds of both seeds as one test.
    assert found[13:] == [("these folds, 2 seeds", 0, "accuracy", "corrected")]
    assert {(each.first, each.second) for each in saved.tests[4:]} == {("transfer", "cnn")}
    printed = next(each.test for each in saved.tests if each.on == "printed folds")
    assert (printed.t, printed.df) == (pytest.approx(0.3706, abs=1e-4), 2)
    on = [(each.on, each.seed) for each in saved.equivalences]
    assert on == [("these folds", 0), ("printed folds", 0), ("these folds", 1), ("these folds, 2 seeds", 0)]
    assert [each.test is None for each in saved.equivalences] == [False, False, False, True]
    assert [each.posterior.n for each in saved.equivalences] == [3, 3, 3, 6]
    assert [(each.arm, each.calibration.curve[0].images) for each in saved.calibration][0] == ("cnn", 600)


def test_conditions_of_one_arm_stand_with_it_and_those_of_all_once(jardim):
    jardim.study.weights["transfer"] = type(jardim.study.weights["transfer"])("random")
    saved = records.save(jardim)
    assert saved.conditions == ()
    assert {arm: each.conditions for arm, each in saved.arms.items()} == {"cnn": (), "transfer": ("random weights",)}
