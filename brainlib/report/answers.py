"""What a paper's page answers first: what the images were, the verdicts, three sentences and one figure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from brainlib.audit.overview import DataAudit
from brainlib.errors import DataError
from brainlib.papers.loading import load_paper, paper_ids
from brainlib.papers.schema import Claim, Paper
from brainlib.report.figures.scores import forest
from brainlib.report.figures.style import Plot
from brainlib.report.headlines import headlines
from brainlib.report.table import PERCENT
from brainlib.study import records
from brainlib.study.conditions import OTHER_IMAGES
from brainlib.study.data_audit import NAME as AUDIT
from brainlib.study.options import PHANTOMS
from brainlib.study.records import PaperResult
from brainlib.study.verdicts import VERDICTS

SYNTHETIC = "Synthetic images (phantoms): nothing here judges"


@dataclass(frozen=True)
class Answer:
    """What stands at the top of a page; what is not known is empty."""

    images: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    sentences: dict[str, str] = field(default_factory=dict)
    figure: Plot | None = None


def answer(out: Path, name: str, failed: bool) -> Answer:
    """Answer from what a notebook left in ``results/NAME.json``; of one that failed, say that there is no answer."""
    path, kind = out / "results" / f"{name}.json", DataAudit if name == AUDIT else PaperResult
    try:
        found = None if failed else records.read(path, kind)
    except DataError:
        found = None
    if isinstance(found, DataAudit):
        images = f"{SYNTHETIC} the published sets." if found.phantoms else "Real images, of the sets named below."
        return Answer(images, sentences=_of_audit(found) if found.sets else {})
    if name not in paper_ids():
        return Answer()
    paper = load_paper(name)
    claim, claimed = _claimed(paper)
    if found is None:
        why = "the notebook failed before its results were complete" if failed else "no results were stored"
        return Answer(sentences={"Claimed": claimed, "Found": f"No answer: {why}."})
    rows = headlines({name: found})
    counts = Counter(each.verdict for each in found.claims)
    return Answer(
        images=_images(found),
        counts={verdict: counts[verdict] for verdict in VERDICTS if counts[verdict]},
        sentences={"Claimed": claimed, "Found": _found(claim, rows), "Rests on": _rests_on(paper, found)},
        figure=forest(rows) if rows else None,
    )


def _of_audit(audit: DataAudit) -> dict[str, str]:
    near = {name: each.duplicates["near"] for name, each in audit.sets.items()}
    own = [f"{near[name].images} of {each.images} in {name}" for name, each in audit.sets.items()]
    leaked = [
        f"{sum(near[name].leaked_test_images.values())} of {each.test_images} in {name}"
        for name, each in audit.sets.items()
        if near[name].leaked_test_images is not None
    ]
    contradictions = sum(len(each.contradictions) for each in audit.sets.values())
    found, planted = (sum(getattr(each, name) for each in audit.planted) for name in ("recovered", "planted"))
    recall = f"; of {planted} planted duplicates, of which it is not told, it found {found}" if planted else ""
    return {
        "Duplicates": f"Images with a duplicate in their set, exact or near: {', '.join(own)}.",
        "Leaks": f"Test images with a duplicate in training: {', '.join(leaked) or 'no set has a published split'}. "
        f"Pairs of duplicates with different classes: {contradictions or 'none'}.",
        "Rests on": f"A comparison of the images themselves, not of their names or labels{recall}.",
    }


def _images(result):
    data = result.data
    if data.source == PHANTOMS:
        return f"{SYNTHETIC} the paper."
    kind = "Other images than the paper's" if OTHER_IMAGES in result.conditions else "Real images"
    return f"{kind}: {data.used} of {data.images} of {data.title}."


def _claimed(paper: Paper) -> tuple[Claim | None, str]:
    """Find the highest accuracy of a paper's abstract, or else of the paper, and say it; test images come first."""
    own = [c for c in paper.claims if c.metric and c.metric.name == "accuracy" and c.metric.over in ("value", "mean")]
    own = [c for c in own if c.arm and not c.metric.label]
    abstract = [c for c in own if c.where.startswith("Abstract")]
    best = max(abstract or own, key=lambda c: (c.stage == "test", c.value), default=None)
    sentence = f"The paper prints {len(paper.claims)} numbers."
    if best:
        scenario = best.scenario and paper.scenario(best.scenario).title
        place = paper.arms[best.arm].title, scenario, best.phase, best.stage
        number = f"{best.number.text('%')}\N{NO-BREAK SPACE}%"
        of = " of its abstract" if abstract else ""
        sentence += f" The highest accuracy{of} is {number}: {', '.join(filter(None, place))}."
    return best, sentence


def _found(claim, rows):
    """Say what came out for the highest printed accuracy, or for the first that was computed if that one was not."""
    if not rows:
        return "No printed accuracy was computed in this run."
    same = [row for row in rows if claim and _place(row.claim) == _place(claim)]
    before, row = ("", same[0]) if same else ("This one was not computed. ", rows[0])
    score, without = row.claim.reproduced, row.claim.without_duplicates
    correct = f"{PERCENT.text(score.value, score.low, score.high)} of {score.n} images are classified correctly"
    if without and without.n:
        rest = PERCENT.text(without.value, without.low, without.high)
        correct += f", and {rest} of the {without.n} that have no duplicate among the training images"
    return f"{before}{row.name}: {correct} (95 % intervals). The verdict is: {row.claim.verdict}."


def _place(claim):
    return claim.arm, claim.scenario, claim.phase, claim.stage


def _rests_on(paper, result):
    data, arms = result.data, f"{len(result.arms)} of the {len(paper.arms)} models"
    images = f"{data.used} phantoms in the layout of" if data.source == PHANTOMS else f"{data.used} images of"
    seeds = "one seed" if result.options.seeds == 1 else f"{result.options.seeds} seeds"
    text = f"{images} {data.title}, {arms}, {seeds}."
    if held := len(result.conditions) + sum(len(arm.conditions) for arm in result.arms.values()):
        keep = "condition keeps" if held == 1 else "conditions keep"
        return f"{text} {held} {keep} numbers of this run from being compared with the printed ones."
    return f"{text} The images and the protocol are the paper's."
