"""One image, one model: which files are read, and that probabilities are those that were stored."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image
from pngs import png
from uploads import BAD, GREY, saved, slice_like

from brainlib.app import viewer
from brainlib.errors import DataError
from brainlib.trials.stored import find_model


@pytest.mark.parametrize("name", BAD)
@pytest.mark.fault(
    "11e", "an upload is empty, huge, cut, animated, a bomb or no image", "refused in a sentence that says what to do"
)
def test_a_file_that_is_not_one_image_is_refused_in_a_sentence_that_says_what_to_do(name):
    data, sentence = BAD[name]
    with pytest.raises(DataError) as caught:
        viewer.open_upload(name, data)
    message = str(caught.value)
    assert message.startswith(f"{name}: expected") and sentence in message and "\n" not in message
    assert "save the slice as a PNG or JPEG" in message


@pytest.mark.parametrize(
    ("top", "brightest", "notes"), [(65535, 255, ["16 bits"]), (4095, 16, ["16 bits", "nearly black", "not be an MRI"])]
)
def test_an_image_of_16_bits_has_a_note_that_it_was_reduced_and_one_if_it_is_nearly_black(top, brightest, notes):
    image = viewer.open_upload("deep.png", saved(Image.fromarray(slice_like(top=top).astype(np.uint16))))
    assert image.image.mode == "L" and np.asarray(image.image).max() == pytest.approx(
        brightest, abs=5 if brightest > 99 else 0
    )
    assert [part in note for part, note in zip(notes, image.notes, strict=True)] == [True] * len(notes)


def test_colour_of_16_bits_is_noted_too_though_pillow_reads_8():
    values = np.repeat(slice_like((64, 64), 65535).astype(">u2")[..., None], 3, axis=2)
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    assert "has 16 bits" in viewer.open_upload("colour.png", png(64, 64, 16, 2, rows)).notes[0]


def test_a_name_is_shown_whole_only_if_it_is_short_and_printable():
    assert viewer.printable("a slice (3).png") == "a slice (3).png"
    assert viewer.printable("two\nlines\x1b.png") == "two?lines?.png"
    long = viewer.printable("x" * 5000 + "_left.png")
    assert len(long) == 80 and long.endswith("_left.png")


def test_a_good_image_has_no_note_and_an_odd_one_has_its_own():
    assert viewer.open_upload("good.png", saved(GREY)).notes == ()
    wide = Image.fromarray(slice_like((300, 150)).astype(np.uint8))
    assert "300 by 150 pixels are stretched" in viewer.open_upload("wide.png", saved(wide)).notes[0]
    red = Image.merge("RGB", [GREY, Image.new("L", GREY.size), Image.new("L", GREY.size)])
    assert viewer.open_upload("red.jpg", saved(red, "JPEG")).notes == ("This may not be an MRI slice: coloured.",)


@pytest.fixture(scope="module")
def stored(trained):
    """The store, and the result of the model that `viewer_of` shows."""
    return trained[0] / "store", trained[1]


def viewer_of(folder, result, source="phantoms"):
    return viewer.Viewer(folder, find_model(folder, result.trial.key), source)


def test_the_probabilities_are_those_that_were_stored(stored):
    folder, result = stored
    shown = viewer_of(folder, result)
    collection = shown.own_images
    for _, row in result.predictions.iloc[::5].iterrows():
        found = shown.probabilities(shown.pixels(collection.open(row["path"])))
        assert found == pytest.approx([row["p_no"], row["p_yes"]], abs=1e-6)


def test_images_of_the_models_set_are_named_by_their_part_and_leaked_ones_apart(stored):
    folder, result = stored
    test = result.part("test")
    leaked = test["group"].isin(result.part("train")["group"])
    table = viewer_of(folder, result).own_images.table
    counts = table["kind"].str.split(":").str[0].value_counts()
    assert counts.get("test, duplicate of a training image", 0) == leaked.sum()
    assert counts["test"] == len(test) - leaked.sum()
    assert counts["training"] == len(result.part("train"))
    assert table["seen"].sum() == leaked.sum() + len(result.part("train"))


def test_a_training_image_is_its_own_duplicate_and_the_nearest(stored):
    folder, result = stored
    shown = viewer_of(folder, result)
    path = result.part("train")["path"].iloc[0]
    novelty, found = shown.neighbours(shown.own_images.open(path), 4)
    assert novelty < 0.01 and len(found) == 4
    file, label, nearest = found[0]
    assert file == shown.dataset.root / path and label == result.part("train")["label"].iloc[0]
    assert nearest.duplicate == pytest.approx(1, abs=1e-6)


def test_the_heat_map_is_of_the_class_that_is_asked_for(stored):
    folder, result = stored
    shown = viewer_of(folder, result)
    pixels = shown.pixels(viewer.InputImage("disc", GREY))
    maps = [shown.heat_map(pixels, target) for target in (0, 1)]
    assert maps[0].shape == (1, 16, 16) and not np.array_equal(*maps)
    assert all(0 <= each.min() and each.max() in (0, 1) for each in maps)


def test_without_its_data_set_a_model_predicts_but_has_no_novelty(stored, tmp_path):
    folder, result = stored
    shutil.copytree(folder / "trials", tmp_path / "trials")
    shown = viewer_of(tmp_path, result, str(tmp_path))
    assert shown.dataset is None and shown.detector is None and shown.own_images is None
    assert shown.missing == "no folder of data sets was given"
    assert shown.probabilities(shown.pixels(viewer.InputImage("disc", GREY))).sum() == pytest.approx(1)


def test_a_data_set_with_another_fingerprint_is_not_used(stored, tmp_path):
    folder, result = stored
    shutil.copytree(folder, tmp_path / "store")
    (root,) = (tmp_path / "store" / "phantoms").glob("br35h-*")
    (root / "yes" / "yes_1.png").write_bytes(saved(GREY))
    shown = viewer_of(tmp_path / "store", result)
    assert shown.dataset is None and "expected the images of the training, received others" in shown.missing


def test_false_alarms_leave_out_test_images_whose_patient_was_trained_on(stored):
    folder, result = stored
    shown = viewer_of(folder, result)
    patients = shown.dataset.table.set_index("path")["patient"]
    trained = set(patients[result.part("train")["path"]])
    unseen = [path for path in result.part("test")["path"] if patients[path] not in trained]
    assert shown.false_alarms[1] <= len(unseen) < len(result.part("test"))


def test_a_folder_without_sets_has_no_collection(tmp_path):
    assert viewer.other_sets(str(tmp_path), tmp_path / "store") == []


@pytest.mark.real_data
def test_real_sets_are_collections(data_dir, tmp_path):
    found = {collection.title: collection for collection in viewer.other_sets(str(data_dir), tmp_path)}
    collection = found["Brain MRI Images for Brain Tumor Detection"]
    assert collection.table["kind"].value_counts().to_dict() == {"yes": 155, "no": 98}
    assert collection.open(collection.table["path"].iloc[0]).image.size > (100, 100)
