"""Grad-CAM against maps derived on paper, against tf-keras-vis, and across layouts of a model."""

from __future__ import annotations

import gc
import itertools
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from brainlib.errors import ModelError
from brainlib.models.gradcam import METHODS, grad_cam, last_convolution, overlay, permute

pytestmark = pytest.mark.slow

# A 4 by 4 image, seen by two filters of 2 by 2 with stride 2. Filter 0 sums its window, filter 1
# takes the lower right pixel from the upper left one. On paper:
#   A_0 = [[4, 2], [4, 8]]      A_1 = [[0, 0], [1, -1]]
IMAGE = np.array([[1, 2, 0, 1], [0, 1, 1, 0], [2, 0, 3, 1], [1, 1, 0, 4]])[None, ..., None]
KERNEL = np.array([[[1, 1], [1, 0]], [[1, 0], [1, -1]]])[:, :, None, :]

# Bilinear from 2 to 4 pixels: centres at -1/4, 1/4, 3/4, 5/4 of the coarse grid, clamped.
SPREAD = np.array([[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]])


def enlarged(coarse) -> np.ndarray:
    """The 4 by 4 heat map of a 2 by 2 one, by the weights above."""
    fine = SPREAD @ np.array(coarse, float) @ SPREAD.T
    return fine / fine.max()


def paper_model(weights, bias=0.0, pool=layers.GlobalAveragePooling2D, ending="dense"):
    """The two filters, pooled, then a dense layer of known weights (features, units)."""
    weights = np.array(weights, float)
    name = "sigmoid" if weights.shape[1] == 1 else "softmax"
    inputs = keras.Input((4, 4, 1))
    x = pool()(layers.Conv2D(2, 2, strides=2, name="filters")(inputs))
    dense = layers.Dense(weights.shape[1], activation=name if ending == "dense" else None)
    x = dense(x)
    if ending == "activation":
        x = layers.Activation(name)(x)
    elif ending == "layer":
        x = layers.Softmax()(x)
    elif ending == "ops":
        x = getattr(keras.ops, name)(x)
    elif ending == "lambda":
        x = layers.Lambda(getattr(keras.ops, name))(x)
    model = keras.Model(inputs, x)
    model.get_layer("filters").set_weights([KERNEL, np.zeros(2)])
    dense.set_weights([weights, np.broadcast_to(bias, weights.shape[1])])
    return model


