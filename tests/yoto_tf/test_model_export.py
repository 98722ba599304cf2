"""`model.export`: any loss-conditional model as a served version."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from alarms import Alarms
from alarms import X
from alarms import Y
from alarms import alarms
from alarms import conditioned

import yoto_tf
from yoto_tf import InputError
from yoto_tf.errors import SaveError
from yoto_tf.errors import VerificationError
from yoto_tf.session import Session


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


@pytest.mark.slow
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
    np.testing.assert_array_equal(model.first_inputs, X[:8])


def test_a_loaded_model_takes_its_own_first_batch_and_exports(tmp_path):
    model = alarms()
    model.save(tmp_path / "alarms.keras")
    loaded = keras.models.load_model(tmp_path / "alarms.keras")
    other = X[::-1].copy()
    loaded.fit(other, Y, shuffle=False, verbose=0)
    np.testing.assert_array_equal(loaded.first_inputs, other[:8])
    loaded.export(tmp_path / "1")
    with Session(tmp_path / "1") as session:
        asked = {"inputs": X, "miss": np.ones(20, "float32")}
        found = session.run("predict", asked)["outputs"]
    expected = loaded.predict(X, loss_parameters={"miss": 1.0}, verbose=0)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.slow
def test_a_vaes_example_is_the_images_of_its_data(tmp_path):
    config = yoto_tf.ModelConfig(
        latent_size=2, base_channels=1, convs_per_block=1, dense_units=4
    )
    model = yoto_tf.ConditionalVAE((32, 32, 3), config)
    model.compile(run_eagerly=True)
    images = np.random.default_rng(0).random((3, 32, 32, 3), "float32")
    model.train_on_batch({"image": images, "label": np.arange(3)})
    np.testing.assert_array_equal(model.first_inputs, images)
    model.export(tmp_path / "1")
    with Session(tmp_path / "1") as session:
        asked = {"inputs": images, "beta": np.full(3, 4.0, "float32")}
        found = session.run("predict", asked)["mean"]
    np.testing.assert_allclose(
        found, model.encode(images, 4.0)[0], rtol=1e-4, atol=1e-5
    )


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
    model = conditioned(net)
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


@pytest.mark.parametrize("given", ["", "a\0b", None, 7, b"m"])
def test_what_is_no_path_is_a_sentence(exported, given):
    with pytest.raises(
        InputError, match="expected a path, received: filepath="
    ):
        exported[0].export(given, example=X)


def test_keras_own_arguments_are_taken_where_they_mean_the_same(
    exported, tmp_path, capsys
):
    model, path = exported[0], tmp_path / "1"
    with pytest.raises(InputError, match="format='tf_saved.*format='onnx'"):
        model.export(path, example=X, format="onnx")
    for name in ("m.onnx", "m.TFLite", "m.keras", "m.weights.h5"):
        with pytest.raises(InputError, match=f"of a folder.*{name}; model.sa"):
            model.export(tmp_path / name, example=X)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError, match="example=.*input_signature=\\[7"):
        model.export(path, input_signature=[7])
    model.export(path, "tf_saved_model", True, example=X)
    assert f"exported: {path}\n" in capsys.readouterr().out
    assert (path / "saved_model.pb").is_file()


def test_a_path_that_cannot_be_made_is_a_sentence(exported, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SaveError, match="could not write .*file/1"):
        exported[0].export(tmp_path / "file" / "1", example=X)


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
