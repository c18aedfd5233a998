"""Importing this loads TensorFlow and Keras without their greetings.

The server that processes are forked from imports it once for all of them.
"""

import contextlib
import os


@contextlib.contextmanager
def silent():
    """Send away what libraries write on the file descriptor itself, whatever the log level."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


with silent():
    import keras  # noqa: F401
    import tensorflow

# Its warning that graphs are traced often is true, and what training many models means.
tensorflow.get_logger().setLevel("ERROR")


def find_devices() -> None:
    """Let TensorFlow look for accelerators; a process that did may not be forked."""
    with silent():
        tensorflow.config.list_physical_devices()