def images_like(shape, n=5, seed=0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(size=(n, *shape)).astype("float32")


def backbone(**kwargs):
    inputs = keras.Input((12, 12, 3))
    x = layers.Conv2D(6, 3, activation="relu", padding="same", name="first")(inputs)
    x = layers.BatchNormalization()(layers.MaxPooling2D()(x))
    return keras.Model(inputs, layers.Conv2D(5, 3, activation="relu", name="second")(x), **kwargs)


def head():
    return [layers.Flatten(), layers.Dropout(0.5), layers.Dense(4, activation="softmax")]


def through(x, parts):
    for part in parts:
        x = part(x)
    return x


def nested():
    inputs = keras.Input((12, 12, 3))
    return keras.Model(inputs, through(backbone(name="backbone")(inputs), head()))


def flat():
    body = backbone()
    return keras.Model(body.input, through(body.output, head()))


def sequential(**kwargs):
    return keras.Sequential([keras.Input((12, 12, 3)), backbone(name="backbone"), *head()], **kwargs)


def sequential_flat():
    return keras.Sequential([keras.Input((12, 12, 3)), *backbone().layers[1:], *head()])


def sequential_in_sequential():
    return keras.Sequential([keras.Input((12, 12, 3)), sequential(name="inner")])


def frozen():
    model = flat()
    model.trainable = False
    return model


def functional_of_backbone_and_sequential_head():
    inputs = keras.Input((12, 12, 3))
    return keras.Model(inputs, keras.Sequential(head())(backbone(name="backbone")(inputs)))


@pytest.fixture(autouse=True)
def seed():
    """Weights that a test does not set are random, but the same in every run."""
    keras.utils.set_random_seed(5)


@pytest.fixture(scope="module")
def example():
    """A nested transfer model, images for it, and its maps."""
    keras.utils.set_random_seed(3)
    model, images = nested(), images_like((12, 12, 3))
    maps = grad_cam(model, images)
    assert (maps.max(axis=(1, 2)) == 1).all()  # none of the maps compared below is empty
    return model, images, maps


def state(model):
    """Everything that explaining a model could change."""
    parts = list(model._flatten_layers())
    return (
        [v.numpy() for v in model.variables],
        [(part.name, part.trainable, part.built, "call" in vars(part)) for part in parts],
        [vars(part).get("activation") for part in parts],
    )


# --- maps derived on paper -----------------------------------------------------------------------


def test_map_is_the_one_derived_on_paper_for_pooled_features():
    # Average pooling of 4 positions: dy_c/dA_k = w_kc / 4 everywhere, which is alpha_k.
    # Class 0: alpha = (1/2, 1),    A_0 / 2 + A_1     = [[2, 1], [3, 3]].
    # Class 1: alpha = (-1/4, 2),  -A_0 / 4 + 2 A_1   = [[-1, -1/2], [1, -4]], of which the relu
    # leaves [[0, 0], [1, 0]].
    model = paper_model([[2, -1], [4, 8]])
    class_0 = np.array(
        [
            [2.00, 1.7500, 1.2500, 1.0],
            [2.25, 2.0625, 1.6875, 1.5],
            [2.75, 2.6875, 2.5625, 2.5],
            [3.00, 3.0000, 3.0000, 3.0],
        ]
    )
    class_1 = np.outer([0, 0.25, 0.75, 1], [1, 0.75, 0.25, 0])
    maps = grad_cam(model, np.repeat(IMAGE, 2, axis=0), target=np.array([0, 1]))
    assert maps.dtype == np.float32
    np.testing.assert_allclose(maps, [class_0 / 3, class_1], atol=1e-6)


def test_map_averages_the_gradient_over_positions_before_weighing():
    # Flattened as (row, column, filter): dy/dA_0 = [[1, 2], [3, 2]], mean 2, and
    # dy/dA_1 = [[0, 4], [0, -8]], mean -1. 2 A_0 - A_1 = [[8, 4], [7, 17]].
    weights = np.array([[1, 0, 2, 4, 3, 0, 2, -8]]).T
    model = paper_model(weights, pool=layers.Flatten)
    np.testing.assert_allclose(grad_cam(model, IMAGE, target=1)[0], enlarged([[8, 4], [7, 17]]), atol=1e-6)
    # Its negative, of class 0, has no evidence anywhere.
    np.testing.assert_array_equal(grad_cam(model, IMAGE, target=0), np.zeros((1, 4, 4)))


def test_maps_of_all_methods_are_those_derived_on_paper():
    # As above: dy/dA_0 = [[1, 2], [3, 2]], dy/dA_1 = [[0, 4], [0, -8]], and the sums of A_0 and A_1 are 18 and 0.
    model = paper_model(np.array([[1, 0, 2, 4, 3, 0, 2, -8]]).T, pool=layers.Flatten)
    found = dict(zip(METHODS, grad_cam(model, IMAGE, target=1, methods=METHODS)[:, 0], strict=True))
    np.testing.assert_array_equal(found["Grad-CAM"], grad_cam(model, IMAGE, target=1)[0])
    hires = [[4, 4], [12, 24]]  # [[1 x 4, 2 x 2], [3 x 4, 2 x 8]] + [[0, 0], [0, -8 x -1]]
    assert np.sum(hires) == model.layers[-1].kernel.numpy().ravel() @ [4, 0, 2, 0, 4, 1, 8, -1]  # the logit
    np.testing.assert_allclose(found["HiResCAM"], enlarged(hires), atol=1e-6)
    np.testing.assert_allclose(found["LayerCAM"], enlarged([[4, 4], [12, 16]]), atol=1e-6)
    # w_0 = 1 / (2 + 18) + 2 x 2 / (2 + 2 x 18) + 3 / (2 + 3 x 18), w_1 = 4 / 2; below right it is below zero.
    w = 1 / 20 + 4 / 38 + 3 / 56
    np.testing.assert_allclose(found["Grad-CAM++"], enlarged([[4 * w, 2 * w], [4 * w + 2, 0]]), atol=1e-6)


def test_hirescam_is_grad_cam_where_features_are_pooled_and_not_where_a_dense_layer_follows(example):
    grad, hires = grad_cam(paper_model([[2, -1], [4, 8]]), IMAGE, methods=METHODS[:2])
    np.testing.assert_allclose(hires, grad, atol=1e-6)
    grad, hires = grad_cam(*example[:2], methods=METHODS[:2])
    assert not np.allclose(hires, grad, atol=0.1)


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_overlapping_max_pooling_behind_the_layer_has_the_map_of_the_plain_gradient(padding):
    keras.utils.set_random_seed(3)
    inputs = keras.Input((9, 8, 1))
    maps = layers.Conv2D(12, 3, activation="relu")(inputs)
    pooled = layers.MaxPooling2D(3, strides=2, padding=padding)(maps)
    dense = layers.Dense(1, kernel_initializer=keras.initializers.RandomUniform(-0.5, 1))  # so that there is evidence
    model = keras.Model(inputs, dense(layers.Flatten()(pooled)))
    images = images_like((9, 8, 1))
    with tf.GradientTape() as tape:
        features = keras.Model(inputs, maps)(images)
        tape.watch(features)
        score = keras.Model(maps, model.output)(features)
    features, gradient = (np.array(x, float) for x in (features, tape.gradient(score, features)))
    # The formulas as they were published. Where there is no gradient, the second and the fourth are zero.
    total = {"axis": (1, 2), "keepdims": True}
    powers = 2 * gradient**2 + features.sum(**total) * gradient**3
    alpha = np.divide(gradient**2, powers, out=np.zeros_like(powers), where=powers > 0)
    positive = np.maximum(gradient, 0)
    weights = gradient.mean(**total), gradient, (alpha * positive).sum(**total), positive
    coarse = np.maximum([(w * features).sum(axis=-1) for w in weights], 0)
    expected = np.array([tf.image.resize(each[..., None], (9, 8))[..., 0] for each in coarse])
    expected /= expected.max(axis=(2, 3), keepdims=True)
    np.testing.assert_allclose(grad_cam(model, images, target=1), expected[0], atol=1e-5)
    for batch_size in (32, 2):  # eagerly, and in a graph
        found = grad_cam(model, images, target=1, batch_size=batch_size, methods=METHODS)
        np.testing.assert_allclose(found, expected, atol=1e-5)
    assert not any(np.allclose(*pair, atol=0.01) for pair in itertools.combinations(expected, 2))


def test_classes_0_and_1_of_a_sigmoid_have_opposite_signs():
    # alpha = (-1/4, 2) as above: [[-1, -1/2], [1, -4]] for class 1 and its negative for class 0.
    model = paper_model([[-1], [8]])
    maps = grad_cam(model, np.repeat(IMAGE, 2, axis=0), target=np.array([1, 0]))
    np.testing.assert_allclose(maps[0], enlarged([[0, 0], [1, 0]]), atol=1e-6)
    np.testing.assert_allclose(maps[1], enlarged([[1, 0.5], [0, 4]]), atol=1e-6)


def test_target_none_explains_the_predicted_class():
    # logits = mean(A) W: mean(A_0) = 4.5, mean(A_1) = 0. Class 0: 9, class 1: -4.5.
    model = paper_model([[2, -1], [4, 8]])
    np.testing.assert_array_equal(grad_cam(model, IMAGE), grad_cam(model, IMAGE, target=0))
    # One unit with logit -4.5 + bias: below and above 0.
    for bias, predicted in ((4, 0), (5, 1)):
        model = paper_model([[-1], [8]], bias)
        np.testing.assert_array_equal(grad_cam(model, IMAGE), grad_cam(model, IMAGE, target=predicted))


# --- logits --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ending", "units"),
    [("dense", 1), ("dense", 2), ("activation", 1), ("activation", 2), ("layer", 2), ("ops", 1), ("ops", 2)],
)
def test_saturated_output_gives_the_map_of_its_logit(ending, units):
    weights = [[-1], [8]] if units == 1 else [[2, -1], [4, 8]]
    bias = [500.0] if units == 1 else [0.0, 500.0]
    model = paper_model(weights, bias, ending=ending)
    assert model(IMAGE)[0, -1] == 1  # saturated: the probability's gradient is exactly zero
    nested_once = keras.Sequential([keras.Input((4, 4, 1)), model])
    for each in (model, nested_once):
        np.testing.assert_allclose(grad_cam(each, IMAGE, target=1)[0], enlarged([[0, 0], [1, 0]]), atol=1e-6)


