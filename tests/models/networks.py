"""Networks with random weights that behave as trained ones do."""

from __future__ import annotations

import keras
import numpy as np

from brainlib.models.build import Network


def awaken(network: Network, pixels: np.ndarray) -> Network:
    """Let batch normalisation know the images, as that of pretrained weights does.

    With the initial moving statistics nothing would be left of an image after 50 layers, and all
    images would get one answer.
    """
    layers = [layer for layer in network.model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    if layers:
        network.model(pixels.astype(np.float32), training=True)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
    return network


def weights_of(network: Network) -> dict[str, list[np.ndarray]]:
    return {layer.name: layer.get_weights() for layer in network.model.layers if layer.weights}


def changed(before: dict[str, list[np.ndarray]], after: dict[str, list[np.ndarray]]) -> set[str]:
    """Names of the layers whose weights differ."""
    return {name for name in before if any((a != b).any() for a, b in zip(before[name], after[name], strict=True))}
