"""What can go wrong through no fault of the program, each said in one line.

The command line prints the message and exits with status 2; a notebook shows it as the last line
of its traceback. A message says what was expected, what was received and what to do.
"""

import re

_UNSEEN = re.compile(r"[\0-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")  # control characters, ends of lines, half letters


class BrainlibError(Exception):
    """Base of every error that a user can mend."""

    def __str__(self):
        """Keep the message on one line, whatever the names of files and the texts of others hold."""
        return _UNSEEN.sub("?", super().__str__())


class UsageError(BrainlibError):
    """An option, a parameter or an output folder that cannot be used."""


class PaperError(BrainlibError):
    """A paper's YAML that is unknown or does not validate."""


class DataError(BrainlibError):
    """A data set or an image that is missing, incomplete or unreadable."""


class WeightsError(BrainlibError):
    """Pretrained weights that are missing or do not fit their backbone."""


class ModelError(BrainlibError):
    """A model that cannot be built, split or explained as asked."""


class StoreError(BrainlibError):
    """A stored result that cannot be written, or is not what a training stores."""


def reason(error: Exception) -> str:
    """Return what another library's exception says as one short line."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def shorten(value: object) -> str:
    """Return a value as one short line, for a message."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
