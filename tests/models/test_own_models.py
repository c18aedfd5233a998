"""A user's own functions: what identifies them, which models are refused, and how optimizers and stops train."""

from __future__ import annotations

import re

import keras
import numpy as np
import pytest

from brainlib.errors import ModelError, UsageError
from brainlib.models import build, freezing, training
from brainlib.models.backbones import Weights
from brainlib.models.checkpoints import Checkpoint
from brainlib.models.own import own
from brainlib.models.training import Phase, Task

SIZE = 16
NOTEBOOK = """
import math
from keras import Model
width, other, pixels = [8, 16], 1, bytearray(2)
def layer(x): return x * width[0]
def build(size, classes): return [layer(each) + math.pi for each in (size, bool(Model))]
def recursive(size, classes): return recursive(size, lambda: width)
def unfit(size, classes): return pixels
"""


@pytest.fixture
def cell(tmp_path):
    """Run a cell of a notebook, with changes of its text; return its names."""

    def run(*changes):
        text = NOTEBOOK
        for before, after in changes:
            assert before in text
            text = text.replace(before, after)
        path = tmp_path / f"{abs(hash(text))}.py"
        path.write_text(text)
        names = {"__name__": "__main__"}
        exec(compile(text, path, "exec"), names)
        return names

    return run


def test_a_function_of_a_notebook_is_called_with_the_values_that_identify_it(cell):
    names = cell()
    before = own(names["build"])
    names["width"][0] = 9
    names["layer"] = len
    assert before.call(2, 0)[0] == pytest.approx(2 * 8 + np.pi)
    assert own(names["build"]) != before


@pytest.mark.parametrize("function", ["build", "recursive"])
def test_what_a_function_of_a_notebook_does_identifies_it(cell, function):
    before = own(cell()[function])
    assert before == own(cell()[function]) and before.name == f"__main__:{function}"
    assert own(cell(("other", "another"), ("unfit(size", "unfit(length"))[function]) == before
    assert own(cell(("[8, 16]", "[8, 32]"))[function]) != before
    assert (own(cell(("x * width", "x + width"))[function]) != before) == (function == "build")


def test_values_that_a_function_closes_over_and_its_defaults_identify_it():
    def made(width):
        return lambda size, classes, depth=[width]: depth  # noqa: B006

    def closed(width):
        return lambda size, classes: width

    assert own(made(8)) == own(made(8)) != own(made(9))
    assert own(closed(8)) == own(closed(8)) != own(closed(9))


def test_an_import_path_stands_for_its_function():
    assert own("brainlib.models.build:build_network") == own(build.build_network)


@pytest.mark.parametrize(
    "wrong", ["brainlib.nothing:build", "brainlib.models.build:nothing", "nothing", len, keras.Model]
)
def test_what_is_no_python_function_is_refused(wrong):
    with pytest.raises(UsageError, match="expected a Python function .* received"):
        own(wrong)


def test_a_value_without_a_plain_text_is_refused_by_its_name(cell):
    with pytest.raises(UsageError, match="pixels: bytearray is neither a function, a module nor plain"):
        own(cell()["unfit"])


def network_of(function, channels=3, classes=2):
    training.prepare(0)
    outputs = 1 if classes == 2 else classes
    return build.build_network(build.ModelSpec("own", channels, function=own(function)), SIZE, outputs, Weights("own"))


def sequential(*layers, size=SIZE):
    return keras.Sequential([keras.Input((size, size, 3)), *layers])


def softmax(size, classes):
    return sequential(keras.layers.Flatten(), keras.layers.Dense(classes, activation="softmax"))


class Doubled(keras.layers.Layer):
    """A layer of a user's own."""

    def call(self, x):
        return 2 * x


class Subclassed(keras.Model):
    """A model without a graph."""


def shared(size, classes):
    pixels, layer = keras.Input((size, size, 3)), keras.layers.Conv2D(3, 3, padding="same")
    x = keras.layers.Flatten()(layer(layer(pixels)))
    return keras.Model(pixels, keras.layers.Dense(1, activation="sigmoid")(x))


