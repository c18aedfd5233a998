"""What can go wrong through no fault of the program, each said in one line.

The command line prints the message and exits with status 2; a notebook shows it as the last line
of its traceback. A message says what was expected, what was received and what to do.
"""


class BrainlibError(Exception):
    """Base of every error that a user can mend."""


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
    """A stored result that cannot be written."""


def shorten(value: object) -> str:
    """Return a value as one short line, for a message."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
