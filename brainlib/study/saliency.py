"""Heat maps, measured: whether they lie on the lesion, and whether they depend on what was learned.

Lesions are outlined in phantoms, which have masks; the second question can be asked of any model.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.stats import spearmanr

from brainlib.data.splits import choose_images
from brainlib.stats import intervals
from brainlib.stats.intervals import Number
from brainlib.study.results import Results
from brainlib.trials.run import heat_maps, permuted_maps

MOST = 40  # images of each arm: a choice that keeps the notebook short
THRESHOLD = 0.5  # of the largest value of a map, from which a pixel counts as marked: a choice
_SANITY_IMAGES = 20  # likewise
_MASKS = "masks"  # beside the images, under their paths

POINTING, ENERGY = "hottest pixel in the lesion", "share of the map in the lesion"
OVERLAP = f"overlap at {THRESHOLD:g}"
LESION_SCORES = (POINTING, ENERGY, OVERLAP)
HEAD_PERMUTED, ALL_PERMUTED = "dense layers permuted", "all weights permuted"
SANITY_SCORES = (HEAD_PERMUTED, ALL_PERMUTED)


@dataclass(frozen=True)
class HeatMapScore:
    """One score of an arm's heat maps over images held out.

    Attributes
    ----------
    arm, scenario : str
    score : str
        Of `LESION_SCORES` (shares, 0 to 1) or `SANITY_SCORES` (rank correlations, -1 to 1).
    value, low, high : float
        Mean over the images with its 95 % interval; nan where no image has the score.
    n : int
        Images that have the score.
    reference : float or None
        What a map that is even over the image gets; None for rank correlations.
    """

    arm: str
    scenario: str
    score: str
    value: Number
    low: Number
    high: Number
    n: int
    reference: float | None


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


def measure(results: Results, scenario: str = "") -> tuple[HeatMapScore, ...]:
    """Compare every arm's Grad-CAM with outlined lesions, and with itself when what was learned is removed.

    Lesions: at most 40 test images that have one, predicted correctly or not; none where the set has no masks.
    The sanity check (Adebayo et al., Sanity checks for saliency maps, NeurIPS 2018): of at most 20 test
    images, drawn evenly from the classes, the rank correlation of the trained model's map and of that for
    the same class when the weights of the dense layers, or all weights, are permuted. It is near 1 where
    a map does not depend on what was learned.

    Parameters
    ----------
    results : Results
    scenario : str
    """
    return results.once(("heat maps", scenario), lambda: _measure(results, scenario))


def _measure(results, scenario):
    arms = results.study.arms
    return tuple(score for part in (_on_lesions, _permuted) for arm in arms for score in part(results, arm, scenario))


def _on_lesions(results, arm, scenario):
    study = results.study
    table = results.predictions(arm, "test", scenario)
    masks = {path: _mask(Path(study.dataset.root) / _MASKS / path, study.size) for path in table["path"]}
    paths = [path for path, mask in masks.items() if mask is not None and mask.any()][:MOST]
    if not paths:
        return
    lesions = np.stack([masks[path] for path in paths])
    groups = table.set_index("path").loc[paths, "group"].to_numpy()
    _, maps = heat_maps(
        results.trial(arm, "test", scenario),
        study.dataset,
        paths,
        study.options.store,
        scheduler=study.options.scheduler,
    )
    pairs, even = list(zip(maps, lesions, strict=True)), float(lesions.mean())
    hits = sum(pointing(*pair) for pair in pairs)
    interval = intervals.wilson_interval(hits, len(paths))
    yield HeatMapScore(arm, scenario, POINTING, hits / len(paths), interval.low, interval.high, len(paths), even)
    yield _mean(arm, scenario, ENERGY, [energy(*pair) for pair in pairs], groups, even)
    yield _mean(arm, scenario, OVERLAP, [overlap(*pair) for pair in pairs], groups, even)


def _permuted(results, arm, scenario):
    study = results.study
    table = results.predictions(arm, "test", scenario).reset_index(drop=True)
    rows = choose_images(table["label"].to_numpy(), _SANITY_IMAGES, study.options.seed)
    maps = permuted_maps(
        results.trial(arm, "test", scenario),
        study.dataset,
        list(table["path"][rows]),
        study.options.store,
        scheduler=study.options.scheduler,
    )
    groups = table["group"].to_numpy()[rows]
    for score, other in zip((HEAD_PERMUTED, ALL_PERMUTED), maps[1:], strict=True):
        alike = [alikeness(a, b) for a, b in zip(maps[0], other, strict=True)]
        yield _mean(arm, scenario, score, alike, groups, None)


def alikeness(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's rank correlation of two maps, -1 to 1; nan where one is even."""
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return np.nan
    return float(spearmanr(first.ravel(), second.ravel()).statistic)


def _mask(path, size):
    """A lesion at the size of the model's images, bool; None without a mask."""
    if not path.is_file():
        return None
    with Image.open(path) as image:
        small = image.convert("L").resize((size, size), Image.Resampling.NEAREST)
    return np.asarray(small) > 127


def _mean(arm, scenario, score, values, groups, reference):
    values = np.asarray(values, dtype=float)
    known = ~np.isnan(values)
    values, groups = values[known], groups[known]
    if not len(values):
        return HeatMapScore(arm, scenario, score, np.nan, np.nan, np.nan, 0, reference)
    interval = intervals.bootstrap_interval(intervals.mean_of(values), groups)
    return HeatMapScore(arm, scenario, score, float(values.mean()), interval.low, interval.high, len(values), reference)
