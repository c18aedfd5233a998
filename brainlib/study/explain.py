"""Which images are explained, and how the heat maps of several models stand side by side."""

from __future__ import annotations

import numpy as np

from brainlib.errors import UsageError
from brainlib.models.gradcam import overlay
from brainlib.study.results import Results
from brainlib.trials.run import heat_maps


def grad_cam_rows(results: Results, scenario: str = "") -> list[tuple[str, np.ndarray, dict[str, np.ndarray]]]:
    """Explain every final model on an image of each class.

    The first image of each class, in the order of the data set, that every arm gets right; failing
    that, the first that the first arm gets right. A class of which there is none is left out. Of
    two classes, the images are a true positive and a true negative, in this order.

    Parameters
    ----------
    results : Results
    scenario : str

    Returns
    -------
    list of (str, ndarray, dict)
        What the image is and how sure each arm was of it; the image as the first arm saw it, uint8
        (height, width, channels); and by title of the arm its heat map over the image.

    Raises
    ------
    UsageError
        The first arm gets no image right.
    """
    study = results.study
    chosen = _examples(results, scenario)
    if not chosen:
        raise UsageError(f"{study.arms[0]} gets no held-out image right: nothing to explain")
    paths = [path for _, _, path in chosen]
    seen, overlays, said = {}, {}, {}
    for name in study.arms:
        result = results.trial(name, "test", scenario)
        seen[name], maps = heat_maps(
            result, study.dataset, paths, study.options.store, scheduler=study.options.scheduler
        )
        overlays[name] = overlay(seen[name], maps)
        said[name] = results.predictions(name, "test", scenario).set_index("path")
    positive = study.paper.scenario(scenario).positive
    return [
        (
            "\n".join(
                [
                    kind,
                    *(
                        f"{name}: p({asked}) = {said[name].loc[path, f'p_{asked}']:.3f}"
                        for name in study.arms
                        for asked in [positive or label]
                    ),
                ]
            ),
            seen[study.arms[0]][n],
            {study.title(name): overlays[name][n] for name in study.arms},
        )
        for n, (kind, label, path) in enumerate(chosen)
    ]


def _examples(results, scenario):
    classes = results.study.paper.scenario(scenario)
    right = {}
    for name in results.study.arms:
        table = results.predicted(name, "test", scenario)
        right[name] = table[table["predicted"] == table["label"]]
    shared = set.intersection(*(set(table["path"]) for table in right.values()))
    kinds = {label: label for label in classes.classes}
    if classes.positive:
        negative, positive = classes.classes
        kinds = {positive: "True positive", negative: "True negative"}
    chosen = []
    for label, kind in kinds.items():
        first = right[results.study.arms[0]]
        own = first[first["label"] == label]["path"]
        both = own[own.isin(shared)]
        chosen += [(kind, label, path) for path in list(both if len(both) else own)[:1]]
    return chosen
