"""`model.export`: any loss-conditional model as a served version."""

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import yoto_tf
from export.saved_model import export_model
from yoto_tf import InputError
from yoto_tf.errors import SaveError
from yoto_tf.errors import VerificationError
from yoto_tf.method.generic_endpoints import generic_endpoints
from yoto_tf.method.precision import default_policy
from yoto_tf.session import Session

X = np.random.default_rng(0).normal(size=(20, 3)).astype("float32")
Y = (X[:, 0] > 0.5).astype("float32")


@keras.saving.register_keras_serializable("tests")
class Alarms(yoto_tf.LossConditionalModel):
    def __init__(self, loss_parameters, **kwargs):
        super().__init__(loss_parameters, **kwargs)
        self.logit = keras.layers.Dense(1)

    def call(self, x, loss_parameters):
        told = self.coordinates(loss_parameters)
        if isinstance(x, dict):
            x = x["left"] - x["right"]
        seen = keras.ops.concatenate([x, told], -1)
        return self.logit(seen)[:, 0]

    def loss_terms(self, x, y, outputs, loss_parameters):
        return {
            "miss": y * keras.ops.softplus(-outputs),
            "false_alarm": (1 - y) * keras.ops.softplus(outputs),
        }


def alarms(x=X):
    miss = yoto_tf.LogUniform(0.1, 10.0, default=2.0, description="Caution.")
    model = Alarms({"miss": miss}, seed=0)
    model.compile("adam", run_eagerly=True)
    model.fit(x, Y, verbose=0)
    return model


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    model = alarms()
    path = tmp_path_factory.mktemp("models") / "alarms" / "1"
    differences = model.export(path, example=X[:5])
    return model, path, differences


def test_the_session_answers_as_predict_does(exported):
    model, path, differences = exported
    assert {d.signature for d in differences} == {
        "serving_default",
        "predict",
        "loss_parameters",
    }
    miss = np.geomspace(0.1, 10, 20).astype("float32")
    expected = model.predict(X, loss_parameters={"miss": miss}, verbose=0)
    with Session(path) as session:
        for name in ("serving_default", "predict"):
            found = session.run(name, {"inputs": X, "miss": miss})
            np.testing.assert_allclose(found["outputs"], expected, rtol=1e-4)
        with pytest.raises(Exception, match="miss between 0.1 and 10"):
            session.run("predict", {"inputs": X, "miss": miss * 2})
        with pytest.raises(Exception, match="one row of miss per row"):
            session.run("predict", {"inputs": X, "miss": miss[:1]})


def test_a_client_is_told_of_every_parameter(exported):
    with Session(exported[1]) as session:
        found = session.run("loss_parameters", {"rows": np.zeros(2, "int32")})
    assert found["name"].tolist() == [[b"miss"]] * 2
    assert found["trained"].tolist() == [[b"between 0.1 and 10"]] * 2
    assert found["scale"].tolist() == [[b"log"]] * 2
    assert found["description"].tolist() == [[b"Caution."]] * 2
    for name, value in (("low", 0.1), ("high", 10), ("default", 2)):
        np.testing.assert_allclose(found[name], [[value]] * 2, rtol=1e-6)


def test_inputs_of_a_dict_keep_their_names(tmp_path):
    pairs = {"left": X, "right": X[::-1].copy()}
    model = alarms(pairs)
    model.export(tmp_path / "1", example=pairs)
    with Session(tmp_path / "1") as session:
        found = session.run(
            "predict", {**pairs, "miss": np.ones(20, "float32")}
        )
    expected = model.predict(pairs, loss_parameters={"miss": 1.0}, verbose=0)
    np.testing.assert_allclose(found["outputs"], expected, rtol=1e-4)


def test_an_example_is_taken_as_fit_takes_it(tmp_path):
    """Floats of NumPy and pandas are float64 by themselves."""
    alarms().export(tmp_path / "1", example=X[:5].astype("float64"))
    with Session(tmp_path / "1") as session:
        asked = {"inputs": X, "miss": np.full(20, 2.0, "float32")}
        session.run("predict", asked)
        inputs = session._signatures["predict"].inputs
    assert tf.as_dtype(inputs["inputs"].dtype) == tf.float32


def test_a_vae_is_served_at_the_posteriors_mean(tmp_path):
    config = yoto_tf.ModelConfig(
        latent_size=2, base_channels=1, convs_per_block=1, dense_units=4
    )
    model = yoto_tf.ConditionalVAE((32, 32, 3), config)
    images = np.random.default_rng(0).random((3, 32, 32, 3), "float32")
    model.export(tmp_path / "1", example=images)
    with Session(tmp_path / "1") as session:
        found = session.run(
            "predict", {"inputs": images, "beta": np.full(3, 4.0, "float32")}
        )
    np.testing.assert_allclose(
        found["reconstruction"], model.reconstruct(images, 4.0), atol=1e-4
    )


