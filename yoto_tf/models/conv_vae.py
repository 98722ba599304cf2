"""The conditional beta-VAE: the first loss-conditional model."""

import dataclasses

import keras
from keras import ops

from yoto_tf import likelihoods
from yoto_tf.beta_distribution import beta_distribution
from yoto_tf.config import BetaConfig
from yoto_tf.config import ModelConfig
from yoto_tf.errors import InputError
from yoto_tf.layers.factory import make_posterior
from yoto_tf.layers.posterior import rate
from yoto_tf.layers.posterior import rate_per_latent
from yoto_tf.models import inputs as model_inputs
from yoto_tf.models import precision
from yoto_tf.models.conv_nets import ConvDecoder
from yoto_tf.models.conv_nets import ConvEncoder
from yoto_tf.models.inputs import to_unit_interval
from yoto_tf.models.loss_conditional import LossConditionalModel
from yoto_tf.models.precision import at_least_float32
from yoto_tf.presets import get_preset


@keras.saving.register_keras_serializable("yoto_tf")
class ConditionalVAE(LossConditionalModel):
    """A beta-VAE for every beta of a range.

    The loss of an image x under beta is

        distortion + beta * rate
        distortion = -log p(x|z, beta), z ~ q(z|x, beta)
        rate       = KL(q(z|x, beta) || N(0, I))

    in nats per image. Images are `(batch, size, size, channels)`, uint8 or
    float in [0, 1]; beta is a number or one number per example.

    Args:
        image_shape: `(size, size, channels)`, size 32, 64 or 128.
        model: `ModelConfig`: network, likelihood, conditioning.
        beta: `BetaConfig`: distribution of beta during training. A constant
            one gives the fixed-weight baseline: the same network, not told.
        watched_betas: betas that `evaluate` scores; default: three over the
            distribution.
        seed: of weights' and noise's draws; the initial weights follow
            `keras.utils.set_random_seed`.

    Call arguments:
        inputs: dict with `image` and `beta`, a number or one per image, in
            the trained range.

    Returns:
        dict: `reconstruction` (mean image), `distortion` and `rate`
        `(batch,)`, `mean` and `stddev` of the posterior.

    Example:
        model = yoto_tf.ConditionalVAE.from_preset("cifar10")
        model.compile(keras.optimizers.Adam(1e-3))
        model.fit(images, batch_size=128, epochs=20)
        blurred = model.reconstruct(images[:8], beta=256.0)
    """

    def __init__(
        self,
        image_shape,
        model=None,
        beta=None,
        watched_betas=None,
        seed=None,
        **kwargs,
    ):
        self_model = _as_config(ModelConfig, model)
        beta = _as_config(BetaConfig, beta)
        distribution = beta_distribution(
            beta, self_model.conditioning.standardize
        )
        if distribution.num_coordinates == 0:
            # Nothing to be told: the fixed-weight baseline.
            self_model = dataclasses.replace(
                self_model,
                conditioning=dataclasses.replace(
                    self_model.conditioning, kind="none"
                ),
            )
        watched = watched_betas or distribution.grid(3)
        super().__init__(
            {"distortion": 1.0, "rate": distribution},
            draw_per=beta.draw_per,
            normalization=beta.normalization,
            normalization_power=beta.normalization_power,
            warmup_steps={"rate": beta.warmup_steps},
            watched_weights=[
                {"distortion": 1.0, "rate": float(b)} for b in watched
            ],
            seed=seed,
            # Keras would cast beta to bfloat16 with the images.
            autocast=False,
            **kwargs,
        )
        self.image_shape = tuple(int(n) for n in image_shape)
        self.model_config = self_model
        self.beta_config = beta
        self.beta_range = distribution
        self.likelihood = likelihoods.get(self_model.likelihood)
        with precision.default_policy(self.dtype_policy):
            self.encoder = ConvEncoder(
                self.image_shape, self_model, name="encoder"
            )
            self.decoder = ConvDecoder(
                self.image_shape,
                self_model,
                self.likelihood.outputs_per_channel,
                name="decoder",
            )
        with precision.default_policy(
            precision.dtype_at_least_float32(self.compute_dtype)
        ):
            self.posterior = make_posterior(
                self_model, beta, seed, name="posterior"
            )
        # The shapes are known, so the weights exist from birth.
        self.build()

    @classmethod
    def from_preset(cls, name, seed=None, **model_overrides):
        """Builds the untrained model of a preset.

        Args:
            name: a key of `yoto_tf.presets.PRESETS`, as `"cifar10"`.
            seed: see the class.
            **model_overrides: fields of `ModelConfig`, as `width=2`.

        Raises:
            InputError: for an unknown preset or field.
        """
        preset = get_preset(name)
        config = preset.config
        known = [f.name for f in dataclasses.fields(ModelConfig)]
        for key in model_overrides:
            if key not in known:
                raise InputError(
                    f"expected overrides among {known}, received: {key!r}"
                )
        return cls(
            preset.image_shape,
            dataclasses.replace(config.model, **model_overrides),
            config.beta,
            config.evaluation.watched_betas,
            seed,
        )

    def build(self, input_shape=None):
        k = (None, self.weight_distribution.num_coordinates)
        latents = (None, self.model_config.latent_size)
        self.encoder.build((None, *self.image_shape), k)
        self.posterior.build((None, 2 * self.model_config.latent_size))
        self.decoder.build(latents, k)
        self.built = True

    # The network, without checks, for graphs.

    def posterior_of(self, images, beta, noise=None):
        """Runs the encoder.

        Args:
            images: `(batch, size, size, channels)` float in [0, 1].
            beta: `(batch,)`.
            noise: `(batch, latent_size)`; None draws it.

        Returns:
            `(z, mean, stddev)`, each `(batch, latent_size)`.
        """
        seen = self.likelihood.network_input(images)
        return self.posterior(
            self.encoder(seen, self._coordinates_of(beta)),
            ops.log(beta),
            noise,
        )

    def likelihood_of(self, latents, beta):
        """Runs the decoder; returns the likelihood's parameters."""
        return at_least_float32(
            self.decoder(latents, self._coordinates_of(beta))
        )

    def _coordinates_of(self, beta):
        return self.coordinates({"distortion": beta, "rate": beta})

    def outputs_of(self, images, beta, noise=None):
        """What a call returns, of images and betas that need no check."""
        images = to_unit_interval(images)
        z, mean, stddev = self.posterior_of(images, beta, noise)
        outputs = self.likelihood_of(z, beta)
        images = ops.cast(images, outputs.dtype)
        return {
            "reconstruction": self.likelihood.mean(outputs),
            "distortion": self.likelihood.distortion(images, outputs),
            "rate": rate(mean, stddev),
            "mean": mean,
            "stddev": stddev,
        }

    # Keras' hooks.

    def __call__(self, inputs, *args, **kwargs):
        # Before Keras wraps what is wrong with them in ten lines of its own.
        checked = model_inputs.checked_call(
            inputs, self.image_shape, self.beta_range
        )
        return super().__call__(checked, *args, **kwargs)

    def predict(self, x, *args, **kwargs):
        x = model_inputs.with_one_beta_each(x)
        return super().predict(x, *args, **kwargs)

    def call(self, inputs, noise=None, training=False):
        return self.outputs_of(inputs["image"], inputs["beta"], noise)

    def check_batch(self, x, y):
        x = model_inputs.checked_training_images(x, self.image_shape)
        return x, y

    def loss_terms(self, x, y, loss_weights, training=False):
        outputs = self.outputs_of(x, loss_weights["rate"])
        paid = outputs["rate"]
        if training and self.beta_config.free_nats:
            paid = self._paid_rate(
                outputs["mean"], outputs["stddev"], loss_weights["rate"]
            )
        return {"distortion": outputs["distortion"], "rate": paid}

    def _paid_rate(self, mean, stddev, beta):
        """The rate, `(batch,)`, without gradient of the latents that are
        still free."""
        passed = ops.cast(self.optimizer.iterations, "float32")
        left = ops.maximum(1 - passed / self.beta_config.free_steps, 0.0)
        free = ops.expand_dims(self.beta_config.free_nats * left / beta, -1)
        rates = rate_per_latent(mean, stddev)
        return ops.sum(
            ops.where(rates < free, ops.stop_gradient(rates), rates), -1
        )

    # What users call.

    def encode(self, images, beta):
        """Returns `(mean, stddev)` of q(z|x, beta), `(batch, latent_size)`.

        Args:
            images: `(batch, size, size, channels)`, uint8 or in [0, 1].
            beta: in the trained range; a number or one per image.

        Raises:
            InputError: for images or betas that are not so.
        """
        images = model_inputs.checked_images(images, self.image_shape)
        beta = model_inputs.checked_beta(beta, images.shape[0], self.beta_range)
        _, mean, stddev = self.posterior_of(images, beta)
        return mean, stddev

    def decode(self, latents, beta):
        """Returns mean images in [0, 1] of `latents` `(batch, latent_size)`.

        Raises:
            InputError: for latents of another shape, or betas outside the
                trained range.
        """
        latents = model_inputs.checked_latents(
            latents, self.model_config.latent_size
        )
        beta = model_inputs.checked_beta(
            beta, latents.shape[0], self.beta_range
        )
        return self.likelihood.mean(self.likelihood_of(latents, beta))

    def reconstruct(self, images, beta):
        """Returns the mean image at the posterior's mean; see `encode`."""
        mean, _ = self.encode(images, beta)
        return self.decode(mean, beta)

    def sample(self, num, beta, seed=None):
        """Draws `num` images from the prior, `(num, size, size, channels)`.

        Args:
            num: number of images, 1 or more.
            beta: in the trained range; a number or one per image.
            seed: the same seed gives the same latents for any beta.
        """
        if num < 1:
            raise InputError(f"expected num above 0, received: num={num}")
        noise = keras.random.normal(
            (num, self.model_config.latent_size), seed=seed
        )
        return self.decode(noise, beta)

    def get_config(self):
        config = super().get_config()
        for name in (
            "loss_weights",
            "draw_per",
            "normalization",
            "normalization_power",
            "warmup_steps",
            "watched_weights",
        ):
            # They follow from `beta` and `watched_betas`.
            del config[name]
        return {
            **config,
            "image_shape": self.image_shape,
            "model": self.model_config.to_dict(),
            "beta": self.beta_config.to_dict(),
            "watched_betas": [w["rate"] for w in self.watched_weights],
        }

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def _as_config(config_class, value):
    if value is None:
        return config_class()
    if isinstance(value, dict):
        return config_class.from_dict(value)
    return value
