"""Models of one's own whose layers build on first use: whatever reads or
writes their weights finds all of them, or says so."""

import copy
import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from yoto_tf import InputError
from yoto_tf import LogUniform
from yoto_tf import LossConditionalModel
from yoto_tf import load_model

PARAMETERS = {"error": 1.0, "size": LogUniform(0.01, 1.0)}


@keras.saving.register_keras_serializable("tests")
class Lazy(LossConditionalModel):
    """Nothing here is built before the first batch."""

    def __init__(self, loss_parameters=None, **kwargs):
        super().__init__(loss_parameters or PARAMETERS, **kwargs)
        self.net = keras.Sequential(
            [keras.layers.Dense(3, activation="tanh"), keras.layers.Dense(1)]
        )
        # Used in training alone.
        self.further = keras.layers.Dense(1, use_bias=False)

    def call(self, x, loss_parameters, training=False):
        if isinstance(x, dict):
            x = x["features"]
        seen = ops.concatenate([x, self.coordinates(loss_parameters)], -1)
        outputs = self.net(seen)
        if training:
            outputs = outputs + self.further(seen)
        return outputs[:, 0]

    def loss_terms(self, x, y, outputs, loss_parameters):
        return {"error": (outputs - y) ** 2, "size": ops.abs(outputs)}


@keras.saving.register_keras_serializable("tests")
class Later(Lazy):
    """Creates a layer in the first step, which no load can know of."""

    def call(self, x, loss_parameters, training=False):
        if not hasattr(self, "late"):
            self.late = keras.layers.Dense(4)
        return super().call(self.late(x), loss_parameters, training)

    build_from_config = keras.Model.build_from_config

    def get_build_config(self):
        return None


RNG = np.random.default_rng(0)
X = RNG.normal(size=(20, 4)).astype("float32")
Y = X.sum(1)


def compiled(model_class=Lazy, **arguments):
    model = model_class(**arguments)
    model.compile(keras.optimizers.Adam(0.1))
    return model


def scores(model, *data):
    # A graph takes longer than what is compared; an unbuilt model needs one.
    graph, model.run_eagerly = model.run_eagerly, model.built
    model.make_test_function(force=True)
    found = model.evaluate(*(data or (X, Y)), verbose=0, return_dict=True)
    model.run_eagerly = graph
    return found


@pytest.fixture(scope="module")
def trained():
    """A fitted model, and what it scores."""
    keras.utils.set_random_seed(0)
    model = compiled(seed=1)
    untrained = scores(model)
    model.fit(X, Y, batch_size=5, epochs=3, verbose=0)
    expected = scores(model)
    assert abs(expected["loss"] - untrained["loss"]) > 0.1
    return model, expected


def weights_of(model):
    return [w.tolist() for w in model.get_weights()]


def test_keras_knows_that_the_model_is_built(trained):
    model, _ = trained
    assert model.built
    assert model.count_params() == (5 * 3 + 3) + (3 + 1) + 5
    lines = []
    model.summary(print_fn=lines.append)
    assert "27 (" in "".join(lines)


@pytest.mark.slow
def test_a_saved_model_answers_and_goes_on_as_the_one_in_memory(tmp_path):
    model = compiled(seed=1)
    model.fit(X, Y, shuffle=False, verbose=0)
    model.save(tmp_path / "model.keras")
    copies = [
        load_model(tmp_path / "model.keras"),
        keras.models.load_model(tmp_path / "model.keras"),
        pickle.loads(pickle.dumps(model)),
        copy.deepcopy(model),
    ]
    expected = scores(model)
    model.fit(X, Y, shuffle=False, verbose=0)
    for other in copies:
        assert scores(other) == expected
    copies[0].fit(X, Y, shuffle=False, verbose=0)
    assert weights_of(copies[0]) == weights_of(model)


def test_weights_are_loaded_into_a_model_that_has_seen_a_batch(
    trained, tmp_path
):
    model, expected = trained
    file = tmp_path / "model.weights.h5"
    model.save_weights(file)
    other = compiled()
    with pytest.raises(ValueError, match="not yet been built"):
        other.load_weights(file)
    other.train_on_batch(X, Y)
    other.load_weights(file)
    assert scores(other) == expected
    clone = keras.models.clone_model(model)
    clone.compile(run_eagerly=True)
    clone.train_on_batch(X, Y)
    clone.set_weights(model.get_weights())
    assert scores(clone) == expected


@pytest.mark.parametrize(
    "form",
    [
        "arrays",
        pytest.param("data set", marks=pytest.mark.slow),
        pytest.param("PyDataset", marks=pytest.mark.slow),
    ],
)
def test_checkpoints_and_backups_are_continued(form, tmp_path):
    class Batches(keras.utils.PyDataset):
        def __init__(self):
            super().__init__(workers=1)

        def __len__(self):
            return 2

        def __getitem__(self, i):
            return {"features": X[10 * i : 10 * i + 10]}, Y[
                10 * i : 10 * i + 10
            ]

    data = {
        "arrays": ({"features": X}, Y),
        "data set": (
            tf.data.Dataset.from_tensor_slices(({"features": X}, Y)).batch(10),
        ),
        "PyDataset": (Batches(),),
    }[form]

    def fit(model, epochs, **options):
        callbacks = keras.callbacks
        epochs_begun = []
        model.fit(
            *data,
            epochs=epochs,
            shuffle=False,
            verbose=0,
            callbacks=[
                callbacks.BackupAndRestore(tmp_path / "backup", **options),
                callbacks.ModelCheckpoint(tmp_path / "last.keras"),
                callbacks.LambdaCallback(
                    on_epoch_begin=lambda epoch, logs: epochs_begun.append(
                        epoch
                    )
                ),
            ],
        )
        return epochs_begun

    first = compiled(seed=1)
    assert fit(first, 2, delete_checkpoint=False) == [0, 1]
    assert weights_of(load_model(tmp_path / "last.keras")) == weights_of(first)
    second = compiled(seed=2)
    assert fit(second, 3) == [2]
    assert scores(load_model(tmp_path / "last.keras"), *data) == scores(
        second, *data
    )


