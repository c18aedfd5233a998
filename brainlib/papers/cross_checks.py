"""What is wrong between parts of a paper that are each right by themselves.

The types of `brainlib.papers.schema` see to each part; here a claim is held against the arms, scenarios,
phases and folds that it names. Each complaint is one line that begins with the key in the YAML.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from brainlib.papers.plain_yaml import shorten

if TYPE_CHECKING:
    from brainlib.papers.schema import Claim, Metric, Paper

_COMPARES = re.compile(r"[<>≤≥]|\b(above|over|below|under|more than|less than)\b", re.IGNORECASE)


def problems(paper: Paper, file_name: str) -> Iterator[str]:
    """Yield what is wrong between parts of a paper that are right by themselves."""
    if paper.id != Path(file_name).stem:
        yield f"id: expected the file's stem {Path(file_name).stem!r}, received {paper.id!r}"
    classes, protocol = paper.data.classes, paper.protocol
    if protocol.loss.value == "binary_crossentropy" and len(classes) != 2:
        yield (
            "protocol.loss.value: expected categorical_crossentropy for "
            f"{len(classes)} classes, received binary_crossentropy"
        )
    if protocol.folds and protocol.validation:
        yield "protocol.validation: expected null in a protocol with folds, received a share"
    if protocol.oversample and protocol.oversample.value not in classes:
        yield (
            f"protocol.oversample.value: expected one of {', '.join(classes)}, "
            f"received {shorten(protocol.oversample.value)}"
        )
    for name, scenario in paper.scenarios.items():
        strangers = set(scenario.classes) - set(classes)
        for problem in order_problems(scenario.classes, paper.data.normal):
            yield f"scenarios.{name}.classes: {problem}"
        if strangers:
            yield (
                f"scenarios.{name}.classes: expected some of {', '.join(classes)}, received {shorten(min(strangers))}"
            )
    for profile, chosen in paper.profiles.items():
        for key, known in (("arms", paper.arms), ("scenarios", paper.scenarios)):
            for stranger in set(getattr(chosen, key)) - set(known):
                yield (
                    f"profiles.{profile}.{key}: expected some of {', '.join(known) or 'none'}, "
                    f"received {shorten(stranger)}"
                )
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
            return
    if claim.scenario is not None and claim.scenario not in paper.scenarios:
        known = ", ".join(paper.scenarios) or "none"
        yield f"scenario: expected one of {known}, received {shorten(claim.scenario)}"
        return
    phases = [phase.name for arm in named for phase in paper.arms[arm].phases]
    if claim.phase is not None and claim.phase not in phases:
        yield f"phase: expected one of {', '.join(phases)}, received {shorten(claim.phase)}"
    folds = paper.protocol.folds.value if paper.protocol.folds else 0
    if claim.stage and claim.stage.startswith("fold") and not folds:
        yield f"stage: expected no fold in a protocol without folds, received {claim.stage!r}"
    elif claim.stage and claim.stage.startswith("fold ") and int(claim.stage[5:]) > folds:
        yield f"stage: expected fold 1 to {folds}, received {claim.stage!r}"
    elif claim.stage == "validation" and not paper.protocol.validation:
        yield "stage: expected no 'validation' in a protocol without a validation part"
    if (claim.n is None) != (claim.n_why is None):
        yield "n_why: expected n and n_why together, received only one"
    if (claim.metric is None) == (claim.why_not is None):
        both = "both" if claim.metric else "neither"
        yield f"metric: expected either metric or why_not, received {both}"
    if claim.metric is not None:
        yield from _metric_problems(claim, claim.metric, paper)


def _metric_problems(claim: Claim, metric: Metric, paper: Paper) -> Iterator[str]:
    """Yield what is wrong with how a claim is computed."""
    classes = paper.scenario(claim.scenario or "").classes
    for key in ("label", "predicted"):
        if (name := getattr(metric, key)) not in (None, *classes):
            yield f"metric.{key}: expected one of {', '.join(classes)}, received {shorten(name)}"
    of_two = metric.name.startswith("t_test")
    if of_two != (len(claim.arms) == 2) or (claim.arm and claim.arms):
        yield "arms: expected two arms for a t_test alone, with arm null"
    elif metric.name != "images" and not of_two:
        if not (claim.arm and claim.stage):
            yield f"metric: expected an arm and a stage for {metric.name}, received none"
        elif paper.scenarios and claim.scenario is None:
            yield f"scenario: expected one of {', '.join(paper.scenarios)}, received none"
    if metric.label is not None and metric.average is not None:
        yield "metric.average: expected a label or an average, received both"
    one_class = metric.name in ("sensitivity", "specificity", "precision", "f1", "auc")
    if one_class and len(classes) > 2 and not (metric.label or metric.average):
        yield f"metric: expected a label or an average for {metric.name} of {len(classes)} classes"
    if metric.name in ("count", "errors") and metric.label is None:
        yield f"metric.label: expected the class of the images for {metric.name}, received none"
    if metric.over in ("mean", "variance", "sd") and claim.stage != "folds":
        yield f"stage: expected 'folds' for a {metric.over}, received {claim.stage!r}"
    if metric.name == "training_loss" and metric.over != "epochs":
        yield f"metric.over: expected 'epochs' for training_loss, received {metric.over!r}"
    if (metric.over == "comparison") != bool(_COMPARES.search(claim.printed)):
        yield (
            "metric.over: expected 'comparison' if and only if printed compares, received "
            f"{metric.over!r} for {shorten(claim.printed)}"
        )


def order_problems(classes: tuple[str, ...], normal: str) -> Iterator[str]:
    """Yield what is wrong with classes in label order of which one is the normal one."""
    if len(set(classes)) < len(classes):
        yield f"expected different classes, received {list(classes)}"
    if normal not in classes:
        yield f"normal: expected one of {list(classes)}, received {normal!r}"
    if len(classes) == 2 and normal != classes[0]:
        yield f"normal: expected {classes[0]!r}, the first of two classes, received {normal!r}"
