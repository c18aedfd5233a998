"""The same paper with another value of one setting, or with one more arm."""

from __future__ import annotations

import difflib
from typing import Any

from pydantic import ValidationError

from brainlib.errors import UsageError
from brainlib.papers.loading import problems
from brainlib.papers.provenance import in_words, key_of, name_of, settings_of
from brainlib.papers.schema import Paper

WHY = "Changed to see what it does."
OWN = "chosen by the user: not the paper's"


def varied(paper: Paper, setting: str, value: object) -> tuple[Paper, str]:
    """Copy a paper with another value of one setting, and say the change: "batch size 16 in place of 32".

    Arms that are defined to be like this one in the paper change with it. See `Study.varied`.
    """
    known = {key_of(path): (path, each.value) for path, each in settings_of(paper) if path[0] != "fixed"}
    if setting not in known:
        near = ", ".join(difflib.get_close_matches(setting, known, n=3, cutoff=0.3)) or "none"
        raise UsageError(f"{paper.id} has no setting '{setting}'; near it are {near}; the protocol's table lists all")
    path, old = known[setting]
    if old == value:
        raise UsageError(f"{setting}: expected another value than the paper's, received {value!r} too")
    content = paper.model_dump(exclude_defaults=True)
    shared = path[0] == "arms" and path[-1] != "backbone"
    for like in [name for name, arm in paper.arms.items() if shared and arm.like == path[1]] + [path[1]]:
        part: Any = content
        for key in (path[0], like, *path[2:-1]) if path[0] == "arms" else path[:-1]:
            part = part[key]
        part[path[-1]] = {"value": value, "assumed": WHY, "alternatives": (old,)}
    change = f"{name_of(path)} {in_words(value)} in place of {in_words(old)}"
    return _validated(content, setting, set(problems(paper))), change


def with_arm(paper: Paper, name: str, like: str, given: dict[str, Any]) -> Paper:
    """Copy a paper with one more arm, which trains as the arm `like` but for these settings; see `Study.with_arm`."""
    if name in paper.arms or like not in paper.arms:
        arms = ", ".join(paper.arms)
        raise UsageError(f"expected a new name, and one of {arms} as like; received '{name}' and '{like}'")
    content = paper.model_dump(exclude_defaults=True)
    chosen = {key: {"value": value, "stated": OWN} for key, value in given.items()}
    model = {"kind": "own", **{key: chosen.pop(key) for key in ("function", "channels")}}
    phases = tuple({**phase, **chosen} for phase in content["arms"][like]["phases"])
    content["arms"] = {**content["arms"], name: {"title": name, "model": model, "phases": phases}}
    return _validated(content, name)


def _validated(content, place, known=frozenset()):
    """Make a paper of what was changed; `known` is what was wrong before, such as another set's classes."""
    try:
        paper = Paper.model_validate(content)
        if problem := next((each for each in problems(paper) if each not in known), None):
            raise UsageError(problem)
        return paper
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        message = first["msg"].removeprefix("Input should be ")
        raise UsageError(f"{place}: expected {message}; received {first['input']!r}") from None
