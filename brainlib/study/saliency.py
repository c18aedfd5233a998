"""Heat maps: which images are explained, whether maps lie on the lesion, and whether they depend on the training.

Phantoms and Cheng's set come with masks that outline lesions. The dependence on training can be tested with any images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from brainlib.data.splits import choose_images
from brainlib.errors import UsageError
from brainlib.models.gradcam import overlay
from brainlib.stats import intervals
from brainlib.stats.intervals import Number
from brainlib.study.results import Results
from brainlib.trials.jobs import inputs
from brainlib.trials.run import Asked, heat_maps

THRESHOLD = 0.5  # share of a map's maximum from which a pixel is marked: a choice
_LESION_IMAGES, _SANITY_IMAGES = 40, 20  # at most, for each arm: choices that keep a notebook short

POINTING, ENERGY = "hottest pixel in the lesion", "share of the map in the lesion"
OVERLAP = f"overlap at {THRESHOLD:g}"
LESION_SCORES = (POINTING, ENERGY, OVERLAP)
HEAD_PERMUTED, ALL_PERMUTED = "dense layers permuted", "all weights permuted"
SANITY_SCORES = (HEAD_PERMUTED, ALL_PERMUTED)


@dataclass(frozen=True)
class HeatMapScore:
    """Mean of one score of an arm's heat maps over test images, with its 95 % interval; nan without an image."""

    arm: str
    scenario: str
    score: str  # of `LESION_SCORES` (shares, 0 to 1) or `SANITY_SCORES` (rank correlations, -1 to 1)
    value: Number
    low: Number
    high: Number
    n: int  # images that have the score
    reference: float | None  # score of a map that is uniform over the image; None for rank correlations


class Explained(NamedTuple):
    """A test image with what every arm makes of it, by title: its heat map over the image, and a probability.

    `kind` says what the image is, and the probabilities are of the class `shown`. The image is uint8 (height, width,
    channels), as the first arm saw it, an overlay uint8 (height, width, 3), and the lesion's mask bool (height, width),
    None where none is known.
    """

    kind: str
    shown: str
    image: np.ndarray
    lesion: np.ndarray | None
    overlays: dict[str, np.ndarray]
    probabilities: dict[str, float]


def pointing(heat: np.ndarray, mask: np.ndarray) -> bool:
    """Tell whether the hottest pixel of a map lies in the lesion (Zhang et al., Int. J. Comput. Vis. 2018, 126:1084).

    The map is an array (height, width) of floats from 0, the lesion's mask one of booleans.
    """
    return bool(mask.ravel()[np.argmax(heat)])


def energy(heat: np.ndarray, mask: np.ndarray) -> float:
    """Compute a map's share in the lesion, nan for a map of zeros (Wang et al., Score-CAM, CVPR Workshops 2020)."""
    total = float(heat.sum())
    return float(heat[mask].sum()) / total if total > 0 else np.nan


def overlap(heat: np.ndarray, mask: np.ndarray, threshold: float = THRESHOLD) -> float:
    """Compute the intersection over union of the lesion and the pixels of at least `threshold` of the maximum."""
    if not heat.max() > 0:
        return 0.0
    marked = heat >= threshold * heat.max()
    return float((marked & mask).sum() / (marked | mask).sum())


def similarity(first: np.ndarray, second: np.ndarray) -> float:
    """Compute Spearman's rank correlation of two maps, -1 to 1; nan where one is uniform."""
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return np.nan
    return float(spearmanr(first.ravel(), second.ravel()).statistic)


def measure(results: Results, scenario: str = "") -> tuple[HeatMapScore, ...]:
    """Compare every arm's Grad-CAM with outlined lesions, and with itself after the model's weights are permuted.

    At most 40 test images with a lesion are used, predicted correctly or not; none where the set has no masks. In the
    sanity check (Adebayo et al., Sanity checks for saliency maps, NeurIPS 2018), maps of the trained model and of the
    same model with its dense layers' weights, or all weights, permuted are rank-correlated, for the same class and at
    most 20 test images drawn evenly from the classes. A correlation near 1 means that the map does not depend on the
    training.
    """
    return results.once(("heat maps", scenario), lambda: tuple(_scores(results, scenario)))


def _scores(results, scenario):
    sample = _sample(results, scenario)
    maps = _maps(results, scenario, sample)
    for (arm, images, permuted), found in zip(sample, maps, strict=True):
        yield from (_on_sanity if permuted else _on_lesions)(arm, scenario, images, found)


