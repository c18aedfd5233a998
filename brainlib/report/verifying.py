"""Verify a checkout: compute the reference results again from predictions, and what README and docs show of them."""

from __future__ import annotations

import importlib.util
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

from brainlib.errors import UsageError
from brainlib.io import THREADS
from brainlib.report.headlines import Reference
from brainlib.study import kept, records

SAME, DIFFERENT, NOT_VERIFIED = "same", "DIFFERENT", "not verified"
_MOST = 20  # differences of a run that are named
_FROM_IMAGES = ("heat_maps", "shortcuts")  # records that are computed from images


class Verified(NamedTuple):
    """What was verified, the finding (one of `SAME`, `DIFFERENT` and `NOT_VERIFIED`), and lines that say more."""

    what: str
    finding: str
    lines: tuple[str, ...] = ()


def verify(checkout: Path) -> Iterator[Verified]:
    """Verify each reference run, then each page, the index's summary of the runs, and each figure.

    UsageError where the folder is no checkout of the project.
    """
    reference, script = checkout / "reports" / "reference", checkout / "docs" / "make_results.py"
    if not reference.is_dir() or not script.is_file():
        expected = "expected a checkout of the project, with reports/reference and docs/make_results.py"
        raise UsageError(f"{checkout}: {expected}, received a folder without them")
    folders = [path.parent for path in reference.glob(f"*/{kept.RECORDS}")]
    ignored = signal.SIGINT, signal.SIG_IGN  # this process ends them
    with ProcessPoolExecutor(THREADS, get_context("spawn"), signal.signal, ignored) as pool:
        longest_first = sorted(folders, key=kept.models, reverse=True)
        found = {folder: pool.submit(_run, folder) for folder in longest_first}
        yield from (found[folder].result() for folder in sorted(folders))
    yield from _pages(script)


def _run(folder):
    models = kept.models(folder)
    if not models:
        return Verified(folder.name, NOT_VERIFIED, ("of no trained model: its numbers come from the images",))
    (record,) = (each.result for each in records.read(folder / kept.RECORDS, records.Run).papers.values())
    found = [str(each) for each in kept.differences(record.model_dump(), kept.recomputed(folder).model_dump())]
    numbers = sum(map(_numbers, record.model_dump(exclude=set(_FROM_IMAGES)).values()))
    taken = [name.replace("_", " ") for name in _FROM_IMAGES if getattr(record, name)]
    lines = [f"{numbers} numbers, computed again from {models} models' predictions"]
    lines += [f"taken over, for want of the images: {', '.join(taken)}"] if taken else []
    return _verified(folder.name, found, *lines)


def _verified(what, found, *lines):
    more = [f"and {len(found) - _MOST} more"] if len(found) > _MOST else []
    return Verified(what, DIFFERENT if found else SAME, (*lines, *found[:_MOST], *more))


def _numbers(value):
    """Count the numbers of a record."""
    if isinstance(value, dict):
        return sum(map(_numbers, value.values()))
    if isinstance(value, tuple | list):
        return sum(map(_numbers, value))
    return isinstance(value, int | float) and not isinstance(value, bool)


def _pages(script):
    spec = importlib.util.spec_from_file_location("make_results", script)
    made = importlib.util.module_from_spec(spec)
    sys.modules.setdefault("make_results", made)
    spec.loader.exec_module(made)
    root = script.parents[1]
    for page in made.PAGES:
        there = page.read_text(encoding="utf-8")
        pairs = zip(there.splitlines(), made.filled(there).splitlines(), strict=False)
        found = [(n, *pair) for n, pair in enumerate(pairs, start=1) if pair[0] != pair[1]]
        lines = [f"line {n}: {first.strip()}\n  computed: {second.strip()}" for n, first, second in found]
        tables, numbers = (len(each.findall(there)) for each in (made.TABLE, made.VALUE))
        made_here = f"{tables} tables and lists, {numbers} numbers in sentences"
        yield _verified(str(page.relative_to(root)), lines, made_here)
    there = records.read(made.SUMMARY, Reference).model_dump()
    found = [str(each) for each in kept.differences(there, made.reference().model_dump())]
    yield _verified(str(made.SUMMARY.relative_to(root)), found, f"{_numbers(there)} numbers")
    for name, plot in made.figures().items():
        # The description is composed of the numbers that are drawn.
        same = escape(plot.alt) in (made.IMAGES / name).read_text(encoding="utf-8")
        found = [] if same else [f"its description differs; computed: {plot.alt}"]
        yield _verified(str((made.IMAGES / name).relative_to(root)), found)
