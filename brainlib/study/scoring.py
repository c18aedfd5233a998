"""Predictions of any program, scored as a study's own.

`score_files` returns `Results`, so that scores, intervals, tables and verdicts are those of a study. Its arms are the
files, or the arms of a paper that they stand for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import pandas as pd

from brainlib import progress
from brainlib.audit.findings import near_groups
from brainlib.data.phantoms.dataset import TRUTH
from brainlib.data.registry import info_of
from brainlib.data.scan import File, files_of, scan_files
from brainlib.errors import DataError, UsageError
from brainlib.papers.loading import load_paper
from brainlib.papers.schema import Paper, Scenario
from brainlib.study.conditions import OTHER_IMAGES
from brainlib.study.options import Options
from brainlib.study.prediction_files import read_paths, read_predictions
from brainlib.study.results import Results

_NO_SCORES = ("images", "training_seconds")  # metrics that no prediction tells


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

    @property
    def clusters(self) -> dict[str, int]:
        """The groups of images that intervals do not take as independent: the duplicate groups."""
        return self.groups

    def title(self, arm: str, scenario: str = "") -> str:
        """Name of a file in tables."""
        return arm

    def conditions(self, *arms: str) -> tuple[str, ...]:
        """Why numbers of these arms, by default of all, are not comparable with the printed ones; () if they are."""
        return tuple(dict.fromkeys(each for arm in arms or self.arms for each in self.differences[arm]))

    def why_not_run(self, arms: Sequence[str], scenario: str | None = None) -> tuple[str, ...]:
        """Return (): what the files cannot answer is no score of theirs, see `_of_files`."""
        return ()


class _File(NamedTuple):
    """The predictions of a file, in place of a `TrialResult`."""

    predictions: pd.DataFrame

    def part(self, name, phase=""):
        return self.predictions[self.predictions["part"] == name]

    def judged(self, part, phase="", epoch="last"):
        return self.part(part)


def score_files(
    files: Sequence[str | Path],
    images: str | Path = "",
    train: str | Path = "",
    paper: str = "",
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
        A file whose column ``path`` names the training images of all files, beside those that each names itself.
    paper : str
        A paper whose printed numbers are judged; each file has the name of the arm that it stands for.
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
    about, names = load_paper(paper) if paper else None, [file.stem for file in files]
    if len(set(names)) < len(names) or (about and not set(names) <= set(about.arms)):
        named = f"arms of {paper}: {', '.join(about.arms)}" if about else "different models"
        raise UsageError(f"expected files with the names of {named}; received {', '.join(map(str, files))}")
    read, trained = [read_predictions(file) for file in files], read_paths(Path(train)) if train else []
    _check_same(files, read)
    tables = {name: _with(trained, file, table) for name, file, (table, _) in zip(names, files, read, strict=True)}
    if about:
        scenario = _scenario(about, read[0][1])
        about = _of_files(about, scenario, tables)
        differences = {name: _differences(about, name, table, images) for name, table in tables.items()}
    else:
        scenario, about, differences = "", _no_paper(read[0][1], names), dict.fromkeys(names, ())
    groups = _groups(root, tables, store, on_progress) if images else {}
    unknown = {name: _unknown(table, groups) for name, table in tables.items()}
    study = Submission(about, (scenario,), tuple(names), SimpleNamespace(root=root), groups, differences, unknown)
    return Results(study, {(scenario, name, "final"): _File(table) for name, table in tables.items()})


def _check_same(files, read):
    """Refuse files that are not of the same classes, test images and labels."""
    about = []
    for table, classes in read:
        labels = _test(table)[["path", "label"]].itertuples(index=False, name=None)
        about.append((sorted(classes), sorted(labels)))
    for file, (classes, labels) in zip(files, about, strict=True):
        if (classes, labels) != about[0]:
            received = f"{len(labels)} images of {', '.join(classes)}, which are not the same"
            raise DataError(f"{file}: expected the classes, test images and labels of {files[0]}; received {received}")


def _test(table):
    return table[table["part"] == "test"]


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
    scan = scan_files(images.name, images, files, store=store, on_progress=on_progress)
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
        plain = claim.metric and claim.metric.over == "value" and claim.metric.name not in _NO_SCORES
        return last and plain and scenario == (claim.scenario or "") and claim.stage in set(tables[claim.arm]["part"])

    left = {"metric": None, "why_not": "no score of these predictions"}
    claims = [claim if answered(claim) or not claim.metric else claim.model_copy(update=left) for claim in paper.claims]
    return paper.model_copy(update={"claims": tuple(claims)})


def _differences(paper, arm, table, images):
    """List why the numbers of a file are not comparable with the printed ones."""
    if not images:
        return ("images that were not given",)
    info, found, test = info_of(paper.data.set.value), [], _test(table)
    files, _ = files_of(info.name, Path(images))
    published = {folder.path: folder.count for folder in info.folders if folder.count}
    if Path(images, TRUTH).exists():
        found.append("phantoms")
    elif published != Counter(file.path.rpartition("/")[0] for file in files):
        found.append(OTHER_IMAGES)
    labels = {file.path: file.label for file in files}
    if wrong := int((test["path"].map(labels) != test["label"]).sum()):
        found.append(f"{wrong} label{'s' * (wrong > 1)} other than the published ones")
    printed = {claim.n for claim in paper.claims if claim.metric and (claim.arm, claim.stage) == (arm, "test")} - {None}
    if printed and len(test) not in printed:
        found.append(f"{len(test)} test images in place of {min(printed)}")
    return tuple(found)


def _no_paper(classes, names):
    """Stand in for a paper of which nothing but the classes is known."""
    arm = SimpleNamespace(phases=(SimpleNamespace(name=""),))
    protocol = SimpleNamespace(final=None, epoch=SimpleNamespace(value="last"), threshold=SimpleNamespace(value=None))
    every = Scenario(title="all classes", classes=classes)
    data, arms = SimpleNamespace(classes=classes), dict.fromkeys(names, arm)
    return SimpleNamespace(claims=(), arms=arms, data=data, protocol=protocol, scenario=lambda name="": every)