def test_activation_that_cannot_be_found_is_explained_as_a_probability():
    # Logit -4.5 + 4: p = 0.38, so class 0 is predicted although the output is positive.
    model = paper_model([[-1], [8]], 4, ending="lambda")
    np.testing.assert_allclose(grad_cam(model, IMAGE)[0], enlarged([[1, 0.5], [0, 4]]), atol=1e-5)
    saturated = paper_model([[-1], [8]], 500, ending="lambda")
    assert not grad_cam(saturated, IMAGE, target=1).any()


# --- layouts -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "path"),
    [
        (flat, "second"),
        (sequential, "backbone/second"),
        (sequential_flat, "second"),
        (functional_of_backbone_and_sequential_head, "backbone/second"),
        (sequential_in_sequential, "inner/backbone/second"),
        (frozen, "second"),
    ],
)
def test_every_layout_of_the_same_weights_gives_the_same_maps(example, build, path):
    original, images, maps = example
    model = build()
    model.set_weights(original.get_weights())
    assert last_convolution(model) == path
    for batch_size in (32, 2):  # eagerly, and in a graph
        np.testing.assert_allclose(grad_cam(model, images, batch_size=batch_size), maps, atol=1e-6)


def test_loaded_model_gives_the_same_maps(example, tmp_path):
    original, images, maps = example
    original.save(tmp_path / "model.keras")
    model = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(grad_cam(model, images), maps, atol=1e-6)


