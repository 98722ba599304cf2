"""The Gaussian posterior q(z|x, beta): its parameters, a sample, its rate."""

import keras
from keras import ops

from yoto_tf.layers.seeds import load_seed_state
from yoto_tf.layers.seeds import save_seed_state

# The authors' floor of a standard deviation.
EPSILON = 1e-6


@keras.saving.register_keras_serializable("yoto_tf")
class GaussianPosterior(keras.layers.Layer):
    """Turns an encoder's output into a diagonal Gaussian and samples it.

        mean, raw = split(inputs);  stddev = softplus(raw) + 1e-6
        z = mean + stddev * noise

    Args:
        seed: of the noise.

    Call arguments:
        inputs: `(batch, 2 * latent_size)`.
        noise: `(batch, latent_size)` standard normal; None draws it.

    Returns:
        `(z, mean, stddev)`, each `(batch, latent_size)`.
    """

    def __init__(self, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, inputs_shape):
        """Nothing to create: the seed generator is there from birth."""

    def call(self, inputs, noise=None):
        mean, raw = ops.split(inputs, 2, axis=-1)
        stddev = ops.softplus(raw) + EPSILON
        if noise is None:
            noise = keras.random.normal(
                ops.shape(mean), dtype=mean.dtype, seed=self.seed_generator
            )
        return mean + stddev * noise, mean, stddev

    def compute_output_shape(self, inputs_shape):
        shape = (inputs_shape[0], inputs_shape[-1] // 2)
        return shape, shape, shape

    def save_own_variables(self, store):
        super().save_own_variables(store)
        save_seed_state(self.seed_generator, store)

    def load_own_variables(self, store):
        super().load_own_variables(load_seed_state(self.seed_generator, store))

    def get_config(self):
        return {**super().get_config(), "seed": self.seed}


def rate(mean, stddev):
    """KL(q(z|x) || N(0, I)), summed over the latents (Kingma & Welling,
    ICLR 2014, appendix B).

    Args:
        mean, stddev: `(batch, latent_size)`.

    Returns:
        `(batch,)`, nats per image.
    """
    per_latent = 0.5 * (ops.square(mean) + ops.square(stddev) - 1) - ops.log(
        stddev
    )
    return ops.sum(per_latent, axis=-1)
