"""The trained models that a store keeps: listed by their facts alone, found by key or name.

Tables and weights are read, and verified, by `store` once a model has been chosen.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from brainlib.data.registry import REGISTRY, DataSetInfo
from brainlib.errors import UsageError
from brainlib.papers.loading import load_paper
from brainlib.stats.predictions import decide
from brainlib.trials import store
from brainlib.trials.store import FACTS, MODEL, UNREADABLE

_MOST_NAMED = 12  # models that an error message lists


class Stored(NamedTuple):
    """A trained model of a store: its key, and the facts that were stored with it."""

    key: str
    facts: dict

    @property
    def trial(self) -> dict:
        """The fields of its `Trial`, as stored."""
        return self.facts["trial"]

    @property
    def name(self) -> str:
        """The name of its trial, such as "jardim cnn final"."""
        return " ".join(filter(None, (self.trial[part] for part in ("paper", "scenario", "arm", "stage"))))

    @property
    def arm(self) -> str:
        """The title of its arm; of a user's own model, which is none of the paper's, the name that it was given."""
        arms, name = load_paper(self.trial["paper"]).arms, self.trial["arm"]
        return arms[name].title if name in arms else name

    @property
    def info(self) -> DataSetInfo:
        """The data set that it was trained on; of own images, what was recorded."""
        data = self.facts["data"]
        return REGISTRY.get(data["set"]) or DataSetInfo(data["set"], data["title"], "", data["licence"], ())

    @property
    def trained_on(self) -> str:
        """What it was trained on, in a few words."""
        return f"phantoms in the layout of {self.info.title}" if self.phantom else self.info.title

    @property
    def phantom(self) -> bool:
        """Whether it was trained on phantoms."""
        return self.facts["data"]["phantom"]

    def checked(self) -> Stored:
        """Return itself; one of `UNREADABLE` where facts that are shown are missing or no texts."""
        shown = [_described(self), self.trained_on, *self.trial["classes"], *self.trial["conditions"]]
        if not all(isinstance(each, str) for each in shown):
            raise TypeError("other values than names")
        return self


def stored_models(folder: Path) -> list[Stored]:
    """List the trained models of a store by name; facts that cannot be read are left out.

    Nothing is verified, and no table is opened.
    """
    found = []
    for path in Path(folder).glob(f"trials/*/{MODEL}"):
        with suppress(*UNREADABLE):
            each = Stored(path.parent.name, json.loads(path.with_name(FACTS).read_bytes())).checked()
            if "." not in each.key:  # else unfinished or set aside
                found.append(each)
    return sorted(found, key=lambda each: (each.name, each.key))


def find_model(folder: Path, wanted: str) -> Stored:
    """Find the one model of a store whose key begins with a text, or whose name is this text.

    Where there is none, or several, the UsageError lists models to choose from.
    """
    every = stored_models(folder)
    found = [each for each in every if wanted and (each.key.startswith(wanted) or each.name == wanted)]
    if len(found) == 1:
        return found[0]
    choices = [f"{each.key[:8]} {_described(each)}" for each in found or every]
    listed = "; ".join(choices[:_MOST_NAMED]) or "none: run a notebook first"
    more = f" and {len(choices) - _MOST_NAMED} more" if len(choices) > _MOST_NAMED else ""
    received = "several" if found else "none"
    expected = f"expected the key or the name of one trained model, received one of {received}"
    raise UsageError(f"{wanted}: {expected}; the store has {listed}{more}")


def read_model(folder: Path, key: str) -> tuple[Stored, pd.DataFrame]:
    """Read the facts of a trained model and its `final_predictions`.

    StoreError where they do not verify, or are not the facts and probabilities that a training stores.
    """
    facts, tables = store.read(folder, key)
    with store.expecting("the facts and predictions of a trained model", key):
        stored = Stored(key, facts).checked()
        found = final_predictions(stored.trial, tables["predictions"])
        decided = [decide(part, stored.trial["classes"]) for _, part in found.groupby("part", dropna=False)]
        if not decided or not all(isinstance(path, str) for path in found["path"]):
            raise ValueError("predictions of no images")
    return stored, found


def final_predictions(trial: dict, predictions: pd.DataFrame) -> pd.DataFrame:
    """Select, of stored predictions (see `TrialResult`), those after the last phase, and mark leaked test images.

    The new column ``leaked`` tells whether it is a test image that has a duplicate among the training images.
    """
    last = predictions[predictions["phase"] == trial["phases"][-1]["name"]]
    trained = last.loc[last["part"] == "train", "group"]
    return last.assign(leaked=(last["part"] == "test") & last["group"].isin(trained))


def _described(stored):
    trial, split = stored.trial, stored.trial["split"]
    return (
        f"{stored.name} ({trial['model']['backbone'] or 'no backbone'}, {split['images'] or 'all'} images of "
        f"{trial['size']} pixels, split by {split['by']}, seed {trial['seed']})"
    )