_FITS = {
    "arrays": lambda m: m.fit(X, Y, 10, shuffle=False, verbose=0),
    "a Dataset": lambda m: m.fit(_dataset(), verbose=0),
    "a generator": lambda m: m.fit(_batches(), steps_per_epoch=2, verbose=0),
    "a batch": lambda m: m.train_on_batch(X, Y),
    "XLA": lambda m: (
        m.compile("adam", jit_compile=True),
        m.fit(_dataset(), verbose=0),
    ),
    "eagerly": lambda m: (
        m.compile(run_eagerly=True),
        m.fit(_dataset(), verbose=0),
    ),
    "steps at a time": lambda m: (
        m.compile(steps_per_execution=2),
        m.fit(_dataset(), verbose=0),
    ),
}


def _batches():
    yield X[:12], Y[:12]
    yield X[12:], Y[12:]


def _dataset():
    return tf.data.Dataset.from_tensor_slices((X, Y)).batch(12)


@pytest.mark.filterwarnings("ignore:.shuffle=True. was passed")
@pytest.mark.parametrize("kind", _FITS)
def test_the_first_batch_of_fit_is_the_example(kind):
    model = Alarms({"miss": yoto_tf.LogUniform(0.1, 10.0)})
    model.compile("adam")
    _FITS[kind](model)
    np.testing.assert_array_equal(model._first_rows.inputs, X[:8])


def test_a_loaded_model_takes_its_own_first_batch_and_exports(tmp_path):
    model = alarms()
    model.save(tmp_path / "alarms.keras")
    loaded = keras.models.load_model(tmp_path / "alarms.keras")
    other = X[::-1].copy()
    loaded.fit(other, Y, shuffle=False, verbose=0)
    np.testing.assert_array_equal(loaded._first_rows.inputs, other[:8])
    loaded.export(tmp_path / "1")
    with Session(tmp_path / "1") as session:
        asked = {"inputs": X, "miss": np.ones(20, "float32")}
        found = session.run("predict", asked)["outputs"]
    expected = loaded.predict(X, loss_parameters={"miss": 1.0}, verbose=0)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_a_vaes_example_is_the_images_of_its_data(tmp_path):
    config = yoto_tf.ModelConfig(
        latent_size=2, base_channels=1, convs_per_block=1, dense_units=4
    )
    model = yoto_tf.ConditionalVAE((32, 32, 3), config)
    model.compile(run_eagerly=True)
    images = np.random.default_rng(0).random((3, 32, 32, 3), "float32")
    model.train_on_batch({"image": images, "label": np.arange(3)})
    np.testing.assert_array_equal(model._first_rows.inputs, images)
    model.export(tmp_path / "1")
    with Session(tmp_path / "1") as session:
        asked = {"inputs": images, "beta": np.full(3, 4.0, "float32")}
        found = session.run("predict", asked)["mean"]
    np.testing.assert_allclose(
        found, model.encode(images, 4.0)[0], rtol=1e-4, atol=1e-5
    )


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


def test_what_cannot_be_exported_is_told_and_leaves_nothing(
    exported, tmp_path, monkeypatch
):
    model, path, _ = exported
    with pytest.raises(InputError, match="example=x.*or fit"):
        Alarms({"miss": 2.0}).export(tmp_path / "1")
    model.save(tmp_path / "alarms.keras")
    loaded = keras.models.load_model(tmp_path / "alarms.keras")
    with pytest.raises(InputError, match="example=x.*or fit"):
        loaded.export(tmp_path / "1")
    (tmp_path / "alarms.keras").unlink()
    with pytest.raises(InputError, match="one row or more"):
        model.export(tmp_path / "1", example=X[:0])
    with pytest.raises(InputError, match="new version.*which is there"):
        model.export(path, example=X)
    other = alarms()
    other.served_outputs = lambda x, p: other(x, p) + keras.random.normal(())
    with pytest.raises(VerificationError, match="not the same for"):
        other.export(tmp_path / "1", example=X)
    assert list(tmp_path.iterdir()) == []


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


class Described(Alarms):
    """Looks codes up, and answers in words and whole numbers."""

    def __init__(self, loss_parameters, **kwargs):
        super().__init__(loss_parameters, **kwargs)
        self.lookup = keras.layers.IntegerLookup(vocabulary=[30, 50, 70])
        self.embedding = keras.layers.Embedding(4, 3)

    def call(self, x, loss_parameters):
        h = self.embedding(self.lookup(x))
        outputs = super().call(h, loss_parameters)
        place = keras.ops.cast(1000 * outputs, "int32")
        return {"score": outputs, "place": place}

    def served_outputs(self, x, loss_parameters):
        outputs = super().served_outputs(x, loss_parameters)
        named = tf.where(outputs["score"] > 0, "alarm", "none")
        return {**outputs, "named": named}


