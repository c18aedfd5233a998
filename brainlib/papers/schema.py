"""A paper as data: its protocol, its models and every figure that it prints, read from YAML and frozen.

The protocol and the arms are made of settings with their provenance (`brainlib.papers.provenance`).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from brainlib.papers.printed import NUMBER, Printed, printed_number
from brainlib.papers.provenance import Arm, Count, Frozen, FrozenDict, Identifier, Images, Protocol, Setting, Text

_parsed = lru_cache(maxsize=None)(printed_number)
OfOneClass = Literal["sensitivity", "specificity", "precision", "f1", "auc"]
OfImages = Literal["images", "count", "errors"]
OfTwoArms = Literal["t_test.t", "t_test.p"]
Stage = Annotated[str, StringConstraints(pattern=r"^(fold [1-9][0-9]?|folds|validation|test)$")]


class Citation(Frozen):
    """Who wrote the paper, and where it appeared (null where its text does not state it)."""

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
    classes: Annotated[tuple[Text, ...], Field(min_length=2, max_length=100)]

    @property
    def positive(self) -> str | None:
        """The positive class of two; None of more."""
        return self.classes[1] if len(self.classes) == 2 else None


class Data(Frozen):
    """The data set: a name in `datasets.REGISTRY`, its classes in label order, its size.

    `normal` is the class without a tumour; of two classes it is the first. It is null where every image has a tumour.
    """

    set: Setting[Text]
    classes: Annotated[tuple[Text, ...], Field(min_length=2, max_length=100)]
    normal: Text | None
    images: Setting[Images]


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
    """Printed tables that are no results of this paper: its layers, and the results of others."""

    layer_table: tuple[LayerRow, ...] = ()
    other_work: tuple[OtherWork, ...] = ()


class Exhibit(Frozen):
    """A printed table or figure: what it `shows` by its caption and the text, and where its counterpart is.

    `section` is the heading, without its brackets, of that section of the paper's notebook (null: there is none).
    """

    name: Text
    shows: Text
    section: Text | None


class Selection(Frozen):
    """What a profile runs unless a user asks for more; no scenario named: all of them."""

    arms: Annotated[tuple[Identifier, ...], Field(min_length=1)]
    scenarios: tuple[Identifier, ...] = ()
    why: Text


class Metric(Frozen):
    """What is measured.

    `name`: `sensitivity` is also what papers call recall; `count` is the number of images of a class that were given
    the class `predicted` (by default their own), `errors` of those that were given another one; `images` is how many
    there are. `over`: one value; the mean, sample variance or standard deviation over the folds; the mean over the
    epochs of one model; or a comparison such as "p > 0.05". `label` is the class that is counted or scored (null: all
    images, or the positive class of two), `average` the mean over the classes, each against the rest, plain ("macro")
    or by the images of each ("weighted"). Where there are more than two classes, a score of one class needs either.
    """

    name: Literal["accuracy", OfOneClass, "distinct", "loss", "training_loss", "training_seconds", OfImages, OfTwoArms]
    over: Literal["value", "mean", "variance", "sd", "epochs", "comparison"] = "value"
    label: Text | None = None
    predicted: Text | None = None
    average: Literal["macro", "weighted"] | None = None


class Claim(Frozen):
    """A printed figure: exactly one of `metric` (how to compute it) and `why_not` (why one cannot).

    `printed` is the string as printed, with the decimal comma where there is one ("97.94%", "ten epochs"), and `unit`
    that of its number: "%", "1" (none), "percent^2", "images", "min", "s", ... `where` is the place in the paper: a
    figure printed in several places has a claim for each. `n` is how many images were scored (all classes together),
    and `n_why` how that is known. `arm` is what the figure is about, `arms` the two that a t-test compares: first minus
    second. `stage` is "fold 1" ..., "folds" (all of them), "validation" or "test"; null for what has none. `scenario`
    is which classes, in a paper with scenarios, and `phase` after which phase of the arm's training (null: the last).
    """

    id: Identifier
    printed: Annotated[str, StringConstraints(pattern=NUMBER)]
    unit: Text
    where: Text
    n: Images | None = None
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


class Term(Frozen):
    """One model of a conclusion: an arm after a phase of its training (null: the last)."""

    arm: str
    phase: str | None = None


class Score(Frozen):
    """The number of each model that a conclusion compares."""

    stage: Stage
    metric: Metric


class Conclusion(Frozen):
    """What a paper concludes, as comparisons that numbers from anywhere can decide.

    `quote` is a few of its words, and `reading` how they are read where that is a choice. By `kind`, with the models in
    the order of `of`: "best" (no other has a higher number than the first), "order" (each has a higher one than the
    next), "equal" (all as the first), "ratio" (each one to the first, as in `values`), "at_least" (each has at least
    the one of `values`). It is about each of the `scores` and every one of the `scenarios`. The metric "distinct" is
    the share of the set's images that have no duplicate in it.
    """

    id: Identifier
    quote: Text
    where: Text
    kind: Literal["best", "order", "equal", "ratio", "at_least"]
    of: Annotated[tuple[Term, ...], Field(min_length=1, max_length=200)]
    scores: Annotated[tuple[Score, ...], Field(min_length=1, max_length=20)]
    scenarios: tuple[Identifier, ...] = ()
    values: tuple[Annotated[float, Field(gt=0)], ...] = ()
    reading: Text | None = None


class Paper(Frozen):
    """One paper, as read from its YAML by `load_paper`.

    `fixed` is what this project does in one way only, in words with their provenance: a choice like any other, and as
    often one on which the paper is silent.
    """

    id: Identifier
    citation: Citation
    data: Data
    protocol: Protocol
    fixed: Annotated[dict[Identifier, Setting[Text]], Field(max_length=100), AfterValidator(FrozenDict)] = FrozenDict()
    scenarios: Annotated[dict[Identifier, Scenario], Field(max_length=100), AfterValidator(FrozenDict)] = FrozenDict()
    arms: Annotated[dict[Identifier, Arm], Field(min_length=1, max_length=200), AfterValidator(FrozenDict)]
    profiles: Annotated[dict[Literal["smoke", "demo"], Selection], AfterValidator(FrozenDict)] = FrozenDict()
    tables: Tables = Tables()
    exhibits: Annotated[tuple[Exhibit, ...], Field(max_length=100)] = ()
    claims: Annotated[tuple[Claim, ...], Field(max_length=2000)]
    conclusions: Annotated[tuple[Conclusion, ...], Field(max_length=200)] = ()

    def scenario(self, name: str | None = None) -> Scenario:
        """Return the classes of a scenario; no name stands for all classes in a paper without scenarios."""
        if name:
            return self.scenarios[name]
        return Scenario(title="all classes", classes=self.data.classes)

    def exhibits_in(self, section: str) -> list[str]:
        """Name the paper's tables and figures with a counterpart in a section of its notebook, in the paper's order."""
        return [each.name for each in self.exhibits if each.section == section]

    def phase_of(self, claim: Claim) -> str:
        """Return the phase that a claim is about: the last one of its arm if it names none."""
        return claim.phase or (self.arms[claim.arm].phases[-1].name if claim.arm else "")

    def __repr__(self) -> str:
        return f"<Paper {self.id}: {self.citation.title}; {len(self.arms)} arms, {len(self.claims)} printed numbers>"