def test_a_generator_tells_the_shapes_with_its_first_batch(tmp_path):
    def batches():
        while True:
            yield X, Y

    model = compiled()
    model.fit(batches(), steps_per_epoch=1, shuffle=False, verbose=0)
    model.save(tmp_path / "model.keras")
    assert scores(load_model(tmp_path / "model.keras")) == scores(model)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_layer_may_be_used_in_the_loss_alone(jit_compile, tmp_path):
    @keras.saving.register_keras_serializable("tests")
    class Learned(Lazy):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.scale = keras.layers.Dense(1)

        def loss_terms(self, x, y, outputs, loss_parameters):
            terms = super().loss_terms(x, y, outputs, loss_parameters)
            return {**terms, "scaled": self.scale(outputs[:, None])[:, 0]}

    model = Learned(seed=1)
    model.compile(keras.optimizers.Adam(0.1), jit_compile=jit_compile)
    model.fit(X, Y, batch_size=5, verbose=0)
    assert len(model.weights) == 7
    model.save(tmp_path / "model.keras")
    assert scores(load_model(tmp_path / "model.keras")) == scores(model)


# The weights alone are kept, not the state of the optimizer.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Skipping variable loading")
def test_keras_tuner_keeps_the_better_one(tmp_path):
    keras_tuner = pytest.importorskip("keras_tuner")

    def build(choice):
        keras.utils.set_random_seed(0)
        model = compiled(seed=1)
        model.run_eagerly = True
        # KerasTuner loads weights into a model whose layers are built.
        model(X[:1], training=True)
        model.optimizer.learning_rate = choice.Choice("rate", [1e-9, 0.1])
        return model

    tuner = keras_tuner.GridSearch(
        build, "val_loss", directory=tmp_path, project_name="search"
    )
    tuner.search(X, Y, validation_data=(X, Y), epochs=2, verbose=0)
    best, other = tuner.oracle.get_best_trials(2)
    assert best.hyperparameters.get("rate") == 0.1
    assert best.score < other.score - 0.01
    (model,) = tuner.get_best_models(1)
    assert scores(model)["loss"] == pytest.approx(best.score, rel=1e-5)


@pytest.mark.parametrize("loaded_as", [Lazy, Later])
def test_a_load_never_returns_weights_that_were_not_loaded(loaded_as, tmp_path):
    model = compiled(Later)
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "model.keras")
    sentence = r"expected a model with the 7 weights that were saved, received"
    refused = f"{sentence}: Later with 0.*dense.*batch by fit, then its load_w"
    with pytest.raises(InputError, match=refused):
        load_model(tmp_path / "model.keras")
    with pytest.raises(ValueError, match=sentence):
        keras.models.load_model(tmp_path / "model.keras")
    model.save_weights(tmp_path / "model.weights.h5")
    other = compiled(loaded_as)
    other.built = True
    with pytest.raises(ValueError, match=sentence):
        other.load_weights(tmp_path / "model.weights.h5")


def test_a_loop_of_ones_own_that_runs_the_network_alone_is_saved(tmp_path):
    model = Lazy(seed=0)
    for training in (False, True):
        model.run(X[:8], model.sample_loss_parameters(8), training=training)
    model.save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        loaded.predict(X, verbose=0), model.predict(X, verbose=0)
    )
    for a, b in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_model_that_was_never_trained_is_saved_as_that(tmp_path):
    model = compiled()
    with pytest.warns(UserWarning, match="not yet been built"):
        model.save(tmp_path / "model.keras")
    assert not load_model(tmp_path / "model.keras").built


def test_layers_that_are_no_attributes_are_not_trained_in_silence():
    net = keras.layers.Dense(1)

    class Elsewhere(LossConditionalModel):
        def call(self, x, loss_parameters):
            return (net(x) + self.coordinates(loss_parameters))[:, 0]

        def loss_terms(self, x, y, outputs, loss_parameters):
            return {"error": (outputs - y) ** 2, "size": ops.abs(outputs)}

    model = Elsewhere(PARAMETERS)
    model.compile()
    with pytest.raises(InputError, match="Elsewhere without trainable weights"):
        model.fit(X, Y, verbose=0)


def test_losses_that_layers_add_are_part_of_the_loss_in_every_batch():
    class Bounded(LossConditionalModel):
        def __init__(self, **kwargs):
            super().__init__({"error": 1.0}, **kwargs)
            self.net = keras.layers.Dense(
                1,
                kernel_initializer="ones",
                activity_regularizer=lambda outputs: 0.5 * ops.sum(outputs**2),
            )

        def call(self, x, loss_parameters):
            return self.net(x)[:, 0]

        def loss_terms(self, x, y, outputs, loss_parameters):
            return {"error": (outputs - y) ** 2}

    model = Bounded()
    model.compile(keras.optimizers.SGD(0.0))
    # A partial batch is traced anew.
    logs = model.fit(X, Y, batch_size=8, shuffle=False, verbose=0).history
    # The kernel gives y itself: what is left is the part that was added,
    # half the mean square of a batch (Keras divides by its size).
    np.testing.assert_allclose(logs["error"], [0.0], atol=1e-12)
    np.testing.assert_allclose(logs["loss"], [0.5 * (Y**2).mean()], rtol=1e-5)