def test_layer_that_is_used_twice_is_explained_where_it_is_used_last():
    def build(first, second):
        inputs = keras.Input((4, 4, 1))
        x = layers.Flatten()(second(first(inputs)))
        return keras.Model(inputs, layers.Dense(3)(x))

    conv = layers.Conv2D(1, 3, padding="same", name="last")
    shared = build(conv, conv)
    apart = build(layers.Conv2D(1, 3, padding="same"), layers.Conv2D(1, 3, padding="same"))
    kernel, bias, *dense = shared.get_weights()
    apart.set_weights([kernel, bias, kernel, bias, *dense])
    for target in range(3):
        np.testing.assert_allclose(
            grad_cam(shared, IMAGE, target=target), grad_cam(apart, IMAGE, target=target), atol=1e-6
        )


def test_subclassed_model_is_explained():
    class Wrapper(keras.Model):
        def __init__(self):
            super().__init__()
            self.inner = paper_model([[-1], [8]])

        def call(self, x):
            return self.inner(x)

    maps = grad_cam(Wrapper(), IMAGE.astype("float32"), target=1)
    np.testing.assert_allclose(maps[0], enlarged([[0, 0], [1, 0]]), atol=1e-6)


def test_layer_can_be_named_with_and_without_its_path(example):
    model, images, maps = example
    earlier = grad_cam(model, images, layer="first")
    np.testing.assert_array_equal(earlier, grad_cam(model, images, layer="backbone/first"))
    assert not np.allclose(earlier, maps)
    # The nested model as a whole puts out what its last convolution does.
    np.testing.assert_allclose(grad_cam(model, images, layer="backbone"), maps, atol=1e-6)


