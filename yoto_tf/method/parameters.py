"""Distributions of one parameter of a loss."""

import math

import keras
import numpy as np
from keras import ops

from yoto_tf.errors import InputError
from yoto_tf.method.base import LossParameter
from yoto_tf.method.base import check_told_apart
from yoto_tf.method.base import to_number

# Deviation of a uniform variable between -sqrt(3) and sqrt(3) is 1.
END = math.sqrt(3)


class _Interval(LossParameter):
    """A parameter between two ends, uniform in a coordinate of its own.

    Args:
        low, high: ends of the interval, `low < high`.
        standardize: give the network the coordinate with mean 0 and
            deviation 1 over the interval (Multi-Rate VAE, section 4); off,
            the coordinate as it is (the paper).
        default, description: see `LossParameter`.
    """

    def __init__(
        self, low, high, *, standardize=True, default=None, description=""
    ):
        low, high = to_number("low", low), to_number("high", high)
        if not self._usable(low, high):
            raise InputError(
                f"expected {self._expected}, received: low={low}, high={high}"
            )
        self._low, self._high = low, high
        check_told_apart(low, high)
        self.standardize = bool(standardize)
        super().__init__(default, description)

    _expected = "finite low < high"

    @staticmethod
    def _usable(low, high):
        return math.isfinite(low) and math.isfinite(high) and low < high

    # To the coordinate in which the distribution is uniform, and back.
    _forward = staticmethod(lambda x: x)
    _backward = staticmethod(lambda x: x)
    _tensor_forward = staticmethod(lambda x: x)
    _tensor_backward = staticmethod(lambda x: x)

    def _ends(self):
        return float(self._forward(self._low)), float(self._forward(self._high))

    def quantile(self, uniform, step=None):
        low, high = self._ends()
        return self._tensor_backward(low + uniform * (high - low))

    def position(self, values):
        """The inverse of `quantile`: `(n,)` values -> in [0, 1]."""
        low, high = self._ends()
        return (self._tensor_forward(values) - low) / (high - low)

    def grid(self, num):
        if num == 1:
            middle = self._backward(np.mean(self._ends(), keepdims=True))
            # 16, and not what exp(log(x)) leaves of it.
            return np.array([float(f"{middle[0]:.12g}")])
        values = self._backward(np.linspace(*self._ends(), num))
        # The ends exactly, not through exp(log(x)).
        values[0], values[-1] = self._low, self._high
        return values

    def _ranges(self):
        return [(self._low, self._high)]

    def coordinate(self, values):
        x = self._tensor_forward(_floating(values))
        if self.standardize:
            low, high = self._ends()
            # Deviation of a uniform variable: its length / sqrt(12).
            x = (x - (low + high) / 2) * (math.sqrt(12) / (high - low))
        return ops.expand_dims(x, -1)

    def describe(self):
        return f"between {self._low:g} and {self._high:g}"

    def get_config(self):
        return {
            "low": self._low,
            "high": self._high,
            "standardize": self.standardize,
            **super().get_config(),
        }


@keras.saving.register_keras_serializable("yoto_tf")
class Uniform(_Interval):
    """Uniform in [low, high]; any finite ends.

    Example:
        Uniform(0.05, 0.95)  # the level of a quantile
    """


@keras.saving.register_keras_serializable("yoto_tf")
class LogUniform(_Interval):
    """log(value) uniform in [log low, log high], `0 < low`; the paper's
    choice for a weight. The network's coordinate is the natural logarithm,
    standardised or not.

    Example:
        LogUniform(0.125, 512.0, description="More: a smaller rate.")
    """

    scale = "log"
    _expected = "0 < low < high"
    _forward = staticmethod(np.log)
    _backward = staticmethod(np.exp)
    _tensor_forward = staticmethod(ops.log)
    _tensor_backward = staticmethod(ops.exp)

    @staticmethod
    def _usable(low, high):
        return math.isfinite(high) and 0 < low < high


