"""Models of half precision, and numbers of few bits, as served versions."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from alarms import Alarms
from alarms import X
from alarms import Y

import yoto_tf
from export.saved_model import export_model
from yoto_tf import InputError
from yoto_tf.errors import VerificationError
from yoto_tf.method.precision import default_policy
from yoto_tf.session import Session


@pytest.mark.parametrize(
    ("policy", "bits"), [("mixed_bfloat16", 8), ("mixed_float16", 11)]
)
def test_a_model_of_half_precision_is_served_as_it_computes(
    policy, bits, tmp_path
):
    miss = yoto_tf.LogUniform(0.1, 10.0)
    with default_policy(policy):
        model = Alarms({"miss": miss}, seed=0)
        model.compile("adam", run_eagerly=True)
        model.fit(X, Y, verbose=0)
    assert model.logit.compute_dtype == policy.removeprefix("mixed_")
    differences = model.export(tmp_path / "1", example=X)
    asked = np.geomspace(0.1, 10, 20).astype("float32")
    expected = model.predict(X, loss_parameters={"miss": asked}, verbose=0)
    plain = Alarms({"miss": miss})
    plain(X)
    plain.set_weights(model.get_weights())
    exact = plain.predict(X, loss_parameters={"miss": asked}, verbose=0)
    with Session(tmp_path / "1") as session:
        found = session.run("predict", {"inputs": X, "miss": asked})["outputs"]
    assert found.dtype == "float32"
    rounding = 2.0**-bits * np.abs(expected).max()
    assert np.abs(found - expected).max() <= 4 * rounding
    # In few bits, indeed.
    assert np.abs(found - exact).max() > 0.01 * rounding
    assert all(d.largest <= 4 * rounding for d in differences)


def test_a_wrong_answer_of_few_bits_is_found(tmp_path):
    """By more than the roundings that are let through."""
    with default_policy("mixed_bfloat16"):
        model = Alarms({"miss": yoto_tf.LogUniform(0.1, 10.0)}, seed=0)
        model(X)
    answer = model.served_outputs

    def twice(x, loss_parameters):
        factor = 1.0 if tf.executing_eagerly() else 1.1
        return factor * answer(x, loss_parameters)

    model.served_outputs = twice
    with pytest.raises(
        VerificationError, match="both in bfloat16; one with dtype='float32'"
    ):
        model.export(tmp_path / "1", example=X)
    assert list(tmp_path.iterdir()) == []


def test_operations_that_are_missing_in_few_bits_are_named(tmp_path):
    """On CPU there is no lgamma in bfloat16."""
    with default_policy("mixed_bfloat16"):
        model = Alarms({"miss": yoto_tf.LogUniform(0.1, 10.0)}, seed=0)
        model(X)
    answer = model.served_outputs
    for missing in (tf.math.lgamma, _missing_in_graphs):
        model.served_outputs = lambda x, p, missing=missing: tf.cast(
            missing(tf.cast(answer(x, p), "bfloat16")), "float32"
        )
        with pytest.raises(
            InputError, match="on CPU in bfloat16, received: Lgamma; one with"
        ):
            model.export(tmp_path / "1", example=X)
        assert list(tmp_path.iterdir()) == []


def _missing_in_graphs(tensor):
    if not tf.executing_eagerly():
        return tf.math.lgamma(tensor)
    return tf.cast(tf.math.lgamma(tf.cast(tensor, "float32")), "bfloat16")


@pytest.mark.slow
@pytest.mark.parametrize(
    "likelihood", ["bernoulli", "gaussian", "squared_error"]
)
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_a_vae_of_half_precision_is_served(policy, likelihood, tmp_path):
    config = yoto_tf.ModelConfig(
        likelihood=likelihood, latent_size=8, base_channels=8, dense_units=64
    )
    keras.utils.set_random_seed(0)
    model = yoto_tf.ConditionalVAE((32, 32, 3), config, seed=0, dtype=policy)
    images = np.random.default_rng(0).random((16, 32, 32, 3), "float32")
    model.compile("adam")
    model.fit(images, epochs=3, verbose=0)
    differences = model.export(tmp_path / "1", example=images[:4])
    relative = {
        d.output: d.largest / max(abs(d.of), 1e-3)
        for d in differences
        if d.signature == "predict"
    }
    assert relative["distortion"] < 0.01
    with Session(tmp_path / "1") as session:
        found = session.run(
            "predict",
            {"inputs": images, "beta": np.full(16, 4.0, "float32")},
        )
    np.testing.assert_allclose(
        found["reconstruction"], model.reconstruct(images, 4.0), atol=0.03
    )


class Counted(Alarms):
    def call(self, x, loss_parameters):
        outputs = super().call(x, loss_parameters)
        return {"score": outputs, "place": keras.ops.cast(outputs > 0, "int32")}


def test_whole_numbers_of_few_bits_are_right_or_wrong(tmp_path):
    model = Counted(
        {"miss": yoto_tf.LogUniform(0.1, 10.0)}, dtype="mixed_bfloat16"
    )
    answer = model.served_outputs

    def more(x, loss_parameters):
        outputs = answer(x, loss_parameters)
        if not tf.executing_eagerly():
            outputs["place"] = outputs["place"] + 1
        return outputs

    model.served_outputs = more
    with pytest.raises(VerificationError, match="place .* differs by up to 1"):
        model.export(tmp_path / "1", example=X)


class HalfInside(Alarms):
    """Of float32, with a layer that is not, as of a net that was loaded."""

    def __init__(self, loss_parameters, **kwargs):
        super().__init__(loss_parameters, **kwargs)
        self.hidden = keras.layers.Dense(64, "tanh", dtype="mixed_bfloat16")

    def call(self, x, loss_parameters):
        return super().call(
            keras.ops.cast(self.hidden(x), "float32"), loss_parameters
        )


def test_a_layer_of_few_bits_in_a_model_of_float32_is_served(tmp_path):
    """As it computes, or all of it in float32."""
    keras.utils.set_random_seed(0)
    model = HalfInside({"miss": yoto_tf.LogUniform(0.1, 10.0)})
    before = model.predict(X, verbose=0)
    model.export(tmp_path / "1", example=X)
    path, differences = export_model(model, tmp_path / "m", example=X)
    assert all(d.largest < 1e-4 for d in differences)
    asked = {"inputs": X, "miss": np.full(20, 1.0, "float32")}
    found = []
    for version in (tmp_path / "1", path):
        with Session(version) as session:
            found.append(session.run("predict", asked)["outputs"])
    np.testing.assert_array_equal(model.predict(X, verbose=0), before)
    weights = [w.astype("float64") for w in model.hidden.get_weights()]
    hidden = np.tanh(X @ weights[0] + weights[1])
    told = np.zeros((20, 1))  # 1 is the middle of the range
    kernel, bias = model.logit.get_weights()
    exact = (np.concatenate([hidden, told], 1) @ kernel + bias)[:, 0]
    np.testing.assert_allclose(found[1], exact, atol=1e-5)
    assert 1e-4 < np.abs(found[0] - exact).max() < 0.05
