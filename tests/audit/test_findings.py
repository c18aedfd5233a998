"""The audit of a folder: copies by bytes, pixels and picture, contradictions, leaks and damage."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from PIL import Image
from pngs import png

from brainlib import cli
from brainlib.audit import findings
from brainlib.data import images
from brainlib.data.phantoms.draw import make_phantoms
from brainlib.data.thumbnails import quality_flag
from brainlib.errors import DataError, UsageError


def written(path, picture):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(picture)).save(path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Eight slices in two published parts, with a copy of each kind and two contradictions."""
    root = tmp_path_factory.mktemp("set")
    slices = make_phantoms(8, slices_per_patient=1, seed=2).images
    for number, picture in enumerate(slices):
        part = "Training" if number < 5 else "Testing"
        written(root / part / ("tumour" if number % 2 else "normal") / f"s{number}.png", picture)
    copied = root / "Testing" / "tumour" / "bytes.png"
    copied.write_bytes((root / "Training" / "tumour" / "s1.png").read_bytes())
    written(root / "Testing" / "tumour" / "pixels.bmp", slices[3])
    written(root / "Testing" / "normal" / "near.jpg", slices[0][:, ::-1])
    written(root / "Training" / "tumour" / "wrong.png", slices[2])  # s2 is called normal
    written(root / "Testing" / "tumour" / "wrong.jpg", slices[4])  # s4 is called normal
    return root


@pytest.fixture(scope="module")
def found(folder):
    return findings.audit(str(folder))


def test_folders_are_classes_and_published_parts(found):
    said = found.table.set_index("path")[["label", "part"]]
    assert said.loc["Training/normal/s0.png"].tolist() == ["normal", "train"]
    assert said.loc["Testing/tumour/pixels.bmp"].tolist() == ["tumour", "test"]
    assert found.unreadable == () and len(said) == 13


def test_each_kind_of_copy_includes_the_one_before(found):
    assert found.groups("byte") == [
        ["Testing/tumour/bytes.png", "Training/tumour/s1.png"],
        ["Training/normal/s2.png", "Training/tumour/wrong.png"],
    ]
    assert found.groups("pixel") == [
        ["Testing/tumour/bytes.png", "Training/tumour/s1.png"],
        ["Testing/tumour/pixels.bmp", "Training/tumour/s3.png"],
        ["Training/normal/s2.png", "Training/tumour/wrong.png"],
    ]
    assert found.groups("near") == [
        ["Testing/normal/near.jpg", "Training/normal/s0.png"],
        ["Testing/tumour/bytes.png", "Training/tumour/s1.png"],
        ["Testing/tumour/pixels.bmp", "Training/tumour/s3.png"],
        ["Testing/tumour/wrong.jpg", "Training/normal/s4.png"],
        ["Training/normal/s2.png", "Training/tumour/wrong.png"],
    ]


def test_test_images_with_a_copy_in_training_are_counted_by_class(found):
    said = found.as_dict()
    assert [said[f"test_with_{kind}_copy_in_train"] for kind in findings.KINDS] == [1, 2, 4]
    assert said["test_with_near_copy_in_train_by_class"] == {"normal": 1, "tumour": 3}


def test_copies_under_two_labels_contradict_each_other(found):
    assert found.contradictions == (
        ("Testing/tumour/wrong.jpg", "Training/normal/s4.png"),
        ("Training/normal/s2.png", "Training/tumour/wrong.png"),
    )


def test_what_was_seen_is_kept_and_a_changed_file_is_looked_at_again(folder, tmp_path, monkeypatch):
    store = tmp_path / "store"
    first = findings.audit(str(folder), store=store)
    with monkeypatch.context() as patch:
        patch.setattr(images, "decode_bytes", lambda data, path: pytest.fail("decoded again"))
        again = findings.audit(str(folder), store=store)
    assert again.as_dict() == first.as_dict()


