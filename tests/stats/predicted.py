"""Tables of predictions as a trial stores them, float32 and all."""

from __future__ import annotations

import numpy as np
import pandas as pd


def table(labels, probabilities, classes):
    """Images of these true classes with their (n, c) probabilities, each in a group of its own."""
    probabilities = np.asarray(probabilities, dtype=np.float32).reshape(len(labels), len(classes))
    images = pd.DataFrame({"path": [f"{i}.png" for i in range(len(labels))], "label": list(labels), "part": "test"})
    images["group"] = np.arange(len(labels))
    return images.join(pd.DataFrame(probabilities, columns=[f"p_{name}" for name in classes]))


def binary(labels, p_yes):
    """Images of "no" and "yes"; also labels 0 and 1."""
    p_yes = np.asarray(p_yes, dtype=float)
    names = ["yes" if label in ("yes", 1) else "no" for label in labels]
    return table(names, np.stack([1 - p_yes, p_yes], axis=1), ["no", "yes"])
