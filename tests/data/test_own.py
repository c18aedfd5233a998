"""Own images: what a folder, the arguments and a YAML file say of them, and what is refused."""

from __future__ import annotations

import os

import numpy as np
import pytest
from pngs import write_image

from brainlib.data import load_dataset, own
from brainlib.data.own import is_own
from brainlib.errors import BrainlibError, DataError

MAPPED = {"healthy": "no", "sick": "yes"}


@pytest.fixture
def folder(tmp_path):
    """Class folders with patients below them, in train and test folders; a third one, and pages of notes."""
    paths = ["TRAIN/healthy/ann/1.png", "TRAIN/healthy/bob/2.png", "TRAIN/sick/cem/3.png", "TRAIN/sick/dan/10.png"]
    paths += ["Testing/healthy/eve/4.png", "Testing/sick/cem/5.png", "TRAIN/unclear/fay/6.png"]
    for seed, path in enumerate(paths):
        pixels = np.random.default_rng(seed).integers(0, 256, (8, 9), dtype=np.uint8)
        write_image(tmp_path / "mine" / path, pixels)
    (tmp_path / "mine" / "notes.txt").write_text("no image")
    return tmp_path / "mine"


def described(folder, text):
    path = folder.parent / "my_set.yaml"
    path.write_text(text)
    return path


ALL = {**MAPPED, "unclear": ""}
BY_FOLDER = r"(?:healthy|sick)/(\w+)/"


def test_folders_have_the_classes_that_they_are_given_at_any_depth(folder, store):
    table = load_dataset(folder, store=store, classes=ALL, patients=BY_FOLDER).table
    rows = table[["path", "label", "part", "patient"]].to_numpy().tolist()
    assert rows == [
        ["Testing/healthy/eve/4.png", "no", "test", "eve"],
        ["Testing/sick/cem/5.png", "yes", "test", "cem"],
        ["TRAIN/healthy/ann/1.png", "no", "train", "ann"],
        ["TRAIN/healthy/bob/2.png", "no", "train", "bob"],
        ["TRAIN/sick/cem/3.png", "yes", "train", "cem"],
        ["TRAIN/sick/dan/10.png", "yes", "train", "dan"],
    ]


def test_several_folders_may_have_one_class_and_patients_join_groups(folder, store):
    found = load_dataset(str(folder), store=store, classes={**MAPPED, "unclear": "yes"}, patients=r"/(\w+)/\d")
    assert (found.name, found.info.title, found.classes) == ("own", "mine", ("no", "yes"))
    assert len(found.table) == 7 and not found.phantom and found.differences == ()
    assert len(set(found.group_ids())) == 7 and len(set(found.group_ids(patients=True))) == 6


def test_a_yaml_file_says_the_same_from_where_it_lies(folder, store, monkeypatch):
    (folder.parent / "who.csv").write_text(
        "\ufeffpath,patient,age\nTRAIN/healthy/ann/1.png,x,50\nTRAIN/sick/cem/3.png,,\n"
    )
    path = described(
        folder,
        "title: Ward 7\nroot: mine\nclasses: {healthy: no, sick: yes, unclear: }\npatients: who.csv\nlicence: CC0\n",
    )
    monkeypatch.chdir("/")
    found = load_dataset(path, store=store)
    assert (found.info.title, found.info.licence, found.info.url) == ("Ward 7", "CC0", "")
    assert found.fingerprint == load_dataset(folder, store=store, classes=ALL).fingerprint
    # Of an empty cell and of an image without a row the patient is not known.
    assert found.table["patient"].tolist() == [None, None, "x", None, None, None]
    again = load_dataset(path, store=store, classes={"healthy": "normal", "sick": "glioma", "unclear": "glioma"})
    assert again.classes == ("glioma", "normal") and again.info.title == "Ward 7"


