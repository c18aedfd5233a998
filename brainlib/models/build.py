"""Build the networks: a small CNN, a pretrained backbone with a classification head, or a user's own model.

A network is described by `ModelSpec`, which is plain data, and built by `build_network`. It takes
pixels in [0, 255] and scales them itself. The layers of a backbone and of its head stand in one flat
graph, so that a part of the backbone can be frozen, cut off and computed once (see `freezing`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from brainlib.errors import ModelError, WeightsError, reason
from brainlib.models.backbones import PHANTOMS, STAND_IN, Weights, backbone_named, stand_in_arrays
from brainlib.models.own import Own

if TYPE_CHECKING:
    import keras

#: Filters and stride of each convolution of the stand-in (3 by 3, ReLU), which ends in an eighth of the image's size.
STAND_IN_LAYERS = ((16, 2), (32, 1), (64, 2), (96, 2), (24, 1))


@dataclass(frozen=True)
class ModelSpec:
    """Description of a network as plain data.

    Attributes
    ----------
    kind : {"cnn", "transfer", "own"}
    channels : {1, 3}
        Of the input image.
    scaling : {"unit", "raw", "centred", "imagenet_mean_std", "training_mean_std", "backbone"}
        Input scaling; "backbone" is what the backbone's weights expect. See `layers.InputScaling`.
    backbone : str
        A name of `backbones.BACKBONES`; "" for the CNN.
    convolutions : tuple of int
        Filters of each convolution of the CNN (ReLU), each followed by max pooling and dropout.
    kernel_size, pool_size : int
        In pixels, square. The CNN's.
    padding : {"same", "valid"}
    conv_dropout : float
        Rate of the dropout after each pooling, in [0, 1).
    pooling : {"flatten", "average", "max"}
        How feature maps become features.
    dense : tuple of int
        Units of the hidden dense layers (ReLU).
    head_dropout : tuple of float
        Rates of the dropout after the features and after each hidden dense layer, in this order,
        in [0, 1); 0, or a rate that is missing at the end, for none.
    function : Own, optional
        Builds an own model, of which nothing else but its channels is described: ``size, classes -> keras.Model``.
    """

    kind: str
    channels: int = 3
    scaling: str = "unit"
    backbone: str = ""
    convolutions: tuple[int, ...] = ()
    kernel_size: int = 3
    padding: str = "same"
    pool_size: int = 2
    conv_dropout: float = 0.0
    pooling: str = "flatten"
    dense: tuple[int, ...] = ()
    head_dropout: tuple[float, ...] = ()
    function: Own | None = None


@dataclass(frozen=True)
class Network:
    """A built model with what freezing and training need to know of it.

    Attributes
    ----------
    model : keras.Model
        (batch, size, size, channels) pixels in [0, 255] to (batch, outputs) probabilities.
    head : tuple of str
        Names of the operations after the backbone; for the CNN, after its feature layers; for an own model, which may
        have a random layer anywhere, after its input.
    frozen : frozenset of keras.Layer
        Layers that train only when a phase asks for it: those of the backbone, or, at any depth of an own model, those
        that its function froze.
    """

    model: object
    head: tuple[str, ...]
    frozen: frozenset


def build_network(
    spec: ModelSpec, size: int, outputs: int, weights: Weights, spread: tuple[list[float], list[float]] | None = None
) -> Network:
    """Build a network.

    Parameters
    ----------
    size : int
        Height and width of the input in pixels.
    outputs : int
        1 for a sigmoid unit (two classes), else one softmax unit per class; an own model chooses.
    weights : Weights
        Initial weights of the backbone; see `backbones.find_weights`.
    spread : tuple of list of float, optional
        `mean_and_deviation` of the training images, for the scaling by them.

    Raises
    ------
    ModelError
        When the image is too small for the network, or an own model cannot be trained or stored.
    WeightsError
        When the weights cannot be read or do not fit.
    """
    from brainlib.models._tensorflow import keras
    from brainlib.models.layers import InputScaling

    if spec.function:
        return _own(spec, size, max(outputs, 2))
    pixels = keras.Input((size, size, spec.channels), name="pixels")
    x = pixels
    if spec.kind == "transfer" and spec.channels == 1:  # as pretrained weights take it: grey three times
        x = keras.layers.Concatenate(name="grey_as_colour")([pixels] * 3)
    scaled = InputScaling(_scaling(spec, weights), spread, name="scaling")(x)
    try:
        if spec.kind == "cnn":
            features = _convolutions(spec, scaled)
        else:
            features = _backbone(spec, scaled, size, weights)
    except ValueError as error:
        raise ModelError(
            f"cannot build {spec.backbone or spec.kind} for images of {size} pixels: {reason(error)}"
        ) from error
    model = keras.Model(pixels, _head(spec, features, outputs), name=spec.backbone or spec.kind)
    head = _after(features._keras_history.operation, model)
    return Network(model, head, frozenset(inside(layer for layer in model.layers if layer.name not in head)))


def mean_and_deviation(pixels: np.ndarray, rows: np.ndarray) -> tuple[list[float], list[float]]:
    """Return mean and standard deviation of each channel over all pixels of these images, for `InputScaling`."""
    sums, squares = np.zeros(pixels.shape[-1]), np.zeros(pixels.shape[-1])
    for row in rows:
        image = pixels[row].reshape(-1, pixels.shape[-1]).astype(float)
        sums, squares = sums + image.mean(axis=0), squares + (image**2).mean(axis=0)
    mean = sums / len(rows)
    return mean.tolist(), np.sqrt(squares / len(rows) - mean**2).tolist()


def _own(spec, size, classes):
    """Call a user's function, and refuse in one line what could not be trained, or not be loaded from a store."""
    from brainlib.models._tensorflow import keras

    def require(fits, expected, received):
        if not fits:
            raise ModelError(f"{spec.function.name}: expected {expected}, received {received}")

    model = spec.function.call(size, classes)
    ends = [getattr(model, name, None) or () for name in ("inputs", "outputs")]
    plain = isinstance(model, keras.Model) and [len(each) for each in ends] == [1, 1]
    require(plain, "a functional keras.Model, or a Sequential one that begins with keras.Input", type(model).__name__)
    model = keras.Model(*(each[0] for each in ends), name=model.name)
    given = (None, size, size, spec.channels)
    require(model.input_shape == given, f"images of shape {given}", f"{model.input_shape}; see channels and size")
    units = [classes, 1] if classes == 2 else [classes]
    shapes = [(None, each) for each in units]
    require(model.output_shape in shapes, f"an output of shape {' or '.join(map(str, shapes))}", model.output_shape)
    every = inside(model.layers)
    strange = [each for each in every if type(each).__module__.split(".")[0] not in ("keras", "keras_hub", "brainlib")]
    require(not strange, "layers of Keras, which a store can load", strange and type(strange[0]).__name__)
    try:
        keras.models.model_from_json(model.to_json())
        steps_of(model)
    except (TypeError, ValueError) as error:
        require(False, "plain layers of Keras, each used once", reason(error))
    seen = np.random.default_rng(0).uniform(0, 255, (4, *given[1:])).astype(np.float32)
    found = np.asarray(model(seen, training=False), np.float32)
    sums = found.sum(axis=1) if found.shape[1] > 1 else np.ones(len(found))
    fits = found.min() >= 0 and found.max() <= 1 and np.allclose(sums, 1, atol=1e-2)
    require(fits, "probabilities, of a sigmoid or softmax", f"values from {found.min():.3g} to {found.max():.3g}")
    frozen = frozenset(layer for layer in every if not layer.trainable)
    return Network(model, _after(model.inputs[0]._keras_history.operation, model), frozen)


