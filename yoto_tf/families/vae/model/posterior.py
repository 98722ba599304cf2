"""The Gaussian posterior q(z|x, beta): its parameters, where they start, a
sample, its rate, the total correlation of many."""

import math

import keras
from keras import ops

from yoto_tf.errors import InputError
from yoto_tf.families.vae.model.start import linear_vae_start
from yoto_tf.layers.seeds import load_seed_state
from yoto_tf.layers.seeds import save_seed_state
from yoto_tf.method import replicas
from yoto_tf.seeds import checked_seed
from yoto_tf.seeds import derived

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

    There it begins, too, whatever layers its inputs come from: to b is added

        start[0] + start[1] * log(beta)

    of which the layers before it learn the rest. An encoder that starts near
    0 then starts with the variance that its beta asks for. With `own_starts`
    every latent has an offset of its own besides, which `adapt` learns from
    data.

    Args:
        form: `"softplus"` or `"variance_preserving"`.
        start: of `variance_preserving`, as `linear_vae_start` gives it. The
            authors' form starts where they start it.
        own_starts: whether every latent has an offset of its own, a weight
            that training leaves alone.
        seed: of the noise.

    Call arguments:
        inputs: `(batch, 2 * latent_size)`.
        log_beta: `(batch,)`; needed where the start has a slope.
        noise: `(batch, latent_size)` standard normal; None draws it.

    Returns:
        `(z, mean, stddev)`, each `(batch, latent_size)`.
    """

    FORMS = ("softplus", "variance_preserving")

    def __init__(
        self,
        form="softplus",
        start=(0.0, 0.0),
        own_starts=False,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if form not in self.FORMS:
            raise InputError(
                f"expected form to be one of {self.FORMS}, "
                f"received: form={form!r}"
            )
        self.form = form
        self.start = tuple(float(s) for s in start)
        if form == "softplus" and (any(self.start) or own_starts):
            raise InputError(
                "expected no start for form='softplus', which is the "
                f"authors', received: start={self.start}, {own_starts=}"
            )
        self.own_starts = bool(own_starts)
        self.seed = checked_seed(seed)
        # A model of the same seed draws its loss parameters by it as it is,
        # and TensorFlow makes normal numbers of the bits of uniform ones.
        self.seed_generator = keras.random.SeedGenerator(
            None if self.seed is None else derived(self.seed, 1)
        )

    def build(self, inputs_shape):
        if self.own_starts:
            self.offsets = self.add_weight(
                shape=(inputs_shape[-1] // 2,),
                initializer="zeros",
                trainable=False,
                name="offsets",
            )
            self.adapted = self.add_weight(
                shape=(), initializer="zeros", trainable=False, name="adapted"
            )

    def adapt(self, offsets):
        """Sets the latents' own offsets, `(latent_size,)` log odds."""
        self.offsets.assign(offsets)
        self.adapted.assign(1.0)

    def call(self, inputs, log_beta=None, noise=None):
        a, b = ops.split(inputs, 2, axis=-1)
        b = b + self._started(log_beta)
        if self.form == "softplus":
            mean, stddev = a, ops.softplus(b) + EPSILON
        else:
            # sigmoid(-b) is 1 - sigmoid(b) without its cancellation; the
            # floors keep the roots' slopes finite.
            mean = a * ops.sqrt(ops.maximum(ops.sigmoid(-b), EPSILON))
            stddev = ops.sqrt(ops.maximum(ops.sigmoid(b), EPSILON**2))
        if noise is None:
            noise = replicas.own_rows(
                lambda num: keras.random.normal(
                    (num, mean.shape[1]),
                    dtype=mean.dtype,
                    seed=self.seed_generator,
                ),
                ops.shape(mean)[0],
            )
        return mean + stddev * noise, mean, stddev

    def gains(self, log_beta=None):
        """What a decoder's latents are multiplied by, or None.

        With `own_starts` sqrt(1 - v), v the variance that a latent starts
        with: so the columns of the linear VAE's optimal decoder shrink,
        sqrt(lambda_j - beta s) (Lucas et al., NeurIPS 2019, equation 7), and
        a latent that is closed brings no noise from the first step on. What
        is to be different the layers after it learn.

        Args:
            log_beta: `(batch,)`; needed where the start has a slope.

        Returns:
            `(batch, latent_size)`, or of one row.
        """
        if not self.own_starts:
            return None
        return ops.sqrt(ops.sigmoid(-self._started(log_beta)))

    def _started(self, log_beta):
        offset, slope = self.start
        if self.own_starts:
            offset = ops.expand_dims(offset + self.offsets, 0)
        if not slope:
            return offset
        if log_beta is None:
            raise InputError(
                f"expected log_beta for start={self.start}, received: "
                "log_beta=None"
            )
        if self.own_starts:
            slope = ops.cast(slope, log_beta.dtype)
            line = ops.expand_dims(slope * log_beta, -1)
            return ops.cast(offset, line.dtype) + line
        return ops.expand_dims(offset + slope * log_beta, -1)

    def compute_output_shape(self, inputs_shape):
        shape = (inputs_shape[0], inputs_shape[-1] // 2)
        return shape, shape, shape

    def save_own_variables(self, store):
        super().save_own_variables(store)
        save_seed_state(self.seed_generator, store)

    def load_own_variables(self, store):
        super().load_own_variables(load_seed_state(self.seed_generator, store))

    def get_config(self):
        return {
            **super().get_config(),
            "form": self.form,
            "start": self.start,
            "own_starts": self.own_starts,
            "seed": self.seed,
        }


def rate(mean, stddev):
    """KL(q(z|x) || N(0, I)), summed over the latents (Kingma & Welling,
    ICLR 2014, appendix B).

    Args:
        mean, stddev: `(batch, latent_size)`.

    Returns:
        `(batch,)`, nats per image.
    """
    each = 0.5 * (ops.square(mean) + ops.square(stddev) - 1) - ops.log(stddev)
    return ops.sum(each, axis=-1)


def total_correlation(latent, mean, stddev):
    """KL(q(z) || prod_j q(z_j)) of each group of examples, in nats.

    q(z) is the mean of the group's posteriors (Chen et al., Isolating Sources
    of Disentanglement in VAEs, NeurIPS 2018, equation 2; here over the group
    alone, so that small groups say little). Under mixed values of a loss
    parameter it would be that of no value: a code that is independent at
    each has none at any of them, but some over all of them. So it belongs in
    `LossConditionalModel.per_group`.

    Args:
        latent: `(groups, g, d)`, one sample of each posterior.
        mean, stddev: of the Gaussian posteriors, `(groups, g, d)`.

    Returns:
        `(groups,)`, 0 or more on average.

    Example:
        class TCVAE(yoto_tf.ConditionalVAE):
            def loss_terms(self, x, y, outputs, loss_parameters):
                parts = (outputs[n] for n in ("latent", "mean", "stddev"))
                tc = self.per_group(yoto_tf.total_correlation, *parts)
                terms = super().loss_terms(x, y, outputs, loss_parameters)
                return {**terms, "tc": tc}

        model = TCVAE(
            (32, 32, 3),
            objective=yoto_tf.ObjectiveConfig(group_size=32),
            loss_parameters={"tc": yoto_tf.LogUniform(0.1, 10.0)},
        )
    """
    # (groups, sample, posterior, latent)
    z = ops.expand_dims(latent, 2)
    mean, stddev = ops.expand_dims(mean, 1), ops.expand_dims(stddev, 1)
    logs = (
        -0.5 * ops.square((z - mean) / stddev)
        - ops.log(stddev)
        - 0.5 * math.log(2 * math.pi)
    )
    count = ops.log(ops.cast(ops.shape(logs)[2], logs.dtype))
    joint = ops.logsumexp(ops.sum(logs, -1), axis=2) - count
    margins = ops.sum(ops.logsumexp(logs, axis=2) - count, -1)
    return ops.mean(joint - margins, axis=1)


def make_posterior(config, beta, seed=None, name=None):
    """Builds the posterior that a `ModelConfig` names.

    Args:
        config: `yoto_tf.ModelConfig`.
        beta: `yoto_tf.BetaConfig`: the betas that the start suits.
        seed: of the noise.
        name: of the layer.
    """
    if config.posterior == "softplus":
        return GaussianPosterior("softplus", seed=seed, name=name)
    low, high = beta.low, beta.high
    if beta.distribution == "choice":
        low, high = min(beta.values), max(beta.values)
    # A constant is not told to the network, but its start may suit it.
    told = beta.distribution == "constant" or config.conditioning.kind != "none"
    if config.initial_variance is None:
        start = (0.0, 1.0) if told else (math.log(low * high) / 2, 0.0)
        return GaussianPosterior(
            config.posterior, start, own_starts=True, seed=seed, name=name
        )
    start = linear_vae_start(low, high, config.initial_variance, told)
    return GaussianPosterior(config.posterior, start, seed=seed, name=name)
