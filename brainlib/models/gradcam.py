"""Grad-CAM and its kin: heat maps of the evidence for a class in an image, from the last convolution.

With A_k the k-th feature map of the layer, y the class's logit, g_k = dy/dA_k, and sums and means over positions:

- Grad-CAM (Selvaraju et al., ICCV 2017, equations 1 and 2): relu(sum_k mean(g_k) A_k).
- HiResCAM (Draelos and Carin, arXiv:2011.08891): relu(sum_k g_k A_k), by position. Where one dense layer follows, all
  products add up to the logit less its bias: the map shows what the model computed. Grad-CAM, whose mean forgets where
  a feature counts, may mark positions that were not used.
- Grad-CAM++ (Chattopadhay et al., WACV 2018, equation 19 of arXiv:1710.11063): relu(sum_k sum(alpha_k relu(g_k)) A_k),
  alpha_k = g_k^2 / (2 g_k^2 + sum(A_k) g_k^3) = 1 / (2 + sum(A_k) g_k), which the authors' code scales further. It is
  made for maps behind a ReLU: elsewhere alpha_k has no bounds.
- LayerCAM (Jiang et al., IEEE Trans. Image Process. 2021, 30:5875): relu(sum_k relu(g_k) A_k).

The model runs as it is, while the chosen layer's ``call`` is wrapped so that a gradient tape records its output. No
second model is built from the graph of the first, so a backbone may be nested, flat, in a ``Sequential`` or shared.
Only the gradient of what follows the layer is computed, so that the forward pass is nearly all of the work. Not
thread-safe: no other thread may use the model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from brainlib.errors import ModelError

GRAD_CAM, HIRES_CAM, GRAD_CAM_PP, LAYER_CAM = METHODS = ("Grad-CAM", "HiResCAM", "Grad-CAM++", "LayerCAM")
_PREDICTED = -1  # as a target: the predicted class

if TYPE_CHECKING:  # TensorFlow takes long to import: only the functions that need it do so
    import keras


def grad_cam(
    model: keras.Model,
    images: np.ndarray,
    *,
    target: int | np.ndarray | None = None,
    layer: str | None = None,
    batch_size: int = 32,
    methods: Sequence[str] | None = None,
) -> np.ndarray:
    """Compute heat maps of the evidence for a class; by several methods, still in one forward and one backward pass.

    A map is resized bilinearly to the images' size and divided by its own maximum. The
    gradient is that of the logit, because a saturated sigmoid or softmax has none: the final activation, of a dense
    layer or a layer of its own, is linear during the call. Where it cannot be found (a ``Lambda``, a subclassed model)
    the gradient is that of the output, which is taken to be a probability. The model runs in inference mode and is
    left unchanged, also after errors.

    Parameters
    ----------
    model : keras.Model
        A built classifier (channels last), one input, one output of shape (n, classes) or (n, 1).
    images : array of shape (n, height, width, channels)
        uint8 or float, scaled as the model's input. May be a memory map.
    target : int or int array of shape (n,), optional
        The class to explain; None for that predicted. With one unit, class 1 is its logit and class 0 the negative.
    layer : str, optional
        A layer with output (n, rows, columns, channels): its name, or its path in a nested model ("backbone/conv5").
        None for `last_convolution`. Where that is one of several branches, the layer that joins them ("mixed10"), or
        the nested backbone's own name, shows them all.
    batch_size : int
        Images explained at a time, at least 1. From as many on, the computation is traced to a graph, which the model
        keeps, unless it has ``run_eagerly``; of fewer, tracing would take longer. The two agree up to rounding.
    methods : sequence of str, optional
        Of `METHODS`, whose formulas stand at the head of this module; None for Grad-CAM.

    Returns
    -------
    float32 array of shape (n, height, width), with `methods` (methods, n, height, width)
        In [0, 1], maximum 1; all zero where the layer holds no evidence for the class.

    Raises
    ------
    ModelError
        No such method or layer, or none that can be explained; images or targets of wrong shape; a map of NaN.
    """
    from brainlib.models._tensorflow import tf

    # A subclassed model declares no input and takes any size.
    wanted = tuple(model.inputs[0].shape) if getattr(model, "inputs", None) else (None,) * 4
    if len(wanted) != images.ndim or any(a not in (None, b) for a, b in zip(wanted, images.shape, strict=True)):
        raise ModelError(f"expected images of shape {wanted}, received {images.shape}; resize them")
    if batch_size < 1:
        raise ModelError(f"expected a batch size of at least 1, received {batch_size}")
    asked = (GRAD_CAM,) if methods is None else tuple(methods)
    if not asked or set(asked) - set(METHODS):
        raise ModelError(f"expected methods of {', '.join(METHODS)}, received {', '.join(asked) or 'none'}")
    n = len(images)
    if target is not None:
        target = np.asarray(target)
        if target.dtype.kind not in "iu" or target.shape not in ((), (n,)):
            expected = "expected a target class or one for each image"
            raise ModelError(f"{expected}, received {target.dtype} of shape {target.shape}")
    path = last_convolution(model) if layer is None else layer
    explained = _find(model, path)
    classes = np.broadcast_to(_PREDICTED if target is None else target, n).astype(np.int64)
    maps = np.zeros((len(asked), *images.shape[:3]), np.float32)
    compute = partial(_scored_maps, model, explained, path, asked)
    if n >= batch_size and not model.run_eagerly:  # tracing takes longer than a few images do
        compute = _traced(compute, images)
    for start in range(0, n, batch_size):
        part = slice(start, start + batch_size)
        found, scores = compute(tf.constant(images[part]), tf.constant(classes[part]))
        found, scores = found.numpy(), scores.numpy()
        if target is not None and (target.min() < 0 or target.max() >= scores.shape[1]):
            raise ModelError(f"expected classes 0 to {scores.shape[1] - 1}, received {target.min()} to {target.max()}")
        peak = found.max(axis=(2, 3), keepdims=True)
        if not np.isfinite(peak).all():
            raise ModelError(f"expected finite images and weights, received a map of NaN at {path!r}")
        np.divide(found, peak, out=maps[:, part], where=peak > 0)
    return maps[0] if methods is None else maps


def last_convolution(model: keras.Model) -> str:
    """Return the name, or path in nested models, of the layer that `grad_cam` explains by default.

    It is the last 2-D convolution (plain, depthwise, separable or transposed) in the order of the model's layers whose
    output has more than one position. This excludes convolutions of pooled features (squeeze-and-excitation,
    MobileNet's classifier), which have no spatial extent. A size that is known only at run time counts as more than
    one. ModelError when there is no such layer.
    """
    if paths := _convolutions(model):
        return paths[-1]
    received = f"received {model.name!r} which has none with more than one output position"
    raise ModelError(f"expected a model with a convolution, {received}; name another layer to explain")


def permute(model: keras.Model, seed: int, *, dense_only: bool = False) -> None:
    """Permute the values of each weight tensor of a model, in place: a sanity check of heat maps.

    Adebayo et al. 2018, "Sanity Checks for Saliency Maps", re-initialise the weights from the output to the input:
    `dense_only` stops after the dense layers. Permuted weights keep their distribution, and so the activations' scale.
    """
    from brainlib.models._tensorflow import keras

    rng = np.random.default_rng([seed, 6])
    for layer in {id(layer): layer for _, layer in _layers(model)}.values():
        if hasattr(layer, "layers") or (dense_only and not isinstance(layer, keras.layers.Dense)):
            continue
        for weight in layer.weights:
            values = weight.numpy()
            if values.dtype.kind == "f":
                weight.assign(rng.permutation(values.ravel()).reshape(values.shape))


def overlay(images: np.ndarray, maps: np.ndarray, alpha: float = 0.5) -> np.ndarray:
    """Overlay heat maps on grey images: (1 - alpha h) grey + alpha h colour(h) for a value h.

    The lightness of the colours, Matplotlib's "inferno", increases with h, also in print and for colour blindness.

    Parameters
    ----------
    images : uint8 array of shape (n, height, width, channels)
        The mean of the channels is shown.
    maps : float array of shape (n, height, width)
        In [0, 1], as `grad_cam` returns it.
    alpha : float
        Opacity of the colour where the map is 1, in [0, 1].

    Returns
    -------
    uint8 array of shape (n, height, width, 3)
        RGB; ModelError when the images are of another type or size.
    """
    from matplotlib import colormaps

    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[:3] != maps.shape:
        expected = f"expected uint8 images (n, height, width, channels) for heat maps {maps.shape}"
        raise ModelError(f"{expected}, received {images.dtype} {images.shape}; pass them as they were loaded")
    opacity, colour = alpha * maps[..., None], 255 * colormaps["inferno"](maps)[..., :3]
    return np.rint((1 - opacity) * images.mean(axis=-1, keepdims=True) + opacity * colour).astype(np.uint8)


def _traced(compute: partial, images: np.ndarray):
    """Return `_scored_maps` of a model, a layer, its path and methods as a graph for batches of such images."""
    from brainlib.models._tensorflow import tf

    model, _, path, methods = compute.args
    # Kept on the model, so that both end together: a dictionary of models would hold on to them, as a graph does.
    kept = vars(model).setdefault("_brainlib_gradcam", {})
    made_for, layers = (path, methods, images.dtype, images.shape[1:]), [layer for _, layer in _layers(model)]
    known, graph = kept.get(made_for, ([], None))
    if known != layers:
        batch = tf.TensorSpec((None, *images.shape[1:]), images.dtype), tf.TensorSpec((None,), tf.int64)
        # As in Keras' own `predict`, the layers' code is not converted.
        graph = tf.function(compute, autograph=False).get_concrete_function(*batch)
        kept[made_for] = layers, graph
    return graph


def _scored_maps(model, layer, path, methods, images, targets) -> tuple:
    """Heat maps of one batch by each method, not scaled, and the scores of its classes, as tensors."""
    from brainlib.models._tensorflow import tf

    # Max pooling hands each gradient on to one position, which takes long and leaves the sum as it is: where it
    # follows, the gradient is taken behind it for Grad-CAM alone.
    last, seen = (methods == (GRAD_CAM,) and _pooling(layer)) or layer, {}

    def watching(of, call, *args, **kwargs):
        seen[of] = call(*args, **kwargs)
        if of is last:
            tape.watch(seen[of])
        return seen[of]

    # Only what follows the layer is recorded: the rest of the model takes no memory.
    tape = tf.GradientTape(watch_accessed_variables=False)
    with _linear_output(model) as is_logit, _fast_dense(model), tape, ExitStack() as stack:
        for each in dict.fromkeys((layer, last)):
            stack.enter_context(_replaced(each, "call", partial(watching, each, each.call)))
        scores = model(images, training=False)
        if len(shape := getattr(scores, "shape", ())) != 2:
            raise ModelError(f"expected a model with one output (n, classes), received {shape}")
        scores = tf.cast(scores, tf.float32)
        if shape[1] == 1:
            scores = tf.concat([-scores if is_logit else 1 - scores, scores], axis=1)
    targets = tf.where(targets == _PREDICTED, tf.argmax(scores, axis=1), targets)
    # A layer that is used more than once is explained where it is used last.
    features = seen.get(layer)
    shape = getattr(features, "shape", ())
    of_class = tf.one_hot(targets, scores.shape[1])
    gradient = tape.gradient(scores, seen.get(last), of_class) if len(shape) == 4 else None
    if gradient is None:
        expected = "expected a layer with output (n, rows, columns, channels) from which the model's output follows"
        received = f"received {path!r} with {tuple(shape) or 'no such output'} and no gradient"
        raise ModelError(f"{expected}, {received}; {_choices(model)}")
    features, gradient = tf.cast(features, tf.float32), tf.cast(gradient, tf.float32)
    # Image by image the processor's cache holds what is computed, which takes a quarter of the time.
    cams = tf.map_fn(partial(_cams, methods), (features, gradient), fn_output_signature=tf.float32)
    resized = tf.image.resize(cams, images.shape[1:3], method="bilinear")
    return tf.transpose(resized, (3, 0, 1, 2)), scores


def _cams(methods, of_image):
    """Compute the maps of an image, (rows, columns, methods), from its (rows, columns, channels) and their gradient."""
    from brainlib.models._tensorflow import tf

    (features, gradient), total, cams = of_image, partial(tf.reduce_sum, axis=(0, 1)), []
    positive = tf.nn.relu(gradient)
    for method in methods:
        if method == GRAD_CAM:
            weights = total(gradient) / tf.cast(tf.reduce_prod(tf.shape(features)[:2]), tf.float32)
        elif method == GRAD_CAM_PP:  # in the second form above, as the powers of a small gradient would be zero
            weights = total(tf.math.divide_no_nan(positive, 2 + total(features) * positive))
        else:
            weights = gradient if method == HIRES_CAM else positive
        cams.append(tf.reduce_sum(weights * features, axis=-1))
    return tf.nn.relu(tf.stack(cams, axis=-1))


def _pooling(layer: keras.Layer) -> keras.Layer | None:
    """Return the max pooling to which alone a layer's output goes."""
    from brainlib.models._tensorflow import keras

    followers = [node.operation for node in layer._outbound_nodes]
    return followers[0] if [type(each) for each in followers] == [keras.layers.MaxPooling2D] else None


@contextmanager
def _linear_output(model: keras.Model) -> Iterator[bool]:
    """Make the model return logits; yields False if its final activation cannot be found."""
    from brainlib.models._tensorflow import keras

    final, index = model, 0
    while getattr(final, "outputs", None):
        # Not `layers[-1]`: it need not be the last, and keras.ops in the graph are not among them.
        final, _, index = final.outputs[index]._keras_history
    if isinstance(final, (keras.layers.Dense, keras.layers.Activation)):
        with _replaced(final, "activation", keras.activations.linear):
            yield True
    elif type(final).__name__ in ("Softmax", "Sigmoid"):  # the layer, or one of keras.ops
        with _replaced(final, "call", lambda inputs, **_: inputs):
            yield True
    else:
        yield False


@contextmanager
def _fast_dense(model: keras.Model) -> Iterator[None]:
    """Have dense layers multiply kernel by gradient: TensorFlow takes twice as long for the transposed product."""
    from brainlib.models._tensorflow import keras, tf

    @tf.custom_gradient
    def product(x, kernel):
        return x @ kernel, lambda upstream: (tf.transpose(tf.matmul(kernel, upstream, transpose_b=True)), None)

    def call(layer, x, **_):
        if x.shape.rank != 2:
            return type(layer).call(layer, x)
        x = product(x, tf.convert_to_tensor(layer.kernel))
        return layer.activation(x + layer.bias if layer.use_bias else x)

    with ExitStack() as stack:
        for _, layer in _layers(model):
            if type(layer) is keras.layers.Dense:
                stack.enter_context(_replaced(layer, "call", partial(call, layer)))
        yield


@contextmanager
def _replaced(thing: Any, name: str, value: Any) -> Iterator[None]:
    """Replace an attribute of an instance for a block, without Keras' setter, which would track it."""
    before = {name: vars(thing)[name]} if name in vars(thing) else {}
    vars(thing)[name] = value
    try:
        yield
    finally:
        del vars(thing)[name]
        vars(thing).update(before)


def _layers(model: keras.Model, prefix: str = "") -> Iterator[tuple[str, keras.Layer]]:
    """Yield every layer with its path, each nested model followed by its own layers."""
    for layer in model.layers:
        yield prefix + layer.name, layer
        if hasattr(layer, "layers"):
            yield from _layers(layer, f"{prefix}{layer.name}/")


def _convolutions(model: keras.Model) -> list[str]:
    """Paths of the convolutions that have more than one output position."""
    from brainlib.models._tensorflow import keras

    kinds = tuple(getattr(keras.layers, n) for n in ("Conv2D", "Conv2DTranspose", "DepthwiseConv2D", "SeparableConv2D"))
    found = [(path, layer) for path, layer in _layers(model) if isinstance(layer, kinds)]
    # A layer of a subclassed model has no symbolic output.
    return [p for p, c in found if not hasattr(c, "output") or c.output.shape[1:3] != (1, 1)]


def _choices(model):
    """List the last convolutions, for an error message: a ResNet152 has 156."""
    return f"its last convolutions are {', '.join(_convolutions(model)[-12:]) or 'none'}"


def _find(model: keras.Model, name: str) -> keras.Layer:
    """Return the layer with this path or, failing that, the only one with this name."""
    layers = dict(_layers(model))
    if name in layers:
        return layers[name]
    # Keyed by identity: several paths lead to one layer where a nested model is used twice.
    same = {id(layer): path for path, layer in layers.items() if layer.name == name}
    if len(same) == 1:
        return layers[same.popitem()[1]]
    hint = f"choose from {', '.join(same.values())}" if same else _choices(model)
    raise ModelError(f"expected the name or path of one layer, received {name!r}; {hint}")
