"""The audits of several sets, and the overlap between them."""

from __future__ import annotations

import pytest
from pngs import write_image

from brainlib.audit import planted
from brainlib.audit.overview import audit_sets
from brainlib.data import datasets
from brainlib.data.phantoms.draw import make_phantoms
from brainlib.errors import DataError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """br35h of six slices; navoneel of two of them, mirrored or re-encoded, and two others."""
    root = tmp_path_factory.mktemp("data")
    slices = make_phantoms(8, slices_per_patient=1, seed=9).images
    for number, pixels in enumerate(slices[:6]):
        write_image(root / "br35h" / ("yes" if number % 2 else "no") / f"{number}.png", pixels)
    write_image(root / "br35h" / "yes" / "again.png", slices[0])  # labelled no as well
    write_image(root / "navoneel" / "no" / "a.png", slices[0][:, ::-1])
    write_image(root / "navoneel" / "no" / "b.png", slices[6])
    write_image(root / "navoneel" / "yes" / "c.jpg", slices[1])
    write_image(root / "navoneel" / "yes" / "d.png", slices[7])
    (root / "navoneel" / "yes" / "e.png").write_bytes(b"not an image")
    return root


def test_all_sets_that_are_there_are_audited(folder, tmp_path):
    lines = []
    overview = audit_sets(str(folder), tmp_path, on_progress=lambda share, line: lines.append((share, line)))
    record = overview.record
    assert list(record.sets) == list(overview.audits) == ["br35h", "navoneel"] and not record.phantoms
    assert [each.images for each in record.sets.values()] == [7, 4]
    assert [each.duplicates["near"].groups for each in record.sets.values()] == [1, 0]
    assert record.sets["br35h"].contradictions == (("no/0.png", "yes/again.png"),)
    ((path, reason),) = record.sets["navoneel"].unreadable
    assert path == "yes/e.png" and reason.startswith("expected an image")
    # Of br35h the first slice, which it has twice, and the second; of navoneel two of four.
    assert record.overlaps == {"br35h": {"navoneel": 3}, "navoneel": {"br35h": 2}}
    assert record.mirrored == {"br35h": {"navoneel": 2}, "navoneel": {"br35h": 1}}  # the first slice
    assert record.share("navoneel", "br35h") == (0.5, 0.5)
    assert record.planted == () and record.phantom_pairs is None
    assert [share for share, _ in lines] == sorted(share for share, _ in lines) and lines[-1][0] < 1


def test_only_the_named_sets_are_audited(folder, tmp_path):
    record = audit_sets(str(folder), tmp_path, ["navoneel"]).record
    assert list(record.sets) == ["navoneel"] and record.overlaps == {"navoneel": {}}
    with pytest.raises(DataError, match="sartaj"):
        audit_sets(str(folder), tmp_path, ["sartaj"])


def test_own_images_are_audited_under_their_title(folder, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(f"title: Ward 7\nroot: {folder / 'br35h'}\nclasses: {{no: healthy, yes: sick}}\n")
    overview = audit_sets(str(path), tmp_path, ["sartaj"])
    found = overview.record.sets["Ward 7"]
    assert list(overview.record.sets) == list(overview.roots) == [found.name] and overview.record.overlaps == {
        "Ward 7": {}
    }
    assert found.images_by_class == {"healthy": 3, "sick": 4}


def test_duplicates_are_planted_in_each_set_and_among_known_phantoms(tmp_path, monkeypatch):
    monkeypatch.setattr(planted, "EACH", 1)
    monkeypatch.setattr(planted, "_PHANTOMS", 24)
    record = audit_sets("phantoms", tmp_path, ["sartaj"], phantoms=16, plant=True).record
    assert record.phantoms and record.sets["sartaj"].images == 16 and record.sets["sartaj"].test_images > 0
    among = {"sartaj", "sartaj, as drawn", "phantoms with known duplicates"}
    assert {each.among for each in record.planted} == among
    assert record.phantom_pairs.grouped > 0


def test_the_duplicates_that_phantoms_are_drawn_with_are_counted_and_found(tmp_path):
    record = audit_sets("phantoms", tmp_path, ["br35h"], phantoms=60).record
    assert record.phantom_pairs is None and {each.among for each in record.planted} == {"br35h, as drawn"}
    counts = {each.alteration: (each.planted, each.recovered) for each in record.planted}
    assert counts["exact"] == (14, 14)
    assert sum(planted for planted, _ in counts.values()) == 26
    assert sum(recovered for _, recovered in counts.values()) >= 25


def test_nothing_is_downloaded_from_kaggle_unasked(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "download", lambda name, store: folder / name)
    assert audit_sets("kaggle", tmp_path).record.sets == {}
    assert list(audit_sets("kaggle", tmp_path, ["navoneel"]).record.sets) == ["navoneel"]
