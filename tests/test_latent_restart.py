"""Dead latents get new weights; the others keep what they had."""

import dataclasses
import math

import keras
import numpy as np
import pytest

from training.train import train
from yoto_tf import BetaConfig
from yoto_tf import ConditionalVAE
from yoto_tf import ConditioningConfig
from yoto_tf import InputError
from yoto_tf import ModelConfig
from yoto_tf import RestartLatents
from yoto_tf.config import ExperimentConfig
from yoto_tf.config import TrainingConfig
from yoto_tf.models.latent_restart import latent_rates
from yoto_tf.models.latent_restart import restart_latents
from yoto_tf.presets import get_preset

LATENTS = 4
# The knots lie at 0.5, 2.83, 16, 90.5 and 512.
LOW, MIDDLE, CLOSED = 0.5, 16.0, 512.0


def make_vae(**fields):
    keras.utils.set_random_seed(0)
    config = ModelConfig(
        latent_size=LATENTS,
        base_channels=2,
        convs_per_block=1,
        dense_units=8,
        initial_variance=0.5,
        **fields,
    )
    vae = ConditionalVAE(
        (32, 32, 3), config, BetaConfig(low=0.5, high=512.0), seed=1
    )
    rng = np.random.default_rng(0)
    for weight in vae.trainable_variables:
        weight.assign_add(rng.normal(size=weight.shape) * 0.2)
    return vae


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(1)
    return rng.integers(0, 256, (16, 32, 32, 3), dtype=np.uint8)


def kill(vae, latents):
    """Closes latents at every beta, as training does it."""
    conditioning = vae.encoder.stages[-1].conditioning
    conditioning.set_channels(np.add(latents, LATENTS), 0.0, 20.0)


def test_latents_have_rates_that_add_up(images):
    vae = make_vae()
    rates = latent_rates(vae, images, 2.0)
    outputs = vae({"image": images, "beta": np.full(16, 2.0, "float32")})
    assert rates.shape == (LATENTS,)
    assert rates.sum() == pytest.approx(float(np.mean(outputs["rate"])), 1e-5)
    kill(vae, [1, 3])
    rates = latent_rates(vae, images, 2.0)
    np.testing.assert_allclose(rates[[1, 3]], 0, atol=1e-4)
    assert (rates[[0, 2]] > 1e-3).all()


def test_a_restarted_latent_is_open_at_small_beta_and_closed_at_large(images):
    vae = make_vae()
    kill(vae, [1, 3])
    restart_latents(vae, [1, 3], seed=7)
    assert (latent_rates(vae, images, LOW)[[1, 3]] > 0.2).all()
    assert (latent_rates(vae, images, CLOSED)[[1, 3]] < 0.01).all()
    # The variance without what it reads from the image: log odds of 2.4 per
    # unit of the coordinate, of 4.8 above the middle.
    dense = vae.encoder.stages[-1].layer
    dense.kernel.assign(np.zeros(dense.kernel.shape))
    for beta, logit in (
        (LOW, -2.4 * math.sqrt(3)),
        (MIDDLE, 0.0),
        (CLOSED, 4.8 * math.sqrt(3)),
    ):
        _, stddev = vae.encode(images, beta)
        np.testing.assert_allclose(
            np.square(stddev)[:, [1, 3]], 1 / (1 + math.exp(-logit)), 1e-5
        )


def test_a_restarted_latent_does_not_reach_the_decoder_at_large_beta():
    vae = make_vae()
    restart_latents(vae, [1, 3], seed=7)
    latents = np.zeros((1, LATENTS), "float32")
    moved = np.float32([[0, 3, 0, -3]])
    for beta, differs in ((LOW, True), (MIDDLE, True), (CLOSED, False)):
        changed = np.abs(vae.decode(moved, beta) - vae.decode(latents, beta))
        assert (changed.max() > 1e-3) == differs


@pytest.mark.parametrize("beta", [LOW, 4.0, MIDDLE, 200.0, CLOSED])
def test_the_other_latents_keep_what_they_had(images, beta):
    vae = make_vae()
    before = [np.asarray(a)[:, [0, 2]] for a in vae.encode(images, beta)]
    latents = np.float32([[1, 0, -1, 0]])
    decoded = np.asarray(vae.decode(latents, beta))
    restart_latents(vae, [1, 3], seed=7)
    after = [np.asarray(a)[:, [0, 2]] for a in vae.encode(images, beta)]
    np.testing.assert_array_equal(after, before)
    # The shift of the latent site is 0 again, which is what it was given:
    # another constant at the dead latents moves the image.
    shift = np.array(vae.decoder.stages[0].conditioning.kernel)
    assert (shift[:, [LATENTS + 1, LATENTS + 3]] == 0).all()
    assert np.abs(np.asarray(vae.decode(latents, beta)) - decoded).max() < 0.2


