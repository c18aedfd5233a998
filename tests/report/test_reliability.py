"""The reliability curve, described by its numbers."""

from __future__ import annotations

import pandas as pd

from brainlib.report.figures import reliability
from brainlib.stats.calibration import Calibration
from brainlib.stats.intervals import Interval


def test_the_curve_is_described_by_its_numbers():
    curve = pd.DataFrame(
        {"images": [6, 4], "confidence": [0.65, 0.85], "accuracy": [0.5, 0.75], "low": [0.2, 0.3], "high": [0.8, 0.9]}
    )
    limits = Interval(0.05, 0.2, "group bootstrap")
    plot = reliability({"a model": Calibration(0.13, limits, 0.4, limits, curve)}, "a paper")
    assert "a model: expected calibration error 13.0 %" in plot.alt
    assert "of 4 images predicted with a mean confidence of 0.85, 75 % are correct" in plot.alt
