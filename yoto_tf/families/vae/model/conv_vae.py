"""The conditional beta-VAE: the first loss-conditional model."""

import dataclasses
import inspect

import keras
import numpy as np
from keras import ops

from yoto_tf import released
from yoto_tf.errors import InputError
from yoto_tf.families import get_preset
from yoto_tf.families.vae.beta_distribution import beta_distribution
from yoto_tf.families.vae.loss_config import BetaConfig
from yoto_tf.families.vae.loss_config import ObjectiveConfig
from yoto_tf.families.vae.model import inputs as model_inputs
from yoto_tf.families.vae.model import likelihoods
from yoto_tf.families.vae.model.coding import Coding
from yoto_tf.families.vae.model.conv_nets import ConvDecoder
from yoto_tf.families.vae.model.conv_nets import ConvEncoder
from yoto_tf.families.vae.model.inputs import images_of
from yoto_tf.families.vae.model.posterior import make_posterior
from yoto_tf.families.vae.model.posterior import rate
from yoto_tf.families.vae.model.start import data_starts
from yoto_tf.families.vae.model_config import ConditioningConfig
from yoto_tf.families.vae.model_config import ModelConfig
from yoto_tf.method import precision
from yoto_tf.method.joint import as_joint
from yoto_tf.method.model import LossConditionalModel


