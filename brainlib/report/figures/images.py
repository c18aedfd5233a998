"""Panels of Grad-CAM heat maps."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from brainlib.report.figures import style
from brainlib.report.figures.style import WIDTH, Plot
from brainlib.study.saliency import Explained

_MODELS = 7  # with their heat maps side by side
_ROOMY = 1.4  # inches of an image above which there is room for the name of a class
_OUTLINE = "#00e5ff"  # seen on grey and on all colours of a heat map


def grad_cam_panel(rows: Sequence[Explained]) -> Plot:
    """Draw rows of an image and the heat maps that explain its predictions, with their probabilities.

    The lesion is outlined where it is known. Many models have their maps one row of models under another.
    """
    style.expect(rows, "an image")
    titles = list(dict.fromkeys(title for row in rows for title in row.overlays))
    bands = math.ceil(len(titles) / _MODELS)
    columns = 1 + math.ceil(len(titles) / bands)
    size = min(2.3, (WIDTH - 2.1) / columns, (style.HEIGHT - 1) / (bands * len(rows)) - 0.2)
    figure = style.figure(2.1 + size * columns, 1 + (size + 0.2) * bands * len(rows))
    figure.get_layout_engine().set(h_pad=0.01, hspace=0)
    grid = figure.subplots(bands * len(rows), columns, squeeze=False)
    for line, axes in enumerate(grid[:, 0]):
        band, row = line // len(rows), rows[line % len(rows)]
        own = titles[band * (columns - 1) : (band + 1) * (columns - 1)]
        shown = {"Image": row.image} | {title: row.overlays.get(title) for title in own}
        for axes, (title, pixels) in itertools.zip_longest(grid[line], shown.items(), fillvalue=("", None)):
            style.picture(axes, pixels)
            if row is rows[0]:
                style.head(axes, title, size)
            if pixels is None:
                continue
            if row.lesion is not None:
                axes.contour(row.lesion, [0.5], colors=_OUTLINE, linewidths=1.2)
            if title in row.probabilities:
                name = f"p({row.shown})" if size > _ROOMY else "p"
                axes.set_xlabel(f"{name} = {row.probabilities[title]:.2f}", fontsize=style.SMALL, labelpad=2)
        label = row.kind if row.kind == row.shown else f"{row.kind}\n(p of {row.shown})"
        grid[line, 0].set_ylabel(label, rotation=0, ha="right", va="center", labelpad=6, fontsize=9)
    bar = figure.colorbar(ScalarMappable(Normalize(0, 1), "inferno"), ax=grid, ticks=[0, 1], aspect=40, pad=0.02)
    bar.set_label("Support of the predicted class (1: maximum of a map)", fontsize=style.SMALL)
    if outlined := any(row.lesion is not None for row in rows):
        style.legend(figure, {"outline of the lesion": {"color": _OUTLINE, "lw": 1.5}})
    described = [
        f"{row.kind}, p({row.shown}) {', '.join(f'{title} {p:.2f}' for title, p in row.probabilities.items())}"
        for row in rows
    ]
    alt = f"Grad-CAM heat maps of {style.plural(len(rows), 'image')}{' with outlined lesions' * outlined}"
    return Plot(figure, f"{alt}, by {', '.join(titles) or 'no model'}. {'; '.join(described)}.")
