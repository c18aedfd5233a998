"""Heat maps: which images are explained, whether maps lie on the lesion, and whether they depend on the training.

Phantoms and Cheng's set come with masks that outline lesions. The dependence on training can be tested with any images.
Two trivial maps, which know no model, are scored beside the heat maps: what does no better shows no lesion.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_gradient_magnitude
from scipy.stats import spearmanr

from brainlib.data.splits import choose_images
from brainlib.errors import UsageError
from brainlib.models.gradcam import GRAD_CAM, METHODS, overlay
from brainlib.stats import intervals
from brainlib.stats.intervals import Number
from brainlib.study.results import Results
from brainlib.trials.jobs import inputs
from brainlib.trials.run import Asked, heat_maps

THRESHOLD = 0.5  # share of a map's maximum from which a pixel is marked: a choice
_LESION_IMAGES, _SANITY_IMAGES = 40, 20  # at most, for each arm: choices that keep a notebook short

POINTING, ENERGY = "hottest pixel in the lesion", "share of the map in the lesion"
OVERLAP = f"overlap at {THRESHOLD:g}"
SAME, MOVED = "rank correlation with Grad-CAM", "hottest pixel elsewhere than Grad-CAM's"
LESION_SCORES = (POINTING, ENERGY, OVERLAP, SAME, MOVED)
_ELSEWHERE = 0.1  # of the image's side, from which two pixels are said to be apart: a choice
CENTRE, EDGES = "blob at the centre", "edges of the image"
ALL = "all"
#: Thirds of an arm's images, from the first to the last.
THIRDS = {
    "lesion": ("small lesions", "medium lesions", "large lesions"),
    "confidence": ("least confident", "medium confident", "most confident"),
}
HEAD_PERMUTED, ALL_PERMUTED = "dense layers permuted", "all weights permuted"
SANITY_SCORES = (HEAD_PERMUTED, ALL_PERMUTED)


@dataclass(frozen=True)
class HeatMapScore:
    """Mean of one score of an arm's heat maps over test images, with its 95 % interval; nan without an image.

    `LESION_SCORES` are shares, 0 to 1, but for `SAME`, which like `SANITY_SCORES` is a rank correlation, -1 to 1.
    """

    arm: str
    scenario: str
    score: str  # of `LESION_SCORES` or `SANITY_SCORES`
    value: Number
    low: Number
    high: Number
    n: int  # images that have the score
    reference: float | None  # score of a map that is uniform over the image; None where it has none
    method: str = GRAD_CAM  # of `gradcam.METHODS`, or `CENTRE` or `EDGES`
    images: str = ALL  # or of `THIRDS`


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


def apart(first: np.ndarray, second: np.ndarray) -> float:
    """Return 1 where the hottest pixels of two maps are more than a tenth of the height apart, else 0.

    Of arrays (height, width); nan where one is uniform.
    """
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return np.nan
    places = [np.unravel_index(np.argmax(each), each.shape) for each in (first, second)]
    return float(np.hypot(*np.subtract(*places)) > _ELSEWHERE * len(first))


def centre(size: int) -> np.ndarray:
    """Return a trivial map, (size, size): a Gaussian at the centre, its standard deviation a fifth of the size."""
    falls = np.exp(-(((np.arange(size) - (size - 1) / 2) / (size / 5)) ** 2) / 2)
    return np.outer(falls, falls).astype(np.float32)


def edges(image: np.ndarray) -> np.ndarray:
    """Return a trivial map, (height, width): the gradient's magnitude in an image (height, width, channels).

    The image is smoothed by a Gaussian with a standard deviation of a hundredth of its height.
    """
    return gaussian_gradient_magnitude(image.mean(axis=-1, dtype=np.float32), len(image) / 100)


def measure(results: Results, scenario: str = "") -> tuple[HeatMapScore, ...]:
    """Compare every arm's heat maps with outlined lesions, and with themselves after the model's weights are permuted.

    The first are the means of `lesion_values`. In the sanity check (Adebayo et al., Sanity checks for saliency maps,
    NeurIPS 2018), Grad-CAM maps of the trained model and of the same model with its dense layers' weights, or all
    weights, permuted are rank-correlated, for the same class and at most 20 test images drawn evenly from the classes.
    A correlation near 1 means that the map does not depend on the training.
    """
    return results.once(("heat maps", scenario), lambda: tuple(_scores(results, scenario)))


def lesion_values(results: Results, scenario: str = "", images: int = _LESION_IMAGES) -> pd.DataFrame:
    """Score every arm's heat maps, and two trivial ones, on test images with a lesion, predicted correctly or not.

    At most so many images are drawn, evenly from the classes; 0 takes all, and a set without masks has none. A row is a
    map of an image, with ``arm``, ``method``, ``path``, ``group`` (of its duplicates and its patient), ``lesion`` (its
    share of the image), ``confidence`` (the predicted class's probability) and the `LESION_SCORES`, where nan stands
    for a score that the map has not.
    """

    def compute():
        sample = _sample(results, scenario, images, lesions=True)
        maps = _maps(results, scenario, sample)
        tables = [_scored(results, scenario, *each[:2], found) for each, found in zip(sample, maps, strict=True)]
        return pd.concat(tables, ignore_index=True)

    return results.once(("lesions", scenario, images), compute)


def means(values: pd.DataFrame, scenario: str = "", scores: tuple[str, ...] = LESION_SCORES) -> Iterator[HeatMapScore]:
    """Average scores of `lesion_values`, or of some of its rows, by arm and method.

    The 95 % intervals are bootstraps over groups; of a share of images that are all of different groups, Wilson's.
    """
    for (arm, method), rows in values.groupby(["arm", "method"], sort=False):
        for score in scores:
            if rows[score].notna().any():
                uniform = float(rows["lesion"].mean()) if score in (POINTING, ENERGY, OVERLAP) else None
                yield _mean(arm, scenario, score, rows[score], rows["group"], uniform, method)


def thirds(results: Results, scenario: str = "", score: str = POINTING, images: int = _LESION_IMAGES) -> tuple:
    """Average a score by the size of the lesion and by the model's confidence: a `HeatMapScore` a third and map."""
    values, found = lesion_values(results, scenario, images), []
    for arm, (by, names) in itertools.product(results.study.arms, THIRDS.items()):
        own = values[values["arm"] == arm].sort_values(by, kind="stable")
        for name, paths in zip(names, np.array_split(own["path"].unique(), 3), strict=True):
            part = means(own[own["path"].isin(paths)], scenario, (score,))
            found += [replace(each, images=name) for each in part]
    return tuple(found)


def _scores(results, scenario):
    yield from means(lesion_values(results, scenario), scenario)
    drawn = _sample(results, scenario)
    for (arm, table, _), (trained, *others) in zip(drawn, _maps(results, scenario, drawn), strict=True):
        for score, permuted in zip(SANITY_SCORES, others, strict=True):
            values = pd.Series([similarity(*pair) for pair in zip(trained, permuted, strict=True)], table.index)
            yield _mean(arm, scenario, score, values, table["group"], None)


def _sample(results, scenario, images=_SANITY_IMAGES, lesions=False):
    """List what is explained of each arm: test images of the sanity check, or such with a lesion by all methods.

    The images are rows of the table of predictions, those with a lesion with a column ``mask``.
    """
    study, found = results.study, []
    for arm in study.arms:
        table = results.predictions(arm, "test", scenario)
        if lesions:
            table = table.assign(mask=[study.dataset.lesion(path, study.size) for path in table["path"]])
            table = table.dropna(subset="mask")
        chosen = table.iloc[choose_images(table["label"], images, study.options.seed)]
        found.append((arm, chosen, {"permuted": not lesions, "kin": lesions}))
    return found


def _maps(results, scenario, sample):
    study = results.study
    asked = [Asked(results.trial(arm, "test", scenario), tuple(table["path"]), **by) for arm, table, by in sample]
    return heat_maps(asked, study.dataset, study.options.store, scheduler=study.options.scheduler)


def _scored(results, scenario, arm, table, maps):
    """Score one arm's maps, (methods, n, height, width), and the trivial ones."""
    study, of_image = results.study, table[["path"]].assign(arm=arm)
    pixels = inputs(results.trial(arm, "test", scenario).trial, study.dataset, table["path"], study.options.store)
    of_image["group"] = study.dataset.together(table["path"], table["group"].to_numpy())
    of_image["lesion"] = [mask.mean() for mask in table["mask"]]
    of_image["confidence"] = table.filter(regex="^p_").max(axis=1)
    trivial, tables = {CENTRE: [centre(study.size)] * len(table), EDGES: map(edges, pixels)}, []
    for method, heats in (dict(zip(METHODS, maps, strict=True)) | trivial).items():
        scores = []
        for heat, mask, first in zip(heats, table["mask"], maps[0], strict=True):
            scores.append([float(pointing(heat, mask)), energy(heat, mask), overlap(heat, mask), np.nan, np.nan])
            if method != GRAD_CAM:  # neighbours are alike: of each 16 pixels one
                scores[-1][3:] = similarity(first[::4, ::4], heat[::4, ::4]), apart(first, heat)
        scores = pd.DataFrame(scores, table.index, LESION_SCORES, float)
        tables.append(of_image.assign(method=method).join(scores))
    return pd.concat(tables)


def _mean(arm, scenario, score, values, groups, reference, method=GRAD_CAM):
    values = values.dropna().astype(float)
    groups, n = groups[values.index].to_numpy(), len(values)
    if not n:
        return HeatMapScore(arm, scenario, score, np.nan, np.nan, np.nan, 0, reference, method)
    if score in (POINTING, MOVED):
        interval = intervals.proportion_interval(values.to_numpy() == 1, groups)
    else:
        interval = intervals.bootstrap_interval(intervals.mean_of(values.to_numpy()), groups)
    return HeatMapScore(arm, scenario, score, values.mean(), interval.low, interval.high, n, reference, method)


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
    others = _sample(results, scenario, _LESION_IMAGES, lesions=True) + _sample(results, scenario)
    maps = _maps(results, scenario, [(arm, images, {}) for arm in study.arms] + others)
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
