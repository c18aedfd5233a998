"""Training in phases against plain Keras, and a frozen prefix that is run once."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from networks import awaken, changed, weights_of

from brainlib.models import build, feeding, freezing, training
from brainlib.models.backbones import Weights
from brainlib.models.build import ModelSpec
from brainlib.models.layers import InputScaling
from brainlib.models.training import Phase, Task
from brainlib.stats import metrics

pytestmark = pytest.mark.slow

N, SIZE = 24, 32
RANDOM = Weights("random")
# MobileNetV2: residual branches and batch normalisation; dropout in the head draws on the seed.
HEAD = {"pooling": "average", "dense": (8,), "head_dropout": (0.3,)}
V2 = ModelSpec("transfer", scaling="backbone", backbone="mobilenet_v2", **HEAD)
# The smallest backbone, for what does not depend on the backbone.
SMALL = ModelSpec("transfer", scaling="unit", backbone="mobilenet_025", pooling="average")
CNN = ModelSpec("cnn", channels=3, convolutions=(4,), conv_dropout=0.3, dense=(8,))
EVERY_CHANGE = (("flip", "both"), ("rotation", 15.0), ("shift", 0.1), ("zoom", 0.1), ("shear", 0.1))


@pytest.fixture
def passes(monkeypatch):
    """The first pixel of each image of each batch that really runs through a network's beginning, as it computes."""
    import tensorflow as tf

    call, batches = InputScaling.call, []

    def counted(pixels):
        batches.append(pixels.numpy()[:, 0, 0, 0].astype(int).tolist())
        return pixels

    def counting(self, pixels):
        if isinstance(pixels, keras.KerasTensor):
            return call(self, pixels)
        (same,) = tf.py_function(counted, [pixels], [tf.float32])
        same.set_shape(pixels.shape)
        return call(self, same)

    monkeypatch.setattr(InputScaling, "call", counting)
    return batches


def task(n=N, train=16, seed=0) -> Task:
    """Noise whose second half is brighter and is the positive class, mixed."""
    draw = np.random.default_rng(seed)
    targets = draw.permutation(np.arange(n) % 2).astype(np.float32)[:, None]
    pixels = draw.integers(0, 120, (n, SIZE, SIZE, 3)) + 100 * targets[:, :, None, None]
    rows = draw.permutation(n)
    return Task(pixels.astype(np.uint8), targets, np.sort(rows[:train]), np.sort(rows[train:]), f"n{seed}")


def built(spec=V2, seed=7):
    training.prepare(seed)
    return awaken(build.build_network(spec, SIZE, 1, RANDOM), task().pixels)


def fitted(network, data, phases, store, seed=7, **options):
    options = {"batch_size": 6, **options}
    return training.fit(network, data, phases, seed=seed, store=store, **options)


def plainly_fitted(network, data, phases, seed=7):
    """The same phases as any Keras user would write them: the whole model in every epoch."""
    model = network.model
    for number, phase in enumerate(phases):
        order = np.random.default_rng([seed, number])
        freezing.set_trainable(network, phase.trainable)
        model.compile(keras.optimizers.Adam(phase.learning_rate), "binary_crossentropy", jit_compile=False)
        for _ in range(phase.epochs):
            rows = order.permutation(data.train)
            pixels = data.pixels[rows].astype(np.float32)
            model.fit(pixels, data.targets[rows], batch_size=6, shuffle=False, verbose=0)
    return model.predict(data.pixels.astype(np.float32), verbose=0)


# Frozen backbone, then the last block thawed (the prefix ends in the middle), then frozen again.
PHASES = (
    Phase("head", "head", 2, 1e-2),
    Phase("last block", ("block_16", "Conv_1"), 2, 1e-3),
    Phase("head again", "head", 1, 1e-3),
)


@pytest.fixture(scope="module")
def both_ways(tmp_path_factory):
    """One network trained through the cache of activations and its twin trained plainly."""
    data, store = task(), tmp_path_factory.mktemp("store")
    cached = built()
    start = weights_of(cached)
    epochs, (*_, predicted) = fitted(cached, data, PHASES, store)
    plain = built()
    expected = plainly_fitted(plain, data, PHASES)
    return data, store, cached, plain, start, epochs, predicted, expected


