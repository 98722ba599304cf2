"""Unlike models, exported: for the tests of export and serving.

vae      one loss parameter, pictures (`export_runs`)
tc       two loss parameters, pictures: a subclass of the VAE
alarms   two loss parameters, one of them a choice; rows of a table
compression  one loss parameter; pictures of any size, symbols
table    one loss parameter; rows of a table whose columns have names, texts
"""

import functools

import compression_models
import export_runs
import keras
import made_once
import numpy as np
import own_model

import yoto_tf
from export.saved_model import export_model
from yoto_tf.families.fields import Field
from yoto_tf.families.tabular.config import TableModelConfig
from yoto_tf.families.tabular.model import CostSensitiveClassifier

COLUMNS = 3


@keras.saving.register_keras_serializable("tests")
class AlarmsOfRows(yoto_tf.LossConditionalModel):
    """A classifier; misses have a weight, and labels are smoothed."""

    def __init__(self, loss_parameters, **kwargs):
        super().__init__(loss_parameters, **kwargs)
        self.hidden = keras.layers.Dense(16, "tanh")
        self.logit = keras.layers.Dense(1)

    def call(self, x, loss_parameters):
        told = self.coordinates(loss_parameters)
        seen = keras.ops.concatenate([x, told], -1)
        logit = self.logit(self.hidden(seen))[:, 0]
        return {"logit": logit, "probability": keras.ops.sigmoid(logit)}

    def loss_terms(self, x, y, outputs, loss_parameters):
        share = loss_parameters["smoothing"]
        y, logit = y * (1 - share) + share / 2, outputs["logit"]
        return {
            "miss": y * keras.ops.softplus(-logit),
            "false_alarm": (1 - y) * keras.ops.softplus(logit),
        }


def rows(num=40, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(num, COLUMNS)).astype("float32")


@functools.cache
def alarms():
    """Trained a little, so that its parameters count."""
    keras.utils.set_random_seed(0)
    miss = yoto_tf.LogUniform(
        0.1, 10.0, default=2.0, description="What a miss costs."
    )
    smoothing = yoto_tf.Choice([0.0, 0.1, 0.4])
    model = AlarmsOfRows({"miss": miss, "smoothing": smoothing}, seed=0)
    x = rows(400)
    model.compile(keras.optimizers.Adam(0.02))
    model.fit(x, (x[:, 0] > 0.5).astype("float32"), epochs=3, verbose=0)
    return model


FIELDS = (
    Field("student", ("No", "Yes")),
    Field("balance", low=0.0, high=2654.3225),
    Field("city", ("bern", "<graz>", "ulm")),
)


def table_rows():
    return np.float32(
        [[1, 1500, 0, 1, 0], [0, 900, 1, 0, 0], [1, 2000, 0, 0, 1]]
    )


@functools.cache
def table():
    """With random weights, biases included, so that every column counts."""
    keras.utils.set_random_seed(0)
    model = CostSensitiveClassifier(
        TableModelConfig(depth=1),
        mean=[0, 1200, 0, 0, 0],
        variance=[1, 500**2, 1, 1, 1],
        fields=FIELDS,
        target="default = Yes",
        loss_parameters={"miss": yoto_tf.LogUniform(1.0, 32.0)},
        seed=0,
    )
    model.predict(table_rows(), verbose=0)
    rng = np.random.default_rng(0)
    for w in model.trainable_variables:
        w.assign_add(rng.normal(scale=0.3, size=w.shape).astype("float32"))
    return model


@functools.cache
def tc():
    """With random weights, biases included, so that both count."""
    config = export_runs.config()
    keras.utils.set_random_seed(0)
    model = own_model.TCVAE(
        (32, 32, 3),
        config.model,
        config.beta,
        yoto_tf.ObjectiveConfig(group_size=8),
        loss_parameters={
            "tc": yoto_tf.LogUniform(
                0.5, 8.0, description="What a nat of total correlation costs."
            )
        },
        seed=0,
    )
    rng = np.random.default_rng(0)
    for w in model.trainable_variables:
        w.assign_add(rng.normal(scale=0.1, size=w.shape).astype("float32"))
    return model


def folder(name):
    """The model's folder, with its version 1; made once per session."""
    if name == "vae":
        return export_runs.exported("bernoulli", "error").path.parent
    return made_once.made_once(f"served-{name}", _MADE[name]) / name


def _export_alarms(base):
    export_model(alarms(), base / "alarms", "flag", example=rows())


def _export_tc(base):
    export_model(tc(), base / "tc")


def _export_table(base):
    export_model(table(), base / "table", example=table_rows())


def _export_compression(base):
    export_model(compression_models.tiny(), base / "compression")


_MADE = {
    "alarms": _export_alarms,
    "compression": _export_compression,
    "table": _export_table,
    "tc": _export_tc,
}
