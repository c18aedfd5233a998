"""A network in rows: parameters counted by hand, and those that Keras publishes."""

from __future__ import annotations

from brainlib.models.backbones import RANDOM, Weights
from brainlib.models.build import ModelSpec, build_network
from brainlib.models.phases import Phase
from brainlib.models.summary import summary


def test_each_layer_of_a_small_cnn_has_a_row():
    spec = ModelSpec("cnn", channels=1, convolutions=(32, 32), conv_dropout=0.25, dense=(500,))
    network = build_network(spec, 240, 1, Weights(RANDOM))
    rows = {row["layers"]: row for row in summary(network, [Phase("training", "all", 1, 1e-3)])}
    # 3 * 3 * 1 * 32 + 32, 3 * 3 * 32 * 32 + 32, 60 * 60 * 32 * 500 + 500, 500 + 1.
    counted = {"conv1": 320, "conv2": 9248, "dense1": 57_600_500, "output": 501}
    assert {name: row["parameters"] for name, row in rows.items() if row["parameters"]} == counted
    assert all(row["trained"] == {"training": row["parameters"]} for row in rows.values())
    assert (rows["pool2"]["output"], rows["pool2"]["kinds"]) == ([60, 60, 32], "MaxPooling2D")


def test_a_backbone_has_a_row_for_each_size_and_each_phase_trains_its_own_part():
    spec = ModelSpec("transfer", backbone="mobilenet", pooling="average")
    phases = [
        Phase("head", "head", 1, 1e-3),
        Phase("block", ("conv_pw_13", "conv_pw_13_bn"), 1, 1e-3),
        Phase("frozen", "all", 1, 1e-3, batch_norm="frozen"),
        Phase("all", "all", 1, 1e-3),
    ]
    rows = summary(build_network(spec, 64, 4, Weights(RANDOM)), phases)
    backbone = [row for row in rows if " to " in row["layers"]]
    # Keras: MobileNet without its top has 3,228,864 parameters, 21,888 of them moving means and variances.
    assert sum(row["parameters"] for row in backbone) == 3_228_864
    totals = {phase.name: sum(row["trained"][phase.name] for row in backbone) for phase in phases}
    # 1024 filters of 1 by 1 by 1024, and their scale and shift; all but the 10,944 scales and shifts each; all of both.
    block = 1024 * 1024 + 2 * 1024
    assert totals == {"head": 0, "block": block, "frozen": 3_228_864 - 2 * 21_888, "all": 3_228_864 - 21_888}
    assert [row["output"] for row in backbone] == [[32, 32, 64], [16, 16, 128], [8, 8, 256], [4, 4, 512], [2, 2, 1024]]
    assert rows[-1]["trained"] == dict.fromkeys(totals, 1024 * 4 + 4)
