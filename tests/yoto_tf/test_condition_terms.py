"""The terms of a conditioned model: functions and Keras' losses."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from keras import ops

import yoto_tf
from yoto_tf import InputError
from yoto_tf.method import graph
from yoto_tf.method.terms import per_example

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 4)).astype("float32")
Y = RNG.normal(size=(6, 2)).astype("float32")
RANGE = yoto_tf.LogUniform(0.1, 10.0)


def squared(x, y, outputs, loss_parameters):
    return ops.sum(ops.square(outputs - y), -1)


def model_of(terms, loss_parameters=None):
    net = keras.Sequential([keras.Input((4,)), layers.Dense(2, name="a")])
    model = yoto_tf.condition(net, terms, loss_parameters or {"mse": RANGE})
    model.compile("adam", run_eagerly=True)
    return model


_ERROR = Y[:, None] - RNG.normal(size=(6, 3, 2)).astype("float32")
_P = RNG.uniform(0.1, 0.9, (6, 3, 2)).astype("float32")
_BITS = (RNG.uniform(size=(6, 3, 2)) > 0.5).astype("float32")
_CLASSES = RNG.integers(0, 2, (6, 3))


@pytest.mark.parametrize(
    ("loss", "y", "outputs", "expected"),
    [
        (
            keras.losses.MeanSquaredError(reduction="sum"),
            np.zeros_like(_ERROR),
            _ERROR,
            np.square(_ERROR).mean((1, 2)),
        ),
        (
            keras.losses.mean_absolute_error,
            np.zeros_like(_ERROR),
            _ERROR,
            np.abs(_ERROR).mean((1, 2)),
        ),
        (
            keras.losses.BinaryCrossentropy(),
            _BITS,
            _P,
            -np.log(np.where(_BITS == 1, _P, 1 - _P)).mean((1, 2)),
        ),
        (
            keras.losses.SparseCategoricalCrossentropy(),
            _CLASSES,
            np.stack([_P[..., 0], 1 - _P[..., 0]], -1),
            -np.log(np.where(_CLASSES == 0, _P[..., 0], 1 - _P[..., 0])).mean(
                1
            ),
        ),
        # One number per example, in each form that Keras takes.
        (
            keras.losses.mean_squared_error,
            Y[:, 0],
            X[:, 0],
            (Y[:, 0] - X[:, 0]) ** 2,
        ),
        (
            keras.losses.mean_squared_error,
            Y[:, :1],
            X[:, 0],
            (Y[:, 0] - X[:, 0]) ** 2,
        ),
        (
            keras.losses.mean_squared_error,
            Y[:, 0],
            X[:, :1],
            (Y[:, 0] - X[:, 0]) ** 2,
        ),
    ],
)
def test_a_keras_loss_is_taken_per_example(loss, y, outputs, expected):
    y, outputs = (ops.convert_to_tensor(t) for t in (y, outputs))
    np.testing.assert_allclose(
        per_example(loss, y, outputs), expected, rtol=1e-5
    )


def test_what_a_loss_or_the_outputs_leave_out_is_not_averaged():
    """As `keras.Loss` itself, which puts a mask on what it returns."""
    rng = np.random.default_rng(1)
    y = rng.integers(0, 3, (4, 7))
    y[:, 2:] = -1
    y[1] = -1
    logits = rng.normal(size=(4, 7, 3)).astype("float32")
    seen = rng.uniform(size=(4, 7)) > 0.4
    loss = keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, ignore_class=-1
    )
    chosen = np.take_along_axis(logits, y.clip(0)[..., None], -1)[..., 0]
    each = np.log(np.exp(logits).sum(-1)) - chosen
    for mask in (None, seen):
        outputs = tf.constant(logits)
        if mask is not None:
            graph.set_mask(outputs, tf.constant(mask))
        kept = (y >= 0) & (True if mask is None else mask)
        wanted = (each * kept).sum(1) / np.maximum(kept.sum(1), 1)
        found = per_example(loss, tf.constant(y), outputs)
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_labels_are_targets_of_every_loss_of_labels():
    rng = np.random.default_rng(1)
    p = rng.dirichlet([1, 1, 1], 5).astype("float32")
    y = np.array([0, 2, 1, 1, 0])
    loss = keras.losses.CategoricalGeneralizedCrossEntropy(q=0.7)
    found = per_example(loss, tf.constant(y), tf.constant(p))
    wanted = (1 - p[np.arange(5), y] ** 0.7) / 0.7
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


@pytest.mark.slow
def test_targets_of_another_rank_than_before_are_taken_as_before():
    net = keras.Sequential([keras.Input((4,)), layers.Dense(1, name="a")])
    model = yoto_tf.condition(net, {"mse": "mse", "mae": "mae"}, {"mse": RANGE})
    model.compile("adam")
    model.fit(X, Y[:, :1], verbose=0)
    model.fit(X, Y[:, 0], verbose=0)
    for score in (model.evaluate, model.test_on_batch):
        found = [score(X, y, return_dict=True) for y in (Y[:, :1], Y[:, 0])]
        assert found[0] == pytest.approx(found[1])
    for y in (Y[:, 0], Y[:, :1], Y[:, 0]):
        model.train_on_batch(X, y)


def test_terms_are_weighted_by_the_parameters_of_their_names():
    def pinball(x, y, outputs, loss_parameters):
        error = (y - outputs)[:, 0]
        level = loss_parameters["level"]
        return ops.maximum(level * error, (level - 1) * error)

    model = model_of(
        {"mse": "mse", "pinball": pinball},
        {"mse": RANGE, "level": yoto_tf.Uniform(0.1, 0.9)},
    )
    asked = {"mse": 4.0, "level": 0.3}
    scores = model.evaluate(
        X, Y, loss_parameters=asked, verbose=0, return_dict=True
    )
    error = Y - X @ model.net.get_layer("a").kernel.numpy()
    mse = np.square(error).mean()
    ball = np.maximum(0.3 * error[:, 0], -0.7 * error[:, 0]).mean()
    np.testing.assert_allclose(scores["mse"], mse, rtol=1e-4)
    np.testing.assert_allclose(scores["pinball"], ball, rtol=1e-4)
    np.testing.assert_allclose(scores["loss"], 4 * mse + ball, rtol=1e-4)


def test_targets_of_ctc_are_labels_in_a_shape_of_their_own():
    y = RNG.integers(1, 5, (4, 3))
    outputs = RNG.normal(size=(4, 8, 6)).astype("float32")
    found = per_example(keras.losses.get("ctc"), tf.constant(y), outputs)
    np.testing.assert_allclose(
        found, keras.losses.CTC(reduction=None)(y, outputs), rtol=1e-5
    )
    assert found.shape == (4,)


@pytest.mark.parametrize(
    ("terms", "sentence"),
    [
        (None, "terms as a dict"),
        ({}, "terms as a dict"),
        ({"loss": "mse"}, "'loss' being that of their sum"),
        ({3: "mse"}, "names of terms.*3"),
        ({"mse": "mean_squared_terror"}, "name of a Keras loss.*terror"),
        ({"mse": 3}, r"f\(x, y, outputs, loss_parameters\).*'mse'\]=3"),
        ({"mse": lambda y, outputs: y}, r"f\(x, y, outputs"),
        # What would be called with x for its targets.
        ({"mse": lambda y, outputs, d=1.0, w=1.0: y}, r"f\(x, y, outputs"),
        ({"mse": keras.losses.BinaryCrossentropy}, r"f\(x, y, outputs"),
    ],
)
def test_what_is_no_term_is_refused(terms, sentence):
    with pytest.raises(InputError, match=sentence):
        model_of(terms)


@pytest.mark.parametrize(
    ("term", "sentence"),
    [
        (lambda x, y, o, p: ops.mean(ops.square(o)), r"shape \(batch,\)"),
        (lambda x, y, o, p: ops.square(o), r"shape \(batch,\).*\(6, 2\)"),
        (lambda x, y, o, p: y[:, :1] * o[:, 0], r"shape \(batch,\).*\(6, 6\)"),
        (lambda x, y, o, p: ops.ones(6), "depend on the outputs.*'mse'"),
        (
            lambda x, y, o, p: ops.cast(ops.argmax(o, -1), "float32"),
            "have a gradient.*'mse'",
        ),
        (
            lambda x, y, o, p: ops.log(ops.sum(o, -1) * 0 - 1),
            "finite before training.*mse=nan",
        ),
        (lambda x, y, o, p: ops.sum(o, -1) / 0, "finite before training"),
    ],
)
def test_terms_that_do_not_tell_examples_apart_are_refused(term, sentence):
    model = model_of({"mse": term})
    before = model.get_weights()
    with pytest.raises(InputError, match=sentence):
        model.fit(X, Y, verbose=0)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "compiled",
    [{}, {"jit_compile": True}, {"batch_parts": 2}],
    ids=["graph", "xla", "parts"],
)
def test_a_term_that_is_not_finite_is_told_from_within_a_graph(compiled):
    model = model_of({"mse": lambda x, y, o, p: ops.sum(o, -1) / 0})
    model.compile("adam", **compiled)
    before = model.get_weights()
    with pytest.raises(InputError, match="finite before training"):
        model.fit(X, Y, verbose=0)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("terms", "y", "sentence"),
    [
        ({"mse": "mse"}, Y[:, :1], r"targets of the shape.*\(6, 1\).*\(6, 2\)"),
        ({"mse": "mse"}, Y[:, 0], r"targets of the shape"),
        ({"mse": "mse"}, None, "received: no targets"),
        ({"mse": keras.losses.MeanSquaredError()}, Y[:, None], "targets of"),
    ],
)
def test_targets_of_another_shape_are_refused(terms, y, sentence):
    with pytest.raises(InputError, match=sentence):
        model_of(terms).fit(X, y, verbose=0)


def test_a_parameter_without_a_term_is_refused():
    model = model_of({"mse": "mse"}, {"mse": RANGE, "mae": RANGE})
    with pytest.raises(InputError, match="'mae', which is neither"):
        model.fit(X, Y, verbose=0)


class Mine(keras.Loss):
    def call(self, y_true, y_pred):
        return ops.square(y_true - y_pred)


@pytest.mark.parametrize(
    "term", [squared, lambda x, y, o, p: 2 * squared(x, y, o, p), Mine()]
)
def test_a_term_that_a_file_cannot_name_is_refused_when_it_is_saved(
    term, tmp_path
):
    model = model_of({"mse": term})
    model.fit(X, Y, verbose=0)
    with pytest.raises(InputError, match="register_keras_serializable"):
        model.save(tmp_path / "m.keras")
    model.save_weights(tmp_path / "m.weights.h5")


def test_a_term_in_a_scope_of_custom_objects_is_found_again(tmp_path):
    model = model_of({"mse": squared, "mine": Mine()})
    with keras.saving.custom_object_scope({"squared": squared, "Mine": Mine}):
        model.save(tmp_path / "m.keras")
        loaded = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(loaded(X), model(X))
    assert loaded.evaluate(X, Y, verbose=0) == model.evaluate(X, Y, verbose=0)
