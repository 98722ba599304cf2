"""Likelihood and information of codes against closed forms."""

import math
import types

import numpy as np
import pytest
import tensorflow as tf

from yoto_tf.errors import InputError
from yoto_tf.families.vae.metrics import information
from yoto_tf.families.vae.metrics.information import information_bounds
from yoto_tf.families.vae.metrics.likelihood import importance_nll
from yoto_tf.families.vae.metrics.measurer import Measurer
from yoto_tf.families.vae.model.likelihoods import Likelihood
from yoto_tf.families.vae.model.likelihoods import SquaredError

POINT = {"beta": 1.0}


def drawn(mean, stddev, seed=0):
    noise = np.random.default_rng(seed).standard_normal(mean.shape)
    return mean + stddev * noise


def test_a_code_that_tells_nothing_has_no_information():
    # All images have one posterior, whatever it is: not log(400) = 6.
    mean, stddev = np.full((400, 5), 0.7), np.full((400, 5), 0.3)
    found = information_bounds(mean, stddev, drawn(mean, stddev))
    assert found == pytest.approx((0, 0), abs=1e-9)


def test_posteriors_that_hardly_differ_have_next_to_none():
    mean = 0.01 * np.random.default_rng(1).standard_normal((400, 5))
    stddev = np.ones_like(mean)
    found = information_bounds(mean, stddev, drawn(mean, stddev))
    assert found == pytest.approx((0, 0), abs=0.01)
    # What is drawn would leave it below: -0.0005.
    assert found[0] >= 0


def test_information_of_a_gaussian_code_is_the_closed_form():
    # z = m + s e with m ~ N(0, 1 - s^2): I = -log s per latent.
    s = 0.5
    rng = np.random.default_rng(2)
    mean = math.sqrt(1 - s**2) * rng.standard_normal((3000, 2))
    stddev = np.full_like(mean, s)
    found = information_bounds(mean, stddev, drawn(mean, stddev))
    assert found == pytest.approx((-2 * math.log(s),) * 2, abs=0.06)


def test_the_truth_lies_between_the_bounds_where_few_posteriors_overlap():
    # The lower one is far below log(3000) = 8.0 and yet not the truth.
    s, latents = 0.3, 6
    rng = np.random.default_rng(2)
    mean = math.sqrt(1 - s**2) * rng.standard_normal((3000, latents))
    stddev = np.full_like(mean, s)
    lower, upper = information_bounds(mean, stddev, drawn(mean, stddev))
    assert 6.3 < lower < -latents * math.log(s) - 0.5
    assert -latents * math.log(s) + 0.3 < upper


def test_images_that_are_told_apart_have_the_ceilings_information():
    mean = 100.0 * np.arange(60)[:, None] * np.ones((1, 3))
    stddev = np.full_like(mean, 1e-3)
    found, upper = information_bounds(mean, stddev, drawn(mean, stddev))
    assert found == pytest.approx(math.log(60))
    assert upper > 1e6


def test_information_is_the_mean_over_all_pairs():
    rng = np.random.default_rng(3)
    mean, stddev = rng.standard_normal((300, 4)), rng.uniform(0.2, 1, (300, 4))
    z = drawn(mean, stddev)
    logs = -0.5 * ((z[:, None] - mean) / stddev) ** 2 - np.log(stddev)
    logs = logs.sum(-1)
    lower = np.diag(logs) - np.log(np.exp(logs).mean(1))
    others = np.exp(logs)[~np.eye(300, dtype=bool)].reshape(300, 299)
    upper = np.diag(logs) - np.log(others.mean(1))
    found = information_bounds(mean, stddev, z)
    assert found == pytest.approx((lower.mean(), upper.mean()))


class LinearGaussian:
    """p(z) = N(0, I), p(x|z) = N(Wz, s^2 I); its posterior, of which the
    deviations may be wrong."""

    def __init__(self, pixels, latents, scale=0.5, wider=1.0):
        rng = np.random.default_rng(4)
        # Orthogonal columns: the true posterior is diagonal.
        q = np.linalg.qr(rng.standard_normal((pixels, latents)))[0]
        self.w = q * np.linspace(0.8, 2.0, latents)
        self.scale, self.wider = scale, wider
        self.variance = 1 / (1 + (self.w**2).sum(0) / scale**2)

    def nll(self, x):
        """In closed form: x ~ N(0, W W' + s^2 I)."""
        cov = self.w @ self.w.T + self.scale**2 * np.eye(len(self.w))
        squared = np.einsum("ni,ij,nj->n", x, np.linalg.inv(cov), x)
        size = x.shape[1] * math.log(2 * math.pi)
        return 0.5 * (squared + np.linalg.slogdet(cov)[1] + size)

    def posterior(self, x):
        mean = self.variance * (x @ self.w) / self.scale**2
        deviation = self.wider * np.sqrt(self.variance)
        return mean, np.broadcast_to(deviation, mean.shape)

    def distortion(self, x, z):
        left = (x - z @ self.w.T) / self.scale
        size = x.shape[1] * math.log(2 * math.pi * self.scale**2)
        return 0.5 * ((left**2).sum(1) + size)


