"""Printed accuracies and what became of them: in a run, and in the stored runs on the published images."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from brainlib.data.altered import NO_BRAIN
from brainlib.papers.loading import load_paper, paper_ids
from brainlib.papers.provenance import Frozen
from brainlib.papers.schema import Claim, Paper
from brainlib.report.tables.captions import caption
from brainlib.study import records
from brainlib.study.controls import APART, PUBLISHED, SHUFFLED, Control
from brainlib.study.records import PaperResult
from brainlib.study.shortcuts import sufficient
from brainlib.study.verdicts import NOT_COMPARABLE, JudgedClaim

#: Controls that show what a score may rest on besides the tumour, by their names in figures and tables.
SHORTCUTS = {"labels drawn at random": (SHUFFLED, PUBLISHED), "brain masked out": (NO_BRAIN, APART)}


class Headline(Frozen):
    """A printed accuracy, and the same as computed by this project.

    `name` says what it is of: the model, and of several the scenario, phase and stage. `images` is the title of the
    set. `shortcuts` are the scores of the same model in those of `SHORTCUTS` that were run.
    """

    paper: str
    name: str
    images: str
    claim: JudgedClaim
    shortcuts: tuple[Control, ...] = ()

    @property
    def comparable(self) -> bool:
        """Whether the run can be compared with the paper."""
        return self.claim.verdict != NOT_COMPARABLE

    def shortcut(self, name: str) -> Control | None:
        """Return the score of one of `SHORTCUTS`."""
        return next((each for each in self.shortcuts if (each.control, each.split) == SHORTCUTS[name]), None)


class Finding(Frozen):
    """A sentence about stored numbers, and where they are from: date, images and conditions."""

    sentence: str
    source: str


class Reference(Frozen):
    """What the stored runs on the published images found; `source` is of the headlines."""

    source: str
    headlines: tuple[Headline, ...]
    findings: tuple[Finding, ...]


@cache
def reference() -> Reference:
    """Read the summary of ``reports/reference`` that ``docs/make_results.py`` writes beside this module."""
    return records.read(Path(__file__).with_name("reference.json"), Reference)


def headlines(results: Mapping[str, PaperResult]) -> list[Headline]:
    """Choose each printed accuracy that was computed in a run, once; the results are by the id of the paper.

    Of an accuracy that is printed in several places, the first counts. Accuracies of single folds are left out, and
    those of validation images where the paper prints one of test images as well.
    """
    chosen = {}
    for paper, result in results.items():
        scenarios = load_paper(paper).scenarios if paper in paper_ids() else {}
        for claim in filter(is_accuracy, result.claims):
            whole = claim.stage in ("test", "validation", "folds")
            if whole and claim.reproduced and not math.isnan(claim.reproduced.value):
                title = result.arms[claim.arm].title if claim.arm in result.arms else claim.arm or "all arms"
                scenario = scenarios[claim.scenario].title if claim.scenario in scenarios else claim.scenario
                stage = "mean of the folds" if claim.stage == "folds" else claim.stage
                parts = title, scenario, claim.phase, stage, "collapsed" if claim.collapsed else ""
                place = (paper, *place_of(claim), claim.metric.label)
                chosen.setdefault(place, headline_of(result, claim, ", ".join(filter(None, parts)), result.data.title))
    tested = {place[:4] for place in chosen if place[4] == "test"}
    return [row for place, row in chosen.items() if place[4] != "validation" or place[:4] not in tested]


def headline_of(result: PaperResult, claim: JudgedClaim, name: str, images: str) -> Headline:
    """Return a claim of a paper, under this name, with the scores of its shortcuts on test images."""
    of = claim.arm, claim.scenario or "", "test"
    shortcuts = [
        each
        for each in result.controls
        if (each.control, each.split) in SHORTCUTS.values() and (each.arm, each.scenario, claim.stage) == of
    ]
    return Headline(paper=result.paper, name=name, images=images, claim=claim, shortcuts=tuple(shortcuts))


def shortcuts_of(result: PaperResult) -> str:
    """Say whether classifiers without a network come up to a model; "" where none was scored."""
    titles = {arm: trained.title for arm, trained in result.arms.items()}
    return caption("sufficient", pairs=sufficient(result.shortcuts), titles=titles) if result.shortcuts else ""


def highest(paper: Paper) -> Claim | None:
    """Find the highest accuracy of a paper's abstract, or else of the paper; those of test images come first."""
    own = [claim for claim in paper.claims if is_accuracy(claim) and claim.arm and not claim.metric.label]
    return max(own, key=lambda c: (c.where.startswith("Abstract"), c.stage == "test", c.value), default=None)


def is_accuracy(claim: Claim) -> bool:
    """Whether a printed number is an accuracy, or the mean of those of the folds."""
    return bool(claim.metric) and claim.metric.name == "accuracy" and claim.metric.over in ("value", "mean")


def place_of(claim: Claim) -> tuple[str | None, ...]:
    """Return what a printed number is of: arm, scenario, phase and stage."""
    return claim.arm, claim.scenario, claim.phase, claim.stage