def test_batches_give_the_maps_of_single_images(example):
    model, images, maps = example
    for batch_size in (1, 2):
        np.testing.assert_allclose(grad_cam(model, images, batch_size=batch_size), maps, atol=1e-5)
    classes = np.array([3, 0, 1, 2, 0])
    singly = [grad_cam(model, image[None], target=int(c))[0] for image, c in zip(images, classes, strict=True)]
    np.testing.assert_allclose(grad_cam(model, images, target=classes, batch_size=3), singly, atol=1e-5)
    assert grad_cam(model, images[:0]).shape == (0, 12, 12)


def test_uint8_images_are_taken_as_the_model_takes_them():
    inputs = keras.Input((64, 64, 3))
    scaled = layers.Rescaling(1 / 127.5, -1)(inputs)
    base = keras.applications.MobileNetV2(input_tensor=scaled, weights=None, include_top=False, alpha=0.35)
    model = keras.Model(inputs, through(base.output, head()))
    images = (255 * images_like((64, 64, 3), 2)).astype("uint8")
    maps = grad_cam(model, images)
    assert last_convolution(model) == "Conv_1"
    np.testing.assert_allclose(maps, grad_cam(model, images.astype("float32")), atol=1e-5)
    assert maps.min() >= 0 and (maps.max(axis=(1, 2)) == 1).all()


@pytest.mark.parametrize("kind", ["DepthwiseConv2D", "SeparableConv2D", "Conv2DTranspose"])
def test_every_kind_of_convolution_is_found_and_one_of_pooled_features_is_not(kind):
    kernel = {"kernel_size": 3, "name": "wanted"}
    conv = getattr(layers, kind)(**kernel, **({} if kind[0] == "D" else {"filters": 4}))
    inputs = keras.Input((8, 8, 3))
    x = conv(layers.Conv2D(4, 3, name="earlier")(inputs))
    squeezed = layers.GlobalAveragePooling2D(keepdims=True)(x)
    excited = layers.Conv2D(4, 1, activation="sigmoid", name="excitation")(squeezed)
    x = layers.GlobalAveragePooling2D()(x * excited)
    assert last_convolution(keras.Model(inputs, layers.Dense(2)(x))) == "wanted"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("MobileNet", "conv_pw_13"),  # its classifier is a 1 by 1 convolution of pooled features
        ("EfficientNetB0", "top_conv"),
        ("ResNet50V2", "conv5_block3_3_conv"),
        ("VGG16", "block5_conv3"),
    ],
)
def test_last_convolution_of_published_backbones(name, expected):
    size = (64, 64, 3)
    model = getattr(keras.applications, name)(weights=None, include_top=name == "MobileNet", input_shape=size)
    assert last_convolution(model) == expected
    outer = keras.Sequential([keras.Input(size), model])
    assert last_convolution(outer) == f"{model.name}/{expected}"


# --- what a map is for ---------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*scipy.ndimage.interpolation:DeprecationWarning")
@pytest.mark.parametrize("kind", ["small", "mobilenet"])
def test_maps_agree_with_tf_keras_vis(kind):
    from tf_keras_vis.gradcam import Gradcam
    from tf_keras_vis.layercam import Layercam
    from tf_keras_vis.utils.model_modifiers import ReplaceToLinear
    from tf_keras_vis.utils.scores import CategoricalScore

    if kind == "small":
        model = flat()
    else:
        model = keras.applications.MobileNetV2((96, 96, 3), alpha=0.35, weights=None, classes=4)
    images = images_like(model.input_shape[1:], 4)
    classes = [0, 3, 2, 1]
    for method, theirs in (("Grad-CAM", Gradcam), ("LayerCAM", Layercam)):
        # The library enlarges by corners and stretches to [min, max]; its coarse map is comparable.
        coarse = theirs(model, model_modifier=ReplaceToLinear())(
            CategoricalScore(classes), images, expand_cam=False, normalize_cam=False
        )
        expected = resized(coarse, images.shape[1:3])
        np.testing.assert_allclose(grad_cam(model, images, target=classes, methods=[method])[0], expected, atol=1e-4)