@pytest.fixture(scope="module")
def points():
    return np.random.default_rng(5).standard_normal((60, 12))


def test_the_true_posterior_gives_the_true_likelihood_by_one_sample(points):
    model = LinearGaussian(12, 3)
    nll, bound = importance_nll(
        model.distortion, points, *model.posterior(points), samples=1
    )
    # Latents are float32 for the decoder.
    np.testing.assert_allclose(nll, model.nll(points), rtol=1e-5)
    np.testing.assert_allclose(bound, nll, rtol=1e-12)


def test_another_posterior_approaches_it_from_above():
    points = np.random.default_rng(5).standard_normal((300, 12))
    model = LinearGaussian(12, 3, wider=1.6)
    found = {
        k: importance_nll(
            model.distortion, points, *model.posterior(points), samples=k
        )
        for k in (1, 5, 1000)
    }
    means = [found[k][0].mean() for k in found]
    assert means == sorted(means, reverse=True)
    assert means[0] > means[-1] + 0.1
    np.testing.assert_allclose(found[1000][0], model.nll(points), atol=0.25)
    assert means[-1] == pytest.approx(model.nll(points).mean(), abs=0.01)
    # Never above the ELBO's, image by image.
    assert all((nll <= bound + 1e-9).all() for nll, bound in found.values())
    # And that is the ELBO: KL to a Gaussian of the wrong width.
    gap = 3 * (0.5 * (1.6**2 - 1) - math.log(1.6))
    gap = found[1000][1] - model.nll(points) - gap
    assert gap.mean() == pytest.approx(0, abs=0.02)


def test_fewer_than_one_sample_is_refused(points):
    model = LinearGaussian(12, 3)
    with pytest.raises(InputError, match="samples=0"):
        importance_nll(
            model.distortion, points, *model.posterior(points), samples=0
        )


class Linear(Likelihood):
    def __init__(self, model):
        self.model = model

    def distortion(self, images, outputs):
        left = tf.reshape(images - outputs, [-1, 12])
        size = 12 * math.log(2 * math.pi * self.model.scale**2)
        scaled = left / self.model.scale
        return 0.5 * (tf.reduce_sum(scaled**2, 1) + size)


def as_vae(model, side=2):
    """The linear model by the methods of a `ConditionalVAE`."""

    def posterior_of(images, values, noise):
        x = tf.reshape(images, [-1, side * side * 3])
        w = tf.constant(model.w, tf.float32)
        mean = tf.constant(model.variance, tf.float32) * (x @ w)
        mean /= model.scale**2
        stddev = model.wider * np.sqrt(model.variance).astype("float32")
        stddev = tf.zeros_like(mean) + stddev
        return mean + stddev * noise, mean, stddev

    def likelihood_of(z, values):
        w = tf.constant(model.w.T, tf.float32)
        return tf.reshape(z @ w, [-1, side, side, 3])

    return types.SimpleNamespace(
        posterior_of=posterior_of,
        likelihood_of=likelihood_of,
        likelihood=Linear(model),
        model_config=types.SimpleNamespace(latent_size=model.w.shape[1]),
    )


def test_a_model_is_measured_on_its_own_images():
    model = LinearGaussian(12, 3, wider=1.3)
    rng = np.random.default_rng(6)
    images = rng.integers(0, 256, (50, 2, 2, 3), np.uint8)
    measure = Measurer(as_vae(model), images)
    row = measure("nll", POINT, 300)
    exact = model.nll(images.reshape(50, 12) / 255)
    assert row["nll"] == pytest.approx(exact.mean(), abs=0.02)
    assert row["nll_se"] == pytest.approx(
        exact.std(ddof=1) / math.sqrt(50), rel=0.05
    )
    assert row["nll"] < row["elbo_nll"]
    row = measure("mutual_information", POINT)
    assert row["mutual_information_ceiling"] == pytest.approx(math.log(50))
    assert 0 < row["mutual_information"] < math.log(50) - 1
    more = row["mutual_information_at_most"] - row["mutual_information"]
    assert 0 < more < 0.1
    assert row["mutual_information_at_least"] == 0


