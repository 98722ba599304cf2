"""A conditioned model has everything of a `LossConditionalModel`."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from keras import ops

import yoto_tf
from yoto_tf import InputError
from yoto_tf.method.precision import default_policy
from yoto_tf.session import Session

RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 4)).astype("float32")
Y = (X[:, :1] > 0).astype("float32")
RANGE = yoto_tf.LogUniform(0.1, 10.0)


@keras.saving.register_keras_serializable("tests")
def miss(x, y, outputs, loss_parameters):
    return y[:, 0] * ops.softplus(-outputs[:, 0])


@keras.saving.register_keras_serializable("tests")
class FalseAlarm(keras.Loss):
    def call(self, y_true, y_pred):
        return (1 - y_true) * ops.softplus(y_pred)


def made(**kwargs):
    keras.utils.set_random_seed(0)
    net = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(8, "relu", name="hidden"),
            layers.BatchNormalization(),
            layers.Dense(1, name="logit"),
        ]
    )
    return yoto_tf.condition(
        net,
        {"miss": miss, "false_alarm": FalseAlarm()},
        {"miss": RANGE},
        seed=0,
        **kwargs,
    )


@pytest.mark.slow
def test_frozen_conditioning_stays_frozen(tmp_path):
    model = made()
    model.conditioning_layers[0].trainable = False
    model.compile("adam")
    model.fit(X, Y, batch_size=12, epochs=2, verbose=0)
    assert not np.any(model.conditioning_layers[0].kernel)
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    assert int(loaded.optimizer.iterations) == 4
    for other in (loaded, keras.models.clone_model(model)):
        flags = [layer.trainable for layer in other.conditioning_layers]
        assert flags == [False, True]
        assert len(other.trainable_variables) == len(model.trainable_variables)
    loaded.fit(X, Y, batch_size=12, verbose=0)
    assert not np.any(loaded.conditioning_layers[0].kernel)
    assert np.any(loaded.conditioning_layers[1].kernel)


def test_a_layer_of_the_same_seed_does_not_follow_the_draws():
    """A flip by the bits of the draw would be flipped for half the range."""
    keras.utils.set_random_seed(0)
    drop = layers.Dropout(0.5, noise_shape=(None, 1), seed=7)
    net = keras.Sequential([keras.Input((4,)), drop, layers.Dense(1)])
    model = yoto_tf.condition(
        net, {"mse": "mse", "mae": "mae"}, {"mse": RANGE}, seed=7
    )
    ones = tf.ones([4000, 4])
    drawn = model.sample_loss_parameters(4000)["mse"]
    kept = tf.cast(drop(ones, training=True)[:, 0] > 0, "float32")
    assert 0.4 < np.mean(kept) < 0.6
    assert abs(np.corrcoef(np.log(drawn), kept)[0, 1]) < 0.06


@pytest.mark.slow
def test_it_is_trained_scored_asked_saved_and_trained_on(tmp_path):
    model = made()
    model.compile("adam", metrics=[keras.metrics.BinaryAccuracy(threshold=0.0)])
    np.testing.assert_array_equal(
        model.predict(X, verbose=0), model.net.predict(X, verbose=0)
    )
    model.fit(X, Y, batch_size=12, epochs=3, verbose=0)
    kernels = [layer.kernel for layer in model.conditioning_layers]
    assert all(np.any(kernel) for kernel in kernels)
    values = np.geomspace(0.1, 10, 24).astype("float32")
    answers = model.predict(X, loss_parameters={"miss": values}, verbose=0)
    np.testing.assert_allclose(answers, model(X, {"miss": values}), rtol=1e-5)
    scores = model.evaluate(
        X, Y, loss_parameters={"miss": 4.0}, verbose=0, return_dict=True
    )
    logits = model.predict(X, loss_parameters={"miss": 4.0}, verbose=0)
    missed = np.mean(Y * np.log1p(np.exp(-logits)))
    false = np.mean((1 - Y) * np.log1p(np.exp(logits)))
    np.testing.assert_allclose(scores["miss"], missed, rtol=1e-4)
    np.testing.assert_allclose(scores["false_alarm"], false, rtol=1e-4)
    np.testing.assert_allclose(scores["loss"], 4 * missed + false, rtol=1e-4)
    accuracy = np.mean((logits > 0) == Y)
    np.testing.assert_allclose(scores["binary_accuracy"], accuracy)

    model.save(tmp_path / "m.keras")
    model.save_weights(tmp_path / "m.weights.h5")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    cloned = keras.models.clone_model(model)
    assert not np.any(cloned.conditioning_layers[0].kernel)
    cloned.load_weights(tmp_path / "m.weights.h5")
    for other in (loaded, cloned):
        np.testing.assert_array_equal(
            other.predict(X, loss_parameters={"miss": values}, verbose=0),
            answers,
        )
    # The optimizer and the draws go on as well.
    for a, b in zip(
        [*model.optimizer.variables, model.draw_seed.state],
        [*loaded.optimizer.variables, loaded.draw_seed.state],
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_xla_computes_the_same():
    answers = []
    for jit in (False, True):
        model = made()
        model.compile("adam", jit_compile=jit)
        model.fit(X, Y, shuffle=False, epochs=2, verbose=0)
        answers.append(model.predict(X, verbose=0))
    np.testing.assert_allclose(*answers, rtol=1e-4, atol=1e-5)


def test_a_network_in_bfloat16_keeps_its_dtypes():
    with default_policy("mixed_bfloat16"):
        net = keras.Sequential(
            [
                keras.Input((4,)),
                layers.Dense(8, "relu"),
                layers.Dense(1, dtype="float32"),
            ]
        )
    model = yoto_tf.condition(net, {"mse": "mse"}, {"mse": RANGE})
    hidden, last = model.conditioning_layers
    assert (hidden.compute_dtype, hidden.kernel.dtype) == (
        "bfloat16",
        "float32",
    )
    assert last.compute_dtype == "float32"
    np.testing.assert_array_equal(model(X), net(X))
    model.compile("adam", run_eagerly=True)
    model.fit(X, Y, verbose=0)
    assert np.any(hidden.kernel)


_TWO_DEVICES = """
import contextlib
import keras
import numpy as np
import tensorflow as tf

