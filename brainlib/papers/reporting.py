"""What papers report of the items of a reporting checklist: CLAIM, of the version that ``claim/_items.yaml`` names.

The folder ``claim`` holds one file a paper, with a judgement of every item. A paper without a file was not judged.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import StringConstraints, TypeAdapter, ValidationError, model_validator

from brainlib.data.yaml_files import first_problem, read_yaml
from brainlib.errors import PaperError
from brainlib.papers.provenance import Frozen, Text

Status = Literal["reported", "partly", "not reported", "not applicable"]
STATUSES = get_args(Status)
FOLDER = Path(__file__).with_name("claim")
_Number = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]?$")]


class Checklist(Frozen):
    """A checklist: its version, where its items were read, and by section the number of each item and what it asks."""

    name: Text
    source: Text
    sections: dict[Text, dict[_Number, Text]]


class Judgement(Frozen):
    """One of four statuses: the place in the paper, what was looked for in vain, or why the item cannot apply.

    ``partly`` needs ``missing``, and only that has it.
    """

    reported: Text | None = None
    partly: Text | None = None
    missing: Text | None = None
    not_reported: Text | None = None
    not_applicable: Text | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Judgement:
        given = self.given()
        if len(given.keys() - {"missing"}) != 1 or ("partly" in given) != ("missing" in given):
            wanted = "reported, partly with missing, not_reported or not_applicable"
            raise ValueError(f"expected one of {wanted}, received {', '.join(sorted(given)) or 'none'}")
        return self

    def given(self) -> dict[str, str]:
        """Return the keys that are not null, with their words."""
        return {key: words for key, words in self if words is not None}


@dataclass(frozen=True)
class Item:
    """An item of the checklist as a paper has it; `missing` is None unless it is reported in part."""

    number: int
    section: str
    asks: str
    status: Status
    words: str
    missing: str | None


@cache
def checklist() -> Checklist:
    """Return the checklist whose items are judged."""
    return _read(FOLDER / "_items.yaml", Checklist)


@cache
def reporting_of(paper: str, folder: Path = FOLDER) -> tuple[Item, ...]:
    """Return every item of the checklist as a paper, by its id, reports it; none of a paper that was not judged.

    `PaperError` says in one line what is wrong with its file, such as an item that is missing or unknown.
    """
    path = folder / f"{paper}.yaml"
    if not path.is_file():
        return ()
    judged, asked = _read(path, dict[_Number, Judgement]), checklist()
    numbers = {number for items in asked.sections.values() for number in items}
    if wrong := sorted(judged.keys() ^ numbers, key=int):
        problem = "expected a judgement, received none" if wrong[0] in numbers else f"no item of {asked.name}"
        raise PaperError(f"{folder.name}/{path.name}: {wrong[0]}: {problem}")
    return tuple(
        _item(int(number), section, text, judged[number])
        for section, items in asked.sections.items()
        for number, text in items.items()
    )


def by_section(items: Iterable[Item]) -> dict[str, list[Item]]:
    """Return the items of each section, in the order of the checklist."""
    found: dict[str, list[Item]] = {}
    for item in items:
        found.setdefault(item.section, []).append(item)
    return found


def _item(number, section, asks, judgement):
    (key, words), *_ = judgement.given().items()  # "missing" is behind "partly"
    return Item(number, section, asks, key.replace("_", " "), words, judgement.missing)


def _read(path, kind):
    try:
        content = read_yaml(path)
        return TypeAdapter(kind).validate_python(content)
    except ValidationError as error:
        problem = first_problem(error, content)
    except ValueError as error:
        problem = str(error)
    raise PaperError(" ".join(f"{path.parent.name}/{path.name}: {problem}".split()))
