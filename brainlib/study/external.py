"""External validation: models trained on one set and tested on others, without images that the training set has too."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from brainlib import progress
from brainlib.audit.findings import duplicate_groups
from brainlib.data import datasets, splits
from brainlib.data.datasets import DataSet
from brainlib.data.registry import DataSetInfo
from brainlib.papers.schema import Paper
from brainlib.stats.estimates import Estimate, estimate
from brainlib.stats.predictions import decide
from brainlib.study.results import run_together
from brainlib.study.study import Study

TUMOUR, KIND = "tumour or none", "kind of tumour"
NONE = "none"
CLASSES = {TUMOUR: (NONE, "tumour"), KIND: ("glioma", "meningioma", NONE, "pituitary")}


@dataclass(frozen=True)
class ExternalScore:
    """One arm trained on one set and tested on another, or on the fifth of the same set that was held out.

    `task` is `TUMOUR` or `KIND`, and `classes` are those that both sets have: probabilities of others are left out.
    `published` is the balanced accuracy on all n images of these classes, `external` on those that have neither a
    duplicate nor a patient in the set of the training images (nan if a class has none), of which `left` tells how many
    each class has. Intervals are bootstraps over duplicate groups joined with patients. A fifth that is held out
    consists of whole groups, so that there both are the same.
    """

    arm: str
    trained_on: str
    tested_on: str
    task: str
    classes: tuple[str, ...]
    published: Estimate
    external: Estimate
    left: dict[str, int]


def external_validation(paper: Paper, sets: Mapping[str, DataSet], **options: Any) -> tuple[ExternalScore, ...]:
    """Train the arms of a paper on four fifths of each set, and test them on the fifth and on every other set.

    The labels of registered sets are mapped by the registry (`means`), own ones are those of `CLASSES`.
    A pair of sets that does not share two classes is left out. The options are those of `Study`.
    """
    study = Study(paper, next(iter(sets.values())), **options)
    union = united(sets)
    with progress.shown(f"comparing {len(union.table)} images") as on_progress:
        groups = duplicate_groups(union, study.options.store, on_progress=on_progress)
    union = dataclasses.replace(union, duplicates=groups)
    planned = [(task, name, _planned(study, union, task, name)) for task in CLASSES for name in sets]
    planned = [each for each in planned if each[-1]]
    trained = run_together([(own, own.finals()) for *_, own in planned])
    groups = dict(zip(union.table["path"], union.group_ids(patients=True), strict=True))
    scores = (_scores(*place, results, groups) for (*place, _), results in zip(planned, trained, strict=True))
    return tuple(itertools.chain(*scores))


def united(sets: Mapping[str, DataSet]) -> DataSet:
    """Unite sets with common labels; the column ``set`` has the name of each image's."""
    roots = {name: Path(data.root).absolute() for name, data in sets.items()}
    root, tables = Path(os.path.commonpath(roots.values())), []
    for name, data in sets.items():
        path = roots[name].relative_to(root).as_posix() + "/" + data.table["path"]
        patient = (name + "/" + data.table["patient"].astype(object)).where(data.table["patient"].notna(), None)
        label = data.table["label"].map(lambda label, data=data: data.info.means.get(label, label))
        tables.append(data.table.assign(path=path, patient=patient, label=label, set=name))
    table = pd.concat(tables, ignore_index=True)
    classes, phantom = tuple(sorted(table["label"].unique())), any(data.phantom for data in sets.values())
    info = DataSetInfo("united", ", ".join(sets), "", "those of the sets", ())
    return DataSet(info, root, table, classes, datasets.fingerprint(table), (), phantom)


def _planned(study, union, task, name):
    """Return the study of one set's training images and all sets' test images; None if no other set is comparable."""
    table = union.table
    table = table.assign(label=np.where(table["label"] == NONE, NONE, "tumour")) if task == TUMOUR else table
    ours, groups = table["set"] == name, union.group_ids(patients=True)
    classes = tuple(sorted(set(table["label"][ours]) & set(CLASSES[task])))
    of_task = table[table["label"].isin(classes)]
    comparable = of_task.groupby("set")["label"].nunique().loc[lambda n: n > 1].index
    if name not in comparable:
        return None
    rows = of_task.index[of_task["set"].isin(comparable)].to_numpy()
    held = splits.Split(0.2, stratified=True, by="group", seed=study.options.seed)
    parts = np.full(len(table), splits.TEST, dtype=object)
    own = rows[ours[rows]]
    parts[own] = splits.assign(table["label"].to_numpy()[own], groups[own], held)
    table = table.assign(part=parts).iloc[rows].reset_index(drop=True)
    data = dataclasses.replace(union, table=table, classes=classes, duplicates=union.group_ids()[rows])
    # The parts are no published ones, so that they must tell two trials apart.
    fingerprint = datasets.fingerprint(table.assign(label=table["part"] + " " + table["label"]))
    data = dataclasses.replace(data, fingerprint=fingerprint)
    about = study.paper.data.model_copy(update={"classes": classes, "normal": None})
    paper = study.paper.model_copy(update={"data": about, "scenarios": {}})
    return Study(paper, data, **study.options.model_dump()).varied("protocol.holdout", "published")


def _scores(task, name, results, groups) -> Iterator[ExternalScore]:
    study, table = results.study, results.study.dataset.table
    set_of = dict(zip(table["path"], table["set"], strict=True))
    trained = {groups[path] for path in table["path"][table["set"] == name]}
    for arm in study.arms:
        tested = results.predictions(arm, "test")
        tested = tested.assign(set=tested["path"].map(set_of), group=tested["path"].map(groups))
        for other, found in tested.groupby("set", sort=False):
            shared = [each for each in study.dataset.classes if (found["label"] == each).any()]
            left = found if other == name else found[~found["group"].isin(trained)]
            scores = (_score(each, shared, study.options.seed) for each in (found, left))
            counts = {each: int((left["label"] == each).sum()) for each in shared}
            yield ExternalScore(arm, name, other, task, tuple(shared), *scores, counts)


def _score(table, classes, seed):
    if table.empty:
        return Estimate(np.nan, np.nan, np.nan, 0, "no image is left")
    columns = [f"p_{each}" for each in classes]
    shares = table[columns].clip(lower=1e-12)
    table = table.assign(**shares.div(shares.sum(axis=1), axis=0))
    return estimate("recall", decide(table, classes, average="macro"), seed)
