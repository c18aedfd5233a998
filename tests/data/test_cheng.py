"""Cheng's set in MATLAB files: images, lesions and patients by hand; damaged and hostile files; the real slices."""

from __future__ import annotations

import zipfile
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from brainlib.data import cheng, load_dataset
from brainlib.errors import DataError

IMAGE = np.array([[0, 10, 20, 30], [40, 50, 60, 70], [80, 90, 100, 1000]], np.int16)
LESION = np.array([[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 0, 0]], np.uint8)


def write_slice(path: Path, label=2, pid="MR040240B", image=IMAGE, lesion=LESION, **changes) -> Path:
    """Write a slice as MATLAB 7.3 does, arrays transposed; `changes` are other members of the group."""
    path.parent.mkdir(parents=True, exist_ok=True)
    members = {
        "label": np.array([[float(label)]]),
        "PID": np.array([[ord(letter)] for letter in pid], np.uint16),
        "image": np.asarray(image).T,
        "tumorMask": np.asarray(lesion).T,
    }
    with h5py.File(path, "w", userblock_size=512) as file:
        group = file.create_group("cjdata")
        for name, values in (members | changes).items():
            if values is not None:  # which leaves the member out
                group[name] = values
    with open(path, "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file".ljust(128))
    return path


@pytest.fixture
def data(tmp_path) -> Path:
    """A data folder whose cheng/ has five slices of three patients, two folders deep."""
    folder = tmp_path / "data" / "cheng" / "unpacked" / "all"
    for number, (label, pid) in enumerate([(2, "MR040240B"), (2, "MR040240C"), (1, "100360"), (3, "99223")], start=1):
        write_slice(folder / f"{number}.mat", label, pid, image=np.roll(IMAGE, number))
    write_slice(folder / "10.mat", 2, "MR040240", image=IMAGE[:, ::-1], lesion=LESION[:, ::-1])
    (folder / "cvind.mat").write_bytes(b"folds, and no slice")
    return tmp_path / "data"


def test_slices_become_images_of_their_classes_as_matlab_shows_them(data, store):
    found = load_dataset("cheng", data, store)
    assert found.classes == ("glioma", "meningioma", "pituitary") and not found.phantom
    assert found.table["path"].tolist() == [
        "glioma/1.png", "glioma/2.png", "glioma/10.png", "meningioma/3.png", "pituitary/4.png",
    ]  # fmt: skip
    assert found.differences[1] == "meningioma: 708 images were published, 1 are here."
    with Image.open(found.root / "glioma/10.png") as image:
        np.testing.assert_array_equal(np.asarray(image), cheng.eight_bits(IMAGE[:, ::-1]))


def test_lesions_lie_where_they_were_outlined(data, store):
    found = load_dataset("cheng", data, store)
    with Image.open(found.root / "masks/glioma/10.png") as mask:
        np.testing.assert_array_equal(np.asarray(mask), LESION[:, ::-1] * 255)
    # Of 12 pixels, 3 by 4, twelve rows by twelve columns: each is four rows high and three columns wide.
    np.testing.assert_array_equal(found.lesion("glioma/1.png", 12), np.kron(LESION, np.ones((4, 3))) > 0)


def test_ids_with_letters_behind_them_are_of_one_patient_and_the_published_ones_are_kept(data, store):
    found = load_dataset("cheng", data, store)
    assert found.table["patient"].tolist() == ["MR040240"] * 3 + ["100360", "99223"]
    groups = found.group_ids(patients=True)
    assert len(set(groups[:3])) == 1 and len(set(groups)) == 3
    kept = pd.read_csv(found.root / cheng.PATIENTS, dtype=str).set_index("path")["pid"]
    assert kept[["glioma/1.png", "glioma/2.png", "glioma/10.png"]].tolist() == ["MR040240B", "MR040240C", "MR040240"]


@pytest.mark.parametrize(
    ("pid", "patient"), [("MR040240B", "MR040240"), ("100360", "100360"), ("MR1AB", "MR1"), ("abc", "abc")]
)
def test_only_letters_behind_a_number_are_left_out(pid, patient):
    assert cheng.same_patient(pid) == patient


