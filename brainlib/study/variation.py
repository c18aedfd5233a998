"""One setting of a protocol changed: the same paper with another value."""

from __future__ import annotations

import difflib
from typing import Any

from pydantic import ValidationError

from brainlib.errors import UsageError
from brainlib.papers.provenance import in_words, key_of, name_of, settings_of
from brainlib.papers.schema import Paper

WHY = "Changed to see what it does."
#: Settings that are shown and cannot be varied, with the reason.
FIXED = {"protocol.optimizer": "every model is trained with Adam, the one optimizer that brainlib has"}


def varied(paper: Paper, setting: str, value: object) -> tuple[Paper, str]:
    """Copy a paper with another value of one setting, and say the change: "batch size 16 in place of 32".

    An arm that is defined to be like this one in the paper keeps its own value. See `Study.varied`.
    """
    known = {key_of(path): (path, each.value) for path, each in settings_of(paper)}
    if setting not in known:
        near = ", ".join(difflib.get_close_matches(setting, known, n=3, cutoff=0.3)) or "none"
        raise UsageError(f"{paper.id} has no setting '{setting}'; near it are {near}; the protocol's table lists all")
    if setting in FIXED:
        raise UsageError(f"{setting} cannot be varied: {FIXED[setting]}; received {value!r}")
    path, old = known[setting]
    if old == value:
        raise UsageError(f"{setting}: expected another value than the paper's, received {value!r} too")
    content = paper.model_dump(exclude_defaults=True)
    part: Any = content
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = {"value": value, "assumed": WHY, "alternatives": (old,)}
    try:
        new = Paper.model_validate(content)
    except ValidationError as error:
        message = error.errors(include_url=False)[0]["msg"].removeprefix("Input should be ")
        raise UsageError(f"{setting}: expected {message}; received {value!r}") from None
    return new, f"{name_of(path)} {in_words(value)} in place of {in_words(old)}"
