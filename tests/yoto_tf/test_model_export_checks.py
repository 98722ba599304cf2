"""What a served version is held to before it is one: wrong answers and examples
that say nothing."""

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from alarms import Alarms
from alarms import X
from alarms import Y
from alarms import alarms
from alarms import conditioned

import yoto_tf
from export.saved_model import export_model
from yoto_tf import InputError
from yoto_tf.errors import VerificationError
from yoto_tf.method.generic_endpoints import generic_endpoints
from yoto_tf.session import Session


class Centred(Alarms):
    """Of equal rows each is answered as it would be alone."""

    def call(self, x, loss_parameters):
        x = x - keras.ops.mean(x, 0, keepdims=True)
        return super().call(x, loss_parameters)


@pytest.mark.parametrize(
    "example",
    [
        X[:1],
        np.zeros_like(X),
        X[[3, 3]],
        np.concatenate([X[:3], np.full_like(X, np.nan)])[:1],
    ],
)
def test_equal_rows_say_nothing_of_rows_that_change_each_other(
    tmp_path, example
):
    model = Centred({"miss": yoto_tf.LogUniform(0.1, 10.0)})
    model(X)
    with pytest.raises(InputError, match=r"rows that differ.*equal rows"):
        model.export(tmp_path / "1", example=example)
    # Also where the rows that differ are the last ones.
    for rows in (X, np.concatenate([np.zeros((40, 3), "float32"), X])):
        with pytest.raises(VerificationError, match="row is asked for alone"):
            model.export(tmp_path / "1", example=rows)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_graph_that_does_not_run_is_said(tmp_path):
    """Keras' TimeDistributed, where the number of steps is left open."""
    net = keras.Sequential(
        [
            keras.Input((None, 3)),
            keras.layers.TimeDistributed(keras.layers.Dense(4, "relu")),
            keras.layers.GlobalAveragePooling1D(),
            keras.layers.Dense(1),
        ]
    )
    rows = np.random.default_rng(0).normal(size=(8, 5, 3)).astype("float32")
    with pytest.raises(VerificationError, match="does not run.*slice index"):
        conditioned(net).export(tmp_path / "1", example=rows)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("num", [0, 1, 2, 9])
def test_any_number_of_loss_parameters_is_asked_for(tmp_path, num):
    """None that varies, as of a fixed weight, and more than there are rows."""
    given = {f"w{i}": yoto_tf.LogUniform(0.1, 10.0) for i in range(num)}
    model = Alarms({"miss": 2.0, **given})
    model.loss_terms = None
    model(X)
    model.export(tmp_path / "1", example=X)
    export_model(model, tmp_path / "m", example=X)
    with Session(tmp_path / "1") as session:
        asked = {n: np.full(20, 3.0, "float32") for n in given}
        asked = asked or {"miss": np.full(20, 2.0, "float32")}
        found = session.run("predict", {"inputs": X, **asked})["outputs"]
    expected = model.predict(
        X, loss_parameters=dict.fromkeys(given, 3.0), verbose=0
    )
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize(
    "name", ["lambda", "self", "inputs", "rows", "_w", "größe", "2a", "a b", ""]
)
def test_names_that_no_export_could_have_are_refused_at_once(name):
    parameters = {name: yoto_tf.LogUniform(0.1, 10.0)}
    with pytest.raises(InputError, match=f"names of loss.*received: '{name}'"):
        Alarms(parameters)
    with pytest.raises(InputError, match=f"names of loss.*received: '{name}'"):
        yoto_tf.Dirichlet({name: 1.0, "other": 1.0})


def test_names_differ_in_more_than_capitals():
    both = dict.fromkeys(("Size", "size"), yoto_tf.LogUniform(0.1, 10.0))
    with pytest.raises(InputError, match=r"capitals.*\['Size', 'size'\]"):
        Alarms(both)


@pytest.mark.parametrize(
    "parameters",
    [
        {"miss": yoto_tf.LogUniform(0.1, 10.0)},
        yoto_tf.Dirichlet({"miss": 1.0, "false_alarm": 2.0}),
    ],
)
def test_no_rows_have_no_answers(parameters, tmp_path):
    model = Alarms(parameters)
    model.export(tmp_path / "1", example=X)
    with Session(tmp_path / "1") as session:
        names = model.loss_parameters.asked
        asked = dict.fromkeys(names, np.zeros(0, "float32"))
        found = session.run("predict", {"inputs": X[:0], **asked})["outputs"]
        wanted = session.run(
            "predict",
            {"inputs": X[:2], **dict.fromkeys(names, np.float32([0.5, 0.5]))},
        )["outputs"]
    assert found.shape == (0, *wanted.shape[1:])


