"""What the printed numbers say by themselves, against arithmetic done by hand and by brute force."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
import sklearn.metrics

from brainlib.papers.consistency import check_paper, confusion, folds, sizes
from brainlib.papers.consistency.arithmetic import matrices, weighted_matrices
from brainlib.papers.consistency.checks import ranges
from brainlib.papers.loading import load_paper, paper_ids


def changed(paper, **printed):
    """A paper with other prints of some claims; the names have _ for the dots of the ids."""
    prints = {name.replace("__", "."): value for name, value in printed.items()}
    assert set(prints) <= {claim.id for claim in paper.claims}
    claims = tuple(claim.model_copy(update={"printed": prints.get(claim.id, claim.printed)}) for claim in paper.claims)
    return paper.model_copy(update={"claims": claims})


JARDIM, LU, YIM = load_paper("jardim"), load_paper("lu"), load_paper("yim")
HAJHASHEM, KRUSZYK = load_paper("hajhashem"), load_paper("kruszyk")
FOLD_1 = "table1.cnn.fold1.accuracy"


CASES = [
    # method, paper with other prints, first claim of the check, finding, what its sentence says
    (confusion.places, LU, {}, "abstract.f1", "conditional", "97.855 to 97.86 was rounded"),
    # Beside 0.8431, which is 84.305 to 84.315 % rounded and 84.31 to 84.32 % truncated.
    (confusion.places, HAJHASHEM, {}, "abstract.accuracy", "consistent", "84.31% (Abstract)"),
    (confusion.places, HAJHASHEM, {"abstract__accuracy": "84%"}, "abstract.accuracy", "consistent", ""),
    (confusion.places, HAJHASHEM, {"abstract__accuracy": "84.30%"}, "abstract.accuracy", "conditional", ""),
    (confusion.places, HAJHASHEM, {"abstract__accuracy": "84.29%"}, "abstract.accuracy", "impossible", ""),
    (confusion.places, HAJHASHEM, {"abstract__accuracy": "84.32%"}, "abstract.accuracy", "conditional", ""),
    (confusion.places, HAJHASHEM, {"abstract__accuracy": "84.33%"}, "abstract.accuracy", "impossible", ""),
    # Whole numbers of images.
    (confusion.proportions, JARDIM, {}, FOLD_1, "impossible", "783 of 800 is 97.8750 %, 784 of 800 is 98.0000 %"),
    (
        confusion.proportions, LU, {}, "table7.efficientnetb3.val_accuracy", "conditional",
        "305 of 326 is 93.5583 %",
    ),
    # Confusion matrices.
    (
        confusion.binary_rows, JARDIM, {}, "abstract.pt.transfer.accuracy", "conditional",
        "297 positives and 303 negatives, of which 292 and 296 are classified correctly",
    ),
    (confusion.binary_rows, JARDIM, {}, FOLD_1, "impossible", "cannot equal the one and not the other"),
    # 778 of 800 right; one class of 80 images, 67 of them found, and 711 of 720 others: 98.75 %.
    (
        confusion.binary_rows, JARDIM, {}, "table1.transfer.fold3.accuracy", "conditional",
        "only if the sensitivity is a recall weighted by the images of each class",
    ),
    # Reports of classes: 297 and 298 of 300 are 0.99, 0.9933.
    (confusion.class_reports, YIM, {"table1__glioma__recall": "0.9925"}, "table1.glioma.precision", "impossible", ""),
    (
        confusion.class_reports, YIM, {"table1__accuracy": "0.9855"}, "table1.accuracy", "impossible",
        "1292 to 1292 right",
    ),
    # Folds 97.94, 97.34, 97.70: squared deviations 0.1824 around 97.66. Over 2 that is 0.0912, of which the
    # square root is 0.302; over 3 it is 0.0608, of which it is 0.2466.
    (folds.spreads, JARDIM, {}, "table1.cnn.variance.accuracy", "consistent", "divisor k - 1"),
    (folds.spreads, JARDIM, {}, "text.cnn.sd.accuracy", "impossible", "0.2967 to 0.3073 %"),
    (
        folds.spreads, JARDIM, {"table1__cnn__variance__accuracy": "0.061%"}, "table1.cnn.variance.accuracy",
        "conditional", "only as the population variance",
    ),
    (folds.means, JARDIM, {}, "table1.cnn.mean.accuracy", "consistent", ""),
    (
        folds.means, JARDIM, {"table1__cnn__mean__accuracy": "97.68%"}, "table1.cnn.mean.accuracy", "impossible",
        "not the same, rounded or truncated",
    ),
    # The folds as printed give a paired t of 0.3706; rounding leaves 0.33 to 0.41.
    (folds.t_values, JARDIM, {}, "text.t", "consistent", "T ≈ 0.3977"),
    (folds.t_values, JARDIM, {"text__t": "T ≈ 0.3706"}, "text.t", "consistent", "paired t"),
    (folds.t_values, JARDIM, {"text__t": "T ≈ 0.42"}, "text.t", "conditional", "means and standard deviations"),
    (folds.t_values, JARDIM, {"text__t": "T ≈ 1.2"}, "text.t", "impossible", "none of the paired t"),
    (folds.p_values, JARDIM, {}, "text.p", "consistent", "paired t of the printed folds, 2 degrees of freedom: p ="),
    (folds.p_values, JARDIM, {"text__p": "p < 0.05"}, "text.p", "impossible", ""),
]  # fmt: skip


@pytest.mark.parametrize(("method", "paper", "printed", "claim", "finding", "words"), CASES)
def test_a_check_finds_what_arithmetic_by_hand_finds(method, paper, printed, claim, finding, words):
    (check,) = [check for check in method(changed(paper, **printed)) if check.claims[0] == claim]
    assert check.finding == finding and words in check.sentence
    if method.__module__.endswith("folds"):  # the folds themselves are not suspect
        assert check.suspect == (claim,) * (finding == "impossible") and len(check.claims) > 3
    else:
        assert check.suspect == check.claims[: len(check.suspect)] and bool(check.suspect) == (finding == "impossible")


# Confusion matrices


def test_the_printed_scores_of_hajhashem_are_those_of_one_matrix():
    (row,) = confusion.rows_of(HAJHASHEM)
    assert matrices(ranges(row, "rounded"), 51) == {25: (23, 20)}


def of_matrix(template, tp, fn, fp, tn, truncated=False):
    """A row with the scores of a matrix, printed with two digits of a percentage."""
    n = tp + fn + fp + tn
    exact = {
        "accuracy": (tp + tn) / n,
        "sensitivity": tp / (tp + fn),
        "specificity": tn / (tn + fp),
        "precision": tp / (tp + fp),
        "f1": 2 * tp / (2 * tp + fp + fn),
    }
    row = []
    for claim in template:
        value = 100 * exact[claim.metric.name]
        digits = f"{math.floor(100 * value + 1e-9) / 100:.2f}" if truncated else f"{value:.2f}"
        row.append(claim.model_copy(update={"printed": f"{digits}%", "unit": "%"}))
    return row


def test_scores_of_a_matrix_always_fit_it():
    (template,) = confusion.rows_of(HAJHASHEM)
    rng = np.random.default_rng(0)
    for _ in range(20):
        tp, fn, fp, tn = rng.integers(1, 20, 4).tolist()
        n = tp + fn + fp + tn
        assert tp + fn in matrices(ranges(of_matrix(template, tp, fn, fp, tn), "rounded"), n)
        truncated = of_matrix(template, tp, fn, fp, tn, truncated=True)
        assert tp + fn in matrices(ranges(truncated, "either"), n)


def test_matrices_are_those_of_a_search_through_all():
    (template,) = confusion.rows_of(HAJHASHEM)
    row = of_matrix(template, 7, 2, 3, 5)
    brute = set()
    for positives in range(1, 17):
        for tp in range(1, positives + 1):
            for tn in range(17 - positives + 1):
                other = of_matrix(template, tp, positives - tp, 17 - positives - tn, tn)
                if [x.printed for x in other] == [x.printed for x in row]:
                    brute.add(positives)
    assert set(matrices(ranges(row, "rounded"), 17)) == brute == {9}


# Weighted averages


def test_weighted_scores_of_a_matrix_always_fit_it():
    template = next(r for r in confusion.rows_of(LU, "weighted") if r[0].scenario == "glioma")
    rng = np.random.default_rng(0)
    for _ in range(20):
        size, other = rng.integers(5, 30, 2)
        truth = np.repeat([0, 1], [size, other])
        predicted = np.where(rng.random(size + other) < 0.2, 1 - truth, truth)
        given = {"average": "weighted", "zero_division": 0}
        exact = {
            "accuracy": sklearn.metrics.accuracy_score(truth, predicted),
            "precision": sklearn.metrics.precision_score(truth, predicted, **given),
            "sensitivity": sklearn.metrics.recall_score(truth, predicted, **given),
            "f1": sklearn.metrics.f1_score(truth, predicted, **given),
        }
        row = [x.model_copy(update={"printed": f"{100 * exact[x.metric.name]:.2f}%"}) for x in template]
        assert size in weighted_matrices(ranges(row, "rounded"), len(truth))


def test_one_row_of_lu_comes_from_no_matrix():
    ids = [f"table5.efficientnetb3.{name}" for name in ("accuracy", "precision", "recall", "f1")]
    (check,) = [check for check in confusion.weighted_rows(LU) if check.claims == tuple(ids)]
    assert check.finding == "impossible"
    # By hand: 139 of 141 right, so two errors, whatever their kinds and the sizes of the classes.
    given = {"average": "weighted", "zero_division": 0}
    for size in (50, 51, 90, 91):
        truth = np.repeat([0, 1], [size, 141 - size])
        for first in (0, 1, 2):
            predicted = truth.copy()
            predicted[:first] = 1
            predicted[len(predicted) - (2 - first) :] = 0
            precision = sklearn.metrics.precision_score(truth, predicted, **given)
            f1 = sklearn.metrics.f1_score(truth, predicted, **given)
            assert (f"{precision:.4f}", f"{f1:.4f}") != ("0.9858", "0.9857")


def test_a_collapsed_row_with_a_good_validation_accuracy_is_of_two_epochs():
    checks = list(confusion.collapsed_rows(LU))
    assert [check.finding for check in checks] == ["conditional"] * 2
    assert all("another epoch" in check.sentence for check in checks)
    assert {check.claims[0].split(".")[0] for check in checks} == {"table6", "table8"}


# Reports of classes


def test_the_classes_of_yim_allow_1305_right():
    checks = list(confusion.class_reports(YIM))
    assert {check.finding for check in checks} == {"consistent"}
    # A recall of 1.00 is 0.995 to 1, so 403 to 405 of 405 images.
    assert any("403 to 405 of its 405 images found" in check.sentence for check in checks)


# Folds


def test_each_reading_of_a_t_test_is_given_whether_it_fits_or_not():
    (found,) = [check for check in folds.t_values(JARDIM) if check.claims[0] == "text.t"]
    fitting, _, others = found.sentence.partition("; not ")
    # As printed the folds have a paired t of 0.3706, an unpaired one of 0.3041 and a corrected one of 0.2344; and
    # 0.10 / sqrt((0.328^2 + 0.287^2) / 3) = 0.3974.
    assert "the paired t of the printed folds, 2 degrees of freedom (0.3347 to 0.4065)" in fitting
    assert (
        "the unpaired t of the printed means and standard deviations, 4 degrees of freedom (0.3571 to 0.43" in fitting
    )
    assert "the unpaired t of the printed folds" in others and "the corrected resampled t" in others
    assert "0.328% and 0.287% are no spread of these folds" in others


def test_the_range_of_a_variance_over_ranges_of_its_values():
    # Two values from 1 to 2 each: equal at best, 1 and 2 at worst, whose sample variance is 1/2.
    low, high = folds._extremes(lambda x: float(np.var(x, ddof=1)), [(1.0, 2.0), (1.0, 2.0)])
    assert (low, high) == (pytest.approx(0, abs=1e-6), pytest.approx(0.5))


# Sizes


def test_sizes_of_parts_and_what_a_truncated_number_does_to_them():
    checks = {check.sentence.split(":")[0]: check for check in sizes.part_sizes(LU)}
    assert len(checks) == 8
    assert checks["all four classes, validation part"].finding == "conditional"
    others = {c.finding for name, c in checks.items() if name != "all four classes, validation part"}
    assert others == {"consistent"}


def test_the_size_tells_which_set_was_used():
    (check,) = sizes.whose_set(HAJHASHEM)
    assert "51, 600, 612, 613, 620, 653, 1405 images" in check.sentence
    # 51 x 155/253 and 612 x 1500/3060 tumours are expected.
    assert "51 of Brain MRI Images for Brain Tumor Detection (253 images) with 25 tumours" in check.sentence
    assert "a plain draw has 31.2, and 25 or fewer in 3.3%" in check.sentence
    assert "Br35H :: Brain Tumor Detection 2020 (3060 images) with 300 tumours" in check.sentence
    assert list(sizes.whose_set(JARDIM)) == []  # which names its set


def test_counts_of_kruszyk_give_its_accuracy_and_need_an_unstratified_draw():
    checks = list(sizes.confusion_counts(KRUSZYK))
    assert "176 + 182 + 89 + 143 = 590 right of 620 is 0.9516" in checks[0].sentence
    assert [check.finding for check in checks] == ["consistent", "impossible", "conditional", "conditional"]


def test_counts_that_hold_more_images_than_there_are_are_impossible_as_read_literally():
    found = [check for check in sizes.confusion_counts(KRUSZYK) if check.method == "counts against the images"]
    assert "590 right and 19 + 19 mistaken are 628 of 620 images" in found[0].sentence and "609" in found[0].sentence
    assert found[0].suspect == ("results.resnet50.glioma_as_meningioma", "results.resnet50.meningioma_as_glioma")
    fewer = changed(KRUSZYK, results__resnet50__meningioma_as_glioma="3")
    assert [check.finding for check in sizes.confusion_counts(fewer)][1] == "consistent"


def test_the_test_parts_of_lu_come_from_a_division_of_each_scenario():
    # 143 + 144 + 141 - 327 = 101 is not twice a number of normal images; 142 + 144 + 140 - 326 = 100 is.
    found = {check.sentence.split()[0]: check for check in sizes.divisions(LU)}
    assert {part: check.finding for part, check in found.items()} == {"test": "conditional", "validation": "consistent"}
    assert "so if 50 of them are normal" in found["validation"].sentence
    assert list(sizes.divisions(YIM)) == []


def test_images_that_do_not_add_up_are_impossible():
    paper = changed(JARDIM, dataset__images__yes="1400")
    findings = [check.finding for check in sizes.totals(paper)]
    assert findings.count("impossible") == 1


# All of it


@pytest.mark.parametrize("paper", paper_ids())
def test_every_check_names_claims_of_its_paper_and_says_a_sentence(paper):
    ids = {claim.id for claim in load_paper(paper).claims}
    checks = check_paper(load_paper(paper))
    assert checks
    for check in checks:
        assert check.paper == paper and check.claims and set(check.claims) <= ids
        assert check.finding in ("consistent", "conditional", "impossible")
        assert check.sentence.endswith(".") and "\n" not in check.sentence
        assert not any(word in check.sentence for word in ("nan", "None", "inf "))


def test_the_page_of_results_counts_what_the_checks_find():
    text = (Path(__file__).parents[2] / "docs" / "results.md").read_text(encoding="utf-8")
    for paper in paper_ids():
        findings = [check.finding for check in check_paper(load_paper(paper))]
        counts = [len(findings), findings.count("impossible"), findings.count("conditional")]
        assert f"| `{paper}` | {counts[0]} | {counts[1]} | {counts[2]} |" in text


def test_the_readme_counts_what_is_impossible():
    checks = [check for paper in paper_ids() for check in check_paper(load_paper(paper))]
    found = [check for check in checks if check.finding == "impossible"]
    numbers = {(check.paper, claim) for check in found for claim in check.suspect}
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    text = " ".join(re.sub("<!--.*?-->", "", text).split())
    assert f"{len(found)} of {len(checks)} checks of the printed numbers end in *impossible*" in text
    assert f"they concern {len(numbers)} numbers" in text
