"""How many models are trained at a time, and what each is bound to: threads, and one of the GPUs that may be used."""

from __future__ import annotations

import os
import sys

import dask.system
import distributed.system
import numpy as np
import pytest
from cloudpickle import register_pickle_by_value

from brainlib.errors import ModelError
from brainlib.trials import devices, jobs, processes, workers

register_pickle_by_value(sys.modules[__name__])  # a process cannot import this file
GIB = 2**30
TWO = "GPU 0: NVIDIA A (UUID: GPU-aa-1)\nGPU 1: NVIDIA B (UUID: GPU-bb-2)\n"
DIVIDED = (
    "GPU 0: NVIDIA A (UUID: GPU-aa-1)\n  MIG 1g.5gb Device 0: (UUID: MIG-1)\n  MIG 1g.5gb Device 1: (UUID: MIG-2)\n"
)


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Set up a machine: its processors, its memory in GiB, what nvidia-smi lists, and what TensorFlow cannot use."""

    def made_up(processors=2, memory=64, listed="", unusable=()):
        monkeypatch.setattr(dask.system, "CPU_COUNT", processors)
        monkeypatch.setattr(distributed.system, "MEMORY_LIMIT", memory * GIB)
        tool = tmp_path / "nvidia-smi"
        tool.write_text(f"#!/bin/sh\n[ \"$1\" = -L ] && echo '{listed}'\n")
        tool.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        devices._usable.cache_clear()

        def run_all(function, asked, places, report):
            return [int(place["CUDA_VISIBLE_DEVICES"] not in unusable) for place in places]

        monkeypatch.setattr(processes, "run_all", run_all)

    yield made_up
    devices._usable.cache_clear()


@pytest.mark.parametrize(
    ("processors", "memory", "jobs", "expected"),
    [
        (2, 24, None, (2, 1)),  # one a processor
        (8, 12, None, (3, 2)),  # as far as memory allows
        (2, 2, None, (1, 2)),  # one in any case
        (64, 512, None, (8, 8)),  # and not more than eight
        (2, 24, 1, (1, 2)),
        (2, 24, 4, (4, 1)),
    ],
)
def test_processors_are_divided_among_as_many_models_as_memory_allows_or_as_was_asked_for(
    machine, processors, memory, jobs, expected
):
    machine(processors, memory)
    places = devices.places(jobs)
    count, threads = expected
    assert len(places) == count
    assert {place["TF_NUM_INTRAOP_THREADS"] for place in places} == {str(threads)}
    assert not any("CUDA_VISIBLE_DEVICES" in place for place in places)


def bound(jobs=None):
    return [place["CUDA_VISIBLE_DEVICES"] for place in devices.places(jobs) if "CUDA_VISIBLE_DEVICES" in place]


def test_each_gpu_trains_one_model_at_a_time(machine):
    machine(16, 64, TWO)
    assert bound() == ["GPU-aa-1", "GPU-bb-2"]
    assert {place["TF_NUM_INTRAOP_THREADS"] for place in devices.places()} == {"8"}
    assert bound(3) == ["GPU-aa-1", "GPU-bb-2", "GPU-aa-1"]
    assert bound(1) == ["GPU-aa-1"]


def test_a_gpu_that_is_divided_is_used_by_its_parts(machine):
    machine(16, 64, DIVIDED)
    assert bound() == ["MIG-1", "MIG-2"]


@pytest.mark.parametrize(
    ("visible", "expected"),
    [("", []), ("-1", []), ("1", ["1"]), ("1, 0", ["1", "0"]), ("0,-1,1", ["0"]), ("GPU-bb-2", ["GPU-bb-2"])],
)
def test_only_what_the_user_left_visible_is_used(machine, monkeypatch, visible, expected):
    machine(4, 64, TWO)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert bound() == expected
    assert len(devices.places()) == (len(expected) or 4)


def test_a_gpu_that_tensorflow_cannot_use_is_left_out_and_named(machine, capsys):
    machine(4, 64, TWO, unusable=("GPU-aa-1",))
    assert bound() == ["GPU-bb-2"]
    assert "2 GPUs are listed and TensorFlow uses 1" in capsys.readouterr().err
    machine(4, 64, TWO, unusable=("GPU-aa-1", "GPU-bb-2"))
    assert (bound(), len(devices.places())) == ([], 4)


def environment(report):
    from brainlib.models._tensorflow import tf

    found = {name: os.environ.get(name) for name in ("CUDA_VISIBLE_DEVICES", "TF_FORCE_GPU_ALLOW_GROWTH")}
    return found | jobs.environment() | {"eager": tf.executing_eagerly()}


@pytest.mark.slow
def test_workers_of_a_run_are_bound_and_say_how_many_they_are(monkeypatch):
    two = [{"CUDA_VISIBLE_DEVICES": name, devices.AT_A_TIME: "2", "TF_NUM_INTRAOP_THREADS": "1"} for name in ("5", "6")]
    monkeypatch.setattr(devices, "places", lambda asked=None: two)
    with workers.local_cluster() as address, workers.connected(address) as client:
        found = client.run(lambda: os.environ["CUDA_VISIBLE_DEVICES"])
        (place,) = workers.run(environment, [()], address)
    assert sorted(found.values()) == ["5", "6"]
    assert place["CUDA_VISIBLE_DEVICES"] in ("5", "6")
    assert (place["models_at_a_time"], place["threads"], place["accelerators"]) == (2, "1", 0)
    assert place["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"


def placed(report):
    """Where images and what is looked up in them lie, with a second logical CPU in the part of an accelerator."""
    from types import SimpleNamespace

    from brainlib.models import feeding
    from brainlib.models._tensorflow import keras, tf

    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    images = np.arange(64 * 4, dtype=np.uint8).reshape(64, 4)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Rescaling(0.5)])
    found = {}
    for name, limit in {"fits": 2 * images.nbytes, "too large": images.nbytes}.items():
        feeding._accelerator = lambda limit=limit: SimpleNamespace(name="/device:CPU:1", memory_limit=limit)
        tensor = feeding.held(images)
        rows = tf.function(lambda rows, tensor=tensor: feeding.looked_up(tensor, rows))(tf.constant([3, 1]))
        predicted = feeding.predictor(model, tensor)(np.array([3, 1]))
        right = np.array_equal(predicted, images[[3, 1]] / 2) and np.array_equal(rows, images[[3, 1]])
        found[name] = tensor.device[-5:], right
    return found


@pytest.mark.slow
def test_images_lie_on_the_accelerator_where_they_fit_in_half_of_it_and_else_beside_the_processor():
    assert processes.run(placed, (), print) == {"fits": ("CPU:1", True), "too large": ("CPU:0", True)}


def mixed(report):
    """Train a small network in float16 on this processor; return types, losses and what the optimizer holds."""
    import tempfile
    from pathlib import Path

    from brainlib.models import build, training
    from brainlib.models._tensorflow import keras, tf
    from brainlib.models.backbones import Weights

    try:
        training.prepare(0, "mixed")
    except ModelError as error:
        refused = str(error)
    tf.config.list_physical_devices = lambda kind=None: ["a GPU"]
    draw = np.random.default_rng(0)
    targets = (np.arange(32) % 2).astype(np.float32)[:, None]
    pixels = (draw.integers(0, 100, (32, 32, 32, 3)) + 100 * targets[:, :, None, None]).astype(np.uint8)
    task = training.Task(pixels, targets, np.arange(24), np.arange(24, 32), "x")
    spec, losses, names = build.ModelSpec("transfer", backbone="mobilenet_025", pooling="average"), {}, set()
    with tempfile.TemporaryDirectory() as folder:
        for precision in ("float32", "mixed", "mixed"):
            training.prepare(0, precision)
            network = build.build_network(spec, 32, 1, Weights("random"))
            phases = (training.Phase("head", "head", 2, 1e-2), training.Phase("all", "all", 1, 1e-3))
            epochs, predicted = training.fit(network, task, phases, batch_size=8, seed=0, store=Path(folder))
            losses.setdefault(precision, []).append([epoch.loss for epoch in epochs])
            names = {path.name for path in Path(folder).glob("features/*")}
    kinds = {layer.compute_dtype for layer in network.model.layers if isinstance(layer, keras.layers.Conv2D)}
    return {
        "refused": refused,
        "losses": losses,
        "features": len(names),
        "convolutions": kinds,
        "output": network.model.output.dtype,
        "weights": {variable.dtype for variable in network.model.trainable_variables},
        "predicted": predicted[-1].dtype.name,
        "tf32": tf.config.experimental.tensor_float_32_execution_enabled(),
    }


@pytest.mark.slow
def test_mixed_precision_computes_in_float16_keeps_float32_and_stores_its_activations_apart():
    found = processes.run(mixed, (), print)
    assert found["refused"].startswith("--precision mixed: expected a GPU")
    assert (found["convolutions"], found["weights"], found["output"]) == ({"float16"}, {"float32"}, "float32")
    (exact,), (once, again) = found["losses"]["float32"], found["losses"]["mixed"]
    assert once == again != exact
    np.testing.assert_allclose(once, exact, atol=0.05)
    assert (found["features"], found["predicted"], found["tf32"]) == (2, "float32", False)
