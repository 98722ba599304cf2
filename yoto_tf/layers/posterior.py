"""The Gaussian posterior q(z|x, beta): its parameters, a sample, its rate."""

import keras
from keras import ops

from yoto_tf.errors import InputError
from yoto_tf.layers.seeds import load_seed_state
from yoto_tf.layers.seeds import save_seed_state

# The authors' floor of a standard deviation.
EPSILON = 1e-6


@keras.saving.register_keras_serializable("yoto_tf")
class GaussianPosterior(keras.layers.Layer):
    """Turns an encoder's output into a diagonal Gaussian and samples it.

        a, b = split(inputs);  z = mean + stddev * noise
        softplus:            mean = a, stddev = softplus(b) + 1e-6
        variance_preserving: variance = sigmoid(b), mean = a sqrt(1 - variance)

    The first form is the authors'. The second has the shape of the linear
    VAE's optimum, in which the variance of a latent grows in proportion to
    beta until it is 1 and the latent carries nothing (Lucas et al., Don't
    Blame the ELBO, NeurIPS 2019, with beta in place of 1): then log variance
    = log beta + constant below 1, which a shift of b in log beta gives.

    Args:
        form: `"softplus"` or `"variance_preserving"`.
        seed: of the noise.

    Call arguments:
        inputs: `(batch, 2 * latent_size)`.
        noise: `(batch, latent_size)` standard normal; None draws it.

    Returns:
        `(z, mean, stddev)`, each `(batch, latent_size)`.
    """

    FORMS = ("softplus", "variance_preserving")

    def __init__(self, form="softplus", seed=None, **kwargs):
        super().__init__(**kwargs)
        if form not in self.FORMS:
            raise InputError(
                f"expected form to be one of {self.FORMS}, "
                f"received: form={form!r}"
            )
        self.form = form
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, inputs_shape):
        """Nothing to create: the seed generator is there from birth."""

    def call(self, inputs, noise=None):
        a, b = ops.split(inputs, 2, axis=-1)
        if self.form == "softplus":
            mean, stddev = a, ops.softplus(b) + EPSILON
        else:
            # sigmoid(-b) is 1 - sigmoid(b) without its cancellation; the
            # floors keep the roots' slopes finite.
            mean = a * ops.sqrt(ops.maximum(ops.sigmoid(-b), EPSILON))
            stddev = ops.sqrt(ops.maximum(ops.sigmoid(b), EPSILON**2))
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
        return {**super().get_config(), "form": self.form, "seed": self.seed}


def rate(mean, stddev):
    """KL(q(z|x) || N(0, I)), summed over the latents (Kingma & Welling,
    ICLR 2014, appendix B).

    Args:
        mean, stddev: `(batch, latent_size)`.

    Returns:
        `(batch,)`, nats per image.
    """
    return ops.sum(rate_per_latent(mean, stddev), axis=-1)


def rate_per_latent(mean, stddev):
    """The terms of `rate`'s sum, `(batch, latent_size)`."""
    return 0.5 * (ops.square(mean) + ops.square(stddev) - 1) - ops.log(stddev)
