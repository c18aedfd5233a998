"""Kept predictions: from them alone, records are computed again, and a changed number or file is found."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil

import numpy as np
import pandas as pd
import pytest
from made_up import FACTS, dataset_of, study_of

from brainlib import cli
from brainlib.data import datasets
from brainlib.errors import DataError, StoreError
from brainlib.study import kept, records
from brainlib.study.results import Results
from brainlib.trials import jobs, store
from brainlib.trials.trial import TrialResult

SAME_IMAGE = 40  # images 0 to 39 of the set are one slice


def trained(trial, data, folder, wrong: int) -> None:
    """Store made-up predictions of a trial: the first so many test images are classified wrongly."""
    rows, parts = jobs.split(trial, data)
    table = (
        data.table.iloc[rows][["path", "label"]].assign(part=parts, group=data.group_ids()[rows]).reset_index(drop=True)
    )
    tested = np.flatnonzero(parts == "test")
    p = np.where(table["label"] == "yes", 0.7 + np.arange(len(table)) / 1000, 0.3 - np.arange(len(table)) / 1000)
    p[tested[:wrong]] = 1 - p[tested[:wrong]]
    table = table.assign(phase=trial.phases[-1].name, p_no=1 - p, p_yes=p)
    history = pd.DataFrame({"phase": trial.phases[-1].name, "epoch": [1, 2], "loss": 0.5, "accuracy": 0.8})
    history = history.assign(val_loss=[0.5, 0.4], val_accuracy=[0.7, 0.8], seconds=6.0)
    epochs = pd.concat([table.iloc[tested][["path", "label", "p_no", "p_yes"]].assign(epoch=n) for n in (1, 2)])
    facts = {**FACTS, "trial": trial.described()}
    store.save(folder, trial.key, facts, {"predictions": table, "history": history, "epochs": epochs})


@pytest.fixture
def reference(tmp_path, monkeypatch):
    """A kept run of hajhashem with two seeds, and retrained: 6, 7 and 8 of 51 test images are wrong."""
    monkeypatch.setattr(records, "run_shortcuts", lambda results: ())
    data = dataset_of("navoneel", [0] * SAME_IMAGE + [*range(SAME_IMAGE, 253)])
    hashes = [hashlib.sha256(path.encode()).hexdigest() for path in data.table["path"]]
    table = data.table.assign(byte_hash=hashes)
    data = dataclasses.replace(data, table=table, fingerprint=datasets.fingerprint(table))
    study = study_of("hajhashem", tmp_path, data, seeds=2, retrain=True)
    for wrong, each in zip((6, 7, 8), (study, study.at_seed(1), study.duplicates_apart()), strict=True):
        (trial,) = each.trials()
        trained(trial, data, study.options.store, wrong)
    plain = study_of("hajhashem", tmp_path, data)
    first = trained_results(plain)
    outcome = records.NotebookResult(status="ran", error=None, seconds=1.0, report=None, result=records.of(first))
    audit = outcome.model_copy(update={"status": "failed", "error": "not made", "result": None})
    run = records.Run(brainlib="1", created="2026-11-26T00:00:00+00:00", audit=audit, papers={"hajhashem": outcome})
    records.write(tmp_path / "results.json", run)
    kept.keep(study, tmp_path / "results.json", tmp_path / "reports" / "reference" / "run")
    return tmp_path / "reports" / "reference" / "run"


def trained_results(study):
    (trial,) = study.trials()
    facts, tables = store.read(study.options.store, trial.key)
    return Results(study, {("", "resnet18", "final"): TrialResult(trial, facts=facts, **tables)})


def record_of(folder):
    return records.read(folder / kept.RECORDS, records.Run).papers["hajhashem"].result


def test_records_follow_from_the_kept_predictions_alone(reference):
    shutil.rmtree(reference.parents[1] / "store")
    record = record_of(reference)
    (accuracy,) = (each for each in record.claims if each.id == "abstract.accuracy")
    assert accuracy.by_seed == pytest.approx([45 / 51, 44 / 51])
    (effect,) = (each for each in record.duplicates if each.score == "accuracy")
    assert (effect.published.value, effect.published.n) == (pytest.approx(45 / 51), 51)
    assert effect.retrained.value == pytest.approx(1 - 8 / effect.retrained.n)
    assert list(kept.differences(record.model_dump(), kept.recomputed(reference).model_dump())) == []
    assert kept.models(reference) == 3


def test_no_file_says_where_it_was_made_and_none_is_large(reference):
    assert sorted(path.name for path in reference.iterdir()) == [
        "history.parquet", "images.parquet", "models.json", "predictions-1.parquet", "results.json",
    ]  # fmt: skip
    for path in reference.iterdir():
        assert path.stat().st_size < 1_000_000 and str(reference.parents[2]).encode() not in path.read_bytes()


PAGES = """
import re
from pathlib import Path
from types import SimpleNamespace
from brainlib.report.headlines import Finding, Reference
TABLE = VALUE = re.compile("7")
IMAGES = Path(__file__).parent
PAGES, SUMMARY = [IMAGES / "page.md"], IMAGES / "reference.json"
def filled(text):
    return text.replace("8", "7")
