"""What Keras users give to `fit`, `evaluate` and `predict`, in every form."""

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from keras import layers
from keras import ops

import yoto_tf
from yoto_tf import InputError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 6)).astype("float32")
Y = X[:, :1]
WIDE = np.zeros((64, 3), "float32")


@keras.saving.register_keras_serializable("test_given_data")
def size(x, y, outputs, loss_parameters):
    return ops.mean(outputs**2, -1)


def made(net=None, low=0.1, high=10.0, **compiled):
    keras.utils.set_random_seed(0)
    net = net or keras.Sequential(
        [keras.Input((6,)), layers.Dense(8, "relu"), layers.Dense(1)]
    )
    model = yoto_tf.condition(
        net,
        {"mse": "mse", "size": size},
        {"size": yoto_tf.LogUniform(low, high)},
    )
    model.compile("adam", **compiled)
    return model


def rows_of(num_x, num_y, width):
    def batches():
        yield np.zeros((num_x, 6), "float32"), np.zeros((num_y, width))

    spec = [tf.TensorSpec((None, n), "float32") for n in (6, None)]
    data = tf.data.Dataset.from_generator(batches, output_signature=tuple(spec))
    return data.apply(tf.data.experimental.assert_cardinality(1))


@pytest.mark.slow
@pytest.mark.parametrize("jit_compile", [False, True])
def test_targets_that_would_be_broadcast_later_are_refused(jit_compile):
    model = made(jit_compile=jit_compile)
    model.fit(X, Y, verbose=0)
    before = model.get_weights()
    for call in (model.fit, model.evaluate, model.fit):
        with pytest.raises(InputError, match="shape of the outputs for mse"):
            call(X, WIDE, verbose=0)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    model.fit(X, Y, verbose=0)


@pytest.mark.slow
@pytest.mark.parametrize("jit_compile", [False, True])
def test_sequences_of_targets_that_would_be_broadcast_are_refused(jit_compile):
    def lengths(of_x, of_y):
        yield np.ones((8, of_x, 6), "float32"), np.ones((8, of_y, 1))

    net = keras.Sequential([keras.Input((None, 6)), layers.Dense(1)])
    model = yoto_tf.condition(
        net,
        {"mse": "mse", "size": lambda x, y, o, p: ops.mean(o**2, (1, 2))},
        {"size": yoto_tf.LogUniform(0.1, 10.0)},
    )
    model.compile("sgd", jit_compile=jit_compile)
    spec = [tf.TensorSpec((None, None, n), "float32") for n in (6, 1)]
    for pair in ((3, 3), (4, 4), (5, 1), (5, 5)):
        data = tf.data.Dataset.from_generator(
            lambda pair=pair: lengths(*pair), output_signature=tuple(spec)
        ).apply(tf.data.experimental.assert_cardinality(1))
        for call in (model.evaluate, lambda d: model.fit(d, shuffle=False)):
            if pair == (5, 1):
                with pytest.raises(InputError, match="shape of the outputs"):
                    call(data)
            else:
                call(data)
            x, y = next(lengths(*pair))
            if pair == (5, 1):
                with pytest.raises(InputError, match="shape of the outputs"):
                    model.train_on_batch(x, y, return_dict=True)
            else:
                model.train_on_batch(x, y, return_dict=True)


@pytest.mark.slow
def test_data_of_more_arrays_keep_the_graph():
    model = made()
    traces = []
    call = type(model).call

    def counted(self, *args, **kwargs):
        traces.append(1)
        return call(self, *args, **kwargs)

    counting = type("Counting", (type(model),), {"call": counted})
    model.__class__ = counting
    weights = np.ones(64)
    for i in range(4):
        if i == 2:
            before = len(traces)
        model.predict(X, verbose=0)
        model.predict(X, loss_parameters={"size": 1.0}, verbose=0)
        model.fit(X, Y, verbose=0)
        model.fit(X, Y, sample_weight=weights, verbose=0)
        model.evaluate(X, Y, verbose=0)
        model.evaluate(X, Y, loss_parameters={"size": 1.0}, verbose=0)
    assert len(traces) == before > 0