def _sample(results, scenario):
    """List what is explained: each arm's test images that have a lesion, then each arm's of the sanity check.

    The images are rows of the table of predictions, those with a lesion with a column ``mask``.
    """
    study, lesions, drawn = results.study, [], []
    for arm in study.arms:
        table = results.predictions(arm, "test", scenario)
        masks = [study.dataset.lesion(path, study.size) for path in table["path"]]
        lesion = [mask is not None for mask in masks]
        lesions.append((arm, table.assign(mask=masks)[lesion].head(_LESION_IMAGES), False))
        drawn.append((arm, table.iloc[choose_images(table["label"], _SANITY_IMAGES, study.options.seed)], True))
    return lesions + drawn


def _maps(results, scenario, sample):
    study = results.study
    asked = [Asked(results.trial(arm, "test", scenario), tuple(table["path"]), by) for arm, table, by in sample]
    return heat_maps(asked, study.dataset, study.options.store, scheduler=study.options.scheduler)


def _on_lesions(arm, scenario, table, maps):
    if table.empty:
        return
    lesions, groups = np.stack(table["mask"].tolist()), table["group"].to_numpy()
    pairs, uniform = list(zip(maps, lesions, strict=True)), float(lesions.mean())
    hits, n = sum(pointing(*pair) for pair in pairs), len(pairs)
    interval = intervals.wilson_interval(hits, n)
    yield HeatMapScore(arm, scenario, POINTING, hits / n, interval.low, interval.high, n, uniform)
    for name, score in ((ENERGY, energy), (OVERLAP, overlap)):
        yield _mean(arm, scenario, name, [score(*pair) for pair in pairs], groups, uniform)


def _on_sanity(arm, scenario, table, maps):
    trained, *others = maps
    for score, permuted in zip(SANITY_SCORES, others, strict=True):
        values = [similarity(*pair) for pair in zip(trained, permuted, strict=True)]
        yield _mean(arm, scenario, score, values, table["group"].to_numpy(), None)


def _mean(arm, scenario, score, values, groups, reference):
    known = ~np.isnan(values)
    values, groups = np.asarray(values, dtype=float)[known], groups[known]
    if not len(values):
        return HeatMapScore(arm, scenario, score, np.nan, np.nan, np.nan, 0, reference)
    interval = intervals.bootstrap_interval(intervals.mean_of(values), groups)
    return HeatMapScore(arm, scenario, score, float(values.mean()), interval.low, interval.high, len(values), reference)


def grad_cam_rows(results: Results, scenario: str = "") -> list[Explained]:
    """Explain every final model on a test image of each class, for `figures.grad_cam_panel`.

    Of each class, the first image of the data set that every arm predicts correctly is taken, else the first that the
    first arm does, else none (`UsageError` if no class has any). With a positive class, these are a true positive and
    a true negative, in this order.
    """
    study = results.study
    tables = {arm: results.predicted(arm, "test", scenario).set_index("path") for arm in study.arms}
    chosen = list(_examples(tables, study.paper.scenario(scenario)))
    if not chosen:
        raise UsageError(f"{study.arms[0]} predicts no test image correctly: nothing to explain")
    images, seen, overlays = pd.DataFrame({"path": [path for _, _, path in chosen]}), {}, {}
    # Maps that `measure` needs come along, so that each model is loaded once.
    maps = _maps(results, scenario, [(arm, images, False) for arm in study.arms] + _sample(results, scenario))
    titles = {arm: results.title(arm, scenario) for arm in study.arms}
    for arm, heat in zip(study.arms, maps, strict=False):
        trial = results.trial(arm, "test", scenario).trial
        seen[arm] = inputs(trial, study.dataset, images["path"], study.options.store)
        overlays[titles[arm]] = overlay(seen[arm], heat)
    rows = []
    for n, (kind, shown, path) in enumerate(chosen):
        probabilities = {titles[arm]: float(table.loc[path, f"p_{shown}"]) for arm, table in tables.items()}
        maps_of = {title: each[n] for title, each in overlays.items()}
        lesion = study.dataset.lesion(path, study.size)
        rows.append(Explained(kind, shown, seen[study.arms[0]][n], lesion, maps_of, probabilities))
    return rows


def _examples(tables, classes):
    """Choose images: what each is, the class whose probability is shown, and its path."""
    correct = [table.index[table["predicted"] == table["label"]] for table in tables.values()]
    labels, shared = next(iter(tables.values()))["label"], set.intersection(*map(set, correct))
    kinds = [(label, label, label) for label in classes.classes]
    if classes.positive:
        negative, positive = classes.classes
        kinds = [("True positive", positive, positive), ("True negative", negative, positive)]
    for kind, label, shown in kinds:
        own = [path for path in correct[0] if labels[path] == label]
        if own:
            yield kind, shown, next((path for path in own if path in shared), own[0])
