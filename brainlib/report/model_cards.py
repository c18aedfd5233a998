"""Model cards, and the export of a trained model with its card.

A card states what a model was trained on, why its scores are not comparable with the paper's, and its
scores with and without duplicates. All of it comes from the stored result (trial, predictions, facts of
the training) and, for what was stated and what assumed, from the paper.
"""

from __future__ import annotations

import dataclasses
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from pydantic_core import to_json

import brainlib
from brainlib.errors import UsageError
from brainlib.io import writing_folder
from brainlib.papers.loading import load_paper
from brainlib.papers.provenance import in_words, name_of, settings_of
from brainlib.papers.schema import Paper
from brainlib.report import pages
from brainlib.report.table import PERCENT
from brainlib.stats.estimates import Estimate, estimate
from brainlib.stats.predictions import Decisions, decide
from brainlib.trials import store
from brainlib.trials.stored import MODEL, Stored, final_predictions, find_model, read_model

CARD, FACTS = "README.md", "card.json"
ALL, WITHOUT = "all test images", "without duplicates"
_SCORES = ("accuracy", "sensitivity", "specificity", "precision", "f1", "auc")
_OF_A_CNN = ("convolutions", "kernel_size", "padding", "pool_size", "conv_dropout")
#: Settings that say nothing of a model of some kind.
_UNUSED = {"cnn": (), "transfer": _OF_A_CNN, "own": (*_OF_A_CNN, "scaling", "pooling")}


def export(folder: Path, wanted: str, target: Path) -> Path:
    """Write a trained model of the store in `folder` and its card to the new folder `target`, whole or not at all.

    The model is `wanted` by its name or the first digits of its key (`find_model`). `target` gets ``model.keras``,
    ``README.md`` (the card) and ``card.json`` (the same as data). A folder that is not empty is a UsageError, a stored
    model that does not verify or cannot be loaded, or predictions that are none, a StoreError.
    """
    folder, target = Path(folder), Path(target)
    stored = find_model(folder, wanted)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"{target}: expected a new or empty folder, received one with something in it")
    stored, predictions = read_model(folder, stored.key)
    with store.expecting("facts for a card", stored.key):
        card = model_card(stored, predictions)
        text, data = card_text(card), to_json(card, indent=1, inf_nan_mode="null")
    store.load_model(folder, stored.key)
    with writing_folder(target) as unfinished:
        shutil.copyfile(folder / "trials" / stored.key / MODEL, unfinished / MODEL)
        (unfinished / CARD).write_text(text, "utf-8")
        (unfinished / FACTS).write_bytes(data)
    return target


def model_card(stored: Stored, predictions: pd.DataFrame) -> dict:
    """Collect what a card states, as plain data and `Estimate` objects, from a model and its stored predictions."""
    trial, facts = stored.trial, stored.facts
    paper, decided = load_paper(trial["paper"]), decisions(trial, predictions)
    parts = final_predictions(trial, predictions).groupby("part")["label"]
    info = stored.info
    return {
        "key": stored.key,
        "name": stored.name,
        "brainlib": brainlib.__version__,
        "paper": {"id": paper.id, "title": paper.citation.title, "authors": list(paper.citation.authors)},
        "arm": stored.arm,
        "data": {
            "set": info.name,
            "title": info.title,
            "url": info.url,
            "licence": info.licence,
            "phantom": stored.phantom,
            "fingerprint": trial["data"],
            "images": {part: labels.value_counts().sort_index().to_dict() for part, labels in parts},
        },
        "trial": trial,
        "conditions": trial["conditions"],
        "scores": {which: _scores(decided.get(which)) for which in (ALL, WITHOUT)},
        "collapsed": decided[ALL].collapsed if decided else None,
        "environment": facts["environment"],
        "seconds": facts["seconds"],
    }


def decisions(trial: dict, predictions: pd.DataFrame) -> dict[str, Decisions]:
    """Return a model's decisions on its test images: `ALL`, and those `WITHOUT` a duplicate among its training images.

    Of none there are no decisions.
    """
    paper = load_paper(trial["paper"])
    scenario = paper.scenario(trial["scenario"])
    rule = scenario.classes, scenario.positive, paper.protocol.threshold.value
    test = final_predictions(trial, predictions).query("part == 'test'")
    tables = {ALL: test, WITHOUT: test[~test["leaked"]]}
    return {which: decide(table, *rule) for which, table in tables.items() if len(table)}


def _scores(decided: Decisions | None) -> dict[str, Estimate]:
    found = {}
    for metric in _SCORES if decided else ():
        macro = decided.positive is None and metric != "accuracy"
        scored = dataclasses.replace(decided, average="macro") if macro else decided
        found[f"{metric} (macro)" if macro else metric] = estimate(metric, scored)
    return found


def card_text(card: dict) -> str:
    """Write the card as Markdown."""
    trial = card["trial"]
    environment = pages.templates(keep_trailing_newline=True)
    environment.filters["cell"] = lambda text: re.sub(r"\s+", " ", str(text)).replace("|", "\\|")
    environment.filters["score"] = lambda found: f"{PERCENT.text(found.value, found.low, found.high)}, n = {found.n}"
    protocol = _protocol(load_paper(card["paper"]["id"]), trial["arm"])
    template = environment.get_template("card.md.j2")
    return template.render(card=card, model=MODEL, all=ALL, settings=_training(trial), protocol=protocol)


def _training(trial: dict) -> Iterator[tuple[str, str]]:
    """Rows of what the model was trained with."""
    groups = {name: trial[name] for name in ("model", "weights", "split")}
    groups |= {phase["name"]: phase for phase in trial["phases"]}
    for group, settings in groups.items():
        for key, value in settings.items():
            if value not in ("", [], None) and key not in (*_UNUSED[trial["model"]["kind"]], "name"):
                pairs = isinstance(value, list) and isinstance(value[0], list)
                yield f"{group}: {key.replace('_', ' ')}", in_words(dict(value) if pairs else value)
    for key in ("batch_size", "loss", "seed", "monitored", "oversampled"):
        if trial.get(key, "") != "":
            yield key.replace("_", " "), in_words(trial[key])


def _protocol(paper: Paper, arm: str) -> list[tuple[str, str, str, str]]:
    """Rows of the protocol that hold for an arm: its own settings, and those of the arm that it is like."""
    like, rows = paper.arms[arm].like if arm in paper.arms else None, []
    for path, setting in settings_of(paper):
        shared = path[:2] == ("arms", like) and path[2:] != ("model", "backbone")
        if path[0] != "arms" or path[1] == arm or shared:
            name = name_of(("arms", arm, *path[2:]) if shared else path)
            provenance = ("assumed", setting.assumed) if setting.assumed else ("stated", setting.stated)
            rows.append((name, in_words(setting.value), *provenance))
    return rows
