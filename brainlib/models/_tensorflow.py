"""TensorFlow and Keras, imported without the messages that TensorFlow prints as it starts.

The package imports both from here, inside functions. A user's own settings stay: nothing changes where
TensorFlow was imported before, or where these environment variables are set. Only what ``~/.keras/keras.json``
and KERAS_BACKEND say of arithmetic does not count, since a trial's key does not tell it.
"""

from __future__ import annotations

import contextlib
import os
import sys


@contextlib.contextmanager
def silent():
    """Discard what libraries write to file descriptor 2 itself, as TensorFlow does before it reads a log level."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


# Otherwise the first process that uses an accelerator takes all of its memory, and no other can train.
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
os.environ["KERAS_BACKEND"] = "tensorflow"  # whatever a user's other work computes with
_ours = "keras" not in sys.modules
with silent() if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") in "23" else contextlib.nullcontext():
    import keras  # noqa: F401
    import tensorflow as tf
if _ours:  # what ~/.keras/keras.json says would change every number
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")


def start_worker() -> None:
    """Hide the warning that graphs are traced often, which is expected of a process that trains."""
    tf.get_logger().setLevel("ERROR")
