"""Feed a network by row numbers: images and activations lie beside the device, and the graph looks rows up.

A graph that trains or predicts takes the numbers of images. The images themselves are one tensor, as
uint8, in the memory of an accelerator where they fit, else in that of the host, where the tensor is the
memory map of a stored file and takes no memory of its own.
"""

from __future__ import annotations

import numpy as np

#: Part of an accelerator's memory that images or activations may take: the rest is for the network.
SHARE = 0.5
#: Rows that are predicted at once.
PREDICTION_BATCH = 32


def held(array: np.ndarray):
    """Return an array as a tensor beside the device that computes; without a copy on a CPU."""
    from brainlib.models._tensorflow import tf

    accelerator = _accelerator()
    if accelerator and array.nbytes <= SHARE * accelerator.memory_limit:
        with tf.device(accelerator.name):
            return tf.identity(array)
    if array.nbytes == 0 or array.ctypes.data % 64 or not array.flags.c_contiguous:
        with tf.device("CPU"):
            return tf.identity(array)
    return tf.experimental.dlpack.from_dlpack(np.asarray(_Exported(array)).__dlpack__())


class _Exported:
    """An array that says that it may be written to: DLPack knows no others, and TensorFlow writes to no constant."""

    def __init__(self, array):
        self.array = array
        self.__array_interface__ = {**array.__array_interface__, "data": (array.ctypes.data, False)}


def _accelerator():
    from tensorflow.python.client import device_lib

    from brainlib.models._tensorflow import tf

    if not tf.config.list_logical_devices("GPU"):
        return None
    return next(device for device in device_lib.list_local_devices() if device.device_type == "GPU")


def looked_up(tensor, rows):
    """Return rows of a tensor as float32, looked up where the tensor lies. Within a graph."""
    from brainlib.models._tensorflow import tf

    with tf.device(tensor.device):
        return tf.cast(tf.gather(tensor, rows), tf.float32)


def predictor(model, inputs):
    """Return a function that predicts rows of a tensor that is `held`; its graph is made once.

    It takes an ndarray of int, shape (m,), and returns one of float32, shape (m, outputs).
    """
    from brainlib.models._tensorflow import tf

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int64)])
    def outputs(rows):
        return model(looked_up(inputs, rows), training=False)

    def predicted(rows):
        values = np.zeros((len(rows), *model.output_shape[1:]), np.float32)
        for start in range(0, len(rows), PREDICTION_BATCH):
            chosen = rows[start : start + PREDICTION_BATCH]
            values[start : start + PREDICTION_BATCH] = outputs(tf.constant(chosen, tf.int64))
        return values

    return predicted
