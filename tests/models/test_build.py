"""Networks by hand: scaling, sizes, weights, and where a frozen beginning is cut off."""

from __future__ import annotations

import inspect
import math

import h5py
import keras
import numpy as np
import pytest
from keras.src.legacy.saving import legacy_h5_format
from keras.src.utils import file_utils
from networks import awaken

from brainlib.data import datasets, images
from brainlib.errors import ModelError, WeightsError
from brainlib.models import backbones, build, feeding, freezing, training
from brainlib.models.backbones import BACKBONES, Weights, find_weights
from brainlib.models.build import ModelSpec
from brainlib.models.layers import InputScaling

pytestmark = pytest.mark.slow

RANDOM, NONE = Weights("random"), Weights("none")
PIXELS = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3)).astype(np.float32)


def transfer(backbone, **options):
    options = {"scaling": "backbone", "pooling": "average", **options}
    return ModelSpec("transfer", backbone=backbone, **options)


def one_line(error) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message


# Input scaling.

KERAS_MODULES = sorted({backbone.module for backbone in BACKBONES.values()} - {""})


@pytest.mark.parametrize("module", KERAS_MODULES)
def test_a_backbones_scaling_is_that_of_keras(module):
    scaled = np.array(InputScaling(f"keras:{module}")(PIXELS))
    # Keras' own function on NumPy arrays goes another way than on tensors.
    expected = getattr(keras.applications, module).preprocess_input(PIXELS.copy())
    np.testing.assert_allclose(scaled, expected, atol=1e-4)


def test_a_layer_that_was_stored_when_its_module_had_another_name_is_restored():
    stored = keras.saving.serialize_keras_object(InputScaling("centred_128"))
    assert stored["registered_name"] == "brainlib>InputScaling"
    assert keras.saving.deserialize_keras_object({**stored, "module": "brainlib.layers"}).mode == "centred_128"


# Red, green and blue of one pixel, and what they become.
PIXEL = np.array([[[[0.0, 255.0, 51.0]]]], np.float32)
BY_HAND = {
    "unit": [0, 1, 0.2],
    "raw": [0, 255, 51],
    "centred": [-1, 1, -0.6],
    "centred_128": [-1, 127 / 128, -77 / 128],
    "imagenet_mean_std": [-0.485 / 0.229, (1 - 0.456) / 0.224, (0.2 - 0.406) / 0.225],
    "keras:resnet": [51 - 103.939, 255 - 116.779, 0 - 123.68],  # blue, green, red
}


def test_training_images_are_scaled_by_their_own_mean_and_deviation_also_after_storing():
    pixels = np.random.default_rng(1).integers(0, 256, (6, 4, 4, 3)).astype(np.uint8)
    spread = build.mean_and_deviation(pixels, np.arange(4))
    assert spread[0] == pytest.approx(pixels[:4].mean(axis=(0, 1, 2)))
    assert spread[1] == pytest.approx(pixels[:4].std(axis=(0, 1, 2)))
    layer = InputScaling("training_mean_std", spread)
    scaled = np.array(layer(pixels[:4].astype(np.float32)))
    np.testing.assert_allclose([scaled.mean(axis=(0, 1, 2)), scaled.std(axis=(0, 1, 2))], [[0] * 3, [1] * 3], atol=1e-5)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    np.testing.assert_array_equal(again(pixels.astype(np.float32)), layer(pixels.astype(np.float32)))


@pytest.mark.parametrize("mode", BY_HAND)
def test_scaling_by_hand(mode):
    np.testing.assert_allclose(InputScaling(mode)(PIXEL)[0, 0, 0], BY_HAND[mode], rtol=1e-5)


