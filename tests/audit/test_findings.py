"""The audit of a folder: duplicates by bytes, pixels and content, contradictions, leaks and damage."""

from __future__ import annotations

import json
import os

import numpy as np
import pandas as pd
import pytest
from pngs import png, write_image

from brainlib import cli
from brainlib.audit import findings
from brainlib.audit.findings import Duplicates, audit_folder
from brainlib.audit.near_duplicates import NearDuplicates
from brainlib.data.phantoms.draw import make_phantoms
from brainlib.data.scan import Scan
from brainlib.errors import DataError, UsageError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Eight slices in two published parts, with a duplicate of each kind and two contradictions."""
    root = tmp_path_factory.mktemp("set")
    slices = make_phantoms(8, slices_per_patient=1, seed=2).images
    for number, pixels in enumerate(slices):
        part = "Training" if number < 5 else "Testing"
        write_image(root / part / ("tumour" if number % 2 else "normal") / f"s{number}.png", pixels)
    bytes_ = (root / "Training" / "tumour" / "s1.png").read_bytes()
    (root / "Testing" / "tumour" / "bytes.png").write_bytes(bytes_)
    write_image(root / "Testing" / "tumour" / "pixels.bmp", slices[3])
    write_image(root / "Testing" / "normal" / "near.jpg", slices[0][:, ::-1])
    write_image(root / "Training" / "tumour" / "wrong.png", slices[2])  # s2 is labelled normal
    write_image(root / "Testing" / "tumour" / "wrong.jpg", slices[4])  # s4 is labelled normal
    return root


@pytest.fixture(scope="module")
def audit(folder):
    return audit_folder(str(folder))


def test_each_kind_of_duplicate_includes_the_one_before(audit):
    byte = [
        ["Testing/tumour/bytes.png", "Training/tumour/s1.png"],
        ["Training/normal/s2.png", "Training/tumour/wrong.png"],
    ]
    pixel = [*byte, ["Testing/tumour/pixels.bmp", "Training/tumour/s3.png"]]
    near = [
        *pixel,
        ["Testing/normal/near.jpg", "Training/normal/s0.png"],
        ["Testing/tumour/wrong.jpg", "Training/normal/s4.png"],
    ]
    for kind, groups in {"byte": byte, "pixel": pixel, "near": near}.items():
        assert audit.groups(kind) == sorted(groups)


def test_leaked_test_images_are_counted_by_class(audit):
    record = audit.record()
    assert (record.images, record.test_images, record.unreadable) == (13, 7, ())
    assert record.images_by_class == {"normal": 5, "tumour": 8}
    assert record.duplicates == {
        "byte": Duplicates(2, 4, {"normal": 0, "tumour": 1}),
        "pixel": Duplicates(3, 6, {"normal": 0, "tumour": 2}),
        "near": Duplicates(5, 10, {"normal": 1, "tumour": 3}),
    }


def test_duplicates_with_different_labels_are_contradictions(audit):
    assert audit.contradictions == (
        ("Testing/tumour/wrong.jpg", "Training/normal/s4.png"),
        ("Training/normal/s2.png", "Training/tumour/wrong.png"),
    )


def test_a_second_audit_takes_the_pairs_from_the_store(folder, audit, tmp_path, monkeypatch, capsys):
    audit_folder(str(folder), store=tmp_path)
    monkeypatch.setattr(
        findings.near_duplicates, "find_near_duplicates", lambda *_, **__: pytest.fail("compared again")
    )
    again = audit_folder(str(folder), store=tmp_path)
    assert again.as_dict() == audit.as_dict() and again.pairs.equals(audit.pairs)
    assert capsys.readouterr().err == ""


DAMAGE = {
    "a digit": lambda pairs, sums: pairs.write_bytes(pairs.read_bytes().replace(b"\x01", b"\x00")),
    "other pairs": lambda pairs, sums: np.savez(pairs, pairs=[[0, 1]], mirrored=[True], correlation=[np.nan]),
    "no pairs": lambda pairs, sums: np.savez(pairs, pairs=[], mirrored=[], correlation=[]),
    "cut": lambda pairs, sums: pairs.write_bytes(pairs.read_bytes()[:-1]),
    "missing": lambda pairs, sums: pairs.unlink(),
    "infinity": lambda pairs, sums: sums.write_text("1e400"),
    "deep": lambda pairs, sums: sums.write_text("[" * 100_000),
    "null": lambda pairs, sums: sums.write_text("null"),
    "another dict": lambda pairs, sums: sums.write_text('{"a": 1}'),
}


@pytest.mark.fault(
    "4i", "stored pairs of duplicates are edited, or replaced by others", "said in one line; searched again"
)
@pytest.mark.fault("4j", "wild JSON takes the place of sums of the audit", "said in one line; searched again")
@pytest.mark.fault("4k", "stored arrays of the audit have another content", "said in one line; searched again")
@pytest.mark.fault("4m", "files of the audit's cache are cut or removed", "said in one line; searched again")
@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_pairs_are_searched_again_with_a_line_that_says_so(folder, audit, tmp_path, capsys, damage):
    audit_folder(str(folder), store=tmp_path)
    (pairs,), (sums,) = ((tmp_path / "audit").glob(f"*/{name}") for name in ("pairs.npz", "manifest.json"))
    whole = sums.read_bytes()
    DAMAGE[damage](pairs, sums)
    again = audit_folder(str(folder), store=tmp_path)
    assert again.as_dict() == audit.as_dict() and again.pairs.equals(audit.pairs)
    (line,) = capsys.readouterr().err.splitlines()
    assert "do not verify" in line and sums.read_bytes() == whole


@pytest.mark.fault(
    "7a",
    "a folder with cut, empty and huge images, loops and pipes is audited",
    "each is listed with the reason; the others are audited",
)
def test_a_damaged_folder_is_audited_to_its_end(tmp_path, capsys):
    root = tmp_path / "set"
    write_image(root / "yes" / "whole.png", make_phantoms(1, seed=5).images[0])
    (root / "yes" / "cut.jpg").write_bytes(b"\xff\xd8\xff\xe0 and no more")
    (root / "yes" / "empty.png").write_bytes(b"")
    (root / "yes" / "bomb.png").write_bytes(png(20_000, 20_000))
    (root / "yes" / "loop").symlink_to(root)
    (root / "yes" / "itself.png").symlink_to(root / "yes" / "itself.png")
    os.mkfifo(root / "yes" / "pipe.png")
    (root / "notes.txt").write_text("not an image")
    target = tmp_path / "found.json"
    assert cli.main(["audit", str(root), "--json", str(target)]) == 0
    written = json.loads(target.read_text())
    assert written["images"] == 1 and written["groups"] == {"byte": [], "pixel": [], "near": []}
    reasons = dict(written["unreadable"])
    assert set(reasons) == {f"yes/{n}" for n in ("cut.jpg", "empty.png", "bomb.png", "itself.png", "pipe.png")}
    assert all("\n" not in reason and str(tmp_path) not in reason for reason in reasons.values())
    assert "unreadable: yes/cut.jpg" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("target", "error", "words"),
    [
        ("nowhere", DataError, "nothing of that name"),
        ("br35h", UsageError, "give --data DIR"),
        ("empty", DataError, "received none"),
    ],
)
def test_nothing_to_audit_is_an_error_of_one_line(tmp_path, monkeypatch, target, error, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(error, match=words):
        audit_folder(target)


@pytest.mark.real_data
def test_navoneels_set(data_dir):
    record = audit_folder("navoneel", str(data_dir)).record()
    # 47 files in 22 groups of equal bytes, counted with sha256sum; none of other files has the same pixels.
    assert record.duplicates == {
        "byte": Duplicates(22, 47, None),
        "pixel": Duplicates(22, 47, None),
        "near": Duplicates(38, 92, None),
    }
    assert record.test_images is None


def test_a_mirror_image_of_a_mirror_image_faces_as_the_first_does(monkeypatch, tmp_path):
    # 0 and 3 have the same pixels; 1 is a mirror image of 0, 2 one of 1; 4 is both a duplicate and a mirror image of 5.
    mirrored, others = np.array([True, True, False, True]), np.zeros(4)
    near = NearDuplicates(np.array([[0, 1], [1, 2], [4, 5], [4, 5]]), mirrored, others + 1, others, others)
    monkeypatch.setattr(findings, "_near_duplicates", lambda *_: near)
    scan = Scan("", pd.DataFrame({"pixel_hash": list("abcadef")}), (), np.zeros((7, 1, 1), np.uint8))
    groups = findings.facing_groups(scan, tmp_path)
    assert groups[0] == groups[2] == groups[3] != groups[1] and groups[4] == groups[5] != groups[6]
