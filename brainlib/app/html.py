"""What the program shows, as HTML: `templates/parts.html.j2` has the words and writes numbers with the filters here."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image

from brainlib.app.viewer import InputImage, Viewer
from brainlib.data import images
from brainlib.errors import DataError
from brainlib.report import pages
from brainlib.report.table import PERCENT, PERCENT1
from brainlib.stats.estimates import Estimate
from brainlib.stats.intervals import wilson_interval

_NEAREST = 6  # training images that are shown
_SMALL = 136  # pixels of each


def _png(pixels: np.ndarray) -> str:
    """Return an image, uint8 (height, width, 1 or 3), as a data URL."""
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def _thumbnail(path: Path) -> np.ndarray:
    """Return a file as a small image, black where it cannot be read."""
    try:
        return np.asarray(images.decode(path).convert("RGB").resize((_SMALL, _SMALL)))
    except DataError:
        return np.zeros((_SMALL, _SMALL, 3), np.uint8)


def _share(k: int, n: int) -> str:
    """Write k of n as a percentage with its interval."""
    interval = wilson_interval(k, n)
    return PERCENT1.text(k / n, interval.low, interval.high)


def _accuracy(found: Estimate | None) -> str:
    return f"{PERCENT.text(found.value, found.low, found.high)} of {found.n} images" if found else "no such image"


_environment = pages.templates(Path(__file__).parent / "templates", autoescape=True)
_environment.filters |= {"percent1": PERCENT1.text, "accuracy": _accuracy, "png": _png, "thumbnail": _thumbnail}
_environment.globals["share"] = _share
_parts = _environment.get_template("parts.html.j2").module
notice, status, alarm, progress = _parts.notice, _parts.status, _parts.alarm, _parts.progress
nothing_trained, about, heat_map = _parts.nothing_trained, _parts.about, _parts.heat_map


def probabilities(image: InputImage, classes: list[str], values: np.ndarray) -> str:
    """Show the predicted class, the probability of each class, and the notes on the file."""
    return _parts.probabilities(image, classes[int(values.argmax())], list(zip(classes, values, strict=True)))


def neighbours(viewer: Viewer, image: InputImage) -> tuple[str, str]:
    """Compare an image with the training images: a warning or "", and the score with the nearest images."""
    if viewer.detector is None:
        return "", _parts.neighbours(viewer, False, 0, [])
    novelty, near = viewer.neighbours(image, _NEAREST)
    seen = image.seen or near[0][2].duplicate is not None
    return _parts.warning(seen, novelty), _parts.neighbours(viewer, seen, novelty, near)