def test_a_dataset_that_does_not_tell_its_rank_is_predicted():
    data = tf.data.Dataset.from_tensor_slices(X).batch(16)
    unknown = data.map(
        lambda x: tf.numpy_function(lambda v: v, [x], tf.float32)
    )
    model = made()
    np.testing.assert_array_equal(
        model.predict(unknown, verbose=0), model.predict(X, verbose=0)
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ((10, 10, 3), "axis 1 of y with 3 and of the outputs with 1"),
        ((10, 1, 1), "axis 0 of y with 1 and of the outputs with 10"),
    ],
)
def test_targets_of_a_generator_that_would_be_broadcast_are_refused(rows, said):
    model = made()
    with pytest.raises(InputError, match=f"received: {said}"):
        model.fit(rows_of(*rows), shuffle=False, verbose=0)
    with pytest.raises(InputError, match=f"received: {said}"):
        model.evaluate(rows_of(*rows), verbose=0)
    model.fit(rows_of(10, 10, 1), shuffle=False, verbose=0)


@pytest.mark.slow
def test_data_of_other_ranks_are_taken_one_after_the_other():
    net = keras.Sequential([keras.Input((1,)), layers.Dense(1)])
    model = made(net)
    column = X[:, :1]
    first = model.predict(X[:, 0], verbose=0)
    np.testing.assert_array_equal(model.predict(column, verbose=0), first)
    np.testing.assert_array_equal(model.predict(X[:, 0], verbose=0), first)
    weights = np.ones(64)
    for given in (pd.Series(weights), weights, pd.Series(weights)):
        model.fit(column, Y, sample_weight=given, verbose=0)
        model.evaluate(column, Y, sample_weight=given, verbose=0)
    for targets in (pd.Series(Y[:, 0]), Y, Y[:, 0]):
        model.fit(column, targets, verbose=0)


@pytest.mark.parametrize("first", [True, False])
def test_inputs_of_another_width_are_refused_and_the_right_ones_not(first):
    model = made()
    if first:
        model.predict(X, verbose=0)
        model.fit(X, Y, verbose=0)
    narrow = X[:, :5]
    data = tf.data.Dataset.from_tensor_slices((narrow, Y)).batch(8)
    for call in (
        lambda: model.predict(narrow, verbose=0),
        lambda: model.fit(narrow, Y, verbose=0),
        lambda: model.evaluate(narrow, Y, verbose=0),
        lambda: model.fit(data, shuffle=False, verbose=0),
    ):
        with pytest.raises(InputError, match=r"\(None, 6\), received: shapes"):
            call()
    model.predict(X, verbose=0)
    model.fit(X, Y, verbose=0)


@pytest.mark.slow
def test_an_array_of_texts_is_taken_as_by_keras():
    texts = np.array(["a good film", "a bad one"] * 16, dtype=object)
    words = layers.TextVectorization(output_sequence_length=4)
    words.adapt(texts)
    net = keras.Sequential(
        [
            keras.Input((), dtype="string"),
            words,
            layers.Embedding(words.vocabulary_size(), 4),
            layers.GlobalAveragePooling1D(),
            layers.Dense(1),
        ]
    )
    model = made(net)
    y = np.tile([0.0, 1.0], 16).astype("float32")
    model.fit(texts, y, verbose=0)
    found = model.predict(texts, loss_parameters={"size": 3.0}, verbose=0)
    tensor = tf.constant(list(texts))
    np.testing.assert_allclose(found, model(tensor, {"size": 3.0}), rtol=1e-5)
    model.evaluate(texts, y, verbose=0)
    with pytest.raises(InputError, match="of texts tf.constant makes a tensor"):
        model.predict(texts.astype(str))
    with pytest.raises(InputError, match="numbers for .*, received: texts"):
        made().predict(texts)
    with pytest.raises(InputError, match="targets y of numbers, received"):
        model.fit(texts, texts)