class Checked(Alarms):
    def check_inputs(self, x):
        return tf.debugging.assert_all_finite(x, "holes")

    def usable_rows(self, x):
        return tf.reduce_all(tf.math.is_finite(x), 1)


def test_rows_that_cannot_be_answered_are_left_out_of_an_example(tmp_path):
    model = Checked({"miss": yoto_tf.LogUniform(0.1, 10.0)})
    rows = X.copy()
    rows[::2, 1] = np.nan
    model.export(tmp_path / "1", example=rows)
    with pytest.raises(InputError, match="fewer that can be answered"):
        model.export(tmp_path / "2", example=rows[:3])


HOLES = [[1.0, np.nan, 0.0], [np.nan] * 3, [1.0, 2.0, 3.0], [np.inf, 0, 0]]


@pytest.mark.slow
def test_nan_in_inputs_is_not_answered_as_a_number(tmp_path):
    """Behind a ReLU the session makes 0 of it."""
    rows = np.array(HOLES, "float32")
    asked = np.float32([0.5] * 4)
    net = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(4, "relu"),
            keras.layers.Dense(1),
        ]
    )
    model = conditioned(net)
    model.export(tmp_path / "1", example=X)
    with Session(tmp_path / "1") as session:
        request = {"inputs": rows, "miss": asked}
        with pytest.raises(
            tf.errors.InvalidArgumentError, match=r"received rows:.*\[0 1\]"
        ):
            session.run("predict", request)
        # Infinity is the network's to answer.
        session.run("predict", {"inputs": rows[2:], "miss": asked[2:]})
        found = session.run("predict", {"inputs": rows[:0], "miss": asked[:0]})
        assert len(found["outputs"]) == 0
    version, _ = export_model(
        model, tmp_path / "flags", example=X, invalid_rows="flag"
    )
    with Session(version) as session:
        found = session.run("predict", {"inputs": rows, "miss": asked})
    np.testing.assert_array_equal(found["in_range"], [0, 0, 1, 1])
    assert np.isnan(found["outputs"][:2]).all()
    expected = model.predict(
        rows[2:3], loss_parameters={"miss": 0.5}, verbose=0
    )
    np.testing.assert_allclose(found["outputs"][2:3], expected, rtol=1e-5)


class Filled(Alarms):
    """Its network knows what to make of a hole."""

    def call(self, x, loss_parameters):
        x = tf.where(tf.math.is_nan(x), tf.zeros_like(x), x)
        return super().call(x, loss_parameters)


def test_nan_is_answered_where_the_example_has_some(tmp_path):
    model = Filled({"miss": yoto_tf.LogUniform(0.1, 10.0)})
    rows = np.array(HOLES[:3], "float32")
    model.export(tmp_path / "1", example=rows)
    asked = np.float32([0.5] * 3)
    with Session(tmp_path / "1") as session:
        found = session.run("predict", {"inputs": rows, "miss": asked})
        whole = session.run(
            "predict", {"inputs": np.nan_to_num(rows), "miss": asked}
        )
    np.testing.assert_array_equal(found["outputs"], whole["outputs"])
    assert np.isfinite(found["outputs"]).all()


def test_one_of_several_inputs_that_differs_is_enough(tmp_path):
    pairs = {"left": X, "right": np.zeros_like(X)}
    model = alarms(pairs)
    model.export(tmp_path / "1", example=pairs)
    with pytest.raises(InputError, match=r"equal rows, left.shape=\(1, 3\)"):
        model.export(
            tmp_path / "2", example={n: a[:1] for n, a in pairs.items()}
        )


class ByPython(Alarms):
    def call(self, x, loss_parameters):
        grown = tf.numpy_function(np.log1p, [tf.abs(x)], tf.float32)
        return super().call(tf.ensure_shape(grown, x.shape), loss_parameters)


def test_functions_of_python_are_not_published(tmp_path):
    """The process that has them would answer, no other would."""
    model = ByPython({"miss": yoto_tf.LogUniform(0.1, 10.0)}, seed=0)
    model.compile("adam", run_eagerly=True)
    model.fit(X, Y, verbose=0)
    with pytest.raises(VerificationError, match="PyFunc.*numpy_function"):
        model.export(tmp_path / "1")
    assert list(tmp_path.iterdir()) == []


class Probability(Alarms):
    def predict_step(self, data):
        return keras.ops.sigmoid(super().predict_step(data))


class ServedProbability(Probability):
    def served_outputs(self, x, loss_parameters):
        return keras.ops.sigmoid(super().served_outputs(x, loss_parameters))


