"""What if one value of a protocol were another: the same paper with one setting changed."""

from __future__ import annotations

import difflib

from pydantic import BaseModel, ValidationError

from brainlib.errors import UsageError
from brainlib.papers.provenance import FrozenDict, Setting
from brainlib.papers.schema import Paper, settings_of

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
    known = dict(settings_of(paper))
    if setting not in known:
        near = difflib.get_close_matches(setting, known, n=3, cutoff=0.3)
        raise UsageError(
            f"{paper.id} has no setting '{setting}'; near it are {', '.join(near) or 'none'}, and "
            "settings_table() lists all"
        )
    old = known[setting]
    if old.value == value:
        raise UsageError(f"{setting}: expected another value than the paper's, received {value!r} too")
    try:
        new = type(old).model_validate({"value": value, "assumed": WHY, "alternatives": (old.value,)})
    except ValidationError as error:
        message = error.errors(include_url=False)[0]["msg"].removeprefix("Input should be ")
        raise UsageError(f"{setting}: expected {message}; received {value!r}") from None
    return _replaced("", paper, setting, new)


def _replaced(path, part, target, new):
    """A copy of a part of the paper in which the setting at `target` is another."""
    if path == target:
        return new
    if isinstance(part, BaseModel) and not isinstance(part, Setting):
        for key, value in part:
            below = f"{path}.{key}".lstrip(".")
            if _leads_to(below, target):
                return part.model_copy(update={key: _replaced(below, value, target, new)})
    if isinstance(part, dict):
        return FrozenDict(
            {
                key: _replaced(f"{path}.{key}", value, target, new) if _leads_to(f"{path}.{key}", target) else value
                for key, value in part.items()
            }
        )
    return tuple(
        _replaced(f"{path}[{n}]", value, target, new) if _leads_to(f"{path}[{n}]", target) else value
        for n, value in enumerate(part)
    )


def _leads_to(path, target):
    return target == path or target.startswith((f"{path}.", f"{path}["))