def resized(coarse, size):
    """Coarse maps (n, rows, columns), made as large as the images and divided by their maximum."""
    maps = np.array(keras.ops.image.resize(np.array(coarse)[..., None], size))[..., 0]
    return maps / maps.max(axis=(1, 2), keepdims=True)


@pytest.mark.filterwarnings("ignore:.*scipy.ndimage.interpolation:DeprecationWarning")
def test_grad_cam_plus_plus_agrees_with_tf_keras_vis_where_all_its_alphas_are_one_half():
    # The library divides alpha by its sum over the positions, which changes nothing where maps have the sum zero.
    from tf_keras_vis.gradcam_plus_plus import GradcamPlusPlus
    from tf_keras_vis.utils.model_modifiers import ReplaceToLinear
    from tf_keras_vis.utils.scores import CategoricalScore

    inputs = keras.Input((12, 12, 3))
    maps = layers.Conv2D(5, 3, strides=2)(inputs)
    maps = layers.LayerNormalization((1, 2), center=False, scale=False, name="centred")(maps)
    model = keras.Model(inputs, through(maps, head()))
    images, classes = images_like((12, 12, 3)), [0, 3, 2, 1, 0]
    coarse = GradcamPlusPlus(model, model_modifier=ReplaceToLinear())(
        CategoricalScore(classes), images, penultimate_layer="centred", seek_penultimate_conv_layer=False,
        expand_cam=False, normalize_cam=False
    )  # fmt: skip
    found = grad_cam(model, images, target=classes, layer="centred", methods=["Grad-CAM++"])[0]
    np.testing.assert_allclose(found, resized(coarse, (12, 12)), atol=1e-4)


# --- the model afterwards ------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["dense", "activation", "layer", "ops"])
def test_model_is_unchanged_afterwards_and_after_an_error(ending):
    model = paper_model([[2, -1], [4, 8]], ending=ending)
    before, prediction = state(model), model(IMAGE).numpy()
    for batch_size in (32, 1):
        grad_cam(model, IMAGE, target=1, batch_size=batch_size)
        with pytest.raises(ModelError, match="classes 0 to 1, received 2 to 2"):
            grad_cam(model, IMAGE, target=2, batch_size=batch_size)
    after = state(model)
    assert all(map(np.array_equal, before[0], after[0])) and before[1:] == after[1:]
    np.testing.assert_array_equal(model(IMAGE), prediction)


def test_a_graph_is_traced_once_and_reads_the_weights_of_today(example):
    calls = []
    model = keras.Sequential([keras.Input((12, 12, 3)), layers.Lambda(lambda x: calls.append(1) or x), nested()])
    before, calls[:] = model.get_weights(), []
    first = grad_cam(model, example[1], batch_size=2)  # the last batch has one image
    permute(model, seed=1)
    permuted = grad_cam(model, example[1], batch_size=3)
    model.set_weights(before)
    np.testing.assert_array_equal(grad_cam(model, example[1], batch_size=2), first)
    assert calls == [1]
    permute(model, seed=1)
    np.testing.assert_allclose(permuted, grad_cam(model, example[1]), atol=1e-5)
    assert not np.allclose(permuted, first)


