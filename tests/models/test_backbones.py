"""Every network of every paper: built without a network, scaled as by Keras, trained as the paper states.

One table-driven test a claim about a network, over all arms of all papers. Weights are random and
images small; what is asked is which layers a phase trains, and that one step changes these and no
other.
"""

from __future__ import annotations

import keras
import numpy as np
import pytest
from networks import awaken, changed, weights_of

from brainlib.models import build, freezing, training
from brainlib.models.backbones import backbone_named
from brainlib.papers.loading import load_paper, paper_ids
from brainlib.study.study import Study

pytestmark = pytest.mark.slow

# Keras takes no smaller image for these; 32 pixels do for the others.
LEAST = {"inception_v3": 75, "inception_resnet_v2": 75, "xception": 71}


EVERY_ARM = [f"{paper}-{arm}" for paper in paper_ids() for arm in load_paper(paper).arms]


@pytest.fixture(scope="module")
def trials(tmp_path_factory):
    """One trial of each arm of each paper, on phantoms and random weights."""
    out, found = tmp_path_factory.mktemp("out"), {}
    for paper in paper_ids():
        options = {"profile": "smoke", "data": "phantoms", "weights": "random", "out": str(out)}
        study = Study(paper, arms=["all"], scenarios=["all"], **options)
        for trial in study.trials():
            found[f"{paper}-{trial.arm}"] = trial
    return found


@pytest.fixture(scope="module", params=EVERY_ARM)
def arm(request):
    """Every arm of every paper; the tests of one arm run one after another, so that its network is built once."""
    return request.param


@pytest.fixture(scope="module")
def built(trials):
    """Build the network of an arm, once for arms that share it."""
    networks = {}

    def network_of(arm):
        trial = trials[arm]
        outputs = 1 if trial.loss == "binary_crossentropy" else len(trial.classes)
        key = (trial.model, outputs)
        if key not in networks:
            networks.clear()  # one at a time: ResNet-152 alone has 58 million weights
            training.prepare(0)
            size = LEAST.get(trial.model.backbone, 32)
            network = build.build_network(trial.model, size, outputs, trial.weights)
            networks[key] = awaken(network, pixels_of(network))
        return trial, networks[key]

    return network_of


def pixels_of(network, n=4):
    shape = (n, *network.model.input_shape[1:])
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.float32)


def with_weights(network, begins):
    layers = [layer for layer in network.model.layers if layer.weights]
    return {layer.name for layer in layers if layer.name.startswith(begins)}


def normalises(network, name):
    return isinstance(network.model.get_layer(name), keras.layers.BatchNormalization)


def test_pixels_are_scaled_as_the_paper_says_or_as_keras_does_it(arm, built):
    trial, network = built(arm)
    pixels = pixels_of(network)
    scaled = np.array(network.model.get_layer("scaling")(pixels))
    if trial.model.scaling == "unit":
        expected = pixels / 255
    elif trial.model.scaling == "imagenet_mean_std":
        mean, deviation = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
        expected = (pixels / 255 - mean) / deviation
    else:
        module = getattr(keras.applications, backbone_named(trial.model.backbone).module)
        expected = module.preprocess_input(pixels.copy())
    np.testing.assert_allclose(scaled, expected, atol=1e-4)


def test_one_step_changes_exactly_the_layers_that_a_phase_trains(arm, built):
    trial, network = built(arm)
    head = {name for name in network.head if network.model.get_layer(name).weights}
    every = with_weights(network, "")
    pixels = pixels_of(network)
    targets = np.eye(network.model.output_shape[-1], dtype=np.float32)[[0, -1, 0, -1]]
    for phase in trial.phases:
        named = set(freezing.set_trainable(network, phase.trainable, phase.batch_norm))
        if phase.trainable == "all":
            expected = every - {"normalization"}  # EfficientNet's, of fixed numbers
        elif phase.trainable == "head":
            expected = head
        else:
            expected = head | with_weights(network, tuple(phase.trainable))
        if phase.batch_norm == "frozen":
            expected = {name for name in expected if not normalises(network, name)}
        assert named == expected
        before = weights_of(network)
        # Eagerly: tracing a graph of 150 layers for one step would take a minute.
        network.model.compile(keras.optimizers.Adam(1e-2), trial.loss, run_eagerly=True)
        network.model.train_on_batch(pixels, targets)
        assert changed(before, weights_of(network)) == named


def test_block_5_of_resnet50v2_is_its_nineteen_layers_and_no_more(trials, built):
    trial, network = built("yim-resnet50v2")
    named = freezing.set_trainable(network, trial.phases[-1].trainable)
    # Three blocks of three convolutions and three normalisations, and one shortcut convolution.
    block = [name for name in named if name.startswith("conv5_block")]
    assert len(block) == 3 * 6 + 1
    assert set(named) - set(block) == {"dense1", "output"}
    assert "post_bn" not in named
    prefix, _ = freezing.cut_frozen_prefix(network)
    assert prefix.layers[-1].name == "conv4_block6_out"
