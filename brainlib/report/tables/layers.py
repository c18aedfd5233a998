"""A printed table of layers held against the network that is really built.

Made for the 18-layer residual network: its first convolution, its pooling, its four stacks, the
average pooling and the classifier, which is how papers print it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import pandas as pd

from brainlib.models.backbones import RANDOM, Weights
from brainlib.models.build import ModelSpec
from brainlib.papers.schema import LayerRow
from brainlib.report.table import Table
from brainlib.trials import workers

_COLUMNS = ["output", "kernel", "stride", "padding", "convolutions"]


def compare(printed: Sequence[LayerRow], size: int, outputs: int, *, scheduler: str = "") -> pd.DataFrame:
    """Build ResNet18 and hold a printed table of its layers against it.

    Parameters
    ----------
    printed : sequence of LayerRow
        The rows of the paper, from the first convolution to the classifier.
    size : int
        Height and width of the input in pixels.
    outputs : int
        Units of the classifier.
    scheduler : str
        As in `trials.run_trials`.

    Returns
    -------
    DataFrame
        One row a printed row: layer, type; printed and built output, kernel, stride, padding and
        number of convolutions; and `differs`, the names of those that were printed and are not
        what was built, "" where all agree.
    """
    (built,) = workers.run(_describe, [(size, outputs)], scheduler, None)
    rows = []
    for number, row in enumerate(printed):
        layers = re.search(r"(\d+) layers", row.type)
        said = {
            "output": row.output,
            "kernel": row.kernel,
            "stride": row.stride,
            "padding": row.padding,
            "convolutions": int(layers[1]) if layers else None,
        }
        found = built[number] if number < len(built) else dict.fromkeys(_COLUMNS)
        differs = [name for name in _COLUMNS if said[name] not in (None, found[name])]
        rows.append(
            {"layer": row.layer, "type": row.type}
            | {f"printed {name}": _shown(said[name]) for name in _COLUMNS}
            | {f"built {name}": _shown(found[name]) for name in _COLUMNS}
            | {"differs": ", ".join(differs)}
        )
    return pd.DataFrame(rows)


def table(compared: pd.DataFrame) -> Table:
    """Show a comparison: what is printed, and in brackets what is built where that differs."""
    rows = compared[["layer", "type"]].copy()
    for name in _COLUMNS:
        pairs = zip(compared[f"printed {name}"], compared[f"built {name}"], strict=True)
        rows[name] = [printed if printed == built else f"{printed or '–'} (built: {built})" for printed, built in pairs]
    rows["differs in"] = compared["differs"]
    wrong = int((compared["differs"] != "").sum())
    caption = f"{len(rows)} printed layers; {wrong or 'none'} differ from the ResNet18 built here."
    return Table(rows, f"{caption} A dash: not printed.")


def _shown(value):
    return "" if value is None else str(value)


def _describe(size, outputs, report):
    from brainlib.models import build

    spec = ModelSpec("transfer", backbone="resnet18", scaling="backbone", pooling="average")
    model = build.build(spec, size, outputs, Weights(RANDOM)).model
    layers = model.get_layer("resnet18").layers
    stem = [_row(layers, name) for name in ("conv1_conv", "pool1_pool")]
    stacks = [_stack(layers, f"stack{number}_") for number in range(4)]
    pooled = layers[-1].output.shape
    nothing = dict.fromkeys(_COLUMNS)
    average = {**nothing, "output": f"{pooled[-1]}x1x1", "kernel": pooled[1]}
    return [*stem, *stacks, average, {**nothing, "output": str(model.output_shape[-1])}]


def _row(layers, name):
    index = [layer.name for layer in layers].index(name)
    layer = layers[index]
    kernel = getattr(layer, "kernel_size", None) or layer.pool_size
    # Keras pads in a layer of its own; "same" at stride 1 pads half a kernel.
    before = layers[index - 1]
    padding = before.padding[0][0] if "pad" in before.name else (kernel[0] - 1) // 2
    return {
        "output": _channels_first(layer.output.shape),
        "kernel": kernel[0],
        "stride": layer.strides[0],
        "padding": padding,
        "convolutions": None,
    }


def _stack(layers, prefix):
    own = [layer for layer in layers if layer.name.startswith(prefix)]
    # "_0_conv" is the 1x1 projection of the shortcut, which no paper counts as a layer.
    names = [layer.name for layer in own if layer.name.endswith("_conv") and not layer.name.endswith("_0_conv")]
    return {
        **_row(layers, names[0]),
        "output": _channels_first(own[-1].output.shape),
        "convolutions": len(names),
    }


def _channels_first(shape):
    _, height, width, channels = shape
    return f"{channels}x{height}x{width}"
