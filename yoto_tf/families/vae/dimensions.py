"""What `training.tune` may vary of a VAE. Nothing changes its width."""

import typing

from yoto_tf.conditioning_config import OF_KINDS
from yoto_tf.conditioning_config import ConditioningKind
from yoto_tf.errors import InputError
from yoto_tf.families.parts import Dimension
from yoto_tf.families.vae.model_config import Site
from yoto_tf.registry import CONDITIONING


def _learning_rates(settings):
    rate = settings.optimizer.learning_rate
    return [float(f"{rate * f:.1g}") for f in (0.1, 0.3, 1, 3)]


def _kinds(settings):
    # Knots spread over the standardised range.
    spline = ["spline"] * settings.model.conditioning.standardize
    return ["film", "sigmoid_film", "gate", *spline]


def _sites(text):
    """`block+dense` to the setting's list."""
    sites = text.split("+")
    if not set(sites) <= set(typing.get_args(Site)):
        raise InputError(
            f"expected sites among {typing.get_args(Site)}, joined by +, "
            f"received: sites={text!r}"
        )
    return sites


def _halved_and_doubled(number):
    return sorted({max(1, number // 2), number, 2 * number})


DIMENSIONS = [
    Dimension(
        "learning_rate",
        "optimizer.learning_rate",
        float,
        _learning_rates,
        "Of Adam.",
    ),
    Dimension(
        "kind",
        "model.conditioning.kind",
        ConditioningKind | str,
        _kinds,
        "Of conditioning, as in the settings.",
        value=CONDITIONING.text,
    ),
    Dimension(
        "sites",
        "model.conditioning.sites",
        str,
        lambda settings: [
            "block",
            "block+dense+posterior",
            "block+dense+posterior+latent+output",
        ],
        "Of conditioning, joined by +: block+dense+posterior.",
        own=lambda settings: "+".join(settings.model.conditioning.sites),
        value=_sites,
    ),
    Dimension(
        "hidden_units",
        "model.conditioning.hidden_units",
        int,
        lambda settings: _halved_and_doubled(
            settings.model.conditioning.hidden_units
        ),
        "Of FiLM's hidden layer; searched with kinds that have one.",
        only_with=("kind", OF_KINDS["hidden_units"]),
    ),
    Dimension(
        "strength",
        "model.conditioning.strength",
        float,
        lambda settings: [0.03, 0.1, 0.3],
        "Of FiLM; searched with kind film.",
        only_with=("kind", OF_KINDS["strength"]),
    ),
    Dimension(
        "normalization",
        "objective.normalization",
        typing.Literal["none", "geometric_mean", "sum"],
        lambda settings: ["none", "geometric_mean", "sum"],
        "Of the loss.",
    ),
    Dimension(
        "normalization_power",
        "objective.normalization_power",
        float,
        lambda settings: [0.25, 0.5, 0.75, 1.0],
        "Searched where the loss is normalised.",
        only_with=("normalization", ("geometric_mean", "sum")),
        own=lambda settings: settings.objective.power,
    ),
    Dimension(
        "latent_size",
        "model.latent_size",
        int,
        lambda settings: _halved_and_doubled(settings.model.latent_size),
        "Number of latents.",
    ),
]