def test_cached_activations_train_to_the_network_and_the_predictions_of_plain_keras(both_ways):
    _, _, cached, plain, *_, predicted, expected = both_ways
    assert np.abs(predicted - expected).max() < 1e-4
    assert np.ptp(expected) > 1e-3  # not one answer for every image
    for ours, theirs in zip(cached.model.weights, plain.model.weights, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=2e-4, err_msg=ours.path)


def test_a_cnn_that_pools_before_bias_and_relu_trains_as_in_plain_keras(tmp_path):
    spec = dataclasses.replace(CNN, convolutions=(4, 4), padding="valid")  # 30 pixels to 15, then 13 to 6
    phases, data = (Phase("a", "all", 5, 1e-2),), task()
    plain = built(spec)
    start = weights_of(plain)
    expected = plainly_fitted(plain, data, phases)
    assert changed(start, weights_of(plain)) == set(start)
    ours = built(spec)
    _, (predicted,) = fitted(ours, data, phases, tmp_path)
    np.testing.assert_allclose(predicted, expected, atol=1e-5)
    for one, other in zip(ours.model.weights, plain.model.weights, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), atol=1e-4, err_msg=one.path)


def test_phases_train_their_layers_and_leave_the_others_alone(both_ways):
    _, _, cached, _, start, *_ = both_ways
    moved = changed(start, weights_of(cached))
    # Batch normalisation of frozen blocks is among those left alone: its moving mean too.
    assert moved == {name for name in start if name.startswith(("block_16", "Conv_1", "dense1", "output"))}


def test_epochs_tell_loss_and_accuracy_of_the_monitored_images(both_ways):
    data, _, _, _, _, epochs, predicted, _ = both_ways
    assert [e.phase for e in epochs] == ["head"] * 2 + ["last block"] * 2 + ["head again"]
    assert [e.number for e in epochs] == [1, 2, 1, 2, 1]
    truth, probability = data.targets[data.monitored], predicted[data.monitored].astype(float)
    loss = -np.log(np.where(truth == 1, probability, 1 - probability)).mean()
    assert epochs[-1].val_loss == pytest.approx(loss, rel=1e-6)
    assert epochs[-1].val_accuracy == ((probability > 0.5) == (truth == 1)).mean()
    # The last epoch's and the final predictions of an image are one number.
    np.testing.assert_array_equal(epochs[-1].monitored, predicted[data.monitored])


def test_a_second_phase_goes_on_from_the_first(tmp_path):
    data = task()
    two = built(SMALL)
    fitted(two, data, (Phase("a", "head", 2, 1e-2), Phase("b", "head", 1, 1e-9)), tmp_path)
    one = built(SMALL)
    fitted(one, data, (Phase("a", "head", 2, 1e-2),), tmp_path)
    ours, start = weights_of(one)["output"], weights_of(built(SMALL))["output"]
    np.testing.assert_allclose(weights_of(two)["output"][0], ours[0], atol=1e-7)
    assert np.abs(ours[0] - start[0]).max() > 1e-3


def test_the_backbone_sees_each_image_once_for_all_epochs_phases_and_folds(passes, tmp_path):
    def passed(data, phases, seed=7):
        network = built(SMALL, seed)
        passes.clear()
        fitted(network, data, phases, tmp_path)
        return sum(map(len, passes))

    data = task()
    two_phases = (Phase("a", "head", 3, 1e-2), Phase("b", "head", 2, 1e-3))
    assert passed(data, two_phases) == N
    # Another fold: the same images, other rows to train on.
    fold = Task(data.pixels, data.targets, data.monitored, data.train, data.content)
    assert passed(fold, two_phases[:1]) == 0
    # Other images, or a backbone of other weights, have other activations.
    assert passed(task(seed=1), two_phases[:1]) == N
    assert passed(data, two_phases[:1], seed=8) == N
    assert len(list((tmp_path / "features").iterdir())) == 3


