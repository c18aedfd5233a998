"""A run as an RO-Crate: what it says of trials, of failures and of nobody, and what the validator finds."""

from __future__ import annotations

import json
import os
import platform
import random
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest
from hostile import edited
from made_up import FACTS
from stored import audited, result

from brainlib.data.registry import info_of
from brainlib.report.crate import NAME, PROFILE, SPECIFICATION, write_crate
from brainlib.report.index import write_results
from brainlib.report.notebook import Outcome
from brainlib.trials import store

# What the context of RO-Crate 1.1 says of the terms that a crate of ours may use.
TERMS = {
    name: f"http://schema.org/{name}"
    for name in (
        *("CreateAction", "CreativeWork", "Dataset", "Organization", "PropertyValue", "SoftwareApplication"),
        *("about", "actionStatus", "agent", "author", "datePublished", "description", "encodingFormat", "endTime"),
        *("error", "hasPart", "identifier", "instrument", "license", "mentions", "name", "object", "publisher"),
        *("result", "softwareRequirements", "startTime", "url", "value", "version"),
    )
} | {"File": "http://schema.org/MediaObject", "conformsTo": "http://purl.org/dc/terms/conformsTo"}
VERSIONS = {"brainlib": "0.1.0", "code": "0123456789ab", "python": "3.11.2", "tensorflow": "2.21.0", "keras": "3.15.1"}
ENDED = 1_790_000_000  # 2026-09-21 14:13:20 in UTC
VALIDATOR = Path(sys.executable).with_name("rocrate-validator")


def facts(**changes):
    trial = {"paper": "jardim", "scenario": "", "arm": "cnn", "stage": "final", "classes": ["no", "yes"], "size": 16}
    trial |= {"seed": 3, "data": "0123456789abcdef", "model": {"backbone": ""}, "split": {"images": 0, "by": "image"}}
    trial |= {"conditions": ["2 instead of 30 epochs"]} | changes.pop("trial", {})
    return FACTS | {"trial": trial, "environment": VERSIONS | FACTS["environment"]} | changes


@pytest.fixture
def report(tmp_path):
    """A report of a notebook that ran and one that failed, whose store may be filled before `described` is called."""
    out = tmp_path / "reports"
    (out / "results").mkdir(parents=True)
    (out / "notebooks").mkdir()
    (out / "results" / "jardim.json").write_text(json.dumps(result()))
    (out / "results" / "00_data_audit.json").write_text(json.dumps(audited()))
    for name in ("index", "consistency"):
        (out / f"{name}.html").write_text("a page")
    for name in ("jardim", "00_data_audit"):
        (out / f"{name}.html").write_text("a page")
        (out / "notebooks" / f"{name}.ipynb").write_text("{}")
    return out


def put(out, key="aa11", **changes):
    """Store a trial, and return its file of facts."""
    path = out / "store" / "trials" / key / store.FACTS
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(facts(**changes)))
    path.with_name("predictions.parquet").write_bytes(b"PAR1")
    os.utime(path, (ENDED, ENDED))
    return path


def results_of(out, error="ValueError: no"):
    """Write the results of a notebook that ran and, unless its error is None, of one that failed."""
    outcomes = [Outcome("jardim", True, None, 60.0, out / "jardim.html")]
    outcomes += [Outcome("lu", False, error, 20.0, out / "lu.html")] if error else []
    return write_results(out, outcomes, Outcome("00_data_audit", True, None, 30.0, out / "00_data_audit.html"))


def described(out, run=None):
    """Write the crate of a run, and return its entities by their identifiers."""
    content = json.loads(write_crate(out, run or results_of(out)).read_text(encoding="utf-8"))
    entities = {entity["@id"]: entity for entity in content["@graph"]}
    assert len(entities) == len(content["@graph"])
    return entities


def listed(value):
    return value if isinstance(value, list) else [value]


def values(entities, references):
    """What a list of references to property values holds, by name."""
    found = [entities[reference["@id"]] for reference in listed(references)]
    return {each["name"]: each["value"] for each in found}