(cpu,) = tf.config.list_physical_devices("CPU")
one = tf.config.LogicalDeviceConfiguration()
tf.config.set_logical_device_configuration(cpu, [one, one])
import yoto_tf

x = np.random.default_rng(0).normal(size=(48, 3)).astype("float32")


def trained(scope):
    keras.utils.set_random_seed(0)
    with scope:
        dense = keras.layers.Dense
        net = keras.Sequential([keras.Input((3,)), dense(4, "relu"), dense(1)])
        model = yoto_tf.condition(
            net,
            {"mse": "mse", "mae": "mae"},
            {"mae": yoto_tf.LogUniform(0.1, 10.0)},
            seed=1,
        )
        model.compile(keras.optimizers.SGD(0.1))
    model.fit(x, x[:, :1], 12, epochs=5, shuffle=False, verbose=0)
    np.testing.assert_array_equal(model.first_inputs, x[:8][:rows])
    return model.get_weights()


rows = 8
alone = trained(contextlib.nullcontext())
rows = 6
outside = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
both = trained(strategy.scope())
told = {"mse": yoto_tf.LogUniform(0.1, 10.0)}
with strategy.scope():
    yoto_tf.condition(outside, {"mse": "mse"}, told, copy=True)
    try:
        yoto_tf.condition(outside, {"mse": "mse"}, told)
    except yoto_tf.InputError as error:
        print(error)