@pytest.mark.fault(
    "4d", "stored activations of a frozen network are cut, or changed in one bit", "they are computed again"
)
def test_stored_activations_are_the_frozen_networks_own_and_computed_again_after_damage(tmp_path):
    data, network = task(), built(SMALL)
    freezing.set_trainable(network, "head")
    prefix, _ = freezing.cut_frozen_prefix(network)
    stored = training.activations(prefix, data, tmp_path)
    assert not stored.flags.writeable
    expected = np.array(stored)
    np.testing.assert_allclose(prefix(data.pixels.astype(np.float32), training=False), expected, atol=1e-3)
    (file,) = (tmp_path / "features").iterdir()
    whole = file.read_bytes()
    flipped = whole[:300] + bytes([whole[300] ^ 1]) + whole[301:]
    for damaged in (*(whole[:length] for length in (0, 40, 128, len(whole) - 1)), flipped):
        file.write_bytes(damaged)
        np.testing.assert_array_equal(training.activations(prefix, data, tmp_path), expected)
        assert file.read_bytes() == whole


def convolution(**options):
    """A convolution of ones, under another automatic name each time."""
    x = pixels = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.Conv2D(2, 3, padding="same", kernel_initializer="ones", **options)(x)
    return keras.Model(pixels, keras.layers.ReLU()(x))


@pytest.mark.parametrize(
    "options", [{"activation": "tanh"}, {"dilation_rate": 2}, {"strides": 2}, {"dtype": "mixed_float16"}]
)
def test_activations_are_not_reused_for_a_layer_of_another_configuration(options, tmp_path):
    data, first, second = task(), convolution(), convolution(**options)
    training.activations(first, data, tmp_path)
    found = training.activations(second, data, tmp_path)
    np.testing.assert_array_equal(found, second.predict(data.pixels.astype(np.float32), verbose=0))
    assert len(list((tmp_path / "features").iterdir())) == 2


def test_activations_are_reused_whatever_the_layers_names_but_not_for_another_version(monkeypatch, tmp_path):
    for name in ("", "", "tensorflow", "keras"):
        monkeypatch.setattr(training, "version", lambda asked, name=name: f"1.0{asked == name}")
        training.activations(convolution(), task(), tmp_path)
    assert len(list((tmp_path / "features").iterdir())) == 3


def test_a_phase_with_augmentation_has_no_activations_to_reuse(passes, tmp_path):
    network = built(SMALL)
    start = weights_of(network)
    passes.clear()
    phase = Phase("a", "head", 2, 1e-2, (("flip", "horizontal"),))
    fitted(network, task(), (phase,), tmp_path)
    assert not (tmp_path / "features").exists()
    # Two epochs of training (16) and watching (8), then the predictions of all images.
    assert sum(map(len, passes)) == 2 * (16 + 8) + N
    # Batch normalisation of the frozen backbone was left alone all the same.
    assert changed(start, weights_of(network)) == {"output"}


def test_an_image_named_twice_counts_twice(tmp_path):
    data = task()
    twice = dataclasses.replace(data, train=np.repeat(data.train, 2))
    phase = (Phase("a", "head", 1, 1e-2),)
    (once,), _ = fitted(built(SMALL), data, phase, tmp_path, batch_size=64)
    (doubled,), _ = fitted(built(SMALL), twice, phase, tmp_path, batch_size=64)
    # One batch holds everything: the same mean of the same terms, each of them twice.
    assert doubled.loss == pytest.approx(once.loss, rel=1e-5)
    (again,), _ = fitted(built(SMALL), twice, phase, tmp_path, batch_size=16)
    assert again.loss != pytest.approx(once.loss, rel=1e-5)  # two steps in place of one


