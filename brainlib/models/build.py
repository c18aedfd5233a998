"""The networks: a small CNN and any backbone with a head, and which of their layers train.

A network is described by `ModelSpec`, plain data, and built by `build`. It takes pixels in
[0, 255] and scales them itself. A backbone's layers stand in one flat graph with the head's, so
that a part of a backbone can be frozen, cut off and computed once (`cut_frozen_prefix`).
"""

from __future__ import annotations

from dataclasses import dataclass

from brainlib.errors import ModelError, WeightsError
from brainlib.models.backbones import Weights, backbone_named


@dataclass(frozen=True)
class ModelSpec:
    """A network as data.

    Attributes
    ----------
    kind : {"cnn", "transfer"}
    channels : {1, 3}
        Channels of the input image.
    scaling : {"unit", "imagenet_mean_std", "backbone"}
        Input scaling; "backbone" is what the backbone's weights expect.
    backbone : str
        Name in `weights.BACKBONES`; "" for the CNN.
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
        in [0, 1); 0, or left out at the end, for none.
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


@dataclass(frozen=True)
class Network:
    """A built model with the marks that training needs.

    Attributes
    ----------
    model : keras.Model
        (batch, size, size, channels) pixels in [0, 255] to (batch, outputs) probabilities.
    backbone_end : str
        Name of the layer that ends the backbone; for the CNN, the last of its feature layers.
    steps : tuple of (str, tuple of str, keras.KerasTensor)
        Each operation in the order of computation: name, names of those that feed it, output.
        Noted when the model is built, because a layer that is used in a second graph no longer
        tells its first one.
    """

    model: object
    backbone_end: str
    steps: tuple

    @property
    def head(self) -> tuple[str, ...]:
        """Names of the operations after the backbone."""
        names = [name for name, _, _ in self.steps]
        return tuple(names[names.index(self.backbone_end) + 1 :])


def build(spec: ModelSpec, size: int, outputs: int, weights: Weights) -> Network:
    """Build a network.

    Parameters
    ----------
    spec : ModelSpec
    size : int
        Height and width of the input in pixels.
    outputs : int
        1 for a sigmoid unit (two classes), else one softmax unit a class.
    weights : Weights
        What the backbone starts from; see `weights.find_weights`.

    Returns
    -------
    Network

    Raises
    ------
    ModelError
        When the image is too small for the network.
    WeightsError
        When the weights cannot be had or do not fit.
    """
    import keras

    from brainlib.models.layers import InputScaling

    pixels = keras.Input((size, size, spec.channels), name="pixels")
    scaled = InputScaling(_scaling(spec, weights), name="scaling")(pixels)
    try:
        if spec.kind == "cnn":
            features = _convolutions(spec, scaled)
        else:
            features = _backbone(spec, scaled, size, weights)
    except ValueError as error:
        raise ModelError(
            f"cannot build {spec.backbone or spec.kind} for images of {size} pixels: "
            f"{' '.join(str(error).split())[:200]}"
        ) from error
    backbone_end = features._keras_history.operation.name
    probabilities = _head(spec, features, outputs)
    model = keras.Model(pixels, probabilities, name=spec.backbone or spec.kind)
    return Network(model, backbone_end, _steps(model))


def _scaling(spec, weights):
    if spec.scaling != "backbone":
        return spec.scaling
    if weights.scaling != "keras":
        return weights.scaling
    module = backbone_named(spec.backbone).module
    return f"keras:{module}" if module else "imagenet_mean_std"


def _convolutions(spec, x):
    from keras import layers

    for number, filters in enumerate(spec.convolutions, start=1):
        x = layers.Conv2D(
            filters,
            spec.kernel_size,
            padding=spec.padding,
            activation="relu",
            name=f"conv{number}",
        )(x)
        x = layers.MaxPooling2D(spec.pool_size, name=f"pool{number}")(x)
        x = layers.Dropout(spec.conv_dropout, name=f"conv_dropout{number}")(x)
    return x


def _backbone(spec, x, size, weights):
    import keras

    backbone = backbone_named(spec.backbone)
    if not backbone.module:
        return _resnet18(x, size, weights)
    function = getattr(keras.applications, backbone.function)
    start = {"random": None, "imagenet": "imagenet", "file": weights.file}[weights.source]
    arguments = dict(backbone.arguments)
    try:
        return function(include_top=False, weights=start, input_tensor=x, **arguments).output
    except (OSError, KeyError) as error:
        raise _unusable(spec.backbone, weights, error) from error
    except ValueError as error:
        # A wrong file is told from an image that is too small: only one of them has a file.
        if weights.source == "file" and _fits_without_weights(function, x, arguments):
            raise _unusable(spec.backbone, weights, error) from error
        raise
    except Exception as error:
        if weights.source == "imagenet":
            raise _unusable(spec.backbone, weights, error) from error
        raise


def _fits_without_weights(function, x, arguments):
    try:
        function(include_top=False, weights=None, input_tensor=x, **arguments)
    except ValueError:
        return False
    return True


def _unusable(name, weights, error):
    first = " ".join(str(error).split())[:160]
    return WeightsError(
        f"weights of {name}: {weights.file or 'the download of Keras'} could not be used "
        f"({first}); check the file or the connection, or use --weights random"
    )


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
    from keras import layers

    pooling = {
        "flatten": layers.Flatten,
        "average": layers.GlobalAveragePooling2D,
        "max": layers.GlobalMaxPooling2D,
    }[spec.pooling]
    x = pooling(name="features")(x)
    for number in range(len(spec.dense) + 1):
        if number:
            x = layers.Dense(spec.dense[number - 1], activation="relu", name=f"dense{number}")(x)
        if any(spec.head_dropout[number : number + 1]):
            x = layers.Dropout(spec.head_dropout[number], name=f"head_dropout{number + 1}")(x)
    activation = "sigmoid" if outputs == 1 else "softmax"
    return layers.Dense(outputs, activation=activation, name="output")(x)


def _steps(model):
    owner, steps = {}, []
    for operation in model.operations:
        # The node, not `operation.input`: a nested model answers that with its own inside.
        node = operation._inbound_nodes[0]
        feeding = tuple(dict.fromkeys(owner[id(tensor)] for tensor in node.input_tensors))
        (tensor,) = node.outputs
        owner[id(tensor)] = operation.name
        steps.append((operation.name, feeding, tensor))
    return tuple(steps)


def set_trainable(network: Network, trainable, batch_norm: str = "trained") -> tuple[str, ...]:
    """Freeze and thaw layers for a phase.

    A frozen batch normalisation runs in inference mode: Keras ties the two together.

    Parameters
    ----------
    network : Network
    trainable : "all", "head", or sequence of str
        The whole network, only what follows the backbone, or the head and the backbone layers
        whose names begin so.
    batch_norm : {"trained", "frozen"}
        Whether batch normalisation among these layers trains with them.

    Returns
    -------
    tuple of str
        Names of the layers with weights that now train.

    Raises
    ------
    ModelError
        When a prefix names no layer.
    """
    import keras

    head = set(network.head)
    prefixes = () if isinstance(trainable, str) else tuple(trainable)
    layers = network.model.layers
    for prefix in prefixes:
        if not any(layer.name.startswith(prefix) for layer in layers):
            known = ", ".join(layer.name for layer in layers if layer.weights)
            raise ModelError(f"no layer begins with '{prefix}'; the layers are: {known[:300]}")
    for layer in layers:
        wanted = trainable == "all" or layer.name in head or layer.name.startswith(prefixes or "\0")
        # A nested model, such as ResNet18, hands only a change on to its layers: to each by itself.
        for each in (layer, *_inner(layer)):
            frozen = batch_norm == "frozen" and isinstance(each, keras.layers.BatchNormalization)
            each.trainable = bool(wanted) and not frozen
    return tuple(layer.name for layer in layers if layer.trainable_weights)


def _inner(layer):
    for inner in getattr(layer, "layers", ()):
        yield inner
        yield from _inner(inner)


def cut_frozen_prefix(network: Network):
    """Split a network where its frozen beginning ends.

    The cut is the latest single tensor through which everything flows, with nothing before it
    that trains. What lies before it gives the same activations in every epoch and every fold, so
    it can be run over the images once. It is run in inference mode, its drop-connect included.

    Parameters
    ----------
    network : Network
        After `set_trainable`.

    Returns
    -------
    prefix, suffix : keras.Model or None, keras.Model
        `suffix(prefix(x))` is the network; the layers are shared, not copied. The prefix is None
        where nothing worth caching is frozen.
    """
    import keras

    model, after_backbone = network.model, set(network.head)
    last_use = {}
    for position, (_, feeding, _) in enumerate(network.steps):
        for name in feeding:
            last_use[name] = position
    operations = {operation.name: operation for operation in model.operations}
    cut, costly, open_until = None, False, 0
    for position, (name, _, tensor) in enumerate(network.steps[:-1]):
        operation = operations[name]
        if getattr(operation, "trainable_weights", ()):
            break
        # Dropout of the head acts in training; dropout inside a frozen backbone does not.
        if name in after_backbone and getattr(operation, "seed_generator", None) is not None:
            break
        # A kernel: without one (EfficientNet's normalisation of pixels) there is little to save.
        costly = costly or any(len(w.shape) > 1 for w in getattr(operation, "weights", ()))
        others = [last_use[n] for n, _, _ in network.steps[:position]]
        open_until = max(others, default=0)
        if open_until <= position:
            cut = tensor
    if cut is None or not costly:
        return None, model
    return keras.Model(model.input, cut), keras.Model(cut, model.output)
