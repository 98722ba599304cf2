"""MS-SSIM as the distortion that lambda weighs."""

import dataclasses

import compression_models
import numpy as np
import pytest
import tensorflow as tf
from compression_models import photo

from yoto_tf.errors import InputError
from yoto_tf.families import family_for
from yoto_tf.families import get_preset
from yoto_tf.families.compression.model.hyperprior import CompressionModel
from yoto_tf.families.compression.model.similarity import ms_ssim
from yoto_tf.method.parameters import LogUniform
from yoto_tf.strict_config import with_settings

SIMILAR = {
    "model.distortion": "ms_ssim",
    "parameter.low": 2.4,
    "parameter.high": 220.0,
}


def pairs():
    """Pictures, and the same with some noise, blurred, brighter."""
    x = np.stack([photo(176, 192, seed) for seed in range(3)]) / 255
    rng = np.random.default_rng(0)
    y = np.stack(
        [
            x[0] + rng.normal(size=x[0].shape) * 0.1,
            (x[1] + np.roll(x[1], 3, 0) + np.roll(x[1], 5, 1)) / 3,
            x[2] * 0.8 + 0.2,
        ]
    )
    return np.float32(x), np.float32(y.clip(0, 1))


def test_it_is_that_of_tensorflow():
    x, y = pairs()
    wanted = tf.image.ssim_multiscale(x, y, 1.0).numpy()
    assert wanted.min() < 0.97 < wanted.max()
    np.testing.assert_allclose(ms_ssim(x, y), wanted, atol=2e-5)
    np.testing.assert_allclose(ms_ssim(x, x), 1, atol=1e-6)


def test_a_scale_is_that_of_scikit_image():
    metrics = pytest.importorskip("skimage.metrics")
    from yoto_tf.families.compression.model.similarity import _similarities

    x, y = pairs()
    found, _ = _similarities(tf.constant(x), tf.constant(y))
    for i in range(3):
        wanted = metrics.structural_similarity(
            x[i].astype("float64"),
            y[i].astype("float64"),
            gaussian_weights=True,
            use_sample_covariance=False,
            data_range=1.0,
            channel_axis=-1,
            full=True,
        )[1]
        # The places where the window is whole.
        inside = wanted[5:-5, 5:-5].mean((0, 1))
        np.testing.assert_allclose(found[i], inside, atol=2e-5)


def test_its_gradient_is_a_number_where_pictures_contradict_each_other():
    x, _ = pairs()
    y = tf.Variable(1 - x)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(1 - ms_ssim(x, y))
    assert np.isfinite(tape.gradient(loss, y)).all()
    # It leads to the picture.
    y = tf.Variable(x * 0.5 + 0.25)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(1 - ms_ssim(x, y))
    slope = tape.gradient(loss, y)
    less = tf.reduce_sum(1 - ms_ssim(x, y - 1e-3 * slope / tf.norm(slope)))
    assert less < loss
    with pytest.raises(InputError, match="176 pixels a side.*160 x 192"):
        ms_ssim(x[:, :160], x[:, :160])


def test_lambda_weighs_it():
    tiny = compression_models.tiny()
    network = dataclasses.replace(tiny.network, distortion="ms_ssim")
    model = CompressionModel(network, {"lmbda": LogUniform(2.4, 220.0)}, seed=0)
    x = np.stack([photo(192, 192, seed) for seed in range(2)])
    asked = {"lmbda": np.float32([3.0, 100.0])}
    # An untrained network's similarity of a scale may be next to 0, where its
    # power says no more than how a processor rounds.
    near = np.float32(x * (0.8 / 255) + 0.1)
    outputs = {**model(x, asked), "image": tf.constant(near)}
    terms = model.loss_terms(x, None, outputs, asked)
    wanted = tf.image.ssim_multiscale(
        tf.constant(x / np.float32(255)), outputs["image"], 1.0
    )
    np.testing.assert_allclose(terms["distortion"], 1 - wanted, atol=2e-4)
    np.testing.assert_allclose(
        terms["rate"], outputs["bits"] / 192**2, rtol=1e-6
    )
    found = np.mean(model.objective(terms, asked))
    wanted = np.mean(terms["rate"] + asked["lmbda"] * terms["distortion"])
    assert found == pytest.approx(wanted, rel=1e-5)
    # Smaller pictures are answered, not trained on.
    assert model(x[:, :64, :64], asked)["image"].shape == (2, 64, 64, 3)
    with pytest.raises(InputError, match="176 pixels a side"):
        model.loss_terms(x[:, :64, :64], None, model(x[:, :64, :64], asked), {})


def test_scores_have_it_where_crops_are_large_enough():
    model = compression_models.tiny()
    config = get_preset("compression").config
    family = family_for(config)
    assert [c.name for c in family.columns] == [
        "rate",
        "psnr",
        "ms_ssim",
        "distortion",
        "full_loss",
    ]
    crops = np.stack([photo(192, 192, seed) for seed in range(2)])
    [row] = family.score(model, crops, [{"lmbda": 0.02}])
    made = model(crops, {"lmbda": np.float32([0.02, 0.02])})["image"]
    similar = tf.image.ssim_multiscale(
        crops.astype("float32"), 255 * made, 255.0
    )
    decibels = -10 * np.log10(1 - similar.numpy().astype("float64"))
    assert row["ms_ssim"] == pytest.approx(decibels.mean(), abs=1e-3)
    error = np.square(crops - 255.0 * np.float64(made)).mean((1, 2, 3))
    assert row["distortion"] == pytest.approx(error.mean(), rel=1e-4)
    wanted = (10 * np.log10(255**2 / error)).mean()
    assert row["psnr"] == pytest.approx(wanted, abs=1e-3)
    config = with_settings(config, {"data.crop_size": 64, "data.cell_size": 64})
    assert "ms_ssim" not in [c.name for c in family_for(config).columns]


def test_its_settings_are_said_and_its_crops_large():
    config = get_preset("compression").config
    similar = with_settings(config, SIMILAR)
    family = family_for(similar)
    assert family.trade_off[1].unit == "1 - MS-SSIM"
    assert family_for(config).trade_off[1].unit == "255**2 MSE"
    model = family.model(similar, None)
    said = model.loss_parameters.facts("lmbda")["description"]
    assert "Weight of 1 - MS-SSIM against the bits" in said
    with pytest.raises(InputError, match="crop_size of 176 or more"):
        with_settings(similar, {"data.crop_size": 128})
    with pytest.raises(InputError, match=r"of 1 and more.*received: 0\.18"):
        with_settings(config, {"model.distortion": "ms_ssim"})
    fixed = family.fixed(similar, {"lmbda": 3.0})
    assert with_settings(similar, fixed).parameter.values == (3.0,)