def test_grey_values_are_scaled_from_the_least_to_the_greatest_of_the_slice():
    # 12-bit values: 1 of 4 is 63.75 of 255, and halves are rounded up.
    assert cheng.eight_bits(np.array([[100, 110], [120, 140]], np.int16)).tolist() == [[0, 64], [128, 255]]
    assert cheng.eight_bits(np.array([[-5, 4095]], np.int16)).tolist() == [[0, 255]]
    assert cheng.eight_bits(np.full((2, 2), 7, np.int16)).tolist() == [[0, 0], [0, 0]]
    eight = np.arange(256, dtype=np.int16).reshape(16, 16)
    np.testing.assert_array_equal(cheng.eight_bits(eight), eight)


def test_slices_in_archives_are_the_same_set_and_nothing_is_unpacked(data, store, tmp_path):
    folder = tmp_path / "zipped" / "cheng"
    folder.mkdir(parents=True)
    for number, names in enumerate([["1.mat", "10.mat", "cvind.mat"], ["2.mat", "3.mat", "4.mat"]]):
        with zipfile.ZipFile(folder / f"{number}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for name in names:
                archive.write(data / "cheng/unpacked/all" / name, f"../../{name}")
    found = load_dataset("cheng", tmp_path / "zipped", store)
    assert found.fingerprint == load_dataset("cheng", data, store).fingerprint
    assert sorted(path.name for path in (tmp_path / "zipped").rglob("*")) == ["0.zip", "1.zip", "cheng"]


def test_a_changed_slice_is_noticed_and_whole_images_are_made_once(data, store, monkeypatch):
    before = load_dataset("cheng", data, store)
    with monkeypatch.context() as patched:
        patched.setattr(cheng, "read_slice", lambda *_: pytest.fail("read again"))
        assert load_dataset("cheng", data, store).fingerprint == before.fingerprint
    write_slice(data / "cheng/unpacked/all/1.mat", 2, "MR040240B", image=IMAGE[::-1])
    assert load_dataset("cheng", data, store).fingerprint != before.fingerprint


def text(value: str) -> np.ndarray:
    return np.array([[value]], h5py.string_dtype())


FAULTS = {
    "not HDF5": lambda path: path.write_bytes(b"MATLAB 5.0 MAT-file" * 50),
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-900]),
    "no group": lambda path: h5py.File(path, "w").close(),
    "no mask": lambda path: write_slice(path, tumorMask=None),
    "an unknown label": lambda path: write_slice(path, label=4),
    "a label that is no number": lambda path: write_slice(path, label=np.nan),
    "a patient that is a path": lambda path: write_slice(path, pid="../x"),
    "a mask of another shape": lambda path: write_slice(path, lesion=LESION[:2]),
    "no finite value": lambda path: write_slice(path, image=np.where(LESION, np.nan, 1.0)),
    "three dimensions": lambda path: write_slice(path, image=np.zeros((2, 2, 2)), lesion=np.zeros((2, 2, 2))),
    "text for a patient": lambda path: write_slice(path, PID=text("100360")),
    "a link to another file": lambda path: write_slice(path, PID=h5py.ExternalLink("/x", "y")),
    "a link in the file": lambda path: write_slice(path, tumorMask=h5py.SoftLink("/cjdata/image")),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.fault("7m", "a MATLAB file of Cheng's set is damaged or is none", "refused in one line that names it")
def test_a_file_that_is_no_slice_is_named_in_one_line(data, store, fault):
    path = data / "cheng/unpacked/all/3.mat"
    FAULTS[fault](path)
    with pytest.raises(DataError, match=r"3\.mat: expected a slice of Cheng's set") as caught:
        load_dataset("cheng", data, store)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


def without_image(path: Path) -> h5py.File:
    file = h5py.File(write_slice(path), "r+")
    del file["cjdata/image"]
    return file


def elsewhere(path: Path) -> None:
    """Have the pixels of a slice lie in another file, as HDF5 can."""
    (path.parent / "secret").write_bytes(bytes(range(24)))
    with without_image(path) as file:
        file["cjdata"].create_dataset("image", (4, 3), np.int16, external=[(str(path.parent / "secret"), 0, 24)])


def huge(path: Path) -> None:
    """Announce a slice of 10**10 pixels in a file of a few kilobytes."""
    with without_image(path) as file:
        file["cjdata"].create_dataset("image", (10**5, 10**5), np.int16, chunks=(64, 64))


