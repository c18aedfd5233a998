"""What the printed numbers say by themselves, against arithmetic done by hand and by brute force."""

from __future__ import annotations

import math
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


def found(checks, *claims):
    """The one check of these claims, no more and no less."""
    (one,) = [check for check in checks if check.claims == claims]
    return one


JARDIM, LU, YIM = load_paper("jardim"), load_paper("lu"), load_paper("yim")
HAJHASHEM, KRUSZYK = load_paper("hajhashem"), load_paper("kruszyk")
FOLDS = [f"table1.cnn.fold{fold}.accuracy" for fold in (1, 2, 3)]


# One number in several places


def test_two_prints_of_a_number_that_was_truncated_once_are_conditional():
    check = found(confusion.places(LU), "abstract.f1", "scenario4.mobilenet.f1", "table8.mobilenet.f1", "conclusion.f1")
    assert check.finding == "conditional"
    assert "97.85% (Abstract)" in check.sentence and "97.855 to 97.86 was rounded" in check.sentence


@pytest.mark.parametrize(
    ("abstract", "finding"),
    [
        ("84.31%", "consistent"),
        ("84%", "consistent"),
        ("84.30%", "conditional"),
        ("84.29%", "impossible"),
        ("84.32%", "conditional"),
        ("84.33%", "impossible"),
    ],
)
def test_prints_that_agree_and_that_do_not(abstract, finding):
    # Beside 0.8431, which is 84.305 to 84.315 % rounded and 84.31 to 84.32 % truncated.
    paper = changed(HAJHASHEM, abstract__accuracy=abstract)
    assert found(confusion.places(paper), "abstract.accuracy", "section4.accuracy").finding == finding


# Whole numbers of images


def test_an_accuracy_that_no_number_of_images_gives_is_impossible():
    check = found(confusion.proportions(JARDIM), "table1.cnn.fold1.accuracy")
    assert check.finding == "impossible"
    assert "783 of 800 is 97.8750 %, 784 of 800 is 98.0000 %" in check.sentence


def test_an_accuracy_that_was_truncated_is_conditional():
    check = found(confusion.proportions(LU), "table7.efficientnetb3.val_accuracy")
    assert check.finding == "conditional" and "305 of 326 is 93.5583 %" in check.sentence


# Confusion matrices


def test_the_printed_scores_of_hajhashem_are_those_of_one_matrix():
    (row,) = confusion.rows_of(HAJHASHEM)
    assert matrices(ranges(row, "rounded"), 51) == {25: (23, 20)}


def test_the_transfer_scores_of_jardim_need_297_positives():
    check = found(
        confusion.binary_rows(JARDIM),
        "abstract.pt.transfer.accuracy",
        "abstract.pt.transfer.sensitivity",
        "abstract.pt.transfer.specificity",
    )
    assert check.finding == "conditional"
    assert "297 positives and 303 negatives, of which 292 and 296 are classified correctly" in check.sentence


def test_an_accuracy_that_equals_one_of_two_different_rates_is_impossible_and_said_why():
    check = found(
        confusion.binary_rows(JARDIM),
        "table1.cnn.fold1.accuracy",
        "table1.cnn.fold1.sensitivity",
        "table1.cnn.fold1.specificity",
    )
    assert check.finding == "impossible" and "cannot equal the one and not the other" in check.sentence


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
    check = found(confusion.weighted_rows(LU), *ids)
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


def test_a_recall_that_its_support_does_not_give_is_impossible():
    paper = changed(YIM, table1__glioma__recall="0.9925")  # 297 and 298 of 300 are 0.99, 0.9933
    check = next(c for c in confusion.class_reports(paper) if "table1.glioma.recall" in c.claims)
    assert check.finding == "impossible"


def test_an_accuracy_that_the_classes_do_not_allow_is_impossible():
    paper = changed(YIM, table1__accuracy="0.9855")
    check = next(c for c in confusion.class_reports(paper) if c.claims[0] == "table1.accuracy")
    assert check.finding == "impossible" and "1292 to 1292 right" in check.sentence


# Folds


