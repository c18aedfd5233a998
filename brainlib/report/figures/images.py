"""Figures of sets and their images: which set is made of which others, groups of duplicates, and heat maps."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from PIL import Image

from brainlib.audit import near_duplicates
from brainlib.audit.overview import DataAudit, Overview
from brainlib.data import images
from brainlib.data.thumbnails import thumbnail
from brainlib.report.figures import style
from brainlib.report.figures.style import WIDTH, Plot
from brainlib.report.table import PERCENT0
from brainlib.study.saliency import Explained
from brainlib.study.study import Study

_ROWS, _COLUMNS = 6, 8  # of a montage at most
_SIDE = 96  # pixels of an image in a montage
_SAMPLES = 6  # of a class
_LETTERS = 16  # of a file's name that fit under an image
_MODELS = 7  # with their heat maps side by side
_ROOMY = 1.4  # inches of an image above which there is room for the name of a class
_OUTLINE = "#00e5ff"  # seen on grey and on all colours of a heat map


def overlap_map(record: DataAudit) -> Plot | None:
    """Show in a row for each set the shares of its images that have a duplicate in the other sets, as colour and text.

    `record.overlaps` has the counts. Where no two sets were compared there is no figure.
    """
    names = [name for name, others in record.overlaps.items() if others]
    if not names:
        return None
    figure, at, described = style.figure(WIDTH, 0.9 + 0.55 * len(names)), np.arange(len(names)) + 0.5, []
    axes, shares = figure.subplots(), np.full((len(names), len(names)), np.nan)
    for (i, name), (j, other) in itertools.permutations(enumerate(names), 2):
        shares[i, j], mirrored = record.share(name, other)
        texts = [
            PERCENT0.text(shares[i, j]),
            *([f"{PERCENT0.text(mirrored)} of it mirrored"] if mirrored >= 0.005 else []),
        ]
        look = {"ha": "center", "va": "center", "color": "white" if shares[i, j] > 0.6 else "0.1"}
        axes.text(j + 0.5, i + 0.5, "\n".join(texts), fontsize=style.SMALL, **look)
        described.append(f"{', '.join(texts)} of {name} in {other}")
    axes.pcolormesh(shares, cmap="Blues", vmin=0, vmax=1, edgecolors="white", lw=1)
    axes.set(ylim=(len(names), 0), xlabel="have a duplicate in", ylabel="Images of")
    axes.set_xticks(at, names)
    axes.set_yticks(at, [f"{name}\n{record.sets[name].images} images" for name in names])
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return Plot(figure, f"Images with a duplicate in another set. {'; '.join(described)}.")


def duplicate_montage(overview: Overview, name: str, contradictory: bool = False) -> Plot | None:
    """Show the largest groups of near-duplicates of a set, one a row, each image compared with the first of its row.

    Under an image are its file, its class, and the kind of duplicate with the correlation. Contradictory groups are
    those of several classes, which come in turn. Without a group there is no figure. It shows published images, so
    it is for the local report alone.
    """
    audit, root = overview.audits[name], overview.roots[name]
    table = audit.table.set_index("path")
    groups = [table.loc[paths] for paths in sorted(audit.groups("near"), key=len, reverse=True)]
    groups = [group for group in groups if not contradictory or group["label"].nunique() > 1]
    if not groups:
        return None
    shown = groups[:_ROWS]
    columns = max(4, min(_COLUMNS, len(shown[0])))
    figure = style.figure(0.8 + 1.02 * columns, 0.5 + 1.42 * len(shown))
    grid = figure.subplots(len(shown), columns, squeeze=False)
    for line, group in zip(grid, shown, strict=True):
        few = group.assign(turn=group.groupby("label").cumcount()).sort_values("turn", kind="stable").head(columns)
        decoded = [images.decode(root / path) for path in few.index]
        kinds = _kinds(few, np.stack([thumbnail(image) for image in decoded]))
        for axes in line:
            style.picture(axes, None)
        for axes, path, label, image, kind in zip(line, few.index, few["label"], decoded, kinds, strict=False):
            grey = image.convert("L").resize((_SIDE, _SIDE), Image.Resampling.BILINEAR)
            style.picture(axes, np.asarray(grey))
            lines = [_shortened(PurePosixPath(path).name), _shortened(label), kind]
            axes.set_xlabel("\n".join(lines), fontsize=7, labelpad=2, parse_math=False)  # a name may hold dollars
        count = f"{len(group)} images"
        classes = group["label"].nunique()
        text = f"{count}\n{classes} classes" if classes > 1 else count
        line[0].set_ylabel(text, rotation=0, ha="right", va="center", fontsize=style.SMALL, labelpad=4)
    kind = "groups of duplicates with different labels" if contradictory else "groups of near-duplicates"
    title = f"{name}: {len(shown)} of the {len(groups)} {kind}"
    head = style.wrapped(f"{title},\neach image compared with the first of its row", round(12 * figure.get_figwidth()))
    figure.suptitle(head, fontsize=10, parse_math=False)
    return Plot(figure, f"{title}, of {style.span(map(len, shown), 'd')} images.")


def samples(study: Study) -> Plot:
    """Show some images of each class, one class a row, evenly spaced in the order of their files.

    Of a duplicate group it shows one. Of published images it is for the local report alone.
    """
    data, classes = study.dataset, study.paper.data.classes
    table = data.table.assign(group=data.group_ids()).iloc[study.used_rows()]
    figure = style.figure(1.6 + 1.2 * _SAMPLES, 0.2 + 1.2 * len(classes))
    grid, described = figure.subplots(len(classes), _SAMPLES, squeeze=False), []
    for line, label in zip(grid, classes, strict=True):
        own = table[table["label"] == label]
        paths = own.drop_duplicates("group")["path"].to_numpy()
        some = paths[np.unique(np.linspace(0, len(paths) - 1, min(_SAMPLES, len(paths))).astype(int))]
        for axes, path in itertools.zip_longest(line, some):
            grey = images.decode(data.root / path).convert("L").resize((_SIDE, _SIDE)) if path else None
            style.picture(axes, None if grey is None else np.asarray(grey))
        line[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=9, labelpad=6)
        described.append(f"{len(some)} of {len(own)} {label}")
    kind = f"{'Phantoms' if data.phantom else 'Images'} of each class, one a duplicate group"
    return Plot(figure, f"{kind}, evenly spaced in the order of their files: {', '.join(described)}.")


def _shortened(name: str) -> str:
    return name if len(name) <= _LETTERS else f"…{name[1 - _LETTERS :]}"


def _kinds(group: pd.DataFrame, thumbnails: np.ndarray) -> list[str]:
    """Say how each image of a group is a duplicate of the first, which it need not be: others may connect them."""
    pairs = np.stack([np.zeros(len(group), int), np.arange(len(group))], axis=1)
    found = near_duplicates.compare(thumbnails, pairs)
    kinds = ["first"]
    for n, row in enumerate(group.iloc[1:].itertuples(), 1):
        value = found.correlation[n]
        if row.byte_hash == group["byte_hash"].iloc[0]:
            kinds.append("same bytes")
        elif row.pixel_hash == group["pixel_hash"].iloc[0]:
            kinds.append("same pixels")
        else:
            kinds.append(f"{_pose(found, n) if value >= near_duplicates.THRESHOLD else 'by others'}, {value:.2f}")
    return kinds


def _pose(found: near_duplicates.NearDuplicates, n: int) -> str:
    """Say in a few words how the second image of a pair lies to the first, to 5 degrees."""
    turn = 5 * round(abs(found.turned[n]) / 5)
    said = (
        ["mirrored"] * bool(found.mirrored[n])
        + [f"turned {turn}°"] * (turn > 0)
        + ["inverted"] * bool(found.inverted[n])
    )
    return " ".join(said) or "near"


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
    aspect = min(40, 7 * figure.get_figheight())  # a bar that can be seen beside a single row
    bar = figure.colorbar(ScalarMappable(Normalize(0, 1), "inferno"), ax=grid, ticks=[0, 1], aspect=aspect, pad=0.02)
    bar.set_label("Support of the predicted class\n(1: maximum of a map)", fontsize=style.SMALL)
    if outlined := any(row.lesion is not None for row in rows):
        style.legend(figure, {"outline of the lesion": {"color": _OUTLINE, "lw": 1.5}})
    described = [
        f"{row.kind}, p({row.shown}) {', '.join(f'{title} {p:.2f}' for title, p in row.probabilities.items())}"
        for row in rows
    ]
    alt = f"Grad-CAM heat maps of {len(rows)} image{'s' * (len(rows) > 1)}{' with outlined lesions' * outlined}"
    return Plot(figure, f"{alt}, by {', '.join(titles) or 'no model'}. {'; '.join(described)}.")
