"""Kept predictions: a run as Parquet files, from which its records can be computed again without images or training.

``DIR/results.json`` has the records of the run. Beside it, ``images.parquet`` lists the images with their hashes and
duplicate groups, also those of altered sets; ``predictions-1.parquet`` ... have the probabilities of every model, as
float16, with its test, validation and training images; ``history.parquet`` the learning curves; and ``models.json``
the options of the run, and the time and the environment of each training. No file holds pixels or a path of a machine.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from brainlib.data.datasets import DataSet, fingerprint
from brainlib.data.registry import info_of
from brainlib.errors import DataError, StoreError, reason
from brainlib.io import write_json, writing_folder
from brainlib.models.backbones import RANDOM, Weights
from brainlib.study import controls, multiverse, records
from brainlib.study.records import PaperResult, Run
from brainlib.study.study import Study
from brainlib.trials import store

RECORDS, IMAGES, MODELS, HISTORY = "results.json", "images.parquet", "models.json", "history.parquet"
PUBLISHED = "as published"  # the set of the study among the altered ones
MOST_BYTES = 1_000_000  # of a file
TOLERANCE = 1e-6  # relative, of two computations of a number on different machines
_DESCRIBED = {"paper", "options", "set", "differences", "fingerprints", "weights", "environments", "models"}
_FACTS = ("seconds", "peak_memory_mib", "environment")
_NOT_KEPT = {"data", "weights", "out", "scheduler", "fresh"}  # options that say where, not what


class _Missing(DataSet):
    """Images that are not here: whatever wants their files is refused."""

    def sizes(self):
        """Refuse to train."""
        expected = "expected the predictions of every planned model among those kept, some are missing"
        raise StoreError(f"{self.root.name}: {expected}: the protocol, or what a key is made of, has changed since")


class _KeptStudy(Study):
    """A study of kept images, whose pretrained weights are known by their hash alone."""

    def __init__(self, paper: str, dataset: DataSet, weights: dict[str, Weights], **options: Any):
        vars(self)["_kept"] = weights
        super().__init__(paper, dataset, weights=RANDOM, **options)

    def _with(self, **changes):
        return super()._with(_kept=self._kept, **changes)

    def _weights(self, arm):
        found = super()._weights(arm)
        return self._kept.get(self.backbone(arm), found) if found.source == RANDOM else found

    def _trial(self, *place):
        return replace(super()._trial(*place), keep_model=False)


def keep(study: Study, run: Path, folder: Path) -> None:
    """Keep the predictions of a paper's study, all of whose models are in its store, with the records of its run.

    `run` is the ``results.json`` of the run. Its records are computed again from the kept, rounded predictions, so
    that they can be verified. `folder` must not be there yet.
    """
    kept, paper = records.read(run, Run), study.paper.id
    with writing_folder(Path(folder)) as unfinished:
        sets = _sets(study)
        _keep_images(sets, unfinished / IMAGES)
        _keep_models(study, {name: data.fingerprint for name, data in sets.items()}, unfinished)
        alone = kept.model_copy(update={"papers": {paper: kept.papers[paper]}})
        records.write(unfinished / RECORDS, alone)  # of which is taken over what only images tell
        again = kept.papers[paper].model_copy(update={"result": recomputed(unfinished)})
        records.write(unfinished / RECORDS, alone.model_copy(update={"papers": {paper: again}}))


def _keep_images(sets, file):
    columns, tables = ["path", "label", "part", "patient"], []
    for name, data in sets.items():
        table = data.table[[*columns, "byte_hash"] if name == PUBLISHED else columns]
        tables.append(table.assign(set=name, group=data.group_ids()))
    pd.concat(tables, ignore_index=True).to_parquet(file, index=False, compression="zstd")


def _sets(study):
    """Return the data set of a study, and those of its controls in their order."""
    planned = controls.planned(study) if study.options.controls else []
    altered = {f"control {n}: {name}, {split}": data for n, (name, data, split, _) in enumerate(planned, start=1)}
    return {PUBLISHED: study.dataset} | altered


def _keep_models(study, fingerprints, folder):
    described, tables, curves, environments = {}, [], [], []
    for path in sorted((study.options.store / "trials").glob(f"*/{store.FACTS}")):
        key = path.parent.name
        if "." in key:  # set aside
            continue
        facts, stored = store.read(study.options.store, key)
        trial = facts["trial"]
        if trial["paper"] != study.paper.id or trial["arm"] not in study.arms:
            continue
        if facts["environment"] not in environments:
            environments.append(facts["environment"])
        place = {name: trial.get(name, "") for name in ("arm", "scenario", "stage", "seed")}
        described[key] = place | {name: facts[name] for name in _FACTS}
        described[key]["environment"] = environments.index(facts["environment"])
        history = stored["history"]
        best = history.loc[history.groupby("phase")["val_accuracy"].idxmax(), "epoch"]
        chosen = stored["epochs"][stored["epochs"]["epoch"].isin(best)]
        tables.append(pd.concat([stored["predictions"], chosen], ignore_index=True).assign(model=key))
        curves.append(history.assign(model=key))
    pd.concat(curves, ignore_index=True).to_parquet(folder / HISTORY, index=False, compression="zstd")
    _write_in_parts(tables, folder)
    weights = {study.backbone(arm): study.weights[arm] for arm in study.arms}
    content = {
        "paper": study.paper.id,
        "options": study.options.model_dump(exclude=_NOT_KEPT) | {"arms": study.arms, "scenarios": study.scenarios},
        "set": study.dataset.name,
        "differences": study.dataset.differences,
        "fingerprints": fingerprints,
        "weights": {name: asdict(replace(each, file=Path(each.file).name)) for name, each in weights.items()},
        "environments": environments,
        "models": described,
    }
    write_json(folder / MODELS, content)


def _probabilities(table):
    return [name for name in table.columns if name.startswith("p_")]


def rounded(table: pd.DataFrame) -> pd.DataFrame:
    """Round the probabilities of a table of predictions to float16."""
    return table.astype(dict.fromkeys(_probabilities(table), np.float16))


def restored(table: pd.DataFrame) -> pd.DataFrame:
    """Return predictions that were `rounded`, as float64 that add up to 1 again."""
    values = table[_probabilities(table)].astype(np.float64)
    return table.assign(**values.div(values.sum(axis=1), axis=0))


def _write_in_parts(tables, folder):
    """Write tables of predictions to files of at most `MOST_BYTES`, each with as many models as fit."""
    number, first, many = 1, 0, len(tables)
    while first < len(tables):
        table = pd.concat(tables[first : first + many], ignore_index=True)
        table.loc[table["part"] == "train", _probabilities(table)] = math.nan
        table = rounded(table).astype({"epoch": "Int16"}).drop(columns="group")
        file = folder / f"predictions-{number}.parquet"
        table.to_parquet(file, index=False, compression="zstd", compression_level=19)
        if file.stat().st_size > MOST_BYTES and many > 1:
            many = max(1, int(many * 0.95 * MOST_BYTES / file.stat().st_size))
            continue
        number, first = number + 1, first + many


def recomputed(folder: Path) -> PaperResult:
    """Compute the records of a paper again from the kept predictions of a run; DataError where they are damaged.

    What needs the images is taken over as it was recorded: heat maps, and the scores of shortcuts.
    """
    described = _read(folder)
    (kept,) = (each.result for each in records.read(folder / RECORDS, Run).papers.values() if each.result)
    sets = _data_sets(folder, described)
    weights = {name: Weights(**given) for name, given in described["weights"].items()}
    with tempfile.TemporaryDirectory() as out:
        study = _KeptStudy(described["paper"], sets.pop(PUBLISHED), weights, **described["options"], out=out)
        _restore(folder, described, study.options.store)
        results = study.run()
        results.once(("heat maps", "as recorded"), lambda: kept.heat_maps)
        places = dict.fromkeys((each.control, each.split, each.expected) for each in kept.controls)
        planned = [(name, data, *more) for (name, *more), data in zip(places, sets.values(), strict=True)]
        results.once("controls", lambda: controls.run_planned(study, planned) if planned else ())
        results.once("shortcuts", lambda: tuple(_scored_again(results, each) for each in kept.shortcuts))
        for arm in study.arms:
            multiverse.of_arm(results, arm)
        again = records.of(results)
    return again.model_copy(update={"data": again.data.model_copy(update={"source": kept.data.source})})


def _read(folder):
    """Read what describes the models; DataError where it is not what `keep` writes."""
    expected = f"{folder.name}/{MODELS}: expected the description of kept predictions"
    try:
        found = json.loads((folder / MODELS).read_bytes())
        missing = _DESCRIBED - {*found}
    except (OSError, ValueError, RecursionError, TypeError) as error:
        raise DataError(f"{expected}, received {reason(error)}") from None
    if missing:
        raise DataError(f"{expected}, received one without {', '.join(sorted(missing))}")
    return found


def _data_sets(folder, described):
    """Rebuild the data sets from their tables; DataError where the images are not those whose fingerprint is kept."""
    info, found = info_of(described["set"]), {}
    tables = _parquet(folder / IMAGES)
    for name, mark in described["fingerprints"].items():
        table = tables[tables["set"] == name].reset_index(drop=True)
        if name == PUBLISHED and fingerprint(table) != mark:
            raise DataError(f"{folder.name}/{IMAGES}: expected images of the fingerprint {mark}, received others")
        own = table[["path", "label", "part", "patient", "byte_hash"]]
        given = (info.classes, mark, tuple(described["differences"]), False, table["group"].to_numpy())
        found[name] = _Missing(info, folder, own, *given)
    return found


def _parquet(file):
    try:
        return pd.read_parquet(file)
    except Exception as error:  # Arrow raises nearly any kind
        raise DataError(
            f"{file.parent.name}/{file.name}: expected kept predictions, received {reason(error)}"
        ) from None


def _restore(folder, described, target):
    """Write the kept predictions as the store that they came from."""
    every = pd.concat(map(_parquet, sorted(folder.glob("predictions-*.parquet"))), ignore_index=True)
    curves = dict(iter(_parquet(folder / HISTORY).groupby("model")))
    for key, rows in every.groupby("model", sort=False):
        facts = described["models"][key]
        facts = {"trial": facts} | facts | {"environment": described["environments"][facts["environment"]]}
        classes = [name for name in _probabilities(rows) if rows[name].notna().any()]
        rows = restored(rows.drop(columns=[name for name in _probabilities(rows) if name not in classes]))
        of_epoch = rows["epoch"].notna()
        tables = {
            "predictions": rows[~of_epoch].drop(columns=["epoch", "model"]).assign(group=-1),
            "epochs": rows.loc[of_epoch, ["epoch", "path", "label", *classes]].astype({"epoch": int}),
            "history": curves[key].drop(columns="model"),
        }
        store.save(target, key, facts, {name: table.reset_index(drop=True) for name, table in tables.items()})


def models(folder: Path) -> int:
    """Return how many models' predictions are kept: 0 of a run without any."""
    return len(_read(folder)["models"]) if (folder / MODELS).is_file() else 0