def test_a_damaged_folder_is_audited_to_its_end(tmp_path, capsys):
    root = tmp_path / "set"
    picture = make_phantoms(1, seed=5).images[0]
    written(root / "yes" / "whole.png", picture)
    (root / "yes" / "cut.jpg").write_bytes(b"\xff\xd8\xff\xe0 and no more")
    (root / "yes" / "empty.png").write_bytes(b"")
    (root / "yes" / "bomb.png").write_bytes(png(20_000, 20_000))
    (root / "yes" / "loop").symlink_to(root)
    (root / "yes" / "itself.png").symlink_to(root / "yes" / "itself.png")
    os.mkfifo(root / "yes" / "pipe.png")
    (root / "notes.txt").write_text("not an image")
    target = tmp_path / "found.json"
    assert cli.main(["audit", str(root), "--json", str(target)]) == 0
    said = json.loads(target.read_text())
    assert said["images"] == 1
    reasons = {each["path"]: each["reason"] for each in said["unreadable"]}
    assert set(reasons) == {f"yes/{n}" for n in ("cut.jpg", "empty.png", "bomb.png", "itself.png", "pipe.png")}
    assert reasons["yes/bomb.png"].startswith("expected at most")
    assert reasons["yes/empty.png"].startswith("expected an image, received an empty file")
    assert all("\n" not in reason and str(tmp_path) not in reason for reason in reasons.values())
    assert "unreadable: yes/cut.jpg" in capsys.readouterr().out


def test_what_may_not_be_read_is_said_and_the_rest_is_audited(tmp_path, monkeypatch):
    # Root may read everything, so the system's refusal is imitated.
    root = tmp_path / "set"
    picture = make_phantoms(1, seed=5).images[0]
    for name in ("yes", "shut"):
        written(root / name / "a.png", picture)
    listed = os.scandir

    def scandir(path):
        if os.fspath(path).endswith("shut"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    found = findings.audit(str(root))
    ((path, reason),) = found.unreadable
    assert path == "shut" and "Permission denied" in reason
    assert list(found.table["path"]) == ["yes/a.png"]


def test_a_huge_file_is_not_read(tmp_path):
    root = tmp_path / "set"
    written(root / "yes" / "a.png", make_phantoms(1, seed=5).images[0])
    with open(root / "yes" / "huge.png", "wb") as file:
        file.truncate(2**33)  # 8 GiB of nothing, which take no room
    ((path, reason),) = findings.audit(str(root)).unreadable
    assert path == "yes/huge.png" and reason.startswith("expected an image of at most")


@pytest.mark.parametrize(
    ("picture", "why"),
    [
        (np.full((100, 100), 90, np.uint8), "hardly any contrast"),
        (np.dstack([np.tile(np.arange(100, dtype=np.uint8), (100, 1)) * k for k in (0, 1, 2)]), "coloured"),
        (255 - make_phantoms(1, seed=6).images[0], "a bright background"),
        (make_phantoms(1, seed=6).images[0][:20, :20], "only 20 by 20 pixels"),
        (make_phantoms(1, seed=6).images[0], ""),
    ],
)
def test_a_picture_that_is_no_slice_is_doubted_with_a_reason(picture, why):
    assert quality_flag(Image.fromarray(np.ascontiguousarray(picture))) == why


@pytest.mark.parametrize(
    ("target", "error", "words"),
    [
        ("nowhere", UsageError, "nothing of that name"),
        ("br35h", UsageError, "give --data DIR"),
        ("empty", DataError, "received none"),
    ],
)
def test_nothing_to_audit_is_said_in_one_line(tmp_path, monkeypatch, target, error, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(error, match=words):
        findings.audit(target)


@pytest.mark.real_data
def test_navoneels_set_as_it_is(data_dir):
    found = findings.audit("navoneel", str(data_dir))
    groups = found.groups("pixel")
    # Counted once with sha256sum: 22 groups of equal files, 47 files in them.
    assert (len(groups), sum(map(len, groups))) == (22, 47) and found.groups("byte") == groups
    assert not found.divided and found.as_dict()["test_with_near_copy_in_train"] is None
    assert len(found.groups("near")) > len(groups)
