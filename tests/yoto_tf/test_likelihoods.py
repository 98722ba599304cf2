"""Likelihoods against densities written out in NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from yoto_tf.errors import InputError
from yoto_tf.families.vae.model import likelihoods

SHAPE = (4, 8, 8, 3)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def images(rng):
    return rng.uniform(size=SHAPE).astype("float32")


def test_bernoulli_is_the_cross_entropy_summed_over_all_values(rng, images):
    logits = rng.normal(scale=2, size=SHAPE).astype("float32")
    p = 1 / (1 + np.exp(-logits.astype("float64")))
    per_value = -(images * np.log(p) + (1 - images) * np.log(1 - p))
    result = likelihoods.Bernoulli().distortion(images, logits)
    assert result.shape == (4,)
    np.testing.assert_allclose(result, per_value.sum((1, 2, 3)), rtol=1e-5)
    # Keras' binary_crossentropy averages the last axis: 3 times too small.
    averaged = per_value.mean(-1).sum((1, 2))
    np.testing.assert_allclose(result, 3 * averaged, rtol=1e-5)


def test_bernoulli_is_stable_at_large_logits():
    likelihood = likelihoods.Bernoulli()
    images = tf.reshape(tf.constant([0.0, 1.0, 0.0, 1.0]), (4, 1, 1, 1))
    logits = tf.Variable(
        tf.reshape([-1000.0, 1000.0, 1000.0, -1000.0], (4, 1, 1, 1))
    )
    with tf.GradientTape() as tape:
        result = likelihood.distortion(images, logits)
    np.testing.assert_array_equal(result, [0, 0, 1000, 1000])
    # d/dl (softplus(l) - x l) = sigmoid(l) - x
    gradient = np.ravel(tape.gradient(result, logits))
    np.testing.assert_array_equal(gradient, [0, 0, 1, -1])


def test_gaussian_is_minus_the_log_density_on_minus_one_to_one(rng, images):
    outputs = rng.normal(size=(*SHAPE[:3], 6)).astype("float32")
    mean, raw = np.split(outputs.astype("float64"), 2, axis=-1)
    raw += 2  # Sharper densities would underflow before their logarithm.
    outputs[..., 3:] += 2
    scale = np.log1p(np.exp(raw)) + 1e-6
    density = np.exp(-0.5 * ((2 * images - 1 - mean) / scale) ** 2) / (
        scale * np.sqrt(2 * np.pi)
    )
    result = likelihoods.Gaussian().distortion(images, outputs)
    assert result.shape == (4,)
    np.testing.assert_allclose(
        result, -np.log(density).sum((1, 2, 3)), rtol=1e-4
    )


def test_gaussian_floor_keeps_the_density_finite():
    outputs = tf.Variable([[[[1.0, -1000.0]]], [[[1.0, 1000.0]]]])
    images = tf.ones((2, 1, 1, 1))
    with tf.GradientTape() as tape:
        result = likelihoods.Gaussian().distortion(images, outputs)
    expected = np.log([1e-6, 1000.0]) + 0.5 * np.log(2 * np.pi)
    np.testing.assert_allclose(result, expected, rtol=1e-4)
    assert np.isfinite(tape.gradient(result, outputs)).all()


def test_squared_error_is_a_gaussian_s_density_less_a_constant(rng, images):
    means = rng.normal(size=SHAPE).astype("float32")
    log_density = -((images - means.astype("float64")) ** 2) / (2 * 0.5)
    log_density -= 0.5 * np.log(2 * np.pi * 0.5)
    result = likelihoods.SquaredError().distortion(images, means)
    constant = 8 * 8 * 3 * np.log(np.pi) / 2
    np.testing.assert_allclose(
        result, -log_density.sum((1, 2, 3)) - constant, rtol=1e-5
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bernoulli", lambda x: x),
        ("gaussian", lambda x: 2 * x - 1),
        ("squared_error", lambda x: x),
    ],
)
def test_network_input_has_the_range_of_the_likelihood(name, expected, images):
    seen = likelihoods.get(name).network_input(images)
    np.testing.assert_allclose(seen, expected(images), rtol=1e-6)


def test_mean_images_lie_between_0_and_1(rng):
    logits = rng.normal(scale=50, size=SHAPE).astype("float32")
    p = 1 / (1 + np.exp(-logits.astype("float64")))
    np.testing.assert_allclose(
        likelihoods.Bernoulli().mean(logits), p, rtol=1e-5, atol=1e-30
    )
    outputs = rng.normal(scale=2, size=(*SHAPE[:3], 6)).astype("float32")
    expected = np.clip((outputs[..., :3] + 1) / 2, 0, 1)
    result = likelihoods.Gaussian().mean(outputs)
    np.testing.assert_allclose(result, expected, rtol=1e-6)
    np.testing.assert_array_equal(
        likelihoods.SquaredError().mean(outputs), np.clip(outputs, 0, 1)
    )
    assert np.min(result) == 0
    assert np.max(result) == 1


@pytest.mark.parametrize("name", ["bernoulli", "gaussian", "squared_error"])
def test_blank_distortion_is_that_of_outputs_that_know_nothing(name):
    likelihood = likelihoods.get(name)
    # For the Gaussian, softplus(log(e - 1)) = 1.
    outputs = np.zeros((1, 2, 2, likelihood.outputs_per_channel), "float32")
    outputs[..., 1:] = np.log(np.expm1(1.0))
    worst = tf.ones((1, 2, 2, 1))
    if name == "squared_error":
        outputs += 0.5
    np.testing.assert_allclose(
        likelihood.distortion(worst, outputs),
        [likelihood.blank_distortion(4)],
        rtol=1e-5,
    )


def test_unknown_likelihood_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match="bernoulli.*gaussian.*'laplace'"):
        likelihoods.get("laplace")
