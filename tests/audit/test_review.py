"""What a reader does with an audit: a split without leaks."""

from __future__ import annotations

import pandas as pd
import pytest
from pngs import write_image

from brainlib import cli
from brainlib.audit.findings import audit_folder
from brainlib.data.phantoms.draw import make_phantoms
from brainlib.study.prediction_files import read_paths


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A YAML file of 26 patients in a CSV, with three slices each and, of some, another duplicate."""
    root = tmp_path_factory.mktemp("own")
    made = make_phantoms(90, altered_duplicates=10, exact_duplicates=2, kinds=("none", "glioma"), seed=3)
    paths = [f"{row.kind}/{row.Index}.png" for row in made.table.itertuples()]
    for path, pixels in zip(paths, made.images, strict=True):
        write_image(root / "images" / path, pixels)
    # Of duplicates the patient is not known, as in a set that was put together of several.
    patients = made.table["patient"].astype(str).where(made.table["duplicate_of"] < 0, "")
    pd.DataFrame({"path": paths, "patient": patients}).to_csv(root / "patients.csv", index=False)
    (root / "own.yaml").write_text("root: images\npatients: patients.csv\n")
    return root / "own.yaml"


def test_a_split_has_no_duplicate_and_no_patient_in_two_parts(own, tmp_path):
    files = [tmp_path / f"{seed}-{turn}.csv" for seed, turn in ((0, 0), (0, 1), (1, 0))]
    for file in files:
        assert cli.main(["audit", str(own), "--split", str(file), "--seed", file.name[0]]) == 0
    first, again, other = (file.read_bytes() for file in files)
    assert first == again != other
    for file in files[1:]:
        split = pd.read_csv(file, dtype=str)
        found = audit_folder(str(own)).table
        assert split["path"].tolist() == found["path"].tolist() and split["label"].tolist() == found["label"].tolist()
        assert set(split["part"]) == {"train", "validation", "test"}
        for column in ("near", "patient"):
            assert split["part"].groupby(found[column]).nunique().max() == 1
        assert split["part"].groupby(split["group"]).nunique().max() == 1
        # Two classes of 45 images: a group of five at most more or less than 20 and 10 %.
        counts = pd.crosstab(split["label"], split["part"])
        assert counts["test"].between(4, 14).all() and counts["validation"].between(1, 9).all()


def test_a_split_tells_the_score_what_was_trained_on(own, tmp_path):
    target = tmp_path / "split.csv"
    split = audit_folder(str(own)).split()
    split.to_csv(target, index=False)
    assert read_paths(target) == split.loc[split["part"] == "train", "path"].tolist()


def test_a_set_that_cannot_be_split_is_refused_in_one_line(tmp_path, capsys):
    for number, pixels in enumerate(make_phantoms(4, slices_per_patient=1, seed=1).images):
        write_image(tmp_path / "set" / "ab"[number % 2] / f"{number}.png", pixels)
    command = ["audit", str(tmp_path / "set"), "--split", str(tmp_path / "split.csv")]
    for more, words in ([], "cannot split 4 images"), (["--seed", "-1"], "--seed: expected 0 to"):
        assert cli.main([*command, *more]) == 2
        error = capsys.readouterr().err.splitlines()
        assert words in error[-1] and not (tmp_path / "split.csv").exists()
