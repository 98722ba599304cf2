"""The posterior and its rate against formulas written out in NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from yoto_tf.layers import GaussianPosterior
from yoto_tf.layers.posterior import rate


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
    z, mean, stddev = GaussianPosterior()(inputs, noise)
    np.testing.assert_array_equal(mean, inputs[:, :3])
    expected = np.log1p(np.exp(inputs[:, 3:])) + 1e-6
    np.testing.assert_allclose(stddev, expected, rtol=1e-5)
    np.testing.assert_allclose(
        z, inputs[:, :3] + expected * noise, rtol=1e-5, atol=1e-6
    )


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


def test_the_seed_decides_the_noise():
    inputs = tf.zeros((4, 6))
    first = GaussianPosterior(seed=1)(inputs)[0]
    np.testing.assert_array_equal(GaussianPosterior(seed=1)(inputs)[0], first)
    assert not np.allclose(GaussianPosterior(seed=2)(inputs)[0], first)
