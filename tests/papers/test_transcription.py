"""The papers as they stand in their YAML, against what was read off the papers a second time."""

from __future__ import annotations

import pytest

from brainlib.papers.loading import load_paper
from brainlib.papers.provenance import key_of, settings_of

RATES = "accuracy sensitivity specificity"
LU = "val_accuracy accuracy precision recall f1"
YIM = "precision recall f1 support"
KRUSZYK = "accuracy precision sensitivity f1 training_loss loss time"

ROWS = [
    # paper, beginning of the claims' ids, their ends, the figures as printed
    ("jardim", "table1.cnn.fold1", RATES, "97.94% | 97.94% | 96.34%"),
    ("jardim", "table1.cnn.fold2", RATES, "97.34% | 97.34% | 97.40%"),
    ("jardim", "table1.cnn.fold3", RATES, "97.70% | 97.70% | 98.03%"),
    ("jardim", "table1.cnn.mean", RATES, "97.66% | 97.66% | 97.26%"),
    ("jardim", "table1.cnn.variance", RATES, "0.092% | 0.092% | 0.736%"),
    ("jardim", "table1.transfer.fold1", RATES, "98.26% | 98.26% | 98.48%"),
    ("jardim", "table1.transfer.fold2", RATES, "97.78% | 97.78% | 98.22%"),
    ("jardim", "table1.transfer.fold3", RATES, "97.25% | 97.25% | 98.74%"),
    ("jardim", "table1.transfer.mean", RATES, "97.76% | 97.76% | 98.48%"),
    ("jardim", "table1.transfer.variance", RATES, "0.253% | 0.253% | 0.068%"),
    ("jardim", "abstract.pt.cnn", RATES, "99,67% | 100% | 99,34%"),
    ("jardim", "abstract.en.cnn", RATES, "99.67% | 100% | 99.34%"),
    ("jardim", "abstract.es.cnn", RATES, "99,67% | 100% | 99,34%"),
    ("jardim", "abstract.pt.transfer", RATES, "98% | 98,32% | 97,69%"),
    ("jardim", "abstract.en.transfer", RATES, "98% | 98.32% | 97.69%"),
    ("jardim", "abstract.es.transfer", RATES, "98% | 98,32% | 97,69%"),
    ("jardim", "conclusion.cnn", RATES, "99.67% | 100% | 99.34%"),
    ("jardim", "text.cnn", "mean.accuracy sd.accuracy auc training_time", "97.66% | 0.287% | 99.94% | 1 minute"),
    ("jardim", "text.transfer", "mean.accuracy sd.accuracy auc training_time", "97.76% | 0.328% | 99.51% | 20"),
    ("jardim", "text", "t p", "T ≈ 0.3977 | p > 0.05"),
    ("jardim", "conclusion", "t test_images", "t = 0.3977 | 600"),
    ("jardim", "dataset", "images images.yes images.no test_images folds", "3000 | 1500 | 1500 | 600 | k = 3"),
    ("hajhashem", "abstract", "accuracy precision recall f1", "84.31% | 79.31% | 92.00% | 85.19%"),
    ("hajhashem", "section4", "accuracy precision recall f1", "0.8431 | 0.7931 | 0.9200 | 0.8519"),
    ("hajhashem", "", "abstract.epochs section3.neurons table1.layer3.convolutions", "ten epochs | two | Two"),
    ("kruszyk", "results", "resnet50.accuracy resnet101.accuracy resnet152.accuracy", "0.95 | 0.95 | 0.93"),
    ("kruszyk", "training", "dropout_layers neurons", "two | four"),
    ("lu", "table1.inception_v3", LU, "99.30% | 93.01% | 93.11% | 93.01% | 93.04%"),
    ("lu", "table2.vgg16", LU, "99.30% | 87.41% | 88.33% | 87.41% | 86.83%"),
    ("lu", "table3.mobilenet", LU, "97.22% | 95.14% | 95.17% | 95.14% | 95.15%"),
    ("lu", "table4.resnet50", LU, "100.00% | 86.11% | 90.08% | 86.11% | 86.44%"),
    ("lu", "table5.efficientnetb3", LU, "100.00% | 98.58% | 98.58% | 98.58% | 98.57%"),
    ("lu", "table6.vgg16", LU, "94.29% | 35.46% | 12.57% | 35.46% | 18.57%"),
    ("lu", "table7.resnet50", LU, "94.17% | 92.05% | 92.18% | 92.05% | 92.06%"),
    ("lu", "table8.mobilenet", LU, "97.24% | 97.86% | 97.91% | 97.86% | 97.86%"),
    ("lu", "table8.vgg16", LU.removeprefix("val_accuracy "), "15.29% | 2.34% | 15.29% | 4.06%"),
    ("lu", "abstract.images", "glioma meningioma pituitary normal", "926 | 937 | 901 | 500"),
    ("lu", "", "abstract.f1 scenario4.resnet50.val_accuracy scenario1.test_images", "97.85% | 94,17% | 143"),
    ("yim", "table1.notumor", YIM, "1.00 | 1.00 | 1.00 | 405"),
    ("yim", "table1.glioma", YIM, "0.99 | 0.99 | 0.99 | 300"),
    ("yim", "table1.meningioma", YIM, "0.99 | 0.99 | 0.99 | 306"),
    ("yim", "table1.pituitary", YIM, "1.00 | 1.00 | 1.00 | 300"),
    ("kruszyk", "table2.resnet50", KRUSZYK, "0,95 | 0,95 | 0,95 | 0,95 | 0,09 | 0,29 | 316,7"),
    ("kruszyk", "table2.resnet101", KRUSZYK, "0,95 | 0,95 | 0,95 | 0,95 | 0,09 | 0,3 | 496,6"),
    ("kruszyk", "table2.resnet152", KRUSZYK, "0,93 | 0,93 | 0,93 | 0,93 | 0,09 | 0,42 | 872,7"),
]


