"""The audit of the data sets of a run, as its options ask for it, and its record."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from brainlib import progress
from brainlib.audit.overview import Overview, audit_sets
from brainlib.io import write_json
from brainlib.study.options import Options

NAME = "00_data_audit"  # of the notebook and of its record


def audit_of(options: Options, sets: Sequence[str] = ()) -> Overview:
    """Audit the named sets, by default all: real ones whole, and as many phantoms as the profile uses."""
    phantoms, plant = options.limits.images, options.controls
    with progress.shown("auditing the data sets") as on_progress:
        return audit_sets(options.source, options.store, sets, phantoms, plant, options.seed, on_progress)


def save(overview: Overview, options: Options) -> Path:
    """Write ``results/00_data_audit.json``: counts and file names, which may name persons, but no images."""
    path = options.store.parent / "results" / f"{NAME}.json"
    write_json(path, dataclasses.asdict(overview.record))
    return path
