"""What if one value of a protocol were another: the same paper with one setting changed."""

from __future__ import annotations

import difflib
from typing import Any

from pydantic import BaseModel, ValidationError

from brainlib.errors import UsageError
from brainlib.papers.provenance import FrozenDict, KeyPath, Setting, key_of, settings_of
from brainlib.papers.schema import Paper

WHY = "Changed to see what it does."


def varied(paper: Paper, setting: str, value: object) -> Paper:
    """Copy a paper with another value of one setting.

    Parameters
    ----------
    paper : Paper
    setting : str
        As `Paper.settings_table` names it, such as "protocol.batch_size" or "arms.cnn.phases[0].epochs". Of
        arms that are like another one, those of the other stay as they are.
    value
        Of the setting's own type.

    Raises
    ------
    UsageError
        There is no such setting, it has this value already, or it cannot have it.
    """
    path, old = setting_at(paper, setting)
    if old.value == value:
        raise UsageError(f"{setting}: expected another value than the paper's, received {value!r} too")
    try:
        new = type(old).model_validate({"value": value, "assumed": WHY, "alternatives": (old.value,)})
    except ValidationError as error:
        message = error.errors(include_url=False)[0]["msg"].removeprefix("Input should be ")
        raise UsageError(f"{setting}: expected {message}; received {value!r}") from None
    return _replaced(paper, path, new)


def setting_at(paper: Paper, setting: str) -> tuple[KeyPath, Setting]:
    """Return the key path and the setting of a paper that `Paper.settings_table` names so.

    Raises
    ------
    UsageError
        There is no such setting.
    """
    known = {key_of(path): (path, each) for path, each in settings_of(paper)}
    if setting not in known:
        near = difflib.get_close_matches(setting, known, n=3, cutoff=0.3)
        raise UsageError(
            f"{paper.id} has no setting '{setting}'; near it are {', '.join(near) or 'none'}, and "
            "settings_table() lists all"
        )
    return known[setting]


def _replaced(part: Any, path: KeyPath, new: Setting) -> Any:
    """Copy a part of a paper with another setting at the end of a path."""
    if not path:
        return new
    key, *below = path
    if isinstance(part, BaseModel):
        return part.model_copy(update={key: _replaced(getattr(part, key), below, new)})
    replaced = _replaced(part[key], below, new)
    return FrozenDict(part | {key: replaced}) if isinstance(part, dict) else (*part[:key], replaced, *part[key + 1 :])
