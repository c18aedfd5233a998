"""The format of ``results.json`` and of each paper's part of it, ``results/PAPER.json``.

A number that is not finite is null. Fractions are in natural units: 0.95, not 95 %.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, JsonValue, StringConstraints

from brainlib.audit.overview import DataAudit
from brainlib.papers.consistency.checks import FINDINGS
from brainlib.papers.provenance import Frozen
from brainlib.study.verdicts import VERDICTS

LEFT = VERDICTS[-2:]  # without a reproduced number

# A folder of the user is said to be one, and no more.
Source = Annotated[str, AfterValidator(lambda s: "folder" if re.search(r"[/\\~]", s) else s)]
PageName = Annotated[str, StringConstraints(pattern=r"^[^/\\:]+\.html$")]


class Options(Frozen):
    """What the user chose; `data` is "folder" where a folder was given, `weights` are by arm."""

    profile: str
    data: Source
    weights: dict[str, Source]
    backbone: dict[str, str]
    seed: int
    seeds: int
    retrain: bool
    controls: bool


class Profile(Frozen):
    """How much of the protocol was done; 0 stands for all of it."""

    images: int
    size: int
    epochs: int


class Data(Frozen):
    """The images: all that the set holds, how many were used, and what differs from published."""

    set: str
    title: str
    source: Literal["phantoms", "kaggle", "folder"]
    images: int
    used: int
    fingerprint: str
    differences: tuple[str, ...]


class Arm(Frozen):
    """One model of the paper; `conditions` forbid comparing its numbers with the printed ones."""

    title: str
    weights: Source
    conditions: tuple[str, ...]


class Reproduced(Frozen):
    """A number in natural units (a fraction, seconds) with its 95 % interval; null: undefined."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    method: str


#: A number with the limits of its 95 % interval; null: undefined.
Limits = tuple[float | None, float | None, float | None]


class Claim(Frozen):
    """A printed number and what became of it.

    `n` is the paper's, that of `reproduced` ours; `printed_interval` is the sampling error of the
    printed number, where it is a share of n images; `margin` is how far a reproduced one may lie from
    it; `by_seed` has a value of each seed, this one first, and `mean_over_seeds` their mean with the
    limits of its t interval, where there are several. `clean` is the same score without the images
    that have a copy in training, `clean_verdict` what follows from it; null where copies do not matter.
    """

    id: str
    where: str
    printed: str
    unit: str
    arm: str | None
    stage: str | None
    scenario: str | None
    phase: str | None
    metric: str | None
    over: str | None
    label: str | None
    average: str | None
    n: int | None
    printed_interval: tuple[float, float] | None
    reproduced: Reproduced | None
    margin: float | None
    by_seed: tuple[float | None, ...]
    mean_over_seeds: Limits | None
    verdict: Literal[VERDICTS]
    reason: str
    clean: Reproduced | None
    clean_verdict: Literal[VERDICTS] | None


class Check(Frozen):
    """What one check of the printed numbers found; `suspect` are claims that cannot stand."""

    paper: str
    claims: tuple[str, ...]
    method: str
    finding: Literal[FINDINGS]
    sentence: str
    suspect: tuple[str, ...]


class ArmTest(Frozen):
    """A test of two arms, as in `judgements.ArmTest`; differences are fractions, null: undefined."""

    first: str
    second: str
    scenario: str
    score: str
    on: str
    seed: int
    name: str
    t: float | None
    df: float | None
    n: int
    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    p_holm: float | None
    assumes: str


class Equivalence(Frozen):
    """Two one-sided tests of two arms against a margin, as in `judgements.FoldEquivalence`."""

    first: str
    second: str
    score: str
    on: str
    seed: int
    n: int
    margin: float
    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    detectable: float | None
    power: float | None


class DuplicateEffect(Frozen):
    """A score on the images held out as published and clean, as in `cleanscores.DuplicateEffect`."""

    arm: str
    scenario: str
    score: str
    published: Reproduced
    clean: Reproduced
    copies: Reproduced
    difference: float | None
    low: float | None
    high: float | None
    retrained: Reproduced | None


class Control(Frozen):
    """A control of one arm, as in `controls.Control`; null: undefined."""

    arm: str
    scenario: str
    control: str
    split: str
    n: int
    value: float | None
    low: float | None
    high: float | None
    chance: float
    finding: str
    expected: str


class HeatMapScore(Frozen):
    """A score of an arm's heat maps, as in `camscores.HeatMapScore`; null: undefined."""

    arm: str
    scenario: str
    score: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    reference: float | None


class Bin(Frozen):
    """One bin of a reliability curve: images, their mean confidence, and how many were right."""

    images: int
    confidence: float
    accuracy: float
    low: float
    high: float


class Calibrated(Frozen):
    """Expected calibration error and Brier score of an arm on the images held out."""

    arm: str
    scenario: str
    error: Limits
    brier: Limits
    curve: tuple[Bin, ...]


class Seconds(Frozen):
    """Time of all trials together, stored ones included."""

    training: float | None


class PaperResult(Frozen):
    """What a paper's notebook leaves in ``results/PAPER.json``.

    `controls` is empty unless they were asked for, `heat_maps` where the paper shows none.
    """

    paper: str
    title: str
    authors: tuple[str, ...]
    year: int | None
    options: Options
    profile: Profile
    data: Data
    arms: dict[str, Arm]
    not_run: tuple[str, ...]
    conditions: tuple[str, ...]
    environment: dict[str, JsonValue]
    seconds: Seconds
    claims: tuple[Claim, ...]
    checks: tuple[Check, ...]
    tests: tuple[ArmTest, ...]
    equivalences: tuple[Equivalence, ...]
    duplicate_effects: tuple[DuplicateEffect, ...]
    calibration: tuple[Calibrated, ...]
    controls: tuple[Control, ...]
    heat_maps: tuple[HeatMapScore, ...]


class Entry(Frozen):
    """A notebook of this run: a failed one has an error and no result."""

    status: Literal["ran", "failed"]
    error: str | None
    seconds: float
    report: PageName | None
    result: PaperResult | None


class AuditEntry(Frozen):
    """The notebook of the data: a failed one has an error and no result."""

    status: Literal["ran", "failed"]
    error: str | None
    seconds: float
    report: PageName | None
    result: DataAudit | None


class Answers(Frozen):
    """The whole of ``results.json``; `created` is ISO 8601 in UTC."""

    brainlib: str
    created: str
    audit: AuditEntry
    papers: dict[str, Entry]
