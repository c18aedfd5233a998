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
    assert metrics == [
        ("accuracy", None),
        ("accuracy", None),
        ("precision", "weighted"),
        ("sensitivity", "weighted"),
        ("f1", "weighted"),
    ]


@pytest.mark.parametrize(
    ("row", "printed"),
    [
        ("table1.inception_v3", "99.30% 93.01% 93.11% 93.01% 93.04%"),
        ("table2.vgg16", "99.30% 87.41% 88.33% 87.41% 86.83%"),
        ("table3.mobilenet", "97.22% 95.14% 95.17% 95.14% 95.15%"),
        ("table4.resnet50", "100.00% 86.11% 90.08% 86.11% 86.44%"),
        ("table5.efficientnetb3", "100.00% 98.58% 98.58% 98.58% 98.57%"),
        ("table6.vgg16", "94.29% 35.46% 12.57% 35.46% 18.57%"),
        ("table7.resnet50", "94.17% 92.05% 92.18% 92.05% 92.06%"),
        ("table8.mobilenet", "97.24% 97.86% 97.91% 97.86% 97.86%"),
    ],
)
def test_rows_read_off_the_paper(row, printed):
    assert [CLAIMS[f"{row}.{column}"].printed for column in COLUMNS] == printed.split()


def test_figures_of_the_text_are_kept_as_printed():
    assert CLAIMS["abstract.f1"].printed == "97.85%"  # 97.86 % everywhere else
    assert CLAIMS["scenario4.resnet50.val_accuracy"].printed == "94,17%"
    assert CLAIMS["scenario1.test_images"].printed == "143"
    counts = [CLAIMS[f"abstract.images.{name}"] for name in ("glioma", "meningioma", "pituitary", "normal")]
    assert [c.printed for c in counts] == ["926", "937", "901", "500"]
    assert sum(int(c.printed) for c in counts) == int(CLAIMS["abstract.images"].printed)


def test_every_figure_that_can_be_computed_is_one_number_of_its_unit():
    for claim in (c for c in CLAIMS.values() if c.metric):
        printed = claim.number
        assert printed.value <= 1 if claim.unit == "%" else printed.value > 100, claim.id


@pytest.mark.parametrize(("row", "n"), [("table6.vgg16", 141), ("table8.vgg16", 327)])
def test_calling_all_images_normal_gives_vgg16s_rows_by_weighted_averages(row, n):
    # Of the one class that is ever predicted precision is 50/n and recall 1; the rest counts 0.
    share = precision = Fraction(50, n)
    f1 = 2 * precision / (precision + 1)
    expected = [share, share * precision, share, share * f1]
    claims = [CLAIMS[f"{row}.{column}"] for column in COLUMNS[1:]]
    assert [c.printed for c in claims] == [f"{float(100 * value):.2f}%" for value in expected]
    assert {c.n for c in claims} == {n}


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
