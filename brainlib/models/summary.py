"""A built network in rows, as papers draw it: its own layers one by one, those of a deep backbone by their size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from brainlib.models.build import Network, inside
from brainlib.models.freezing import set_trainable
from brainlib.models.phases import Phase

_MOST = 30  # layers that are shown one by one: a choice


def summary(network: Network, phases: Sequence[Phase]) -> list[dict[str, object]]:
    """Describe the layers of a network, and how many of their parameters each phase trains.

    Of a network of more than 30 layers, those of the backbone whose outputs have the same height and width share a
    row. Which layers train is left as it is in the last phase.

    Returns
    -------
    list of dict
        "layers" (the name, or the first and the last), "kinds" (with how many of each, layers without parameters not
        counted beside others), "output" (height, width, channels; or units), "parameters", and "trained", a dict of
        the number of parameters by the name of the phase.
    """
    leaves = [each for each in inside(network.model.layers) if not hasattr(each, "layers")]
    leaves = [each for each in leaves if type(each).__name__ != "InputLayer"]
    groups: dict[object, list] = {}
    for leaf in leaves:
        own = len(leaves) <= _MOST or leaf not in network.frozen
        groups.setdefault(leaf.name if own else leaf.output.shape[1:-1], []).append(leaf)
    trained = []
    for phase in phases:
        set_trainable(network, phase.trainable, phase.batch_norm)
        trained.append({key: _parameters(group, "trainable_weights") for key, group in groups.items()})
    names = [phase.name for phase in phases]
    return [
        {
            "layers": " to ".join(dict.fromkeys([group[0].name, group[-1].name])),
            "kinds": _kinds(group),
            "output": list(group[-1].output.shape[1:]),
            "parameters": _parameters(group, "weights"),
            "trained": {name: counts[key] for name, counts in zip(names, trained, strict=True)},
        }
        for key, group in groups.items()
    ]


def _parameters(layers, kind):
    return int(sum(np.prod(weight.shape) for layer in layers for weight in getattr(layer, kind)))


def _kinds(layers):
    counted = [layer for layer in layers if layer.weights] or layers
    counts = Counter(type(layer).__name__ for layer in counted)
    return ", ".join(kind if len(layers) == 1 else f"{count} {kind}" for kind, count in counts.items())
