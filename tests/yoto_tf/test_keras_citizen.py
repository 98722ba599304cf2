"""What Keras' users do with a model, done with a loss-conditional one."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import yoto_tf
from yoto_tf import InputError
from yoto_tf import LogUniform
from yoto_tf import LossConditionalModel

NUM, FEATURES = 40, 3
RNG = np.random.default_rng(0)
X = RNG.normal(size=(NUM, FEATURES)).astype("float32")
Y = (X[:, 0] > 0).astype("int32")


@keras.saving.register_keras_serializable("tests")
class Classifier(LossConditionalModel):
    """Two classes; `miss` is what a missed one costs."""

    def __init__(self, loss_parameters=None, **kwargs):
        super().__init__(
            loss_parameters or {"miss": LogUniform(0.25, 4.0)}, **kwargs
        )
        self.net = keras.layers.Dense(2, activation="softmax")

    def call(self, x, loss_parameters):
        told = self.coordinates(loss_parameters)
        return self.net(ops.concatenate([x, told], -1))

    def loss_terms(self, x, y, outputs, loss_parameters):
        y = ops.cast(y, outputs.dtype)
        return {
            "miss": -y * ops.log(outputs[:, 1]),
            "alarm": -(1 - y) * ops.log(outputs[:, 0]),
        }


def make(optimizer=None, **options):
    keras.utils.set_random_seed(0)
    model = Classifier(seed=1)
    options.setdefault("metrics", ["accuracy"])
    model.compile(optimizer or keras.optimizers.Adam(0.1), **options)
    return model


@pytest.fixture(scope="module")
def model():
    """A trained one; tests must not train it."""
    made = make()
    made.fit(X, Y, epochs=3, verbose=0)
    return made


def probabilities(model, miss, x=X):
    """From the weights alone."""
    kernel, bias = model.get_weights()
    told = np.log(np.broadcast_to(miss, len(x))) / (np.log(16) / np.sqrt(12))
    logits = x @ kernel[:FEATURES] + told[:, None] * kernel[FEATURES] + bias
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def terms_by_hand(model, miss):
    p = probabilities(model, miss)
    return {"miss": -Y * np.log(p[:, 1]), "alarm": -(1 - Y) * np.log(p[:, 0])}


def test_metrics_are_named_after_the_watched_value(model):
    scores = model.evaluate(X, Y, return_dict=True, verbose=0)
    labels = [f"at_miss={v}" for v in ("0.25", "1", "4")]
    names = [f"{n}_{at}" for at in labels for n in ("miss", "alarm")]
    assert set(scores) == {
        "loss",
        *names,
        *(f"accuracy_{at}" for at in labels),
    }
    right = probabilities(model, 4.0).argmax(-1) == Y
    assert scores["accuracy_at_miss=4"] == pytest.approx(right.mean())
    other = make(run_eagerly=True)
    logs = other.fit(X, Y, validation_data=(X, Y), verbose=0).history
    assert set(logs) == {"loss", "miss", "alarm", *(f"val_{n}" for n in scores)}


@pytest.mark.parametrize("column", [False, True])
def test_sample_weights_reach_the_weighted_metrics(column):
    weights = RNG.exponential(size=NUM)
    model = make(metrics=None, weighted_metrics=["accuracy"], run_eagerly=True)
    scores = model.evaluate(
        X,
        Y,
        sample_weight=weights[:, None] if column else weights,
        loss_parameters={"miss": 2.0},
        batch_size=15,
        return_dict=True,
        verbose=0,
    )
    right = probabilities(model, 2.0).argmax(-1) == Y
    assert scores["accuracy"] == pytest.approx(
        (weights * right).sum() / weights.sum(), rel=1e-5
    )
    terms = terms_by_hand(model, 2.0)
    loss = weights * (2 * terms["miss"] + terms["alarm"])
    assert scores["loss"] == pytest.approx(loss.mean(), rel=1e-4)


def test_class_weights_weight_the_loss_of_each_example():
    model = make(keras.optimizers.SGD(0.0))
    model(X)
    drawn = np.asarray(Classifier(seed=1).sample_loss_parameters(NUM)["miss"])
    terms = terms_by_hand(model, drawn)
    loss = drawn * terms["miss"] + terms["alarm"]
    logs = model.fit(
        X,
        Y,
        batch_size=NUM,
        class_weight={0: 1.0, 1: 5.0},
        shuffle=False,
        verbose=0,
    ).history
    expected = (np.where(Y, 5.0, 1.0) * loss).mean()
    assert logs["loss"] == [pytest.approx(expected, rel=1e-4)]


def test_a_single_batch_is_trained_scored_and_asked():
    model = make(keras.optimizers.SGD(0.5))
    scores = model.test_on_batch(X, Y, return_dict=True)
    assert scores["miss_at_miss=4"] == pytest.approx(
        terms_by_hand(model, 4.0)["miss"].mean(), rel=1e-4
    )
    before = model.get_weights()
    logs = model.train_on_batch(X, Y, return_dict=True)
    assert set(logs) == {"loss", "miss", "alarm"}
    assert np.abs(model.get_weights()[0] - before[0]).max() > 1e-3
    asked = {"inputs": X, "loss_parameters": {"miss": np.full(NUM, 4.0)}}
    np.testing.assert_allclose(
        model.predict_on_batch(asked), probabilities(model, 4.0), rtol=1e-4
    )
    with pytest.raises(InputError, match=r"miss between 0.25 and 4.*miss=9"):
        model.predict_on_batch(
            {"inputs": X, "loss_parameters": {"miss": np.full(NUM, 9.0)}}
        )


@pytest.mark.parametrize(
    ("several", "jit_compile"),
    [
        (2, True),
        pytest.param(1, True, marks=pytest.mark.slow),
        pytest.param(2, False, marks=pytest.mark.slow),
    ],
)
def test_steps_may_run_several_at_a_time_and_compiled(several, jit_compile):
    model = make(steps_per_execution=several, jit_compile=jit_compile)
    data = {"batch_size": 10, "shuffle": False, "verbose": 0}
    model.fit(X, Y, validation_data=(X, Y), **data)
    alone = make(run_eagerly=True)
    alone.fit(X, Y, **data)
    for ours, theirs in zip(
        model.get_weights(), alone.get_weights(), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("ask", ["predict", "evaluate"])
def test_values_in_a_data_set_that_were_not_trained_are_refused(model, ask):
    values = np.full(NUM, 2.0, "float32")
    values[17] = 5.0
    x = {"inputs": X, "loss_parameters": {"miss": values}}
    data = tf.data.Dataset.from_tensor_slices((x, Y)).batch(10)
    with pytest.raises(InputError) as refused:
        getattr(model, ask)(data, verbose=0)
    assert str(refused.value) == (
        "expected miss between 0.25 and 4, received: miss=5"
    )


def test_lists_from_a_generator_are_x_and_y(model):
    batches = ([X[i : i + 10], Y[i : i + 10]] for i in range(0, NUM, 10))
    scores = model.evaluate(
        batches,
        steps=4,
        loss_parameters={"miss": 2.0},
        return_dict=True,
        verbose=0,
    )
    assert scores["miss"] == pytest.approx(
        terms_by_hand(model, 2.0)["miss"].mean(), rel=1e-4
    )


def test_training_draws_its_values_itself():
    x = {"inputs": X, "loss_parameters": {"miss": np.ones(NUM, "float32")}}
    with pytest.raises(InputError, match="without loss_parameters, which"):
        make().fit(x, Y, verbose=0)


@pytest.mark.parametrize("told", [False, True])
def test_it_is_a_layer_of_a_functional_model(model, told):
    x, miss = keras.Input((FEATURES,)), keras.Input(())
    if told:
        wide = keras.Model([x, miss], model(x, {"miss": miss}))
        values = np.geomspace(0.25, 4, NUM).astype("float32")
        found = wide.predict([X, values], verbose=0)
        np.testing.assert_allclose(
            found, probabilities(model, values), rtol=1e-4
        )
        with pytest.raises(InputError, match="between 0.25 and 4"):
            wide([X, 2 * values])
        return
    wide = keras.Model(x, model(x))
    np.testing.assert_allclose(
        wide.predict(X, verbose=0), probabilities(model, 1.0), rtol=1e-4
    )


def test_metrics_come_back_with_the_model(tmp_path):
    right = keras.metrics.SparseCategoricalAccuracy("right")
    model = make(metrics=[right], run_eagerly=True)
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    expected = model.evaluate(X, Y, return_dict=True, verbose=0)
    assert "right_at_miss=4" in expected
    assert loaded.evaluate(X, Y, return_dict=True, verbose=0) == expected


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_last_batch_that_cuts_a_group_is_refused_also_in_a_data_set(
    jit_compile,
):
    model = Classifier(group_size=4)
    model.compile(jit_compile=jit_compile)
    data = tf.data.Dataset.from_tensor_slices((X, Y))
    model.fit(data.batch(8), shuffle=False, verbose=0)
    with pytest.raises(InputError, match="multiple of group_size=4.*: 2"):
        model.fit(data.take(10).batch(8), shuffle=False, verbose=0)


def test_a_metric_that_builds_when_it_is_used_is_scored():
    one_hot = np.eye(2, dtype="float32")[Y]

    class Scored(Classifier):
        def loss_terms(self, x, y, outputs, loss_parameters):
            return super().loss_terms(x, y[:, 1], outputs, loss_parameters)

    scored = Scored(seed=1)
    scored.compile("sgd", metrics=[keras.metrics.F1Score(average="macro")])
    found = scored.evaluate(X, one_hot, verbose=0, return_dict=True)
    for miss in (w["miss"] for w in scored.watched):
        said = np.asarray(scored(X, {"miss": miss})).argmax(-1)
        scores = []
        for label in (0, 1):
            hit = ((said == label) & (Y == label)).sum()
            scores.append(
                2 * hit / ((said == label).sum() + (Y == label).sum())
            )
        np.testing.assert_allclose(
            found[f"f1_score_at_miss={miss:g}"], np.mean(scores), rtol=1e-5
        )


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ((X, Y.tolist()), "targets y, received: lists of int; numpy.asarray"),
        ((X, list(Y)), "targets y, received: lists of int32"),
        ((X, Y.astype(str)), "targets y of numbers, received: .*dtype=<U"),
        ((X.astype(str), Y), "arrays or tensors of numbers, received: .*<U"),
        (
            (X.astype(object), Y),
            "arrays or tensors of numbers, received: .*dtype=object",
        ),
    ],
)
@pytest.mark.parametrize("method", ["fit", "evaluate"])
def test_lists_and_texts_are_refused_in_a_sentence(
    model, method, given, sentence
):
    with pytest.raises(InputError, match=f"^expected {sentence}"):
        getattr(model, method)(*given, verbose=0)


def test_what_has_another_rank_than_before_is_refused_and_forgotten():
    """Keras traces it anew with the rank open."""
    model = make(metrics=[])
    before = model.test_on_batch(X, Y)
    with pytest.raises(InputError, match="loss term to have the shape"):
        model.test_on_batch(X, Y[:, None])
    wanted = model.predict_on_batch(X)
    for ask in (np.ones(NUM), np.ones((NUM, 1))):
        data = {"inputs": X, "loss_parameters": {"miss": ask.astype("float32")}}
        if ask.ndim == 1:
            found = model.predict_on_batch(data)
            np.testing.assert_allclose(found, wanted, rtol=1e-5)
            continue
        with pytest.raises(InputError, match=r"one per example, shape \(batch"):
            model.predict_on_batch(data)
    np.testing.assert_allclose(model.test_on_batch(X, Y), before, rtol=1e-5)


def test_a_tensor_of_texts_is_asked_for_in_no_call(model):
    with pytest.raises(InputError, match="received: miss.dtype=string"):
        model(X[:2], {"miss": tf.constant(["1", "2"])})


@pytest.mark.parametrize(
    "name", ["m.h5", "m.hdf5", "m.H5", "m", "m.pb", "m.keras.bak"]
)
def test_a_file_of_another_kind_is_refused(model, tmp_path, name):
    file = tmp_path / name
    file.write_text("what was there")
    said = r"expected a path that ends in \.keras, .* received: filepath="
    with pytest.raises(InputError, match=said):
        model.save(file)
    assert file.read_text() == "what was there"


def test_a_checkpoint_of_another_kind_is_refused(model, tmp_path):
    checkpoint = keras.callbacks.ModelCheckpoint(str(tmp_path / "m.h5"))
    checkpoint.set_model(model)
    with pytest.raises(InputError, match=r"a path that ends in \.keras"):
        checkpoint.on_epoch_end(0, {})
    assert not list(tmp_path.iterdir())


def test_a_folder_in_place_of_a_file(model, tmp_path):
    model.save(tmp_path / "unzipped", zipped=False)
    loaded = yoto_tf.load_model(tmp_path / "unzipped")
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