@pytest.mark.parametrize("augmentation", [(), (("flip", "horizontal"),)])
def test_a_frozen_backbone_drops_nothing_with_or_without_augmentation(augmentation, tmp_path):
    # EfficientNet has dropout inside; the images are mirror images of themselves, so that a
    # flip changes nothing and only dropout could change a loss.
    data = task()
    left = data.pixels[:, :, : SIZE // 2]
    pixels = np.concatenate([left, left[:, :, ::-1]], axis=2)
    data = dataclasses.replace(data, pixels=pixels, content="mirrored")
    spec = ModelSpec("transfer", backbone="efficientnetb0", scaling="backbone", pooling="average")
    network = built(spec)
    freezing.set_trainable(network, "head")
    predicted = np.array(network.model(pixels[data.train].astype(np.float32), training=False))
    loss = metrics.cross_entropy(data.targets[data.train], predicted)
    (epoch,), _ = fitted(network, data, (Phase("a", "head", 1, 1e-9, augmentation),), tmp_path, batch_size=64)
    assert epoch.loss == pytest.approx(loss, rel=1e-4)


def test_training_everything_moves_every_layer_and_its_batch_statistics(tmp_path):
    network = built(SMALL)
    start = weights_of(network)
    fitted(network, task(), (Phase("a", "all", 1, 1e-2),), tmp_path, batch_size=16)
    after = weights_of(network)
    assert changed(start, after) == set(start)
    for name in ("conv1_bn", "conv_pw_13_bn"):
        for before, now in zip(start[name][2:], after[name][2:], strict=True):
            assert (before != now).any()
    assert not (tmp_path / "features").exists()


def test_batches_follow_the_order_drawn_from_the_seed(passes, tmp_path):
    data = task()
    data.pixels[:, 0, 0] = np.arange(N)[:, None]  # each image carries its number
    network = built(CNN)
    passes.clear()
    fitted(network, data, (Phase("a", "all", 2, 1e-3),), tmp_path, seed=3)
    order = np.random.default_rng([3, 0])
    first, second = (order.permutation(data.train).tolist() for _ in range(2))
    monitored = data.monitored.tolist()
    epochs = [rows for e in (first, second) for rows in (e[:6], e[6:12], e[12:], monitored)]
    assert passes == [*epochs, list(range(N))]
    assert first != second


@pytest.mark.parametrize(
    ("spec", "phase"),
    [
        (CNN, Phase("a", "all", 2, 1e-2)),
        (SMALL, Phase("a", "head", 1, 1e-2, EVERY_CHANGE)),
    ],
    ids=["cnn with dropout", "transfer with augmentation"],
)
def test_a_seed_repeats_every_bit_and_another_seed_does_not(spec, phase, tmp_path):
    def outcome(seed):
        epochs, (predicted,) = fitted(built(spec, seed), task(), (phase,), tmp_path, seed=seed)
        return predicted, [epoch.loss for epoch in epochs]

    one, losses = outcome(1)
    again, same_losses = outcome(1)
    np.testing.assert_array_equal(one, again)
    assert losses == same_losses
    assert (outcome(2)[0] != one).any()


def test_no_monitored_image_gives_no_number_instead_of_an_error(tmp_path):
    data = task()
    none = Task(data.pixels, data.targets, data.train, data.monitored[:0], data.content)
    network = built(CNN)
    epochs, (predicted,) = fitted(network, none, (Phase("a", "all", 1, 1e-3),), tmp_path)
    assert math.isnan(epochs[0].val_loss) and math.isnan(epochs[0].val_accuracy)
    expected = network.model.predict(data.pixels.astype(np.float32), verbose=0)
    np.testing.assert_allclose(predicted, expected, atol=1e-6)


def test_prediction_follows_the_rows_asked_for(tmp_path):
    data, network = task(n=40, train=20), built(CNN)
    predict = feeding.predictor(network.model, feeding.held(data.pixels))
    rows = np.array([39, 0, 17, 0, 3] * 8)  # more than one batch, with a repeat
    every = predict(np.arange(40))
    np.testing.assert_allclose(predict(rows), every[rows], atol=1e-6)


@pytest.mark.fault("6q", "Keras is set to another backend, precision or layout of images", "same numbers as without")
def test_a_users_settings_of_keras_change_no_number(tmp_path):
    settings = {"floatx": "float16", "epsilon": 0.1, "backend": "jax", "image_data_format": "channels_first"}
    (tmp_path / "keras.json").write_text(json.dumps(settings), "utf-8")
    code = (
        "from brainlib.models._tensorflow import keras; from keras import config as c; print(c.backend(), c.floatx(), "
    )
    code += "c.epsilon(), c.image_data_format())"
    environment = os.environ | {"KERAS_HOME": str(tmp_path), "KERAS_BACKEND": "jax"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["tensorflow", "float32", "1e-07", "channels_last"]


# Other readings of a protocol


def test_a_momentum_belongs_to_the_optimizer_that_names_it():
    assert training.optimizer_of(Phase("a", "all", 1, 1e-2, optimizer="sgd")).momentum == 0
    named = training.optimizer_of(Phase("a", "all", 1, 1e-2, optimizer="sgd_momentum"))
    assert (named.momentum, float(named.learning_rate)) == (0.9, pytest.approx(1e-2))


def test_the_squared_error_trains_as_in_plain_keras_and_val_loss_stays_the_cross_entropy(tmp_path):
    data, phases = task(), (Phase("a", "all", 2, 1e-2),)
    spec = dataclasses.replace(CNN, conv_dropout=0.0)
    ours, plain = built(spec), built(spec)
    (*_, epoch), (predicted,) = fitted(ours, data, phases, tmp_path, squared=True)
    plain.model.compile(keras.optimizers.Adam(1e-2), "mean_squared_error", jit_compile=False)
    order = np.random.default_rng([7, 0])
    for _ in range(2):
        rows = order.permutation(data.train)
        plain.model.fit(
            data.pixels[rows].astype(np.float32), data.targets[rows], batch_size=6, shuffle=False, verbose=0
        )
    np.testing.assert_allclose(predicted, plain.model.predict(data.pixels.astype(np.float32), verbose=0), atol=1e-5)
    of_test = metrics.cross_entropy(data.targets[data.monitored], predicted[data.monitored])
    assert epoch.val_loss == pytest.approx(of_test, rel=1e-4)


def test_a_phase_that_starts_from_the_pretrained_weights_is_as_the_first_one(tmp_path):
    first = Phase("a", "head", 1, 1e-2)
    again = (first, dataclasses.replace(first, name="b", start="pretrained"))
    on = (first, dataclasses.replace(first, name="b"))
    networks = {name: built(SMALL) for name in ("restarted", "continued")}
    start = weights_of(networks["restarted"])
    for network, phases in zip(networks.values(), (again, on), strict=True):
        fitted(network, task(), phases, tmp_path)
    distances = {}
    for name, network in networks.items():
        after = weights_of(network)
        pairs = [pair for key in start for pair in zip(start[key], after[key], strict=True)]
        distances[name] = max(np.abs(before - now).max() for before, now in pairs)
    # Three steps of Adam move a weight by about three rates, those of two phases by up to twice as much.
    assert 0 < distances["restarted"] < distances["continued"]


def test_the_weights_of_the_epoch_with_the_best_accuracy_are_restored(tmp_path):
    data, phase = task(), Phase("a", "all", 6, 3e-2, restore_best=True)
    network = built(dataclasses.replace(CNN, conv_dropout=0.0))
    epochs, (predicted,) = fitted(network, data, (phase,), tmp_path)
    accuracies = [epoch.val_accuracy for epoch in epochs]
    best = epochs[int(np.argmax(accuracies))]
    np.testing.assert_allclose(predicted[data.monitored], best.monitored, atol=1e-5)
    right = (predicted[data.monitored] > 0.5) == (data.targets[data.monitored] > 0.5)
    assert right.mean() == pytest.approx(max(accuracies))


def test_frozen_batch_normalisation_may_go_by_each_batch_and_keep_its_scale(tmp_path):
    network = built(V2)
    inside = {weight.path: weight for layer in network.frozen for weight in layer.weights}
    start = {path: weight.numpy() for path, weight in inside.items()}
    fitted(network, task(), (Phase("a", "head", 1, 1e-3, batch_norm="statistics"),), tmp_path)
    moved = {path for path, weight in inside.items() if (weight.numpy() != start[path]).any()}
    assert moved and all("moving" in path for path in moved)


def test_the_upper_half_is_the_second_half_of_the_layers_with_weights():
    network = built(SMALL)
    freezing.set_trainable(network, "upper_half")
    layers = [each for each in network.model._flatten_layers() if each in network.frozen and each.weights]
    layers = [each for each in layers if not getattr(each, "layers", ())]
    trained = [bool(each.trainable) for each in layers]
    half = len(layers) // 2
    assert trained == [False] * half + [True] * (len(layers) - half)


def test_changes_of_the_predicted_images_are_random_only_where_asked_for(tmp_path):
    data, apart = task(), {}
    for augmented in ("train", "all"):
        network = built(SMALL)
        phase = Phase("a", "head", 1, 1e-12, (("rotation", 40.0),), augmented=augmented)
        _, (predicted,) = fitted(network, data, (phase,), tmp_path)
        plain = network.model.predict(data.pixels.astype(np.float32), verbose=0)
        apart[augmented] = np.abs(predicted - plain).max()
    assert apart["train"] < 1e-5 < apart["all"]