def sigmoid_of(*layers, **options):
    return lambda size, classes: sequential(
        *(each() for each in layers), keras.layers.Flatten(), keras.layers.Dense(1, activation="sigmoid"), **options
    )


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda size, classes: None, "expected a functional keras.Model.* received NoneType"),
        (lambda size, classes: Subclassed(), "expected a functional keras.Model.* received Subclassed"),
        (sigmoid_of(size=20), r"images of shape \(None, 16, 16, 3\), received \(None, 20, 20, 3\)"),
        (lambda size, classes: softmax(size, 3), r"shape \(None, 2\) or \(None, 1\), received \(None, 3\)"),
        (
            lambda size, classes: sequential(keras.layers.Flatten(), keras.layers.Dense(2)),
            "probabilities, .* values from",
        ),
        (sigmoid_of(Doubled), "layers of Keras, which a store can load, received Doubled"),
        (sigmoid_of(lambda: keras.layers.Lambda(lambda x: x)), "plain layers of Keras, .*received .*[Ll]ambda"),
        (shared, "each used once"),
    ],
)
def test_a_model_that_cannot_be_trained_or_stored_is_refused_in_one_line(function, words):
    with pytest.raises(ModelError) as refused:
        network_of(function)
    assert re.search(words, str(refused.value)) and "\n" not in str(refused.value)


def base():
    """A model that is trained elsewhere, with a dropout."""
    layers = [
        keras.layers.Conv2D(4, 3, name="first"),
        keras.layers.Dropout(0.5),
        keras.layers.Conv2D(4, 3, name="last"),
    ]
    return keras.Sequential([keras.Input((SIZE, SIZE, 3)), *layers], name="base")


def nested(*before, frozen=("base",)):
    def function(size, classes):
        inner = base()
        for name in frozen:
            (inner if name == "base" else inner.get_layer(name)).trainable = False
        return sigmoid_of(*before, lambda: inner)(size, classes)

    return function


def trained_weights(network):
    return {weight.path.split("/")[-2] for weight in network.model.trainable_weights}


@pytest.mark.parametrize(
    ("frozen", "trainable", "names"),
    [
        (["base"], "head", {"dense"}),
        (["first"], "head", {"last", "dense"}),
        (["base"], ("last",), {"last", "dense"}),
        (["base"], ("base",), {"first", "last", "dense"}),
        (["base"], "all", {"first", "last", "dense"}),
    ],
)
def test_what_the_function_froze_stays_frozen_unless_it_is_named(frozen, trainable, names):
    network = network_of(nested(frozen=frozen))
    for asked, expected in ((trainable, names), ("all", {"first", "last", "dense"}), (trainable, names)):
        freezing.set_trainable(network, asked)
        assert trained_weights(network) == expected


def test_a_frozen_nested_model_is_cut_off_but_not_behind_a_random_layer():
    pixels = np.random.default_rng(0).uniform(0, 255, (2, SIZE, SIZE, 3))
    network = network_of(nested())
    freezing.set_trainable(network, "head")
    prefix, suffix = freezing.cut_frozen_prefix(network)
    np.testing.assert_array_equal(suffix(prefix(pixels)), network.model(pixels))
    assert [layer.name for layer in suffix.layers if layer.weights] == ["dense"]
    augmented = [lambda: keras.layers.RandomFlip(), lambda: keras.Sequential([keras.layers.RandomRotation(0.1)])]
    for random in augmented:
        network = network_of(nested(random))
        freezing.set_trainable(network, "head")
        assert freezing.cut_frozen_prefix(network) == (None, network.model)


def small(size, classes):
    """A network with random layers and batch normalisation, of two softmax units."""
    kept = [keras.layers.Rescaling(1 / 255), keras.layers.RandomFlip(), keras.layers.Conv2D(4, 3)]
    kept += [keras.layers.BatchNormalization(), keras.layers.Flatten(), keras.layers.Dropout(0.3)]
    return sequential(*kept, keras.layers.Dense(2, activation="softmax"))