def test_a_trial_has_its_times_its_software_its_machine_and_its_files(report):
    put(report)
    entities = described(report)
    trial = entities["#trial-aa11"]
    assert (trial["@type"], trial["name"]) == ("CreateAction", "Trial jardim cnn final, seed 3")
    assert trial["description"] == "12.0 s of training. 2 instead of 30 epochs"
    assert trial["startTime"] == "2026-09-21T14:13:05+00:00"  # 12 seconds of training and 3 of other work earlier
    assert trial["endTime"] == "2026-09-21T14:13:20+00:00"
    assert trial["actionStatus"] == "http://schema.org/CompletedActionStatus" and "error" not in trial
    software = entities[trial["instrument"]["@id"]]
    assert (software["name"], software["version"]) == ("brainlib", "0.1.0+0123456789ab")
    required = [entities[each["@id"]] for each in software["softwareRequirements"]]
    assert {each["name"]: each["version"] for each in required} == {
        "python": "3.11.2",
        "tensorflow": "2.21.0",
        "keras": "3.15.1",
    }
    machine = {"processor": "a processor", "cores": "2", "accelerators": "0", "threads": "2"}
    assert values(entities, trial["environment"]) == machine
    files = [f"store/trials/aa11/{name}" for name in ("predictions.parquet", "trial.json")]
    assert [file["@id"] for file in trial["result"]] == files
    assert entities[files[0]]["encodingFormat"] == "application/vnd.apache.parquet"


def test_a_data_set_has_its_address_and_fingerprint_and_no_image(report):
    put(report)
    put(report, "bb22", trial={"data": "fedcba9876543210"}, data=FACTS["data"] | {"phantom": True})
    entities = described(report)
    real, phantoms = (entities[entities[f"#trial-{key}"]["object"]["@id"]] for key in ("aa11", "bb22"))
    assert (real["name"], real["url"]) == (info_of("br35h").title, info_of("br35h").url)
    assert real["description"] == "Licence: not stated. The images are not in this crate."
    assert values(entities, real["identifier"]) == {"fingerprint": "0123456789abcdef"}
    assert phantoms["name"] == f"phantoms in the layout of {real['name']}" and "url" not in phantoms
    assert values(entities, phantoms["identifier"]) == {"fingerprint": "fedcba9876543210"}
    assert not [name for name in entities if name.endswith((".png", ".jpg"))]


def test_a_notebook_that_failed_is_a_failed_action_with_its_error(report):
    entities = described(report)
    failed, ran = entities["#notebook-lu"], entities["#notebook-jardim"]
    assert failed["actionStatus"] == "http://schema.org/FailedActionStatus"
    assert failed["error"] == "ValueError: no"
    assert failed["result"] == {"@id": "results.json"}  # it left no page
    assert ran["actionStatus"] == "http://schema.org/CompletedActionStatus" and "error" not in ran
    assert {"@id": "jardim.html"} in ran["result"] and {"@id": "notebooks/jardim.ipynb"} in ran["result"]
    assert '"profile":"smoke"' in ran["description"]
    # All notebooks begin together: this one took 60 seconds, the other 20.
    assert ran["startTime"] == failed["startTime"] < failed["endTime"] < ran["endTime"]
    assert ran["endTime"] == entities["./"]["datePublished"]


def test_no_folder_machine_or_person_is_named(report):
    error = "OSError: '/home/anna/a b.png' or file:///home/anna or C:\\Users\\anna\\x: tcp://node7.lan:8786 is gone"
    put(report, data=FACTS["data"] | {"set": "own", "title": "anna"}, trial={"data": "fedcba9876543210"})
    entities = described(report, results_of(report, error))
    text = (report / NAME).read_text(encoding="utf-8")
    assert not re.search(r"anna|node7|file:", text)
    assert str(report) not in text and str(Path.home()) not in text and platform.node() not in text
    assert entities["#images-fedcba9876543210"]["name"] == "own images"
    assert entities["#notebook-lu"]["error"] == "OSError: '…/a b.png' or … or …/x: … is gone"
    assert not [name for name in entities if name.startswith("/") or ":/" in name and not name.startswith("https://")]


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_text("{"),
        lambda path: path.write_text('["a list"]'),
        lambda path: path.write_bytes(b"\xff\xfe"),
        lambda path: path.unlink(),
        lambda path: path.with_name("predictions.parquet").unlink(),
        lambda path: path.write_text(json.dumps(facts(seconds={"training": 1e308, "other": 3.0}))),
        lambda path: path.write_text(json.dumps(facts(seconds={"training": float("nan"), "other": 3.0}))),
    ],
    ids=["half", "list", "bytes", "no facts", "no predictions", "long", "nan"],
)
def test_a_damaged_trial_is_left_out_and_counted(report, damage):
    put(report)
    damage(put(report, "bb22"))
    entities = described(report)
    assert "#trial-aa11" in entities and "#trial-bb22" not in entities
    assert "1 stored results cannot be read and are left out." in entities["./"]["description"]