def huge_block(path: Path) -> None:
    """Announce a small slice in a block of 10**9 bytes, which HDF5 would decompress whole."""
    with without_image(path) as file:
        shape = {"shape": (4, 3), "maxshape": (None, None), "chunks": (2**15, 2**15)}
        file["cjdata"].create_dataset("image", dtype=np.int8, compression="gzip", **shape)


@pytest.mark.parametrize("attack", [elsewhere, huge, huge_block])
@pytest.mark.fault(
    "7n", "a MATLAB file points to another file or announces a huge image", "refused in one line; nothing of it is read"
)
def test_a_slice_reads_neither_other_files_nor_more_than_it_should(data, store, attack):
    attack(data / "cheng/unpacked/all/3.mat")
    with pytest.raises(DataError, match=r"3\.mat: .*stored elsewhere"):
        load_dataset("cheng", data, store)


def test_a_file_that_is_far_too_large_for_a_slice_is_not_read(data, store, tmp_path):
    with open(data / "cheng/unpacked/all/3.mat", "wb") as file:
        file.truncate(20 * 2**20)
    with pytest.raises(DataError, match=r"3\.mat: .*more than 16777216 bytes"):
        load_dataset("cheng", data, store)


def test_what_is_missing_or_there_twice_is_named(data, store, tmp_path):
    with pytest.raises(DataError, match="cheng: expected 1.mat, 2.mat, .* no folder; .*doi.org/10.6084"):
        load_dataset("cheng", tmp_path, store)
    write_slice(data / "cheng/again/3.mat")
    with pytest.raises(DataError, match=r"3\.mat: expected each slice once, received slice 3 again"):
        load_dataset("cheng", data, store)


def test_a_damaged_archive_is_named(tmp_path, store):
    (tmp_path / "cheng").mkdir()
    (tmp_path / "cheng" / "part.zip").write_bytes(b"PK nothing")
    with pytest.raises(DataError, match=r"part\.zip: expected an archive of slices"):
        load_dataset("cheng", tmp_path, store)


# --- the real set -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def published(data_dir, cheng_dir) -> pd.DataFrame:
    """The published id, label, patient and outline of each of the 3064 slices; skipped where there are none."""
    return pd.read_csv(data_dir / "cheng_tables" / "slices.csv.gz", dtype=str).set_index("id")


@pytest.mark.real_data
def test_published_ids_are_of_209_patients_none_of_whom_has_tumours_of_two_kinds(published):
    patients = published["pid"].map(cheng.same_patient)
    assert (published["pid"].nunique(), patients.nunique()) == (233, 209)
    assert published["label"].groupby(patients).nunique().max() == 1


@pytest.mark.real_data
def test_real_slices_have_their_patients_and_their_lesions_where_they_were_outlined(published, cheng_dir, store):
    found = load_dataset("cheng", cheng_dir, store)
    ids = [Path(path).stem for path in found.table["path"]]
    rows = published.loc[ids]
    assert len(ids) == 307 and not found.phantom
    assert found.table["label"].tolist() == [cheng.LABELS[int(label)] for label in rows["label"]]
    assert found.table["patient"].tolist() == [cheng.same_patient(pid) for pid in rows["pid"]]
    for path, border in zip(found.table["path"], rows["border"], strict=True):
        corners = np.array([point.split(",") for point in border.split(" ")], float)
        size = found.table.set_index("path").loc[path, "width"]
        down, across = np.nonzero(found.lesion(path, size))
        # The outline reaches as far as the mask does, in both directions.
        for at, seen in ((corners[:, 0], across), (corners[:, 1], down)):
            np.testing.assert_allclose([seen.min(), seen.max()], [at.min(), at.max()], atol=1.5)


@pytest.mark.real_data
def test_real_slices_look_as_in_the_set_that_holds_them_mirrored(published, cheng_dir, data_dir, store):
    found = load_dataset("cheng", cheng_dir, store)
    for path in found.table["path"][::10]:
        with Image.open(data_dir / "nickparvar_parts" / published.loc[Path(path).stem, "picture"]) as other:
            mirrored = np.asarray(other.convert("L"), float)[:, ::-1]
        with Image.open(found.root / path) as image:
            np.testing.assert_allclose(np.asarray(image), cheng.eight_bits(mirrored), atol=1)
