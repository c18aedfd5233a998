"""Where pretrained weights come from, and the errors when they are missing."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from brainlib.errors import WeightsError
from brainlib.models import backbones, build
from brainlib.models.backbones import BACKBONES, find_weights


def test_a_file_is_tied_to_its_bytes(tmp_path):
    (tmp_path / next(iter(BACKBONES["vgg16"].files))).write_bytes(b"weights")
    found = find_weights("vgg16", str(tmp_path))
    assert (found.source, found.scaling) == ("file", "keras")
    assert found.digest == hashlib.sha256(b"weights").hexdigest()
    assert found.label.startswith("vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5 (sha256 ")


def test_weights_of_another_scaling_bring_it_with_them_and_come_second(tmp_path):
    (tmp_path / "mobilenet_1_0_224_qat_no_top.h5").write_bytes(b"quantised")
    assert find_weights("mobilenet", str(tmp_path)).scaling == "centred_128"
    (tmp_path / "mobilenet_1_0_224_tf_no_top.h5").write_bytes(b"plain")
    assert find_weights("mobilenet", str(tmp_path)).scaling == "keras"


def test_a_missing_file_is_named_with_its_folder(tmp_path):
    with pytest.raises(WeightsError) as missing:
        find_weights("mobilenet", str(tmp_path))
    message = str(missing.value)
    assert "mobilenet_1_0_224_tf_no_top.h5 or mobilenet_1_0_224_qat_no_top.h5" in message
    assert str(tmp_path) in message and "--weights random" in message and "\n" not in message


def test_a_missing_folder_is_distinguished_from_a_missing_file(tmp_path):
    with pytest.raises(WeightsError, match="expected 'imagenet', 'random' or a folder"):
        find_weights("vgg16", str(tmp_path / "nowhere"))


def test_an_unknown_backbone_is_refused_with_the_known_ones():
    with pytest.raises(WeightsError, match="resnet51.*resnet50v2"):
        find_weights("resnet51", "random")


@pytest.mark.parametrize(("source", "label"), [("random", "random"), ("imagenet", "ImageNet")])
def test_a_label_says_what_the_weights_are(source, label):
    assert label in find_weights("vgg16", source).label


def test_the_stand_in_has_its_weights_and_no_other_backbone_takes_them():
    found = find_weights("stand_in", "phantoms")
    assert (found.source, found.file, found.scaling) == ("phantoms", "", "centred_128")
    arrays, channels = backbones.stand_in_arrays(), 3
    for number, (filters, _) in enumerate(build.STAND_IN_LAYERS, start=1):
        assert arrays[f"stand_in_conv{number}_kernel"].shape == (3, 3, channels, filters)
        assert arrays[f"stand_in_conv{number}_bias"].shape == (filters,)
        channels = filters
    assert all(np.isfinite(each).all() for each in arrays.values())
    with pytest.raises(WeightsError, match="vgg16: expected --weights phantoms with the backbone stand_in"):
        find_weights("vgg16", "phantoms")
    with pytest.raises(WeightsError, match="received imagenet; use --weights random"):
        find_weights("stand_in", "imagenet")


@pytest.mark.parametrize("damage", ["a byte", "missing"])
@pytest.mark.fault("6m", "a file of weights is missing, or is not as published", "refused in one line")
def test_a_stand_in_whose_file_is_not_as_published_is_refused_in_one_line(damage, tmp_path, monkeypatch):
    content = bytearray(backbones._STAND_IN_FILE.read_bytes())
    content[len(content) // 2] ^= 1
    if damage == "a byte":
        (tmp_path / "stand_in.npz").write_bytes(content)
    monkeypatch.setattr(backbones, "_STAND_IN_FILE", tmp_path / "stand_in.npz")
    with pytest.raises(WeightsError, match=r"stand_in\.npz: expected .*, received") as refused:
        find_weights("stand_in", "phantoms")
    assert "\n" not in str(refused.value)
