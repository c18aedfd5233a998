"""The printed figures of Yim and Park and of Kruszyk et al., against their texts and arithmetic."""

from __future__ import annotations

from brainlib.data.datasets import info_of
from brainlib.papers.loading import load_paper
from brainlib.papers.provenance import values

YIM, KRUSZYK = load_paper("yim"), load_paper("kruszyk")


def printed(paper):
    return {claim.id: claim.printed for claim in paper.claims}


def test_the_supports_of_yim_are_the_published_test_folders():
    supports = {
        claim.metric.label: int(claim.printed)
        for claim in YIM.claims
        if claim.metric and claim.metric.name == "images" and claim.metric.label
    }
    folders = {f.label: f.count for f in info_of("nickparvar").folders if f.part == "test"}
    assert supports == folders and sum(supports.values()) == 1311
    assert sum(f.count for f in info_of("nickparvar").folders if f.part == "train") == 5712


def test_the_accuracy_of_yim_is_1305_of_1311_and_no_other_number():
    assert printed(YIM)["table1.accuracy"] == "0.9954"
    assert [k for k in range(1312) if f"{k / 1311:.4f}" == "0.9954"] == [1305]


def test_yim_compares_thirteen_different_backbones_under_one_protocol():
    transfer = {name: arm for name, arm in YIM.arms.items() if arm.model.kind == "transfer"}
    assert len({arm.model.backbone.value for arm in transfer.values()}) == len(transfer) == 13
    own = transfer["resnet50v2"]
    for arm in transfer.values():
        assert values(arm.phases[0]) == values(own.phases[0]) and arm.model.dense.value == own.model.dense.value
    assert (own.phases[0].name, own.phases[0].trainable.value) == ("transfer learning", "head")
    assert own.phases[0].epochs.value == 20
    assert [name for name, arm in transfer.items() if len(arm.phases) > 1] == ["resnet50v2"]
    assert (own.phases[1].trainable.value, own.phases[1].learning_rate.value) == (("conv5_",), 1e-4)
    assert own.phases[1].augmentation.value == {}


def test_the_counts_of_kruszyk_are_an_unstratified_fifth_of_the_set():
    counts = printed(KRUSZYK)
    gliomas = int(counts["results.resnet101.glioma_tumor"]) + 3
    assert counts["results.resnet101.glioma_tumor.errors"] == "3"
    meningiomas = int(counts["results.resnet101.meningioma_tumor"]) + 16
    assert counts["results.resnet101.meningioma_tumor.errors"] == "16"
    assert (gliomas, meningiomas) == (198, 185)
    # A stratified fifth of 901 and 913 images would hold 180 and 183.
    whole = {f.label: f.count for f in info_of("dubail").folders}
    assert (round(whole["glioma_tumor"] / 5), round(whole["meningioma_tumor"] / 5)) == (180, 183)
    assert sum(whole.values()) == int(counts["data.images"].replace(",", "")) == 3096
    # What ResNet-50 classifies correctly: 590 of a fifth of 3096, 95.16 %.
    right = [int(counts[f"results.resnet50.{label}"]) for label in whole]
    assert sum(right) == 590 and f"{590 / 620:.2f}" == "0.95"
