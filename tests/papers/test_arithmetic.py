"""What printed scores imply, against counts made by hand and the tables of Lu et al."""

from fractions import Fraction

import numpy as np
import pytest
import sklearn.metrics

from brainlib.errors import UsageError
from brainlib.papers.consistency import arithmetic
from brainlib.papers.consistency.arithmetic import Sizes, collapse_rows, fitting_sizes, is_collapsed, matrices
from brainlib.papers.printed import printed_number

# Tables VII and VIII of Lu et al., four classes.
TEST = "91.13 92.05 86.85 85.93 81.65 97.55 95.11 15.29 97.86 97.55"
VALIDATION = "93.55 94.17 86.50 89.88 83.13 97.55 97.24 65.03 97.24 97.24"

PITUITARY_VGG16 = "35.46 12.57 35.46 18.57"
FOUR_VGG16 = "15.29 2.34 15.29 4.06"
PITUITARY_OURS = "99.29 99.30 99.29 99.29"


def percent(text):
    return [printed_number(f"{number}%") for number in text.split()]


def test_a_third_and_two_thirds_fit_the_multiples_of_three():
    thirds = tuple(range(3, 31, 3))
    # 66.67 % is rounded up: truncated it would be 66.66 %.
    assert fitting_sizes(percent("33.33 66.67"), 30) == Sizes(thirds, thirds)
    assert fitting_sizes(percent("33.33 66.66"), 30) == Sizes((), thirds)
    assert fitting_sizes(percent("33.33"), 30, least=10).rounded == thirds[3:]
    everything = tuple(range(1, 21))
    assert fitting_sizes(percent("0.00 100.00"), 20) == Sizes(everything, everything)


def test_a_half_may_be_rounded_up_or_to_the_even_digit():
    # 1/8 is 12.5 %, 3/8 is 37.5 %, 5/8 is 62.5 %: each halfway between two whole percents.
    for text in ("12", "13", "37", "38", "62", "63"):
        assert 8 in fitting_sizes(percent(text), 8).rounded
    assert 8 not in fitting_sizes(percent("36"), 8).rounded
    assert fitting_sizes(percent("39"), 8).rounded == ()


def test_a_number_may_be_a_fraction_with_any_digits():
    # Haj Hashem Khani and Maleki Nodehi: 43 of 51.
    assert 51 in fitting_sizes([printed_number("0.8431")], 60).rounded
    assert fitting_sizes([printed_number("0.5")], 4).rounded == (2, 4)  # 1/3, 2/3 are 0.3, 0.7
    assert fitting_sizes([printed_number("0.3333333333")], 9).rounded == (3, 6, 9)


def test_the_sizes_agree_with_a_search_through_all_counts():
    rng = np.random.default_rng(0)
    for _ in range(10):
        n = int(rng.integers(20, 120))
        texts = [f"{100 * k / n:.1f}" for k in rng.integers(0, n + 1, 3)]
        rounded, either = [], []
        for m in range(1, 121):
            errors = [[Fraction(100 * k, m) - Fraction(text) for k in range(m + 1)] for text in texts]
            half, unit = Fraction(1, 20), Fraction(1, 10)
            if all(any(abs(e) <= half for e in row) for row in errors):
                rounded.append(m)
            if all(any(abs(e) <= half or 0 <= e < unit for e in row) for row in errors):
                either.append(m)
        assert n in rounded
        assert fitting_sizes(percent(" ".join(texts)), 120) == Sizes(tuple(rounded), tuple(either))


def test_lus_test_accuracies_are_of_327_images():
    sizes = fitting_sizes(percent(TEST), 653)
    assert sizes == Sizes((327,), (327,))
    assert set(range(327, 4001, 327)) <= set(fitting_sizes(percent(TEST), 4000).rounded)


def test_lus_validation_accuracies_are_of_326_images_with_one_of_them_truncated():
    assert fitting_sizes(percent(VALIDATION), 4000).rounded == ()
    assert fitting_sizes(percent(VALIDATION), 651) == Sizes((), (326,))
    # 305 of 326 is 93.558 %, printed as 93.55 %; the other nine are rounded.
    assert fitting_sizes(percent(VALIDATION.replace("93.55 ", "")), 651).rounded == (326,)


