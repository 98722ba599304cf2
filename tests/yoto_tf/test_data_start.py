"""The posterior starts at the linear VAE's optimum for the data at hand."""

import keras
import numpy as np
import pytest
import scipy.optimize
import tensorflow as tf

from yoto_tf import BetaConfig
from yoto_tf import ConditionalVAE
from yoto_tf import InputError
from yoto_tf import ModelConfig
from yoto_tf.families.vae.model import likelihoods
from yoto_tf.families.vae.model.start import data_starts


def vae(beta=None, images_seed=0, **fields):
    small = {
        "latent_size": 3,
        "base_channels": 2,
        "convs_per_block": 1,
        "dense_units": 8,
    }
    model = ModelConfig(**{**small, **fields})
    return ConditionalVAE((32, 32, 1), model, beta, seed=1)


def images(num=96, seed=0):
    """Three directions with deviations of 0.1, 0.03 and 0.01 a pixel."""
    rng = np.random.default_rng(seed)
    made = 0.5 + 0.001 * rng.normal(size=(num, 32, 32, 1))
    for deviation in (0.1, 0.03, 0.01):
        direction = rng.choice([-1, 1], (32, 32, 1))
        made += deviation * rng.uniform(-1, 1, (num, 1, 1, 1)) * direction
    return made.astype("float32")


def test_the_formula_is_the_best_of_a_linear_vae():
    # One latent of one direction with variance l: mean of the posterior a x,
    # its variance v, decoder w z, noise s. The expected loss, by hand:
    def loss(p, variance, noise, beta):
        a, w, log_v = p
        v = np.exp(log_v)
        error = variance * (1 - w * a) ** 2 + w**2 * v
        rate = 0.5 * (a**2 * variance + v - 1 - log_v)
        return error / (2 * noise) + beta * rate

    for variance, noise, beta in [(9.0, 1.0, 2.0), (5.0, 0.1, 16.0)]:
        found = scipy.optimize.minimize(
            loss, [0.3, 1.0, -1.0], (variance, noise, beta), tol=1e-10
        )
        ratio = np.exp(-data_starts(_spread(variance), noise, 1)[0])
        v = np.exp(found.x[2])
        assert v == pytest.approx(beta / ratio, rel=1e-3)
        # The decoder's weight, which is the gain but for its scale.
        gain = np.sqrt(variance * (1 - v))
        assert abs(found.x[1]) == pytest.approx(gain, rel=1e-3)


def _spread(variance):
    return np.sqrt(variance) * np.array([[-1.0], [1.0]])


@pytest.mark.parametrize("shape", [(500, 6), (5, 40)])
def test_eigenvalues_are_those_of_the_covariance(shape):
    data = np.random.default_rng(0).normal(size=shape) * 0.3
    covariance = np.cov(data.T, bias=True)
    largest = np.sort(np.linalg.eigvalsh(covariance))[::-1][:3]
    found = data_starts(data.reshape(len(data), -1, 1), 0.04, 3)
    np.testing.assert_allclose(found, np.log(0.04 / largest), rtol=1e-4)


def test_latents_beyond_the_data_start_as_the_last():
    found = data_starts(np.float32([[0, 0], [1, 0]]), 0.5, 3)
    np.testing.assert_allclose(found, np.log(0.5 / 0.25), rtol=1e-6)
    # Of images that are all alike nothing follows.
    np.testing.assert_array_equal(data_starts(np.ones((3, 2)), 1.0, 2), 0)


@pytest.mark.parametrize("beta", [None, 2.0])
@pytest.mark.parametrize(
    "likelihood", ["bernoulli", "gaussian", "squared_error"]
)
def test_every_latent_starts_with_its_own_variance(beta, likelihood):
    config = beta and BetaConfig(distribution="constant", values=(beta,))
    model = vae(config, likelihood=likelihood)
    x = images()
    assert not model.is_adapted
    model.adapt(x)
    assert model.is_adapted
    mean = x.mean(0)
    noise = (mean * (1 - mean)).mean()
    if likelihood == "gaussian":
        noise = x.var(0).mean()
    elif likelihood == "squared_error":
        noise = 0.5
    flat = x.reshape(len(x), -1) - mean.reshape(-1)
    largest = np.linalg.svd(flat, compute_uv=False)[:3] ** 2 / len(x)
    for weight in model.encoder.stages[-1].layer.weights:
        weight.assign(np.zeros(weight.shape))
    for asked in [beta] if beta else [0.125, 2.0, 512.0]:
        _, stddev = model.encode(x[:1], asked)
        odds = asked * noise / largest
        np.testing.assert_allclose(
            stddev[0].numpy() ** 2, odds / (1 + odds), rtol=1e-3
        )


@pytest.mark.parametrize("beta", [None, 2.0])
def test_a_latent_that_starts_closed_brings_the_decoder_no_noise(beta):
    config = beta and BetaConfig(distribution="constant", values=(beta,))
    model, plain = vae(config), vae(config, initial_variance=0.5)
    model.adapt(images())
    plain.decoder.set_weights(model.decoder.get_weights())
    latents = np.random.default_rng(0).standard_normal((5, 3), "float32")
    offsets = model.posterior.offsets.numpy().astype("float64")
    for asked in [beta] if beta else [0.125, 2.0, 512.0]:
        variance = 1 / (1 + np.exp(-offsets - np.log(asked)))
        seen = (latents * np.sqrt(1 - variance)).astype("float32")
        np.testing.assert_allclose(
            model.decode(latents, asked),
            plain.decode(seen, asked),
            rtol=1e-4,
        )


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 3

    def __getitem__(self, i):
        return (images()[32 * i : 32 * (i + 1)],)


