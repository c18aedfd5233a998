"""Adam in one pass over the weights.

Keras' own Adam is a dozen operations, each of which reads and writes arrays as large as the weights; for
a dense layer of millions of weights that takes longer than the gradient. TensorFlow has the same step as
one operation. Importing this module imports Keras.
"""

from __future__ import annotations

from brainlib.models._tensorflow import keras, tf


class FusedAdam(keras.optimizers.Adam):
    """`keras.optimizers.Adam`, with the same variables and the same step (Kingma and Ba 2015, end of section 2).

    For weights of which every one has a gradient, as in this package: not for embeddings.
    """

    def update_step(self, gradient, variable, learning_rate):
        """Move one variable and its two moments."""
        index = self._get_variable_index(variable)
        dtype = variable.dtype
        step = tf.cast(self.iterations + 1, dtype)
        beta_1, beta_2, epsilon = (tf.cast(value, dtype) for value in (self.beta_1, self.beta_2, self.epsilon))
        # Keras rounds 1 - beta, TensorFlow beta: its moments are larger by factors, 1.0000002 and 1.00005 in float32.
        larger_m, larger_v = (1 - beta_1) / (1 - self.beta_1), (1 - beta_2) / (1 - self.beta_2)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=beta_1**step,
            beta2_power=beta_2**step,
            lr=tf.cast(learning_rate, dtype) * tf.sqrt(larger_v) / larger_m,
            beta1=beta_1,
            beta2=beta_2,
            epsilon=epsilon,
            grad=tf.cast(gradient, dtype),
        )