def test_a_network_scales_its_pixels_itself():
    cases = [
        (ModelSpec("cnn", convolutions=(2,)), NONE, "unit"),
        (transfer("mobilenet_025"), RANDOM, "keras:mobilenet"),
        (transfer("mobilenet_025", scaling="imagenet_mean_std"), RANDOM, "imagenet_mean_std"),
    ]
    for spec, start, mode in cases:
        assert build.build_network(spec, 32, 1, start).model.get_layer("scaling").mode == mode
    assert build._scaling(transfer("resnet18"), RANDOM) == "imagenet_mean_std"
    quantised = Weights("file", "x", "centred_128", "00")
    assert build._scaling(transfer("mobilenet"), quantised) == "centred_128"


# Backbones and their weight files.

OTHERS = {"resnet18", "stand_in"}  # of keras-hub, and our own


@pytest.mark.parametrize("name", sorted(set(BACKBONES) - OTHERS))
def test_a_backbone_and_its_file_are_what_keras_calls_them(name):
    backbone = BACKBONES[name]
    function = getattr(keras.applications, backbone.function)
    assert function.__module__.endswith(f".{backbone.module}")
    assert callable(getattr(keras.applications, backbone.module).preprocess_input)
    file, scaling = next(iter(backbone.files.items()))
    assert scaling == "keras"
    # The families whose files Keras names after the function; the others are asked below.
    family = ("resnet", "densenet", "efficientnet", "convnext")
    if name.startswith(family):
        assert file.startswith(inspect.signature(function).parameters["name"].default)


# The first, and smallest, of each module of Keras.
FIRST = {BACKBONES[name].module: name for name in reversed(BACKBONES) if name not in OTHERS}


@pytest.mark.parametrize("name", [*FIRST.values(), "mobilenet_025", "mobilenet_v3_large"])
def test_keras_asks_for_the_file_that_is_looked_for_in_a_folder(name, monkeypatch):
    asked = []

    def offline(file, *args, **kwargs):
        asked.append(file)
        raise Exception("URL fetch failure: no network\nat all")  # what Keras raises

    monkeypatch.setattr(file_utils, "get_file", offline)
    with pytest.raises(WeightsError, match="--weights random") as error:
        build.build_network(transfer(name), 224, 1, Weights("imagenet"))
    assert name in one_line(error)
    assert asked == list(BACKBONES[name].files)[:1]


def test_the_preset_of_resnet18_is_one_of_keras_hub():
    from keras_hub.models import ResNetBackbone

    assert "resnet_18_imagenet" in ResNetBackbone.presets


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        # Published: Keras' own summaries without top; He et al. and torchvision, 11,689,512 with
        # the 1000-class layer of 513,000.
        ("mobilenet_025", 218_544 - 5_472),
        ("mobilenet_v2", 2_257_984 - 34_112),
        ("vgg16", 14_714_688),
        ("resnet18", 11_689_512 - 513_000),
    ],
)
def test_a_backbone_has_its_published_number_of_trainable_parameters(name, parameters):
    network = build.build_network(transfer(name), 64, 1, RANDOM)
    count = sum(
        math.prod(weight.shape)
        for layer in network.model.layers
        if layer.name not in network.head
        for weight in layer.trainable_weights
    )
    assert count == parameters


def write_weights(network, path):
    """Write the backbone's weights as Keras publishes them."""
    backbone = [layer for layer in network.model.layers if layer.name not in network.head]
    inner = keras.Model(network.model.input, backbone[-1].output)
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, inner)


@pytest.fixture(scope="module")
def small_file(tmp_path_factory):
    """A random MobileNet 0.25 and the file of its weights."""
    network = build.build_network(transfer("mobilenet_025"), 32, 1, RANDOM)
    path = tmp_path_factory.mktemp("weights") / next(iter(BACKBONES["mobilenet_025"].files))
    write_weights(network, path)
    return network, path


