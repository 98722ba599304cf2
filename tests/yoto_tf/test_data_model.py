"""What Keras' methods take and give, and what they refuse of data."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from keras import ops

import yoto_tf
from yoto_tf import InputError

X = np.random.default_rng(0).normal(size=(40, 4)).astype("float32")
Y = (X[:, 0] > 0).astype("float32")


def miss(x, y, outputs, loss_parameters):
    return y * ops.softplus(-outputs[:, 0])


def false_alarm(x, y, outputs, loss_parameters):
    return (1 - y) * ops.softplus(outputs[:, 0])


def alarm(terms=None, outputs=None, **kwargs):
    keras.utils.set_random_seed(0)
    x = keras.Input((4,))
    hidden = layers.Dense(8, "tanh")(x)
    net = keras.Model(
        x, outputs(hidden) if outputs else layers.Dense(1)(hidden)
    )
    model = yoto_tf.condition(
        net,
        terms=terms or {"miss": miss, "fa": false_alarm},
        loss_parameters={"miss": yoto_tf.LogUniform(0.1, 10.0)},
        **kwargs,
    )
    model.compile("adam")
    return model


def test_a_list_of_scores_has_its_names():
    model = alarm()
    model.compile("adam", metrics=["binary_accuracy"])
    by_name = model.evaluate(X, Y, verbose=0, return_dict=True)
    found = model.evaluate(X, Y, verbose=0)
    assert dict(zip(model.metrics_names, found, strict=True)) == by_name
    assert {"loss", "miss_at_miss=0.1", "fa_at_miss=10"} < set(by_name)
    # Asked under one value, they are called otherwise.
    asked = {"miss": 4.0}
    found = model.evaluate(X, Y, verbose=0, loss_parameters=asked)
    named = dict(zip(model.metrics_names, found, strict=True))
    assert named == model.evaluate(
        X, Y, verbose=0, loss_parameters=asked, return_dict=True
    )
    assert set(named) == {"loss", "miss", "fa", "binary_accuracy"}


def test_a_batch_is_asked_as_data_are():
    model = alarm()
    model.fit(X, Y, verbose=0)
    asked = {"miss": 4.0}
    np.testing.assert_allclose(
        model.predict_on_batch(X, loss_parameters=asked),
        model.predict(X, verbose=0, loss_parameters=asked),
        rtol=1e-6,
    )
    found = model.test_on_batch(X, Y, loss_parameters=asked)
    named = dict(zip(model.metrics_names, found, strict=True))
    expected = model.evaluate(
        X, Y, verbose=0, loss_parameters=asked, return_dict=True
    )
    assert named == pytest.approx(expected, rel=1e-5)
    with pytest.raises(InputError, match=r"by name, predict\(x, loss_param"):
        model.predict(X, asked)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("y", "sentence"),
    [
        (Y.astype("int64"), "floats, as y.astype.*y of dtype=int64"),
        (Y > 0, "floats, as y.astype.*y of dtype=bool"),
        (None, "targets y, which loss_terms.* reads, received: none"),
    ],
)
def test_targets_that_terms_cannot_take_are_said_to_be(y, sentence):
    model = alarm()
    with pytest.raises(InputError, match=sentence):
        model.fit(X, y, verbose=0)
    with pytest.raises(InputError, match=sentence):
        model.evaluate(X, y, verbose=0)
    # What was refused leaves nothing behind.
    assert model.evaluate(X, Y, verbose=0)[0] > 0
    model.fit(X, Y, verbose=0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("made", "parts", "given", "sentence"),
    [
        ({"group_size": 4}, 1, {"batch_size": 8}, r"last batch of 6.*x\[:32\]"),
        ({"group_size": 4}, 1, {"batch_size": 6}, "received: a batch of 6"),
        (
            {},
            8,
            {"batch_size": 32},
            "8 examples or more .*=8.*batch of 6",
        ),
        (
            {"group_size": 2},
            4,
            {"batch_size": 32},
            "8 examples or.*batch of 6",
        ),
    ],
)
def test_batches_that_would_be_refused_later_are_refused_first(
    made, parts, given, sentence
):
    model = alarm(**made)
    model.compile("adam", batch_parts=parts)
    before = [w.copy() for w in model.get_weights()]
    with pytest.raises(InputError, match=sentence):
        model.fit(X[:38], Y[:38], epochs=2, verbose=0, **given)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    model.fit(X[:32], Y[:32], batch_size=16, verbose=0)
    # Keras splits first: 32 are left of 40.
    model.fit(X, Y, batch_size=16, verbose=0, validation_split=0.2)


def test_metrics_are_of_the_outputs_they_are_given_for():
    terms = {
        "miss": lambda x, y, outputs, _: ops.square(outputs[0] - y[0])[:, 0],
        "fa": lambda x, y, outputs, _: ops.square(outputs[1] - y[1])[:, 0],
    }

    def two(hidden):
        return [layers.Dense(1, name=n)(hidden) for n in "uv"]

    model = alarm(terms, two)
    y = [X[:, :1], X[:, 1:2]]
    for metrics in ({"u": "mae", "v": "mse"}, [["mae"], ["mse"]]):
        model.compile("adam", metrics=metrics)
        found = model.evaluate(
            X, y, verbose=0, loss_parameters={"miss": 1.0}, return_dict=True
        )
        u, v = model.predict(X, verbose=0, loss_parameters={"miss": 1.0})
        assert found["u_mae"] == pytest.approx(np.mean(abs(u - y[0])), rel=1e-5)
        assert found["v_mse"] == pytest.approx(
            np.mean((v - y[1]) ** 2), rel=1e-5
        )


@keras.saving.register_keras_serializable("tests")
class Detector(yoto_tf.LossConditionalModel):
    """Two numbers of an example in a dict, by one or two targets."""

    def __init__(self, flat=True):
        super().__init__({"miss": yoto_tf.LogUniform(0.1, 10.0)}, seed=0)
        self.flat = flat
        self.last = layers.Dense(1)

    def call(self, x, loss_parameters):
        told = self.coordinates(loss_parameters)
        logit = self.last(ops.concatenate([x, told], -1))
        logit = logit[:, 0] if self.flat else logit
        return {"logit": logit, "probability": ops.sigmoid(logit)}

    def loss_terms(self, x, y, outputs, loss_parameters):
        one = y["logit"] if isinstance(y, dict) else y
        error = abs(ops.reshape(outputs["logit"], (-1,)) - one)
        return {"miss": error, "fa": error**2}


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("of_each", [False, True])
def test_a_metric_of_any_output_counts_every_example_alike(flat, of_each):
    """One tensor of targets is that of all outputs; 33 rows in batches of 32
    have a last one of one row, which counts as one."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(33, 4)).astype("float32")
    target = np.zeros(33, "float32")
    target[32] = 100.0
    y = {"logit": target, "probability": 2 * target} if of_each else target
    model = Detector(flat)
    for metrics in (
        {"probability": ["mae"], "logit": ["mse"]},
        {"probability": ["mae"]},
        [["mse"], ["mae"]],
    ):
        model.compile("sgd", metrics=metrics)
        asked = {"loss_parameters": {"miss": 2.0}, "verbose": 0}
        found = model.evaluate(x, y, batch_size=32, return_dict=True, **asked)
        made = {n: o.ravel() for n, o in model.predict(x, **asked).items()}
        wanted = np.mean(abs(made["probability"] - (1 + of_each) * target))
        assert found["probability_mae"] == pytest.approx(wanted, rel=1e-5)
        if len(metrics) > 1:
            wanted = np.mean((made["logit"] - target) ** 2)
            assert found["logit_mse"] == pytest.approx(wanted, rel=1e-5)


