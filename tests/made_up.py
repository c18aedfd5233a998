"""Results of trials that were never trained: predictions whose scores are known by hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from brainlib.data.datasets import DataSet
from brainlib.data.registry import info_of
from brainlib.papers.loading import load_paper
from brainlib.study.results import Results
from brainlib.study.study import Study
from brainlib.trials.trial import TrialResult

FACTS = {
    "data": {"set": "br35h", "title": "Br35H", "licence": "CC BY 4.0", "phantom": False},
    "seconds": {"training": 12.0, "other": 3.0},
    "peak_memory_mib": 1000.0,
    "environment": {"processor": "a processor", "cores": 2, "accelerators": 0, "threads": "2"},
}

GLIOMA, MENINGIOMA, NORMAL, PITUITARY = "glioma_tumor", "meningioma_tumor", "no_tumor", "pituitary_tumor"
# Scenario four after transfer learning: everything is predicted normal, as lu's VGG16 does.
ALL_NORMAL = {name: {NORMAL: k} for name, k in {GLIOMA: 93, MENINGIOMA: 94, NORMAL: 50, PITUITARY: 90}.items()}
# After fine-tuning 300 of 327 are right; 4 and 3 tumours are read as normal, 2 the other way.
TUNED = {
    GLIOMA: {GLIOMA: 85, MENINGIOMA: 4, NORMAL: 4},
    MENINGIOMA: {GLIOMA: 9, MENINGIOMA: 80, NORMAL: 3, PITUITARY: 2},
    NORMAL: {NORMAL: 48, MENINGIOMA: 2},
    PITUITARY: {PITUITARY: 87, MENINGIOMA: 3},
}
# Of 800 validated images a fold: 16, 20 and 24 errors of the CNN, half of them of each kind.
FOLDS = {1: (392, 8, 8, 392), 2: (390, 10, 10, 390), 3: (388, 12, 12, 388)}


def plain(text):
    return str(text).replace("\N{NO-BREAK SPACE}", " ")


def predictions(part: str, tp: int, fn: int, fp: int, tn: int) -> pd.DataFrame:
    """A table of one part with this confusion matrix; each image is its own group."""
    labels = ["yes"] * (tp + fn) + ["no"] * (fp + tn)
    predicted = [1] * tp + [0] * fn + [1] * fp + [0] * tn
    p_yes = np.where(predicted, 0.9, 0.1)
    return _images(part, labels).assign(p_no=1 - p_yes, p_yes=p_yes)


def _images(part, labels):
    paths = [f"{part}/{number}.png" for number in range(len(labels))]
    return pd.DataFrame({"path": paths, "label": labels, "part": part, "group": np.arange(len(labels))})


def _history(phases, epochs, right):
    """Learning curves whose accuracy on the monitored images is `right`."""
    epochs = np.array(epochs)
    curves = {"loss": 0.5 / epochs, "accuracy": 1 - 0.25 / epochs, "val_loss": 0.5 / epochs}
    return pd.DataFrame({"phase": phases, "epoch": epochs, **curves, "val_accuracy": right, "seconds": 6.0})


def result(trial, counts: tuple[int, int, int, int], best=None) -> TrialResult:
    """A result with this confusion matrix at the last epoch and, if given, another at the best."""
    phase = trial.phases[-1].name
    table = predictions(trial.monitored, *counts).assign(phase=phase)
    epochs = [table if best is None else predictions(trial.monitored, *best), table]
    right = [((t["p_yes"] > 0.5) == (t["label"] == "yes")).mean() for t in epochs]
    monitored = [t[["path", "label", "p_no", "p_yes"]].assign(epoch=n) for n, t in enumerate(epochs, 1)]
    history = _history(phase, [1, 2], right)
    return TrialResult(trial, table, history, pd.concat(monitored, ignore_index=True), FACTS)


def result_of_classes(trial, tables: dict[str, dict[str, dict[str, int]]]) -> TrialResult:
    """A result with a table of counts a phase: by true class the images given each class.

    The test and the validation part hold the same.
    """
    parts, rights = [], []
    for phase in trial.phases:
        counts = tables[phase.name]
        labels = [true for true, row in counts.items() for _ in range(sum(row.values()))]
        predicted = [name for row in counts.values() for name, k in row.items() for _ in range(k)]
        rights.append(np.mean(np.equal(labels, predicted)))
        other = 0.3 / (len(trial.classes) - 1)
        p = {f"p_{name}": np.where(np.equal(predicted, name), 0.7, other) for name in trial.classes}
        parts += [_images(part, labels).assign(phase=phase.name, **p) for part in ("validation", "test")]
    names = [phase.name for phase in trial.phases]
    history = _history(names, range(1, len(names) + 1), rights)
    table = pd.concat(parts, ignore_index=True)
    epochs = table[table["part"] == trial.monitored].drop(columns=["part", "phase", "group"])
    return TrialResult(trial, table, history, epochs.assign(epoch=1), FACTS)


def dataset_of(name: str, duplicates: Sequence[int] | None = None) -> DataSet:
    """A data set of the registry with as many images as were published, none of which exists.

    Each image is a duplicate group by itself, unless `duplicates` gives the group of each.
    """
    info = info_of(name)
    rows = [(folder.label, folder.part) for folder in info.folders for _ in range(folder.count)]
    table = pd.DataFrame(rows, columns=["label", "part"])
    table = table.assign(path=[f"{n}.png" for n in range(len(table))], mode="L", patient=None)
    groups = np.arange(len(table)) if duplicates is None else np.asarray(duplicates)
    classes = tuple(sorted(set(table["label"])))
    return DataSet(info, Path("nowhere"), table, classes, "0123456789abcdef", (), False, groups)


def study_of(paper: str, out: Path, dataset: DataSet | None = None, **options) -> Study:
    """A full study of the paper's own images, none of which exists: no condition keeps its numbers from comparison."""
    data = dataset or dataset_of(load_paper(paper).data.set.value)
    given = {"profile": "full", "data": "elsewhere", "weights": "imagenet", **options}
    return Study(paper, dataset=data, out=str(out / "reports"), **given)


def with_images(results: Results, **changes) -> Results:
    """The same predictions in a study of another data set: with changes of `DataSet`'s attributes."""
    study = results.study
    return Results(study.on(dataclasses.replace(study.dataset, **changes), study.split_by), results.trials)