def test_a_graph_is_traced_again_for_a_model_that_has_another_layer_now():
    model = sequential_flat()
    images = images_like((12, 12, 3))
    grad_cam(model, images, batch_size=1)
    model.pop()
    model.add(layers.Dense(2, activation="softmax"))
    np.testing.assert_allclose(grad_cam(model, images, batch_size=1), grad_cam(model, images), atol=1e-5)
    assert grad_cam(model, images, target=1, batch_size=1).any()


def test_a_graph_does_not_keep_its_model_alive_and_is_not_stored_with_it(tmp_path):
    model = nested()
    grad_cam(model, images_like((12, 12, 3), 1), batch_size=1)
    model.save(tmp_path / "model.keras")
    assert not vars(keras.models.load_model(tmp_path / "model.keras")).get("_brainlib_gradcam")
    gone = weakref.ref(model)
    del model
    keras.backend.clear_session()
    gc.collect()
    assert gone() is None


def test_all_methods_share_one_pass(example):
    calls = []
    model = keras.Sequential([keras.Input((12, 12, 3)), layers.Lambda(lambda x: calls.append(1) or x), nested()])
    calls.clear()
    grad_cam(model, example[1], methods=METHODS)
    assert calls == [1]


# --- errors --------------------------------------------------------------------------------------


def refused(*args, **kwargs) -> str:
    """The message of the ModelError, which is one line, and as clear from a graph."""
    with pytest.raises(ModelError, match="^expected [^\n]*$"):
        grad_cam(*args, **{"batch_size": 1} | kwargs)
    with pytest.raises(ModelError) as error:
        grad_cam(*args, **kwargs)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_model_without_a_convolution_is_refused():
    dense = keras.Sequential([keras.Input((4, 4, 1)), layers.Flatten(), layers.Dense(2)])
    assert "expected a model with a convolution" in refused(dense, IMAGE)
    one_position = keras.Sequential([keras.Input((4, 4, 1)), layers.Conv2D(3, 4), layers.Flatten(), layers.Dense(2)])
    assert "more than one output position" in refused(one_position, IMAGE)


def test_unknown_layer_is_refused_with_the_convolutions_there_are(example):
    model, images, _ = example
    message = refused(model, images, layer="third")
    assert "'third'" in message and "backbone/first, backbone/second" in message


def test_layer_that_no_gradient_reaches_is_refused():
    inputs = keras.Input((4, 4, 1))
    x = layers.Conv2D(2, 2, name="cut_off")(inputs)
    x = layers.Conv2D(2, 2, name="reached")(layers.Lambda(keras.ops.stop_gradient)(x))
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))
    assert grad_cam(model, IMAGE).shape == (1, 4, 4)
    message = refused(model, IMAGE, layer="cut_off")
    assert "'cut_off'" in message and "no gradient" in message and "reached" in message


def test_layer_that_never_runs_is_refused():
    class Idle(keras.Model):
        def __init__(self):
            super().__init__()
            self.used, self.idle = paper_model([[-1], [8]]), layers.Conv2D(2, 2, name="idle")
            self.idle.build((None, 4, 4, 1))

        def call(self, x):
            return self.used(x)

    assert "no gradient" in refused(Idle(), IMAGE.astype("float32"), layer="idle")


def test_layer_whose_output_is_no_stack_of_maps_is_refused():
    model = paper_model([[2, -1], [4, 8]])
    message = refused(model, IMAGE, layer=model.layers[-1].name)
    assert "(n, rows, columns, channels)" in message and "(1, 2)" in message


def test_name_that_two_nested_models_use_must_be_a_path():
    inputs = keras.Input((12, 12, 3))
    both = [backbone(name="left")(inputs), backbone(name="right")(inputs)]
    model = keras.Model(inputs, through(layers.Add()(both), head()))
    images = images_like((12, 12, 3), 1)
    assert "left/second, right/second" in refused(model, images, layer="second")
    left, right = (grad_cam(model, images, layer=f"{side}/second") for side in ("left", "right"))
    assert not np.allclose(left, right)