def test_tables_are_served_and_words_are_compared(tmp_path):
    keras.utils.set_random_seed(0)
    model = Described({"miss": yoto_tf.LogUniform(0.1, 10.0)})
    codes = np.array([30, 50, 70, 99, 30])
    model(codes)
    wide = model.embedding.embeddings
    wide.assign(np.float32([[3, 0, 0], [-3, 0, 0], [0, 3, 0], [0, 0, 3]]))
    model.export(tmp_path / "1", example=codes)
    asked = {"miss": np.full(5, 1.0, "float32")}
    with Session(tmp_path / "1") as session:
        found = session.run("predict", {"inputs": codes, **asked})
    expected = model.served_outputs(codes, asked)
    np.testing.assert_allclose(found["score"], expected["score"], rtol=1e-4)
    words = [b"alarm" if s > 0 else b"none" for s in found["score"]]
    assert found["named"].tolist() == words
    assert len(set(words)) == 2
    # The weights are written once.
    names = [
        n
        for n, _ in tf.train.list_variables(f"{tmp_path}/1/variables/variables")
    ]
    assert len(names) == 1 + len(model.weights)

    # A word that is another one in the graph.
    answer = model.served_outputs

    def turned(x, loss_parameters):
        outputs = answer(x, loss_parameters)
        if not tf.executing_eagerly():
            outputs["named"] = tf.where(outputs["score"] > 0, "none", "alarm")
        return outputs

    model.served_outputs = turned
    with pytest.raises(VerificationError, match="named of the C.. session dif"):
        model.export(tmp_path / "2", example=codes)


def test_a_text_vectorization_is_served(tmp_path):
    """Its table is in a layer of its own, that is never built."""
    words = keras.layers.TextVectorization(output_sequence_length=3)
    words.adapt(["the cat sat", "a dog ran"])
    x = keras.Input((1,), dtype="string")
    h = keras.layers.Embedding(9, 4)(words(x))
    net = keras.Model(x, keras.layers.Dense(1)(keras.layers.Flatten()(h)))
    model = _conditioned(net)
    texts = np.array([["the cat"], ["a dog ran"], ["who"]], object)
    model.export(tmp_path / "1", example=texts)
    asked = {"miss": np.float32([0.1, 1, 10])}
    with Session(tmp_path / "1") as session:
        found = session.run("predict", {"inputs": texts, **asked})["outputs"]
    expected = net(tf.constant(texts))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert len(set(found[:, 0])) == 3
    # Texts of one axis, as those of a table's column.
    model.export(tmp_path / "2", example=texts[:, 0])


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


def _conditioned(net):
    def miss(x, y, outputs, loss_parameters):
        return keras.ops.sum(outputs, -1)

    return yoto_tf.condition(
        net,
        terms={"miss": miss},
        loss_parameters={"miss": yoto_tf.LogUniform(0.1, 10.0)},
    )


@pytest.mark.parametrize(
    "names", [("left", "rigth"), ("left", "right", "id"), ("left",)]
)
def test_an_example_of_other_names_is_a_sentence(names, tmp_path):
    """Keras takes misspelt ones by their order."""
    model = _conditioned(_net_of_two(["left", "right"]))
    example = {n: X[:4, :2] for n in names}
    message = rf"dict with 'left', 'right', received: .*'{names[-1]}'"
    with pytest.raises(InputError, match=message):
        model.export(tmp_path / "1", example=example)


def test_a_table_of_several_dtypes_is_an_example(tmp_path):
    net = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model = _conditioned(net)
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


@pytest.mark.parametrize(
    ("example", "message"),
    [
        (X[:8].tolist(), "array.*inputs_0 of type list"),
        (tf.data.Dataset.from_tensor_slices(X), "inputs of type .*Dataset"),
        ({"a": {"b": X}}, "a of type dict"),
        (np.float32(1), r"inputs.shape=\(\)"),
    ],
)
def test_what_is_no_example_is_refused(exported, tmp_path, example, message):
    with pytest.raises(InputError, match=f"one row or more.*{message}"):
        exported[0].export(tmp_path / "1", example=example)


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


def test_a_path_that_cannot_be_made_is_a_sentence(exported, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SaveError, match="could not write .*file/1"):
        exported[0].export(tmp_path / "file" / "1", example=X)


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
        model.export(tmp_path / "1", X[:5])
    assert not list(tmp_path.iterdir())
