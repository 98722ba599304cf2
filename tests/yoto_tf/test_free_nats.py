"""Free nats: what a latent need not pay at first, against closed forms."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from yoto_tf import BetaConfig
from yoto_tf import ConditionalVAE
from yoto_tf import ModelConfig

BETAS = np.float32([0.5, 2.0, 64.0])
# Rates at stddev 1: half of the squares, from 0.005 to 8 nats.
MEANS = np.float32([[0.1, 1.0, 4.0], [0.1, 1.0, 4.0], [0.1, 1.0, 4.0]])


def make_vae(free_nats, free_steps=100):
    keras.utils.set_random_seed(0)
    vae = ConditionalVAE(
        (32, 32, 3),
        ModelConfig(
            latent_size=3, base_channels=2, convs_per_block=1, dense_units=8
        ),
        BetaConfig(low=0.5, free_nats=free_nats, free_steps=free_steps),
        seed=1,
    )
    vae.compile(keras.optimizers.SGD(0.1))
    vae.optimizer.build(vae.trainable_variables)
    return vae


def paid_rate_and_slopes(vae, means):
    means = tf.constant(means)
    stddevs = tf.ones_like(means)
    with tf.GradientTape() as tape:
        tape.watch(means)
        rate = vae._paid_rate(means, stddevs, tf.constant(BETAS))
    return rate.numpy(), tape.gradient(rate, means).numpy()


@pytest.mark.parametrize(("step", "left"), [(0, 1.0), (75, 0.25), (200, 0.0)])
def test_latents_whose_loss_is_small_have_no_slope(step, left):
    vae = make_vae(free_nats=2.0)
    vae.optimizer.iterations.assign(step)
    rate, slopes = paid_rate_and_slopes(vae, MEANS)
    rates = MEANS**2 / 2
    # What is logged stays the rate.
    np.testing.assert_allclose(rate, rates.sum(-1), rtol=1e-6)
    pays = BETAS[:, None] * rates >= 2.0 * left
    np.testing.assert_allclose(slopes, np.where(pays, MEANS, 0.0), rtol=1e-6)


def test_training_uses_it_and_scoring_does_not():
    images = np.random.default_rng(0).integers(
        0, 256, (3, 32, 32, 3), dtype="uint8"
    )
    vae, plain = make_vae(free_nats=1e6), make_vae(free_nats=0.0)
    assert make_vae(0.0).get_config()["beta"]["free_nats"] == 0.0
    weights = {
        "distortion": tf.ones(3),
        "rate": tf.constant(BETAS),
    }

    def slopes(model, training):
        with tf.GradientTape() as tape:
            terms = model.loss_terms(images, None, weights, training=training)
            rate = tf.reduce_sum(terms["rate"])
        kernel = model.encoder.stages[-1].layer.kernel
        return rate.numpy(), tape.gradient(rate, kernel.value)

    free_rate, free_slope = slopes(vae, training=True)
    plain_rate, plain_slope = slopes(plain, training=True)
    assert free_rate == pytest.approx(plain_rate, rel=1e-5)
    assert not np.any(free_slope)
    assert np.any(plain_slope)
    _, scored_slope = slopes(vae, training=False)
    np.testing.assert_allclose(scored_slope, plain_slope, rtol=1e-5)
