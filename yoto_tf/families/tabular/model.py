"""A network on a table, and the two losses it may have."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from yoto_tf.errors import InputError
from yoto_tf.families.fields import Field
from yoto_tf.families.tabular.config import TableModelConfig
from yoto_tf.layers.factory import make_conditioning
from yoto_tf.method import precision
from yoto_tf.method.assertions import checked
from yoto_tf.method.model import LossConditionalModel
from yoto_tf.rows import blanked


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
        x: `(batch, d)`, finite.
        loss_parameters: dict, name -> number or one per row.

    Raises:
        InputError: for rows of another width, NaN and infinity, and for
            targets that are not one per row.
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
        with precision.default_policy(self.dtype_policy):
            self._make_layers(network)

    def _make_layers(self, network):
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
        # The answer has more than the eight bits of bfloat16.
        with precision.default_policy(self.loss_dtype):
            self.output_layer = keras.layers.Dense(1, name="output")
            self.output_site = site("output", "output_site")

    def call(self, x, loss_parameters):
        k = self.coordinates(loss_parameters)
        # Constants: Keras' Normalization cannot be built inside of a graph.
        # The root first: squares leave float32 where numbers do not.
        deviation = np.sqrt(np.array(self.variance)).astype("float32")
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

    # What it is given. One column would be repeated for all of them, and a
    # hole or a label of 2 would train to nonsense without a word.

    def check_inputs(self, x):
        width = len(self.mean)
        x = _of_shape("rows x", x, (None, width), f"(batch, {width})")
        if isinstance(x, keras.KerasTensor):
            return x
        good = tf.reduce_all(_whole_rows(x))
        return checked(
            x, good, "expected finite numbers in rows x, received: NaN or inf"
        )

    def check_batch(self, x, y):
        x = self.check_inputs(x)
        if y is None:
            return x, y
        if tf.TensorShape(getattr(y, "shape", ())).rank == 2:
            # Keras makes a column of a pandas Series.
            y = _of_shape("targets y", y, (None, 1), "(batch,)")[:, 0]
        y = _of_shape("targets y", y, (None,), "(batch,)")
        y = tf.cast(y, tf.float32)
        good, sentence = self.good_targets(y)
        ends = tf.reduce_min(y), "to", tf.reduce_max(y)
        said = f"expected {sentence}, received: y from"
        return x, checked(y, tf.reduce_all(good), said, *ends)

    def good_targets(self, y):
        """Which of the targets `(batch,)` can be, and what they have to be."""
        return _finite(y), "finite targets"

    def loss_terms(self, x, y, outputs, loss_parameters):
        if y is None:
            raise InputError("expected a target y for each row, received: none")
        return self.terms(y, outputs, loss_parameters)

    def terms(self, y, outputs, loss_parameters):
        """`loss_terms`, of targets that are there."""
        raise NotImplementedError

    def served_outputs(self, x, loss_parameters):
        # A row with a hole is answered by NaN: it harms no other, which a
        # server may put beside it.
        x = tf.convert_to_tensor(x)
        whole = self.usable_rows(x)
        rows = tf.where(whole[:, None], x, tf.zeros_like(x))
        outputs = self(rows, loss_parameters, training=False)
        return {n: blanked(t, whole) for n, t in outputs.items()}

    def usable_rows(self, x):
        return _whole_rows(tf.convert_to_tensor(x))

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

    def good_targets(self, y):
        return (y >= 0) & (y <= 1), "targets of 1 (positive) and 0"

    def terms(self, y, outputs, loss_parameters):
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

    def terms(self, y, outputs, loss_parameters):
        error = ops.cast(y, outputs["quantile"].dtype) - outputs["quantile"]
        level = loss_parameters["level"]
        return {"pinball": ops.maximum(level * error, (level - 1) * error)}


def _of_shape(what, given, shape, expected):
    """Returns a tensor of numbers, if it is of a shape."""
    if isinstance(given, list | tuple | dict) or not hasattr(given, "shape"):
        raise InputError(
            f"expected {what} as an array of shape {expected}, received: a "
            f"{type(given).__name__}"
        )
    if not isinstance(given, keras.KerasTensor):
        given = tf.convert_to_tensor(given)
    dtype = tf.as_dtype(given.dtype)
    if not (dtype.is_floating or dtype.is_integer or dtype.is_bool):
        raise InputError(f"expected numbers in {what}, received: {dtype.name}")
    found = tf.TensorShape(given.shape)
    if found.rank is None:
        raise InputError(
            f"expected {what} of shape {expected}, received: an unknown rank, "
            "as of arrays of another rank than those before"
        )
    if not found.is_compatible_with(shape):
        raise InputError(
            f"expected {what} of shape {expected}, received: shape "
            f"{tuple(given.shape)}"
        )
    return given


def _whole_rows(x):
    """Which rows have no NaN and no infinity, `(batch,)`."""
    if not x.dtype.is_floating:
        return tf.ones(tf.shape(x)[:1], bool)
    return tf.reduce_all(_finite(x), axis=1)


def _finite(values):
    # False for NaN; TFLite has no tf.math.is_finite.
    return tf.abs(values) <= values.dtype.max