@pytest.mark.parametrize("printed", ["101%", "-0.5", ">97%"])
def test_a_number_that_is_no_proportion_is_refused_in_one_line(printed):
    with pytest.raises(UsageError, match=r"\Aexpected .*, received .*\Z"):
        fitting_sizes([printed_number(printed)], 10)


def scores(accuracy, n, classes, average):
    """Accuracy, precision, sensitivity and F1 of a collapsed model by one average."""
    return list(collapse_rows(accuracy, n, classes)[average].values())


@pytest.mark.parametrize(
    ("row", "accuracy", "n", "classes"), [(PITUITARY_VGG16, 0.3546, 141, 2), (FOUR_VGG16, 0.1529, 327, 4)]
)
def test_lus_collapsed_rows_of_50_images_show_that_the_averages_are_weighted(row, accuracy, n, classes):
    a = 50 / n
    weighted = scores(accuracy, n, classes, "weighted")
    assert weighted == pytest.approx([a, a**2, a, 2 * a**2 / (1 + a)])
    assert [f"{100 * score:.2f}" for score in weighted] == row.split()
    macro = scores(accuracy, n, classes, "macro")
    assert macro == pytest.approx([a, a / classes, 1 / classes, 2 * a / (1 + a) / classes])


def test_the_rows_of_a_collapse_are_the_scores_of_such_predictions():
    truth, predicted = [0] * 3 + [1] * 5 + [2] * 2, [1] * 10
    for average in ("weighted", "macro"):
        expected = sklearn.metrics.precision_recall_fscore_support(truth, predicted, average=average, zero_division=0)
        assert scores(0.5, 10, 3, average)[1:] == pytest.approx(expected[:3])


def collapsed(row, n):
    numbers = percent(row)
    return is_collapsed({name: one.rounded for name, one in zip(arithmetic.FOUR, numbers, strict=True)}, n)


@pytest.mark.parametrize(
    ("row", "n", "expected"),
    [
        (PITUITARY_VGG16, 141, True),
        (PITUITARY_VGG16, 140, False),  # of which no number is 35.46 %
        (FOUR_VGG16, 327, True),
        ("50 25 50 33", 8, True),
        ("50.00 25.00 50.00 33.35", 20_000, False),  # 50.005 % would give 33.34 %
        ("50.00 25.02 50.00 33.33", 20_000, False),
        ("50.00 25.00 50.02 33.33", 20_000, False),
        ("0.00 0.00 0.00 0.00", 7, True),
        (PITUITARY_OURS, 141, False),
        ("87.41 88.33 87.41 86.83", 143, False),  # Table II, VGG16
        ("100.00 100.00 100.00 100.00", 10, False),
        ("95.00 90.25 95.00 92.56", 20, False),  # fits, but says nothing of an ordinary good model
    ],
)
def test_a_row_is_collapsed_where_one_share_gives_all_four_numbers(row, n, expected):
    assert collapsed(row, n) is expected


def test_a_row_that_any_collapse_prints_is_recognised():
    for n in (51, 141, 327):
        for k in range(1, int(0.89 * n)):
            a = k / n
            assert collapsed(" ".join(f"{100 * v:.2f}" for v in (a, a**2, a, 2 * a**2 / (1 + a))), n)


def test_the_ends_of_the_ranges_exclude_no_number_of_positives_that_the_search_admits(monkeypatch):
    rng = np.random.default_rng(2)
    names = np.array(["accuracy", "sensitivity", "specificity", "precision", "f1"])
    admitted = 0
    for _ in range(15):
        n = int(rng.integers(10, 40))
        positives = int(rng.integers(1, n))
        tp, tn = int(rng.integers(0, positives + 1)), int(rng.integers(0, n - positives + 1))
        exact = {
            "accuracy": (tp + tn) / n,
            "sensitivity": tp / positives,
            "specificity": tn / (n - positives),
            "precision": tp / max(tp + n - positives - tn, 1),
            "f1": 2 * tp / (tp + n - tn),
        }
        row = {name: exact[name] + rng.choice([0, 0.02]) for name in rng.choice(names, 3, replace=False)}
        ranges = {name: (value - 0.005, value + 0.005) for name, value in row.items() if value <= 1}
        found = matrices(ranges, n)
        with monkeypatch.context() as everything:
            everything.setattr(arithmetic, "_not_excluded", lambda ranges, n: list(range(1, n)))
            assert matrices(ranges, n) == found
        admitted += bool(found)
    assert 0 < admitted
