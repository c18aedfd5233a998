"""What must be known of a trained model: what it was trained on, how it differs from its paper's, its scores.

What a card says comes from the stored result alone: its trial, its predictions and the facts of its
training; and from the paper, for what was stated and what assumed.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence

import pandas as pd

import brainlib
from brainlib.data.registry import info_of
from brainlib.errors import DataError
from brainlib.papers.loading import load_paper
from brainlib.papers.provenance import in_words
from brainlib.papers.schema import Paper
from brainlib.report.table import with_limits
from brainlib.report.tables.paper import protocol as protocol_table
from brainlib.stats import estimates

MODEL = "model.keras"
SCORES = ("accuracy", "sensitivity", "specificity", "precision", "f1", "auc")
_OF_A_CNN = ("convolutions", "kernel_size", "padding", "pool_size", "conv_dropout")


def name_of(trial: dict) -> str:
    """What a person calls a model: the name of its trial, as stored."""
    return " ".join(filter(None, [trial["paper"], trial["scenario"], trial["arm"], trial["stage"]]))


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
    last = last_phase(trial, predictions)
    parts = {part: own["label"].value_counts().sort_index().to_dict() for part, own in last.groupby("part")}
    data = facts.get("data") or {}
    info = info_of(data.get("set") or paper.data.set.value)
    return {
        "key": key,
        "name": name_of(trial),
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
        "differs_from_paper": differences(trial, paper, data.get("phantom")),
        "scores": scores(trial, predictions),
        "environment": facts["environment"],
        "seconds": facts["seconds"],
    }


def last_phase(trial: dict, predictions: pd.DataFrame) -> pd.DataFrame:
    """What the model said of every image when all its training was done."""
    return predictions[predictions["phase"] == trial["phases"][-1]["name"]]


def held_out(trial: dict, predictions: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Predictions of the test images: of all, and of those without a copy among the training images."""
    last = last_phase(trial, predictions)
    test, train = last[last["part"] == "test"], last[last["part"] == "train"]
    return test, test[~test["group"].isin(train["group"])]


def scores(trial: dict, predictions: pd.DataFrame, metrics: Sequence[str] = SCORES) -> dict:
    """Scores of a model on the test images, "as published" and "without copies of training images".

    Parameters
    ----------
    trial : dict
        As stored.
    predictions : DataFrame
    metrics : sequence of str

    Returns
    -------
    dict of dict of dict
        The fields of an `Estimate` by score, with None for what is undefined; a score that no image is left
        for is missing.
    """
    paper = load_paper(trial["paper"])
    scenario = paper.scenario(trial["scenario"])
    threshold = paper.protocol.threshold.value if paper.protocol.threshold else None
    test, clean = held_out(trial, predictions)
    return {
        "as published": _scores(metrics, test, scenario, threshold),
        "without copies of training images": _scores(metrics, clean, scenario, threshold),
    }


def _scores(metrics, table, scenario, threshold):
    found = {}
    for metric in metrics:
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


def differences(trial: dict, paper: Paper, phantom: bool | None) -> list[str]:
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
        "import brainlib.models.layers  # registers a layer of the model with Keras",
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
        + (f" ({data['url']})" if data["url"] else "")
        + f"; fingerprint `{data['fingerprint']}`.",
        "",
        *_rows(
            ["part", *trial["classes"]],
            [[part, *(counts.get(label, 0) for label in trial["classes"])] for part, counts in data["images"].items()],
        ),
        "",
        "## Scores on the images held out",
        "",
        *_rows(
            ["score", *card["scores"]],
            [
                [name, *(_score(scores.get(name)) for scores in card["scores"].values())]
                for name in card["scores"]["as published"]
            ],
        ),
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
        *(
            [
                "- The pretrained weights that training started from "
                f"({trial['weights']['file'] or trial['weights']['source']}) are under their authors' licence."
            ]
            if trial["weights"]["source"] not in ("none", "random")
            else []
        ),
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
    for key in ("batch_size", "loss", "seed", "monitored", "oversampled"):
        if trial[key] != "":
            yield key.replace("_", " "), trial[key]


def _setting(value):
    if isinstance(value, list) and value and isinstance(value[0], list):
        value = dict(value)
    return in_words(value)


def _score(found):
    if found is None or found["value"] is None:
        return "–"
    return f"{with_limits(found['value'], found['low'], found['high'])}, n = {found['n']}"


def _rows(header, rows):
    """A table in Markdown."""
    escaped = [[re.sub(r"\s+", " ", str(cell)).replace("|", "\\|") for cell in row] for row in rows]
    return [f"| {' | '.join(header)} |", "|" + "---|" * len(header), *(f"| {' | '.join(row)} |" for row in escaped)]