print(max(np.abs(a - b).max() for a, b in zip(alone, both)))
"""


@pytest.mark.slow
def test_two_devices_train_as_one():
    done = subprocess.run(
        [sys.executable, "-c", _TWO_DEVICES],
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(done.stdout.split()[-1]) < 1e-5
    assert "made in the strategy's scope" in done.stdout


def test_masked_steps_do_not_count_in_a_keras_loss():
    words = np.array([[1, 2, 0, 0], [3, 1, 2, 0], [1, 1, 1, 1]], "int32")
    y = RNG.normal(size=(3, 4, 2)).astype("float32")
    for dtype in ("float32", "mixed_bfloat16"):
        net = keras.Sequential(
            [
                keras.Input((4,), dtype="int32"),
                layers.Embedding(5, 3, mask_zero=True),
                layers.Dense(2, dtype=dtype),
            ]
        )
        model = yoto_tf.condition(net, {"mse": "mse"}, {"mse": RANGE})
        outputs = model(words)
        assert outputs.dtype == "float32"
        error = np.square(outputs - y).mean(-1)
        expected = [error[0, :2].mean(), error[1, :3].mean(), error[2].mean()]
        found = model.checked_terms(words, y, outputs, {"mse": np.ones(3)})
        np.testing.assert_allclose(found["mse"], expected, rtol=1e-5)


def test_two_inputs_and_outputs_are_exported(tmp_path):
    left, right = keras.Input((3,)), keras.Input((2,))
    net = keras.Model(
        [left, right], [layers.Dense(2)(left), layers.Dense(1)(right)]
    )
    model = yoto_tf.condition(net, {"size": total}, {"size": RANGE})
    model.compile("sgd", run_eagerly=True)
    x = [X[:, :3], X[:, :2]]
    model.fit(x, verbose=0)
    model.export(tmp_path / "1")
    asked = {"size": np.geomspace(0.1, 10, 24).astype("float32")}
    expected = model(x, asked)
    with Session(tmp_path / "1") as session:
        found = session.run(
            "predict", {"inputs_0": x[0], "inputs_1": x[1], **asked}
        )
    assert set(found) == {"outputs_0", "outputs_1"}
    for i, value in enumerate(expected):
        np.testing.assert_allclose(
            found[f"outputs_{i}"], value, rtol=1e-4, atol=1e-6
        )


def total(x, y, outputs, loss_parameters):
    outputs = keras.tree.flatten(outputs)
    return sum(ops.sum(ops.square(t), -1) for t in outputs)


def test_inputs_of_another_shape_are_refused():
    model = made()
    model.compile("adam")
    sentence = r"inputs .* \(None, 4\), received: shapes \[\("
    for wrong in (X[:, :3], X[:, :, None, None], [X, X]):
        with pytest.raises(InputError, match=sentence):
            model(wrong)
    with pytest.raises(InputError, match=sentence):
        model.fit(X[:, :3], Y, verbose=0)
    with pytest.raises(InputError, match=sentence):
        model.predict(X[:, :3], verbose=0)
    for empty in (model.predict, lambda x: model.fit(x, Y[:0])):
        with pytest.raises(InputError, match="one or more examples"):
            empty(X[:0])
    said = r"or a dict with '.*', received: a dict with \['a'"
    for wrong in ({"a": X}, {"a": X, "b": X}):
        batches = tf.data.Dataset.from_tensor_slices((wrong, Y)).batch(8)
        for asked in (model, model.predict, lambda x: model.fit(x, Y)):
            with pytest.raises(InputError, match=said):
                asked(wrong)
        with pytest.raises(InputError, match=said):
            model.fit(batches, shuffle=False, verbose=0)
    # A last axis of 1 is added or taken away, as Keras does.
    np.testing.assert_array_equal(model(X[..., None]), model(X))


def test_inputs_of_a_network_of_named_ones():
    parts = {
        n: keras.Input((size,), name=n) for n, size in (("a", 4), ("b", 2))
    }
    joined = layers.Concatenate()([parts["a"], parts["b"]])
    model = yoto_tf.condition(
        keras.Model(parts, layers.Dense(1)(layers.Dense(3)(joined))),
        terms={"one": total, "two": total},
        loss_parameters={"one": yoto_tf.LogUniform(0.1, 1.0)},
    )
    assert model({"a": X, "b": X[:, :2]}).shape == (len(X), 1)