@keras.saving.register_keras_serializable("yoto_tf")
class Choice(LossParameter):
    """A value of a list, all equally likely.

    The network is told the value's place in the ascending list, from
    -sqrt(3) to sqrt(3): whatever differs to the user differs to it.

    Args:
        values: finite numbers, two or more, all different.
        default, description: see `LossParameter`.

    Example:
        Choice([0.0, 0.5, 1.0, 2.0, 5.0])  # a focal loss' gamma
    """

    scale = "choice"

    def __init__(self, values, *, default=None, description=""):
        if isinstance(values, str) or not np.iterable(values):
            raise InputError(
                f"expected a list of numbers, received: values={values!r}"
            )
        values = sorted(to_number("value", v) for v in values)
        if len(values) < 2 or not np.isfinite(values).all():
            raise InputError(
                f"expected two or more finite values, received: values={values}"
            )
        check_told_apart(*values)
        self.values = values
        super().__init__(default, description)

    def quantile(self, uniform, step=None):
        number = len(self.values)
        index = ops.cast(uniform * number, "int32")
        # uniform * number may round up to the number.
        index = ops.minimum(index, number - 1)
        return ops.take(ops.convert_to_tensor(self.values, "float32"), index)

    def grid(self, num):
        last = len(self.values) - 1
        picked = (
            np.array([last // 2])
            if num == 1
            else np.linspace(0, last, num).round().astype(int)
        )
        return np.asarray(self.values)[np.unique(picked)]

    def _ranges(self):
        return [(v, v) for v in self.values]

    def coordinate(self, values):
        # Half-way between neighbours, a number that float32 rounded is told
        # from them.
        middles = (np.array(self.values[1:]) + self.values[:-1]) / 2
        values = _floating(values)
        above = ops.expand_dims(values, -1) > ops.cast(middles, values.dtype)
        place = ops.sum(ops.cast(above, values.dtype), -1, keepdims=True)
        return (place * 2 / (len(self.values) - 1) - 1) * END

    def describe(self):
        return "one of " + ", ".join(f"{v:g}" for v in self.values)

    def get_config(self):
        return {"values": self.values, **super().get_config()}


@keras.saving.register_keras_serializable("yoto_tf")
class Constant(LossParameter):
    """A parameter that is always the same: a fixed-weight model, or the term
    to which the others are relative. The network is not told of it.

    Example:
        Constant(16.0)
    """

    num_coordinates = 0

    def __init__(self, value, *, description=""):
        value = to_number("value", value)
        if not math.isfinite(value):
            raise InputError(
                f"expected a finite value, received: value={value}"
            )
        self.value = value
        check_told_apart(value)
        super().__init__(None, description)

    def quantile(self, uniform, step=None):
        return ops.full(ops.shape(uniform), self.value, dtype="float32")

    def sample(self, num, seed, step=None, warp=None):
        # Without a draw, which would move the stream of the others.
        return ops.full((num,), self.value, dtype="float32")

    def grid(self, num):
        return np.array([self.value])

    def _ranges(self):
        return [(self.value, self.value)]

    def coordinate(self, values):
        values = _floating(values)
        return ops.zeros((ops.shape(values)[0], 0), dtype=values.dtype)

    def describe(self):
        return f"{self.value:g}, the one it was trained for"

    def get_config(self):
        return {"value": self.value, "description": self.description}


def _floating(values):
    """A tensor of float32, or of float64 where it is that."""
    values = ops.convert_to_tensor(values)
    return values if values.dtype == "float64" else ops.cast(values, "float32")


def named(kind, low, high, values, standardize=True, description=""):
    """Builds the distribution that settings name.

    Args:
        kind: `"log_uniform"`, `"uniform"`, `"choice"` or `"constant"`.
        low, high: ends of the first two.
        values: of a choice, or the one of a constant.
        standardize: of the first two, see `LogUniform`.
        description: of the parameter.
    """
    said = {"description": description}
    match kind:
        case "log_uniform":
            return LogUniform(low, high, standardize=standardize, **said)
        case "uniform":
            return Uniform(low, high, standardize=standardize, **said)
        case "choice":
            return Choice(values, **said)
        case "constant":
            return Constant(values[0], **said)
