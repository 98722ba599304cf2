"""A third term of the VAE with a parameter of its own, over groups."""

import keras
import numpy as np
import pytest
import scipy.special
import scipy.stats

import yoto_tf
from yoto_tf import ModelConfig
from yoto_tf import ObjectiveConfig
from yoto_tf.families.vae.model.posterior import total_correlation

LATENTS = 3


@keras.saving.register_keras_serializable("tests")
class TCVAE(yoto_tf.ConditionalVAE):
    def loss_terms(self, x, y, outputs, loss_parameters):
        parts = (outputs[n] for n in ("latent", "mean", "stddev"))
        tc = self.per_group(total_correlation, *parts)
        terms = super().loss_terms(x, y, outputs, loss_parameters)
        return {**terms, "tc": tc}


def make(group_size):
    return TCVAE(
        (32, 32, 3),
        ModelConfig(
            latent_size=LATENTS,
            base_channels=1,
            convs_per_block=1,
            dense_units=4,
        ),
        objective=ObjectiveConfig(group_size=group_size),
        loss_parameters={"tc": yoto_tf.LogUniform(0.1, 10.0)},
        seed=1,
    )


def test_it_is_the_divergence_of_the_mixture_from_its_margins():
    rng = np.random.default_rng(0)
    z, mean = rng.normal(size=(2, 2, 5, LATENTS))
    stddev = rng.uniform(0.5, 2, size=mean.shape)
    expected = []
    for group in range(2):
        logs = scipy.stats.norm.logpdf(
            z[group][:, None], mean[group][None], stddev[group][None]
        )
        joint = scipy.special.logsumexp(logs.sum(-1), axis=1) - np.log(5)
        margins = scipy.special.logsumexp(logs, axis=1) - np.log(5)
        expected.append((joint - margins.sum(-1)).mean())
    found = total_correlation(*map(np.float32, (z, mean, stddev)))
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize("group_size", [4, None])
def test_a_code_independent_at_every_beta_has_none_inside_a_group(group_size):
    model = make(group_size)
    # Of a single group, values as without groups: mixed.
    drawn = make(group_size or 1).sample_loss_parameters(64)
    beta = np.asarray(drawn["beta"])
    rng = np.random.default_rng(0)
    deviation = np.repeat(beta[:, None] ** 0.3, LATENTS, 1)
    outputs = {
        "latent": deviation * rng.normal(size=(64, LATENTS)),
        "mean": np.zeros((64, LATENTS)),
        "stddev": deviation,
    }
    outputs = {n: keras.ops.cast(v, "float32") for n, v in outputs.items()}
    outputs |= {"distortion": deviation[:, 0], "rate": deviation[:, 0]}
    tc = model.loss_terms(None, None, outputs, {"beta": beta})["tc"]
    if group_size is None:
        assert np.mean(tc) > 0.1
    else:
        np.testing.assert_allclose(tc, 0, atol=1e-5)


@pytest.mark.slow
def test_it_is_trained_asked_for_and_comes_back(tmp_path):
    model = make(4)
    model.compile(keras.optimizers.Adam(1e-3))
    images = np.random.default_rng(0).integers(
        0, 256, (8, 32, 32, 3), dtype="uint8"
    )
    logs = model.fit(images, batch_size=8, verbose=0).history
    assert {"distortion", "rate", "tc", "loss"} == set(logs)
    # One graph, that of a step, is enough.
    model.run_eagerly = True
    asked = {"beta": 4.0, "tc": 2.0}
    scores = model.evaluate(
        images, loss_parameters=asked, verbose=0, return_dict=True
    )
    weighted = scores["distortion"] + 4 * scores["rate"] + 2 * scores["tc"]
    assert scores["loss"] == pytest.approx(weighted, rel=1e-5)
    mean = model.predict(images, loss_parameters=asked, verbose=0)["mean"]
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        loaded.predict(images, loss_parameters=asked, verbose=0)["mean"],
        mean,
        rtol=1e-6,
    )
    with pytest.raises(yoto_tf.InputError, match=r"tc between 0.1 and 10"):
        model.predict(images, loss_parameters={"tc": 11.0})
