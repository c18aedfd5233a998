"""A verdict for every printed number, from predictions whose scores are known by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from made_up import result, with_images

from brainlib.study import verdicts
from brainlib.study.results import Results
from brainlib.study.verdicts import judge


def judged(results, claim_id):
    return next(claim for claim in judge(results) if claim.id == claim_id)


def test_the_implied_matrix_gives_the_printed_figures_but_fifty_images_confirm_nothing(hajhashem):
    claims = {claim.id.removeprefix("abstract."): claim for claim in judge(hajhashem)}
    for name, value in {"accuracy": 43 / 51, "precision": 23 / 29, "recall": 23 / 25, "f1": 46 / 54}.items():
        assert claims[name].reproduced.value == pytest.approx(value, abs=1e-12)
    assert claims["accuracy"].reproduced.high - claims["accuracy"].reproduced.low > 0.15
    assert claims["accuracy"].verdict == "inconclusive"


def test_each_claim_of_jardim_is_judged_by_its_own_rule(jardim):
    claims = {claim.id: claim for claim in judge(jardim)}

    # 598 of 600 right: Wilson's interval 98.79 to 99.91 % lies within two points of 99.67 %.
    assert claims["abstract.en.cnn.accuracy"].verdict == "reproduced"
    assert claims["dataset.images"].verdict == "reproduced"
    assert claims["dataset.images.yes"].verdict == "reproduced"
    assert claims["dataset.test_images"].verdict == "reproduced"
    assert claims["text.t"].verdict == "inconclusive"
    assert "no interval" in claims["text.t"].reasons[0]
    # The arms differ by a quarter of a point in every fold: without any variance p is 0.
    assert claims["text.p"].reproduced.value == 0 and claims["text.p"].verdict == "not reproduced"
    # Unpaired t of 0.6124 on 4 degrees of freedom: p = 0.573.
    assert claims["text.p"].reasons[-1] == "judged by the paired t; unpaired p = 0.5734, corrected resampled p = 0"
    assert claims["text.cnn.training_time"].verdict == "not comparable"
    assert "another machine" in claims["text.cnn.training_time"].reasons[0]
    assert claims["methods.epochs"].verdict == "not computed"
    assert "protocol.loss" in claims["methods.output_units"].reasons[0]


def test_another_t_test_is_another_value_of_the_protocol(jardim):
    other = Results(jardim.study.varied("protocol.t_test", "unpaired"), jardim.trials)
    claim = judged(other, "text.p")
    assert claim.reproduced.value == pytest.approx(0.5733, abs=1e-3)
    assert "unpaired t" in claim.reproduced.method and claim.reasons[-1].startswith("judged by the unpaired t; paired")
    assert "t test unpaired in place of paired" in claim.reasons


def test_what_no_folds_can_give_is_inconsistent_whatever_was_run(jardim):
    claims = {claim.id: claim for claim in judge(jardim)}
    for name in ("text.cnn.sd.accuracy", "table1.cnn.fold1.accuracy"):
        assert claims[name].verdict == "inconsistent as printed" and math.isfinite(claims[name].reproduced.value)
    assert "0.2967 to 0.3073 %" in claims["text.cnn.sd.accuracy"].reasons[0]
    # The deviation was only compared with its folds, and that of the transfer arm fits 800 images.
    assert claims["table1.cnn.mean.accuracy"].verdict != "inconsistent as printed"


def test_a_count_of_other_images_is_not_comparable(jardim):
    other = with_images(jardim, table=jardim.study.dataset.table.iloc[:-1], duplicates=np.arange(2999))
    claim = judged(other, "dataset.images")
    assert (claim.reproduced.value, claim.verdict) == (2999, "not comparable")
    assert claim.reasons == ("other images than the paper's",)


def test_a_condition_of_one_arm_does_not_touch_the_other(jardim):
    jardim.study.weights["transfer"] = type(jardim.study.weights["transfer"])("random")
    assert judged(jardim, "abstract.en.cnn.accuracy").verdict == "reproduced"
    for name in ("abstract.en.transfer.accuracy", "text.p", "text.t"):
        claim = judged(jardim, name)
        assert claim.verdict == "not comparable"
        assert "transfer: random weights" in claim.reasons


def test_each_claim_is_judged_once_however_many_seeds_there_are(jardim, monkeypatch):
    counted = []
    reproduce = verdicts._reproduce
    monkeypatch.setattr(verdicts, "_reproduce", lambda claim, results: counted.append(1) or reproduce(claim, results))
    jardim.repeats = [Results(jardim.study.at_seed(seed), dict(jardim.trials)) for seed in (1, 2, 3)]
    for _ in range(2):
        claims = judge(jardim)
    # As published, without duplicates, and once a seed.
    assert len(counted) <= 6 * sum(claim.reproduced is not None for claim in claims)
    assert {len(claim.by_seed) for claim in claims if claim.reproduced} == {4}


def test_what_is_computed_for_each_seed_stands_with_its_claim(jardim):
    other = Results(jardim.study.at_seed(1), dict(jardim.trials))
    trial = jardim.trials["", "cnn", "final"].trial
    other.trials["", "cnn", "final"] = result(trial, (290, 7, 2, 301))
    jardim.repeats = [other]
    accuracy, setting = judged(jardim, "conclusion.cnn.accuracy"), judged(jardim, "methods.epochs")
    # 598 and 591 of 600; 12.706 standard errors of 0.5833 points either way, of two values.
    assert accuracy.by_seed == pytest.approx((598 / 600, 591 / 600))
    mean = accuracy.mean_over_seeds
    assert (mean.value, mean.low, mean.high) == pytest.approx((0.99083, 0.9167, 1.0650), abs=1e-4)
    assert (setting.by_seed, setting.mean_over_seeds, setting.margin) == ((), None, None)
    assert accuracy.margin == 0.02
    assert judged(jardim, "table1.cnn.variance.accuracy").margin == pytest.approx(0.005**2)


def test_a_printed_accuracy_has_the_sampling_error_of_its_images(jardim):
    # Wilson for 598 of 600; of how many images the sensitivity is, the paper does not say.
    interval = judged(jardim, "conclusion.cnn.accuracy").printed_interval
    assert (interval.low, interval.high) == pytest.approx((0.9879, 0.9991), abs=1e-4)
    assert judged(jardim, "abstract.en.cnn.sensitivity").printed_interval is None
