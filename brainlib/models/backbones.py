"""The backbones and the files of their pretrained weights.

A backbone is named as Keras names its weights (`resnet50v2`, `mobilenet_v2`). Weights are
`imagenet` (Keras' own download), `random`, `phantoms`, or a folder that holds the files under the names that
Keras gives them. Nothing here imports TensorFlow, so that missing weights are reported before a run.

The `stand_in` is a small network of our own with weights pretrained on phantoms. It takes the place of every pretrained
backbone where phantoms are to be learned within seconds.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from brainlib.errors import WeightsError
from brainlib.io import sha256_of

RANDOM, IMAGENET, PHANTOMS = "random", "imagenet", "phantoms"
STAND_IN = "stand_in"
# Written by docs/make_stand_in.py, which says how the weights were trained.
_STAND_IN_FILE = Path(__file__).with_name("stand_in.npz")
_STAND_IN_DIGEST = "0cef220ccac7583cc63a8ea41df813143da422a9a7aeb5de0678a97ca204a48d"


@dataclass(frozen=True)
class Backbone:
    """A convolutional network without its classifier.

    The `function` is one of `keras.applications`, "ResNet18" of keras-hub or our own "StandIn".

    The `preprocess_input` of `module` is the backbone's own. Each of the `files` that hold its ImageNet
    weights is named with the input scaling that they were trained with: "keras" for the module's own.
    """

    function: str
    module: str
    files: tuple[tuple[str, str], ...]
    arguments: tuple[tuple[str, float], ...] = ()


def _application(function, module, *files, **arguments):
    return Backbone(function, module, tuple((file, "keras") for file in files), tuple(arguments.items()))


def _family(name, function, module, ending, sizes):
    """Backbones that differ in size alone, in whose names "{}" stands for the size."""
    names = {name.format(size).lower(): function.format(size) for size in sizes}
    return {name: _application(function, module, name + ending) for name, function in names.items()}


_KERNELS, _NO_TOP = "_weights_tf_dim_ordering_tf_kernels_notop.h5", "_notop.h5"
_V2_KERNELS = "_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"
_V3_KERNELS = "_224_1.0_float_no_top_v2.h5"

# File names: keras/src/applications/*.py of Keras 3.
BACKBONES = {
    "vgg16": _application("VGG16", "vgg16", "vgg16" + _KERNELS),
    "vgg19": _application("VGG19", "vgg19", "vgg19" + _KERNELS),
    "xception": _application("Xception", "xception", "xception" + _KERNELS),
    "inception_v3": _application("InceptionV3", "inception_v3", "inception_v3" + _KERNELS),
    "inception_resnet_v2": _application("InceptionResNetV2", "inception_resnet_v2", "inception_resnet_v2" + _KERNELS),
    "mobilenet": Backbone(
        "MobileNet",
        "mobilenet",
        # Weights of a quantisation-aware training take (x - 128) / 128.
        (("mobilenet_1_0_224_tf_no_top.h5", "keras"), ("mobilenet_1_0_224_qat_no_top.h5", "centred_128")),
    ),
    "mobilenet_025": _application("MobileNet", "mobilenet", "mobilenet_2_5_224_tf_no_top.h5", alpha=0.25),
    "mobilenet_v2": _application("MobileNetV2", "mobilenet_v2", f"mobilenet_v2{_V2_KERNELS}"),
    "mobilenet_v3_small": _application("MobileNetV3Small", "mobilenet_v3", f"weights_mobilenet_v3_small{_V3_KERNELS}"),
    "mobilenet_v3_large": _application("MobileNetV3Large", "mobilenet_v3", f"weights_mobilenet_v3_large{_V3_KERNELS}"),
    "nasnet_mobile": _application("NASNetMobile", "nasnet", "nasnet_mobile_no_top.h5", "NASNet-mobile-no-top.h5"),
    "nasnet_large": _application("NASNetLarge", "nasnet", "nasnet_large_no_top.h5", "NASNet-large-no-top.h5"),
    STAND_IN: Backbone("StandIn", "", ()),
    "resnet18": Backbone("ResNet18", "", (("resnet_18_imagenet.weights.h5", "imagenet_mean_std"),)),
    **_family("resnet{}", "ResNet{}", "resnet", _KERNELS, (50, 101, 152)),
    **_family("resnet{}v2", "ResNet{}V2", "resnet_v2", _KERNELS, (50, 101, 152)),
    **_family("densenet{}", "DenseNet{}", "densenet", _KERNELS, (121, 169, 201)),
    **_family("efficientnetb{}", "EfficientNetB{}", "efficientnet", _NO_TOP, range(8)),
    **_family(
        "efficientnetv2-{}", "EfficientNetV2{}", "efficientnet_v2", _NO_TOP, ("B0", "B1", "B2", "B3", "S", "M", "L")
    ),
    **_family("convnext_{}", "ConvNeXt{}", "convnext", _NO_TOP, ("Tiny", "Small", "Base", "Large", "XLarge")),
}


@dataclass(frozen=True)
class Weights:
    """The weights that a backbone starts from.

    Attributes
    ----------
    source : {"random", "imagenet", "phantoms", "file", "none", "own"}
        "none" for a model that has no pretrained part by design, "own" for what a user's function makes.
    file, digest : str
        Path and SHA-256 of the file: results depend on its bytes, not on its path.
    scaling : str
        "keras", or the input scaling of this file.
    """

    source: str
    file: str = ""
    scaling: str = "keras"
    digest: str = ""

    @property
    def label(self) -> str:
        """Description of these weights in reports."""
        if self.source == "file":
            return f"{Path(self.file).name} (sha256 {self.digest[:12]})"
        labels = {RANDOM: "random weights", IMAGENET: "ImageNet weights of Keras", "own": "as its function sets them"}
        labels[PHANTOMS] = f"pretrained on phantoms (sha256 {self.digest[:12]})"
        return labels.get(self.source, "trained from nothing")


def backbone_named(name: str) -> Backbone:
    """Return a backbone by its name, or raise a WeightsError that lists the names."""
    if name not in BACKBONES:
        raise WeightsError(f"unknown backbone '{name}'; expected one of {', '.join(sorted(BACKBONES))}")
    return BACKBONES[name]


def find_weights(name: str, source: str) -> Weights:
    """Find the weights of a backbone: "random", "imagenet", "phantoms" (the stand-in's alone), or in a folder of files.

    WeightsError when the folder or the file is missing, or the stand-in's is not as it was; the message names it.
    """
    backbone = backbone_named(name)
    if (name == STAND_IN) != (source == PHANTOMS) and source != RANDOM:
        expected = f"expected --weights phantoms with the backbone {STAND_IN} and no other"
        raise WeightsError(f"weights of {name}: {expected}, received {source}; use --weights random")
    if source == PHANTOMS:
        stand_in_arrays()
        return Weights(source, scaling="centred_128", digest=_STAND_IN_DIGEST)
    if source in (RANDOM, IMAGENET):
        return Weights(source)
    folder = Path(source).expanduser()
    if not folder.is_dir():
        raise WeightsError(f"weights: expected 'imagenet', 'random' or a folder of files; '{source}' is none of them")
    for file, scaling in backbone.files:
        path = folder / file
        if path.is_file():
            return Weights("file", str(path.resolve()), scaling, sha256_of(path))
    expected = " or ".join(file for file, _ in backbone.files)
    advice = f"add the file, use --weights random, or substitute the backbone with --backbone {name}=OTHER"
    raise WeightsError(f"weights of {name}: expected {expected} in {folder}, which is not there; {advice}")


def stand_in_arrays() -> dict[str, np.ndarray]:
    """Read the stand-in's weights, float16 arrays by name; `WeightsError` unless every byte is as it was published."""
    try:
        content = _STAND_IN_FILE.read_bytes()
    except OSError as error:
        raise WeightsError(f"{_STAND_IN_FILE.name}: expected the weights of the stand-in, received {error}") from error
    received = hashlib.sha256(content).hexdigest()
    if received != _STAND_IN_DIGEST:
        raise WeightsError(
            f"{_STAND_IN_FILE.name}: expected the SHA-256 {_STAND_IN_DIGEST[:12]}, received {received[:12]}; "
            "check the file out again or install the package again"
        )
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return dict(arrays)