def test_a_file_gives_the_backbone_its_weights_and_not_the_head(small_file):
    network, path = small_file
    loaded = build.build_network(transfer("mobilenet_025"), 48, 1, find_weights("mobilenet_025", str(path.parent)))
    for layer in network.model.layers:
        pairs = zip(layer.get_weights(), loaded.model.get_layer(layer.name).get_weights(), strict=True)
        same = all((one == two).all() for one, two in pairs)
        assert same == (layer.name != "output")


def emptied(path):
    h5py.File(path, "w").close()


def truncated(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    "damage",
    [
        truncated,
        emptied,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_text("<html>404 Not Found</html>"),
        lambda path: path.unlink(),
    ],
    ids=["truncated", "empty archive", "empty", "html", "gone"],
)
def test_a_file_that_is_no_weights_is_reported_in_one_line(small_file, tmp_path, damage):
    path = tmp_path / small_file[1].name
    path.write_bytes(small_file[1].read_bytes())
    damage(path)
    with pytest.raises(WeightsError, match="mobilenet_025") as error:
        build.build_network(transfer("mobilenet_025"), 32, 1, Weights("file", str(path)))
    assert str(path) in one_line(error)


@pytest.mark.parametrize("other", ["mobilenet", "mobilenet_v2", "vgg16", "resnet18"])
def test_weights_of_another_backbone_are_refused(small_file, other):
    with pytest.raises(WeightsError, match=f"weights of {other}") as error:
        build.build_network(transfer(other), 64, 1, Weights("file", str(small_file[1])))
    one_line(error)


# Sizes.


def test_the_cnn_of_jardim_by_hand():
    filters = {"convolutions": (32, 32), "padding": "valid", "conv_dropout": 0.25}
    spec = ModelSpec("cnn", **filters, dense=(500,), head_dropout=(0.5,))
    model = build.build_network(spec, 240, 1, NONE).model
    # 240 - 2 = 238, halved 119; 119 - 2 = 117, halved 58.
    assert model.get_layer("features").output.shape == (None, 58 * 58 * 32)
    parameters = {layer.name: layer.count_params() for layer in model.layers if layer.weights}
    assert parameters == {
        "conv1": 3 * 3 * 3 * 32 + 32,
        "conv2": 3 * 3 * 32 * 32 + 32,
        "dense1": 58 * 58 * 32 * 500 + 500,
        "output": 500 + 1,
    }
    dropped = {layer.name: layer.rate for layer in model.layers if "dropout" in layer.name}
    assert dropped == {"conv_dropout1": 0.25, "conv_dropout2": 0.25, "head_dropout1": 0.5}


def test_dropout_has_its_place_in_the_head():
    spec = transfer("mobilenet_025", dense=(8, 4), head_dropout=(0.2, 0.0, 0.3))
    network = build.build_network(spec, 32, 4, RANDOM)
    assert network.head == ("features", "head_dropout1", "dense1", "dense2", "head_dropout3", "output")
    rates = [network.model.get_layer(f"head_dropout{place}").rate for place in (1, 3)]
    assert rates == [0.2, 0.3]


def test_padding_same_keeps_the_size_until_the_pooling():
    model = build.build_network(ModelSpec("cnn", convolutions=(4, 6), pool_size=3), 30, 4, NONE).model
    # 30 / 3 = 10, then floor(10 / 3) = 3.
    assert model.get_layer("features").output.shape == (None, 3 * 3 * 6)
    assert model.output.shape == (None, 4)


def test_what_a_cnn_computes_by_hand():
    spec = ModelSpec("cnn", channels=1, convolutions=(1,), kernel_size=1, dense=(1,))
    model = build.build_network(spec, 2, 1, NONE).model
    model.get_layer("conv1").set_weights([np.full((1, 1, 1, 1), 2.0), np.array([-0.5])])
    model.get_layer("dense1").set_weights([np.array([[1.0]]), np.array([0.5])])
    model.get_layer("output").set_weights([np.array([[-1.0]]), np.array([1.0])])
    pixels = np.array([[0, 255], [51, 102]], np.float32).reshape(1, 2, 2, 1)
    # Scaled 0, 1, 0.2, 0.4; times 2 less 0.5 and rectified 0, 1.5, 0, 0.3; the largest 1.5;
    # dense 2; output -1.
    assert float(model(pixels)[0, 0]) == pytest.approx(1 / (1 + math.e), rel=1e-6)