def test_the_range_of_a_variance_over_ranges_of_its_values():
    # Two values from 1 to 2 each: equal at best, 1 and 2 at worst, whose sample variance is 1/2.
    low, high = folds._extremes(lambda x: float(np.var(x, ddof=1)), [(1.0, 2.0), (1.0, 2.0)])
    assert (low, high) == (pytest.approx(0, abs=1e-6), pytest.approx(0.5))


def test_variances_of_jardim_are_those_of_its_folds_and_deviations_are_not():
    checks = {check.claims[0]: check for check in folds.spreads(JARDIM)}
    assert checks["table1.cnn.variance.accuracy"].finding == "consistent"
    assert "divisor k - 1" in checks["table1.cnn.variance.accuracy"].sentence
    deviation = checks["text.cnn.sd.accuracy"]
    # 97.94, 97.34, 97.70: the square root of 0.0912 is 0.302, with divisor k 0.2466.
    assert deviation.finding == "impossible" and "0.2967 to 0.3073 %" in deviation.sentence


def test_a_variance_by_the_other_divisor_is_conditional():
    # 97.94, 97.34, 97.70 have squared deviations 0.1824 around 97.66: over 3, 0.0608.
    paper = changed(JARDIM, table1__cnn__variance__accuracy="0.061%")
    check = next(c for c in folds.spreads(paper) if c.claims[0] == "table1.cnn.variance.accuracy")
    assert check.finding == "conditional" and "only as the population variance" in check.sentence


def test_a_mean_that_is_not_that_of_the_folds_is_impossible():
    assert {check.finding for check in folds.means(JARDIM)} == {"consistent"}
    paper = changed(JARDIM, table1__cnn__mean__accuracy="97.68%")
    check = next(c for c in folds.means(paper) if c.claims[0] == "table1.cnn.mean.accuracy")
    assert check.finding == "impossible"
    assert check.claims[1:] == tuple(FOLDS)


@pytest.mark.parametrize(
    ("printed", "finding"),
    [
        ("T ≈ 0.3977", "consistent"),
        ("T ≈ 0.3706", "consistent"),
        ("T ≈ 0.42", "conditional"),
        ("T ≈ 1.2", "impossible"),
    ],
)
def test_t_follows_from_the_folds_or_only_from_means_and_deviations(printed, finding):
    # The folds as printed give a paired t of 0.3706; rounding leaves 0.33 to 0.41.
    checks = folds.t_values(changed(JARDIM, text__t=printed))
    (check,) = [check for check in checks if check.claims[0] == "text.t"]
    assert check.finding == finding and check.suspect == ("text.t",) * (finding == "impossible")


def test_p_above_a_twentieth_holds_by_both_tests():
    def of_text(paper):
        (check,) = [c for c in folds.p_values(paper) if c.claims[0] == "text.p"]
        return check

    assert of_text(JARDIM).finding == "consistent" and "p = 0.747" in of_text(JARDIM).sentence
    assert of_text(changed(JARDIM, text__p="p < 0.05")).finding == "impossible"


# Sizes


def test_sizes_of_parts_and_what_a_truncated_number_does_to_them():
    checks = {check.sentence.split(":")[0]: check for check in sizes.part_sizes(LU)}
    assert len(checks) == 8
    assert checks["all four classes, validation part"].finding == "conditional"
    others = {c.finding for name, c in checks.items() if name != "all four classes, validation part"}
    assert others == {"consistent"}


def test_the_size_tells_which_set_was_used():
    (check,) = sizes.whose_set(HAJHASHEM)
    assert "51, 600, 620, 653, 1405 images" in check.sentence
    assert "only Brain MRI Images for Brain Tumor Detection (253 images)" in check.sentence
    assert list(sizes.whose_set(JARDIM)) == []  # which names its set


def test_counts_of_kruszyk_give_its_accuracy_and_need_an_unstratified_draw():
    checks = list(sizes.confusion_counts(KRUSZYK))
    assert "176 + 182 + 89 + 143 = 590 right of 620 is 0.9516" in checks[0].sentence
    assert [check.finding for check in checks] == ["consistent", "conditional", "conditional"]


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
