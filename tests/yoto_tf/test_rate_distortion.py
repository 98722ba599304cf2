"""The rate-distortion curve against NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from yoto_tf import BetaConfig
from yoto_tf import ConditionalVAE
from yoto_tf import InputError
from yoto_tf import ModelConfig
from yoto_tf.families.vae.rate_distortion import rate_distortion_curve

BETAS = (0.5, 4.0, 64.0)
GRID = [{"beta": b} for b in BETAS]
VALUES = 32 * 32 * 3


@pytest.fixture(scope="module")
def vae():
    keras.utils.set_random_seed(0)
    config = ModelConfig(
        latent_size=4, base_channels=2, convs_per_block=1, dense_units=8
    )
    return ConditionalVAE((32, 32, 3), config, BetaConfig(low=0.5, high=64.0))


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (11, 32, 32, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def curve(vae, images):
    return rate_distortion_curve(vae, images, GRID, batch_size=4)


class Spy:
    """Stands in for a model and keeps the noise that it is given."""

    def __init__(self, vae):
        self.model_config = vae.model_config
        self.weight_names = vae.weight_names
        self.checked_terms = vae.checked_terms
        self.noise = []

    def run(self, images, loss_parameters, noise):
        self.noise.append(noise.numpy())
        zeros = np.zeros(len(noise), "float32")
        return {
            "distortion": tf.constant(zeros),
            "rate": tf.constant(zeros),
            "mean": noise,
        }


def noise_of(vae, images, seed=0):
    """The noise that the curve gives to each image, at every beta."""
    spy = Spy(vae)
    tf.config.run_functions_eagerly(True)
    try:
        rate_distortion_curve(spy, images, GRID[:2], 4, seed)
    finally:
        tf.config.run_functions_eagerly(False)
    first, second = np.split(np.concatenate(spy.noise), 2)
    np.testing.assert_array_equal(first, second)
    return first


def test_points_are_means_and_errors_over_the_images(vae, images, curve):
    noise = noise_of(vae, images)
    assert [point["beta"] for point in curve] == list(BETAS)
    for point in curve:
        beta = np.full(len(images), point["beta"], "float32")
        outputs = vae(images, {"beta": beta}, noise=noise)
        distortion = np.float64(outputs["distortion"])
        rate = np.float64(outputs["rate"])
        for name, values in (
            ("distortion", distortion),
            ("rate", rate),
            ("full_loss", distortion + point["beta"] * rate),
        ):
            mean = sum(values) / 11
            error = np.sqrt(sum((values - mean) ** 2) / 10 / 11)
            numbers = point
            # Rates of 1e-4 nats are differences of float32 numbers near 1.
            assert numbers[name] == pytest.approx(mean, rel=1e-5, abs=1e-7)
            assert numbers[f"{name}_se"] == pytest.approx(
                error, rel=1e-3, abs=1e-7
            )
            assert numbers[f"{name}_bpd"] == pytest.approx(
                mean / VALUES / np.log(2), rel=1e-5, abs=1e-10
            )
        variance = np.asarray(outputs["mean"]).var(axis=0)
        assert point["active_units"] == (variance > 0.01).sum()


def test_noise_is_standard_normal_and_differs_between_images(vae):
    images = np.zeros((400, 32, 32, 3), np.uint8)
    noise = noise_of(vae, images)
    assert noise.shape == (400, 4)
    assert len(np.unique(noise)) == noise.size
    assert abs(noise.mean()) < 4 / np.sqrt(noise.size)
    assert abs(noise.std() - 1) < 4 / np.sqrt(2 * noise.size)


def test_active_units_are_latents_whose_mean_varies(vae, images):
    class Stub:
        """Its second latent varies by the brightness, the others by little
        or not at all."""

        model_config = vae.model_config
        weight_names = vae.weight_names
        checked_terms = vae.checked_terms

        def run(self, images, loss_parameters, noise):
            outputs = vae.run(images, loss_parameters, noise=noise)
            light = keras.ops.mean(images, axis=(1, 2, 3)) / 255
            columns = [light * 0, light * 9, light * 0.1, light * 0 + 5]
            outputs["mean"] = keras.ops.stack(columns, axis=-1)
            return outputs

    shades = np.linspace(0, 255, 11).astype(np.uint8)[:, None, None, None]
    points = rate_distortion_curve(Stub(), images * 0 + shades, [{"beta": 1.0}])
    assert points[0]["active_units"] == 1


@pytest.mark.parametrize("batch_size", [1, 3, 11, 500])
def test_the_batch_size_does_not_change_the_scores(
    batch_size, vae, images, curve
):
    again = rate_distortion_curve(vae, images, GRID, batch_size)
    for point, expected in zip(again, curve, strict=True):
        for name, value in expected.items():
            assert point[name] == pytest.approx(value, rel=1e-4), name


def test_an_image_keeps_its_noise_when_others_follow(vae, images):
    np.testing.assert_array_equal(
        noise_of(vae, images[:5]), noise_of(vae, images)[:5]
    )


def test_the_seed_decides_the_noise(vae, images, curve):
    same = rate_distortion_curve(vae, images, GRID, batch_size=4, seed=0)
    assert same == curve
    other = rate_distortion_curve(vae, images, GRID, batch_size=4, seed=1)
    assert other[0]["distortion"] != curve[0]["distortion"]
    assert other[0]["rate"] == pytest.approx(curve[0]["rate"])


def test_betas_outside_the_trained_range_are_scored(vae, images):
    points = rate_distortion_curve(
        vae, images, [{"beta": 0.01}, {"beta": 4096.0}]
    )
    assert [np.isfinite(p["full_loss"]) for p in points] == [True, True]


def test_progress_counts_the_betas(vae, images):
    done = []
    rate_distortion_curve(vae, images, GRID, done=done.append)
    assert done == [1, 2, 3]


@pytest.mark.parametrize("num", [0, 1])
def test_fewer_than_two_images_are_refused(num, vae, images):
    with pytest.raises(InputError, match=f"two or more images.*{num}"):
        rate_distortion_curve(vae, images[:num], GRID)
