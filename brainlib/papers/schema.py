"""A paper as data: its protocol, its models and every figure that it prints, read from YAML.

The protocol and the arms are made of settings with their provenance (`brainlib.papers.provenance`). Each
printed figure is a `Claim` that keeps the string as printed. Everything read is frozen, and nothing
here is interpreted: what a claim means as a number is the business of `brainlib.papers.printed`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
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
from brainlib.papers.cross_checks import order_problems, problems
from brainlib.papers.plain_yaml import read_plain_yaml, shorten
from brainlib.papers.printed import Printed, printed_number
from brainlib.papers.provenance import (
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

_parsed = lru_cache(maxsize=None)(printed_number)
Stage = Annotated[str, StringConstraints(pattern=r"^(fold [1-9][0-9]?|folds|validation|test)$")]


class Citation(Frozen):
    """Who wrote the paper, and where it appeared (null where its text does not say)."""

    authors: Annotated[tuple[Text, ...], Field(min_length=1)]
    title: Text
    venue: Text | None
    year: Annotated[int, Field(ge=1950, le=2100)] | None
    url: Text | None


class Scenario(Frozen):
    """A part of the classes that is classified by itself, in label order.

    Of two classes the last one is the positive one, and the first the one without a tumour.
    """

    title: Text
    classes: Annotated[tuple[Text, ...], Field(min_length=2)]

    @property
    def positive(self) -> str | None:
        """The positive class of two; None of more."""
        return self.classes[1] if len(self.classes) == 2 else None


class Data(Frozen):
    """The data set: a name in `datasets.REGISTRY`, its classes in label order, its size.

    `normal` is the class without a tumour; of two classes it is the first.
    """

    set: Setting[Text]
    classes: Annotated[tuple[Text, ...], Field(min_length=2)]
    normal: Text
    images: Setting[Count]

    @model_validator(mode="after")
    def _classes_have_an_order(self) -> Data:
        for problem in order_problems(self.classes, self.normal):
            raise ValueError(problem)
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


class OtherWork(Frozen):
    """One row of a printed comparison with other papers; `accuracy` as printed, e.g. "94.74%"."""

    reference: Text
    method: Text
    accuracy: Text


class Tables(Frozen):
    """Printed tables that are no results of this paper: its layers, and what others reached."""

    layer_table: tuple[LayerRow, ...] = ()
    other_work: tuple[OtherWork, ...] = ()


class Selection(Frozen):
    """What a profile runs unless a user asks for more; no scenario named: all of them."""

    arms: Annotated[tuple[Identifier, ...], Field(min_length=1)]
    scenarios: tuple[Identifier, ...] = ()
    why: Text


class Metric(Frozen):
    """What a claim says is measured.

    Attributes
    ----------
    name
        `sensitivity` is also what papers call recall. `count` is the number of images of a class
        that were given the class `predicted` (by default their own), `errors` of those that were
        given another one; `images` is how many there are.
    over
        One value; the mean, sample variance or standard deviation over the folds; the mean over
        the epochs of one model; or a comparison such as "p > 0.05".
    label
        The class that is counted or scored (null: all images, or the positive class of two).
    average
        Over the classes, each against the rest: the plain mean ("macro"), or weighted by the number
        of images of each class ("weighted"). One of `label` and `average` is needed where a score
        is of one class and there are more than two.
    """

    name: Literal[
        "accuracy",
        "sensitivity",
        "specificity",
        "precision",
        "f1",
        "auc",
        "loss",
        "training_loss",
        "training_seconds",
        "images",
        "count",
        "errors",
        "t_test.t",
        "t_test.p",
    ]
    over: Literal["value", "mean", "variance", "sd", "epochs", "comparison"] = "value"
    label: Text | None = None
    predicted: Text | None = None
    average: Literal["macro", "weighted"] | None = None


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
        "fold 1" ..., "folds" (all of them), "validation" or "test"; null for what has none.
    scenario, phase
        Which classes, in a paper with scenarios, and after which phase of the arm's training (null:
        the last).
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
    scenario: str | None = None
    phase: str | None = None
    metric: Metric | None = None
    why_not: Text | None = None

    @property
    def number(self) -> Printed:
        """The number in `printed`, parsed once; `PaperError` where there is not exactly one."""
        return _parsed(self.printed, self.unit)

    @property
    def value(self) -> float:
        """The printed number in natural units: a fraction for "97.94%", seconds for a time."""
        return self.number.value


class Paper(Frozen):
    """One paper, as read from its YAML by `load_paper`."""

    id: Identifier
    citation: Citation
    data: Data
    protocol: Protocol
    scenarios: Annotated[dict[Identifier, Scenario], AfterValidator(FrozenDict)] = FrozenDict()
    arms: Annotated[dict[Identifier, Arm], Field(min_length=1), AfterValidator(FrozenDict)]
    profiles: Annotated[dict[Literal["smoke", "demo"], Selection], AfterValidator(FrozenDict)] = FrozenDict()
    tables: Tables = Tables()
    claims: tuple[Claim, ...]

    def scenario(self, name: str = "") -> Scenario:
        """The classes of a scenario; "" stands for all classes in a paper without scenarios."""
        if name:
            return self.scenarios[name]
        return Scenario(title="all classes", classes=self.data.classes)

    def _repr_html_(self) -> str:
        import pandas as pd

        from brainlib.report.table import Table

        given = [setting for _, setting in settings_of(self)]
        assumed = sum(setting.assumed is not None for setting in given)
        rows = {
            "authors": ", ".join(self.citation.authors),
            "data set": f"{self.data.set.value}: {', '.join(self.data.classes)}",
            "arms": ", ".join(self.arms),
            "scenarios": ", ".join(self.scenarios) or "none",
            "protocol": f"{len(given) - assumed} values stated, {assumed} assumed",
            "printed numbers": str(len(self.claims)),
        }
        frame = pd.DataFrame({"what": rows.keys(), "in the paper": rows.values()})
        return Table(frame, f"{self.id}: {self.citation.title}")._repr_html_()

    def settings_table(self) -> pd.DataFrame:
        """All settings: columns setting (key path), value, provenance, why, alternatives.

        `provenance` is "stated" or "assumed"; `why` the place in the paper or the reason.
        """
        import pandas as pd

        rows = [
            (path, s.value, "assumed" if s.assumed else "stated", s.assumed or s.stated, s.alternatives)
            for path, s in settings_of(self)
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
    return sorted(f.name.removesuffix(".yaml") for f in _folder().iterdir() if f.name.endswith(".yaml"))


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
        raise PaperError(
            f"unknown paper {shorten(name)}: expected one of {', '.join(paper_ids())}, or the path of a .yaml file"
        )
    content = read_plain_yaml(path)
    try:
        content = _spelled_out(content, path.name)
        paper = Paper.model_validate(content)
    except ValidationError as error:
        raise PaperError(f"{path.name}: {_first(error, content)}") from None
    for problem in problems(paper, path.name):
        raise PaperError(f"{path.name}: {problem}")
    return paper


def _spelled_out(content: dict[str, Any], file_name: str) -> dict[str, Any]:
    """Give every arm that is ``{title, like, backbone}`` the model and the phases of its like."""
    arms = content.get("arms")
    if not isinstance(arms, dict):
        return content
    written_out = {name for name, arm in arms.items() if isinstance(arm, dict) and "like" not in arm}
    spelled = dict(arms)
    for name, arm in arms.items():
        if name in written_out or not isinstance(arm, dict):
            continue
        like = arm["like"]
        if set(arm) != {"title", "like", "backbone"} or str(like) not in written_out:
            raise PaperError(
                f"{file_name}: arms.{name}: expected title, backbone and like, which names an arm that is "
                f"written out ({', '.join(sorted(written_out))}), received {shorten(arm)}"
            )
        other = arms[like]
        model = other.get("model")
        if isinstance(model, dict):  # else the type of the other arm complains
            model = {**model, "backbone": arm["backbone"]}
        spelled[name] = {**other, "title": arm["title"], "like": like, "model": model}
    return {**content, "arms": spelled}


def _folder() -> Any:
    return resources.files("brainlib") / "papers"


def settings_of(paper: Paper) -> Iterator[tuple[str, Setting]]:
    """Every setting of a paper with its key path, such as "protocol.batch_size"."""
    return _settings("", paper)


def _settings(path: str, part: Any) -> Iterator[tuple[str, Setting]]:
    """Yield every setting below `part` with its key path, in the order of the schema.

    Of an arm that is like another one, only what it does not share.
    """
    if isinstance(part, Setting):
        yield path, part
    elif isinstance(part, Arm) and part.like is not None:
        yield f"{path}.model.backbone", part.model.backbone
    elif isinstance(part, BaseModel):
        for key, value in part:
            yield from _settings(f"{path}.{key}".lstrip("."), value)
    elif isinstance(part, dict):
        for key, value in part.items():
            yield from _settings(f"{path}.{key}", value)
    elif isinstance(part, tuple):
        for i, value in enumerate(part):
            yield from _settings(f"{path}[{i}]", value)


def _first(error: ValidationError, content: dict[str, Any]) -> str:
    """Return the first of pydantic's complaints as a key path of the file and what is wrong."""
    errors = error.errors(include_url=False)
    kind, location, message = (errors[0][key] for key in ("type", "loc", "msg"))
    path, here = "", content
    for i, key in enumerate(location):
        held = key in here if isinstance(here, dict) else isinstance(here, tuple) and key in range(len(here))
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
