"""The printed table of ResNet18 compared with the network that is built."""

from __future__ import annotations

import pytest

from brainlib.papers.loading import load_paper
from brainlib.report.tables.paper import built_layers, layers
from brainlib.trials import workers

PAPER = load_paper("hajhashem")


@pytest.fixture(scope="module")
def built():
    """What the network has, for comparisons that need not build it again."""
    return built_layers(224, 2)


def compared(monkeypatch, built, rows, store):
    """Compare other printed rows with the network."""
    monkeypatch.setattr(workers, "run", lambda *args: [built])
    tables = PAPER.tables.model_copy(update={"layer_table": tuple(rows)})
    return layers(PAPER.model_copy(update={"tables": tables}), store).frame


def test_the_printed_table_differs_in_the_depth_of_its_blocks_only(tmp_path, monkeypatch):
    # He et al. 2016, Table 1: 18 layers are 1 + 4 * 4 + 1; the paper prints blocks of 2 layers.
    table = layers(PAPER, tmp_path)
    assert table.frame["differs in"].tolist() == ["", "", *["convolutions"] * 4, "", ""]
    assert table.frame["convolutions"].tolist() == ["–", "–", *["2 (built: 4)"] * 4, "–", "–"]
    assert "8 printed layers; 4 differ" in table.caption
    monkeypatch.setattr(workers, "run", pytest.fail)  # nothing is built twice
    assert layers(PAPER, tmp_path).frame.equals(table.frame)
    # What is not printed is a dash beside what is built.
    assert table.frame["stride"].tolist() == ["2", "2", "– (built: 1)", "2", "2", "2", "–", "–"]


def test_the_built_network_is_that_of_he_et_al(built):
    # He et al. 2016, Table 1, channels first.
    outputs = "64x112x112 64x56x56 64x56x56 128x28x28 256x14x14 512x7x7 512x1x1 2"
    assert [row["output"] for row in built] == outputs.split()
    assert [row.get("kernel") for row in built] == [7, 3, 3, 3, 3, 3, 7, None]
    assert [row.get("stride") for row in built] == [2, 2, 1, 2, 2, 2, None, None]
    assert [row.get("padding") for row in built] == [3, 1, 1, 1, 1, 1, None, None]


FALSE = [(0, "kernel", 5), (0, "padding", 0), (1, "stride", 1), (3, "output", "128x56x56"), (6, "kernel", 14)]


@pytest.mark.parametrize(("number", "field", "value"), FALSE)
def test_a_falsified_value_and_a_row_too_many_are_reported(monkeypatch, built, tmp_path, number, field, value):
    rows = list(PAPER.tables.layer_table)
    before = compared(monkeypatch, built, rows, tmp_path)["differs in"]
    rows[number] = rows[number].model_copy(update={field: value})
    after = compared(monkeypatch, built, [*rows, rows[0]], tmp_path)["differs in"]
    assert set(after[number].split(", ")) == {field, *filter(None, before[number].split(", "))}
    assert after[:8].drop(number).equals(before.drop(number))
    assert after[8] == "output, kernel, stride, padding"
