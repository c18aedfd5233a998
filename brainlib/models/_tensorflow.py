"""TensorFlow and Keras, imported without the messages that TensorFlow prints as it starts.

The package imports both from here, inside functions. A user's own settings stay: nothing is hidden
where TensorFlow was imported before, or where TF_CPP_MIN_LOG_LEVEL is 0.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_LEVEL = "TF_CPP_MIN_LOG_LEVEL"


@contextmanager
def silent() -> Iterator[None]:
    """Discard what libraries write to file descriptor 2, which no log level governs."""
    if os.environ.get(_LEVEL) == "0":
        yield
        return
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


if "tensorflow" not in sys.modules:
    os.environ.setdefault(_LEVEL, "2")
    with silent():
        import tensorflow  # noqa: F401

import keras  # noqa: E402, F401
import tensorflow as tf  # noqa: E402


def start_worker() -> None:
    """Let TensorFlow find accelerators, in a process that trains; one that did so may not be forked."""
    # Its warning that graphs are traced often is true, and expected where many models are trained.
    tf.get_logger().setLevel("ERROR")
    with silent():
        tf.config.list_physical_devices()
