"""What a reader does with an audit: a split without leaks, decisions on pairs, more images."""

from __future__ import annotations

import json
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from pngs import write_image

from brainlib import cli
from brainlib.audit import decisions, findings
from brainlib.audit.decisions import honoured
from brainlib.audit.findings import audit_folder
from brainlib.audit.near_duplicates import NearDuplicates
from brainlib.data.groups import connected
from brainlib.data.phantoms.draw import make_phantoms
from brainlib.data.scan import Scan
from brainlib.errors import DataError
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


@pytest.fixture(scope="module")
def reviewed(tmp_path_factory):
    """A slice with two duplicates and one of the same pixels, in two classes, and another slice."""
    root = tmp_path_factory.mktemp("reviewed")
    one, other = make_phantoms(2, slices_per_patient=1, seed=2).images
    write_image(root / "x" / "a.png", one)
    write_image(root / "x" / "a.bmp", one)
    write_image(root / "x" / "b.jpg", one)
    write_image(root / "y" / "c.png", np.uint8(255 * (one / 255) ** 0.8))
    write_image(root / "y" / "d.png", other)
    return root


def decided(folder, file, *rows):
    file.write_text("\n".join(["first,second,decision", *rows]))
    return audit_folder(str(folder), decisions=file)


def test_confirmed_pairs_are_grouped_and_rejected_ones_are_not(reviewed, tmp_path):
    same = ["x/a.bmp", "x/a.png"]
    assert audit_folder(str(reviewed)).groups("near") == [[*same, "x/b.jpg", "y/c.png"]]
    file = tmp_path / "decisions.csv"
    # The other pairs connect c no more, once it is rejected with both.
    found = decided(reviewed, file, "x/a.png,y/c.png,rejected", "y/c.png,x/b.jpg,rejected")
    assert found.groups("near") == [[*same, "x/b.jpg"]] and found.contradictions == ()
    # What is decided of one image is decided of those with its pixels.
    found = decided(reviewed, file, "x/b.jpg,x/a.bmp,rejected", "y/c.png,x/b.jpg,rejected", "y/d.png,x/a.bmp,confirmed")
    assert found.groups("near") == [[*same, "y/c.png", "y/d.png"]]
    assert {("x/a.bmp", "y/d.png"), ("x/a.png", "y/d.png")} <= set(found.contradictions)
    assert cli.main(["audit", str(reviewed), "--decisions", str(file), "--split", str(tmp_path / "split.csv")]) == 2
    assert decided(reviewed, file).groups("near") == audit_folder(str(reviewed)).groups("near")


def test_images_that_connect_a_rejected_pair_stay_with_the_one_that_is_more_like_them(monkeypatch):
    # A chain of five; that of 1 and 3, which others connected, was not compared before.
    correlation = {(0, 1): 0.99, (1, 2): 0.91, (2, 3): 0.95, (1, 3): 0.93, (3, 4): 0.9}
    found = [(0, 1), (1, 2), (2, 3), (3, 4), (5, 6)]

    def compare(_, pairs, other=0.5):
        values, none = np.array([correlation.get(tuple(pair), other) for pair in pairs.tolist()]), np.zeros(len(pairs))
        return NearDuplicates(pairs, none > 0, values, none, none > 0)

    near = compare(None, np.array(found), other=0.9)

    monkeypatch.setattr(decisions, "compare", compare)
    table = pd.DataFrame({"path": list("abcdefg"), "pixel_hash": list("abcdefg")})
    scan = Scan("", table, (), np.zeros((7, 1, 1), np.uint8))
    for (first, second), expected in {
        ("a", "e"): "abcd e fg",
        ("a", "c"): "ab cde fg",
        ("f", "g"): "abcde f g",
    }.items():
        given = pd.DataFrame({"first": [second], "second": [first], "decision": ["rejected"]})
        group = connected(7, honoured(near, given, scan).pairs)
        together = {pair for each in expected.split() for pair in combinations(each, 2)}
        assert {(a, b) for a, b in combinations("abcdefg", 2) if group[ord(a) - 97] == group[ord(b) - 97]} == together


