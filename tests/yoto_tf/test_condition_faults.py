"""Conditioned models and steps, where an answer was wrong without a word."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from keras import ops

import yoto_tf
from yoto_tf.errors import InputError

RNG = np.random.default_rng(0)
X = RNG.normal(3.0, 5.0, size=(64, 4)).astype("float32")
Y = (X[:, 0] > 3).astype("float32")
KNOB = {"error": yoto_tf.LogUniform(0.1, 10.0)}


def conditioned(net, term="mse", **kwargs):
    return yoto_tf.condition(net, {"error": term}, dict(KNOB), **kwargs)


def test_a_copy_has_what_its_layers_were_adapted_to(tmp_path):
    scale = layers.Normalization()
    scale.adapt(X)
    net = keras.Sequential([keras.Input((4,)), scale, layers.Dense(1)])
    model = conditioned(net, copy=True)
    np.testing.assert_array_equal(model(X), net(X))
    model.compile("sgd")
    model.fit(X, Y, verbose=0)
    before = model.predict(X, verbose=0)
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(again.predict(X, verbose=0), before)


def test_a_copy_has_the_words_of_its_layers():
    words = np.array([["good"], ["bad"], ["good"]])
    look = layers.StringLookup(output_mode="one_hot")
    look.adapt(words)
    net = keras.Sequential(
        [keras.Input((1,), dtype="string"), look, layers.Dense(2)]
    )
    model = conditioned(net, copy=True)
    given = tf.constant(words)
    np.testing.assert_array_equal(model(given), net(given))


@pytest.mark.parametrize("loss", ["poisson", "hinge", "binary_crossentropy"])
@pytest.mark.parametrize("steps", [8, 5])
def test_one_output_per_step_is_scored_against_its_own_target(loss, steps):
    net = keras.Sequential(
        [
            keras.Input((steps, 3)),
            layers.Dense(1),
            layers.Activation("sigmoid"),
        ]
    )
    x = RNG.normal(size=(8, steps, 3)).astype("float32")
    y = RNG.integers(0, 2, size=(8, steps)).astype("float32")
    model = conditioned(net, loss)
    model.compile("sgd")
    told = {"error": np.ones(8, "float32")}
    found = model.loss_terms(x, ops.convert_to_tensor(y), net(x), told)
    function = keras.losses.get(loss)
    each = [
        function(y[:, t, None], ops.convert_to_tensor(net(x)[:, t]))
        for t in range(steps)
    ]
    expected = np.mean([np.reshape(e, (8,)) for e in each], axis=0)
    np.testing.assert_allclose(found["error"], expected, rtol=1e-5)


@keras.saving.register_keras_serializable("test_condition_faults")
class Hits(keras.metrics.Metric):
    """A metric as Keras' own example has it, without `get_config`."""

    def __init__(self, threshold=0.5, name="hits", **kwargs):
        super().__init__(name=name, **kwargs)
        self.threshold = threshold

    def update_state(self, y, outputs, sample_weight=None):
        pass

    def result(self):
        return ops.convert_to_tensor(self.threshold)


def test_a_metric_that_cannot_be_made_again_is_refused():
    model = conditioned(keras.Sequential([keras.Input((4,)), layers.Dense(1)]))
    with pytest.raises(InputError, match="Hits without 'threshold'"):
        model.compile("sgd", metrics=[Hits(threshold=0.9)])
    model.compile("sgd", metrics=[keras.metrics.BinaryAccuracy(threshold=0.9)])
    model.evaluate(X, Y, verbose=0)


@pytest.mark.parametrize("compiled", [False, True])
def test_steps_that_a_mask_leaves_out_are_in_no_metric(compiled):
    net = keras.Sequential(
        [
            keras.Input((6,), dtype="int32"),
            layers.Embedding(5, 3, mask_zero=True),
            layers.Dense(1),
        ]
    )
    x = RNG.integers(1, 5, size=(8, 6)).astype("int32")
    x[:, 3:] = 0
    y = np.ones((8, 6, 1), "float32")
    y[:, 3:] = 100.0
    model = conditioned(net)
    model.compile("sgd", metrics=["mae"], jit_compile=compiled)
    asked = {"error": 1.0}
    found = model.evaluate(
        x, y, loss_parameters=asked, return_dict=True, verbose=0
    )
    outputs = model.predict(x, loss_parameters=asked, verbose=0)
    expected = np.abs(outputs[:, :3] - 1).mean()
    assert found["mae"] == pytest.approx(expected, rel=1e-5)


def test_what_layers_add_to_the_loss_is_in_that_of_validation():
    net = keras.Sequential(
        [keras.Input((4,)), layers.Dense(1, kernel_regularizer="l2")]
    )
    model = conditioned(net)
    model.compile("sgd")
    asked = {"error": 1.0}
    found = model.evaluate(
        X, Y, loss_parameters=asked, return_dict=True, verbose=0
    )
    outputs = model.predict(X, loss_parameters=asked, verbose=0)[:, 0]
    penalty = 0.01 * np.square(net.layers[-1].kernel).sum()
    assert penalty > 0
    expected = np.square(outputs - Y).mean() + penalty
    assert found["loss"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("shape", [(64, 6), (64, 1, 1)])
def test_weights_of_steps_are_refused_in_a_sentence(shape):
    net = keras.Sequential([keras.Input((6, 4)), layers.Dense(1)])
    x, y = np.ones((64, 6, 4), "float32"), np.ones((64, 6, 1), "float32")
    model = conditioned(net)
    model.compile("sgd")
    with pytest.raises(InputError, match="one number per example"):
        model.fit(x, y, sample_weight=np.ones(shape, "float32"), verbose=0)


@pytest.mark.slow
def test_validation_examples_have_no_part_in_the_start():
    seen = []

    class Model(yoto_tf.ConditionalVAE):
        def adapt(self, x):
            seen.append(np.asarray(x))
            super().adapt(x)

    images = RNG.integers(0, 256, (40, 32, 32, 3), np.uint8)
    model = Model(
        (32, 32, 3),
        yoto_tf.ModelConfig(
            latent_size=2, base_channels=1, convs_per_block=1, dense_units=4
        ),
    )
    model.compile("sgd")
    model.fit(images, validation_split=0.25, batch_size=10, verbose=0)
    np.testing.assert_array_equal(seen[0], images[:30])
