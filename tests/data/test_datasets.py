"""Finding, checking and indexing data sets, on small folders laid out as the published ones."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from brainlib.data import datasets, load_dataset, registry
from brainlib.data.phantoms import dataset
from brainlib.errors import DataError, UsageError

FOUR = [name for name in registry.REGISTRY if len(registry.REGISTRY[name].classes) == 4]


def write_image(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    grey = np.random.default_rng(seed).integers(0, 256, (8, 9), dtype=np.uint8)
    Image.fromarray(grey).save(path, format="PNG")


@pytest.fixture
def navoneel(tmp_path: Path) -> Path:
    """A data folder whose navoneel/ has 3 images in no/ and 2 in yes/."""
    data = tmp_path / "data"
    names = ["no/n10.png", "no/N2.jpg", "no/n1.JPG", "yes/Y1.png", "yes/y2.png"]
    for seed, name in enumerate(names):
        write_image(data / "navoneel" / name, seed)
    return data


def one_line(caught: pytest.ExceptionInfo) -> str:
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_registry_has_the_published_totals():
    totals = {name: info.total for name, info in registry.REGISTRY.items()}
    assert totals == {"br35h": 3000, "navoneel": 253, "sartaj": 3264, "dubail": 3096, "nickparvar": 7023, "cheng": 3064}


def test_an_unknown_name_is_answered_with_the_known_ones(tmp_path):
    with pytest.raises(DataError, match="br35h.*nickparvar.*received 'brats'"):
        datasets.locate("brats", tmp_path)


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        ({"path": False}, "folders.0.path"),  # YAML reads no as false
        ({"part": "validation"}, "folders.0.part"),
        ({"count": "many"}, "folders.0.count"),
        ({"licence": "MIT"}, "folders.0.licence"),
    ],
)
def test_an_entry_that_does_not_describe_a_set_is_refused_by_its_key(changed, key):
    folder = {"path": "a", "label": "a", "part": "", "count": 1}
    with pytest.raises(ValueError, match=key):
        registry.DataSetInfo(name="mine", title="Mine", handle="", licence="MIT", folders=[folder | changed])


def test_a_set_is_found_at_the_top_level_of_its_folder(navoneel):
    inner = navoneel / "navoneel" / "brain_tumor_dataset"
    shutil.copytree(navoneel / "navoneel", inner)  # the archive's second copy
    assert datasets.locate("navoneel", navoneel) == navoneel / "navoneel"


def test_a_set_wrapped_in_one_folder_is_found(tmp_path):
    for seed, label in enumerate(registry.REGISTRY["dubail"].classes):
        write_image(tmp_path / "dubail" / "Data" / label / "a.jpg", seed)
    assert datasets.locate("dubail", tmp_path) == tmp_path / "dubail" / "Data"


def without(*folders):
    return lambda data: [shutil.rmtree(data / folder) for folder in folders]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (without("."), "data: expected the data folder, received nothing"),
        (
            without("navoneel"),
            "navoneel: expected a folder .*unpack https://www.kaggle.com/datasets/navoneel/brain-mri",
        ),
        (without("navoneel/no", "navoneel/yes"), "navoneel: expected the folders no, yes, received no folder"),
        (without("navoneel/yes"), "navoneel: expected the folders no, yes, received no yes;"),
        (lambda data: [path.unlink() for path in data.glob("navoneel/yes/*")], "yes: expected images"),
    ],
)
def test_what_is_missing_is_named_in_one_line(navoneel, damage, message):
    damage(navoneel)
    with pytest.raises(DataError, match=message) as caught:
        datasets.locate("navoneel", navoneel)
    one_line(caught)


@pytest.fixture
def kaggle(monkeypatch: pytest.MonkeyPatch):
    """Put a function in the place of ``kagglehub.dataset_download``."""

    def replace(function):
        module = SimpleNamespace(dataset_download=function)
        monkeypatch.setitem(sys.modules, "kagglehub", module)

    return replace


def test_a_set_is_loaded_by_its_name_alone(navoneel, store, kaggle, monkeypatch, tmp_path):
    asked = []
    kaggle(lambda handle: asked.append(handle) or str(navoneel / "navoneel"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    monkeypatch.delenv("BRAINLIB_DATA", raising=False)
    downloaded = load_dataset("navoneel")
    assert asked == ["navoneel/brain-mri-images-for-brain-tumor-detection/versions/1"]
    assert (tmp_path / "caches" / "brainlib").is_dir()
    monkeypatch.setenv("BRAINLIB_DATA", str(navoneel))
    kaggle(lambda handle: pytest.fail("kagglehub was asked"))
    assert load_dataset("navoneel", store=store).fingerprint == downloaded.fingerprint
    assert len(load_dataset("navoneel", "phantoms", store, phantoms=4).table) == 4


@pytest.mark.fault("10b", "a download fails", "one line names the set, the reason and where to fetch it by hand")
def test_a_failed_download_names_the_handle_and_the_way_out(kaggle):
    def fail(handle):
        raise ConnectionError("no route\nto host")

    kaggle(fail)
    with pytest.raises(DataError) as caught:
        datasets.download("dubail")
    message = one_line(caught)
    assert "thomasdubail/brain-tumors-256x256/versions/1: expected a download" in message
    assert "no route to host" in message
    assert "unpack https://www.kaggle.com/datasets/thomasdubail" in message


@pytest.mark.fault("10c", "a download has other folders than the set", "refused in one line")
def test_a_download_of_another_layout_is_refused(tmp_path, kaggle):
    kaggle(lambda handle: str(tmp_path))
    with pytest.raises(DataError, match="expected the folders no, yes"):
        datasets.download("br35h")


def test_rows_are_sorted_by_part_then_label_then_natural_path(navoneel, store):
    table = load_dataset("navoneel", navoneel, store).table
    assert list(table["path"]) == ["no/n1.JPG", "no/N2.jpg", "no/n10.png", "yes/Y1.png", "yes/y2.png"]
    assert list(table["label"]) == ["no", "no", "no", "yes", "yes"]
    assert list(table.index) == [0, 1, 2, 3, 4]


def test_parts_come_from_the_published_folders(tmp_path, store):
    for seed, folder in enumerate(registry.REGISTRY["sartaj"].folders):
        write_image(tmp_path / "sartaj" / folder.path / "a.jpg", seed)
    found = load_dataset("sartaj", tmp_path, store)
    assert list(found.table["part"]) == ["test"] * 4 + ["train"] * 4
    assert list(found.table["label"]) == [*found.classes, *found.classes]
    assert found.classes == ("glioma_tumor", "meningioma_tumor", "no_tumor", "pituitary_tumor")


def test_each_count_that_is_not_the_published_one_gives_a_sentence(navoneel, store, monkeypatch):
    assert load_dataset("navoneel", navoneel, store).differences == (
        "no: 98 images were published, 3 are here.",
        "yes: 155 images were published, 2 are here.",
    )


def test_other_files_than_the_published_ones_are_named_though_there_are_as_many(navoneel, store, monkeypatch):
    folders = tuple(registry.Folder(label, label, "", count) for label, count in {"no": 3, "yes": 2}.items())
    paths = [path for path in (navoneel / "navoneel").rglob("*") if path.is_file()]
    sums = sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in paths)
    published = hashlib.sha256("\n".join(sums).encode()).hexdigest()
    info = registry.DataSetInfo("navoneel", "", "owner/set/versions/1", "", folders, sha256=published)
    monkeypatch.setitem(registry.REGISTRY, "navoneel", info)
    assert load_dataset("navoneel", navoneel, store).differences == ()
    (navoneel / "navoneel" / "no" / "N2.jpg").rename(navoneel / "navoneel" / "no" / "n3.jpg")  # the same files
    assert load_dataset("navoneel", navoneel, store).differences == ()
    write_image(navoneel / "navoneel" / "yes" / "Y1.png", 99)
    changed = "As many images as owner/set/versions/1 are here, but not the same files."
    assert load_dataset("navoneel", navoneel, store).differences == (changed,)


def test_images_with_the_same_pixels_share_a_group(navoneel, store):
    root = navoneel / "navoneel"
    with Image.open(root / "no" / "n1.JPG") as image:
        image.convert("RGB").save(root / "yes" / "y3.bmp")  # other bytes, same grey image
    groups = load_dataset("navoneel", navoneel, store).group_ids()
    assert groups.tolist() == [0, 1, 2, 3, 4, 0]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("Y1.png", b"not an image", r"yes/Y1\.png: expected an image"),
        ("Y1.png", b"\xff\xd8\xff\xe0 cut", r"yes/Y1\.png: expected a whole image"),
        ("two\nlines.png", b"", r"yes/two\\nlines\.png: expected a name in UTF-8 without control"),
        (os.fsdecode(b"caf\xe9.png"), b"", r"yes/caf\\udce9\.png: expected a name in UTF-8 without control"),
    ],
)
@pytest.mark.fault(
    "7i", "names of images that are not UTF-8 or have a new line", "refused in one line that shows the name"
)
def test_an_image_that_cannot_be_used_is_named_in_one_line(navoneel, store, name, content, message):
    try:
        (navoneel / "navoneel" / "yes" / name).write_bytes(content)
    except OSError:
        pytest.skip("this file system refuses the name")
    with pytest.raises(DataError, match=message) as caught:
        load_dataset("navoneel", navoneel, store)
    one_line(caught)


def test_names_in_any_script_are_kept(navoneel, store):
    write_image(navoneel / "navoneel" / "yes" / "日本\u00a0é (2).png", 9)
    paths = load_dataset("navoneel", navoneel, store).table["path"]
    assert "yes/日本\u00a0é (2).png" in set(paths)


def test_a_renamed_and_a_changed_file_are_noticed_though_its_size_and_time_are_the_same(navoneel, store):
    path = navoneel / "navoneel" / "no" / "n1.JPG"
    Image.new("L", (4, 4), 10).save(path, format="BMP")
    before, status = load_dataset("navoneel", navoneel, store), path.stat()
    Image.new("L", (4, 4), 11).save(path, format="BMP")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (status.st_size, status.st_mtime_ns)
    after = load_dataset("navoneel", navoneel, store)
    assert after.fingerprint != before.fingerprint
    assert after.table["pixel_hash"][0] != before.table["pixel_hash"][0]
    path.rename(path.with_name("n3.JPG"))
    assert load_dataset("navoneel", navoneel, store).fingerprint != after.fingerprint


@pytest.fixture(scope="module")
def shared_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that keeps phantoms from test to test; no test may damage it."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def binary(shared_store: Path) -> datasets.DataSet:
    """36 phantoms in the place of a set of two classes."""
    return load_dataset("br35h", "phantoms", shared_store, phantoms=36)


def truth_of(dataset: datasets.DataSet) -> pd.DataFrame:
    truth = pd.read_csv(dataset.root / "truth.csv", keep_default_na=False)
    return truth.set_index("path").loc[dataset.table["path"]].reset_index()


def test_binary_phantoms_are_half_tumours_of_every_kind_and_half_healthy(binary):
    kinds = truth_of(binary).groupby(binary.table["label"])["kind"].value_counts()
    assert binary.table["label"].value_counts().to_dict() == {"no": 18, "yes": 18}
    assert kinds["no"].to_dict() == {"none": 18}
    assert set(kinds["yes"].index) == {"glioma", "meningioma", "pituitary"}
    assert kinds["yes"].min() >= 3


def test_the_plane_of_a_binary_phantom_tells_nothing_of_its_label(binary):
    originals = truth_of(binary).assign(label=binary.table["label"]).query("alteration == ''")
    patients = originals.drop_duplicates("patient")
    counts = pd.crosstab(patients["plane"], patients["label"])
    assert (counts["yes"] - counts["no"]).abs().max() <= 1


@pytest.mark.parametrize("name", FOUR)
def test_four_class_phantoms_take_the_kind_that_the_class_is_named_after(shared_store, name):
    found = load_dataset(name, "phantoms", shared_store, phantoms=16)
    named = found.table["label"].str.removesuffix("_tumor").replace(["no", "normal", "notumor"], "none")
    assert named.tolist() == truth_of(found)["kind"].tolist()
    assert found.table["label"].value_counts().to_dict() == dict.fromkeys(found.classes, 4)


def test_phantoms_share_train_and_test_as_published_and_only_duplicates_are_in_both(shared_store):
    found = load_dataset("sartaj", "phantoms", shared_store, phantoms=64)
    counts = found.table.groupby(["label", "part"]).size().unstack()
    # 16 a class; published test shares are 100/926, 115/937, 105/500 and 74/901.
    assert counts["test"].to_dict() == {"glioma_tumor": 2, "meningioma_tumor": 2, "no_tumor": 3, "pituitary_tumor": 1}
    assert (counts.sum(axis=1) == 16).all()
    truth = truth_of(found).assign(part=found.table["part"])
    originals, planted = truth[truth["alteration"] == ""], truth[truth["alteration"] != ""]
    assert originals["patient"].is_unique
    sources = originals.set_index("path").loc[planted["duplicate_of"]]
    assert set(sources["part"]) == {"train"} and set(planted["part"]) == {"train", "test"}
    assert sources["patient"].tolist() == planted["patient"].tolist()


def test_phantoms_of_different_sets_are_of_different_patients(shared_store, binary):
    others = [load_dataset(name, "phantoms", shared_store, phantoms=24) for name in ("navoneel", "sartaj", "dubail")]
    seen = [set(each.table["pixel_hash"]) for each in (binary, *others)]
    assert len(set.union(*seen)) == sum(map(len, seen))


def test_phantoms_are_written_once_and_a_copied_folder_of_them_is_still_known_as_one(
    binary, shared_store, store, tmp_path, monkeypatch
):
    monkeypatch.setattr(dataset, "Patient", lambda *_, **__: pytest.fail("drawn again"))
    assert load_dataset("br35h", "phantoms", shared_store, phantoms=36).root == binary.root
    shutil.copytree(binary.root, tmp_path / "data" / "br35h")
    copied = load_dataset("br35h", tmp_path / "data", store)
    assert binary.phantom and copied.phantom and copied.differences == ()
    assert copied.fingerprint == binary.fingerprint
    assert list(copied.table["patient"]) == list(truth_of(copied)["patient"])


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(path.read_bytes()[:-9])])
@pytest.mark.fault(
    "4ac", "an image, a mask or the table of stored phantoms is cut or deleted", "they are drawn again; the same bytes"
)
def test_damaged_phantoms_are_drawn_again(store, damage):
    def drawn():
        root = load_dataset("br35h", "phantoms", store, phantoms=4).root
        return root, {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}

    root, whole = drawn()
    for name in ("yes/yes_1.png", "masks/yes/yes_1.png", "truth.csv"):
        damage(root / name)
        assert drawn() == (root, whole)


def test_exact_duplicates_are_planted_and_named(binary):
    truth, groups = truth_of(binary), dict(zip(binary.table["path"], binary.group_ids(), strict=True))
    exact = truth[truth["alteration"] == "exact"]
    assert len(exact) > 0
    assert all(groups[row.path] == groups[row.duplicate_of] for row in exact.itertuples())
    assert len(set(groups.values())) == len(truth) - len(exact)


def test_every_phantom_has_a_mask_that_is_empty_where_nothing_grows(binary):
    for row in truth_of(binary).itertuples():
        with Image.open(binary.root / "masks" / row.path) as mask:
            values = set(np.unique(np.asarray(mask)))
        assert values == ({0} if row.kind == "none" else {0, 255})


def test_a_damaged_truth_in_a_data_folder_is_refused(binary, store, tmp_path):
    shutil.copytree(binary.root, tmp_path / "br35h")
    (tmp_path / "br35h" / "truth.csv").write_text("path,kind\n")
    with pytest.raises(DataError, match=r"truth\.csv: expected .* received columns path, kind"):
        load_dataset("br35h", tmp_path, store)


@pytest.mark.parametrize(("name", "number", "least"), [("br35h", 1, 2), ("sartaj", 7, 8), ("dubail", None, 4)])
def test_each_folder_needs_one_phantom_at_least(store, name, number, least):
    with pytest.raises(UsageError, match=f"at least {least} phantoms.*received {number}"):
        load_dataset(name, "phantoms", store, phantoms=number)
    found = load_dataset(name, "phantoms", store, phantoms=least)
    assert set(found.table.groupby(["part", "label"]).size()) == {1}


# --- real sets --------------------------------------------------------------------------------

REAL = {
    "br35h": (3000, {"RGB": 2891, "L": 105, "RGBA": 3, "P": 1}),
    "navoneel": (253, {"RGB": 217, "L": 30, "RGBA": 5, "P": 1}),
    "sartaj": (3264, {"RGB": 3264}),
}


@pytest.mark.real_data
@pytest.mark.parametrize("name", REAL)
def test_a_real_set_is_whole_and_of_the_known_modes(data_dir, shared_store, name):
    found = load_dataset(name, data_dir, shared_store)
    total, modes = REAL[name]
    assert len(found.table) == total
    assert found.differences == ()
    assert not found.phantom
    assert found.table["mode"].value_counts().to_dict() == modes
    assert found.table["patient"].isna().all()
    if name == "sartaj":  # of which a fifth of the images share their pixels with another
        groups = np.bincount(found.group_ids())
        assert ((groups > 1).sum(), groups[groups > 1].sum()) == (300, 694)
