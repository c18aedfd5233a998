"""Where pretrained weights come from, and the errors when they are missing."""

from __future__ import annotations

import hashlib

import pytest

from brainlib.errors import WeightsError
from brainlib.models.backbones import BACKBONES, find_weights


def test_a_file_is_tied_to_its_bytes(tmp_path):
    (tmp_path / BACKBONES["vgg16"].files[0][0]).write_bytes(b"weights")
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
