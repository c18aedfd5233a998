"""The audits of a run's sets, and what one set holds of another."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from brainlib.audit.overview import SetAudits
from brainlib.data.phantoms.draw import make_phantoms


def written(path, picture):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(picture)).save(path)


@pytest.fixture(scope="module")
def audits(tmp_path_factory):
    """br35h of six slices; navoneel of two of them, mirrored or re-encoded, and two others."""
    root = tmp_path_factory.mktemp("data")
    slices = make_phantoms(8, slices_per_patient=1, seed=9).images
    for number, picture in enumerate(slices[:6]):
        written(root / "br35h" / ("yes" if number % 2 else "no") / f"{number}.png", picture)
    written(root / "br35h" / "yes" / "again.png", slices[0])  # called no as well
    written(root / "navoneel" / "no" / "a.png", slices[0][:, ::-1])
    written(root / "navoneel" / "no" / "b.png", slices[6])
    written(root / "navoneel" / "yes" / "c.jpg", slices[1])
    written(root / "navoneel" / "yes" / "d.png", slices[7])
    (root / "navoneel" / "yes" / "e.png").write_bytes(b"no picture")
    return SetAudits(data=str(root), out=str(root / "reports"), profile="full")


def test_the_sets_that_are_there_are_audited(audits):
    assert audits.sets == ("br35h", "navoneel")
    rows = audits.table().frame.set_index("found")
    assert rows.loc["images"].tolist() == [7, 4]
    assert rows.loc["unreadable"].tolist() == [0, 1]
    assert rows.loc["near copies"].tolist() == ["2 in 1 groups", "0 in 0 groups"]
    assert rows.loc["contradictory pairs"].tolist() == [1, 0]


def test_pictures_of_one_set_are_found_in_another_however_they_are_stored(audits):
    # Of br35h the first slice, which it has twice, and the second; of navoneel two of four.
    assert audits.overlaps.loc["br35h", "navoneel"] == 3
    assert audits.overlaps.loc["navoneel", "br35h"] == 2
    shown = audits.overlap_table().frame.set_index("set")
    assert shown.loc["navoneel", "br35h"] == "2 (50 %)" and shown.loc["br35h", "br35h"] == "–"


def test_contradictions_and_damage_are_listed_by_file_name(audits):
    assert audits.contradictions_table().frame.values.tolist() == [["br35h", "no/0.png", "yes/again.png"]]
    ((name, path, why),) = audits.doubts_table().frame.values.tolist()
    assert (name, path) == ("navoneel", "yes/e.png") and why.startswith("unreadable: expected an image")


def test_copies_are_counted_by_class(audits):
    rows = audits.by_class("br35h").frame.set_index("label")
    assert rows["images"].to_dict() == {"no": 3, "yes": 4}
    assert rows["with a copy"].to_dict() == {"no": 1, "yes": 1}
    assert rows["in groups of two labels"].to_dict() == {"no": 1, "yes": 1}


def test_a_montage_shows_a_group_a_row(audits):
    assert "1 groups of near copies, one a row, of 2 images" in audits.montage("br35h").alt
    assert audits.montage("navoneel") is None
    assert audits.montage("br35h", contradictory=True) is not None


def test_what_is_saved_holds_counts_and_names_and_no_folder_of_this_machine(audits):
    audits.save()
    path = audits.options.store.parent / "results" / "00_data_audit.json"
    text = path.read_text()
    saved = json.loads(text)
    assert str(audits.options.store.parent.parent) not in text and saved["most"] == 0
    assert saved["sets"]["navoneel"]["copies_in_other_sets"] == {"br35h": 2}
    assert saved["sets"]["br35h"]["near_groups"] == 1


def test_of_a_small_profile_a_few_images_of_each_class_are_audited(audits, tmp_path):
    few = SetAudits(data=audits.options.data, out=str(tmp_path), profile="smoke")
    assert "At most 60 images of each set" in few.table().caption


def test_where_every_set_is_downloaded_for_its_paper_nothing_is_audited(tmp_path):
    none = SetAudits(data="kaggle", out=str(tmp_path))
    assert none.sets == () and "No set is on this machine" in none.table().caption
    for table in (none.contradictions_table(), none.overlap_table(), none.doubts_table()):
        assert table.frame.empty
    none.save()
    path = none.options.store.parent / "results" / "00_data_audit.json"
    assert json.loads(path.read_text())["sets"] == {}