def test_what_predict_gives_is_served_or_nothing_is(tmp_path):
    miss = {"miss": yoto_tf.LogUniform(0.1, 10.0)}
    with pytest.raises(InputError, match="predict_step.. of its own.*Probabil"):
        Probability(miss).export(tmp_path / "1", example=X)
    model = ServedProbability(miss)
    model.export(tmp_path / "1", example=X)
    with Session(tmp_path / "1") as session:
        asked = {"inputs": X, "miss": np.full(20, 1.0, "float32")}
        found = session.run("predict", asked)["outputs"]
    expected = model.predict(X, loss_parameters={"miss": 1.0}, verbose=0)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_an_example_that_the_model_does_not_take_is_a_sentence(tmp_path):
    model = Alarms({"miss": yoto_tf.LogUniform(0.1, 10.0)})
    model(X, {"miss": 1.0})
    for wrong, received in (
        (X[:4, :2], r"inputs.shape=\(4, 2\), which the model does not take"),
        (np.array([["a"] * 3, ["b"] * 3]), ".* which the model does not take"),
    ):
        with pytest.raises(InputError, match=f"for x, received: {received}"):
            model.export(tmp_path / "1", example=wrong)


def _net_of_two(names):
    inputs = {n: keras.Input((2,), name=n) for n in names}
    both = keras.layers.Concatenate()(list(inputs.values()))
    return keras.Model(inputs, keras.layers.Dense(1)(both))


@pytest.mark.parametrize(
    "names", [("left", "rigth"), ("left", "right", "id"), ("left",)]
)
def test_an_example_of_other_names_is_a_sentence(names, tmp_path):
    """Keras takes misspelt ones by their order."""
    model = conditioned(_net_of_two(["left", "right"]))
    example = {n: X[:4, :2] for n in names}
    message = rf"dict with 'left', 'right', received: .*'{names[-1]}'"
    with pytest.raises(InputError, match=message):
        model.export(tmp_path / "1", example=example)


def test_a_table_of_several_dtypes_is_an_example(tmp_path):
    net = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model = conditioned(net)
    table = pd.DataFrame(X[:6]).assign(**{"last": X[:6, 2] > 0}).drop(columns=2)
    model.export(tmp_path / "1", example=table)
    values = table.to_numpy("float32")
    with Session(tmp_path / "1") as session:
        asked = {"inputs": values, "miss": np.full(6, 1.0, "float32")}
        found = session.run("predict", asked)["outputs"]
    np.testing.assert_allclose(found, net(values), rtol=1e-5)


class Forgetful(Alarms):
    def served_outputs(self, x, loss_parameters):
        return self(x, training=False)


class HalfForgetful(Alarms):
    def served_outputs(self, x, loss_parameters):
        return self(x, {"miss": loss_parameters["miss"]})


@pytest.mark.parametrize("invalid_rows", ["error", "flag"])
@pytest.mark.parametrize(
    ("kind", "forgotten"), [(Forgetful, "miss"), (HalfForgetful, "false_alarm")]
)
def test_served_outputs_hand_on_every_loss_parameter(
    kind, forgotten, invalid_rows
):
    """It is what is compared: the comparison would not see it."""
    both = {n: yoto_tf.LogUniform(0.1, 10.0) for n in ("miss", "false_alarm")}
    message = f"{kind.__name__}, whose outputs take no notice of {forgotten}"
    with pytest.raises(InputError, match=message):
        generic_endpoints(kind(both), X[:4], invalid_rows)


def test_outputs_that_no_server_can_give_are_refused(tmp_path):
    model = alarms()
    answer = model.served_outputs
    for wrong, message in (
        (lambda x, p: {"a": answer(x, p), "b": None}, "b of type NoneType"),
        (lambda x, p: {"a": [answer(x, p)]}, "a of type list"),
    ):
        model.served_outputs = wrong
        with pytest.raises(InputError, match=f"tensors, received: {message}"):
            model.export(tmp_path / "1", example=X)
    model.served_outputs = lambda x, p: {"a": answer(x, p), "b": tf.ones(3)}
    with pytest.raises(InputError, match=r"flagged.*b.shape=\(3,\)"):
        export_model(model, tmp_path / "m", "flag", example=X)
    assert not list(tmp_path.glob("*/[0-9]*"))


@keras.saving.register_keras_serializable("tests")
class Compiled(Alarms):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.scaled = tf.function(lambda t: 3 * t, jit_compile=True)

    def call(self, x, loss_parameters):
        return self.scaled(super().call(x, loss_parameters))


def test_functions_that_servers_do_not_compile_are_refused(tmp_path):
    model = Compiled({"miss": yoto_tf.LogUniform(0.1, 10.0)}, seed=0)
    with pytest.raises(VerificationError, match="XLA.*jit_compile=True"):
        model.export(tmp_path / "1", example=X[:5])
    assert not list(tmp_path.iterdir())
