"""A small model of alarms that are missed or false."""

import keras
import numpy as np

import yoto_tf

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


def conditioned(net):
    def miss(x, y, outputs, loss_parameters):
        return keras.ops.sum(outputs, -1)

    return yoto_tf.condition(
        net,
        terms={"miss": miss},
        loss_parameters={"miss": yoto_tf.LogUniform(0.1, 10.0)},
    )
