"""The conditional VAE: its losses, what users call, and what it refuses."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

import yoto_tf
from yoto_tf import BetaConfig
from yoto_tf import ConditionalVAE
from yoto_tf import ConditioningConfig
from yoto_tf import InputError
from yoto_tf import ModelConfig
from yoto_tf.families.vae.beta_distribution import DESCRIPTION
from yoto_tf.families.vae.beta_distribution import beta_distribution
from yoto_tf.families.vae.loss_config import ObjectiveConfig
from yoto_tf.families.vae.model.inputs import to_unit_interval
from yoto_tf.families.vae.presets import PRESETS
from yoto_tf.method.parameters import Choice
from yoto_tf.method.parameters import Constant
from yoto_tf.method.parameters import LogUniform
from yoto_tf.method.parameters import Uniform

LATENTS = 3
# Neighbours in the middle of a batch that differ much, and both ends.
BETAS = np.float32([0.125, 512.0, 1.0, 64.0])


def small_config(kind="film", sites=("block", "dense"), **fields):
    return ModelConfig(
        latent_size=LATENTS,
        base_channels=2,
        convs_per_block=1,
        dense_units=8,
        conditioning=ConditioningConfig(
            kind=kind,
            sites=sites,
            **({"hidden_units": 4} if "film" in kind else {}),
        ),
        **fields,
    )


def make_vae(kind="film", beta=None, objective=None, **fields):
    """A small VAE whose answers depend on beta visibly."""
    keras.utils.set_random_seed(0)
    vae = ConditionalVAE(
        (32, 32, 3),
        small_config(kind, **fields),
        beta,
        objective,
        seed=1,
    )
    rng = np.random.default_rng(0)
    for weight in vae.trainable_variables:
        if "conditioning" in weight.path or "output" in weight.path:
            weight.assign(rng.normal(size=weight.shape) * 0.5)
    return vae


@pytest.fixture(scope="module")
def vae():
    """Shared by the tests that do not train it."""
    return make_vae()


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)


def from_encode_and_decode(vae, images, betas, noise):
    """Distortion and rate, in NumPy from the numbers that users get."""
    x = images.astype("float64") / 255
    mean, stddev = (np.float64(t) for t in vae.encode(images, betas))
    rate = 0.5 * (mean**2 + stddev**2 - 1 - 2 * np.log(stddev)).sum(1)
    z = mean + stddev * noise
    # decode() rounds or clips and has no scale: ask the decoder itself.
    outputs = np.float64(
        vae.likelihood_of(tf.cast(z, "float32"), {"beta": betas})
    )
    if vae.model_config.likelihood == "bernoulli":
        p = 1 / (1 + np.exp(-outputs))
        np.testing.assert_allclose(vae.decode(z, betas), p, atol=1e-5)
        nats = -(x * np.log(p) + (1 - x) * np.log1p(-p))
    else:
        m, raw = np.split(outputs, 2, axis=-1)
        scale = np.log1p(np.exp(raw)) + 1e-6
        nats = 0.5 * ((2 * x - 1 - m) / scale) ** 2
        nats += np.log(scale * np.sqrt(2 * np.pi))
        np.testing.assert_allclose(
            vae.decode(z, betas), np.clip((m + 1) / 2, 0, 1), atol=1e-5
        )
    return nats.sum((1, 2, 3)), rate


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_call_scores_what_encode_and_decode_say(likelihood, images):
    vae = make_vae(likelihood=likelihood)
    noise = np.random.default_rng(1).normal(size=(4, LATENTS)).astype("float32")
    outputs = vae(images, loss_parameters={"beta": BETAS}, noise=noise)
    assert {name: tuple(t.shape) for name, t in outputs.items()} == {
        "reconstruction": (4, 32, 32, 3),
        "distortion": (4,),
        "rate": (4,),
        "mean": (4, LATENTS),
        "stddev": (4, LATENTS),
        "latent": (4, LATENTS),
    }
    np.testing.assert_allclose(
        outputs["latent"],
        outputs["mean"] + outputs["stddev"] * noise,
        rtol=1e-5,
        atol=1e-6,
    )
    distortion, rate = from_encode_and_decode(vae, images, BETAS, noise)
    np.testing.assert_allclose(outputs["distortion"], distortion, rtol=1e-4)
    np.testing.assert_allclose(outputs["rate"], rate, rtol=1e-4)


@pytest.mark.slow
def test_loss_is_distortion_plus_beta_times_rate(images):
    plain = ObjectiveConfig(warm_up=0.0)
    vae = make_vae(objective=plain)
    twin = make_vae(objective=plain)
    twin.adapt(images)
    vae.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
    logs = vae.fit(images, batch_size=4, shuffle=False, verbose=0).history
    weights = twin.sample_loss_parameters(4)
    assert len(np.unique(weights["beta"])) == 4
    noise = keras.random.normal(
        (4, LATENTS), seed=twin.posterior.seed_generator
    )
    beta = weights["beta"].numpy()
    distortion, rate = from_encode_and_decode(twin, images, beta, noise.numpy())
    np.testing.assert_allclose(logs["distortion"], [distortion.mean()], 1e-4)
    np.testing.assert_allclose(logs["rate"], [rate.mean()], 1e-4)
    loss = distortion + beta * rate
    np.testing.assert_allclose(logs["loss"], [loss.mean()], 1e-4)


@pytest.mark.slow
def test_fit_lowers_the_watched_losses():
    keras.utils.set_random_seed(0)
    # Stripes of a few colours: something that three latents can hold.
    rng = np.random.default_rng(0)
    images = np.zeros((64, 32, 32, 3), np.float32)
    images += rng.choice([0.1, 0.9], size=(64, 1, 1, 3))
    vae = ConditionalVAE(
        (32, 32, 3),
        small_config(sites=("dense",)),
        watched_betas=(1.0, 64.0),
        seed=0,
    )
    vae.compile(keras.optimizers.Adam(1e-2), run_eagerly=True)
    before = vae.evaluate(images, verbose=0, return_dict=True)
    vae.fit(np.concatenate([images] * 10), batch_size=32, verbose=0)
    after = vae.evaluate(images, verbose=0, return_dict=True)
    # It starts with hardly any rate, so that the distortion is what falls.
    assert after["loss"] < before["loss"] - 50
    assert after["distortion_at_beta=1"] < before["distortion_at_beta=1"] - 80
    assert after["rate_at_beta=64"] < after["rate_at_beta=1"]


@pytest.mark.parametrize(
    "kind", ["film", "sigmoid_film", "gate", "spline", "concatenation"]
)
def test_gradients_reach_every_weight(kind, images):
    keras.utils.set_random_seed(0)
    vae = ConditionalVAE((32, 32, 3), small_config(kind), seed=0)
    optimizer = keras.optimizers.SGD(1e-4)
    # FiLM's last layers start at zero and hide the ones before them from
    # the first gradient.
    for _ in range(2):
        with tf.GradientTape() as tape:
            outputs = vae(images, loss_parameters={"beta": BETAS})
            loss = tf.reduce_mean(outputs["distortion"] + outputs["rate"])
        gradients = tape.gradient(loss, vae.trainable_variables)
        optimizer.apply(gradients, vae.trainable_variables)
    for weight, gradient in zip(
        vae.trainable_variables, gradients, strict=True
    ):
        assert np.isfinite(gradient).all(), weight.path
        assert np.abs(gradient).max() > 0, weight.path


@pytest.mark.parametrize(
    "kind", ["film", "sigmoid_film", "gate", "spline", "concatenation"]
)
def test_every_image_of_a_batch_has_its_own_beta(kind, images):
    vae = make_vae(kind)
    same = np.repeat(images[:1], 4, axis=0)
    together = vae.reconstruct(same, BETAS).numpy()
    for i, beta in enumerate(BETAS):
        alone = vae.reconstruct(images[:1], float(beta)).numpy()[0]
        np.testing.assert_allclose(together[i], alone, atol=1e-5)
        assert i == 0 or np.abs(together[i] - together[0]).max() > 1e-3


def test_an_image_has_the_same_answer_in_any_batch(vae, images):
    order = [2, 0, 3, 1]
    mean, stddev = vae.encode(images, BETAS)
    shuffled = vae.encode(images[order], BETAS[order])
    np.testing.assert_allclose(shuffled[0], mean.numpy()[order], atol=1e-5)
    np.testing.assert_allclose(shuffled[1], stddev.numpy()[order], atol=1e-5)
    np.testing.assert_allclose(
        vae.reconstruct(images[:3], BETAS[:3]),
        vae.reconstruct(images, BETAS)[:3],
        atol=1e-5,
    )


def test_one_beta_stands_for_the_whole_batch(vae, images):
    four = np.full(4, 16.0)
    z = np.zeros((4, LATENTS))
    for one, each in (
        (vae.encode(images, 16), vae.encode(images, four)),
        (vae.decode(z, 16.0), vae.decode(z, four)),
        (vae.reconstruct(images, 16), vae.reconstruct(images, four)),
        (vae.sample(4, 16, seed=1), vae.sample(4, list(four), seed=1)),
    ):
        np.testing.assert_array_equal(one, each)


def test_reconstruct_decodes_the_mean_and_is_the_same_each_time(vae, images):
    mean, _ = vae.encode(images, BETAS)
    expected = vae.decode(mean, BETAS)
    for _ in range(2):
        np.testing.assert_array_equal(vae.reconstruct(images, BETAS), expected)


def test_pixels_and_unit_floats_mean_the_same(vae, images):
    unit = images.astype("float64") / 255
    expected = vae.encode(images, BETAS)[0]
    for dtype in ("float32", "float64"):
        np.testing.assert_allclose(
            vae.encode(unit.astype(dtype), BETAS)[0], expected, atol=1e-5
        )
    np.testing.assert_allclose(to_unit_interval(images), unit, atol=1e-7)


def test_sample_decodes_standard_normal_latents(vae):
    samples = vae.sample(2, 1.0, seed=3)
    assert samples.shape == (2, 32, 32, 3)
    z = keras.random.normal((2, LATENTS), seed=3)
    np.testing.assert_array_equal(samples, vae.decode(z, 1.0))
    assert not np.allclose(vae.sample(2, 1.0, seed=4), samples)
    assert not np.allclose(vae.sample(2, 512.0, seed=3), samples)


@pytest.mark.parametrize(
    "beta", [0.0, -1.0, np.nan, np.inf, 0.1, 513.0, [1.0, 1.0, 0.0, 1.0]]
)
@pytest.mark.parametrize(
    "method", ["encode", "decode", "reconstruct", "sample"]
)
def test_betas_outside_the_trained_range_are_refused(method, beta, vae, images):
    first = {"decode": np.zeros((4, LATENTS)), "sample": 4}.get(method, images)
    with pytest.raises(InputError) as refused:
        getattr(vae, method)(first, beta)
    bad = np.ravel(beta)[2 if np.size(beta) > 1 else 0]
    assert str(refused.value) == (
        f"expected beta between 0.125 and 512, received: beta={bad:g}"
    )


@pytest.mark.parametrize("beta", [[1.0], [1.0] * 3, [[1.0]] * 4])
def test_betas_are_one_number_or_one_per_image(beta, vae, images):
    with pytest.raises(InputError, match=r"one per example, shape \(4,\)"):
        vae.encode(images, beta)


@pytest.mark.parametrize("beta", [0.125, 512.0, np.float32(512)])
def test_the_ends_of_the_range_are_in_it(beta, vae, images):
    assert vae.encode(images, beta)[0].shape == (4, LATENTS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x[:, :16], r"shape \(batch, 32, 32, 3\).*\(4, 16, 32, 3\)"),
        (lambda x: x[0], r"shape \(batch, 32, 32, 3\).*\(32, 32, 3\)"),
        (lambda x: x[..., :1], r"\(4, 32, 32, 1\)"),
        (lambda x: x.astype("int64"), "uint8, or as float.*dtype=int64"),
        (lambda x: x.astype("float32"), r"float images in \[0, 1\].* to 255"),
        (lambda x: x / 255 - 0.1, r"values from -0.1 to"),
        (lambda x: x * np.nan, "values from nan to nan"),
    ],
    ids=["size", "single", "grey", "dtype", "pixels", "negative", "nan"],
)
def test_other_images_are_refused(change, message, vae, images):
    with pytest.raises(InputError, match=message):
        vae.reconstruct(change(images), 1.0)


@pytest.mark.parametrize(
    ("latents", "message"),
    [
        (np.zeros((2, 4)), r"latents of shape \(batch, 3\).*\(2, 4\)"),
        (np.zeros(3), r"latents of shape \(batch, 3\).*\(3,\)"),
        (np.full((2, 3), np.nan), "finite latents"),
        (np.full((2, 3), np.inf), "finite latents"),
    ],
)
def test_other_latents_are_refused(latents, message, vae):
    with pytest.raises(InputError, match=message):
        vae.decode(latents, 1.0)


@pytest.mark.parametrize("num", [0, -1, 2.5, "2", None])
def test_no_samples_are_refused(num, vae):
    with pytest.raises(InputError, match="num above 0"):
        vae.sample(num, 1.0)


@pytest.mark.parametrize("beta", [None, 1.0])
@pytest.mark.parametrize("asked", [4.0, "beta", ["beta"]])
def test_loss_parameters_are_a_dict(beta, asked, vae):
    latents = np.zeros((2, 3), "float32")
    with pytest.raises(InputError, match="loss_parameters to be a dict"):
        vae.decode(latents, beta, loss_parameters=asked)


@pytest.mark.parametrize(
    "floats", [lambda x: x.astype("float32"), lambda x: x / 255 - 0.5]
)
def test_fit_refuses_floats_that_are_not_in_the_unit_interval(floats, images):
    vae = make_vae("none")
    vae.compile(run_eagerly=True)
    before = vae.get_weights()
    with pytest.raises(InputError, match=r"float images in \[0, 1\]"):
        vae.fit(floats(images), verbose=0)
    for old, new in zip(before, vae.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_fit_refuses_images_of_another_size(images):
    vae = make_vae()
    vae.compile()
    with pytest.raises(InputError, match=r"received.*\(4, 16, 16, 3\)"):
        vae.fit(images[:, ::2, ::2], verbose=0)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_builds_its_model(name):
    vae = ConditionalVAE.from_preset(name)
    config = PRESETS[name].config
    size = 32 if name.startswith(("cifar10", "smoke")) else 64
    assert vae.image_shape == (size, size, 3)
    assert vae.model_config == config.model
    assert vae.beta_config == config.beta
    assert [w["beta"] for w in vae.watched] == list(
        config.evaluation.watched_betas
    )
    outputs = vae(
        np.zeros((1, size, size, 3), np.uint8), loss_parameters={"beta": 1.0}
    )
    assert outputs["reconstruction"].shape == (1, size, size, 3)


def test_presets_take_overrides_of_the_model():
    vae = ConditionalVAE.from_preset("smoke", width=2, likelihood="gaussian")
    expected = dataclasses.replace(
        PRESETS["smoke"].config.model, width=2, likelihood="gaussian"
    )
    assert vae.model_config == expected


def test_unknown_presets_fields_and_values_are_refused():
    with pytest.raises(InputError, match="a preset among.*'cifar10'"):
        ConditionalVAE.from_preset("cifar100")
    with pytest.raises(InputError, match="overrides among.*'width'.*'wdith'"):
        ConditionalVAE.from_preset("smoke", wdith=2)
    with pytest.raises(InputError, match="width to be a whole number"):
        ConditionalVAE.from_preset("smoke", width="2")
    with pytest.raises(InputError, match=r"size of \(32, 64, 128\)"):
        ConditionalVAE((48, 48, 3))


def wide():
    return LogUniform(0.5, 8.0, standardize=False, description=DESCRIPTION)


def constant(value):
    return BetaConfig(distribution="constant", values=(value,))


def test_a_constant_beta_is_not_told_to_the_network(images):
    vae = ConditionalVAE((32, 32, 3), small_config("film"), constant(16.0))
    assert vae.model_config.conditioning.kind == "none"
    stages = [*vae.encoder.stages, *vae.decoder.stages]
    assert all(s.conditioning is None for s in stages)
    # The unconditioned layers are those of the conditioned model.
    told = ConditionalVAE((32, 32, 3), small_config("film"))
    shapes = [w.shape for w in vae.trainable_variables]
    assert shapes == [
        w.shape
        for w in told.trainable_variables
        if "conditioning" not in w.path
    ]
    assert vae.watched == [{"beta": 16.0}]
    assert vae.reconstruct(images, 16.0).shape == images.shape
    with pytest.raises(InputError, match="16, the one it was trained for"):
        vae.reconstruct(images, 1.0)


def test_kind_none_is_trained_on_many_betas_and_told_none(images):
    vae = make_vae("none")
    assert len(np.unique(vae.sample_loss_parameters(64)["beta"])) == 64
    np.testing.assert_array_equal(
        vae.encode(images, 0.125)[0], vae.encode(images, 512.0)[0]
    )


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (BetaConfig(low=0.5, high=8.0), wide()),
        (
            BetaConfig(distribution="uniform", low=0.5, high=8.0),
            Uniform(0.5, 8.0, standardize=False, description=DESCRIPTION),
        ),
        (
            BetaConfig(distribution="choice", values=(1.0, 4.0)),
            Choice([1.0, 4.0], description=DESCRIPTION),
        ),
        (constant(2.0), Constant(2.0, description=DESCRIPTION)),
    ],
)
def test_beta_config_names_its_distribution(config, expected):
    assert beta_distribution(config, standardize=False) == expected


def test_the_network_sees_the_coordinate_that_is_configured(images):
    for standardize in (True, False):
        config = dataclasses.replace(
            small_config(),
            conditioning=ConditioningConfig(
                kind="film", standardize=standardize
            ),
        )
        vae = ConditionalVAE((32, 32, 3), config, BetaConfig(low=0.5, high=8))
        beta = np.float32([0.5, 2.0, 8.0])
        seen = vae.coordinates({"beta": beta})
        expected = np.log(beta)
        if standardize:
            # sqrt(3): the end of a uniform interval, in deviations.
            expected = [-np.sqrt(3), 0, np.sqrt(3)]
        np.testing.assert_allclose(
            seen, np.reshape(expected, (3, 1)), rtol=1e-5, atol=1e-6
        )


@pytest.mark.parametrize(
    "beta",
    [
        BetaConfig(low=0.5, adaptive=0.3),
        constant(16.0),
    ],
)
def test_a_saved_model_is_the_same_model(beta, images, tmp_path):
    objective = ObjectiveConfig(warm_up=0.3)
    vae = make_vae("gate", beta, objective, likelihood="gaussian")
    vae.save(tmp_path / "vae.keras")
    loaded = yoto_tf.load_model(tmp_path / "vae.keras")
    assert type(loaded) is ConditionalVAE
    assert loaded.get_config() == vae.get_config()
    assert loaded.model_config == vae.model_config
    assert loaded.beta_config == vae.beta_config
    noise = np.ones((4, LATENTS), "float32")
    asked = {"loss_parameters": {"beta": 16.0}, "noise": noise}
    expected = vae(images, **asked)
    for name, tensor in loaded(images, **asked).items():
        np.testing.assert_array_equal(tensor, expected[name], name)


def test_the_seed_decides_the_noise_and_the_global_seed_the_weights():
    def first_weights():
        keras.utils.set_random_seed(7)
        return ConditionalVAE((32, 32, 3), small_config(), seed=1)

    one, two = first_weights(), first_weights()
    for a, b in zip(one.get_weights(), two.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(
        one.sample_loss_parameters(3)["beta"],
        two.sample_loss_parameters(3)["beta"],
    )


def test_what_users_ask_for_moves_no_noise_of_training(vae):
    images = np.random.default_rng(0).integers(
        0, 256, (2, *vae.image_shape), np.uint8
    )
    before = vae.posterior.seed_generator.state.numpy().tolist()
    vae.encode(images)
    vae.reconstruct(images, beta=1.0)
    vae.sample(2, seed=0)
    assert vae.posterior.seed_generator.state.numpy().tolist() == before


def test_empty_batches_are_refused_with_a_sentence(vae):
    size = vae.image_shape
    nothing = np.zeros((0, *size), np.uint8)
    for ask in (vae, vae.encode, lambda x: vae.reconstruct(x, beta=1.0)):
        with pytest.raises(InputError, match="one or more images"):
            ask(nothing)
    latents = np.zeros((0, vae.model_config.latent_size))
    with pytest.raises(InputError, match="one or more latents"):
        vae.decode(latents, beta=1.0)
