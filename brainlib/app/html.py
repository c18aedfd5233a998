"""What the program shows, as HTML: numbers are prepared here, `templates/parts.html.j2` has the words."""

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
from brainlib.report.model_cards import ALL, WITHOUT
from brainlib.report.table import PERCENT, PERCENT1
from brainlib.stats.intervals import wilson_interval

_NEAREST = 6  # training images that are shown
_SMALL = 136  # pixels of each
_FEWEST = 20  # test images for a rate of false alarms


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


_environment = pages.templates(Path(__file__).parent / "templates", autoescape=True)
_environment.filters |= {"percent1": PERCENT1.text, "png": _png, "thumbnail": _thumbnail}
_parts = _environment.get_template("parts.html.j2").module
notice, status, alarm, progress = _parts.notice, _parts.status, _parts.alarm, _parts.progress
nothing_trained = _parts.nothing_trained


def about(viewer: Viewer) -> str:
    """Describe a model: paper, data, weights, accuracy, and why it is not comparable with the paper's."""
    accuracy = {}
    for which in (ALL, WITHOUT):
        found = viewer.accuracy.get(which)
        text = found and f"{PERCENT.text(found.value, found.low, found.high)} of {found.n} images"
        accuracy[which] = text or "no such image"
    shown = _parts.about(viewer, viewer.trial, accuracy)
    available = viewer.dataset is not None
    return shown if available else shown + _parts.unavailable(viewer.missing, not viewer.stored.phantom)


def probabilities(image: InputImage, classes: list[str], values: np.ndarray) -> str:
    """Show the predicted class, the probability of each class, and the notes on the file."""
    return _parts.probabilities(image, classes[int(values.argmax())], list(zip(classes, values, strict=True)))


def neighbours(viewer: Viewer, image: InputImage) -> tuple[str, str]:
    """Compare an image with the training images: a warning or "", and the score with the nearest images."""
    if viewer.detector is None:
        return "", _parts.neighbours("", "", 0, None, False, None)
    novelty, near = viewer.neighbours(image, _NEAREST)
    if image.seen or near[0][2].duplicate is not None:
        finding = "A duplicate of a training image."
        why = "The model was trained on this image: its prediction tests memory only."
    elif novelty > 1:
        finding = "Unlike the training images."
        why = "The model has seen nothing like it: there is little reason to trust the prediction."
    else:
        finding = ""
        why = "Not recognised as novel, which is no proof of the opposite: slices of other sets often pass."
    warning = _parts.warning(finding, why)
    (alarms, n), rate = viewer.false_alarms, None
    if n >= _FEWEST:
        limits = wilson_interval(alarms, n)
        rate = (alarms, n, PERCENT1.text(alarms / n, limits.low, limits.high))
    return warning, _parts.neighbours(finding, why, novelty, rate, not viewer.stored.phantom, near)


def heat_map(viewer: Viewer, image: InputImage, pixels: np.ndarray, overlay: np.ndarray, target: int, empty: bool):
    """Show an image as the model receives it (uint8 (size, size, channels)), and a class's heat map over it."""
    return _parts.heat_map(image, viewer.trial["size"], viewer.classes[target], pixels, overlay, empty)
