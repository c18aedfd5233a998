"""One image, one model: what may be opened, and that what is said is what was stored."""

from __future__ import annotations

import io
import shutil

import numpy as np
import pytest
from PIL import Image
from pngs import png
from small_trials import final_trial, phantoms

from brainlib.app import viewer
from brainlib.errors import DataError, StoreError
from brainlib.report import exporting
from brainlib.trials.run import run_trials


def saved(image, format="PNG", **options):
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def slice_like(size=(200, 200), top=255):
    """A bright disc on black, with some texture."""
    rng, (width, height) = np.random.default_rng(0), size
    across, down = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    return (across**2 + down**2 < 0.6) * rng.uniform(0.4, 1, (height, width)) * top


GREY = Image.fromarray(slice_like().astype(np.uint8))
MOVING = saved(GREY, "GIF", save_all=True, append_images=[GREY.rotate(90), GREY.rotate(180)])
PAGES = saved(GREY, "TIFF", save_all=True, append_images=[GREY])
BAD = {
    "empty.png": (b"", "received an empty file"),
    "words.jpg": (b"no picture at all" * 20, "that are none"),
    "slice.dcm": (b"\0" * 128 + b"DICM" + b"\2\0\0\0UL\4\0" * 9, "received a DICOM file"),
    "moving.gif": (MOVING, "received several in one file"),
    "pages.tif": (PAGES, "received several in one file"),
    "huge.png": (b"\x89PNG" + bytes(viewer.MAX_UPLOAD_BYTES), "at most 8 MB, received one of 8.0 MB"),
    "bomb.png": (png(60000, 60000), "announces more"),
    "large.png": (png(6000, 6000), "announces 36 million"),
    "cut.png": (saved(GREY)[:-400], "cannot be decoded"),
    "script.eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "that are none"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_single_picture_ends_in_a_sentence_that_says_what_to_do(name):
    data, sentence = BAD[name]
    with pytest.raises(DataError) as caught:
        viewer.open_upload(name, data)
    said = str(caught.value)
    assert said.startswith(f"{name}: expected") and sentence in said and "\n" not in said
    assert "save the slice as a PNG or JPEG" in said


def test_a_picture_of_16_bits_is_read_and_said_to_be_reduced():
    picture = viewer.open_upload("deep.png", saved(Image.fromarray(slice_like(top=65535).astype(np.uint16))))
    assert picture.image.mode == "L" and 250 <= np.asarray(picture.image).max() <= 255
    assert len(picture.notes) == 1 and "has 16 bits" in picture.notes[0]


def test_one_that_uses_12_of_16_bits_is_said_to_be_nearly_black():
    picture = viewer.open_upload("dark.png", saved(Image.fromarray(slice_like(top=4095).astype(np.uint16))))
    assert np.asarray(picture.image).max() == 16
    assert "nearly black" in picture.notes[1]


def test_16_bits_are_said_of_colour_too_though_pillow_reads_8():
    values = np.repeat(slice_like((64, 64), 65535).astype(">u2")[..., None], 3, axis=2)
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    assert "has 16 bits" in viewer.open_upload("colour.png", png(64, 64, 16, 2, rows)).notes[0]


def test_a_name_is_shown_whole_only_if_it_is_short_and_printable():
    assert viewer.printable("a slice (3).png") == "a slice (3).png"
    assert viewer.printable("two\nlines\x1b.png") == "two?lines?.png"
    long = viewer.printable("x" * 5000 + "_left.png")
    assert len(long) == 80 and long.endswith("_left.png")


def test_a_good_picture_has_no_note_and_an_odd_one_has_its_own():
    assert viewer.open_upload("good.png", saved(GREY)).notes == ()
    wide = Image.fromarray(slice_like((300, 150)).astype(np.uint8))
    assert "300 by 150 pixels are stretched" in viewer.open_upload("wide.png", saved(wide)).notes[0]
    red = Image.merge("RGB", [GREY, Image.new("L", GREY.size), Image.new("L", GREY.size)])
    assert viewer.open_upload("red.jpg", saved(red, "JPEG")).notes == ("This may be no MRI slice: coloured.",)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A store with jardim's CNN, made small."""
    folder = tmp_path_factory.mktemp("reports") / "store"
    dataset = phantoms(folder)
    (result,) = run_trials([final_trial(dataset)], dataset, folder, log=lambda line: None)
    return folder, result


def viewer_of(folder, source="phantoms"):
    (each,) = exporting.stored_models(folder)
    return viewer.Viewer(folder, each, source)


def test_the_probabilities_are_those_that_were_stored(stored):
    folder, result = stored
    viewer = viewer_of(folder)
    shelf = viewer.own_shelf
    for _, row in result.predictions.iloc[::5].iterrows():
        said = viewer.probabilities(viewer.pixels(shelf.open(row["path"])))
        assert said == pytest.approx([row["p_no"], row["p_yes"]], abs=1e-6)


def test_the_images_of_its_set_are_named_by_what_the_model_knows_of_them(stored):
    folder, result = stored
    test = result.part("test")
    copied = test["group"].isin(result.part("train")["group"])
    counts = viewer_of(folder).own_shelf.table["kind"].str.split(":").str[0].value_counts()
    assert counts.get("held out, a copy trained on", 0) == copied.sum()
    assert counts["held out"] == len(test) - copied.sum()
    assert counts["trained on"] == len(result.part("train"))


def test_a_training_image_is_its_own_copy_and_the_nearest(stored):
    folder, result = stored
    viewer = viewer_of(folder)
    path = result.part("train")["path"].iloc[0]
    unlike, found = viewer.neighbours(viewer.own_shelf.open(path), 4)
    assert unlike < 0.01 and len(found) == 4
    file, label, nearest = found[0]
    assert file == viewer.dataset.root / path and label == result.part("train")["label"].iloc[0]
    assert nearest.duplicate == pytest.approx(1, abs=1e-6)


def test_the_heat_map_is_of_the_class_that_is_asked_for(stored):
    folder, _ = stored
    viewer = viewer_of(folder)
    pixels = viewer.pixels(viewer.Picture("disc", GREY))
    maps = [viewer.heat_map(pixels, target) for target in (0, 1)]
    assert maps[0].shape == (1, 16, 16) and not np.array_equal(*maps)
    assert all(0 <= each.min() and each.max() in (0, 1) for each in maps)


def test_without_its_images_a_model_answers_and_nothing_is_said_of_likeness(stored, tmp_path):
    folder, _ = stored
    shutil.copytree(folder / "trials", tmp_path / "trials")
    viewer = viewer_of(tmp_path, str(tmp_path))
    assert viewer.dataset is None and viewer.familiar is None and viewer.own_shelf is None
    assert viewer.missing == "no folder of data sets was given"
    assert viewer.probabilities(viewer.pixels(viewer.Picture("disc", GREY))).sum() == pytest.approx(1)


def test_images_that_are_others_than_those_it_was_trained_on_do_not_count(stored, tmp_path):
    folder, _ = stored
    shutil.copytree(folder, tmp_path / "store")
    (root,) = (tmp_path / "store" / "phantoms").glob("br35h-*")
    (root / "yes" / "yes_1.png").write_bytes(saved(GREY))
    viewer = viewer_of(tmp_path / "store")
    assert viewer.dataset is None and "expected the images of the training, received others" in viewer.missing


def test_no_test_image_whose_patient_was_trained_on_counts_as_a_stranger(stored):
    folder, result = stored
    viewer = viewer_of(folder)
    patients = viewer.dataset.table.set_index("path")["patient"]
    trained = set(patients[result.part("train")["path"]])
    strangers = [path for path in result.part("test")["path"] if patients[path] not in trained]
    assert viewer.false_alarms[1] <= len(strangers) < len(result.part("test"))


def test_facts_that_lack_something_are_said_to_be_of_another_version(stored):
    folder, _ = stored
    (each,) = exporting.stored_models(folder)
    trial = {name: value for name, value in each.trial.items() if name != "weights"}
    with pytest.raises(StoreError, match="expected the facts of a trial.*weights.*run again"):
        viewer.Viewer(folder, exporting.Stored(each.key, each.facts | {"trial": trial}), "phantoms")


def test_a_damaged_model_is_said_in_a_sentence(stored, tmp_path):
    folder, _ = stored
    shutil.copytree(folder, tmp_path / "store")
    (file,) = tmp_path.glob("store/trials/*/model.keras")
    file.write_bytes(b"PK" + bytes(99))
    with pytest.raises(StoreError, match="a trained model that verifies, found none"):
        _ = viewer_of(tmp_path / "store").model


def test_a_folder_without_sets_has_no_shelf(tmp_path):
    assert viewer.other_shelves(str(tmp_path)) == []


@pytest.mark.real_data
def test_real_sets_are_shelves(data_dir):
    found = {shelf.title: shelf for shelf in viewer.other_shelves(str(data_dir))}
    shelf = found["Brain MRI Images for Brain Tumor Detection"]
    assert shelf.table["kind"].value_counts().to_dict() == {"yes": 155, "no": 98}
    assert shelf.open(shelf.table["path"].iloc[0]).image.size > (100, 100)
