"""The posterior starts as the linear VAE's optimum, however and whatever the
network is told of beta."""

import math

import keras
import numpy as np
import pytest

from yoto_tf import BetaConfig
from yoto_tf import ConditionalVAE
from yoto_tf import ConditioningConfig
from yoto_tf import ModelConfig

TOLD = ["spline", "film", "sigmoid_film", "gate", "concatenation"]
# Not where the posterior would be told of beta by its conditioning.
SITES = ("block", "dense")
BETAS = np.float32([0.125, 1.0, 8.0, 512.0])


def vae(kind, beta=None, **fields):
    conditioning = ConditioningConfig(kind=kind, sites=SITES)
    if fields.get("posterior") != "softplus":
        fields.setdefault("initial_variance", 0.9)
    model = ModelConfig(
        latent_size=3,
        base_channels=2,
        convs_per_block=1,
        dense_units=8,
        conditioning=conditioning,
        **fields,
    )
    return ConditionalVAE((32, 32, 1), model, beta, seed=1)


def start_variance(vae, betas):
    """The variance of a posterior whose encoder says 0."""
    last = vae.encoder.stages[-1].layer
    for weight in last.weights:
        weight.assign(np.zeros(weight.shape))
    images = np.zeros((len(betas), 32, 32, 1), "uint8")
    _, stddev = vae.encode(images, np.float32(betas))
    np.testing.assert_allclose(stddev, stddev[:, :1] * np.ones(3), rtol=1e-6)
    return stddev.numpy()[:, 0] ** 2


def formula(betas, middle=8.0, power=1.0, initial=0.9):
    """Odds in proportion to a power of beta, given those in the middle."""
    odds = initial / (1 - initial) * (np.float64(betas) / middle) ** power
    return odds / (1 + odds)


@pytest.mark.parametrize("kind", TOLD)
@pytest.mark.parametrize("initial", [0.5, 0.9])
def test_every_kind_starts_as_the_linear_vae(kind, initial):
    variance = start_variance(vae(kind, initial_variance=initial), BETAS)
    expected = formula(BETAS, initial=initial)
    np.testing.assert_allclose(variance, expected, rtol=0.004)


@pytest.mark.parametrize("own", BETAS)
@pytest.mark.parametrize("initial", [0.5, 0.9])
def test_a_fixed_weight_starts_as_a_model_of_all_betas_there(own, initial):
    beta = BetaConfig(distribution="constant", values=(float(own),))
    fixed = vae("spline", beta, initial_variance=initial)
    variance = start_variance(fixed, [own])
    conditional = vae("spline", initial_variance=initial)
    np.testing.assert_allclose(
        variance, start_variance(conditional, [own]), rtol=1e-6
    )
    np.testing.assert_allclose(
        variance, formula([own], initial=initial), rtol=0.004
    )


def test_a_model_that_is_not_told_beta_starts_alike_for_all():
    variance = start_variance(vae("none", initial_variance=0.3), BETAS)
    np.testing.assert_allclose(variance, 0.3, rtol=1e-5)


@pytest.mark.parametrize(
    "beta",
    [
        BetaConfig(distribution="uniform"),
        BetaConfig(distribution="choice", values=(0.125, 1.0, 8.0, 512.0)),
    ],
    ids=lambda b: b.distribution,
)
def test_the_line_is_one_in_log_beta_for_every_distribution(beta):
    variance = start_variance(vae("film", beta), BETAS)
    np.testing.assert_allclose(variance, formula(BETAS), rtol=0.004)


def test_a_narrow_range_starts_as_what_it_is():
    # Under ever the same slope per range, 64 times the odds lie between the
    # middle of this one and its ends: variances of 0.12 and 0.998.
    narrow = vae("film", BetaConfig(low=1.0, high=2.0))
    betas = [1.0, math.sqrt(2), 2.0]
    np.testing.assert_allclose(
        start_variance(narrow, betas),
        formula(betas, middle=math.sqrt(2), power=1.2),
        rtol=1e-4,
    )


def test_the_authors_posterior_starts_as_theirs():
    for beta in (None, BetaConfig(distribution="constant", values=(256.0,))):
        softplus = vae("film", beta, posterior="softplus")
        betas = BETAS if beta is None else [256.0]
        np.testing.assert_allclose(
            start_variance(softplus, betas), math.log(2) ** 2, rtol=1e-4
        )


@pytest.mark.slow
def test_learning_goes_on_from_the_start():
    """A step moves what the encoder adds to the start, and not the start."""
    model = vae("spline")
    model.compile("sgd")
    images = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 1), "uint8")
    before = model.encode(images[:4], BETAS)[1].numpy()
    start = model.posterior.start
    model.fit(images, batch_size=8, verbose=0)
    assert model.posterior.start == start
    assert np.abs(model.encode(images[:4], BETAS)[1] - before).max() > 1e-6


@pytest.mark.slow
def test_a_start_trains_as_one_that_is_learned_with_the_shifts():
    """That the posterior owns its start changes no loss: a spline whose shifts
    begin as the same line has the same losses in every step."""

    def losses(owned):
        model = ConditionalVAE(
            (32, 32, 1),
            ModelConfig(
                likelihood="gaussian",
                initial_variance=0.5,
                latent_size=3,
                base_channels=2,
                convs_per_block=1,
                dense_units=8,
            ),
            seed=1,
            dtype="float64",
        )
        if not owned:
            (offset, slope), model.posterior.start = (
                model.posterior.start,
                (0.0, 0.0),
            )
            spline = model.encoder.stages[-1].conditioning
            (table,) = spline.weights
            # In their own float32, as the layer has them.
            knots = np.linspace(-math.sqrt(3), math.sqrt(3), 5, dtype="float32")
            log_beta = math.log(8) + knots.astype("float64") * (
                math.log(64) / math.sqrt(3)
            )
            start = table.numpy()
            start[:, -3:] += (offset + slope * log_beta)[:, None]
            table.assign(start)
        model.compile(keras.optimizers.Adam(1e-2))
        images = np.random.default_rng(0).integers(0, 256, (64, 32, 32, 1))
        with_log = model.fit(
            images.astype("uint8"),
            batch_size=8,
            epochs=1,
            shuffle=False,
            verbose=0,
        )
        return with_log.history["loss"]

    keras.utils.set_random_seed(0)
    ours = losses(owned=True)
    keras.utils.set_random_seed(0)
    np.testing.assert_allclose(ours, losses(owned=False), rtol=1e-5)
