"""Verify a checkout: compute the reference results again from kept predictions, and the tables of README and docs."""

from __future__ import annotations

import importlib.util
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

from brainlib.errors import UsageError
from brainlib.io import THREADS
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
    """Verify each reference run, then each page; UsageError where the folder is no checkout of the project."""
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
        return Verified(folder.name, NOT_VERIFIED, ("its predictions were not kept",))
    (record,) = (each.result for each in records.read(folder / kept.RECORDS, records.Run).papers.values())
    found = [str(each) for each in kept.differences(record.model_dump(), kept.recomputed(folder).model_dump())]
    numbers = sum(map(_numbers, record.model_dump(exclude=set(_FROM_IMAGES)).values()))
    taken = [name.replace("_", " ") for name in _FROM_IMAGES if getattr(record, name)]
    lines = [f"{numbers} numbers, computed again from {models} models' predictions"]
    lines += [f"taken over, for want of the images: {', '.join(taken)}"] if taken else []
    more = [f"and {len(found) - _MOST} more"] if len(found) > _MOST else []
    return Verified(folder.name, DIFFERENT if found else SAME, (*lines, *found[:_MOST], *more))


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
    for page in made.PAGES:
        there = page.read_text(encoding="utf-8")
        pairs = zip(there.splitlines(), made.filled(there).splitlines(), strict=False)
        found = [(n, *pair) for n, pair in enumerate(pairs, start=1) if pair[0] != pair[1]]
        lines = [f"line {n}: {first.strip()}\n  computed: {second.strip()}" for n, first, second in found[:_MOST]]
        tables, numbers = (len(each.findall(there)) for each in (made.TABLE, made.VALUE))
        made_here = f"{tables} tables and lists, {numbers} numbers in sentences"
        name, finding = str(page.relative_to(script.parents[1])), DIFFERENT if found else SAME
        yield Verified(name, finding, (made_here, *lines))
