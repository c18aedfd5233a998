"""Tables and montages of the audits of data sets."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pngs import write_image

from brainlib.audit.findings import Audit
from brainlib.audit.overview import DataAudit, Overview
from brainlib.audit.planted import PhantomPairs, Planted
from brainlib.data.phantoms.draw import ALTERATIONS, make_phantoms
from brainlib.report import figures
from brainlib.report.tables import audit as tables
from brainlib.study import data_audit
from brainlib.study.options import Options


def overview_of(audits, roots, **changes):
    fields = {"phantoms": False, "overlaps": {}, "planted": (), "phantom_pairs": None} | changes
    return Overview(DataAudit(sets={name: each.record() for name, each in audits.items()}, **fields), audits, roots)


@pytest.fixture
def overview(tmp_path):
    """Four images in two published parts, two of them duplicates with different labels, and a damaged file."""
    table = pd.DataFrame({"path": ["train/no/a.png", "test/yes/b.png", "train/yes/c.png", "test/no/d.png"]})
    table[["part", "label"]] = [path.split("/")[:2] for path in table["path"]]
    table["byte_hash"] = table["pixel_hash"] = ["1", "2", "3", "4"]
    table["near"], table["quality_flag"] = [0, 0, 1, 2], ["", "", "coloured", ""]
    table["added"] = False
    for path in table["path"]:
        write_image(tmp_path / path, np.zeros((8, 8), np.uint8))
    bad, pair = ("train/no/e.png", "truncated"), ("test/yes/b.png", "train/no/a.png")
    ours, empty = Audit("ours", table, (bad,), None, (pair,)), Audit("empty", table[:0], (), None, ())
    overlaps, mirrored = {"ours": {"empty": 1}, "empty": {"ours": 0}}, {"ours": {"empty": 1}}
    return overview_of(
        {"ours": ours, "empty": empty}, {"ours": tmp_path, "empty": tmp_path}, overlaps=overlaps, mirrored=mirrored
    )


def test_duplicates_are_counted_by_set_and_kind_and_by_class(overview):
    frame = tables.audits(overview).frame.set_index(["set", "kind"])
    columns = ["images", "groups", "with a duplicate", "share", "published test images", "leaked test images"]
    assert frame.loc[("ours", "near-duplicates"), columns].tolist() == [4, 1, 2, 0.5, 2, 1]
    assert frame.loc[("ours", "same bytes"), "with a duplicate"] == 0
    assert pd.isna(frame.loc[("empty", "near-duplicates"), "leaked test images"])
    frame = tables.audit_by_class(overview).frame.set_index(["part", "class"])
    counted = {("train", "no"): 1, ("test", "yes"): 1, ("train", "yes"): 0, ("test", "no"): 0}
    assert frame["with a duplicate"].to_dict() == counted
    assert frame["in groups of several classes"].to_dict() == counted


def test_contradictions_and_flagged_files_are_listed_by_name(overview):
    table = tables.contradictions(overview)
    assert table.frame.to_numpy().tolist() == [["ours", "test/yes/b.png", "train/no/a.png"]]
    assert "different labels: 1." in table.caption
    assert tables.quality_flags(overview).frame.to_numpy().tolist() == [
        ["ours", "train/no/e.png", "unreadable: truncated"],
        ["ours", "train/yes/c.png", "perhaps no slice: coloured"],
    ]


def test_an_overlap_is_a_share_of_the_images_of_the_set(overview):
    assert tables.overlaps(overview).frame.to_numpy().tolist() == [
        ["ours", "empty", 4, 1, 0.25, 1],
        ["empty", "ours", 0, 0, 0, 0],
    ]
    assert "of other patients" in tables.overlaps(overview_of(overview.audits, {}, phantoms=True)).caption


def test_recall_is_given_by_alteration_and_as_a_whole(overview):
    counts = {"set": (10, 9), "phantoms": (5, 5)}
    recall = tuple(Planted(among, kind, *both) for among, both in counts.items() for kind in ALTERATIONS)
    table = tables.planted(overview_of({}, {}, planted=recall, phantom_pairs=PhantomPairs(70, 8, 7)))
    assert list(table.frame["jpeg"]) == [9, 5]
    # Wilson for 54 of 60 and 30 of 30.
    assert list(table.shown()["recall,\N{NO-BREAK SPACE}%"]) == ["90.0 (79.9 to 95.3)", "100.0 (88.6 to 100.0)"]
    assert all(words in table.caption for words in ("70 pairs", "8 are not duplicates", "7 are neighbouring"))
    assert "Not run" in tables.planted(overview).caption


def test_the_map_of_sets_tells_which_share_of_each_is_in_the_other(overview):
    plot = figures.overlap_map(overview.record)
    assert plot.alt.replace("\N{NO-BREAK SPACE}", " ") == (
        "Images with a duplicate in another set. 25 %, 100 % of it mirrored of ours in empty; 0 % of empty in ours."
    )
    axes = plot.figure.axes[0]
    texts = [text.get_text().replace("\N{NO-BREAK SPACE}", " ") for text in axes.texts]
    assert [text for text in texts if text] == ["25 %\n100 % of it mirrored", "0 %"]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["ours\n4 images", "empty\n0 images"]
    assert figures.overlap_map(overview_of(overview.audits, {}, phantoms=True).record) is None


def test_a_montage_says_of_each_image_its_file_its_class_and_how_it_is_a_duplicate_of_the_first(tmp_path):
    first, other = make_phantoms(2, slices_per_patient=1, seed=3).images
    files = {"no/a.png": first, "no/b$^$.png": first, "yes/c.png": first[:, ::-1], "yes/d.png": other}
    for path, pixels in files.items():
        write_image(tmp_path / path, pixels)
    table = pd.DataFrame({"path": list(files), "part": "", "label": ["no", "no", "yes", "yes"]})
    # The fourth is in the group as if others connected it.
    table["byte_hash"], table["pixel_hash"], table["near"], table["quality_flag"] = list("1234"), list("1134"), 0, ""
    few = overview_of(
        {"ours": Audit("ours", table, (), None, ()), "none": Audit("none", table[:0], (), None, ())},
        {"ours": tmp_path, "none": tmp_path},
    )
    plot = figures.duplicate_montage(few, "ours", contradictory=True)
    shown = [axes.get_xlabel() for axes in plot.figure.axes if axes.images]
    # One of each class in turn.
    assert shown[:3] == ["a.png\nno\nfirst", "c.png\nyes\nmirrored, 1.00", "b$^$.png\nno\nsame pixels"]
    assert shown[3].startswith("d.png\nyes\nby others, 0.") and len(shown) == 4
    assert plot.figure.axes[0].get_ylabel() == "4 images\n2 classes"
    assert plot._repr_mimebundle_()  # a file's name is no formula
    assert plot.alt == "ours: 1 of the 1 groups of duplicates with different labels, of 4 images."
    assert figures.duplicate_montage(few, "none") is None


def test_lines_for_a_terminal_hold_every_finding(overview):
    assert tables.lines(overview.audits["ours"]) == [
        "ours: 4 images, 1 unreadable",
        "  unreadable: train/no/e.png: truncated",
        "  same bytes: 0 groups, 0 images; 0 of 2 test images are leaked",
        "  same pixels: 0 groups, 0 images; 0 of 2 test images are leaked",
        "  near-duplicates: 1 groups, 2 images; 1 of 2 test images are leaked",
        "  contradiction: test/yes/b.png and train/no/a.png",
        "  perhaps no slice: train/yes/c.png: coloured",
    ]


def test_a_run_audits_as_many_phantoms_as_its_profile_uses_and_saves_no_folder_of_this_machine(tmp_path):
    options = Options(profile="smoke", data="phantoms", out=str(tmp_path))
    overview = data_audit.audit_of(options, ["navoneel"])
    saved = data_audit.save(overview, options).read_text()
    assert '"images": 60' in saved and str(tmp_path) not in saved
    assert "Phantoms in place of the published images" in tables.audits(overview).caption