def test_model_with_two_outputs_is_refused():
    model = paper_model([[2, -1], [4, 8]])
    double = keras.Model(model.input, [model.output, model.layers[1].output])
    assert "one output (n, classes)" in refused(double, IMAGE)


@pytest.mark.parametrize("target", [-1, 2, 0.0, [0, 1], [[0]], "tumour"])
def test_target_that_is_no_class_of_the_model_is_refused(target):
    assert "expected" in refused(paper_model([[2, -1], [4, 8]]), IMAGE, target=target)


def test_images_that_the_model_cannot_take_are_refused():
    model = paper_model([[-1], [8]])
    for wrong in (IMAGE[0], IMAGE[:, :3], np.repeat(IMAGE, 3, axis=3)):
        message = refused(model, wrong)
        assert "(None, 4, 4, 1)" in message and str(wrong.shape) in message


@pytest.mark.parametrize("methods", [(), ("Grad-CAM", "ScoreCAM")])
def test_methods_that_there_are_not_are_refused(methods):
    with pytest.raises(ModelError, match=r"^expected methods of Grad-CAM, HiResCAM, .*, received "):
        grad_cam(paper_model([[-1], [8]]), IMAGE, methods=methods)


def test_batch_sizes_below_one_and_weights_that_are_not_finite_are_refused():
    assert "batch size" in refused(paper_model([[-1], [8]]), IMAGE, batch_size=-1)
    assert "NaN" in refused(paper_model([[np.nan], [8]]), IMAGE, target=1)


# --- overlay -------------------------------------------------------------------------------------


def test_overlay_mixes_grey_and_colour_by_heat():
    # Inferno ends at (0.988362, 0.998364, 0.644924), times 255: (252.0, 254.6, 164.5).
    images = np.zeros((1, 1, 3, 3), np.uint8)
    images[0, 0] = [[90, 100, 110], [100, 100, 100], [0, 0, 0]]
    maps = np.array([[[0.0, 1.0, 1.0]]])
    np.testing.assert_array_equal(overlay(images, maps, 0.5), [[[[100, 100, 100], [176, 177, 132], [126, 127, 82]]]])
    np.testing.assert_array_equal(overlay(images, maps, 1.0)[0, 0, 2], [252, 255, 164])
    np.testing.assert_array_equal(overlay(images, maps, 0.0), np.repeat([[[[100], [100], [0]]]], 3, axis=3))


def test_overlay_refuses_images_that_are_scaled_or_of_another_size():
    maps = np.zeros((1, 4, 4), np.float32)
    for wrong in (IMAGE / 255, np.zeros((1, 4, 5, 1), np.uint8), np.zeros((1, 4, 4), np.uint8)):
        with pytest.raises(ModelError, match="expected uint8 images"):
            overlay(wrong, maps)


@pytest.mark.parametrize("dense_only", [True, False])
def test_permuting_keeps_each_tensors_values_and_touches_what_it_should(dense_only):
    model = nested()
    before = {weight.path: weight.numpy() for weight in model.weights}
    permute(model, seed=3, dense_only=dense_only)
    after = {weight.path: weight.numpy() for weight in model.weights}
    dense = {weight.path for layer in model.layers for weight in layer.weights if isinstance(layer, layers.Dense)}
    for path, values in after.items():
        assert sorted(values.ravel()) == sorted(before[path].ravel())
        varied = np.ptp(before[path]) > 0  # zeros stay zeros in any order
        moved = not np.array_equal(values, before[path])
        assert moved == (varied and (path in dense or not dense_only)), path
    assert any(np.ptp(before[path]) > 0 for path in dense) and dense != set(before)


def test_permuting_by_one_seed_gives_one_model():
    model = nested()
    before, permuted = model.get_weights(), []
    for seed in (1, 1, 2):
        model.set_weights(before)
        permute(model, seed)
        permuted.append(model.get_weights())
    first, again, other = permuted
    assert all(map(np.array_equal, first, again))
    assert not all(map(np.array_equal, first, other))
