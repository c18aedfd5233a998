"""What the program shows, as HTML: the macros of `templates/parts.html.j2` have the words."""

from __future__ import annotations

from pathlib import Path

from brainlib.app.viewer import FEWEST, Viewer
from brainlib.report import pages
from brainlib.report.table import PERCENT, PERCENT1

_EXAMPLES = 6  # test images to click

_environment = pages.templates(Path(__file__).parent / "templates", autoescape=True)
_environment.filters |= {"png": pages.image_url, "thumbnail": pages.thumbnail_url}
_environment.globals |= {"percent": PERCENT, "percent1": PERCENT1, "zip": zip, "fewest": FEWEST}
parts = _environment.get_template("parts.html.j2").module


def model_label(viewer: Viewer) -> str:
    """Name a model in the list: its accuracy first, where a narrow list does not cut it off."""
    if viewer.score is None:
        return viewer.label
    return f"{PERCENT1.text(viewer.score)}{' (collapsed)' if viewer.collapsed else ''}: {viewer.label}"


def examples(viewer: Viewer) -> list[dict[str, str]]:
    """Return test images to click, as many of each class and none with a duplicate in training, for `Examples`."""
    if viewer.own_images is None:
        return []
    root, table = viewer.own_images.root, viewer.own_images.table
    shown = table[table["part"] == "test"].groupby("label").head(max(1, _EXAMPLES // len(viewer.classes)))
    rows = zip(shown["path"], shown["label"], strict=True)
    return [{"path": p, "label": viewer.class_name(name), "src": pages.thumbnail_url(root / p)} for p, name in rows]
