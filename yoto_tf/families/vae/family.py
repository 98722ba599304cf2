"""What the scripts need to know of the VAE. Imports no TensorFlow."""

import dataclasses
import importlib
import math

import numpy as np

from yoto_tf import points
from yoto_tf.errors import InputError
from yoto_tf.families.base import Family
from yoto_tf.families.parts import Column
from yoto_tf.families.vae.config import ExperimentConfig
from yoto_tf.families.vae.dimensions import DIMENSIONS
from yoto_tf.families.vae.metric_names import ACTIVE_UNITS
from yoto_tf.families.vae.metric_names import METRICS
from yoto_tf.families.vae.model_config import ConditioningConfig
from yoto_tf.families.vae.model_config import idle_settings
from yoto_tf.families.vae.presets import PRESETS
from yoto_tf.families.vae.view import VIEW
from yoto_tf.strict_config import UNSET

_NATS = "nats per image"
_RATE = Column("rate", "rate", ".2f", _NATS)
_DISTORTION = Column("distortion", "distortion", ".1f", _NATS)


class VaeFamily(Family):
    """`ConditionalVAE`, or a subclass with further terms.

    Args:
        model_class: `module:Class` of the subclass; it is made with
            `loss_parameters`, those of the setting `further`.
        further: names of the further loss parameters.
        presets: default: those of the VAE.
    """

    settings = ExperimentConfig
    columns = [
        _DISTORTION,
        _RATE,
        Column("full_loss", "full loss", ".1f", _NATS),
        Column("full_loss_bpd", "bits/dim", ".3f"),
        ACTIVE_UNITS,
    ]
    trade_off = (_RATE, _DISTORTION)
    objective = Column("full_loss", "full loss", ".1f", _NATS)
    unit = _NATS
    width = "model.width"
    dimensions = DIMENSIONS
    metrics = METRICS
    view = VIEW

    def __init__(
        self,
        model_class="yoto_tf.families.vae.model.conv_vae:ConditionalVAE",
        further=(),
        presets=None,
    ):
        self._model_class = model_class
        self._further = tuple(further)
        self.parameters = ("beta", *self._further)
        first, second, *rest = VaeFamily.columns
        added = [Column(f"{n}_term", n, ".3f", _NATS) for n in self._further]
        self.columns = [first, second, *added, *rest]
        self.presets = PRESETS if presets is None else presets

    # Data.

    def check(self, settings):
        from yoto_tf.families.vae.beta_distribution import beta_distribution
        from yoto_tf.families.vae.model import likelihoods
        from yoto_tf.layers.factory import make_conditioning

        # Classes of one's own.
        likelihoods.get(settings.model.likelihood)
        make_conditioning(settings.model.conditioning)
        # What the model would refuse, before there is a directory.
        beta_distribution(settings.beta)
        watched = settings.evaluation.watched_betas
        if len(set(watched)) < len(watched):
            raise InputError(
                "expected each of evaluation.watched_betas once, received: "
                f"{watched}"
            )
        group, batch = settings.objective.group_size, settings.training
        if group and batch.batch_size % group:
            raise InputError(
                f"expected batches of a multiple of group_size={group} "
                "examples, received: training.batch_size="
                f"{batch.batch_size}"
            )

    def load(self, settings, parts=("train", "test"), known=None):
        from yoto_tf.data import load_images

        data = settings.data
        if known and data.image_size is None:
            # The size that the model was made for, whatever the data now
            # suggest.
            size = known["example_shape"][0]
            data = dataclasses.replace(data, image_size=size)
        return load_images(data, parts)

    def is_here(self, settings):
        from yoto_tf.data.splits import is_here

        return is_here(settings.data)

    def training_batches(self, settings, splits, batch_size, first_epoch):
        from yoto_tf.data import training_batches

        return training_batches(
            splits.train,
            batch_size,
            settings.training.seed,
            first_epoch,
            settings.data.augmentation,
        )[0]

    def random_examples(self, preset, num):
        rng = np.random.default_rng(0)
        return rng.integers(0, 256, (num, *preset.example_shape), np.uint8)

    def input_variants(self, settings):
        return {
            f"input pipeline, augmentation {kind}": dataclasses.replace(
                settings,
                data=dataclasses.replace(settings.data, augmentation=kind),
            )
            for kind in ("none", "crop_flip")
        }

    # The model.

    def model(self, settings, splits):
        given = {}
        if settings.further:
            given["loss_parameters"] = {
                p.name: p.parameter() for p in settings.further
            }
        return self.register()(
            splits.example_shape,
            settings.model,
            settings.beta,
            settings.objective,
            _watched_betas(settings),
            seed=settings.training.seed,
            **given,
        )

    def register(self):
        """Imports the class of the models, and returns it."""
        super().register()
        module, _, name = self._model_class.partition(":")
        return getattr(importlib.import_module(module), name)

    def fixed(self, settings, point):
        return {
            "beta.distribution": "constant",
            "beta.values": (point["beta"],),
            "further": tuple(p.fixed(point[p.name]) for p in settings.further),
        }

    def unconditioned(self, settings):
        return {"model.conditioning.kind": "none"}

    # Scores.

    def grid(self, settings):
        fixed = settings.beta.distribution == "constant"
        betas = settings.beta.values if fixed else settings.evaluation.betas
        further = {p.name: p.parameter() for p in settings.further}
        return points.product(
            {"beta": betas} | {name: p.grid(3) for name, p in further.items()}
        )

    def score(self, model, examples, grid, batch_size=500, seed=0, done=None):
        from yoto_tf.families.vae.rate_distortion import rate_distortion_curve

        return rate_distortion_curve(
            model, examples, grid, batch_size, seed, done
        )

    def judged(self, row, point):
        further = sum(
            point[n] * row[points.term_column(n, point)] for n in self._further
        )
        return row["distortion"] + point["beta"] * row["rate"] + further

    def factors(self, settings):
        from yoto_tf.data.splits import load_factors

        return load_factors(settings.data)

    def measurer(self, model, examples, factors=None, seed=0):
        from yoto_tf.families.vae.metrics.measurer import Measurer

        return Measurer(model, examples, factors, seed)

    def reference(self, model, example_shape):
        # A rate of 1 bit per value, and what a model that knows nothing pays:
        # the same for all runs on the same data and likelihood.
        num_values = math.prod(example_shape)
        return [
            num_values * math.log(2),
            model.likelihood.blank_distortion(num_values),
        ]

    def per_value(self, example_shape):
        return 1 / (math.prod(example_shape) * math.log(2)), "bits/dim"

    # Pictures.

    def input_pictures(self, examples):
        return examples / np.float32(255)

    def output_pictures(self, model, examples, point):
        beta, further = _split(point)
        return model.reconstruct(examples, beta, further)

    def further_pictures(self, model, examples, grid, seed):
        from yoto_tf.families.vae import pictures

        return pictures.further_pictures(model, examples, grid, seed)

    def shown_points(self, model, settings):
        betas = _watched_betas(settings) or model.beta_range.grid(3)
        middle = {
            name: model.loss_parameters.parameters[name].default
            for name in self._further
        }
        return [{"beta": b, **middle} for b in betas]

    # Serving.

    def owns(self, model):
        from yoto_tf.families.vae.model.conv_vae import ConditionalVAE

        return isinstance(model, ConditionalVAE)

    def endpoints(self, model, invalid_rows="error", example=lambda: None):
        # These make up their images.
        from yoto_tf.families.vae.endpoints import vae_endpoints

        return vae_endpoints(model, invalid_rows)

    def released_snippet(self, name):
        return (
            "import yoto_tf\n\nmodel = yoto_tf.ConditionalVAE.from_preset(\n"
            f'    "{name}", weights="trained"\n)'
        )

    def facts(self, model):
        return {
            "image_shape": list(model.image_shape),
            "latent_size": model.model_config.latent_size,
            "units": "rate and distortion in nats per image",
            "distortion": "-log p(x|z, beta) at the posterior's mean",
            "beta": model.beta_config.to_dict(),
        }

    # Searches.

    def searched(self, settings, chosen):
        chosen = dict(chosen)
        told = settings.model.conditioning
        place = "model.conditioning."
        idle = idle_settings(
            chosen.get(place + "kind", told.kind),
            chosen.get(place + "sites", told.sites),
        )
        for name in idle:
            # Of the preset's choices, or of others that were tried.
            chosen[place + name] = getattr(ConditioningConfig, name)
        own, power = settings.objective, "objective.normalization_power"
        kind = chosen.get("objective.normalization", own.normalization)
        if kind == "none":
            chosen[power] = UNSET
        elif kind == own.normalization and chosen.get(power) == own.power:
            # As it was, unset or not.
            del chosen[power]
        return chosen


def _split(point):
    """beta, and what else there is."""
    further = {n: v for n, v in point.items() if n != "beta"}
    return point["beta"], further


def _watched_betas(settings):
    """The watched betas that the run is trained for, or None."""
    from yoto_tf.families.vae.beta_distribution import beta_distribution

    distribution = beta_distribution(settings.beta)
    watched = settings.evaluation.watched_betas
    return [b for b in watched if distribution.contains(b)] or None


FAMILY = VaeFamily()
