"""What a model knows of the length of its run."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import yoto_tf
from yoto_tf import LogUniform
from yoto_tf import LossConditionalModel
from yoto_tf.method.run_length import UNKNOWN

X = np.random.default_rng(0).normal(size=(24, 2)).astype("float32")


@keras.saving.register_keras_serializable("test_run_length")
class Model(LossConditionalModel):
    """Two terms that no training changes."""

    def __init__(self, **kwargs):
        kwargs.setdefault("loss_parameters", {"b": LogUniform(1.0, 1.001)})
        super().__init__(warm_up={"b": 0.5}, seed=0, **kwargs)
        self.net = keras.layers.Dense(1, use_bias=False)

    def call(self, x, loss_parameters):
        told = self.coordinates(loss_parameters)
        return self.net(ops.concatenate([x, told], -1))[:, 0]

    def loss_terms(self, x, y, outputs, loss_parameters):
        zeros = 0 * outputs
        return {"a": zeros, "b": 1 + zeros}

    def get_config(self):
        config = super().get_config()
        return {k: v for k, v in config.items() if k not in ("warm_up", "seed")}


def compiled(**kwargs):
    model = Model()
    model.compile(keras.optimizers.SGD(0.1), **kwargs)
    return model


def losses(model, x, **kwargs):
    """Of every step."""
    seen = []
    model.reset_metrics()

    def note(batch, logs):
        # Keras reports the mean so far.
        seen.append(logs["loss"] * (batch + 1) - sum(seen))

    class Notes(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            seen.clear()

        def on_train_batch_end(self, batch, logs=None):
            note(batch, logs)
            every.append(seen[-1])

    every = []
    model.fit(x, verbose=0, callbacks=[Notes()], shuffle=False, **kwargs)
    return every


@pytest.mark.parametrize("eagerly", [False, True])
def test_a_fit_that_is_refused_says_no_length(eagerly):
    damaged = X.copy()
    damaged[3, 1] = np.nan

    @keras.saving.register_keras_serializable("test_run_length")
    class Wrong(Model):
        def loss_terms(self, x, y, outputs, loss_parameters):
            terms = super().loss_terms(x, y, outputs, loss_parameters)
            return {n: t + outputs for n, t in terms.items()}

    model = Wrong()
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=eagerly)
    with pytest.raises(yoto_tf.InputError, match="finite"):
        model.fit(damaged, batch_size=24, epochs=1, verbose=0)
    assert int(model._run_length) == 0
    model.fit(X, batch_size=24, epochs=7, verbose=0)
    assert int(model._run_length) == 7
    # Later ones change nothing, whatever becomes of them.
    with pytest.raises(Exception, match="incompatible"):
        model.fit(np.ones((24, 4)), epochs=9, verbose=0)
    assert int(model._run_length) == 7


def test_steps_before_the_length_was_known_stay_counted():
    model = compiled()
    # Of a generator's first epoch Keras does not know how long it is.
    for _ in range(3):
        model.train_on_batch(X)
    model.compile(keras.optimizers.SGD(0.1))
    model.fit(X, batch_size=12, epochs=2, verbose=0)
    assert int(model._run_length) == 3 + 4
    assert int(model._run_length.done(model.optimizer)) == 3 + 4


@pytest.mark.slow
def test_weights_that_are_refused_bring_no_length(tmp_path):
    path = tmp_path / "other.weights.h5"
    other = Model(loss_parameters={"b": LogUniform(1.0, 9.0)})
    other.compile(keras.optimizers.SGD(0.1))
    other.fit(X, batch_size=12, epochs=25, verbose=0)
    other.save_weights(path)
    model = compiled()
    model.fit(X, batch_size=12, epochs=1, verbose=0)
    before = model._run_length.state
    assert before == (2, 0, 0)
    with pytest.raises(yoto_tf.InputError, match="other values of the loss"):
        model.load_weights(path)
    assert model._run_length.state == before


def rising(steps, run, first=0):
    return np.minimum((first + np.arange(steps) + 1) / (0.5 * run), 1)


def batches():
    return tf.data.Dataset.from_tensor_slices(X).batch(6)


def forever():
    while True:
        yield (X[:6],)


@pytest.mark.parametrize(
    ("given", "run"),
    [
        ({"x": X, "batch_size": 6, "epochs": 3}, 12),
        ({"x": X, "batch_size": 8, "epochs": 2}, 6),
        ({"x": X, "batch_size": 6, "epochs": 3, "initial_epoch": 1}, 8),
        ({"x": batches(), "epochs": 2}, 8),
        (
            {"x": batches().repeat(), "epochs": 2, "steps_per_epoch": 5},
            10,
        ),
        ({"x": forever(), "epochs": 2, "steps_per_epoch": 5}, 10),
    ],
)
def test_a_warm_up_takes_its_share_of_the_run(given, run):
    model = compiled()
    found = losses(model, **given)
    assert int(model._run_length) == (run or 0)
    expected = rising(len(found), run or UNKNOWN)
    np.testing.assert_allclose(found, expected, rtol=3e-3)


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
def test_data_of_unknown_length_work_without():
    model = compiled()
    found = losses(model, batches().filter(lambda x: True))
    assert int(model._run_length) == 0
    np.testing.assert_allclose(found, rising(4, UNKNOWN), rtol=3e-3)


def test_a_loop_of_ones_own_works_without():
    model = compiled()
    found = [model.train_on_batch(X[:6]) for _ in range(3)]
    expected = rising(3, UNKNOWN)
    np.testing.assert_allclose([f[0] for f in found], expected, rtol=3e-3)


def test_a_second_fit_goes_on(tmp_path):
    one = compiled()
    losses(one, X, batch_size=6, epochs=1)
    one.save(tmp_path / "m.keras")
    for model in (one, keras.models.load_model(tmp_path / "m.keras")):
        again = losses(model, X, batch_size=6, epochs=9)
        np.testing.assert_allclose(again, 1, rtol=3e-3)
        assert int(model._run_length) == 4


@pytest.mark.slow
@pytest.mark.parametrize("kept", [True, False])
def test_another_optimizer_does_not_begin_it_again(kept, tmp_path):
    one = compiled()
    losses(one, X, batch_size=6, epochs=2)
    # A quarter of what follows is still to rise.
    one._run_length._steps.assign(20)
    path = tmp_path / "m.keras"
    one.save(path, include_optimizer=kept)
    for model in (one, keras.models.load_model(path)):
        for rate in (0.1, 0.2):
            # Twice, as where a rate is thought better of.
            model.compile(keras.optimizers.SGD(rate))
        again = losses(model, X, batch_size=6, epochs=1)
        np.testing.assert_allclose(again, rising(4, 20, 8), rtol=3e-3)
        model.compile(keras.optimizers.SGD(0.1))
        again = losses(model, X, batch_size=6, epochs=1)
        np.testing.assert_allclose(again, 1, rtol=3e-3)


def test_steps_whose_gradients_are_accumulated_count():
    model = Model()
    model.compile(keras.optimizers.SGD(0.1, gradient_accumulation_steps=4))
    found = losses(model, X, batch_size=6, epochs=3)
    np.testing.assert_allclose(found, rising(12, 12), rtol=3e-3)


def test_a_released_model_has_its_run_behind_it():
    model = yoto_tf.ConditionalVAE.from_preset("cifar10", weights="trained")
    model.compile("adam")
    assert int(model._run_length.done(model.optimizer)) == 38_200
    assert int(model._run_length) == 38_200


@pytest.mark.slow
def test_a_run_that_is_cut_off_is_as_long_when_it_goes_on(tmp_path):
    class Cut(Exception):
        pass

    class Cuts(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                raise Cut

    def fit(model, *callbacks):
        model.fit(
            X,
            batch_size=6,
            epochs=6,
            verbose=0,
            callbacks=[
                keras.callbacks.BackupAndRestore(tmp_path / "backup"),
                *callbacks,
            ],
        )

    with pytest.raises(Cut):
        fit(compiled(), Cuts())
    model = compiled()
    fit(model)
    assert int(model._run_length) == 24


def test_what_keras_is_given_reaches_it():
    """`fit` by position, one callback alone, a list of Keras' own kind."""
    model = compiled()
    seen = []
    counts = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(epoch)
    )
    model.fit(X, None, 6, 2, 0, [counts])
    model.fit(X, batch_size=6, verbose=0, callbacks=counts)
    own = keras.callbacks.CallbackList([counts], model=model)
    model.fit(X, batch_size=6, verbose=0, callbacks=own)
    assert seen == [0, 1, 0, 0]
    assert int(model._run_length) == 8
