"""Patient leakage: a model that recognises patients scores only where their other slices were in training."""

from __future__ import annotations

import pandas as pd
import pytest
from PIL import Image
from test_controls import memorising

from brainlib.data import load_dataset
from brainlib.data.phantoms.draw import make_phantoms
from brainlib.errors import UsageError
from brainlib.report import tables
from brainlib.stats.intervals import wilson_interval
from brainlib.study import leakage
from brainlib.study.study import Study
from brainlib.trials import run

PATIENTS, SLICES = 40, 3


@pytest.fixture(scope="module")
def slices(tmp_path_factory):
    """Healthy patients with labels drawn at random, of whom three slices each and some duplicates are there."""
    root = tmp_path_factory.mktemp("slices")
    drawn = make_phantoms(PATIENTS * SLICES + 12, size=96, kinds=("none",), exact_duplicates=12)
    labels = dict(zip(drawn.table["patient"].unique(), ["no", "yes"] * (PATIENTS // 2), strict=True))
    rows = []
    for number, (patient, pixels) in enumerate(zip(drawn.table["patient"], drawn.images, strict=True)):
        path = f"{labels[patient]}/{number}.png"
        (root / path).parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(root / path)
        rows.append((path, patient))
    pd.DataFrame(rows, columns=["path", "patient"]).to_csv(root / "patients.csv", index=False)
    return load_dataset(root, store=root / "store", patients=root / "patients.csv")


def test_slices_of_one_patient_on_both_sides_are_worth_what_a_memorising_model_scores(slices, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "run_trials", memorising)
    study = Study("jardim", dataset=slices, out=str(tmp_path), arms=["cnn"], profile="full")
    found = {each.split: each for each in leakage.patient_leakage(study)}
    by_slice, by_group, by_patient = (found[name] for name in (leakage.SLICE, leakage.GROUP, leakage.PATIENT))
    # Every image is tested once in each.
    assert {each.score.n for each in found.values()} == {len(slices.table)}
    # The labels say nothing of the images, so that only who has seen the patient can know them.
    assert by_slice.score.value > 0.9 and by_group.score.value > 0.85
    assert abs(by_patient.score.value - 0.5) < 0.2
    assert by_slice.duplicates > 0 and by_slice.patients > 0.8
    assert by_group.duplicates == 0 and by_group.patients > 0.8
    assert by_patient.duplicates == by_patient.patients == by_patient.difference.value == 0
    assert by_group.difference.value == pytest.approx(by_group.score.value - by_patient.score.value)
    assert 0.1 < by_group.difference.low < by_group.difference.value < by_group.difference.high
    # The interval draws patients, whose slices are right or wrong together: slices alone would make it narrower.
    wilson = wilson_interval(round(by_patient.score.value * by_patient.score.n), by_patient.score.n)
    assert by_patient.score.high - by_patient.score.low > 1.2 * (wilson.high - wilson.low)
    table = tables.patient_leakage(list(found.values())).frame
    assert table["split by"].tolist() == list(found)
    assert table["minus split by patient"].tolist() == [each.difference.value for each in found.values()]


def test_a_set_without_patients_is_refused(slices, tmp_path):
    unnamed = load_dataset(slices.root, store=tmp_path / "store")
    with pytest.raises(UsageError, match="expected images of known patients, received none"):
        leakage.patient_leakage(Study("jardim", dataset=unnamed, out=str(tmp_path), arms=["cnn"]))