def test_new_weights_are_those_of_a_birth_and_follow_the_seed():
    kernels = []
    for seed in (7, 7, 8):
        vae = make_vae()
        dense = vae.encoder.stages[-1].layer
        kept = np.array(dense.kernel)
        restart_latents(vae, [2], seed)
        kernel = np.array(dense.kernel)
        np.testing.assert_array_equal(
            np.flatnonzero((kernel != kept).any(axis=0)), [2, LATENTS + 2]
        )
        kernels.append(kernel[:, [2, LATENTS + 2]])
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert (kernels[0] != kernels[2]).all()
    # He's, cut off at two deviations of the normal before the cut.
    bound = 2 * math.sqrt(2 / 8) / 0.87962566103423978
    assert 0.1 < np.abs(kernels).max() <= bound


def test_nothing_dead_changes_nothing(images):
    vae = make_vae()
    before = vae.get_weights()
    restart_latents(vae, [], seed=7)
    for a, b in zip(before, vae.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_callback_restarts_the_dead_at_its_steps_alone(images):
    vae = make_vae()
    kill(vae, [0, 2])
    vae.compile("adam")
    said = []
    seen = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda *_, **__: said.append(
            np.round(latent_rates(vae, images, LOW), 3)
        )
    )
    restart = RestartLatents([2, 5], images, log=said.append)
    vae.fit(images, batch_size=4, verbose=0, callbacks=[restart, seen])
    assert said.pop(1) == "step 2: latents restarted: 0, 2"
    assert (said[0][[0, 2]] < 0.01).all()
    assert (said[1][[0, 2]] > 0.2).all()
    assert len(said) == 4
    said.clear()
    vae.fit(images, batch_size=4, verbose=0, callbacks=[restart])
    assert said == ["step 5: latents restarted: none"]


def test_several_steps_in_one_execution_hide_no_restart(images):
    vae = make_vae()
    vae.compile("adam", steps_per_execution=2)
    said = []
    restart = RestartLatents([1, 3, 9], images, log=said.append)
    vae.fit(images, batch_size=4, verbose=0, callbacks=[restart])
    assert said == [f"step {n}: latents restarted: none" for n in (2, 4)]


def test_models_of_other_kinds_are_refused(images):
    callback = RestartLatents([1], images)
    callback.set_model(keras.Sequential([keras.layers.Dense(1)]))
    with pytest.raises(InputError, match="a ConditionalVAE .* a Sequential"):
        callback.on_train_begin()


@pytest.mark.parametrize(
    "fields",
    [
        {"posterior": "softplus"},
        {"conditioning": ConditioningConfig(kind="film")},
        {"conditioning": ConditioningConfig(sites=("latent", "dense"))},
    ],
)
def test_latents_that_cannot_be_closed_are_refused(fields, images):
    message = "expected posterior='variance_preserving', kind='spline' and"
    training = TrainingConfig(restart_latents_at=(3,))
    with pytest.raises(InputError, match=message):
        ExperimentConfig(training=training, model=ModelConfig(**fields))
    # A fixed weight has nothing to restart.
    ExperimentConfig(
        training=training,
        model=ModelConfig(**fields),
        beta=BetaConfig(distribution="constant", values=(1.0,)),
    )
    vae = make_vae(**fields)
    vae.compile("adam")
    with pytest.raises(InputError, match=message):
        vae.fit(images, verbose=0, callbacks=[RestartLatents([1], images)])


def test_a_run_with_restarts_ends_the_same_when_it_is_continued(
    data_dir, tmp_path
):
    config = get_preset("smoke").config
    config = dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, data_dir=str(data_dir)),
        beta=dataclasses.replace(config.beta, lead=256.0, lead_steps=10),
        training=dataclasses.replace(
            config.training,
            epochs=3,
            restart_latents_at=(10, 20),
            pictures_every=0,
        ),
    )
    said = []
    whole, _ = train(config, tmp_path / "a", verbose=0, log=said.append)
    restarted = [s for s in said if "restarted" in s]
    assert [s.split(":")[0] for s in restarted] == ["step 10", "step 20"]
    assert not restarted[-1].endswith("none")
    train(config, tmp_path / "b", verbose=0, until_epoch=1)
    said.clear()
    continued, _ = train(
        config, tmp_path / "b", resume=True, verbose=0, log=said.append
    )
    assert [s for s in said if "restarted" in s] == restarted[1:]
    for a, b in zip(whole.get_weights(), continued.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
