"""A trained model leaves the store: Keras' own file, and a card that says what it is and is not.

What the card says comes from the stored result alone: its trial, its predictions and the facts of its
training; and from the paper, for what was stated and what assumed.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import re
import shutil
import uuid
from pathlib import Path
from typing import NamedTuple

import pandas as pd

import brainlib
from brainlib import estimates, store
from brainlib.errors import DataError, StoreError, UsageError
from brainlib.paper import Paper, load_paper
from brainlib.protocoltable import plain, protocol_table
from brainlib.registry import info_of
from brainlib.tables import percent

MODEL, CARD, FACTS = "model.keras", "README.md", "card.json"
_SCORES = ("accuracy", "sensitivity", "specificity", "precision", "f1", "auc")
_OF_A_CNN = ("convolutions", "kernel_size", "padding", "pool_size", "conv_dropout")
_MOST_NAMED = 12  # models that an error message lists


class Stored(NamedTuple):
    """A trained model of the store: its key, and what its trial was, as stored."""

    key: str
    trial: dict

    @property
    def name(self) -> str:
        """What a person calls it."""
        trial = self.trial
        return " ".join(filter(None, [trial["paper"], trial["scenario"], trial["arm"], trial["stage"]]))


def stored_models(folder: Path) -> list[Stored]:
    """The trained models that a store keeps, by name; whatever cannot be read is passed over."""
    found = []
    for path in sorted(Path(folder).glob("trials/*/" + MODEL)):
        key = path.parent.name
        try:
            facts, _ = store.read(Path(folder), key)
            found.append(Stored(key, facts["trial"]))
        except (StoreError, KeyError, TypeError):
            continue
    return sorted(found, key=lambda each: (each.name, each.key))


def find_model(folder: Path, wanted: str) -> Stored:
    """The one stored model whose key begins so, or whose name is this.

    Parameters
    ----------
    folder : Path
        The store.
    wanted : str
        The first digits of a key, or a name such as "jardim cnn final".

    Raises
    ------
    UsageError
        There is none, or several.
    """
    every = stored_models(folder)
    found = [each for each in every if wanted and (each.key.startswith(wanted) or each.name == wanted)]
    if len(found) == 1:
        return found[0]
    listed = "; ".join(f"{each.key[:8]} {_described(each)}" for each in (found or every)[:_MOST_NAMED])
    more = len(found or every) - _MOST_NAMED
    raise UsageError(
        f"{wanted}: expected the key or the name of one trained model, received one of "
        f"{'several' if found else 'none'}; the store has {listed or 'none: run a notebook first'}"
        + (f" and {more} more" if more > 0 else "")
    )


def _described(stored):
    trial = stored.trial
    images = trial["split"]["images"] or "all"
    backbone = trial["model"]["backbone"] or "no backbone"
    return (
        f"{stored.name} ({backbone}, {images} images of {trial['size']} pixels, split by "
        f"{trial['split']['by']}, seed {trial['seed']})"
    )


def export(folder: Path, wanted: str, target: Path) -> Path:
    """Write a trained model and its card to a new folder, whole or not at all.

    Parameters
    ----------
    folder : Path
        The store.
    wanted : str
        As in `find_model`.
    target : Path
        Gets ``model.keras``, ``README.md`` (the card) and ``card.json`` (the same as data).

    Returns
    -------
    Path
        `target`.

    Raises
    ------
    UsageError
        No such model, or the folder holds something already.
    StoreError
        The stored model does not verify, or the folder cannot be written.
    """
    folder, target = Path(folder), Path(target)
    found = find_model(folder, wanted)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"{target}: expected a new or empty folder, received one with something in it")
    if not store.holds(folder, found.key, model=True):
        raise StoreError(f"{found.name}: expected a stored model that verifies, found none; run again")
    facts, tables = store.read(folder, found.key)
    card = model_card(found.key, facts, tables["predictions"])
    temporary = target.with_name(f".{target.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp")
    try:
        temporary.mkdir(parents=True)
        shutil.copyfile(folder / "trials" / found.key / MODEL, temporary / MODEL)
        (temporary / CARD).write_text(card_text(card), "utf-8")
        (temporary / FACTS).write_text(json.dumps(card, indent=1, ensure_ascii=False), "utf-8")
        os.replace(temporary, target)  # an empty folder gives way
    except OSError as error:
        raise StoreError(
            f"{target}: expected to write the model there, received {error.strerror or error}; "
            "free disk space or choose another folder"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def model_card(key: str, facts: dict, predictions: pd.DataFrame) -> dict:
    """What must be known of a model, as plain data.

    Parameters
    ----------
    key : str
    facts, predictions
        As `store.read` returns them.
    """
    trial = facts["trial"]
    paper = load_paper(trial["paper"])
    scenario = paper.scenario(trial["scenario"])
    last = predictions[predictions["phase"] == trial["phases"][-1]["name"]]
    parts = {
        part: own["label"].value_counts().sort_index().to_dict() for part, own in last.groupby("part")
    }
    data = facts.get("data") or {}
    info = info_of(data.get("set") or paper.data.set.value)
    test, train = last[last["part"] == "test"], last[last["part"] == "train"]
    clean = test[~test["group"].isin(train["group"])]
    threshold = paper.protocol.threshold.value if paper.protocol.threshold else None
    return {
        "key": key,
        "name": Stored(key, trial).name,
        "brainlib": brainlib.__version__,
        "paper": {"id": paper.id, "title": paper.citation.title, "authors": list(paper.citation.authors)},
        "arm": paper.arms[trial["arm"]].title,
        "data": {
            "set": info.name,
            "title": info.title,
            "url": info.url,
            "licence": info.licence,
            "phantom": data.get("phantom"),
            "fingerprint": trial["data"],
            "images": {part: {k: int(n) for k, n in counts.items()} for part, counts in parts.items()},
        },
        "trial": trial,
        "differs_from_paper": _differences(trial, paper, data.get("phantom")),
        "scores": {
            "as published": _scores(test, scenario, threshold),
            "without copies of training images": _scores(clean, scenario, threshold),
        },
        "environment": facts["environment"],
        "seconds": facts["seconds"],
    }


def _scores(table, scenario, threshold):
    found = {}
    for metric in _SCORES:
        average = None if scenario.positive or metric in ("accuracy",) else "macro"
        try:
            estimate = estimates.estimate(
                metric, table, scenario.classes, scenario.positive, threshold, average=average
            )
        except DataError:  # no image is left
            continue
        name = metric if not average else f"{metric} (macro)"
        found[name] = {
            key: None if isinstance(value, float) and math.isnan(value) else value
            for key, value in dataclasses.asdict(estimate).items()
        }
    return found


def _differences(trial: dict, paper: Paper, phantom) -> list[str]:
    """How the model differs from the paper's own, one sentence each."""
    arm, found = paper.arms[trial["arm"]], []
    if phantom:
        found.append("trained on phantoms, synthetic pictures, not on the paper's images")
    elif phantom is None:
        found.append("trained before it was recorded whether images were real")
    if trial["split"]["images"]:
        found.append(f"trained and judged on at most {trial['split']['images']} images of the set")
    stated = paper.protocol.image_size.value
    if trial["size"] != stated:
        found.append(f"images of {trial['size']} instead of {stated} pixels")
    backbone = arm.model.backbone.value if arm.model.kind == "transfer" else ""
    if trial["model"]["backbone"] != backbone:
        found.append(f"{trial['model']['backbone']} in place of {backbone}")
    if trial["weights"]["source"] == "random":
        found.append("started from random weights")
    for own, phase in zip(trial["phases"], arm.phases, strict=True):
        if own["epochs"] != phase.epochs.value:
            found.append(f"{own['epochs']} of {phase.epochs.value} epochs of {phase.name}")
    if trial["split"]["by"] == "group" and paper.protocol.split_by.value != "group":
        found.append("copies of a picture, and known images of one patient, were kept together")
    return found


