"""What the program shows, as HTML: `templates/parts.html.j2` has the words and writes numbers with the filters here."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np

from brainlib.app.viewer import FEWEST, InputImage, Viewer
from brainlib.errors import BrainlibError
from brainlib.report import pages
from brainlib.report.table import PERCENT, PERCENT1
from brainlib.stats.estimates import Estimate
from brainlib.stats.intervals import wilson_interval
from brainlib.trials.stored import Stored

_NEAREST = 6  # training images that are shown
_ORIGINAL = 512  # pixels at which an image as it was chosen is shown


def _share(k: int, n: int) -> str:
    """Write k of n as a percentage with its interval."""
    interval = wilson_interval(k, n)
    return PERCENT1.text(k / n, interval.low, interval.high)


def _accuracy(found: Estimate | None) -> str:
    if found is None or found.n < FEWEST:
        return f"{found.n if found else 'no'} images, too few for a rate"
    return f"{PERCENT.text(found.value, found.low, found.high)} of {found.n} images"


@cache
def _colours() -> str:
    """Return the colours of the overlay, from 0 to 1, for a gradient of CSS."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return ", ".join(to_hex(colormaps["inferno"](value)) for value in np.linspace(0, 1, 9))


_environment = pages.templates(Path(__file__).parent / "templates", autoescape=True)
_environment.filters |= {
    "percent1": PERCENT1.text,
    "accuracy": _accuracy,
    "png": pages.png_url,
    "thumbnail": pages.thumbnail_url,
}
_environment.globals |= {"share": _share, "zip": zip, "colours": _colours, "fewest": FEWEST}
_parts = _environment.get_template("parts.html.j2").module
notice, status, alarm, progress = _parts.notice, _parts.status, _parts.alarm, _parts.progress
nothing_trained, about = _parts.nothing_trained, _parts.about


def model_label(stored: Stored, score: tuple[float, bool] | None) -> str:
    """Name a model in the list: its accuracy first, where a narrow list does not cut it off."""
    try:
        name = stored.name.removesuffix(" final")
        apart = ", duplicates kept apart" if stored.trial["split"]["by"] == "group" else ""
        label = f"{name}, {stored.trained_on}{apart}"
    except (BrainlibError, KeyError, TypeError):  # of another version; choosing it says what is wrong
        return stored.key
    if score is None:
        return label
    return f"{PERCENT1.text(score[0])}{' (collapsed)' if score[1] else ''}: {label}"


def examples(viewer: Viewer) -> list[dict[str, str]]:
    """Return the test images to click: path, class in words, and the image as a data URL."""
    return [
        {
            "path": row.path,
            "label": viewer.class_name(row.label),
            "src": pages.thumbnail_url(viewer.dataset.root / row.path),
        }
        for row in viewer.examples.itertuples()
    ]


def probabilities(viewer: Viewer, image: InputImage, values: np.ndarray) -> str:
    """Show the predicted class, the true one where it is known, each class's probability, and notes on the file."""
    return _parts.probabilities(viewer, image, viewer.classes[int(values.argmax())], values.tolist())


def heat_map(
    viewer: Viewer, image: InputImage, pixels: np.ndarray, overlay: np.ndarray, target: int, empty: bool
) -> str:
    """Show an image as it was chosen, as the model receives it, and under the heat map of a class."""
    original = image.image.copy()
    original.thumbnail((_ORIGINAL, _ORIGINAL))
    return _parts.heat_map(viewer, image, original, pixels, overlay, viewer.class_name(viewer.classes[target]), empty)


def neighbours(viewer: Viewer, image: InputImage) -> tuple[str, str, float | None]:
    """Compare an image with the training images: a warning or "", the nearest images, and the novelty score."""
    if viewer.detector is None:
        return "", _parts.neighbours(viewer, False, 0, []), None
    novelty, near = viewer.neighbours(image, _NEAREST)
    seen = image.seen or near[0][2].duplicate is not None
    return _parts.warning(seen, novelty), _parts.neighbours(viewer, seen, novelty, near), novelty


def saved(viewer: Viewer, image: InputImage, values: np.ndarray, novelty: float | None) -> str:
    """Offer the answer as a file, JSON: the model, the image, and the numbers that the page shows."""
    answer = {
        "note": "For research use only. This is not a medical device.",
        "model": {"name": viewer.stored.name, "key": viewer.stored.key, "trained_on": viewer.stored.trained_on},
        "image": {"name": image.name, "part_and_class": image.kind, "notes": image.notes},
        "probabilities": dict(zip(viewer.classes, values.tolist(), strict=True)),
        "predicted": viewer.classes[int(values.argmax())],
        "true": image.label or None,
        "novelty": novelty,
    }
    return _parts.saved(image, pages.data_url(json.dumps(answer, indent=1).encode(), "application/json"))
