"""The whole path on a few real images, with pretrained weights of another backbone."""

from __future__ import annotations

import json

import pytest

from brainlib import cli


@pytest.mark.slow
@pytest.mark.real_data
def test_on_real_images_the_report_says_what_was_substituted(tmp_path, data_dir, weights_dir):
    out = tmp_path / "reports"
    arguments = ["run", "--profile", "smoke", "--data", str(data_dir), "--out", str(out)]
    arguments += ["--weights", str(weights_dir)]
    for stated in ("resnet50v2", "resnet18"):
        arguments += ["--backbone", f"{stated}=mobilenet_v2"]
    arguments += ["--papers", "jardim,hajhashem"]
    assert cli.main(arguments) == 0
    papers = json.loads((out / "results.json").read_text())["papers"]
    jardim, hajhashem = papers["jardim"]["result"], papers["hajhashem"]["result"]
    assert jardim["arms"]["transfer"]["conditions"] == ["mobilenet_v2 in place of resnet50v2", "2 of 30 epochs"]
    assert jardim["arms"]["cnn"]["conditions"] == ["2 of 30 epochs"]
    assert "60 of 3000 images" in jardim["conditions"] and "60 of 253 images" in hajhashem["conditions"]
    verdicts = {claim["verdict"] for claim in jardim["claims"]}
    assert verdicts == {"not comparable", "not computed", "inconsistent as printed"}
    assert jardim["data"]["differences"] == []
    assert jardim["arms"]["transfer"]["weights"].startswith("mobilenet_v2_weights")