@pytest.mark.parametrize(("paper", "place", "names", "figures"), ROWS)
def test_figures_are_kept_as_printed(paper, place, names, figures):
    printed = {claim.id: claim.printed for claim in load_paper(paper).claims}
    assert [printed[f"{place}.{name}".lstrip(".")] for name in names.split()] == figures.split(" | ")


def test_the_claims_of_jardims_table_1_say_what_they_are():
    claims = [claim for claim in load_paper("jardim").claims if claim.id.startswith("table1.")]
    assert len(claims) == 30
    for claim in claims:
        _, arm, row, name = claim.id.split(".")
        over = "value" if row.startswith("fold") else row
        assert (claim.arm, claim.stage) == (arm, row.replace("fold", "fold ") if over == "value" else "folds")
        assert (claim.metric.name, claim.metric.over) == (name, over)
        assert claim.n == (800 if over == "value" else 2400)
        assert claim.unit == ("percent^2" if over == "variance" else "%")


def test_hajhashems_recall_is_a_sensitivity_of_51_images_in_both_places():
    claims = {claim.id: claim for claim in load_paper("hajhashem").claims}
    abstract, text = claims["abstract.recall"], claims["section4.recall"]
    assert (abstract.unit, text.unit) == ("%", "1")
    assert {(claim.metric.name, claim.n) for claim in (abstract, text)} == {("sensitivity", 51)}


def test_hajhashems_layer_table_and_its_claims_agree():
    paper = load_paper("hajhashem")
    printed = {claim.id: claim.printed for claim in paper.claims}
    outputs = ["64x112x112", "64x56x56", "64x56x56", "128x28x28", "256x14x14", "512x7x7", "512x1x1", "2"]
    rows = paper.tables.layer_table
    assert [row.output for row in rows] == outputs
    assert [row.kernel for row in rows] == [7, 3, 3, 3, 3, 3, 7, None]
    assert [row.stride for row in rows] == [2, 2, None, 2, 2, 2, None, None]
    assert [row.padding for row in rows] == [3] + 7 * [None]
    for row in rows:
        assert printed[f"table1.layer{row.layer}.output"] == row.output
        assert printed.get(f"table1.layer{row.layer}.kernel") == (f"{row.kernel}x{row.kernel}" if row.kernel else None)
        assert printed.get(f"table1.layer{row.layer}.stride") == (str(row.stride) if row.stride else None)


STATED = {
    "jardim": {
        "data.set": "br35h", "protocol.image_size": 240, "protocol.holdout": 0.2, "protocol.folds": 3,
        "arms.cnn.model.dense": (500,),
        "arms.transfer.model.backbone": "resnet50v2", "arms.transfer.model.dense": (500,),
        "arms.cnn.phases[0].trainable": "all", "arms.transfer.phases[0].trainable": "head",
        "arms.cnn.phases[0].epochs": 30, "arms.transfer.phases[0].epochs": 30,
        "arms.cnn.phases[0].learning_rate": 1e-4, "arms.transfer.phases[0].learning_rate": 1e-4,
    },
    "hajhashem": {
        "protocol.holdout": 0.2, "protocol.image_size": 224, "protocol.loss": "categorical_crossentropy",
        "arms.resnet18.model.backbone": "resnet18", "arms.resnet18.model.dense": (),
        "arms.resnet18.phases[0].epochs": 10,
    },
    "kruszyk": {
        "arms.resnet50.phases[0].epochs": 10, "arms.resnet50.phases[0].learning_rate": 1e-4,
        "protocol.image_size": 256,
    },
}  # fmt: skip
ASSUMED = {
    "jardim": ["protocol.batch_size", "protocol.t_test", "arms.cnn.model.convolutions", "arms.cnn.model.conv_dropout"],
    "kruszyk": ["protocol.oversample", "arms.resnet50.phases[0].trainable"],
    "hajhashem": ["data.set", "arms.resnet18.phases[0].trainable"],
}


@pytest.mark.parametrize("paper", STATED)
def test_the_protocol_is_the_printed_one(paper):
    settings = {key_of(path): setting for path, setting in settings_of(load_paper(paper))}
    assert {key: settings[key].value for key in STATED[paper] if settings[key].stated} == STATED[paper]
    assert all(settings[key].assumed for key in ASSUMED.get(paper, ()))
