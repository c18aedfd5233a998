"""The provenance of a run as an RO-Crate: ``ro-crate-metadata.json``, by the profile Process Run Crate 0.5.

Programs read from it, without brainlib, which software made which files out of which data sets, when and on what
processor, and what failed. It lists entities, each of which refers to others by their ``@id`` (RO-Crate 1.1). No image
is listed, and no person, machine or folder outside the report is named.
"""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

from brainlib import io
from brainlib.data.registry import REGISTRY
from brainlib.study import data_audit
from brainlib.study.options import PHANTOMS
from brainlib.study.records import NotebookResult, Run
from brainlib.trials.store import FACTS, MODEL, UNREADABLE
from brainlib.trials.stored import Stored

NAME = "ro-crate-metadata.json"
SPECIFICATION, PROFILE = "https://w3id.org/ro/crate/1.1", "https://w3id.org/ro/wfrun/process/0.5"
_CONTEXT = [f"{SPECIFICATION}/context", {"environment": "https://w3id.org/ro/terms/workflow-run#environment"}]
# The profile recommends that software and publishers have an address. Neither is known: this name never resolves.
_NOWHERE = "https://brainlib.invalid/"
# Software whose version a trial records, and where it is at home.
_DOMAINS = ("python.org", "tensorflow.org", "keras.io", "numpy.org", "scikit-learn.org")
_HOMES = {domain.rpartition(".")[0]: f"https://{domain}/" for domain in _DOMAINS}
_FORMATS = {
    ".html": "text/html",
    ".ipynb": "application/x-ipynb+json",
    ".json": "application/json",
    ".keras": "application/zip",
    ".parquet": "application/vnd.apache.parquet",
}
_SOMEONE = {"@id": "#someone"}
_ADDRESSES = re.compile(r"\b(?!https?:)\w+://\S+")  # such as a scheduler's, which names a machine
_FOLDERS = re.compile(r"(?<![\w:/.~…<])/(?:[^\s/]+/)*(?=[^\s/])|\b[A-Za-z]:\\(?:[^\s\\]+\\)*")


class _Graph(dict):
    """Entities by their ``@id``, of a report in a folder."""

    def __init__(self, out: Path):
        self.out = out

    def add(self, identifier: str, kind: str, /, **properties) -> dict:
        """Add an entity unless it is there, and return a reference to it; what is empty is no property of it."""
        entity = {"@id": identifier, "@type": kind}
        for name, value in properties.items():
            if value:
                # The specification recommends the value itself in place of a list of one.
                entity[name] = value[0] if isinstance(value, list) and len(value) == 1 else value
        self.setdefault(identifier, entity)
        return {"@id": identifier}

    def add_files(self, *paths: str) -> list[dict]:
        """Add those files of the report that are there, and return references to them."""
        there = [path for path in paths if (self.out / path).is_file()]
        return [self.add(quote(path), "File", name=path, encodingFormat=_FORMATS[Path(path).suffix]) for path in there]


def write_crate(out: Path, run: Run) -> Path:
    """Write ``out/ro-crate-metadata.json`` of a run whose report is in `out`, and return its path.

    It has an action for each notebook, and one for each trial in ``out/store`` of a paper that ran, also of an earlier
    run. Trials that cannot be read are left out and counted. StoreError if the file cannot be written.
    """
    graph, actions, unreadable = _Graph(Path(out)), [], 0
    folders = (folder for folder in graph.out.glob("store/trials/*") if "." not in folder.name)  # else set aside
    for folder in sorted(folders):
        try:
            stored = Stored(folder.name, json.loads((folder / FACTS).read_bytes())).checked()
            if stored.trial["paper"] in run.papers:
                actions.append(_trial(graph, folder, stored))
        except (*UNREADABLE, OverflowError):  # the latter where a time is none
            unreadable += 1
    entries = {data_audit.NAME: run.audit, **run.papers}
    # They begin together, and the slowest has just ended.
    began = datetime.fromisoformat(run.created) - timedelta(seconds=max(each.seconds for each in entries.values()))
    actions += [_notebook(graph, name, entry, run.brainlib, began) for name, entry in entries.items()]
    graph.add_files("results.json", "index.html", "consistency.html")
    note = "brainlib records no names: whoever publishes this crate enters theirs here."
    graph.add(_SOMEONE["@id"], "Organization", name="not recorded", description=note, url=_NOWHERE)
    note = "The licence of brainlib. Data sets, whose images are not in this crate, have their own."
    licence = graph.add("https://spdx.org/licenses/MIT", "CreativeWork", name="MIT License", description=note)
    note = f" {unreadable} stored results cannot be read and are left out." if unreadable else ""
    graph.add(
        "./",
        "Dataset",
        name="A run of brainlib",
        description=f"Notebooks of {', '.join(run.papers)}, and the trials of these papers that are stored.{note}",
        datePublished=run.created,
        conformsTo=graph.add(PROFILE, "CreativeWork", name="Process Run Crate", version=PROFILE.rpartition("/")[2]),
        license=licence,
        author=_SOMEONE,
        publisher=_SOMEONE,
        hasPart=[{"@id": identifier} for identifier, entity in graph.items() if entity["@type"] == "File"],
        mentions=actions,
    )
    graph.add(NAME, "CreativeWork", conformsTo={"@id": SPECIFICATION}, about={"@id": "./"})
    io.write_json(graph.out / NAME, {"@context": _CONTEXT, "@graph": list(graph.values())})
    return graph.out / NAME


