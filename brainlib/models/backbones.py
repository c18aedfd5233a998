"""The backbones and the files of their pretrained weights.

Nothing here imports TensorFlow, so that missing weights are reported before a run.

The `stand_in` is a small network of our own with weights pretrained on phantoms. It takes the place of every pretrained
backbone where phantoms are to be learned within seconds.
"""

from __future__ import annotations

import hashlib
import io
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import yaml

from brainlib.errors import WeightsError
from brainlib.io import sha256_of

RANDOM, IMAGENET, PHANTOMS = "random", "imagenet", "phantoms"
STAND_IN = "stand_in"
# Written by docs/make_stand_in.py, which says how the weights were trained.
_STAND_IN_FILE = Path(__file__).with_name("stand_in.npz")
_STAND_IN_DIGEST = "0cef220ccac7583cc63a8ea41df813143da422a9a7aeb5de0678a97ca204a48d"


@dataclass(frozen=True)
class Backbone:
    """A convolutional network without its classifier: an entry of ``backbones.yaml``, which says what its keys are."""

    function: str
    module: str
    files: dict[str, str]
    arguments: dict[str, float] = field(default_factory=dict)


_LIST = yaml.safe_load(Path(__file__).with_name("backbones.yaml").read_text("utf-8"))
BACKBONES = {name: Backbone(**given) for name, given in _LIST.items()}


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
    """Find the weights of a backbone.

    The source is "random", "imagenet" (Keras' own download), "phantoms" (the stand-in's alone) or a folder of files
    under the names that Keras gives them. WeightsError, which names it, when the folder or the file is missing, or
    the stand-in's is not as it was.
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
    folder = Path(os.path.expanduser(source))
    if not folder.is_dir():
        raise WeightsError(f"weights: expected 'imagenet', 'random' or a folder of files; '{source}' is none of them")
    for file, scaling in backbone.files.items():
        path = folder / file
        if path.is_file():
            return Weights("file", str(path.resolve()), scaling, sha256_of(path))
    expected = " or ".join(backbone.files)
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