def test_a_folder_whose_folders_have_the_papers_names_needs_no_more(store, tmp_path):
    for seed, path in enumerate(["no/1.png", "yes/2.png"]):
        write_image(tmp_path / "br35h" / path, np.full((8, 8), 100 * seed, np.uint8))
    assert load_dataset(tmp_path / "br35h", store=store).classes == ("no", "yes")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classes": MAPPED}, r"unclear/fay/6\.png: expected an image in a folder called healthy or sick"),
        ({"classes": {**ALL, "sic": "yes"}}, "received no image in a folder called 'sic'"),
        ({"classes": {**ALL, "sick": ""}}, "of two classes or more.* received images of no"),
        ({"classes": {"healthy": False}}, r"mine: classes\.healthy: .*received False"),
        ({"classes": ALL, "patients": "("}, "one group; received '\\('"),
        ({"classes": ALL, "patients": "healthy"}, "received 'healthy', which has 0"),
        ({"classes": ALL, "patients": "healthy/(.*)/"}, "does not match 'Testing/sick/cem/5.png'"),
        ({"classes": ALL, "patients": "none.csv"}, r"none\.csv: expected a CSV .* No such file"),
    ],
)
def test_what_does_not_fit_the_folder_is_refused_in_one_line(folder, store, arguments, message):
    with pytest.raises(DataError, match=message) as caught:
        load_dataset(folder, store=store, **arguments)
    assert "\n" not in str(caught.value)


def test_a_pattern_that_takes_years_is_refused(folder, store, monkeypatch):
    monkeypatch.setattr(own, "SECONDS", 0.5)
    with pytest.raises(DataError, match=r"at most 0\.5 s; received .*, which takes longer"):
        load_dataset(folder, store=store, classes=ALL, patients=r"(?:(?:[^!]|[^?])*)*(#)")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"path,who\n1.png,x\n", "received columns path, who"),
        (b"path,patient\nTRAIN/sick/cem/3.png,x\nTRAIN/sick/cem/3.png,y\n", "received 'TRAIN/sick/cem/3.png' a second"),
        (
            b"path,patient\nTRAIN/sick/cem/4.png,x\n",
            "such as Testing/healthy/eve/4.png; received 'TRAIN/sick/cem/4.png'",
        ),
        (b"path,patient\n" + b"x" * 5000 + b",x\n", "such as Testing/healthy/eve/4.png; received 'xxx"),
        (b"path,patient\n\xff\xfe\x00,x\n", "expected a CSV"),
        (b'path,patient\n"', "expected a CSV"),
        (b"", "expected a CSV"),
    ],
)
def test_a_csv_of_patients_that_does_not_fit_is_refused_in_one_line(folder, store, content, message):
    (folder.parent / "who.csv").write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        load_dataset(folder, store=store, classes=ALL, patients=folder.parent / "who.csv")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("root: elsewhere", "elsewhere: expected one of br35h.*received nothing of that name"),
        ("clases: {a: b}", "my_set.yaml: clases: expected no key of this name"),
        ("root: [a]", "my_set.yaml: root: .*valid string"),
        ("root: mine\npatients: {a: b}", "my_set.yaml: patients: .*valid string"),
        ("root: &a mine\ntitle: *a", "my_set.yaml: line 1: expected no anchors or aliases"),
        ("title: !!python/object/apply:os.getcwd []", "my_set.yaml: line 1: expected no tags"),
        ('title: "a\\nb"', "my_set.yaml: title: .*pattern"),
        (f"root: {'x' * 5000}", "expected one of br35h.*received nothing"),
        ("- a", "my_set.yaml: expected a mapping of keys"),
        ("classes: {a: b, a: c}", "my_set.yaml: line 1: expected each key once"),
    ],
)
def test_a_yaml_file_that_says_something_else_is_refused_in_one_line(folder, store, text, message):
    with pytest.raises(DataError, match=message) as caught:
        load_dataset(described(folder, text), store=store)
    assert "\n" not in str(caught.value)


def test_images_beside_the_class_folders_are_refused(folder, store):
    os.rename(folder / "TRAIN" / "sick" / "cem" / "3.png", folder / "3.png")
    with pytest.raises(DataError, match=r"each in its folder; received 3\.png in no folder"):
        load_dataset(folder, store=store)


def test_a_folder_that_is_or_holds_a_registered_set_is_no_own_set(folder, tmp_path):
    (tmp_path / "data" / "br35h").mkdir(parents=True)
    known = {folder: True, tmp_path / "x.yml": True, tmp_path / "data": False, tmp_path / "data" / "br35h": False}
    assert {path: is_own(str(path)) for path in known} == known
    assert not any(map(is_own, ("phantoms", "kaggle", "nowhere")))


def test_neither_a_registered_set_nor_a_folder_is_answered_with_both(store):
    with pytest.raises(BrainlibError, match="brats: expected one of br35h, .*a folder .*a YAML file.*received nothing"):
        load_dataset("brats", store=store)
