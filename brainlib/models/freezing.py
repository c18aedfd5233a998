"""Freeze layers of a network, and cut off the frozen beginning, whose activations never change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from brainlib.errors import ModelError
from brainlib.models.build import Network, steps_of

if TYPE_CHECKING:
    import keras


def set_trainable(network: Network, trainable: str | Sequence[str], batch_norm: str = "trained") -> tuple[str, ...]:
    """Set which layers train in a phase, and freeze the others.

    A frozen batch normalisation runs in inference mode: in Keras one follows from the other.

    Parameters
    ----------
    trainable : "all", "head", "upper_half", or sequence of str
        The whole network, only the layers after the backbone (of an own model, those that its function left
        trainable), these and the second half of the others with weights, or these and the others whose names, or that
        of the nested model that holds them, begin with one of the strings.
    batch_norm : {"trained", "frozen", "statistics"}
        Whether batch normalisation among these layers trains with them. With "statistics" it does, and where it is
        frozen it still normalises by each batch and updates its averages, as PyTorch's does in a model that is in
        training mode, with PyTorch's momentum.

    Returns
    -------
    tuple of str
        Names of the layers with weights that now train; ModelError when no layer's name begins with one of the strings.
    """
    from brainlib.models._tensorflow import keras

    prefixes = () if isinstance(trainable, str) else tuple(trainable)
    layers = network.model.layers
    every = list(network.model._flatten_layers())
    lower = [each for each in every if each in network.frozen and each.weights and not getattr(each, "layers", ())]
    upper = set(lower[len(lower) // 2 :]) if trainable == "upper_half" else set()
    for prefix in prefixes:
        if not any(layer.name.startswith(prefix) for layer in every):
            known = ", ".join(layer.name for layer in layers if layer.weights)
            raise ModelError(f"no layer begins with '{prefix}'; the layers are: {known[:300]}")

    def mark(layer, asked):
        inner, asked = getattr(layer, "layers", ()), asked or layer in upper or layer.name.startswith(prefixes)
        normalises, trains = isinstance(layer, keras.layers.BatchNormalization), asked or layer not in network.frozen
        awake = normalises and batch_norm == "statistics"
        layer.trainable = bool(inner) or awake or (trains and not (normalises and batch_norm == "frozen"))
        if awake:
            layer.momentum = 0.9
            for weight in (layer.gamma, layer.beta) if not trains else ():
                if weight is not None:
                    weight.trainable = False
        # Each inner layer as well: a nested model, such as ResNet18, passes on only a change of its own.
        for each in inner:
            mark(each, asked)

    for layer in layers:
        mark(layer, trainable == "all")
    return tuple(layer.name for layer in layers if layer.trainable_weights)


def cut_frozen_prefix(network: Network) -> tuple[keras.Model | None, keras.Model]:
    """Split a network, after `set_trainable`, where its frozen beginning ends.

    The cut is the last single tensor through which the whole computation passes and before which
    no layer trains. The layers before it give the same activations in every epoch and every fold,
    so they need be run over the images only once. They run in inference mode, their stochastic
    depth included.

    Returns
    -------
    prefix, suffix : keras.Model or None, keras.Model
        `suffix(prefix(x))` is the network, with which both share their layers. The prefix is None
        where no layer is frozen whose computation takes time.
    """
    from brainlib.models._tensorflow import keras

    model, steps = network.model, steps_of(network.model)
    last_use = {name: position for position, (_, feeding, _) in enumerate(steps) for name in feeding}
    cut, costly = None, False
    for position, (operation, _, tensor) in enumerate(steps[:-1]):
        if getattr(operation, "trainable_weights", ()) or _awake(operation):
            break
        # Dropout of the head is active in training, and so is an own model's augmentation; dropout inside a frozen
        # backbone is not. Besides weights, the variables of a layer are the states of its generators.
        weights, variables = (getattr(operation, kind, ()) for kind in ("weights", "variables"))
        if operation.name in network.head and variables and not weights:
            break
        # A layer with a kernel; without one (EfficientNet's normalisation of pixels) there is little to save.
        costly = costly or any(len(w.shape) > 1 for w in weights)
        if all(last_use[earlier.name] <= position for earlier, _, _ in steps[:position]):
            cut = tensor
    if cut is None or not costly:
        return None, model
    return keras.Model(model.input, cut), keras.Model(cut, model.output)


def _awake(operation):
    """Tell whether batch normalisation in it updates its averages."""
    from brainlib.models._tensorflow import keras

    inner = operation._flatten_layers() if isinstance(operation, keras.Layer) else ()
    return any(isinstance(each, keras.layers.BatchNormalization) and each.trainable for each in inner)