def test_a_split_that_leaves_nothing_to_train_on_is_refused():
    for x, y, split in (
        (X, Y, 0.99),
        (X[:1], Y[:1], 0.5),
        (X, Y, 2),
        (X, Y, -1),
    ):
        with pytest.raises(InputError, match="leaves one example or more"):
            made().fit(x, y, validation_split=split)


def test_loss_parameters_are_asked_for_by_name():
    for call in (
        lambda: made().evaluate(X, Y, {"size": 1.0}),
        lambda: made().predict(X, {"size": 1.0}),
        lambda: made().test_on_batch(X, Y, {"size": 1.0}),
    ):
        with pytest.raises(InputError, match="loss parameters by name"):
            call()


def test_sample_weights_that_are_no_numbers_change_nothing():
    model = made()
    before = model.get_weights()
    for place in (3, 40):
        weights = np.where(np.arange(64) == place, np.nan, 1.0)
        given = {"sample_weight": weights, "verbose": 0}
        for call in (model.fit, model.evaluate):
            with pytest.raises(InputError, match="finite .*sample_weight=nan"):
                call(X, Y, **given)
    data = tf.data.Dataset.from_tensor_slices((X, Y, weights)).batch(64)
    with pytest.raises(InputError, match="finite before .*sample_weight=nan"):
        model.fit(data, shuffle=False, verbose=0)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_weights_that_keras_would_leave_out_are_refused():
    model = made()
    before = model.get_weights()
    weights = np.zeros(64)
    for call, name in (
        (lambda: model.fit(X, sample_weight=weights), "sample"),
        (lambda: model.evaluate(X, sample_weight=weights), "sample"),
        (lambda: model.fit(X, class_weight={0: 2.0}), "class"),
        (
            lambda: model.fit(X, Y, validation_data=(X, None, weights)),
            "sample",
        ),
    ):
        message = f"targets y beside {name}_weight.*y=None"
        with pytest.raises(InputError, match=message):
            call()
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    # Of a Dataset Keras takes neither.
    data = tf.data.Dataset.from_tensor_slices((X, Y, weights)).batch(64)
    fitted = model.fit(data, shuffle=False, verbose=0)
    assert fitted.history["loss"] == [0.0]


@pytest.mark.slow
def test_weights_of_another_range_are_refused(tmp_path):
    path = tmp_path / "model.weights.h5"
    trained = made()
    trained.fit(X, Y, verbose=0)
    trained.save_weights(path)
    for model in (same := made(), other := made(high=1000.0)):
        model.fit(X, Y, verbose=0)
    same.load_weights(path)
    np.testing.assert_array_equal(
        same(X, {"size": 5.0}), trained(X, {"size": 5.0})
    )
    trained.fit(X, Y, epochs=2, verbose=0)
    trained.save_weights(path)
    variables = [*other.variables, *other.optimizer.variables]
    before = [v.numpy() for v in variables]
    with pytest.raises(InputError, match="trained for size .*1000.*received"):
        other.load_weights(path)
    for variable, kept in zip(variables, before, strict=True):
        np.testing.assert_array_equal(variable, kept, variable.path)
    choices = yoto_tf.condition(
        trained.net,
        {"mse": "mse", "size": size},
        {"size": yoto_tf.Choice([0.1, 10.0])},
    )
    with pytest.raises(InputError, match="other values of the loss parameters"):
        choices.load_weights(path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "best"),
    [
        ("val_mse_at_size=10", np.less),
        ("val_loss", np.less),
        ("mse", np.less),
        ("val_r2_score_at_size=0.1", np.greater),
        ("val_mean_absolute_error_at_size=10", np.less),
    ],
)
def test_callbacks_know_which_way_is_better(name, best):
    model = made(
        metrics=[keras.metrics.R2Score(), keras.metrics.MeanAbsoluteError()]
    )
    stop = keras.callbacks.EarlyStopping(monitor=name)
    slower = keras.callbacks.ReduceLROnPlateau(monitor=name)
    history = model.fit(
        X,
        Y,
        validation_split=0.2,
        epochs=2,
        verbose=0,
        callbacks=[stop, slower],
    )
    assert name in history.history
    assert best(0, 1) == bool(stop.monitor_op(0.0, 1.0))