def _trial(graph: _Graph, folder: Path, stored: Stored) -> dict:
    facts, trial, data = stored.facts, stored.trial, stored.facts["data"]
    (folder / "predictions.parquet").stat()  # else the result is damaged
    place, seconds = folder.relative_to(graph.out).as_posix(), facts["seconds"]
    # No time is stored. The facts are written last; where a training was interrupted, it began earlier than this.
    end = datetime.fromtimestamp((folder / FACTS).stat().st_mtime, UTC)
    ended = _ended(end - timedelta(seconds=seconds["training"] + seconds["other"]), end)
    machine = {k: v for k, v in facts["environment"].items() if v != "" and k not in ("brainlib", "code", *_HOMES)}
    return graph.add(
        f"#trial-{quote(stored.key)}",
        "CreateAction",
        name=_text(f"Trial {stored.name}, seed {trial['seed']}"),
        description=_text(f"{seconds['training']:.1f} s of training. " + "; ".join(trial["conditions"])),
        instrument=_software(graph, facts["environment"]),
        object=_data_set(graph, data["set"], trial["data"], data["phantom"]),
        result=graph.add_files(f"{place}/predictions.parquet", f"{place}/{FACTS}", f"{place}/{MODEL}"),
        # The profile means variables, and has no other term for what a process ran on.
        environment=[_value(graph, name, value) for name, value in machine.items()],
        **ended,
    )


def _notebook(graph: _Graph, name: str, entry: NotebookResult, version: str, began: datetime) -> dict:
    # Without a page, an executed notebook is that of an earlier run.
    pages = (entry.report, f"notebooks/{name}.ipynb") if entry.report else ()
    data = getattr(entry.result, "data", None)  # the notebook of the data has none of its own
    return graph.add(
        f"#notebook-{quote(name)}",
        "CreateAction",
        name=f"Notebook {name}",
        description=f"Options: {entry.result.options.model_dump_json()}" if data else f"Execution of {name}.ipynb",
        instrument=_software(graph, {"brainlib": version}),
        object=data and _data_set(graph, data.set, data.fingerprint, data.source == PHANTOMS),
        result=graph.add_files(*pages, f"results/{name}.json", "results.json"),
        **_ended(began, began + timedelta(seconds=entry.seconds), entry.error),
    )


def _ended(start, end, error=None):
    """Return when an action began and ended, how, and by whom."""
    return {
        "startTime": start.isoformat(timespec="seconds"),
        "endTime": end.isoformat(timespec="seconds"),
        "actionStatus": f"http://schema.org/{'Failed' if error else 'Completed'}ActionStatus",
        "error": _text(error or ""),
        "agent": _SOMEONE,
    }


def _software(graph, environment):
    """Add brainlib, in a version that a hash of its code tells apart, and the software that it required."""
    version = "+".join(_text(environment[name]) for name in ("brainlib", "code") if name in environment)
    versions = {name: _text(environment[name]) for name in _HOMES if name in environment}
    required = [
        graph.add(f"{_HOMES[name]}#{quote(its)}", "SoftwareApplication", name=name, version=its, url=_HOMES[name])
        for name, its in versions.items()
    ]
    told_apart = hashlib.sha256(f"{version} {versions}".encode()).hexdigest()[:12]
    return graph.add(
        f"{_NOWHERE}#{told_apart}",
        "SoftwareApplication",
        name="brainlib",
        version=version,
        url=_NOWHERE,
        softwareRequirements=required,
    )


def _data_set(graph, name, fingerprint, phantom):
    published = REGISTRY.get(name)
    title = published.title if published else "own images"  # whose title may be the name of a folder
    licence = f"Licence: {published.licence}. " if published and not phantom else ""
    return graph.add(
        f"#images-{quote(fingerprint)}",
        "Dataset",
        name=f"phantoms in the layout of {title}" if phantom else title,
        description=f"{licence}The images are not in this crate.",
        url=published.url if published and not phantom else "",
        identifier=_value(graph, "fingerprint", fingerprint),
    )


def _value(graph, name, value):
    name, value = _text(name), _text(value)
    return graph.add(f"#{quote(name)}-{quote(value, safe='')}", "PropertyValue", name=name, value=value)


def _text(value):
    """Return a value as a text that can be encoded, without folders and addresses of machines."""
    text = str(value).encode(errors="replace").decode()
    return _FOLDERS.sub("…/", _ADDRESSES.sub("…", text))
