"""Keras layers of this package: input scaling as a part of the model, a part that never trains, a faster order.

Importing this module imports Keras and registers `InputScaling` with it.
"""

from __future__ import annotations

from brainlib.models._tensorflow import keras


@keras.saving.register_keras_serializable(package="brainlib")
class InputScaling(keras.layers.Layer):
    """Scale pixels in [0, 255] to the range that the model's pretrained weights were trained with, as float32.

    Modes: "unit", x / 255; "raw", x; "centred", x / 127.5 - 1; "centred_128", (x - 128) / 128; "imagenet_mean_std",
    (x / 255 - mean) / deviation with ImageNet's per channel; "training_mean_std", (x - mean) / deviation with those
    of a `spread`; "keras:MODULE", `keras.applications.MODULE.preprocess_input`. Stored models
    refer to the layer as "brainlib>InputScaling": neither part of that name may change.
    """

    def __init__(self, mode: str, spread=None, **options):
        options["trainable"] = False
        super().__init__(**options)
        self.mode, self.spread = mode, spread

    def call(self, pixels):
        """Return the scaled pixels."""
        if self.mode == "unit":
            return pixels / 255.0
        if self.mode == "raw":
            return pixels
        if self.mode == "centred":
            return pixels / 127.5 - 1.0
        if self.mode == "training_mean_std":
            mean, deviation = self.spread
            return (pixels - mean) / deviation
        if self.mode == "centred_128":
            return (pixels - 128.0) / 128.0
        if self.mode == "imagenet_mean_std":
            # "torch" is the name that Keras gives this scaling.
            scale = keras.applications.imagenet_utils.preprocess_input
            return scale(pixels, data_format="channels_last", mode="torch")
        module = getattr(keras.applications, self.mode.removeprefix("keras:"))
        return module.preprocess_input(pixels)

    def get_config(self):
        """Return the configuration, from which Keras restores the layer."""
        return {**super().get_config(), "mode": self.mode} | ({"spread": self.spread} if self.spread else {})


class OneMode(keras.layers.Layer):
    """Run a model in inference mode, also while the model around it trains, or always as in `training`.

    Calling an inner model with ``training=False`` is not enough: a functional model passes its own
    mode to all of its layers.
    """

    def __init__(self, model, training=False, **options):
        super().__init__(**options)
        self.model, self.training = model, training

    def call(self, inputs):
        """Return the model's output in that mode."""
        return self.model(inputs, training=self.training)


class PooledConvolution(keras.layers.Layer):
    """Convolution, max pooling, bias, ReLU: what convolution with bias and ReLU, then max pooling compute, but faster.

    The maximum of shifted and clipped values is the shifted and clipped maximum, and the gradient takes the same
    way. Bias and ReLU, and above all their gradients, then touch only the maxima.
    """

    def __init__(self, convolution, pooling):
        super().__init__(dtype=convolution.dtype_policy)
        self.convolution, self.pooling = convolution, pooling

    def call(self, x):
        """Return the pooled feature maps."""
        x = self.convolution.convolution_op(x, self.convolution.kernel)
        return keras.ops.relu(keras.ops.add(self.pooling(x), self.convolution.bias))


def pooled_first(model):
    """Return a model of the same layers in which `PooledConvolution` stands wherever it can, for training."""

    def convolution(pooling, x):
        if type(pooling) is keras.layers.MaxPooling2D and type(x._keras_history.operation) is keras.layers.Conv2D:
            layer, node, _ = x._keras_history
            if layer.activation is keras.activations.relu and layer.use_bias:
                return layer, layer._inbound_nodes[node].input_tensors[0]
        return None

    def call(layer, x, **options):
        if found := convolution(layer, x):
            return PooledConvolution(found[0], layer)(found[1])
        return layer(x, **options)

    inputs = ((layer, node.input_tensors) for layer in model.layers for node in layer._inbound_nodes)
    if not any(len(given) == 1 and convolution(layer, *given) for layer, given in inputs):
        return model
    return keras.models.clone_model(model, clone_function=lambda layer: layer, call_function=call)
