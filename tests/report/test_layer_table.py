"""The printed table of ResNet18 held against the network that is built."""

from __future__ import annotations

import pytest

from brainlib.papers.loading import load_paper
from brainlib.report.tables import layers
from brainlib.report.tables.layers import compare
from brainlib.trials import workers


@pytest.fixture(scope="module")
def printed():
    return load_paper("hajhashem").tables.layer_table


@pytest.fixture(scope="module")
def table(printed):
    return compare(printed, 224, 2)


@pytest.fixture(scope="module")
def built():
    """What the network has, for comparisons that need not build it again."""
    return layers._describe(224, 2, None)


def test_the_printed_table_differs_in_the_depth_of_its_blocks_only(table):
    # He et al. 2016, Table 1: 18 layers are 1 + 4 * 4 + 1; the paper prints blocks of 2 layers.
    assert table["layer"].tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    assert dict(zip(table["layer"], table["differs"], strict=True)) == {
        1: "",
        2: "",
        3: "convolutions",
        4: "convolutions",
        5: "convolutions",
        6: "convolutions",
        7: "",
        8: "",
    }
    blocks = table[table["differs"] == "convolutions"]
    assert set(blocks["printed convolutions"]) == {"2"}
    assert set(blocks["built convolutions"]) == {"4"}


def test_the_built_network_is_that_of_he_et_al(table):
    # He et al. 2016, Table 1, channels first.
    assert table["built output"].tolist() == [
        "64x112x112",
        "64x56x56",
        "64x56x56",
        "128x28x28",
        "256x14x14",
        "512x7x7",
        "512x1x1",
        "2",
    ]
    assert table["built kernel"].tolist() == ["7", "3", "3", "3", "3", "3", "7", ""]
    assert table["built stride"].tolist() == ["2", "2", "1", "2", "2", "2", "", ""]
    assert table["built padding"].tolist() == ["3", "1", "1", "1", "1", "1", "", ""]


def test_the_printed_side_is_what_the_paper_prints(table, printed):
    assert table["printed output"].tolist() == [row.output for row in printed]
    assert table["printed stride"].tolist() == ["2", "2", "", "2", "2", "2", "", ""]


@pytest.mark.parametrize(
    ("number", "field", "value"),
    [
        (0, "kernel", 5),
        (0, "padding", 0),
        (1, "stride", 1),
        (3, "output", "128x56x56"),
        (6, "kernel", 14),
        (7, "output", "4"),
    ],
)
def test_a_falsified_value_is_reported(monkeypatch, built, table, printed, number, field, value):
    monkeypatch.setattr(workers, "run", lambda *args: [built])
    rows = list(printed)
    rows[number] = rows[number].model_copy(update={field: value})
    differs = compare(rows, 224, 2)["differs"]
    expected = [text for text in (field, table["differs"][number]) if text]
    assert sorted(differs[number].split(", ")) == sorted(expected)
    others = [place for place in range(8) if place != number]
    assert differs[others].tolist() == table["differs"][others].tolist()


def test_a_row_too_many_is_reported(monkeypatch, built, printed):
    monkeypatch.setattr(workers, "run", lambda *args: [built])
    differs = compare([*printed, printed[0]], 224, 2)["differs"]
    assert differs.iloc[-1] == "output, kernel, stride, padding"