def _after(operation, model):
    names = [each.name for each in model.operations]
    return tuple(names[names.index(operation.name) + 1 :])


def inside(layers):
    """List layers, each nested model followed by its own layers."""
    return [each for layer in layers for each in layer._flatten_layers()]


def _scaling(spec, weights):
    if spec.scaling != "backbone":
        return spec.scaling
    if weights.scaling != "keras":
        return weights.scaling
    module = backbone_named(spec.backbone).module
    return f"keras:{module}" if module else "imagenet_mean_std"


def _convolutions(spec, x):
    from brainlib.models._tensorflow import keras

    layers = keras.layers
    for number, filters in enumerate(spec.convolutions, start=1):
        x = layers.Conv2D(filters, spec.kernel_size, padding=spec.padding, activation="relu", name=f"conv{number}")(x)
        x = layers.MaxPooling2D(spec.pool_size, name=f"pool{number}")(x)
        x = layers.Dropout(spec.conv_dropout, name=f"conv_dropout{number}")(x)
    return x


def _backbone(spec, x, size, weights):
    from brainlib.models._tensorflow import keras

    if spec.backbone == STAND_IN:
        return _stand_in(x, weights)
    backbone = backbone_named(spec.backbone)
    if not backbone.module:
        return _resnet18(x, size, weights)
    function = getattr(keras.applications, backbone.function)
    make = partial(function, include_top=False, input_tensor=x, **backbone.arguments)
    try:
        return make(weights={"random": None, "imagenet": "imagenet", "file": weights.file}[weights.source]).output
    except (OSError, KeyError) as error:
        raise _unusable(spec.backbone, weights, error) from error
    except ValueError as error:
        if weights.source != "file":
            raise
        make(weights=None)  # raises the error of an image that is too small; else the file is wrong
        raise _unusable(spec.backbone, weights, error) from error
    except Exception as error:
        if weights.source == "imagenet":
            raise _unusable(spec.backbone, weights, error) from error
        raise


