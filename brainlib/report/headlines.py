"""Printed accuracies and what became of them: in a run, and in the stored runs on the published images."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from brainlib.data.altered import NO_BRAIN
from brainlib.papers.provenance import Frozen
from brainlib.study import records
from brainlib.study.controls import APART, PUBLISHED, SHUFFLED, Control
from brainlib.study.records import PaperResult
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
        for claim in result.claims:
            headline = claim.metric and claim.metric.name == "accuracy" and claim.metric.over in ("value", "mean")
            whole = claim.stage in ("test", "validation", "folds")
            if headline and whole and claim.reproduced and not math.isnan(claim.reproduced.value):
                place = (paper, claim.arm, claim.scenario, claim.phase, claim.stage, claim.metric.label)
                chosen.setdefault(place, headline_of(result, claim))
    tested = {place[:4] for place in chosen if place[4] == "test"}
    return [row for place, row in chosen.items() if place[4] != "validation" or place[:4] not in tested]


def headline_of(result: PaperResult, claim: JudgedClaim, name: str = "", images: str = "") -> Headline:
    """Return a claim of a paper with the scores of its shortcuts, under names of its own if any are given."""
    title = result.arms[claim.arm].title if claim.arm in result.arms else claim.arm or "all arms"
    stage = {"folds": "mean of the folds"}.get(claim.stage, claim.stage)
    collapsed = "collapsed" if claim.collapsed else ""
    controls = [each for each in result.controls if (each.control, each.split) in SHORTCUTS.values()]
    of = claim.arm, claim.scenario or ""
    return Headline(
        paper=result.paper,
        name=name or ", ".join(filter(None, [title, claim.scenario, claim.phase, stage, collapsed])),
        images=images or result.data.title,
        claim=claim,
        shortcuts=tuple(c for c in controls if claim.stage == "test" and (c.arm, c.scenario) == of),
    )