def test_what_a_distortion_leaves_out_is_in_the_likelihood():
    """Squares are a Gaussian of the variance 1/2 but for its constant."""
    images = np.random.default_rng(6).integers(0, 256, (50, 2, 2, 3), np.uint8)
    plain = as_vae(LinearGaussian(12, 3, scale=math.sqrt(0.5)))
    less = as_vae(LinearGaussian(12, 3, scale=math.sqrt(0.5)))
    left_out = SquaredError.left_out
    known = less.likelihood.distortion
    less.likelihood.distortion = lambda *a: known(*a) - 12 * left_out
    less.likelihood.left_out = left_out
    expected = Measurer(plain, images)("nll", POINT, 10)
    found = Measurer(less, images)("nll", POINT, 10)
    assert found == pytest.approx(expected, rel=1e-5)
    # Of which it is the distortion.
    pair = tf.zeros((1, 2, 2, 3)), tf.fill((1, 2, 2, 3), 0.3)
    squares = SquaredError().distortion(*pair).numpy()
    np.testing.assert_allclose(
        plain.likelihood.distortion(*pair), squares + 12 * left_out, rtol=1e-6
    )


@pytest.mark.parametrize(
    ("bounds", "at_most", "at_least"),
    [
        ((1.2, 1.25), 1.25, 0),
        # Far below the ceiling of 6.0, and a lower bound all the same.
        ((1.2, 1.4), 1.4, 1),
        # Images that nothing is like have any distance; the rate is less.
        ((1.2, 1e6), None, 1),
    ],
)
def test_information_that_the_bounds_leave_open_is_said_to_be_more(
    bounds, at_most, at_least, monkeypatch
):
    monkeypatch.setattr(information, "information_bounds", lambda *_: bounds)
    model = LinearGaussian(12, 3)
    images = np.random.default_rng(6).integers(0, 256, (400, 2, 2, 3), np.uint8)
    row = Measurer(as_vae(model), images)("mutual_information", POINT)
    mean, stddev = model.posterior(images.reshape(400, 12) / 255)
    rate = 0.5 * (mean**2 + stddev**2 - 1 - 2 * np.log(stddev)).sum(1).mean()
    assert 1.4 < rate < 6
    assert row["mutual_information"] == 1.2
    assert row["mutual_information_at_most"] == pytest.approx(at_most or rate)
    assert row["mutual_information_at_least"] == at_least


def test_a_collapsed_code_has_no_scores_that_forget_its_scale():
    """Means of 1e-7, which tell the factors perfectly, of a rate of 1e-12."""
    model = LinearGaussian(12, 2, scale=1e3)
    rng = np.random.default_rng(6)
    a, b = rng.integers(0, 4, (2, 60))
    images = np.zeros((60, 2, 2, 3), np.uint8)
    images[:, 0, 0, 0], images[:, 1, 1, 2] = 60 * a, 60 * b
    measure = Measurer(as_vae(model), images, {"a": a, "b": b})
    found = measure("disentanglement", POINT) | measure("dci", POINT)
    assert found["live_codes"] == found["factor_vae_score"] == 0
    assert found["sap"] == pytest.approx(0, abs=0.15)
    left_out = {name for name, value in found.items() if math.isnan(value)}
    assert left_out == {
        *("mig", "modularity"),
        *("dci_disentanglement", "dci_completeness", "dci_informativeness"),
    }


def test_information_is_left_out_where_the_rate_is_above_its_ceiling():
    model = LinearGaussian(12, 3, scale=0.01)
    rng = np.random.default_rng(6)
    images = rng.integers(0, 256, (50, 2, 2, 3), np.uint8)
    row = Measurer(as_vae(model), images)("mutual_information", POINT)
    assert math.isnan(row["mutual_information"])
    assert row["mutual_information_at_least"] == 0


@pytest.mark.parametrize(
    ("num", "factors", "message"),
    [
        (10, {"a": np.arange(10) % 2, "b": np.arange(10)}, "20 images"),
        (40, {"a": np.zeros(40, int), "b": np.arange(40) % 3}, r"\['b'\]"),
    ],
)
def test_factors_that_tell_nothing_are_refused(num, factors, message):
    images = np.zeros((num, 2, 2, 3), np.uint8)
    with pytest.raises(InputError, match=message):
        Measurer(as_vae(LinearGaussian(12, 3)), images, factors)