def card_text(card: dict) -> str:
    """The card as Markdown."""
    trial, data, lines = card["trial"], card["data"], []
    positive = f"the last, {trial['classes'][-1]}, is the positive one" if len(trial["classes"]) == 2 else ""
    outputs = (
        "one number, the probability of the last class"
        if trial["loss"] == "binary_crossentropy"
        else "a probability for each class"
    )
    channels = {1: "grey", 3: "RGB, a grey picture repeated"}[trial["model"]["channels"]]
    lines += [
        f"# {card['name']}",
        "",
        f"{card['arm']}, after {', '.join(card['paper']['authors'])}, *{card['paper']['title']}*. A model of a "
        "reproducibility study, **for research: not a medical device, and not to be used on patients**.",
        "",
        "## How to use it",
        "",
        "```python",
        "import keras",
        "import brainlib.layers  # registers a layer of the model with Keras",
        f'model = keras.models.load_model("{MODEL}", compile=False)',
        "```",
        "",
        f"Input: {trial['size']} by {trial['size']} pixels, {channels}, values 0 to 255; scaling is part of the model. Output: "
        f"{outputs}. Classes in order: {', '.join(trial['classes'])}" + (f"; {positive}." if positive else "."),
        "",
        "## Differs from the paper's",
        "",
        *([f"- {each}" for each in card["differs_from_paper"]] or ["In nothing that is known."]),
        "",
        "## Data",
        "",
        f"{'Phantoms in the layout of ' if data['phantom'] else ''}{data['title']}"
        + (f" ({data['url']})" if data["url"] else "") + f"; fingerprint `{data['fingerprint']}`.",
        "",
        *_rows(["part", *trial["classes"]], [
            [part, *(counts.get(label, 0) for label in trial["classes"])]
            for part, counts in data["images"].items()
        ]),
        "",
        "## Scores on the images held out",
        "",
        *_rows(["score", *card["scores"]], [
            [name, *(_score(scores.get(name)) for scores in card["scores"].values())]
            for name in card["scores"]["as published"]
        ]),
        "",
        "95 % intervals. Test images that are copies of training images (re-encoded, resized, mirrored, turned or cropped a little) test "
        "memory: the right column leaves them out.",
        "",
        "## Training",
        "",
        *_rows(["setting", "value"], [[name, _setting(value)] for name, value in _settings(trial)]),
        "",
        "## The paper's protocol: stated and assumed",
        "",
    ]
    paper = load_paper(card["paper"]["id"])
    protocol = protocol_table(paper)
    of_others = tuple(f"{arm}{mark}" for arm in paper.arms if arm != trial["arm"] for mark in ":,")
    shown = protocol.frame[["setting", "value", "provenance", "why"]]
    shown = shown[~shown["setting"].str.startswith(of_others)] if of_others else shown
    lines += [protocol.caption, "", *_rows(list(shown.columns), shown.to_numpy().tolist())]
    lines += [
        "",
        "## Limits",
        "",
        "- Single slices from the web: no patient, scanner or sequence is known, and slices of one patient may stand on both sides.",
        "- Pictures unlike the training images get a confident answer all the same.",
        "- No score here says how the model does in a clinic.",
        "",
        "## Licences",
        "",
        f"- Images: {data['licence']}. None is part of this folder.",
        *(["- The pretrained weights that training started from "
           f"({trial['weights']['file'] or trial['weights']['source']}) are under their authors' licence."]
          if trial["weights"]["source"] not in ("none", "random") else []),
        f"- The code, brainlib {card['brainlib']}: MIT.",
        "",
    ]
    return "\n".join(lines)


