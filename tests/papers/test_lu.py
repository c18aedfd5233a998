"""The printed figures of Lu et al. as they stand in lu.yaml, against the paper and arithmetic."""

from collections import Counter
from fractions import Fraction

import pytest

from brainlib.papers.loading import load_paper

PAPER = load_paper("lu")
CLAIMS = {claim.id: claim for claim in PAPER.claims}
TABLES = {name: [claim for claim in CLAIMS.values() if claim.id.startswith(f"table{name}.")] for name in range(1, 9)}
COLUMNS = ("val_accuracy", "accuracy", "precision", "recall", "f1")
ARMS = {"efficientnetb3", "resnet50", "vgg16", "mobilenet", "inception_v3"}


def hundredths(claim):
    """A printed percentage as a whole number of hundredths of a percent."""
    return round(Fraction(claim.printed.removesuffix("%").replace(",", ".")) * 100)


@pytest.mark.parametrize("table", TABLES)
def test_each_table_has_five_figures_of_each_of_five_models(table):
    claims = TABLES[table]
    assert [c.id for c in claims] == [
        f"table{table}.{arm}.{column}" for arm in dict.fromkeys(c.arm for c in claims) for column in COLUMNS
    ]
    assert {c.arm for c in claims} == ARMS
    assert {c.scenario for c in claims} == {list(PAPER.scenarios)[(table - 1) // 2]}
    assert {c.phase for c in claims} == {"transfer learning" if table % 2 else "fine-tuning"}
    assert {c.stage for c in claims if c.id.endswith("val_accuracy")} == {"validation"}
    assert {c.stage for c in claims if not c.id.endswith("val_accuracy")} == {"test"}
    metrics = [(c.metric.name, c.metric.average) for c in claims[:5]]
    scores = [(name, "weighted") for name in ("precision", "sensitivity", "f1")]
    assert metrics == [("accuracy", None)] * 2 + scores


def test_accuracies_are_whole_images_of_their_n_but_one_that_is_truncated():
    # The weighted recall is the accuracy once more; precision and F1 are no shares of the images.
    claims = [c for c in CLAIMS.values() if c.n and c.metric.name in ("accuracy", "sensitivity")]
    misfits = [c for c in claims if hundredths(c) not in {round(Fraction(10000 * k, c.n)) for k in range(c.n + 1)}]
    assert [c.id for c in misfits] == ["table7.efficientnetb3.val_accuracy"]
    assert hundredths(misfits[0]) == 10000 * 305 // misfits[0].n  # not 93.56 %, as rounded
    assert "truncated" in misfits[0].n_why


def test_the_sizes_are_those_of_a_fifth_of_each_part_halved():
    sizes = Counter((c.stage, c.n) for claims in TABLES.values() for c in claims)
    for images in (926 + 500, 937 + 500, 901 + 500, 3264):
        fifth = -(-images // 5)
        assert sizes["test", fifth - fifth // 2] and sizes["validation", fifth // 2]
    assert len(sizes) == 8
