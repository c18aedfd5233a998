"""Figures of slices: Grad-CAM panels and montages of duplicates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

import numpy as np
from PIL import Image

from brainlib.audit.overview import Overview
from brainlib.data import images
from brainlib.report.figures import style
from brainlib.report.figures.style import WIDTH, Plot

_ROWS, _COLUMNS = 8, 11  # of a montage at most
_SIDE = 96  # pixels of an image in a montage


def grad_cam_panel(rows: Sequence[tuple[str, np.ndarray, Mapping[str, np.ndarray]]]) -> Plot:
    """Draw rows of a caption, whose line breaks are kept, an image, and the heat maps that explain its predictions.

    The image is uint8 (height, width, 1 or 3), and each model's overlay, by its title, uint8 (height, width, 3) as
    `gradcam.overlay` makes it.
    """
    style.expect(rows, "an image")
    titles = list(dict.fromkeys(title for _, _, overlays in rows for title in overlays))
    size = min(2.5, (WIDTH - 1.8) / (1 + len(titles)))
    figure = style.figure(1.8 + size * (1 + len(titles)), 1.1 + size * len(rows))
    grid = figure.subplots(len(rows), 1 + len(titles), squeeze=False)
    for line, (caption, image, overlays) in zip(grid, rows, strict=True):
        shown = [image, *(overlays.get(title) for title in titles)]
        for axes, pixels in zip(line, shown, strict=True):
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            if pixels is not None:
                # Without interpolation, which adds no information and doubles the file.
                axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="none")
        line[0].set_ylabel(style.wrapped(caption, 20), rotation=0, ha="right", va="center", labelpad=8)
    for axes, title in zip(grid[0], ["Image", *titles], strict=True):
        axes.set_title(style.wrapped(title, max(14, round(10 * size))), fontsize=10)
    figure.suptitle("Grad-CAM: bright regions support the predicted class", fontsize=12)
    captions = "; ".join(", ".join(caption.splitlines()) for caption, _, _ in rows)
    alt = f"Grad-CAM heat maps of {style.plural(len(rows), 'image')}, by {', '.join(titles) or 'no model'}"
    return Plot(figure, f"{alt}. Rows: {captions}.")


def duplicate_montage(overview: Overview, name: str, contradictory: bool = False) -> Plot | None:
    """Show the largest groups of near-duplicates of a set, with the class and the name of each file.

    Contradictory groups are those of several classes. Without a group there is no figure. It shows published images,
    so it is for the local report alone.
    """
    audit, root = overview.audits[name], overview.roots[name]
    label = audit.table.set_index("path")["label"]
    groups = sorted(audit.groups("near"), key=len, reverse=True)
    groups = [group for group in groups if not contradictory or label[group].nunique() > 1]
    places = _places([min(len(group), _COLUMNS) for group in groups])
    if not places:
        return None
    rows = 1 + max(row for row, _ in places)
    side = WIDTH / _COLUMNS
    figure = style.figure(WIDTH, side * rows * 1.3 + 0.4)
    axes = figure.subplots(rows, _COLUMNS, squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for (row, column), group in zip(places, groups, strict=False):
        for axis, path in zip(axes[row, column:], group, strict=False):
            grey = images.decode(root / path).convert("L").resize((_SIDE, _SIDE), Image.Resampling.BILINEAR)
            # Without interpolation, which adds no information and doubles the file.
            axis.imshow(np.asarray(grey), cmap="gray", vmin=0, vmax=255, interpolation="none")
            axis.set_title(f"{label[path][:14]}\n{PurePosixPath(path).name[-14:]}", fontsize=6)
    kind = "groups of duplicates with different labels" if contradictory else "groups of near-duplicates"
    figure.suptitle(f"{name}: {len(places)} of the {len(groups)} {kind}", fontsize=10)
    sizes = ", ".join(str(len(group)) for group in groups[: len(places)])
    return Plot(figure, f"{name}: {len(places)} of the {len(groups)} {kind}, of {sizes} images.")


def _places(sizes: Sequence[int]) -> list[tuple[int, int]]:
    """Row and first column of groups in a montage: side by side, one column apart, as many as fit."""
    places, row, column = [], 0, 0
    for size in sizes:
        if column + size > _COLUMNS:
            row, column = row + 1, 0
        if row == _ROWS:
            break
        places.append((row, column))
        column += size + 1
    return places