def _unusable(name, weights, error):
    return WeightsError(
        f"weights of {name}: {weights.file or 'the download of Keras'} could not be used "
        f"({reason(error)}); check the file or the connection, or use --weights random"
    )


def _stand_in(x, weights):
    from brainlib.models._tensorflow import keras

    arrays = stand_in_arrays() if weights.source == PHANTOMS else {}
    for number, (filters, stride) in enumerate(STAND_IN_LAYERS, start=1):
        name = f"{STAND_IN}_conv{number}"
        layer = keras.layers.Conv2D(filters, 3, stride, "same", activation="relu", name=name)
        x = layer(x)
        if arrays:
            layer.set_weights([arrays[f"{name}_kernel"], arrays[f"{name}_bias"]])
    return x


def _resnet18(x, size, weights):
    from keras_hub.models import ResNetBackbone

    # He et al. 2016, Table 1, 18-layer: a 7x7 convolution, then four stacks of two blocks.
    backbone = ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 128, 256, 512],
        stackwise_num_blocks=[2, 2, 2, 2],
        stackwise_num_strides=[1, 2, 2, 2],
        block_type="basic_block",
        image_shape=(size, size, 3),
        name="resnet18",
    )
    try:
        if weights.source == "imagenet":
            preset = ResNetBackbone.from_preset("resnet_18_imagenet")
            backbone.set_weights(preset.get_weights())
        elif weights.source == "file":
            backbone.load_weights(weights.file)
    except Exception as error:
        raise _unusable("resnet18", weights, error) from error
    return backbone(x)


def _head(spec, x, outputs):
    from brainlib.models._tensorflow import keras

    layers = keras.layers
    poolings = {"flatten": "Flatten", "average": "GlobalAveragePooling2D", "max": "GlobalMaxPooling2D"}
    x = getattr(layers, poolings[spec.pooling])(name="features")(x)
    for number in range(len(spec.dense) + 1):
        if number:
            x = layers.Dense(spec.dense[number - 1], activation="relu", name=f"dense{number}")(x)
        if any(spec.head_dropout[number : number + 1]):
            x = layers.Dropout(spec.head_dropout[number], name=f"head_dropout{number + 1}")(x)
    activation = "sigmoid" if outputs == 1 else "softmax"
    # In float32 whatever the precision of the rest: float16 has no probability between 0.9995 and 1.
    return layers.Dense(outputs, activation=activation, dtype="float32", name="output")(x)


def steps_of(model: keras.Model) -> list[tuple[keras.Operation, set[str], keras.KerasTensor]]:
    """List the operations in their order, with the names of those before and the output; ValueError if one has two."""
    owner, steps = {}, []
    inside = {id(node) for nodes in model._nodes_by_depth.values() for node in nodes}
    for operation in model.operations:
        # The node, not `operation.input`: that of a nested model is the input of its own graph.
        (node,) = (each for each in operation._inbound_nodes if id(each) in inside)
        (tensor,) = node.outputs
        steps.append((operation, {owner[id(each)] for each in node.input_tensors}, tensor))
        owner[id(tensor)] = operation.name
    return steps