def test_trials_of_other_papers_and_those_set_aside_are_not_of_the_run(report):
    put(report, "bb22", trial={"paper": "yim"})
    put(report).parent.rename(report / "store" / "trials" / "aa11.damaged-1")
    entities = described(report)
    assert not [name for name in entities if name.startswith("#trial")]
    assert "left out" not in entities["./"]["description"]


def test_no_facts_stop_a_run(report):
    rng, path, run = random.Random(0), put(report), results_of(report)
    for _ in range(60):
        path.write_text(json.dumps(edited(facts(environment=VERSIONS | {"processor": "\ud800"}), rng)))
        assert_follows_the_rules(described(report, run), report)


def assert_follows_the_rules(entities, out):
    """What RO-Crate 1.1 and Process Run Crate 0.5 require and recommend, as far as it concerns a crate of ours."""
    root = entities["./"]
    assert entities[NAME]["about"] == {"@id": "./"} and entities[NAME]["conformsTo"] == {"@id": SPECIFICATION}
    assert root["@type"] == "Dataset" and root["conformsTo"] == {"@id": PROFILE}
    assert entities[PROFILE]["@type"] == entities[root["license"]["@id"]]["@type"] == "CreativeWork"
    files = {name for name, entity in entities.items() if entity["@type"] == "File"}
    assert {each["@id"] for each in listed(root["hasPart"])} == files
    assert [name for name in files if not (out / unquote(name)).is_file()] == []
    actions = [entity for entity in entities.values() if entity["@type"] == "CreateAction"]
    assert {each["@id"] for each in listed(root["mentions"])} == {action["@id"] for action in actions}
    needed = {"SoftwareApplication": {"name", "url", "version"}, "Organization": {"name", "url"}}
    needed |= {"File": {"encodingFormat"}, "PropertyValue": {"name"}, "Dataset": {"name", "description"}}
    needed["CreateAction"] = {"name", "description", "instrument", "agent", "result", "startTime", "endTime"}
    for entity in entities.values():
        assert needed.get(entity["@type"], set()) <= set(entity), entity
        assert set(entity) - {"@id", "@type", "environment"} <= set(TERMS) and entity["@type"] in TERMS
        for each in (each for value in entity.values() for each in listed(value) if not isinstance(each, str)):
            assert each.keys() == {"@id"} and each["@id"] in {*entities, SPECIFICATION}, entity
        assert [name for name, value in entity.items() if isinstance(value, list) and len(value) < 2] == []
    for action in actions:
        assert entities[action["instrument"]["@id"]]["@type"] == "SoftwareApplication"
        for moment in ("startTime", "endTime"):
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", action[moment])


def test_it_follows_the_rules_without_trials_and_without_failures(report):
    assert_follows_the_rules(described(report, results_of(report, None)), report)
    put(report)
    assert_follows_the_rules(described(report), report)


@pytest.mark.slow
def test_the_validator_finds_nothing_that_is_required_or_recommended(report, tmp_path):
    put(report)
    put(report, "bb22").write_text("damaged")
    put(report, "cc33", trial={"data": "fedcba9876543210"}, data=FACTS["data"] | {"phantom": True})
    described(report)
    path, found = report / NAME, tmp_path / "found.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["@context"][0] = TERMS  # it is not fetched, as no test reaches the network
    path.write_text(json.dumps(content))
    asked = ["--profile-identifier", "process-run-crate-0.5", "--requirement-severity", "RECOMMENDED"]
    asked += ["--offline", "--cache-path", str(tmp_path / "cache"), "-f", "json", "-o", str(found)]
    done = subprocess.run([VALIDATOR, "-y", "validate", *asked, str(report)], capture_output=True, text=True)
    assert found.is_file(), done.stdout + done.stderr
    answer = json.loads(found.read_text(encoding="utf-8"))
    assert answer["issues"] == [] and answer["passed"] and answer["skipped_checks"] == 0
    assert answer["statistics"]["total_checks_by_severity"]["RECOMMENDED"] > 50