@pytest.mark.slow
def test_fit_adapts_once_to_whatever_it_is_given():
    expected = vae()
    expected.adapt(images())
    offsets = expected.posterior.offsets.numpy()
    assert np.diff(offsets).min() > 0
    # As TFDS gives them.
    labelled = {"image": images(), "label": np.arange(len(images()))}
    for given in (
        {"x": images(), "batch_size": 32},
        {"x": {"image": images()}, "batch_size": 32},
        {"x": tf.data.Dataset.from_tensor_slices(images()).batch(32)},
        {"x": tf.data.Dataset.from_tensor_slices(labelled).batch(32)},
        {"x": Batches()},
    ):
        model = vae()
        model.compile("sgd", run_eagerly=True)
        model.fit(**given, verbose=0, shuffle=False)
        np.testing.assert_allclose(model.posterior.offsets, offsets, rtol=1e-5)
    # More training is no new beginning.
    model.fit(images(seed=7), batch_size=32, verbose=0)
    np.testing.assert_allclose(model.posterior.offsets, offsets, rtol=1e-5)


def test_a_loop_of_batches_adapts_before_its_first_step():
    expected = vae()
    expected.adapt(images()[:32])
    offsets = expected.posterior.offsets.numpy()
    model = vae()
    model.compile("sgd", run_eagerly=True)
    model.train_on_batch(images()[:32])
    np.testing.assert_array_equal(model.posterior.offsets, offsets)
    # Neither its later batches nor a `fit` move what it has learned from.
    model.train_on_batch(images()[32:64])
    model.fit(images()[64:], batch_size=32, verbose=0)
    np.testing.assert_array_equal(model.posterior.offsets, offsets)


@pytest.mark.slow
def test_what_cannot_be_read_before_training_needs_adapt_before():
    strategy = tf.distribute.OneDeviceStrategy("/CPU:0")
    with strategy.scope():
        model = vae()
        model.compile("sgd")
    batches = tf.data.Dataset.from_tensor_slices(images()).batch(32)
    given = strategy.experimental_distribute_dataset(batches)
    with pytest.raises(InputError, match="adapt.* received: Distributed"):
        model.fit(given, verbose=0)
    model.adapt(images())
    offsets = model.posterior.offsets.numpy()
    model.fit(given, steps_per_epoch=3, shuffle=False, verbose=0)
    np.testing.assert_array_equal(model.posterior.offsets, offsets)
    assert int(model.optimizer.iterations) == 3


def test_what_it_adapted_to_is_saved(tmp_path):
    model = vae()
    model.adapt(images())
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    assert again.is_adapted
    one, other = (
        m.encode(images()[:3], 4.0)[1].numpy() for m in (model, again)
    )
    np.testing.assert_array_equal(one, other)


def test_a_generator_trains_on_all_that_it_gives():
    def generator():
        for i in range(3):
            seen.append(i)
            yield (images()[32 * i : 32 * (i + 1)],)

    seen = []
    model, other = vae(), vae()
    other.adapt(images())
    taken = []
    check = model.check_inputs
    model.check_inputs = lambda x: taken.append(np.array(x)) or check(x)
    model.compile("sgd", run_eagerly=True)
    model.fit(generator(), steps_per_epoch=3, shuffle=False, verbose=0)
    assert seen == [0, 1, 2]
    # In their order, each once; the first one Keras looks at twice.
    np.testing.assert_array_equal(np.concatenate(taken[-3:]), images())
    np.testing.assert_allclose(
        model.posterior.offsets, other.posterior.offsets, rtol=1e-5
    )


def test_of_the_same_image_again_and_again_nothing_is_learned():
    model = vae(likelihood="gaussian")
    model.adapt(np.full((4, 32, 32, 1), 7, "uint8"))
    assert not model.is_adapted
    np.testing.assert_array_equal(model.posterior.offsets, 0)


def test_a_noise_variance_is_the_curvature_of_the_distortion():
    x = images()
    bernoulli = likelihoods.get("bernoulli")
    mean = tf.constant(x.mean(0, keepdims=True))
    logits = tf.math.log(mean / (1 - mean))
    with tf.GradientTape() as outer:
        outer.watch(logits)
        with tf.GradientTape() as inner:
            inner.watch(logits)
            distortion = bernoulli.distortion(mean, logits)
        slope = inner.gradient(distortion, logits)
    # Of the mean image, dp = p (1 - p) dlogit: 1 / curvature in p.
    curvature = outer.gradient(slope, logits).numpy()
    p = mean.numpy()
    in_p = curvature / (p * (1 - p)) ** 2
    assert bernoulli.noise_variance(x) == pytest.approx(
        (1 / in_p).mean(), rel=1e-4
    )