def test_metrics_without_targets_of_an_output_are_refused():
    model = Detector()
    model.compile("sgd", metrics={"probability": ["mae"]})
    with pytest.raises(InputError, match="targets of every output.*'probabil"):
        model.evaluate(X, {"logit": Y}, verbose=0)


def test_values_of_each_example_in_a_graph_of_any_batch():
    model = alarm()

    @tf.function(input_signature=[tf.TensorSpec([None, 4])])
    def answered(x):
        return model(x, loss_parameters={"miss": [1.0, 4.0]})

    wanted = model(X[:2], loss_parameters={"miss": [1.0, 4.0]})
    np.testing.assert_allclose(answered(X[:2]), wanted, rtol=1e-5)
    with pytest.raises(tf.errors.InvalidArgumentError, match="one miss per ex"):
        answered(X[:3])


def test_a_metric_called_like_a_term_is_refused():
    model = alarm({"miss": "mae", "mse": "mse"})
    model.compile("adam", metrics=["mse"])
    model.fit(X, Y, verbose=0)
    with pytest.raises(InputError, match="a metric and a term 'mse'"):
        model.evaluate(X, Y, verbose=0)
    with pytest.raises(InputError, match="a metric and a term 'mse'"):
        model.evaluate(X, Y, verbose=0, loss_parameters={"miss": 1.0})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "layer"),
    [
        ((None, 4), lambda: layers.GRU(3)),
        ((None, None, 3), lambda: layers.Conv2D(2, 3)),
    ],
)
def test_axes_that_a_network_leaves_open_are_served_so(shape, layer, tmp_path):
    x = keras.Input(shape, name="seen")
    hidden = layer()(x)
    if len(hidden.shape) > 2:
        hidden = layers.GlobalAveragePooling2D()(hidden)
    net = keras.Model(x, layers.Dense(1)(hidden))
    model = yoto_tf.condition(
        net,
        terms={"mse": "mse", "mae": "mae"},
        loss_parameters={"mae": yoto_tf.LogUniform(0.1, 10.0)},
    )
    rng = np.random.default_rng(0)

    def drawn(length):
        size = [length if n is None else n for n in shape]
        return rng.normal(size=(5, *size)).astype("float32")

    model.export(tmp_path / "1", example=drawn(7))
    model.export(tmp_path / "2", example=drawn(150 if len(shape) == 2 else 35))
    predict = tf.saved_model.load(tmp_path / "1").signatures["predict"]
    miss = np.float32([0.1, 0.5, 1, 2, 10])
    # Beyond what a request has of rows, too.
    for length in (7, 5, 9, 300 if len(shape) == 2 else 40):
        x = drawn(length)
        found = predict(inputs=tf.constant(x), mae=tf.constant(miss))
        np.testing.assert_allclose(
            found["outputs"],
            model.predict(x, loss_parameters={"mae": miss}, verbose=0),
            atol=1e-5,
        )


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("miss cost", "of letters, digits and _.*'miss cost'"),
        (
            "seen",
            r"otherwise than the inputs .*, \['seen'\].*: 'seen'",
        ),
        (
            "Seen",
            r"otherwise than the inputs .*, \['seen'\].*: 'Seen'",
        ),
    ],
)
def test_names_that_no_signature_could_have_are_refused_at_once(name, sentence):
    net = keras.Sequential([keras.Input((4,), name="seen"), layers.Dense(1)])
    with pytest.raises(InputError, match=sentence):
        yoto_tf.condition(
            net,
            terms={name: "mse", "mae": "mae"},
            loss_parameters={name: yoto_tf.LogUniform(0.1, 10.0)},
        )
