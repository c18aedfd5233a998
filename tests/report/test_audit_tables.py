"""Tables and montages of the audits of data sets."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from brainlib.audit.findings import Audit
from brainlib.audit.overview import DataAudit, Overview
from brainlib.audit.planted import PhantomPairs, Planted
from brainlib.data.phantoms.draw import ALTERATIONS
from brainlib.report.figures import images
from brainlib.report.figures.images import duplicate_montage
from brainlib.report.tables import audit as tables
from brainlib.study import data_audit
from brainlib.study.options import Options


def overview_of(audits, roots, **changes):
    fields = {"phantoms": False, "overlaps": {}, "planted": (), "phantom_pairs": None} | changes
    return Overview(DataAudit(sets={name: each.record() for name, each in audits.items()}, **fields), audits, roots)


@pytest.fixture
def overview(tmp_path):
    """Four images in two published parts, two of them duplicates with different labels, and a damaged file."""
    rows = [("train/no/a.png", "no", "train", "1", "1", 0, ""), ("test/yes/b.png", "yes", "test", "2", "2", 0, "")]
    rows += [
        ("train/yes/c.png", "yes", "train", "3", "3", 1, "coloured"),
        ("test/no/d.png", "no", "test", "4", "4", 2, ""),
    ]
    columns = ["path", "label", "part", "byte_hash", "pixel_hash", "near", "quality_flag"]
    table = pd.DataFrame(rows, columns=columns)
    for number, path in enumerate(table["path"]):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8), 40 * number, np.uint8)).save(tmp_path / path)
    bad, pair = (("train/no/e.png", "cut off"),), (("test/yes/b.png", "train/no/a.png"),)
    audits = {
        "ours": Audit("ours", table, bad, pd.DataFrame(), pair),
        "empty": Audit("empty", table[:0], (), pd.DataFrame(), ()),
    }
    overlaps = {"ours": {"empty": 1}, "empty": {"ours": 0}}
    return overview_of(audits, dict.fromkeys(audits, tmp_path), overlaps=overlaps)


def test_duplicates_are_counted_by_set_and_kind(overview):
    frame = tables.audits(overview).frame.set_index(["set", "kind"])
    near = frame.loc["ours", "near-duplicates"]
    assert near[["images", "groups", "with a duplicate", "share"]].tolist() == [4, 1, 2, 0.5]
    assert near[["published test images", "leaked test images"]].tolist() == [2, 1]
    assert frame.loc[("ours", "same bytes"), "with a duplicate"] == 0
    assert pd.isna(frame.loc[("empty", "near-duplicates"), "leaked test images"])


def test_duplicates_are_counted_by_class(overview):
    frame = tables.audit_by_class(overview).frame.set_index(["part", "class"])
    assert frame["with a duplicate"].to_dict() == {
        ("train", "no"): 1,
        ("test", "yes"): 1,
        ("train", "yes"): 0,
        ("test", "no"): 0,
    }
    assert frame["in groups of several classes"].equals(
        frame["with a duplicate"].rename("in groups of several classes")
    )


def test_contradictions_and_flagged_files_are_listed_by_name(overview):
    table = tables.contradictions(overview)
    assert (
        table.frame.to_numpy().tolist() == [["ours", "test/yes/b.png", "train/no/a.png"]]
        and "different labels: 1." in table.caption
    )
    assert tables.quality_flags(overview).frame.to_numpy().tolist() == [
        ["ours", "train/no/e.png", "unreadable: cut off"],
        ["ours", "train/yes/c.png", "perhaps no slice: coloured"],
    ]


def test_an_overlap_is_a_share_of_the_images_of_the_set(overview):
    frame = tables.overlaps(overview).frame
    assert frame.to_numpy().tolist() == [["ours", "empty", 4, 1, 0.25]]
    assert "one generator" in tables.overlaps(overview_of(overview.audits, {}, phantoms=True)).caption


def test_recall_is_given_by_alteration_and_as_a_whole(overview):
    recall = (
        *(Planted("set", kind, 10, 9) for kind in ALTERATIONS),
        *(Planted("phantoms", kind, 5, 5) for kind in ALTERATIONS),
    )
    table = tables.planted(overview_of({}, {}, planted=recall, phantom_pairs=PhantomPairs(70, 8, 7)))
    assert list(table.frame["jpeg"]) == [9, 5]
    # Wilson for 54 of 60 and 30 of 30.
    assert list(table.shown()["recall,\N{NO-BREAK SPACE}%"]) == ["90.0 (79.9 to 95.3)", "100.0 (88.6 to 100.0)"]
    assert (
        "70 pairs" in table.caption
        and "8 are not duplicates" in table.caption
        and "7 are neighbouring" in table.caption
    )
    assert "Not run" in tables.planted(overview).caption


def test_without_sets_every_table_says_so():
    none = overview_of({}, {})
    for table in (tables.audits, tables.audit_by_class, tables.contradictions, tables.quality_flags, tables.overlaps):
        assert table(none).frame.empty and "No set is on this machine" in table(none).caption


def test_a_montage_shows_class_and_name_of_each_duplicate(overview):
    figure = duplicate_montage(overview, "ours", contradictory=True)
    assert figure.alt == "ours: 1 of the 1 groups of duplicates with different labels, of 2 images."
    titles = [axis.get_title() for axis in figure.figure.axes if axis.images]
    assert titles == ["yes\nb.png", "no\na.png"]
    assert duplicate_montage(overview, "empty") is None


def test_small_groups_of_a_montage_are_placed_side_by_side():
    assert images._places([11, 3, 3, 3, 2]) == [(0, 0), (1, 0), (1, 4), (1, 8), (2, 0)]
    assert len(images._places([11] * 50)) == 8


def test_lines_for_a_terminal_hold_every_finding(overview):
    text = "\n".join(tables.lines(overview.audits["ours"]))
    assert "ours: 4 images, 1 unreadable" in text and "unreadable: train/no/e.png: cut off" in text
    assert "near-duplicates: 1 groups, 2 images; 1 of 2 test images are leaked" in text
    assert (
        "contradiction: test/yes/b.png and train/no/a.png" in text
        and "perhaps no slice: train/yes/c.png: coloured" in text
    )


def test_the_saved_record_holds_counts_and_names_and_no_folder_of_this_machine(overview, tmp_path):
    path = data_audit.save(overview, Options(out=str(tmp_path / "reports")))
    record = json.loads(path.read_text())
    assert str(tmp_path) not in path.read_text()
    assert record["sets"]["ours"]["duplicates"]["near"]["leaked_test_images"] == {"no": 0, "yes": 1}


def test_a_run_audits_as_many_phantoms_as_its_profile_uses(tmp_path):
    overview = data_audit.audit_of(Options(profile="smoke", data="phantoms", out=str(tmp_path)), ["navoneel"])
    assert overview.record.sets["navoneel"].images == 60
    assert "Phantoms in place of the published images" in tables.audits(overview).caption
