"""What papers conclude, by their printed numbers, against comparisons made by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from brainlib.papers.conclusions import Comparison, Place, as_printed
from brainlib.papers.loading import load_paper
from brainlib.papers.schema import Metric
from brainlib.stats.comparisons import probability_false

JARDIM, KRUSZYK, LU = load_paper("jardim"), load_paper("kruszyk"), load_paper("lu")


def by_id(paper):
    return {each.id: each for each in as_printed(paper)}


def changed(paper, **printed):
    """A paper with other prints of some claims; the names have __ for the dots of the ids."""
    prints = {name.replace("__", "."): value for name, value in printed.items()}
    claims = tuple(claim.model_copy(update={"printed": prints.get(claim.id, claim.printed)}) for claim in paper.claims)
    return paper.model_copy(update={"claims": claims})


PRINTED = [
    ("lu", "glioma.before", "holds", ""),
    ("lu", "meningioma.before", "holds", ""),  # 100 % of the validation images, and the highest
    ("lu", "meningioma.before.test", "does not hold", "EfficientNetB3 (transfer learning) 98.61%"),
    ("lu", "meningioma.after", "holds", ""),  # three others have 100 % of the validation images as well
    ("lu", "four.before", "holds", ""),
    ("lu", "four.after", "does not hold", 'four, validation, accuracy: MobileNet ("Ours") (fine-tuning) 97.24%'),
    ("kruszyk", "equal_50_101", "holds", ""),
    ("kruszyk", "outperformed_by_50", "holds", ""),
    ("kruszyk", "validation_loss", "not decided", "ResNet-101 0,3, ResNet-50 0,29"),  # 0.25 to 0.35, and 0.285 to 0.295
    ("kruszyk", "training_loss", "not decided", "ResNet-152 0,09, ResNet-101 0,09"),
    ("kruszyk", "no_duplicates", "no number", "1 of 1"),
    ("hajhashem", "high_sensitivity_and_specificity", "does not hold", "76.9% (20 of 26)"),
    ("jardim", "cnn_ahead", "holds", ""),
    ("jardim", "times", "not decided", "1 minute"),  # 30 to 90 s to 19.5 to 20.5
    ("yim", "best_of_thirteen", "no number", "12 of 12"),
    ("yim", "fine_tuned_transfer_cnn", "holds", ""),
]


@pytest.mark.parametrize(("paper", "conclusion", "verdict", "words"), PRINTED)
def test_a_conclusion_comes_to_what_the_printed_numbers_say(paper, conclusion, verdict, words):
    found = by_id(load_paper(paper))[conclusion]
    assert (found.verdict, words in "; ".join(found.reasons)) == (verdict, True)
    assert found.reasons[0].startswith(verdict) or verdict == "no number"


def test_a_number_that_is_printed_higher_ends_a_conclusion():
    names = ("abstract__pt", "abstract__en", "abstract__es")
    ahead = changed(JARDIM, **{f"{name}__transfer__accuracy": "99.83%" for name in names})
    assert by_id(ahead)["cnn_ahead"].verdict == "does not hold"
    # 598 of 600 against 599.
    assert by_id(ahead)["cnn_ahead"].p_false[0] > 0.5


PLACE = Place("a", "training", "test", "", Metric(name="accuracy"))
BANDS = [
    # kind, value, range, verdict
    ("best", 0, (0.0, 0.0), "holds"),  # a tie
    ("best", 0, (-0.01, 0.02), "not decided"),
    ("best", 0, (-0.02, -0.01), "does not hold"),
    ("order", 0, (0.0, 0.0), "does not hold"),
    ("order", 0, (0.001, 0.02), "holds"),
    ("equal", 0, (-0.01, 0.02), "holds"),
    ("equal", 0, (-0.01, 0.03), "not decided"),
    ("equal", 0, (0.021, 0.03), "does not hold"),
    ("ratio", 2, (1.6, 2.5), "holds"),
    ("ratio", 2, (1.5, 2.5), "not decided"),
    ("ratio", 2, (1.0, 1.5), "does not hold"),
    ("at_least", 0.9, (0.9, 1.0), "holds"),
    ("at_least", 0.9, (0.85, 0.95), "not decided"),
    ("at_least", 0.9, (0.7, 0.89), "does not hold"),
    ("best", 0, (math.nan, math.nan), "not decided"),
]


@pytest.mark.parametrize(("kind", "value", "span", "verdict"), BANDS)
def test_the_verdict_of_a_range(kind, value, span, verdict):
    assert Comparison(kind, PLACE, PLACE, value).verdict(*span) == verdict


def test_a_conclusion_of_which_a_part_is_not_printed_is_not_decided():
    claims = tuple(claim for claim in KRUSZYK.claims if not claim.id.endswith("resnet101.time"))
    found = by_id(KRUSZYK.model_copy(update={"claims": claims}))["times"]
    assert found.verdict == "not decided" and "without numbers: 1 of 2 comparisons" in found.reasons


# P(false)


@pytest.mark.parametrize(("a", "b", "n"), [(598, 588, 600), (140, 138, 143), (43, 40, 51)])
def test_the_probability_of_a_false_conclusion_is_that_of_the_dirichlet_posterior(a, b, n):
    # Models that agree as much as they can, and whose errors are independent: images right by the first alone, the
    # second alone, both and neither.
    for expected, both in zip(probability_false(a, b, n), (min(a, b), a * b / n), strict=True):
        counts = np.array([a - both, b - both, both, n - a - b + both]) + 1
        drawn = stats.dirichlet(counts).rvs(200_000, random_state=0)
        assert np.mean(drawn[:, 0] <= drawn[:, 1]) == pytest.approx(expected, abs=0.004)


def test_the_probability_of_a_false_conclusion_by_hand():
    # One image more, all else the same: a Beta(2, 1) is at most 1/2 with probability 1/4; k images more: 2^-(k + 1).
    assert probability_false(143, 142, 143)[0] == pytest.approx(1 / 4)
    assert probability_false(598, 588, 600)[0] == pytest.approx(2.0**-11)
    assert probability_false(300, 300, 327) == pytest.approx((0.5, 0.5))
    low, high = probability_false(140, 138, 143)
    assert low < high < 0.5 and probability_false(138, 140, 143) == pytest.approx((1 - high, 1 - low))


def test_the_probability_bounds_all_comparisons_of_a_conclusion():
    # ResNet50 has an image more than EfficientNetB3 on 143 validation images, as than three others.
    low, high = by_id(LU)["glioma.before"].p_false
    one = probability_false(143, 142, 143)
    assert low == pytest.approx(one[0]) and high == pytest.approx(min(1.0, 4 * one[1]))
    assert by_id(KRUSZYK)["equal_50_101"].p_false is None
