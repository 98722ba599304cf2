"""The stop of a training whose loss is not finite, or finite and absurd."""

import types

import keras
import numpy as np
import pytest
import tensorflow as tf

import yoto_tf
from yoto_tf import InputError
from yoto_tf import StopOnDivergence
from yoto_tf import TrainingDiverged


@keras.saving.register_keras_serializable("test_callbacks")
class Scripted(yoto_tf.LossConditionalModel):
    """A model whose loss is what it is given, step after step."""

    def __init__(self):
        super().__init__({"first": 1.0})
        self.weight = self.add_weight(shape=(), initializer="zeros")
        self.built = True

    def call(self, x, loss_parameters):
        return x + 0 * self.weight

    def loss_terms(self, x, y, outputs, loss_parameters):
        return {"first": outputs, "second": y}


def fit(losses, epochs=1, second=None, **arguments):
    """Trains on a batch of one example per step; returns the logs."""
    losses = np.float32(losses)
    second = np.zeros_like(losses) if second is None else np.float32(second)
    data = tf.data.Dataset.from_tensor_slices((losses, second)).batch(1)
    model = Scripted()
    model.compile("sgd", **arguments)
    return model.fit(
        data,
        epochs=epochs,
        steps_per_epoch=len(losses) // epochs,
        callbacks=[StopOnDivergence()],
        shuffle=False,
        verbose=0,
    )


def feed(losses, epochs=2):
    """The callback alone, with the logs that Keras hands it: means since the
    epoch's beginning, in float32."""
    stop = StopOnDivergence()
    stop.set_model(types.SimpleNamespace(optimizer=types.SimpleNamespace()))
    stop.on_train_begin()
    steps = len(losses) // epochs
    for i, loss in enumerate(np.float32(losses)):
        epoch, batch = divmod(i, steps)
        if not batch:
            total = np.float32(0)
            stop.on_epoch_begin(epoch)
        total += loss
        stop.model.optimizer.iterations = i + 1
        stop.on_train_batch_end(batch, {"loss": total / np.float32(batch + 1)})


def rng():
    return np.random.default_rng(0)


def noisy(level, num):
    return level * (1 + 0.1 * rng().normal(size=num))


SANE = {
    "falls by orders of magnitude": np.geomspace(1e6, 1e-6, 300),
    "falls below 0 (a density)": np.linspace(1700, -6000, 300),
    "starts near 0 and falls": np.linspace(1e-4, -5000, 300),
    "is 0": np.zeros(300),
    "is 0 at first": [0.0] * 50 + list(noisy(5.0, 250)),
    "rises with the weight of a term": noisy(1, 300) * np.arange(1, 301),
    "rises with the square of it": np.arange(1.0, 301) ** 2,
    "rises from 1 to 50 at once": [1.0] * 100 + [50.0] * 200,
    "has a weight per batch, over six decades": 10 ** rng().uniform(-3, 3, 300),
    "has outliers": np.where(np.arange(300) % 10, 1.0, 1e9),
    "is tiny": noisy(1e-30, 300),
    "is huge": noisy(1e30, 300),
}


@pytest.mark.parametrize("losses", SANE.values(), ids=SANE.keys())
def test_a_sane_loss_is_left_alone(losses):
    feed(losses)


ABSURD = {
    "blows up within some steps": (
        list(noisy(2000, 200)) + list(noisy(2000, 56) * 4.0 ** np.arange(56)),
        240,
    ),
    "blows up and stays": (list(noisy(2000, 200)) + [3e8] * 56, 210),
    "blows up slowly": (1.1 ** np.arange(256), 256),
    "blows up in its first step": ([1.0] + [1e12] * 255, 17),
    "blows up in its first steps": ([5.0, 1.0, 1e3, 1e4] + [1e5] * 252, 20),
    "blows up from below 0": (list(noisy(-3000, 200)) + [3e8] * 56, 210),
    "blows up among sane batches": (
        list(noisy(1, 200)) + [1e5, 1e7, 1e6, 1.0] * 14,
        220,
    ),
}


@pytest.mark.parametrize(
    ("losses", "latest"), ABSURD.values(), ids=ABSURD.keys()
)
def test_a_loss_that_blows_up_is_stopped_soon(losses, latest):
    # In the second epoch of two: the mean over the epoch says less.
    with pytest.raises(TrainingDiverged, match="left what the run") as ended:
        feed(losses)
    step = int(str(ended.value).split("(step ")[1].split(" of the run")[0])
    assert step <= latest


def test_the_sentence_says_where_and_what():
    second = np.r_[np.full(100, 1.0), np.full(28, 1e7)]
    with pytest.raises(TrainingDiverged) as ended:
        fit(np.full(128, 2.0), second=second)
    # 8 of the last 16 steps are absurd after step 108.
    assert str(ended.value) == (
        "the loss left what the run had seen in epoch 1, step 108 (step 108 "
        "of the run): 5e+06 in the median of the last 16 steps, where up to 3 "
        "was normal (last: first 2, second 1e+07). A lower learning rate or "
        "clipped gradients help"
    )


@pytest.mark.parametrize(
    ("losses", "second", "culprit"),
    [
        ([1.0, np.nan], [1.0, 1.0], "first stopped"),
        ([1.0, 1.0], [1.0, np.inf], "second stopped"),
        ([1.0, 3e38], [1.0, 3e38], "the weighted loss stopped"),
    ],
)
def test_a_loss_that_is_not_finite_ends_at_once(losses, second, culprit):
    with pytest.raises(TrainingDiverged, match=f"{culprit}.*step 2 .step 2 "):
        fit(losses * 3, second=second * 3)


def test_a_keras_model_is_stopped_too():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(2.0), "mse")
    x = rng().normal(size=(640, 3)).astype("float32")
    with pytest.raises(TrainingDiverged, match="in epoch 1, step"):
        model.fit(
            x, x[:, 0], batch_size=8, verbose=0, callbacks=[StopOnDivergence()]
        )


def test_several_steps_per_execution_are_looked_at_together():
    losses = np.r_[noisy(10, 400), np.full(240, 1e6)]
    with pytest.raises(TrainingDiverged, match=r"step \d+ of the run"):
        fit(losses, steps_per_execution=4)


@pytest.mark.parametrize("arguments", [{"factor": 1.0}, {"window": 0}])
def test_settings_that_cannot_be_are_refused(arguments):
    with pytest.raises(InputError, match="expected factor above 1 and window"):
        StopOnDivergence(**arguments)
