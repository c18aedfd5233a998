"""Keras layers of this package: input scaling as a part of the model, and a part that never trains.

Importing this module imports Keras and registers `InputScaling` with it.
"""

from __future__ import annotations

from brainlib.models._tensorflow import keras


@keras.saving.register_keras_serializable(package="brainlib")
class InputScaling(keras.layers.Layer):
    """Scale pixels in [0, 255] to the range that the model's pretrained weights were trained with, as float32.

    Modes: "unit", x / 255; "centred_128", (x - 128) / 128; "imagenet_mean_std", (x / 255 - mean) /
    deviation with ImageNet's per channel; "keras:MODULE", `keras.applications.MODULE.preprocess_input`.
    Stored models refer to the layer as "brainlib>InputScaling": neither part of that name may change.
    """

    def __init__(self, mode: str, **options):
        options["trainable"] = False
        super().__init__(**options)
        self.mode = mode

    def call(self, pixels):
        """Return the scaled pixels."""
        if self.mode == "unit":
            return pixels / 255.0
        if self.mode == "centred_128":
            return (pixels - 128.0) / 128.0
        if self.mode == "imagenet_mean_std":
            # "torch" is the name that Keras gives this scaling.
            scale = keras.applications.imagenet_utils.preprocess_input
            return scale(pixels, data_format="channels_last", mode="torch")
        module = getattr(keras.applications, self.mode.removeprefix("keras:"))
        return module.preprocess_input(pixels)

    def compute_output_shape(self, input_shape):
        """Return the shape of the input."""
        return input_shape

    def get_config(self):
        """Return the configuration, from which Keras restores the layer."""
        return {**super().get_config(), "mode": self.mode}


class InferenceOnly(keras.layers.Layer):
    """Run a model in inference mode, also while the model around it trains.

    Calling an inner model with ``training=False`` is not enough: a functional model passes its own
    mode to all of its layers.
    """

    def __init__(self, model, **options):
        super().__init__(**options)
        self.model = model

    def call(self, inputs):
        """Return the model's output in inference mode."""
        return self.model(inputs, training=False)
