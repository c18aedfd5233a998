"""Reads a paper's YAML: plain data only, checked against the schema, then part against part.

Each refusal is one line that begins with the file's name and, where it can, the key.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Iterator
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from brainlib.data.registry import REGISTRY
from brainlib.data.yaml_files import first_problem, read_yaml
from brainlib.errors import PaperError, shorten
from brainlib.papers.provenance import MOST_IMAGES
from brainlib.papers.schema import Claim, Conclusion, Metric, OfImages, OfOneClass, OfTwoArms, Paper

_FOLDER = resources.files("brainlib") / "papers"
_SHARES = ("accuracy", *get_args(OfOneClass), "t_test.p")
_LONGEST = 400  # characters of a message, which may hold names of a file that is no paper
_COMPARES = re.compile(r"[<>≤≥]|\b(above|over|below|under|more than|less than)\b", re.IGNORECASE)


def paper_ids() -> list[str]:
    """Return the ids of the papers that brainlib holds, sorted."""
    return sorted(f.name.removesuffix(".yaml") for f in _FOLDER.iterdir() if f.name.endswith(".yaml"))


def load_paper(id_or_path: str | Path) -> Paper:
    """Read and check a paper: an id of `paper_ids()`, or the path of a YAML file.

    A path is a `Path`, or text that ends in ".yaml" or ".yml". `PaperError` says in one line what is wrong: an unknown
    id; a file that cannot be read, is over 1 MB or is no plain YAML; a key that is missing, unknown or of the wrong
    type; claims that contradict the paper.
    """
    name = str(id_or_path)
    if isinstance(id_or_path, Path) or name.endswith((".yaml", ".yml")):
        path = Path(id_or_path)
    elif name in paper_ids():
        path = _FOLDER / f"{name}.yaml"
    else:
        known = ", ".join(paper_ids())
        raise PaperError(f"unknown paper {shorten(name)}: expected one of {known}, or the path of a .yaml file")
    try:
        now = path.stat()
        state = now.st_ino, now.st_size, now.st_mtime_ns
    except (OSError, ValueError):
        state = ()  # reading it says what is wrong
    return _read(path, state)


@cache
def _read(path: Path, state: tuple[int, ...]) -> Paper:
    """Read a paper once in a process for each state of its file: a list of models asks for it again and again."""
    try:
        content = _spelled_out(read_yaml(path))
        paper = Paper.model_validate(content)
        problem = next(problems(paper), None)
        if paper.id != path.stem:
            problem = f"id: expected the file's stem {path.stem!r}, received {paper.id!r}"
    except ValidationError as error:
        problem = first_problem(error, content)
    except ValueError as error:
        problem = str(error)
    if problem:
        raise PaperError(" ".join(f"{path.name}: {problem}".split())[:_LONGEST])
    return paper


def _spelled_out(content: dict[str, Any]) -> dict[str, Any]:
    """Give every arm that is ``{title, like, backbone}`` the model and the phases of its like."""
    arms = content.get("arms")
    if not isinstance(arms, dict):
        return content
    spelled = dict(arms)
    written_out = {name for name, arm in arms.items() if isinstance(arm, dict) and "like" not in arm}
    for name, arm in arms.items():
        if name in written_out or not isinstance(arm, dict):
            continue
        like = arm["like"]
        if set(arm) != {"title", "like", "backbone"} or str(like) not in written_out:
            raise ValueError(
                f"arms.{name}: expected title, backbone and like, which names an arm that is "
                f"written out ({', '.join(sorted(written_out))}), received {shorten(arm)}"
            )
        other = arms[str(like)]
        model = other.get("model")
        if isinstance(model, dict):  # else the type of the other arm complains
            model = {**model, "backbone": arm["backbone"]}
        spelled[name] = {**other, "title": arm["title"], "like": like, "model": model}
    return {**content, "arms": spelled}


def _unknown(key: str, names: Iterable[str | None], known: Collection[str]) -> Iterator[str]:
    """Yield that a name is not one of those that are known; None names nothing."""
    for name in names:
        if name is not None and name not in known:
            yield f"{key}: expected one of {', '.join(known) or 'none'}, received {shorten(name)}"


def _order_problems(classes: tuple[str, ...], normal: str | None) -> Iterator[str]:
    """Yield what is wrong with classes in label order of which one is the normal one."""
    if len(set(classes)) < len(classes):
        yield f"expected different classes, received {list(classes)}"
    if normal is None:
        return
    if normal not in classes:
        yield f"normal: expected one of {list(classes)}, received {normal!r}"
    if len(classes) == 2 and normal != classes[0]:
        yield f"normal: expected {classes[0]!r}, the first of two classes, received {normal!r}"


def problems(paper: Paper) -> Iterator[str]:
    """Yield what is wrong between parts of a paper that are right by themselves."""
    classes, protocol = paper.data.classes, paper.protocol
    yield from _unknown("data.set.value", [paper.data.set.value], REGISTRY)
    yield from _unknown("data.classes", classes, REGISTRY[paper.data.set.value].classes)
    yield from (f"data: {problem}" for problem in _order_problems(classes, paper.data.normal))
    if protocol.loss.value == "binary_crossentropy" and len(classes) != 2:
        yield (
            "protocol.loss.value: expected categorical_crossentropy for "
            f"{len(classes)} classes, received binary_crossentropy"
        )
    if protocol.folds.value and protocol.validation.value:
        yield "protocol.validation.value: expected null in a protocol with folds, received a share"
    yield from _unknown("protocol.oversample.value", [protocol.oversample.value], classes)
    for name, scenario in paper.scenarios.items():
        key = f"scenarios.{name}.classes"
        yield from (f"{key}: {problem}" for problem in _order_problems(scenario.classes, paper.data.normal))
        yield from _unknown(key, scenario.classes, classes)
    for profile, chosen in paper.profiles.items():
        yield from _unknown(f"profiles.{profile}.arms", chosen.arms, paper.arms)
        yield from _unknown(f"profiles.{profile}.scenarios", chosen.scenarios, paper.scenarios)
    seen: set[str] = set()
    for i, claim in enumerate(paper.claims):
        if claim.id in seen:
            yield f"claims[{i}].id: expected a new id, received {claim.id!r} a second time"
        seen.add(claim.id)
        yield from (f"claims[{i}] ({claim.id}).{problem}" for problem in _claim_problems(claim, paper))
    names = [conclusion.id for conclusion in paper.conclusions]
    if len(set(names)) < len(names):
        yield f"conclusions: expected different ids, received {names}"
    for i, conclusion in enumerate(paper.conclusions):
        yield from (f"conclusions[{i}] ({conclusion.id}).{each}" for each in _conclusion_problems(conclusion, paper))


def _claim_problems(claim: Claim, paper: Paper) -> Iterator[str]:
    """Yield what is wrong with one claim of a paper, each beginning with the key."""
    named = (claim.arm, *claim.arms) if claim.arm is not None else claim.arms
    unknown = [*_unknown("arm", named, paper.arms), *_unknown("scenario", [claim.scenario], paper.scenarios)]
    if unknown:
        yield unknown[0]
        return
    yield from _unknown("phase", [claim.phase], [phase.name for arm in named for phase in paper.arms[arm].phases])
    folds = paper.protocol.folds.value or 0
    if claim.stage and claim.stage.startswith("fold") and not folds:
        yield f"stage: expected no fold in a protocol without folds, received {claim.stage!r}"
    elif claim.stage and claim.stage.startswith("fold ") and int(claim.stage[5:]) > folds:
        yield f"stage: expected fold 1 to {folds}, received {claim.stage!r}"
    elif claim.stage == "validation" and not paper.protocol.validation.value:
        yield "stage: expected no 'validation' in a protocol without a validation part"
    if (claim.n is None) != (claim.n_why is None):
        yield "n_why: expected n and n_why together, received only one"
    if (claim.metric is None) == (claim.why_not is None):
        yield f"metric: expected either metric or why_not, received {'both' if claim.metric else 'neither'}"
    if claim.metric is not None:
        yield from _metric_problems(claim, claim.metric, paper)


def _conclusion_problems(conclusion: Conclusion, paper: Paper) -> Iterator[str]:
    """Yield what is wrong with one conclusion of a paper, each beginning with the key."""
    unknown = [*_unknown("of.arm", [term.arm for term in conclusion.of], paper.arms)]
    unknown += _unknown("scenarios", conclusion.scenarios, paper.scenarios)
    if unknown:
        yield unknown[0]
        return
    for term in conclusion.of:
        yield from _unknown("of.phase", [term.phase], [phase.name for phase in paper.arms[term.arm].phases])
    models, values = len(conclusion.of), len(conclusion.values)
    wanted = {"at_least": 1, "ratio": models - 1}.get(conclusion.kind, 0)
    if models < 2 and conclusion.kind != "at_least":
        yield f"of: expected two models or more for {conclusion.kind}, received {models}"
    if values != wanted:
        yield f"values: expected {wanted} for {conclusion.kind} of {models} models, received {values}"
    if bool(conclusion.scenarios) != bool(paper.scenarios):
        yield f"scenarios: expected {'some' if paper.scenarios else 'none'} in this paper, received the reverse"
    for each in conclusion.scores:
        if each.stage.startswith("fold") and not paper.protocol.folds.value:
            yield f"scores.stage: expected no fold in a protocol without folds, received {each.stage!r}"
        if each.stage == "validation" and not paper.protocol.validation.value:
            yield "scores.stage: expected no 'validation' in a protocol without a validation part"
        classes = [paper.scenario(name or None).classes for name in conclusion.scenarios or ("",)]
        for key in ("label", "predicted"):
            yield from _unknown(
                f"scores.metric.{key}", [getattr(each.metric, key)], set.intersection(*map(set, classes))
            )


def _metric_problems(claim: Claim, metric: Metric, paper: Paper) -> Iterator[str]:
    """Yield what is wrong with how a claim is computed."""
    try:
        value = claim.value
    except PaperError as error:
        yield str(error)
        return
    if metric.name == "distinct":
        yield "metric.name: expected what predictions give, received 'distinct', which conclusions alone may name"
    most = 1 if metric.name in _SHARES else MOST_IMAGES if metric.name in get_args(OfImages) else math.inf
    if most < math.inf and not 0 <= value <= most:
        yield f"printed: expected 0 to {most} for {metric.name}, or why_not, received {shorten(claim.printed)}"
    if claim.unit == "percent^2" and metric.over != "variance":
        yield f"unit: expected percent^2 for a variance alone, received it for a {metric.over}"
    classes = paper.scenario(claim.scenario).classes
    for key in ("label", "predicted"):
        yield from _unknown(f"metric.{key}", [getattr(metric, key)], classes)
    of_two = metric.name in get_args(OfTwoArms)
    if of_two and paper.protocol.t_test is None:
        yield "protocol.t_test: expected the test that is meant, received none"
    if of_two != (len(claim.arms) == 2) or (claim.arm and claim.arms):
        yield "arms: expected two arms for a t_test alone, with arm null"
    elif metric.name != "images" and not of_two:
        if not (claim.arm and claim.stage):
            yield f"metric: expected an arm and a stage for {metric.name}, received none"
        elif paper.scenarios and claim.scenario is None:
            yield f"scenario: expected one of {', '.join(paper.scenarios)}, received none"
    if metric.label is not None and metric.average is not None:
        yield "metric.average: expected a label or an average, received both"
    if metric.name in get_args(OfOneClass) and len(classes) > 2 and not (metric.label or metric.average):
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
