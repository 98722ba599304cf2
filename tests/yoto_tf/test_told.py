"""A network that does not use its loss parameters is warned of."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from yoto_tf import Dirichlet
from yoto_tf import LogUniform
from yoto_tf import LossConditionalModel
from yoto_tf import Uniform

X = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
Y = X.sum(1)


class Line(LossConditionalModel):
    """Adds to a line what `told` makes of the loss parameters."""

    def __init__(self, told, loss_parameters):
        super().__init__(loss_parameters)
        self.told = told
        self.net = keras.layers.Dense(1)

    def call(self, x, loss_parameters):
        return self.net(x)[:, 0] + self.told(self, loss_parameters)

    def loss_terms(self, x, y, outputs, loss_parameters):
        return {
            "error": (outputs - y) ** 2,
            "size": ops.abs(outputs),
            "roughness": outputs**2,
        }


def of_all(model, values):
    return ops.sum(model.coordinates(values), -1)


def in_a_loop(model, values):
    return tf.while_loop(
        lambda i, _: i < 3,
        lambda i, total: (i + 1, total + values["size"]),
        (0, tf.zeros_like(values["size"])),
    )[1]


def warnings_of(told, loss_parameters):
    model = Line(told, loss_parameters)
    model.compile()
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        model.fit(X, Y, epochs=2, verbose=0)
    return [str(w.message) for w in seen if w.category is UserWarning]


SIZE, ROUGHNESS = LogUniform(0.1, 1.0), Uniform(0.5, 2.0)
BOTH = {"size": SIZE, "roughness": ROUGHNESS}
THREE = Dirichlet({"error": 1.0, "size": 1.0, "roughness": 1.0})


@pytest.mark.parametrize(
    ("told", "loss_parameters"),
    [
        (of_all, {"size": SIZE}),
        (of_all, BOTH),
        (of_all, THREE),
        (in_a_loop, {"size": SIZE}),
        (lambda model, values: values["size"] * 0.0, {"size": SIZE}),
        (
            lambda model, values: ops.stop_gradient(values["size"]),
            {"size": SIZE},
        ),
        # A number does not vary: there is nothing to tell.
        (lambda model, values: 0.0, {"size": 0.3}),
        (
            lambda model, values: values["size"],
            {"size": SIZE, "roughness": 2.0},
        ),
        # Weights that add up to 1 are told by all of them but one.
        (lambda model, values: values["size"] + values["error"], THREE),
    ],
)
def test_one_that_uses_them_is_not(told, loss_parameters):
    assert warnings_of(told, loss_parameters) == []


@pytest.mark.parametrize(
    ("told", "loss_parameters", "names"),
    [
        (lambda model, values: 0.0, {"size": SIZE}, "'size'"),
        (lambda model, values: 0.0, BOTH, "'size', 'roughness'"),
        (lambda model, values: values["size"], BOTH, "'roughness'"),
        (lambda model, values: 0.0, THREE, "'error', 'size', 'roughness'"),
    ],
)
def test_one_that_does_not_is_once(told, loss_parameters, names):
    [sentence] = warnings_of(told, loss_parameters)
    assert f"Line.call(), whose outputs do not use {names}, and" in sentence


def batches():
    while True:
        yield X, Y


@pytest.mark.parametrize(
    ("train", "compiled"),
    [
        # Batches of two sizes, each with a graph of its own under XLA.
        (lambda model: model.fit(X[:7], Y[:7], 4, verbose=0), {}),
        (
            lambda model: model.fit(X[:7], Y[:7], 4, verbose=0),
            {"jit_compile": True},
        ),
        (lambda model: model.fit(X, Y, verbose=0), {"batch_parts": 2}),
        (lambda model: model.fit(X, Y, verbose=0), {"steps_per_execution": 2}),
        # Where a generator's batches are not known before.
        (
            lambda model: model.fit(
                batches(), steps_per_epoch=2, shuffle=False, verbose=0
            ),
            {},
        ),
        (lambda model: model.train_on_batch(X, Y), {}),
        (lambda model: (model(X[:2]), model.fit(X, Y, verbose=0)), {}),
    ],
)
def test_one_that_does_not_is_on_every_road(train, compiled):
    model = Line(lambda model, values: 0.0, {"size": SIZE})
    model.compile("sgd", **compiled)
    with pytest.warns(UserWarning, match="do not use 'size'") as seen:
        train(model)
    assert len(seen) == 1