@keras.saving.register_keras_serializable("yoto_tf")
class ConditionalVAE(Coding, LossConditionalModel):
    """A beta-VAE for every beta of a range.

    The loss of an image x under beta is

        distortion + beta * rate
        distortion = -log p(x|z, beta), z ~ q(z|x, beta)
        rate       = KL(q(z|x, beta) || N(0, I))

    in nats per image. Images are `(batch, size, size, channels)`, uint8 or
    float in [0, 1]; a batch of `fit` may be a dict with them as `image`.

    A subclass adds a term and a parameter of its own by `loss_terms` and
    `loss_parameters`; the network is told all of them.

    Args:
        image_shape: `(size, size, channels)`, size 32, 64 or 128.
        model: `ModelConfig`: network, likelihood, conditioning.
        beta: `BetaConfig`: distribution of beta during training. A constant
            one gives the fixed-weight baseline: the same network, not told.
        objective: `ObjectiveConfig`: normalisation, warm-up, free bits.
        watched_betas: betas that validation scores; default: three over the
            distribution.
        loss_parameters: dict of further ones, name -> `LossParameter`.
        seed: of the betas' and the noise's draws; the initial weights follow
            `keras.utils.set_random_seed`.

    Call arguments:
        x: images.
        loss_parameters: dict with `beta`, a number or one per image, in the
            trained range. Default: the middle of log(beta).
        noise: `(batch, latent_size)` standard normal; None draws it.

    Returns:
        dict: `reconstruction` (mean image), `distortion` and `rate`
        `(batch,)`, `mean`, `stddev` and the sample `latent` of the posterior.

    Example:
        model = yoto_tf.ConditionalVAE.from_preset("cifar10")
        model.compile(keras.optimizers.Adam(1e-3))
        model.fit(images, batch_size=128, epochs=20)
        model.predict(images, loss_parameters={"beta": 4.0})["rate"]
        blurred = model.reconstruct(images[:8], beta=256.0)
    """

    weight_names = {"rate": "beta"}

    def __init__(
        self,
        image_shape,
        model=None,
        beta=None,
        objective=None,
        watched_betas=None,
        loss_parameters=None,
        seed=None,
        **kwargs,
    ):
        self_model = _as_config(ModelConfig, model)
        beta = _as_config(BetaConfig, beta)
        objective = _as_config(ObjectiveConfig, objective)
        further = loss_parameters or {}
        if "beta" in further:
            raise InputError(
                "expected the distribution of beta as beta=BetaConfig(...), "
                "received: loss_parameters['beta']"
            )
        distribution = beta_distribution(
            beta, self_model.conditioning.standardize
        )
        told = as_joint({"beta": distribution, **further})
        if not told.num_coordinates:
            # Nothing to be told: the fixed-weight baseline.
            self_model = dataclasses.replace(
                self_model, conditioning=ConditioningConfig(kind="none")
            )
        super().__init__(
            told,
            group_size=objective.group_size,
            normalization=objective.normalization,
            normalization_power=objective.power,
            warm_up={"rate": objective.warm_up},
            adaptive_draws=beta.following,
            watched=[{"beta": b} for b in watched_betas or ()],
            seed=seed,
            **kwargs,
        )
        self.image_shape = tuple(int(n) for n in image_shape)
        self.model_config = self_model
        self.beta_config = beta
        self.objective_config = objective
        self.watched_betas = watched_betas and [float(b) for b in watched_betas]
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
            self.posterior = make_posterior(self_model, beta, seed, "posterior")
        # The shapes are known, so the weights exist from birth.
        self.build()

    @classmethod
    def from_preset(cls, name, seed=None, weights=None, **model_overrides):
        """Builds the model of a preset.

        Args:
            name: a key of `yoto_tf.PRESETS`, as `"cifar10"`.
            seed: see the class.
            weights: None: new ones. `"trained"`: those that come with the
                library (`yoto_tf.released`), of some presets.
            **model_overrides: fields of `ModelConfig`, as `width=2`.

        Raises:
            InputError: for an unknown preset or field, a preset that has no
                trained weights, or overrides beside them.
        """
        if weights is not None:
            return released.as_class(cls, name, seed, weights, model_overrides)
        preset = get_preset(name, "vae")
        config = preset.config
        known = [f.name for f in dataclasses.fields(ModelConfig)]
        for key in model_overrides:
            if key not in known:
                raise InputError(
                    f"expected overrides among {known}, received: {key!r}"
                )
        return cls(
            preset.example_shape,
            dataclasses.replace(config.model, **model_overrides),
            config.beta,
            config.objective,
            config.evaluation.watched_betas,
            seed=seed,
        )

    def build(self, *_):
        k = (None, self.loss_parameters.num_coordinates or 1)
        latents = (None, self.model_config.latent_size)
        self.encoder.build((None, *self.image_shape), k)
        self.posterior.build((None, 2 * self.model_config.latent_size))
        self.decoder.build(latents, k)
        self.built = True

    # The network, without checks, for graphs.

    def posterior_of(self, images, loss_parameters, noise=None):
        """Runs the encoder.

        Args:
            images: `(batch, size, size, channels)` float in [0, 1].
            loss_parameters: dict, name -> `(batch,)`; all names.
            noise: `(batch, latent_size)`; None draws it.

        Returns:
            `(z, mean, stddev)`, each `(batch, latent_size)`.
        """
        seen = self.likelihood.network_input(images)
        return self.posterior(
            self.encoder(seen, self.coordinates(loss_parameters)),
            ops.log(loss_parameters["beta"]),
            noise,
        )

    def likelihood_of(self, latents, loss_parameters):
        """Runs the decoder; returns the likelihood's parameters."""
        gains = self.posterior.gains(ops.log(loss_parameters["beta"]))
        if gains is not None:
            latents = ops.cast(latents, gains.dtype) * gains
        return precision.at_least_float32(
            self.decoder(latents, self.coordinates(loss_parameters))
        )

    # Keras' hooks.

    @property
    def is_adapted(self):
        posterior = self.posterior
        return not posterior.own_starts or bool(posterior.adapted.numpy())

    def adapt(self, x):
        """Learns where the posterior starts from images, as `fit` does from
        its first ones, once. Nothing to do where `initial_variance` is a
        number. A loop of one's own calls it before its first step.

        Args:
            x: as for `fit`; 2,048 of them, evenly chosen, are looked at.

        Raises:
            InputError: for what is not images.
        """
        if not self.posterior.own_starts:
            return
        images = np.asarray(images_of(x))
        rows = np.linspace(0, len(images) - 1, min(len(images), 2048))
        images = model_inputs.checked_images(
            images[rows.astype(int)], self.image_shape
        ).numpy()
        noise = self.likelihood.noise_variance(images)
        if not noise > 0:
            # The same image again and again: nothing to learn of it.
            return
        self.posterior.adapt(
            data_starts(images, noise, self.model_config.latent_size)
        )

    def check_inputs(self, x):
        return model_inputs.checked_training_images(x, self.image_shape)

    def call(self, x, loss_parameters, noise=None):
        images = model_inputs.to_unit_interval(x)
        z, mean, stddev = self.posterior_of(images, loss_parameters, noise)
        outputs = self.likelihood_of(z, loss_parameters)
        images = ops.cast(images, outputs.dtype)
        return {
            "reconstruction": self.likelihood.mean(outputs),
            "distortion": self.likelihood.distortion(images, outputs),
            "rate": rate(mean, stddev),
            "mean": mean,
            "stddev": stddev,
            "latent": z,
        }

    def loss_terms(self, x, y, outputs, loss_parameters):
        return {n: outputs[n] for n in ("distortion", "rate")}

    served_inputs = staticmethod(model_inputs.images_of)

    def served_outputs(self, x, loss_parameters):
        # At the posterior's mean.
        if "noise" not in inspect.signature(self.call).parameters:
            raise InputError(
                "expected call(x, loss_parameters, noise=None) of a "
                "ConditionalVAE, which is asked without noise what it makes "
                f"of an image, received: a call() of {type(self).__name__}'s "
                "own that takes no noise"
            )
        noise = ops.zeros((ops.shape(x)[0], self.model_config.latent_size))
        return self(x, loss_parameters, noise=noise)

    def get_config(self):
        config = super().get_config()
        # They follow from `objective` and `watched_betas`.
        from_settings = "group_size", "watched", "adaptive_draws"
        for name in (*from_settings, *self.objective.get_config()):
            del config[name]
        return {
            **config,
            "image_shape": self.image_shape,
            "model": self.model_config.to_dict(),
            "beta": self.beta_config.to_dict(),
            "objective": self.objective_config.to_dict(),
            "watched_betas": self.watched_betas,
            "loss_parameters": {
                n: keras.saving.serialize_keras_object(p)
                for n, p in self.loss_parameters.parameters.items()
                if n != "beta"
            },
        }

    @classmethod
    def from_config(cls, config):
        load = keras.saving.deserialize_keras_object
        further = config.get("loss_parameters", {})
        further = {n: load(p) for n, p in further.items()}
        return cls(**{**config, "loss_parameters": further})


def _as_config(config_class, value):
    if value is None:
        return config_class()
    if isinstance(value, dict):
        return config_class.from_dict(value)
    return value