def _scored_again(results, each):
    """Compute the score of an arm beside the shortcuts again; what is of a shortcut stays."""
    if not each.arm:
        return each
    trained = results if each.split == controls.PUBLISHED else results.retrained
    if trained is None:
        return next(found for found in controls.run_controls(results) if found == each)
    return controls.score(trained, each.arm, each.scenario, each.control, each.split, each.expected)


def differences(kept: Any, again: Any, place: str = "") -> Iterator[str]:
    """Name what differs between two records as `model_dump` gives them, numbers by more than `TOLERANCE`."""
    if isinstance(kept, dict):
        if kept.keys() != again.keys():
            yield f"{place}: kept {', '.join(kept)}, computed {', '.join(again)}"
        for name in kept.keys() & again.keys():
            yield from differences(kept[name], again[name], f"{place}.{name}" if place else str(name))
    elif isinstance(kept, tuple | list):
        if len(kept) != len(again):
            yield f"{place}: kept {len(kept)} entries, computed {len(again)}"
        for number, (first, second) in enumerate(zip(kept, again, strict=False)):
            yield from differences(first, second, f"{place}[{number}]")
    elif isinstance(kept, float) and isinstance(again, float | int):
        both_nan = math.isnan(kept) and math.isnan(again)
        if not both_nan and not math.isclose(kept, again, rel_tol=TOLERANCE, abs_tol=TOLERANCE):
            yield f"{place}: kept {kept:.6g}, computed {again:.6g}"
    elif kept != again:
        yield f"{place}: kept {kept!r}, computed {again!r}"
