"""The records of a run: ``results.json``, and each paper's part of it, ``results/PAPER.json``.

They are built of the very dataclasses that the computations return. A number that is not defined is nan in Python and
null in JSON. Fractions are in natural units: 0.95, not 95 %.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import AfterValidator, JsonValue, StringConstraints, TypeAdapter, ValidationError

from brainlib.audit.overview import DataAudit
from brainlib.errors import DataError
from brainlib.io import writing
from brainlib.papers.conclusions import JudgedConclusion
from brainlib.papers.consistency import check_paper
from brainlib.papers.consistency.checks import Check
from brainlib.papers.provenance import Frozen
from brainlib.stats.calibration import Calibration
from brainlib.stats.intervals import Number
from brainlib.study import conclusions, conditions
from brainlib.study.comparisons import ArmEquivalence, ArmTest, compare
from brainlib.study.controls import Control, run_controls
from brainlib.study.duplicates import DuplicateEffect, duplicate_effects
from brainlib.study.multiverse import Multiverse
from brainlib.study.options import KAGGLE, PHANTOMS, Profile
from brainlib.study.results import Results
from brainlib.study.saliency import HeatMapScore
from brainlib.study.shortcuts import run_shortcuts
from brainlib.study.verdicts import JudgedClaim, judge

VERSION = 2  # of the format

T = TypeVar("T")
# A user's folder is not named: its path may tell who the user is.
Source = Annotated[str, AfterValidator(lambda s: "folder" if re.search(r"[/\\~]", s) else s)]
PageName = Annotated[str, StringConstraints(pattern=r"^[^/\\:]+\.html$")]


class RunOptions(Frozen):
    """What the user chose; `data` is "folder" where a folder was given, `weights` are by arm."""

    profile: str
    data: Source
    weights: dict[str, Source]
    backbone: dict[str, str]
    seed: int
    seeds: int
    retrain: bool
    controls: bool
    multiverse: int = 0


class Images(Frozen):
    """The images: how many the set holds, how many were used, and what differs from the published set."""

    set: str
    title: str
    source: Literal["phantoms", "kaggle", "folder"]
    images: int
    used: int
    fingerprint: str
    differences: tuple[str, ...]


class TrainedArm(Frozen):
    """One model of the paper; under its own `conditions` its numbers are not comparable with the printed ones.

    `collapsed` are the scenarios in which the final model predicts one class, the value, for every test image.
    """

    title: str
    weights: Source
    conditions: tuple[str, ...]
    collapsed: dict[str, str] = {}


@dataclass(frozen=True)
class ArmCalibration:
    """Calibration of an arm on the test images."""

    arm: str
    scenario: str
    calibration: Calibration


class PaperResult(Frozen):
    """What a paper's notebook leaves in ``results/PAPER.json``.

    `conditions` are those under which no number is comparable with the printed ones; those of one arm alone are in
    `arms`. `training_seconds` are of all trials together, stored ones included. `controls` are empty unless they were
    asked for, `heat_maps` where the paper shows none.
    """

    schema_version: Literal[VERSION] = VERSION
    paper: str
    title: str
    authors: tuple[str, ...]
    year: int | None
    options: RunOptions
    profile: Profile
    data: Images
    arms: dict[str, TrainedArm]
    not_run: tuple[str, ...]
    conditions: tuple[str, ...]
    environment: dict[str, JsonValue]
    training_seconds: Number
    claims: tuple[JudgedClaim, ...]
    checks: tuple[Check, ...]
    tests: tuple[ArmTest, ...]
    equivalences: tuple[ArmEquivalence, ...]
    duplicates: tuple[DuplicateEffect, ...]
    calibration: tuple[ArmCalibration, ...]
    controls: tuple[Control, ...]
    heat_maps: tuple[HeatMapScore, ...]
    shortcuts: tuple[Control, ...] = ()
    multiverse: tuple[Multiverse, ...] = ()
    conclusions: tuple[JudgedConclusion, ...] = ()


class NotebookResult(Frozen, Generic[T]):
    """A notebook of this run: a failed one has an error and no result."""

    status: Literal["ran", "failed"]
    error: str | None
    seconds: float
    report: PageName | None
    result: T | None


class Run(Frozen):
    """The whole of ``results.json``; `created` is ISO 8601 in UTC."""

    schema_version: Literal[VERSION] = VERSION
    brainlib: str
    created: str
    audit: NotebookResult[DataAudit]
    papers: dict[str, NotebookResult[PaperResult]]


def read(path: Path, kind: type[T]) -> T:
    """Read a `Run`, `PaperResult` or `DataAudit`; `DataError` in one line where the file is not such a record."""
    name = f"{path.parent.name}/{path.name}"
    try:
        return TypeAdapter(kind).validate_json(path.read_bytes(), strict=True)
    except FileNotFoundError:
        raise DataError(f"{name}: expected the notebook to write this file, it did not") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        if first["type"] == "json_invalid":
            raise DataError(f"{name}: expected JSON, received a file that is none ({first['msg']})") from None
        raise DataError(f"{name}: {where or 'the whole'}: {first['msg']}") from None
    except OSError as error:
        raise DataError(f"{name}: expected JSON, received a file that cannot be read ({error})") from None


def write(path: Path, record: Run | PaperResult) -> None:
    """Write a record, whole or not at all; `StoreError` where that fails."""
    with writing(path) as file:
        file.write(record.model_dump_json(indent=1).encode() + b"\n")


def save(results: Results) -> PaperResult:
    """Write all results of a paper as ``results/PAPER.json`` of the output folder; errors as in `write`."""
    record = of(results)
    write(results.study.options.store.parent / "results" / f"{record.paper}.json", record)
    return record


def of(results: Results) -> PaperResult:
    """Return all results of a paper. What has been computed before is not computed again; see `Results.once`."""
    study, paper = results.study, results.study.paper
    data, options = study.dataset, study.options
    source = options.source if options.source in (KAGGLE, PHANTOMS) else "folder"
    weights = {arm: study.weights[arm].label for arm in study.arms}
    tests, equivalences = compare(results)
    return PaperResult(
        paper=paper.id,
        title=paper.citation.title,
        authors=tuple(paper.citation.authors),
        year=paper.citation.year,
        options=options.model_dump(include=set(RunOptions.model_fields)) | {"data": source, "weights": weights},
        profile=study.profile,
        data=Images(
            set=data.name,
            title=data.info.title,
            source=source,
            images=len(data.table),
            used=len({path for trained in results.trials.values() for path in trained.predictions["path"]}),
            fingerprint=data.fingerprint,
            differences=tuple(data.differences),
        ),
        arms={
            arm: TrainedArm(
                title=study.title(arm),
                weights=weights[arm],
                conditions=conditions.of_arm(study, arm),
                collapsed={s: label for s in study.scenarios if (label := results.collapsed(arm, "test", s))},
            )
            for arm in study.arms
        },
        not_run=study.not_run(),
        conditions=conditions.of_study(study),
        environment=results.trial(study.arms[0], "test", study.scenarios[0]).facts["environment"],
        training_seconds=sum(trained.facts["seconds"]["training"] for trained in results.trials.values()),
        claims=judge(results),
        checks=check_paper(paper),
        tests=tuple(tests),
        equivalences=tuple(equivalences),
        duplicates=tuple(each for scenario in study.scenarios for each in duplicate_effects(results, scenario)),
        calibration=tuple(ArmCalibration(a, s, results.calibration(a, s)) for s in study.scenarios for a in study.arms),
        controls=run_controls(results),
        heat_maps=tuple(each for found in results.computed("heat maps") for each in found),
        shortcuts=run_shortcuts(results),
        multiverse=tuple(each for each in results.computed("multiverse") if each),
        conclusions=conclusions.judge(results),
    )
