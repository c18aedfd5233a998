"""A paper as data: its protocol, its models and every figure that it prints, read from YAML.

The protocol and the arms are made of settings with their provenance (`brainlib.settings`). Each
printed figure is a `Claim` that keeps the string as printed. Everything read is frozen, and nothing
here is interpreted: what a claim means as a number is the business of `brainlib.claims`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from brainlib.errors import PaperError
from brainlib.plain_yaml import read_plain_yaml, shorten
from brainlib.settings import (
    Arm,
    Count,
    Frozen,
    FrozenDict,
    Identifier,
    Protocol,
    Setting,
    Text,
)

if TYPE_CHECKING:
    import pandas as pd

Stage = Annotated[str, StringConstraints(pattern=r"^(fold [1-9][0-9]?|folds|test)$")]


class Citation(Frozen):
    """Who wrote the paper, and where it appeared (null where its text does not say)."""

    authors: Annotated[tuple[Text, ...], Field(min_length=1)]
    title: Text
    venue: Text | None
    year: Annotated[int, Field(ge=1950, le=2100)] | None
    url: Text | None


class Data(Frozen):
    """The data set: a name in `datasets.REGISTRY`, its classes in label order, its size.

    With two classes the last one is the positive one.
    """

    set: Setting[Text]
    classes: Annotated[tuple[Text, ...], Field(min_length=2)]
    positive: Text | None
    images: Setting[Count]

    @model_validator(mode="after")
    def _positive_is_last(self) -> Data:
        if len(set(self.classes)) < len(self.classes):
            raise ValueError(f"expected different classes, received {list(self.classes)}")
        if self.positive is not None and self.positive not in self.classes:
            raise ValueError(f"positive: expected one of {list(self.classes)} or null, "
                             f"received {self.positive!r}")
        if len(self.classes) == 2 and self.positive != self.classes[1]:
            raise ValueError(f"positive: expected {self.classes[1]!r}, the last of two classes, "
                             f"received {self.positive!r}")
        return self


class LayerRow(Frozen):
    """One row of a printed table of layers; `output` as printed, e.g. "64x112x112"."""

    layer: Count
    type: Text
    output: Text
    kernel: Count | None
    stride: Count | None
    padding: Annotated[int, Field(ge=0)] | None
    details: str


class Tables(Frozen):
    """Tables that describe a model rather than a result."""

    layer_table: tuple[LayerRow, ...] | None = None


class Metric(Frozen):
    """What a claim says is measured.

    `over` says of what: one value, the mean, sample variance or standard deviation over the folds,
    or a comparison such as "p > 0.05". `label` is the class that is counted or scored (null: all
    images, or the positive class). `sensitivity` is also what papers call recall.
    """

    name: Literal["accuracy", "sensitivity", "specificity", "precision", "f1", "auc", "loss",
                  "training_seconds", "images", "t_test.t", "t_test.p"]
    over: Literal["value", "mean", "variance", "sd", "comparison"] = "value"
    label: Text | None = None


class Claim(Frozen):
    """A printed figure: exactly one of `metric` (how to compute it) and `why_not` (why one cannot).

    Attributes
    ----------
    printed
        The string as printed, with the decimal comma where there is one, e.g. "97.94%".
    unit
        Of the number in `printed`: "%", "1" (none), "percent^2", "images", "min", "s", ...
    where
        The place in the paper. A figure printed in several places has a claim for each.
    n, n_why
        How many images were scored (all classes together), and how that is known.
    arm, arms
        The arm that the figure is about, or the two that a t-test compares: first minus second.
    stage
        "fold 1" ..., "folds" (all of them) or "test"; null for what has none.
    """

    id: Identifier
    printed: Annotated[str, StringConstraints(pattern=r"[0-9]")]
    unit: Text
    where: Text
    n: Count | None = None
    n_why: Text | None = None
    arm: str | None = None
    arms: tuple[str, ...] = ()
    stage: Stage | None = None
    metric: Metric | None = None
    why_not: Text | None = None


class Paper(Frozen):
    """One paper, as read from its YAML by `load_paper`."""

    id: Identifier
    citation: Citation
    data: Data
    protocol: Protocol
    arms: Annotated[dict[Identifier, Arm], Field(min_length=1), AfterValidator(FrozenDict)]
    tables: Tables = Tables()
    claims: tuple[Claim, ...]

    def settings_table(self) -> pd.DataFrame:
        """All settings: columns setting (key path), value, provenance, why, alternatives.

        `provenance` is "stated" or "assumed"; `why` the place in the paper or the reason.
        """
        import pandas as pd

        rows = [
            (path, s.value, "assumed" if s.assumed else "stated", s.assumed or s.stated,
             s.alternatives)
            for path, s in _settings("", self)
        ]
        columns = ["setting", "value", "provenance", "why", "alternatives"]
        return pd.DataFrame(rows, columns=columns)

    def claims_table(self) -> pd.DataFrame:
        """All claims, one row each in the order of the paper: the columns of `Claim`.

        `metric` is split into the columns metric (its name), over and label. What a claim lacks is
        None.
        """
        import pandas as pd

        rows = []
        for claim in self.claims:
            parts = dict(claim.metric or dict.fromkeys(Metric.model_fields))
            rows.append(dict(claim) | {"metric": parts.pop("name")} | parts)
        return pd.DataFrame(rows, dtype=object)


def paper_ids() -> list[str]:
    """Return the ids of the papers that brainlib holds, sorted."""
    return sorted(f.name.removesuffix(".yaml") for f in _folder().iterdir()
                  if f.name.endswith(".yaml"))


def load_paper(id_or_path: str | Path) -> Paper:
    """Read and check a paper.

    Parameters
    ----------
    id_or_path
        An id of `paper_ids()`, or the path of a YAML file (a `Path`, or text that ends in
        ".yaml" or ".yml").

    Raises
    ------
    PaperError
        In one line: an unknown id; a file that cannot be read, is over 1 MB or is no plain YAML;
        a key that is missing, unknown or of the wrong type; claims that contradict the paper.
    """
    name = str(id_or_path)
    if isinstance(id_or_path, Path) or name.endswith((".yaml", ".yml")):
        path = Path(id_or_path)
    elif name in paper_ids():
        path = _folder() / f"{name}.yaml"
    else:
        raise PaperError(f"unknown paper {shorten(name)}: expected one of "
                         f"{', '.join(paper_ids())}, or the path of a .yaml file")
    content = read_plain_yaml(path)
    try:
        paper = Paper.model_validate(content)
    except ValidationError as error:
        raise PaperError(f"{path.name}: {_first(error, content)}") from None
    for problem in _problems(paper, path.name):
        raise PaperError(f"{path.name}: {problem}")
    return paper


def _folder() -> Any:
    return resources.files("brainlib") / "papers"


def _settings(path: str, part: Any) -> Iterator[tuple[str, Setting]]:
    """Yield every setting below `part` with its key path, in the order of the schema."""
    if isinstance(part, Setting):
        yield path, part
    elif isinstance(part, BaseModel):
        for key, value in part:
            yield from _settings(f"{path}.{key}".lstrip("."), value)
    elif isinstance(part, dict):
        for key, value in part.items():
            yield from _settings(f"{path}.{key}", value)
    elif isinstance(part, tuple):
        for i, value in enumerate(part):
            yield from _settings(f"{path}[{i}]", value)


def _problems(paper: Paper, file_name: str) -> Iterator[str]:
    """Yield what is wrong between parts of a paper that are right by themselves."""
    if paper.id != Path(file_name).stem:
        yield f"id: expected the file's stem {Path(file_name).stem!r}, received {paper.id!r}"
    two_classes = len(paper.data.classes) == 2
    if paper.protocol.loss.value == "binary_crossentropy" and not two_classes:
        yield ("protocol.loss.value: expected categorical_crossentropy for "
               f"{len(paper.data.classes)} classes, received binary_crossentropy")
    seen: set[str] = set()
    for i, claim in enumerate(paper.claims):
        if claim.id in seen:
            yield f"claims[{i}].id: expected a new id, received {claim.id!r} a second time"
        seen.add(claim.id)
        for problem in _claim_problems(claim, paper):
            yield f"claims[{i}] ({claim.id}).{problem}"


def _claim_problems(claim: Claim, paper: Paper) -> Iterator[str]:
    """Yield what is wrong with one claim of a paper, each beginning with the key."""
    named = (claim.arm, *claim.arms) if claim.arm is not None else claim.arms
    for arm in named:
        if arm not in paper.arms:
            yield f"arm: expected one of {', '.join(paper.arms)}, received {shorten(arm)}"
    folds = paper.protocol.folds.value if paper.protocol.folds else 0
    if claim.stage and claim.stage.startswith("fold") and not folds:
        yield (f"stage: expected 'test' or null in a protocol without folds, "
               f"received {claim.stage!r}")
    elif claim.stage and claim.stage.startswith("fold ") and int(claim.stage[5:]) > folds:
        yield f"stage: expected fold 1 to {folds}, received {claim.stage!r}"
    if (claim.n is None) != (claim.n_why is None):
        yield "n_why: expected n and n_why together, received only one"
    if (claim.metric is None) == (claim.why_not is None):
        both = "both" if claim.metric else "neither"
        yield f"metric: expected either metric or why_not, received {both}"
    if (metric := claim.metric) is None:
        return
    if metric.label is not None and metric.label not in paper.data.classes:
        yield (f"metric.label: expected one of {', '.join(paper.data.classes)}, "
               f"received {shorten(metric.label)}")
    if metric.name.startswith("t_test") != (len(claim.arms) == 2) or (claim.arm and claim.arms):
        yield "arms: expected two arms for a t_test alone, with arm null"
    elif metric.name not in ("images", "t_test.t", "t_test.p") and not (claim.arm and claim.stage):
        yield f"metric: expected an arm and a stage for {metric.name}, received none"
    if metric.over in ("mean", "variance", "sd") and claim.stage != "folds":
        yield f"stage: expected 'folds' for a {metric.over}, received {claim.stage!r}"
    if (metric.over == "comparison") != bool(re.search("[<>≤≥]", claim.printed)):
        yield ("metric.over: expected 'comparison' if and only if printed compares, received "
               f"{metric.over!r} for {shorten(claim.printed)}")


def _first(error: ValidationError, content: dict[str, Any]) -> str:
    """Return the first of pydantic's complaints as a key path of the file and what is wrong."""
    errors = error.errors(include_url=False)
    kind, location, message = (errors[0][key] for key in ("type", "loc", "msg"))
    path, here = "", content
    for i, key in enumerate(location):
        held = (key in here if isinstance(here, dict)
                else isinstance(here, tuple) and key in range(len(here)))
        if held or (kind == "missing" and i == len(location) - 1):
            path += f"[{key}]" if isinstance(key, int) else f".{key}"
            here = here[key] if held else None
        # else pydantic's name for a branch of a union, which is no key of the file
    if kind == "missing":
        message = "expected this key, received none"
    elif kind == "extra_forbidden":
        message = "expected no key of this name here; check its spelling and its place"
    elif kind == "value_error":
        message = str(errors[0]["ctx"]["error"])
    else:
        message += f", received {shorten(errors[0]['input'])}"
    others = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"{path.lstrip('.')}: {message}{others}"
