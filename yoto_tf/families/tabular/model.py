"""A network on a table, and the two losses it may have."""

import dataclasses

import keras
import numpy as np
from keras import ops

from yoto_tf.errors import InputError
from yoto_tf.families.fields import Field
from yoto_tf.families.tabular.config import TableModelConfig
from yoto_tf.layers.factory import make_conditioning
from yoto_tf.method.model import LossConditionalModel


class TableModel(LossConditionalModel):
    """Standardised columns, hidden layers with ReLU, one number per row.

    Args:
        network: `TableModelConfig`, or its dict.
        mean, variance: of the columns, `(d,)`, by which they are standardised.
        target_mean, target_deviation: of the answer before training.
        fields: of a row, by which a page shows it: `Field`s, or their dicts.
        target: what is answered, in a few words.
        **kwargs: of `LossConditionalModel`.

    Call arguments:
        x: `(batch, d)`.
        loss_parameters: dict, name -> number or one per row.
    """

    def __init__(
        self,
        network,
        mean,
        variance,
        target_mean=0.0,
        target_deviation=1.0,
        fields=(),
        target="",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if isinstance(network, dict):
            network = TableModelConfig.from_dict(network)
        self.network = network
        self.mean = [float(v) for v in mean]
        self.variance = [float(v) for v in variance]
        self.target_mean = float(target_mean)
        self.target_deviation = float(target_deviation)
        self.fields = tuple(map(Field.of, fields))
        self.target = str(target)
        num = sum(field.num_columns for field in self.fields)
        if num not in (0, len(self.mean)):
            raise InputError(
                f"expected fields with {len(self.mean)} columns, as mean has, "
                f"received: fields with {num}"
            )
        told = network.conditioning

        def site(kind, name):
            # A constant is not told to the network.
            there = self.loss_parameters.varying and kind in told.sites
            return make_conditioning(told, name=name) if there else None

        self.hidden = [
            keras.layers.Dense(
                network.hidden_units,
                kernel_initializer="he_normal",
                name=f"hidden_{i}",
            )
            for i in range(network.depth)
        ]
        self.hidden_sites = [
            site("hidden", f"hidden_{i}_site") for i in range(network.depth)
        ]
        self.input_site = site("input", "input_site")
        self.output_layer = keras.layers.Dense(1, name="output")
        self.output_site = site("output", "output_site")

    def call(self, x, loss_parameters):
        k = self.coordinates(loss_parameters)
        # Constants: Keras' Normalization cannot be built inside of a graph.
        deviation = np.sqrt(np.array(self.variance, "float32"))
        h = (
            ops.cast(x, "float32") - np.array(self.mean, "float32")
        ) / deviation
        if self.network.clip_at is not None:
            h = ops.clip(h, -self.network.clip_at, self.network.clip_at)
        if self.input_site:
            h = self.input_site(h, k)
        for layer, site in zip(self.hidden, self.hidden_sites, strict=True):
            h = layer(h)
            h = ops.relu(site(h, k) if site else h)
        h = self.output_layer(h)
        if self.output_site:
            h = self.output_site(h, k)
        return self.answer(self.target_mean + self.target_deviation * h[:, 0])

    def answer(self, number):
        """From the network's number `(batch,)` to the outputs, a dict."""
        raise NotImplementedError

    def get_config(self):
        return {
            **super().get_config(),
            "network": self.network.to_dict(),
            "mean": self.mean,
            "variance": self.variance,
            "target_mean": self.target_mean,
            "target_deviation": self.target_deviation,
            "fields": [dataclasses.asdict(field) for field in self.fields],
            "target": self.target,
        }


@keras.saving.register_keras_serializable("yoto_tf")
class CostSensitiveClassifier(TableModel):
    """Is a row of the positive class, for a cost of a miss and of a false
    alarm?

    Terms: `miss`, the cross-entropy of the positive rows, and `false_alarm`,
    that of the others (Elkan, The foundations of cost-sensitive learning,
    IJCAI 2001). Under their weights the least loss has the `probability`

        c_miss p / (c_miss p + c_false_alarm (1 - p)),

    where p is that of the positive class: above 1/2 an alarm costs less than
    none.
    """

    def answer(self, number):
        return {"logit": number, "probability": ops.sigmoid(number)}

    def loss_terms(self, x, y, outputs, loss_parameters):
        logit = outputs["logit"]
        y = ops.cast(y, logit.dtype)
        return {
            "miss": y * ops.softplus(-logit),
            "false_alarm": (1 - y) * ops.softplus(logit),
        }


@keras.saving.register_keras_serializable("yoto_tf")
class QuantileRegressor(TableModel):
    """The value below which the target lies with the probability `level`.

    Term: `pinball` (Koenker & Bassett, Regression quantiles, Econometrica
    1978): level * (y - q) for y above q, else (1 - level) * (q - y).
    """

    def answer(self, number):
        return {"quantile": number}

    def loss_terms(self, x, y, outputs, loss_parameters):
        error = ops.cast(y, outputs["quantile"].dtype) - outputs["quantile"]
        level = loss_parameters["level"]
        return {"pinball": ops.maximum(level * error, (level - 1) * error)}
