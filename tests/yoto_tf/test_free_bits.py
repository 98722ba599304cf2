"""Free bits: what a latent need not pay at first, against closed forms."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from yoto_tf import BetaConfig
from yoto_tf import ConditionalVAE
from yoto_tf import ModelConfig
from yoto_tf import ObjectiveConfig

BETAS = np.float32([0.5, 2.0, 64.0])
# Rates at stddev 1: half of the squares, from 0.005 to 8 nats.
MEANS = np.float32([[0.1, 1.0, 4.0], [0.1, 1.0, 4.0], [0.1, 1.0, 4.0]])


def make_vae(free_bits):
    keras.utils.set_random_seed(0)
    return ConditionalVAE(
        (32, 32, 3),
        ModelConfig(
            latent_size=3, base_channels=2, convs_per_block=1, dense_units=8
        ),
        BetaConfig(low=0.5),
        ObjectiveConfig(free_bits=free_bits),
        seed=1,
    )


@pytest.mark.parametrize(("step", "left"), [(0, 1.0), (75, 0.25), (200, 0.0)])
def test_latents_whose_loss_is_small_have_no_slope(step, left):
    vae = make_vae(((0.0, 2.0), (100.0, 0.0)))
    means = tf.constant(MEANS)
    outputs = {"mean": means, "stddev": tf.ones_like(means)}
    parameters = {"beta": tf.constant(BETAS)}
    with tf.GradientTape() as tape:
        tape.watch(means)
        paid = vae.training_terms({"distortion": 1}, outputs, parameters, step)
    slopes = tape.gradient(paid["rate"], means)
    assert paid["distortion"] == 1
    rates = MEANS**2 / 2
    # What is logged stays the rate.
    np.testing.assert_allclose(paid["rate"], rates.sum(-1), rtol=1e-6)
    pays = BETAS[:, None] * rates >= 2.0 * left
    np.testing.assert_allclose(slopes, np.where(pays, MEANS, 0.0), rtol=1e-6)


def test_training_uses_it_and_scoring_does_not():
    images = np.random.default_rng(0).integers(
        0, 256, (3, 32, 32, 3), dtype="uint8"
    )
    moved, scored = {}, {}
    for free_bits in (1e6, 0.0):
        vae = make_vae(free_bits)
        kernel = vae.encoder.stages[-1].layer.kernel
        before = kernel.numpy()
        vae.compile(keras.optimizers.SGD(1e-3), run_eagerly=True)
        scored[free_bits] = vae.evaluate(images, verbose=0)
        vae.fit(images, batch_size=3, verbose=0)
        moved[free_bits] = kernel.numpy() - before
    np.testing.assert_array_equal(scored[1e6], scored[0.0])
    # Both follow the distortion; the rate's slope is in one alone.
    assert np.abs(moved[1e6] - moved[0.0]).max() > 1e-6