def test_several_outputs_are_a_softmax_by_hand():
    spec = ModelSpec("cnn", channels=1, convolutions=(1,), kernel_size=1, pooling="max")
    model = build.build_network(spec, 2, 3, NONE).model
    model.get_layer("conv1").set_weights([np.ones((1, 1, 1, 1)), np.zeros(1)])
    model.get_layer("output").set_weights([np.log([[1.0, 2.0, 5.0]]), np.zeros(3)])
    pixels = np.full((1, 2, 2, 1), 255, np.float32)
    np.testing.assert_allclose(model(pixels)[0], [0.125, 0.25, 0.625], rtol=1e-6)


def test_average_and_maximum_pooling_by_hand():
    pixels = np.array([[0, 255], [51, 102]], np.float32).reshape(1, 2, 2, 1)
    for pooling, expected in (("average", 0.4), ("max", 1.0), ("flatten", [0, 1, 0.2, 0.4])):
        spec = ModelSpec("cnn", channels=1, convolutions=(1,), kernel_size=1, pool_size=1, pooling=pooling)
        model = build.build_network(spec, 2, 1, NONE).model
        model.get_layer("conv1").set_weights([np.ones((1, 1, 1, 1)), np.zeros(1)])
        features = keras.Model(model.input, model.get_layer("features").output)
        np.testing.assert_allclose(np.ravel(features(pixels)), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("spec", "size"),
    [
        (ModelSpec("cnn", convolutions=(2, 2), padding="valid"), 4),
        (ModelSpec("cnn", convolutions=(2, 2, 2)), 4),
        (transfer("inception_v3"), 32),
        (transfer("vgg16"), 16),
    ],
)
def test_an_image_too_small_for_its_network_is_reported_in_one_line(spec, size):
    with pytest.raises(ModelError, match=f"images of {size} pixels") as error:
        build.build_network(spec, size, 1, RANDOM)
    assert (spec.backbone or "cnn") in one_line(error)


def test_an_image_too_small_is_not_blamed_on_the_weights(small_file):
    with pytest.raises(ModelError, match="images of 16 pixels"):
        build.build_network(transfer("vgg16"), 16, 1, Weights("file", str(small_file[1])))


# What is frozen, and where the frozen beginning ends.


@pytest.fixture(scope="module")
def networks():
    """One network of each kind with residual branches."""
    training.prepare(3)
    names = ("mobilenet_v2", "mobilenet_v3_small", "efficientnetb0", "resnet18")
    spec = {"dense": (4,), "head_dropout": (0.5,)}
    return {name: awaken(build.build_network(transfer(name, **spec), 32, 3, RANDOM), PIXELS) for name in names}


CUTS = [
    ("mobilenet_v2", "head", "features"),
    ("mobilenet_v2", ("block_16", "Conv_1"), "block_15_add"),
    # The shortcut around block 15 starts before it: no cut inside the block.
    ("mobilenet_v2", ("block_15_project",), "block_14_add"),
    ("mobilenet_v2", ("block_5_",), "block_4_add"),
    ("mobilenet_v3_small", "head", "features"),
    ("mobilenet_v3_small", ("expanded_conv_10",), "expanded_conv_9_add"),
    ("mobilenet_v3_small", ("expanded_conv_5_",), "expanded_conv_4_add"),
    ("efficientnetb0", "head", "features"),
    ("efficientnetb0", ("block6a", "top"), "block5c_add"),
    # Inside a block the gate of squeeze and excitation is a branch of its own.
    ("efficientnetb0", ("block5b_se_expand",), "block5a_project_bn"),
    ("resnet18", "head", "features"),
]


