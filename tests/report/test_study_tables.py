"""Tables of what a run does: its options, the protocol, and the images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from made_up import dataset_of, study_of, with_images
from PIL import Image

from brainlib.report.tables import paper as paper_tables
from brainlib.report.tables import study as tables


@pytest.fixture
def full(tmp_path):
    return study_of("jardim", tmp_path)


def test_the_protocol_is_shown_in_words_with_its_provenance_and_keys(full):
    table = paper_tables.protocol(full.paper)
    rows = table.frame.set_index("setting")
    assert rows.loc["image size", "provenance"] == "stated"
    assert rows.loc["cnn: kernel size", ["value", "alternatives"]].tolist() == ["3", "5"]
    assert rows.loc["cnn, phase 1: learning rate", "value"] == "0.0001"
    assert rows.loc["cnn, phase 1: augmentation", "value"] == "none"
    assert rows.loc["cnn, phase 1: learning rate", "key"] == "arms.cnn.phases[0].learning_rate"
    assert rows.loc["optimizer", "key"] == "protocol.optimizer"
    assumed = (table.frame["provenance"] == "assumed").sum()
    assert f"{assumed} assumed" in table.caption


@pytest.mark.parametrize(
    ("groups", "profile", "used", "duplicates"),
    [
        ([0, 0, 0, *range(1, 2998)], "full", 1500, 2),
        # Every image of "no" is a duplicate of the others; 30 of the 1500 are used.
        ([0] * 1500 + list(range(1, 1501)), "smoke", 30, 29),
    ],
)
def test_duplicates_are_counted_in_each_class_among_the_images_that_are_used(
    tmp_path, groups, profile, used, duplicates
):
    study = study_of("jardim", tmp_path, dataset_of("br35h", groups), profile=profile)
    rows = tables.data(study).frame.set_index("class")
    columns = ["images", "published", "used", "duplicates among those used"]
    assert rows.loc["no", columns].tolist() == [1500, 1500, used, duplicates]
    assert rows.loc["yes", columns].tolist() == [1500, 1500, used, 0]


def test_the_summary_names_where_the_images_come_from_but_no_folder(full, tmp_path):
    shown = dict(tables.summary(full).frame.itertuples(index=False, name=None))
    assert shown["data set"].endswith("from a folder of this machine")
    assert shown["images"] == "3000 of 3000, at 240 x 240 pixels"
    assert "elsewhere" not in " ".join(shown.values())
    given = repr(tables.summary(study_of("jardim", tmp_path, data="phantoms")))
    assert "from what the study was given" in given and "phantoms" not in given
    assert "changed" not in shown
    assert "batch size 16 in place of 32" in repr(tables.summary(full.varied("protocol.batch_size", 16)))


def test_errors_are_shown_with_their_images_the_surest_first(jardim, tmp_path):
    root = tmp_path / "images"
    jardim = with_images(jardim, root=root)
    wrong = jardim.errors("transfer")
    file = Path(wrong["file"].iloc[0])
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (9, 9), 200).save(file)
    table = tables.errors(jardim, "transfer")
    assert len(table.rows) == len(table.images) == len(wrong) and f"{len(wrong)} of 600 images" in table.caption
    assert (
        table.frame["probability"].is_monotonic_decreasing and (table.frame["true"] != table.frame["predicted"]).all()
    )
    shown = dict(zip(table.frame["path"], table.images, strict=True))
    # A file that is missing is black.
    assert len(set(shown.values())) == 2 and shown[wrong["path"].iloc[0]] != shown[wrong["path"].iloc[1]]
    assert len(tables.errors(jardim, "transfer", most=3).rows) == 3
    assert repr(jardim.study).startswith("<Study of jardim: profile ") and "cnn, transfer" in repr(jardim.study)


def test_the_layers_of_a_network_end_with_their_sums_and_name_a_substitute(jardim):
    assert "stored by an earlier version" in tables.networks(jardim).caption
    trained = jardim.trials["", "cnn", "final"]
    layers = [
        {"layers": "conv1", "kinds": "Conv2D", "output": [60, 60, 32], "parameters": 320, "trained": {"training": 320}},
        {"layers": "output", "kinds": "Dense", "output": [1], "parameters": 501, "trained": {"training": 0}},
    ]
    jardim.trials["", "cnn", "final"] = replace(trained, facts=trained.facts | {"layers": layers})
    rows = tables.networks(jardim).frame
    assert rows["arm"].tolist() == [jardim.study.title("cnn"), "", ""]
    assert rows["output"].tolist() == ["60 × 60 × 32", "1", ""]
    assert rows["parameters"].tolist() == [320, 501, 821] and rows["trained: training"].tolist() == [320, 0, 320]
