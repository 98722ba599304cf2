"""The posterior and its rate against formulas written out in NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from yoto_tf.errors import InputError
from yoto_tf.families.vae.model.posterior import GaussianPosterior
from yoto_tf.families.vae.model.posterior import rate
from yoto_tf.families.vae.model.start import linear_vae_start


@pytest.fixture
def moments():
    """Means and deviations of 5 examples of 3 latents."""
    rng = np.random.default_rng(0)
    mean = rng.normal(size=(5, 3)).astype("float32")
    stddev = np.exp(rng.normal(size=(5, 3))).astype("float32")
    return mean, stddev


def test_rate_is_the_closed_form_summed_over_latents(moments):
    mean, stddev = moments
    log_variance = 2 * np.log(stddev)
    expected = -0.5 * np.sum(
        1 + log_variance - mean**2 - np.exp(log_variance), axis=1
    )
    result = rate(*moments)
    assert result.shape == (5,)
    np.testing.assert_allclose(result, expected, rtol=1e-5)
    # The seed's formula: the log-variance squared, a mean over latents.
    wrong = -0.5 * np.mean(1 + log_variance - mean**2 - log_variance**2, axis=1)
    assert np.abs(result - wrong).min() > 0.1


def test_rate_is_the_expectation_of_the_log_ratio(moments):
    mean, stddev = moments
    noise = np.random.default_rng(1).normal(size=(200_000, 5, 3))
    z = mean + stddev * noise
    log_q = -0.5 * noise**2 - np.log(stddev)
    log_p = -0.5 * z**2
    ratio = (log_q - log_p).sum(-1)
    error = ratio.std(0) / np.sqrt(len(ratio))
    assert (np.abs(rate(mean, stddev) - ratio.mean(0)) < 4 * error).all()


def test_rate_is_zero_at_the_prior_and_grows_with_the_latents():
    np.testing.assert_array_equal(rate(tf.zeros((2, 7)), tf.ones((2, 7))), 0)
    for latents in (1, 256):
        np.testing.assert_allclose(
            rate(tf.ones((1, latents)), tf.ones((1, latents))), latents / 2
        )


def test_posterior_is_the_formula():
    rng = np.random.default_rng(0)
    inputs = rng.normal(scale=3, size=(4, 6)).astype("float32")
    noise = rng.normal(size=(4, 3)).astype("float32")
    z, mean, stddev = GaussianPosterior()(inputs, noise=noise)
    np.testing.assert_array_equal(mean, inputs[:, :3])
    expected = np.log1p(np.exp(inputs[:, 3:])) + 1e-6
    np.testing.assert_allclose(stddev, expected, rtol=1e-5)
    np.testing.assert_allclose(
        z, inputs[:, :3] + expected * noise, rtol=1e-5, atol=1e-6
    )


def test_variance_preserving_posterior_is_the_formula():
    rng = np.random.default_rng(0)
    inputs = rng.normal(scale=3, size=(4, 6)).astype("float32")
    noise = rng.normal(size=(4, 3)).astype("float32")
    log_beta = np.float32([-2.0, 0.0, 1.0, 6.0])
    layer = GaussianPosterior("variance_preserving", (0.5, -1.5))
    z, mean, stddev = layer(inputs, log_beta, noise)
    b = inputs[:, 3:].astype("float64") + 0.5 - 1.5 * log_beta[:, None]
    variance = 1 / (1 + np.exp(-b))
    expected = inputs[:, :3] * np.sqrt(1 - variance)
    np.testing.assert_allclose(mean, expected, rtol=1e-5)
    np.testing.assert_allclose(stddev, np.sqrt(variance), rtol=1e-5)
    np.testing.assert_allclose(
        z, expected + np.sqrt(variance) * noise, rtol=1e-5, atol=1e-6
    )


def test_a_latent_without_signal_is_the_prior_and_costs_nothing():
    layer = GaussianPosterior("variance_preserving")
    a = np.linspace(-3, 3, 8, dtype="float32")[None]
    closed = layer(np.concatenate([a, np.full_like(a, 20.0)], -1))[1:]
    assert rate(*closed).numpy() == pytest.approx(0, abs=1e-4)
    # z has the prior's variance where `a` has it, however noisy.
    rng = np.random.default_rng(0)
    a = rng.normal(size=(100_000, 3)).astype("float32")
    b = np.broadcast_to(np.float32([-4.0, 0.0, 4.0]), a.shape)
    z = layer(np.concatenate([a, b], -1))[0].numpy()
    np.testing.assert_allclose(z.var(0), 1, atol=0.02)


def test_its_variance_grows_in_proportion_to_beta_up_to_1():
    start = linear_vae_start(0.125, 512.0, 0.9)
    layer = GaussianPosterior("variance_preserving", start)
    betas = np.float32([0.125, 1.0, 2.0, 64.0, 512.0])
    stddev = layer(np.zeros((5, 2), "float32"), np.log(betas))[2].numpy()
    # The odds in the middle of the range, 8, are 9; they are beta + 12 %.
    expected = 9 / 8 * betas / (1 + 9 / 8 * betas)
    np.testing.assert_allclose(stddev[:, 0] ** 2, expected, rtol=0.004)


@pytest.mark.parametrize(
    ("low", "high"), [(0.125, 512.0), (1e-3, 1e3), (1.0, 2.0), (3.0, 3.0)]
)
@pytest.mark.parametrize("variance", [0.01, 0.5, 0.9])
def test_the_start_is_the_variance_asked_for_in_the_middle(low, high, variance):
    offset, slope = linear_vae_start(low, high, variance)
    log_odds = offset + slope * np.log([low, np.sqrt(low * high), high])
    assert 1 / (1 + np.exp(-log_odds[1])) == pytest.approx(variance)
    # A factor of 64 to either end, and never faster than beta ** 1.2.
    expected = min(64.0, (high / low) ** 0.6)
    np.testing.assert_allclose(np.exp(np.diff(log_odds)), expected, rtol=0.01)
    untold = linear_vae_start(low, high, variance, told=False)
    assert untold == (pytest.approx(log_odds[1]), 0)


def test_a_start_that_cannot_be_kept_is_refused():
    with pytest.raises(InputError, match=r"no start.*start=\(0\.0, 1\.0\)"):
        GaussianPosterior("softplus", (0.0, 1.0))
    layer = GaussianPosterior("variance_preserving", (0.0, 1.0))
    with pytest.raises(InputError, match="expected log_beta for start"):
        layer(np.zeros((1, 2), "float32"))


@pytest.mark.parametrize("b", [-200.0, -20.0, 0.0, 20.0, 200.0])
def test_variance_preserving_gradients_are_finite(b):
    layer = GaussianPosterior("variance_preserving")
    inputs = tf.constant([[2.0, b]])
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        z, mean, stddev = layer(inputs)
        loss = tf.reduce_sum(z) + tf.reduce_sum(rate(mean, stddev))
    assert np.isfinite(tape.gradient(loss, inputs)).all()


def test_an_unknown_form_is_refused():
    with pytest.raises(InputError, match="one of .*softplus.*form='exp'"):
        GaussianPosterior("exp")


def test_deviation_stays_above_zero_and_the_rate_finite():
    inputs = tf.constant([[0.0, -1000.0], [0.0, 1000.0]])
    _, mean, stddev = GaussianPosterior()(inputs)
    np.testing.assert_allclose(stddev, [[1e-6], [1000.0]], rtol=1e-6)
    assert np.isfinite(rate(mean, stddev)).all()


def test_drawn_noise_is_standard_normal_and_new_on_each_call():
    layer = GaussianPosterior(seed=1)
    # A deviation of 2: softplus(log(exp(2) - 1)).
    inputs = tf.tile([[1.0, np.log(np.expm1(2.0))]], (20_000, 1))
    first, second = layer(inputs)[0], layer(inputs)[0]
    for z in (first, second):
        assert abs(np.mean(z) - 1) < 4 * 2 / np.sqrt(20_000)
        assert abs(np.std(z) - 2) < 4 * 2 / np.sqrt(2 * 20_000)
    assert abs(np.corrcoef(np.ravel(first), np.ravel(second))[0, 1]) < 0.03


def test_noise_is_not_that_of_draws_by_the_same_seed():
    """TensorFlow makes normal numbers of the bits of uniform ones."""
    uniform = keras.random.uniform((4096,), seed=keras.random.SeedGenerator(3))
    inputs = tf.tile([[0.0, np.log(np.expm1(1.0))]], (4096, 1))
    noise = np.ravel(GaussianPosterior(seed=3)(inputs)[0])
    radius = np.hypot(noise[::2], noise[1::2])
    for place in (slice(0, None, 2), slice(1, None, 2)):
        tied = np.sqrt(-2 * np.log(np.asarray(uniform)[place]))
        assert abs(np.corrcoef(radius, tied)[0, 1]) < 0.1


def test_the_seed_decides_the_noise():
    inputs = tf.zeros((4, 6))
    first = GaussianPosterior(seed=1)(inputs)[0]
    np.testing.assert_array_equal(GaussianPosterior(seed=1)(inputs)[0], first)
    assert not np.allclose(GaussianPosterior(seed=2)(inputs)[0], first)