@pytest.mark.parametrize(("name", "trainable", "end"), CUTS)
def test_a_network_cut_in_two_computes_the_same(networks, name, trainable, end):
    network = networks[name]
    freezing.set_trainable(network, trainable)
    expected = np.array(network.model(PIXELS))
    prefix, suffix = freezing.cut_frozen_prefix(network)
    np.testing.assert_array_equal(suffix(prefix(PIXELS)), expected)
    assert np.ptp(expected, axis=0).max() > 1e-4  # the images have different outputs
    assert prefix.layers[-1].name == end
    assert not prefix.trainable_weights
    # Nothing is lost: all that trains does so in the suffix, and is the network's own.
    ours = {id(weight) for weight in suffix.trainable_weights}
    assert ours == {id(weight) for weight in network.model.trainable_weights}


@pytest.mark.parametrize(
    ("name", "trainable"),
    # EfficientNet normalises pixels in a layer with weights, but that saves nothing.
    [("resnet18", "all"), ("efficientnetb0", "all"), ("mobilenet_v2", ("Conv1",)), ("efficientnetb0", ("stem",))],
)
def test_nothing_is_cut_off_where_no_kernel_is_frozen(networks, name, trainable):
    freezing.set_trainable(networks[name], trainable)
    prefix, suffix = freezing.cut_frozen_prefix(networks[name])
    assert prefix is None and suffix is networks[name].model


def depends_on_the_batch(network) -> bool:
    """Whether the features of an image change with the other images, in training."""
    features = keras.Model(network.model.input, network.model.get_layer("features").output)
    alone, together = (np.array(features(pixels, training=True))[0] for pixels in (PIXELS[:2], PIXELS))
    return not np.allclose(alone, together, atol=1e-3)


def test_frozen_batch_normalisation_ignores_the_batch_also_in_training(networks):
    for trainable, depends in (("head", False), ("all", True)):
        freezing.set_trainable(networks["mobilenet_v2"], trainable)
        assert depends_on_the_batch(networks["mobilenet_v2"]) == depends


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet18"])
def test_batch_normalisation_is_left_out_of_what_trains_inside_nested_models_too(networks, name):
    network = networks[name]
    freezing.set_trainable(network, "all", "frozen")
    kept = len(network.model.trainable_weights)
    assert not depends_on_the_batch(network)
    freezing.set_trainable(network, "all")
    # Two weights a normalisation, its scale and its offset, and nothing else.
    normalisations = {"mobilenet_v2": 52, "resnet18": 20}[name]
    assert len(network.model.trainable_weights) - kept == 2 * normalisations


def test_an_unknown_layer_is_refused_with_the_known_ones(networks):
    with pytest.raises(ModelError, match="no layer begins with 'conv5'.*Conv1") as error:
        freezing.set_trainable(networks["mobilenet_v2"], ("block_16", "conv5"))
    one_line(error)


# Real pretrained weights.


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["mobilenet_v2", "mobilenet_025", "mobilenet"])
def test_pretrained_features_tell_tumours_better_than_random_ones(name, weights_dir, data_dir, tmp_path):
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    start = find_weights(name, str(weights_dir))
    dataset = datasets.load_dataset("navoneel", data_dir, tmp_path)
    pixels = images.load_images(*dataset.files(np.arange(len(dataset.table))), 96, 3, tmp_path)

    def score(given):
        training.prepare(0)
        network = build.build_network(transfer(name), 96, 1, given)
        freezing.set_trainable(network, "head")
        prefix, _ = freezing.cut_frozen_prefix(network)
        features = feeding.predictor(prefix, feeding.held(pixels))(np.arange(len(pixels)))
        probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
        return cross_val_score(probe, features, dataset.table["label"], cv=5).mean()

    assert score(start) > max(score(backbones.Weights("random")), 0.7) + 0.03
