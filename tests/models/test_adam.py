"""The fused Adam against steps computed by hand and against Keras' own."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from brainlib.models.adam import FusedAdam

pytestmark = pytest.mark.slow


def test_two_steps_are_those_computed_by_hand():
    weight, optimizer = keras.Variable([1.0, -2.0]), FusedAdam(0.1)
    optimizer.apply([tf.constant([0.5, 0.0])], [weight])
    # m = 0.1 g and v = 0.001 g^2, both corrected to g and g^2: a step of the learning rate, whatever the gradient.
    np.testing.assert_allclose(weight.numpy(), [0.9, -2.0], atol=5e-6)  # Keras rounds 1 - 0.999 to 2e-5
    optimizer.apply([tf.constant([-1.0, 0.0])], [weight])
    m, v = 0.9 * 0.05 + 0.1 * -1, 0.999 * 0.00025 + 0.001 * 1
    moved = 0.1 * (m / (1 - 0.9**2)) / math.sqrt(v / (1 - 0.999**2))
    np.testing.assert_allclose(weight.numpy(), [0.9 - moved, -2.0], atol=5e-6)
    assert optimizer.iterations.numpy() == 2


def test_epsilon_is_added_where_keras_adds_it():
    # A gradient as small as epsilon, 1e-7, after the correction of v by sqrt(1 - 0.999) = 0.0316.
    for adam in (FusedAdam, keras.optimizers.Adam):
        weight = keras.Variable([0.0])
        adam(1.0).apply([tf.constant([1e-7])], [weight])
        np.testing.assert_allclose(weight.numpy(), [-0.03162278 / (0.03162278 + 1)], rtol=1e-4)


def trained(optimizer, steps=30):
    """Losses of a small network, its weights, and the optimizer's variables by name."""
    keras.backend.clear_session()  # names are numbered anew
    keras.utils.set_random_seed(3)
    x = np.random.default_rng(0).normal(size=(steps, 16, 12)).astype(np.float32)
    y = (x[..., :1] * x[..., 1:2] > 0).astype(np.float32)
    model = keras.Sequential([keras.Input((12,)), keras.layers.Dense(32, "relu"), keras.layers.Dense(1, "sigmoid")])
    model.compile(optimizer, "binary_crossentropy", jit_compile=False)
    losses = [model.train_on_batch(*batch) for batch in zip(x, y, strict=True)]
    return losses, model.get_weights(), {v.path: v.numpy() for v in optimizer.variables}


def test_losses_and_variables_are_those_of_keras_adam():
    losses, weights, state = trained(FusedAdam(1e-2, name="adam"))
    expected_losses, expected_weights, expected = trained(keras.optimizers.Adam(1e-2, name="adam"))
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-6)
    assert np.ptp(expected_losses) > 0.05
    for ours, theirs in zip(weights, expected_weights, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert list(state) == list(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(state[name], value, rtol=1e-4, atol=1e-7, err_msg=name)


def test_a_seed_repeats_every_bit():
    (losses, weights, _), (again, same, _) = trained(FusedAdam(1e-2)), trained(FusedAdam(1e-2))
    assert losses == again
    for one, two in zip(weights, same, strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_scaled_loss_takes_the_same_step_and_an_overflow_none():
    weight = keras.Variable([1.0])
    optimizer = keras.optimizers.LossScaleOptimizer(FusedAdam(0.1), initial_scale=8.0)
    optimizer.apply([tf.constant([4.0])], [weight])
    np.testing.assert_allclose(weight.numpy(), [0.9], atol=5e-6)
    optimizer.apply([tf.constant([math.inf])], [weight])
    np.testing.assert_allclose(weight.numpy(), [0.9], atol=5e-6)