@pytest.mark.parametrize(
    "metric",
    [
        keras.metrics.AUC(curve="PR", num_thresholds=50),
        keras.metrics.AUC(thresholds=[0.2, 0.6]),
        keras.metrics.CosineSimilarity(axis=0),
        keras.metrics.SparseTopKCategoricalAccuracy(k=2),
    ],
)
def test_metrics_of_keras_are_scored_as_they_were_made(metric):
    # At any scale: a probability, for the AUC.
    net = keras.Sequential([keras.Input((6,)), layers.Dense(4), layers.ReLU(1)])
    model = yoto_tf.condition(
        net,
        {"mse": lambda x, y, o, p: ops.mean(o, -1), "size": size},
        {"size": yoto_tf.LogUniform(0.1, 10.0)},
    )
    model.compile("sgd", metrics=[metric])
    sparse = "Sparse" in type(metric).__name__
    shape = (64, 1) if sparse else (64, 4)
    y = RNG.integers(0, 4 if sparse else 2, size=shape)
    scores = model.evaluate(
        X,
        y,
        loss_parameters={"size": 2.0},
        return_dict=True,
        verbose=0,
        batch_size=64,
    )
    metric.update_state(y, model(X, {"size": 2.0}))
    assert scores[metric.name] == pytest.approx(
        float(metric.result()), rel=1e-5
    )


@pytest.mark.slow
def test_metrics_of_named_outputs_are_watched_by_their_names():
    x = keras.Input((6,))
    hidden = layers.Dense(4)(x)
    net = keras.Model(
        x,
        {
            "u": layers.Dense(1, name="u")(hidden),
            "v": layers.Dense(1, name="v")(hidden),
        },
    )
    model = yoto_tf.condition(
        net,
        {
            "u": lambda x, y, o, p: ops.mean((y["u"] - o["u"]) ** 2, -1),
            "v": lambda x, y, o, p: ops.mean((y["v"] - o["v"]) ** 2, -1),
        },
        {"v": yoto_tf.LogUniform(0.1, 10.0)},
    )
    model.compile(
        "sgd",
        metrics={
            "u": [keras.metrics.RootMeanSquaredError(name="r")],
            "v": [keras.metrics.R2Score(name="s")],
        },
    )
    for name, up in (("val_u_r_at_v=10", False), ("val_v_s_at_v=10", True)):
        stop = keras.callbacks.EarlyStopping(monitor=name)
        y = {"u": Y, "v": Y}
        model.fit(X, y, validation_data=(X, y), verbose=0, callbacks=[stop])
        assert bool(stop.monitor_op(1.0, 0.0)) == up


def test_a_metric_is_no_term():
    with pytest.raises(InputError, match="or a Keras loss, received: terms"):
        yoto_tf.condition(
            keras.Sequential([keras.Input((6,)), layers.Dense(1)]),
            {"mse": keras.metrics.MeanSquaredError(), "size": size},
            {"size": yoto_tf.LogUniform(0.1, 10.0)},
        )


def test_watched_values_of_another_form_are_named():
    with pytest.raises(InputError, match="watched as a list of dicts"):
        yoto_tf.condition(
            keras.Sequential([keras.Input((6,)), layers.Dense(1)]),
            {"mse": "mse", "size": size},
            {"size": yoto_tf.LogUniform(0.1, 10.0)},
            watched={"size": [1.0, 3.0]},
        )