def fitted(store, *phases, **options):
    draw = np.random.default_rng(0)
    pixels, targets = (
        draw.integers(0, 256, (24, SIZE, SIZE, 3), np.uint8),
        np.eye(2, dtype=np.float32)[np.arange(24) % 2],
    )
    task = Task(pixels, targets, np.arange(16), np.arange(16, 24), "noise")
    network = network_of(small)
    epochs, predicted = training.fit(network, task, phases, batch_size=8, seed=0, store=store, **options)
    return epochs, predicted, network.model.get_weights()


def assert_same(one, two):
    assert [(e.val_loss, e.loss) for e in one[0]] == [(e.val_loss, e.loss) for e in two[0]]
    for a, b in zip([*one[1], *one[2]], [*two[1], *two[2]], strict=True):
        np.testing.assert_array_equal(a, b)


def test_early_stopping_leaves_the_weights_and_the_predictions_of_the_best_epoch(tmp_path):
    stopped = fitted(tmp_path, Phase("a", "all", 12, 0.02, early_stopping=2))
    losses = [epoch.val_loss for epoch in stopped[0]]
    best = int(np.argmin(losses)) + 1
    assert len(losses) == min(best + 2, 12) < 12
    _, predicted, weights = fitted(tmp_path, Phase("a", "all", best, 0.02))
    assert_same(([], stopped[1], stopped[2]), ([], predicted, weights))


def momentum(rate):
    return keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(rate, 3, 0.5), momentum=0.9)


def plateau():
    return [keras.callbacks.ReduceLROnPlateau(monitor="loss", patience=1, min_delta=10)]


class Second(keras.callbacks.Callback):
    """Stops after the second epoch."""

    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = epoch == 1


def test_a_training_that_was_interrupted_ends_as_if_it_had_not_been(tmp_path):
    phases = (
        Phase("a", "all", 6, 0.02, callbacks=own(plateau), early_stopping=1),
        Phase("b", "all", 4, 0.01, optimizer=own(momentum), callbacks=own(lambda: [Second()])),
        Phase("c", "all", 2, 0.01, optimizer="rmsprop", schedule=own(lambda epoch: 0.01 / (1 + epoch))),
    )
    whole = fitted(tmp_path / "whole", *phases)
    assert [epoch.phase for epoch in whole[0]].count("b") == 2
    stopped = [epoch.phase for epoch in whole[0]].index("b")
    assert stopped < 6
    for reached in (stopped, stopped + 2):  # the last epochs of two phases that ended early
        place = Checkpoint(tmp_path / f"{reached}", "key", 0)

        def interrupt(epochs, reached=reached):
            if len(epochs) == reached:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            fitted(tmp_path, *phases, checkpoint=place, on_epoch=interrupt)
        resumed = Checkpoint(place.path, "key", 0)
        assert_same(fitted(tmp_path, *phases, checkpoint=resumed), whole)
        assert resumed.finished == reached


class Rates(keras.callbacks.Callback):
    """Takes note of learning rates."""

    seen = []  # noqa: RUF012

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append((epoch, float(self.model.optimizer.learning_rate)))


def test_a_schedule_sets_the_learning_rate_of_each_epoch(tmp_path):
    Rates.seen.clear()
    fitted(tmp_path, Phase("a", "all", 3, 1.0, schedule=own(halved), callbacks=own(noted)))
    assert Rates.seen == [(0, 1.0), (1, 0.5), (2, 0.25)]


def halved(epoch):
    return 0.5**epoch


def noted():
    return [Rates()]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"callbacks": lambda: [keras.callbacks.EarlyStopping()]}, "received EarlyStopping with on_train_end"),
        ({"callbacks": lambda: [object()]}, "expected callbacks with .* received object"),
        ({"optimizer": lambda rate: "sgd"}, "learning_rate -> keras optimizer, received str"),
    ],
)
def test_what_is_not_supported_is_refused_in_one_line(changes, words, tmp_path):
    with pytest.raises(ModelError, match=words):
        fitted(tmp_path, Phase("a", "all", 1, 0.1, **{name: own(each) for name, each in changes.items()}))
