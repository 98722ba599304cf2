"""A model of three terms that is no VAE, and its terms in NumPy."""

import keras
import numpy as np
from keras import ops

from yoto_tf import Dirichlet
from yoto_tf import LogUniform
from yoto_tf import LossConditionalModel
from yoto_tf.layers import FiLM

FEATURES = 6


@keras.saving.register_keras_serializable("tests")
class Regression(LossConditionalModel):
    """A linear map whose coefficients are few (`l1`) or even (`smooth`)."""

    def __init__(self, loss_parameters=None, **kwargs):
        if loss_parameters is None:
            loss_parameters = {
                "error": 1.0,
                "l1": LogUniform(0.01, 1.0),
                "smooth": LogUniform(0.01, 10.0),
            }
        super().__init__(loss_parameters, **kwargs)
        self.start = keras.layers.Dense(8, activation="tanh")
        self.film = FiLM(8)
        self.end = keras.layers.Dense(FEATURES)

    def build(self, *_):
        k = (None, self.loss_parameters.num_coordinates)
        self.start.build(k)
        self.film.build((None, 8), k)
        self.end.build((None, 8))
        self.built = True

    def coefficients(self, loss_parameters):
        c = self.coordinates(loss_parameters)
        return self.end(self.film(self.start(c), c))

    def call(self, x, loss_parameters):
        w = self.coefficients(loss_parameters)
        return {"y": ops.sum(x * w, -1), "w": w}

    def loss_terms(self, x, y, outputs, loss_parameters):
        w = outputs["w"]
        return {
            "error": ops.square(outputs["y"] - y),
            "l1": ops.sum(ops.abs(w), -1),
            "smooth": ops.sum(ops.square(w[:, 1:] - w[:, :-1]), -1),
        }


MIDDLE = {"error": 1.0, "l1": 0.1, "smooth": 0.3}
DIRICHLET = Dirichlet({"error": 3.0, "l1": 1.0, "smooth": 1.0})
PARAMETERS = [None, DIRICHLET]


def compiled(optimizer=None, run_eagerly=True, **kwargs):
    """A model that watches one weighting, ready to fit.

    By default without a graph, which takes as long as a hundred such steps.
    """
    if kwargs.get("loss_parameters") is None:
        kwargs.setdefault("watched", [MIDDLE])
    model = Regression(**kwargs)
    model.build()
    model.compile(
        optimizer or keras.optimizers.Adam(0.02), run_eagerly=run_eagerly
    )
    return model


def terms_in_numpy(model, x, y, loss_parameters):
    """The terms, from the coefficients alone."""
    w = model.coefficients(loss_parameters).numpy()
    return {
        "error": ((x * w).sum(1) - y) ** 2,
        "l1": np.abs(w).sum(1),
        "smooth": (np.diff(w, axis=1) ** 2).sum(1),
    }


def fixed(weights, num):
    return {n: np.full(num, v, "float32") for n, v in weights.items()}


def repeated(data, times):
    """Many steps in one epoch, which has a cost of its own."""
    return [np.concatenate([part] * times) for part in data]


def noiseless():
    """60 examples of a linear map."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, FEATURES)).astype("float32")
    y = x @ np.linspace(-1, 2, FEATURES).astype("float32") + 0.5
    return x, y
