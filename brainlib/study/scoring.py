"""Predictions of any program, scored as a study's own.

`score_files` returns `Results`, so that scores, intervals, tables and verdicts are those of a study. Its arms are the
files, or the arms of a paper that they stand for.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pandas as pd

from brainlib import progress
from brainlib.audit.findings import near_groups
from brainlib.data.phantoms.dataset import TRUTH
from brainlib.data.registry import info_of
from brainlib.data.scan import File, files_in, files_of, scan_files
from brainlib.errors import DataError, UsageError
from brainlib.papers.loading import load_paper
from brainlib.papers.schema import Paper, Scenario
from brainlib.study.conditions import OTHER_IMAGES
from brainlib.study.options import Options
from brainlib.study.prediction_files import read_paths, read_predictions
from brainlib.study.results import Results


@dataclass(frozen=True)
class Submission:
    """What a `Study` is to its `Results`, where each arm is a file.

    `groups` are the duplicate groups of the images by path, {} where no folder was given; `differences`, by arm, is
    why its numbers are not comparable with the printed ones, and `unknown` why there are none without duplicates.
    """

    paper: Paper
    scenarios: tuple[str]
    arms: tuple[str, ...]
    dataset: SimpleNamespace
    groups: dict[str, int]
    differences: dict[str, tuple[str, ...]]
    unknown: dict[str, str]
    options: Options = Options()

    def title(self, arm: str, scenario: str = "") -> str:
        """Name of a file in tables."""
        return arm

    def conditions(self, *arms: str) -> tuple[str, ...]:
        """Why numbers of these arms, by default of all, are not comparable with the printed ones; () if they are."""
        return tuple(dict.fromkeys(each for arm in arms or self.arms for each in self.differences[arm]))

    def why_not_run(self, arms: Sequence[str], scenario: str | None = None) -> tuple[str, ...]:
        """Return (): what the files cannot answer is no score of theirs, see `_of_files`."""
        return ()


class _File:
    """The predictions of a file, in place of a `TrialResult`."""

    def __init__(self, predictions):
        self.predictions = predictions

    def part(self, name, phase=""):
        return self.predictions[self.predictions["part"] == name]

    def judged(self, part, phase="", epoch="last"):
        return self.part(part)


def score_files(
    files: Sequence[str | Path],
    images: str | Path = "",
    train: str | Path = "",
    paper: str = "",
    arms: Sequence[str] = (),
    store: Path | None = None,
    on_progress: progress.OnProgress = progress.ignore,
) -> Results:
    """Read predictions for the same test images, and find those that have a duplicate in training.

    Parameters
    ----------
    files : sequence of str or Path
        CSV or Parquet, see `prediction_files`. Of two classes, that of the last column is the positive one.
    images : str or Path
        The folder that the paths start from; its images are searched for near-duplicates. Without it, duplicates are
        those of the files' column ``group``.
    train : str or Path
        What was trained on: a folder of `images`, or a file with the column ``path``; by default, the images of the
        part "train" of each file.
    paper, arms
        A paper whose printed numbers are judged, and the arm that each file stands for, by default its name.
    store : Path, optional
        Folder that keeps the scan and the pairs of near-duplicates for the next call.

    Raises
    ------
    DataError, UsageError, PaperError
        In one line, for files, images and names that cannot be used.
    """
    files, root = [Path(file) for file in files], Path(images)
    if images and not root.is_dir():
        raise UsageError(f"--images: expected a folder, received {images}")
    about = load_paper(paper) if paper else None
    names = _names(files, about, arms)
    read = [read_predictions(file) for file in files]
    for file, (table, classes) in zip(files, read, strict=True):
        _check_same(file, table, classes, files[0], *read[0])
    trained = _trained(Path(train), root) if train else []
    tables = {name: _with(trained, file, table) for name, file, (table, _) in zip(names, files, read, strict=True)}
    if about:
        scenario = _scenario(about, read[0][1])
        about = _of_files(about, scenario, tables)
        differences = {name: _differences(about, name, table, images and root) for name, table in tables.items()}
    else:
        scenario, about, differences = "", _no_paper(read[0][1], names), dict.fromkeys(names, ())
    groups = _groups(root, tables, store, on_progress) if images else {}
    unknown = {name: _unknown(table, groups) for name, table in tables.items()}
    study = Submission(about, (scenario,), tuple(names), SimpleNamespace(root=root), groups, differences, unknown)
    return Results(study, {(scenario, name, "final"): _File(table) for name, table in tables.items()})


def _names(files, paper, arms):
    """Name each file: by its own name, or by the arm of a paper."""
    names = list(arms) or [file.stem for file in files]
    if arms and not paper:
        raise UsageError("--arm: expected --paper as well, received none")
    if paper and (len(names) != len(files) or not set(names) <= set(paper.arms)):
        expected = f"an arm of {paper.id} ({', '.join(paper.arms)}) for each file, as its name or with --arm"
        raise UsageError(f"expected {expected}; received {', '.join(names)}")
    if len(set(names)) < len(names):
        raise UsageError(f"expected files of different names, received {', '.join(names)}")
    return names


def _check_same(file, table, classes, first, expected, expected_classes):
    """Refuse a file whose classes, test images or labels are not those of the first."""
    if set(classes) != set(expected_classes):
        wanted = f"the classes of {first}, {', '.join(expected_classes)}"
        raise DataError(f"{file}: expected {wanted}; received {', '.join(classes)}")
    own, other = (each[each["part"] == "test"].set_index("path")["label"] for each in (table, expected))
    if different := sorted(set(own.items()) ^ set(other.items())):
        path = different[0][0]
        received = f"{path} as {own.get(path, 'none')}, where that has {other.get(path, 'none')}"
        raise DataError(f"{file}: expected the test images and labels of {first}; received {received}")


def _trained(train, images):
    """List the training images in a folder, as paths from that of the images, or those that a file names."""
    if train.is_file():
        return read_paths(train)
    folder = train if train.is_dir() else images / train
    found = [each.path for each in files_in(folder)[0]]
    if not found:
        raise UsageError(f"--train: expected a file with a column path, or a folder of images; received {train}")
    return [os.path.relpath(folder / path, images).replace(os.sep, "/") for path in found]


def _with(trained, file, table):
    """Add training images to a table, none of which may be one of its test images."""
    parts = table.set_index("path")["part"]
    if both := [path for path in trained if parts.get(path, "train") != "train"]:
        raise DataError(f"{file}: expected images that were not trained on, received {len(both)}, such as {both[0]}")
    new = [path for path in trained if path not in parts]
    return pd.concat([table, pd.DataFrame({"path": new, "group": new, "part": "train"})], ignore_index=True)


def _groups(images, tables, store, on_progress):
    """Find the duplicate group of each image by its path."""
    files = [File(path, "", "") for path in {path for table in tables.values() for path in table["path"]}]
    scan = scan_files(images.name, images, files, (), store, on_progress)
    for path, reason in scan.unreadable:
        raise DataError(f"{images / path}: {reason}")
    return dict(zip(scan.table["path"], near_groups(scan, store).tolist(), strict=True))


def _unknown(table, groups):
    if "train" not in set(table["part"]):
        return "duplicates of training images are not known without --train or a part 'train'"
    known = groups or table["group"].duplicated().any()
    return "" if known else "duplicates are not known without --images or a column 'group'"


def _scenario(paper, classes):
    every = {name: paper.scenario(name).classes for name in paper.scenarios or [""]}
    for name, own in every.items():
        if set(own) == set(classes):
            return name
    expected = " or ".join(", ".join(own) for own in every.values())
    raise DataError(f"expected the classes of {paper.id}, {expected}; received {', '.join(classes)}")


def _of_files(paper, scenario, tables):
    """Return a paper in which only what the files can answer is a score."""

    def answered(claim):
        last = claim.arm in tables and paper.phase_of(claim) == paper.arms[claim.arm].phases[-1].name
        score = (
            claim.metric and claim.metric.over == "value" and claim.metric.name not in ("images", "training_seconds")
        )
        return last and score and scenario == (claim.scenario or "") and claim.stage in set(tables[claim.arm]["part"])

    left = {"metric": None, "why_not": "no score of these predictions"}
    claims = [claim if answered(claim) or not claim.metric else claim.model_copy(update=left) for claim in paper.claims]
    return paper.model_copy(update={"claims": tuple(claims)})


def _differences(paper, arm, table, images):
    """List why the numbers of a file are not comparable with the printed ones."""
    if not images:
        return ("images that were not given",)
    info, found = info_of(paper.data.set.value), []
    files, published = files_of(info.name, images)[0], Counter()
    for folder in info.folders:
        published[folder.label, folder.part] += folder.count
    if (images / TRUTH).exists():
        found.append("phantoms")
    elif published != Counter((file.label, file.part) for file in files):
        found.append(OTHER_IMAGES)
    test, labels = table[table["part"] == "test"], {file.path: file.label for file in files}
    if wrong := int((test["path"].map(labels) != test["label"]).sum()):
        found.append(f"{wrong} labels other than the published ones")
    printed = {claim.n for claim in paper.claims if claim.metric and (claim.arm, claim.stage) == (arm, "test")} - {None}
    if printed and len(test) not in printed:
        found.append(f"{len(test)} test images in place of {min(printed)}")
    return tuple(found)


def _no_paper(classes, names):
    """Stand in for a paper of which nothing but the classes is known."""
    arm = SimpleNamespace(phases=(SimpleNamespace(name=""),))
    protocol = SimpleNamespace(epoch=SimpleNamespace(value="last"), threshold=None)
    every = Scenario(title="all classes", classes=classes)
    data, arms = SimpleNamespace(classes=classes), dict.fromkeys(names, arm)
    return SimpleNamespace(claims=(), arms=arms, data=data, protocol=protocol, scenario=lambda name="": every)
