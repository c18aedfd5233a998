"""Images of slices: Grad-CAM panels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from brainlib.report.figures import style
from brainlib.report.figures.style import WIDTH, Plot


def grad_cam_panel(rows: Sequence[tuple[str, np.ndarray, Mapping[str, np.ndarray]]]) -> Plot:
    """Draw images beside the heat maps that explain their predictions.

    Parameters
    ----------
    rows : sequence of (caption, image, overlays)
        The caption says what the image is and what was predicted; its line breaks are kept. The
        image is uint8 (height, width, 1 or 3), and each model's overlay, by its title, uint8
        (height, width, 3) as `gradcam.overlay` makes it.

    Raises
    ------
    UsageError
        No row.
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
    images = style.plural(f"{len(rows)}", "image")
    alt = f"Grad-CAM heat maps of {images}, by {', '.join(titles) or 'no model'}"
    return Plot(figure, f"{alt}. Rows: {captions}.")