def _settings(trial):
    other = _OF_A_CNN if trial["model"]["kind"] == "transfer" else ()
    for name in ("model", "weights", "split"):
        for key, value in trial[name].items():
            if value not in ("", [], None) and key not in other:
                yield f"{name}: {key.replace('_', ' ')}", value
    for phase in trial["phases"]:
        for key, value in phase.items():
            if key != "name":
                yield f"{phase['name']}: {key.replace('_', ' ')}", value
    for key in ("batch_size", "loss", "seed", "watched", "oversampled"):
        if trial[key] != "":
            yield key.replace("_", " "), trial[key]


def _setting(value):
    if isinstance(value, list) and value and isinstance(value[0], list):
        value = dict(value)
    return plain(value)


def _score(found):
    if found is None or found["value"] is None:
        return "–"
    limits = "" if found["low"] is None else f" ({100 * found['low']:.1f} to {100 * found['high']:.1f})"
    return f"{percent(found['value'])}{limits}, n = {found['n']}"


def _rows(header, rows):
    """A table in Markdown."""
    escaped = [[re.sub(r"\s+", " ", str(cell)).replace("|", "\\|") for cell in row] for row in rows]
    return [f"| {' | '.join(header)} |", "|" + "---|" * len(header), *(f"| {' | '.join(row)} |" for row in escaped)]
