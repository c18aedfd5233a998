"""A trained model leaves the store: Keras' own file, and a card that says what it is and is not."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from pathlib import Path
from typing import NamedTuple

from brainlib.errors import StoreError, UsageError
from brainlib.report.model_cards import MODEL, card_text, model_card, name_of
from brainlib.trials import store

CARD, FACTS = "README.md", "card.json"
_MOST_NAMED = 12  # models that an error message lists


class Stored(NamedTuple):
    """A trained model of the store: its key, and the facts that were stored with it."""

    key: str
    facts: dict

    @property
    def trial(self) -> dict:
        """Its trial, as stored."""
        return self.facts["trial"]

    @property
    def name(self) -> str:
        """What a person calls it."""
        return name_of(self.trial)


def stored_models(folder: Path) -> list[Stored]:
    """The trained models that a store keeps, by name; whatever cannot be read is passed over."""
    found = []
    for path in sorted(Path(folder).glob("trials/*/" + MODEL)):
        try:
            each = Stored(path.parent.name, store.facts(Path(folder), path.parent.name))
            found.append((each.name, each))
        except (StoreError, KeyError, TypeError):
            continue
    return [each for _, each in sorted(found, key=lambda pair: (pair[0], pair[1].key))]


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