def reference():
    return Reference(source="2026", headlines=(), findings=(Finding(sentence="It is 7.", source="a run"),))
def figures():
    return {"forest.svg": SimpleNamespace(alt="7 < 9")}
"""


def test_a_changed_prediction_and_a_changed_record_are_found(reference, capsys):
    checkout = reference.parents[2]
    (checkout / "docs").mkdir()
    (checkout / "docs" / "make_results.py").write_text(PAGES)
    page = checkout / "docs" / "page.md"
    page.write_text("accuracy 7\n")
    summary, figure = page.with_name("reference.json"), page.with_name("forest.svg")
    summary.write_text('{"source": "2026", "headlines": [], "findings": [{"sentence": "It is 7.", "source": "a run"}]}')
    figure.write_text("<dc:description>7 &lt; 9</dc:description>")
    assert cli.main(["verify", str(checkout)]) == 0
    assert "run: same\n" in capsys.readouterr().out
    summary.write_text(summary.read_text().replace("7", "8"))
    figure.write_text(figure.read_text().replace("7", "8"))
    assert cli.main(["verify", str(checkout)]) == 1
    said = capsys.readouterr().out
    assert "findings[0].sentence: kept 'It is 8.', computed 'It is 7.'\n" in said
    assert "docs/forest.svg: DIFFERENT\n  its description differs; computed: 7 < 9\n" in said
    summary.write_text(summary.read_text().replace("8", "7"))
    figure.write_text(figure.read_text().replace("8", "7"))
    page.write_text("F1 7\naccuracy 8\n")
    assert cli.main(["verify", str(checkout)]) == 1
    said = capsys.readouterr().out
    assert "docs/page.md: DIFFERENT\n" in said and "line 2: accuracy 8\n  computed: accuracy 7\n" in said
    page.write_text("accuracy 7\n")
    text = (reference / kept.RECORDS).read_text()
    content = json.loads(text)
    claims = content["papers"]["hajhashem"]["result"]["claims"]
    (n,) = (n for n, each in enumerate(claims) if each["id"] == "abstract.accuracy")
    claims[n]["reproduced"]["value"] = 0.9
    (reference / kept.RECORDS).write_text(json.dumps(content))
    assert cli.main(["verify", str(checkout)]) == 1
    assert f"claims[{n}].reproduced.value: kept 0.9, computed 0.882353" in capsys.readouterr().out
    (reference / kept.RECORDS).write_text(text)
    file = reference / "predictions-1.parquet"
    table = pd.read_parquet(file)
    wanted = table["epoch"].isna() & (table["part"] == "test") & (table["model"] == table["model"][0])
    one = table.index[wanted][[20]]
    table.loc[one, ["p_no", "p_yes"]] = table.loc[one, ["p_yes", "p_no"]].to_numpy()
    table.to_parquet(file)
    assert cli.main(["verify", str(checkout)]) == 1


def test_damaged_or_incomplete_predictions_give_one_line(reference):
    (reference / "predictions-1.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(DataError, match="predictions-1.parquet: expected kept predictions, received "):
        kept.recomputed(reference)
    (reference / "models.json").write_text("{}")
    with pytest.raises(
        DataError, match="models.json: expected the description of kept predictions, received one without"
    ):
        kept.recomputed(reference)


def test_nothing_is_trained_where_a_model_is_missing(reference):
    file = reference / "predictions-1.parquet"
    table = pd.read_parquet(file)
    table[table["model"] != record_key(reference)].to_parquet(file)
    with pytest.raises(StoreError, match="expected the predictions of every planned model among those kept"):
        kept.recomputed(reference)


def record_key(folder):
    return next(iter(json.loads((folder / "models.json").read_text())["models"]))


def test_other_images_than_those_kept_are_refused(reference):
    table = pd.read_parquet(reference / "images.parquet")
    table.loc[0, "byte_hash"] = "0" * 64
    table.to_parquet(reference / "images.parquet")
    with pytest.raises(DataError, match="images.parquet: expected images of the fingerprint"):
        kept.recomputed(reference)