@pytest.mark.fault("7q", "a file of decisions that contradict one another or the images", "refused in one line")
@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (["x/a.png,x/z.png,confirmed"], "received 'x/z.png' in row 1"),
        (["x/a.png,y/c.png,maybe"], "a decision of confirmed or rejected; received 'maybe'"),
        (["x/a.png,y/c.png,confirmed,no"], "each first and second once; received Length of header"),
        (["x/a.png,x/a.bmp,rejected"], "rejected pairs of different pixels"),
        (["x/a.png,y/c.png,confirmed", "x/a.png,y/c.png,rejected"], "'x/a.png and y/c.png' a second time"),
        (["x/a.bmp,y/c.png,confirmed", "y/c.png,x/a.png,rejected"], "joins two images that are rejected"),
        (["x/a.png,y/d.png,confirmed", "y/d.png,y/c.png,confirmed", "x/a.png,y/c.png,rejected"], "joins two images"),
    ],
)
def test_decisions_that_cannot_be_followed_are_refused(reviewed, tmp_path, rows, words):
    with pytest.raises(DataError, match=words):
        decided(reviewed, tmp_path / "decisions.csv", *rows)
    (tmp_path / "decisions.csv").write_text("path,decision\n")
    with pytest.raises(DataError, match="columns first, second and decision"):
        audit_folder(str(reviewed), decisions=tmp_path / "decisions.csv")


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Two folders of phantoms: of the second, seven are duplicates of images of the first, and two of one another."""
    root = tmp_path_factory.mktemp("two")
    made = make_phantoms(48, slices_per_patient=1, altered_duplicates=6, exact_duplicates=2, seed=4)
    for row in made.table.itertuples():
        folder = "first" if row.duplicate_of < 0 and row.Index < 30 else "second"
        write_image(root / folder / "brain" / f"{row.Index}.png", made.images[row.Index])
    return root, made.table


def test_added_images_alone_are_compared_and_groups_are_those_of_one_audit_of_all(two, tmp_path, monkeypatch, capsys):
    root, truth = two
    whole = audit_folder(str(root)).groups("near")
    compared, search = [], findings.near_duplicates.find_near_duplicates

    def counted(thumbnails, on_progress, since, run):
        compared.append((since, len(thumbnails)))
        return search(thumbnails, on_progress, since, run)

    monkeypatch.setattr(findings.near_duplicates, "find_near_duplicates", counted)
    command = ["audit", str(root / "first"), "--out", str(tmp_path)]
    assert cli.main(command) == 0
    for _ in range(2):  # the second time takes all from the store
        assert cli.main([*command, "--add", str(root / "second"), "--json", str(tmp_path / "found.json")]) == 0
    n = sum(1 for _ in (root / "first").rglob("*.png"))
    distinct = len(truth) - (truth["alteration"] == "exact").sum()
    assert compared == [(0, n), (n, distinct)]
    found = json.loads((tmp_path / "found.json").read_text())
    assert sorted(sorted(path.replace("second/", "") for path in group) for group in found["groups"]["near"]) == sorted(
        sorted(path.partition("/")[2] for path in group) for group in whole
    )
    copies = truth[(truth["duplicate_of"] >= 0) & (truth["duplicate_of"] < 30)]
    known = {f"second/brain/{row.Index}.png": f"brain/{row.duplicate_of}.png" for row in copies.itertuples()}
    assert found["added_duplicates"] == known
    assert f"added: {48 - n} images, {len(known)} with a duplicate among the others" in capsys.readouterr().out


def test_added_images_keep_their_paths_apart(two):
    root, _ = two
    with pytest.raises(DataError, match="first: expected another name"):
        findings.audit_folder(str(root), added=str(root / "first"))
