"""Whether a heat map lies on the lesion, where the lesion is known: on phantoms, which have masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from brainlib import stats
from brainlib.results import Results
from brainlib.tables import Table, percent
from brainlib.trials import heat_maps

MOST = 40  # images of each arm: a choice that keeps the notebook short
THRESHOLD = 0.5  # of the largest value of a map, from which a pixel counts as marked: a choice
_MASKS = "masks"  # beside the images, under their paths


def pointing(heat: np.ndarray, mask: np.ndarray) -> bool:
    """Whether the hottest pixel lies in the lesion (Zhang et al., Int. J. Comput. Vis. 2018, 126:1084).

    Parameters
    ----------
    heat : (h, w) array of float
        0 and more.
    mask : (h, w) array of bool
    """
    return bool(mask.ravel()[np.argmax(heat)])


def energy(heat: np.ndarray, mask: np.ndarray) -> float:
    """Share of a map that lies in the lesion, 0 to 1 (Wang et al., Score-CAM, CVPR Workshops 2020).

    nan for a map of zeros.
    """
    total = float(heat.sum())
    return float(heat[mask].sum()) / total if total > 0 else np.nan


def overlap(heat: np.ndarray, mask: np.ndarray, threshold: float = THRESHOLD) -> float:
    """Intersection over union of the lesion and of what is at least `threshold` of the largest value."""
    if not heat.max() > 0:
        return 0.0
    marked = heat >= threshold * heat.max()
    return float((marked & mask).sum() / (marked | mask).sum())


def cam_table(results: Results, scenario: str = "") -> Table:
    """How well every arm's Grad-CAM finds the lesions of the images held out.

    Of at most 40 images with a lesion, right or wrong. What a map that is even over the image would
    get stands beside it. Empty where the set has no masks.
    """
    study = results.study
    table = results.predictions(study.arms[0], "test", scenario)
    masks = {path: _mask(Path(study.dataset.root) / _MASKS / path, study.size) for path in table["path"]}
    paths = [path for path, mask in masks.items() if mask is not None and mask.any()][:MOST]
    if not paths:
        return Table(pd.DataFrame(), "No lesion of this set is outlined, so no heat map can be scored.")
    lesions = np.stack([masks[path] for path in paths])
    groups = table.set_index("path").loc[paths, "group"].to_numpy()
    rows = []
    for arm in study.arms:
        _, maps = heat_maps(
            results.trial(arm, "test", scenario), study.dataset, paths, study.options.store,
            scheduler=study.options.scheduler,
        )
        pairs = list(zip(maps, lesions, strict=True))
        hits = sum(pointing(*pair) for pair in pairs)
        interval = stats.wilson_interval(hits, len(paths))
        rows.append(
            {
                "arm": study.title(arm, scenario),
                "hottest pixel in the lesion": f"{percent(hits / len(paths), 0)} "
                f"({100 * interval.low:.0f} to {100 * interval.high:.0f})",
                "share of the map in the lesion": _mean([energy(*pair) for pair in pairs], groups),
                f"overlap at {THRESHOLD:g}": _mean([overlap(*pair) for pair in pairs], groups),
            }
        )
    even = percent(float(lesions.mean()), 1)
    caption = (
        f"Grad-CAM against the outlined lesions of {len(paths)} images held out. A map that is even over the "
        f"image, and a pixel drawn at random, would get {even} in each column. Intervals: Wilson, and a "
        "bootstrap over groups of copies."
    )
    return Table(pd.DataFrame(rows), caption)


def _mask(path, size):
    """A lesion at the size of the model's images, bool; None without a mask."""
    if not path.is_file():
        return None
    with Image.open(path) as image:
        small = image.convert("L").resize((size, size), Image.Resampling.NEAREST)
    return np.asarray(small) > 127


def _mean(values, groups):
    values = np.asarray(values)
    known = ~np.isnan(values)
    if not known.any():
        return "–"
    values, groups = values[known], groups[known]
    interval = stats.bootstrap_interval(lambda rows: float(values[rows].mean()), groups)
    limits = "" if np.isnan(interval.low) else f" ({100 * interval.low:.1f} to {100 * interval.high:.1f})"
    return f"{percent(float(values.mean()), 1)}{limits}"
