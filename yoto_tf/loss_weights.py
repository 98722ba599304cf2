"""Distributions of a loss weight.

In loss-conditional training every example is trained under its own weights
(Dosovitskiy & Djolonga, ICLR 2020, section 2). A distribution says how one
weight is drawn, which values count as trained, which grid covers it, and in
which coordinate the network sees it. `Independent` and `Dirichlet` join the
weights of all loss terms into one draw.
"""

import math

import keras
import numpy as np
from keras import ops

from yoto_tf.config import check_focus
from yoto_tf.errors import InputError

# float32 rounds a beta of 512 by up to 3e-5; the ends of the range are in it.
_RELATIVE_TOLERANCE = 1e-6


class LossWeight:
    """One weight: a positive number drawn for every example.

    Subclasses define `sample`, `grid`, `_ranges` and, where the network is
    told the weight, `coordinate`.
    """

    num_coordinates = 1

    def sample(self, batch_size, seed):
        """Draws weights.

        Args:
            batch_size: number of weights, an int or a scalar tensor.
            seed: a `keras.random.SeedGenerator` or an int.

        Returns:
            float32 tensor of shape `(batch_size,)`.
        """
        raise NotImplementedError

    def grid(self, num):
        """Returns `num` values that cover the distribution, ascending."""
        raise NotImplementedError

    def contains(self, values):
        """Tells for each of `values` whether it lies in the trained range.

        Returns:
            Boolean array of the shape of `values`; False for NaN.
        """
        values = np.asarray(values, dtype="float64")[..., None]
        low, high = self.intervals().T
        return ((values >= low) & (values <= high)).any(-1)

    def intervals(self):
        """Returns the trained values as closed intervals.

        They are wider than the trained ones by what float32 rounds off, so
        that graphs can check betas as `contains` does.

        Returns:
            float64 array `(n, 2)`: lowest and highest value of each.
        """
        widening = [1 - _RELATIVE_TOLERANCE, 1 + _RELATIVE_TOLERANCE]
        return np.asarray(self._ranges(), dtype="float64") * widening

    def _ranges(self):
        """The trained values, a list of (lowest, highest)."""
        raise NotImplementedError

    def coordinate(self, weights):
        """Maps weights `(batch,)` to the network's input `(batch, k)`."""
        raise NotImplementedError

    def describe(self):
        """Names the trained values in a few words."""
        raise NotImplementedError

    def get_config(self):
        return {}

    @classmethod
    def from_config(cls, config):
        return cls(**config)

    def __eq__(self, other):
        return type(self) is type(other) and (
            self.get_config() == other.get_config()
        )

    def __hash__(self):
        return hash((type(self), str(self.get_config())))

    def __repr__(self):
        arguments = ", ".join(f"{k}={v}" for k, v in self.get_config().items())
        return f"{type(self).__name__}({arguments})"


class _Interval(LossWeight):
    """A weight between `low` and `high`.

    Args:
        low, high: ends of the interval, `0 < low < high`.
        standardize: give the network the coordinate with mean 0 and
            deviation 1 under the distribution (Multi-Rate VAE, section 4);
            off, the coordinate as it is (the paper).
    """

    def __init__(self, low, high, standardize=True):
        if not (math.isfinite(high) and 0 < low < high):
            raise InputError(
                f"expected 0 < low < high, received: low={low}, high={high}"
            )
        self.low = float(low)
        self.high = float(high)
        self.standardize = bool(standardize)

    # The coordinate in which the distribution is uniform.
    _forward = staticmethod(lambda x: x)
    _backward = staticmethod(lambda x: x)
    _tensor_forward = staticmethod(lambda x: x)
    _tensor_backward = staticmethod(lambda x: x)

    def _ends(self):
        return float(self._forward(self.low)), float(self._forward(self.high))

    def sample(self, batch_size, seed):
        low, high = self._ends()
        uniform = keras.random.uniform((batch_size,), low, high, seed=seed)
        return self._tensor_backward(uniform)

    def grid(self, num):
        if num == 1:
            return self._backward(np.mean(self._ends(), keepdims=True))
        values = self._backward(np.linspace(*self._ends(), num))
        # The ends exactly, not through exp(log(x)).
        values[0], values[-1] = self.low, self.high
        return values

    def _ranges(self):
        return [(self.low, self.high)]

    def coordinate(self, weights):
        x = self._tensor_forward(weights)
        if self.standardize:
            low, high = self._ends()
            # Deviation of a uniform variable: its length / sqrt(12).
            x = (x - (low + high) / 2) * (math.sqrt(12) / (high - low))
        return ops.expand_dims(x, -1)

    def describe(self):
        return f"between {self.low:g} and {self.high:g}"

    def get_config(self):
        return {
            "low": self.low,
            "high": self.high,
            "standardize": self.standardize,
        }


@keras.saving.register_keras_serializable("yoto_tf")
class LogUniform(_Interval):
    """log(weight) uniform in [log low, log high]; the paper's choice.

    The network's coordinate is the natural logarithm, standardised or not.
    A weight that needs more training than the others, or is asked for more
    often, can be given a share of the draws.

    Args:
        low, high, standardize: as in the other intervals; a focus leaves the
            coordinate as it is.
        focus: weight in [low, high] that is drawn more often; None: none.
        focus_share: of all draws, so many are log-uniform within a factor of
            sqrt(2) of `focus`, and the others over the whole range; between
            0 and 1.
    """

    _forward = staticmethod(np.log)
    _backward = staticmethod(np.exp)
    _tensor_forward = staticmethod(ops.log)
    _tensor_backward = staticmethod(ops.exp)

    def __init__(
        self, low, high, standardize=True, focus=None, focus_share=0.6
    ):
        super().__init__(low, high, standardize)
        check_focus(self.low, self.high, focus, focus_share)
        self.focus = None if focus is None else float(focus)
        self.focus_share = float(focus_share)

    def sample(self, batch_size, seed):
        if self.focus is None:
            return super().sample(batch_size, seed)
        low, high = self._ends()
        near_low = max(low, math.log(self.focus) - math.log(2) / 2)
        near_high = min(high, math.log(self.focus) + math.log(2) / 2)
        share = self.focus_share
        # One draw says both on which side of the share it lies and where.
        uniform = keras.random.uniform((batch_size,), seed=seed)
        near = near_low + uniform / share * (near_high - near_low)
        anywhere = low + (uniform - share) / (1 - share) * (high - low)
        return ops.exp(ops.where(uniform < share, near, anywhere))

    def get_config(self):
        return {
            **super().get_config(),
            "focus": self.focus,
            "focus_share": self.focus_share,
        }


@keras.saving.register_keras_serializable("yoto_tf")
class Uniform(_Interval):
    """weight uniform in [low, high]."""


@keras.saving.register_keras_serializable("yoto_tf")
class Choice(LossWeight):
    """weight drawn from a list, all values equally likely.

    Args:
        values: positive numbers.
        standardize: as in `LogUniform`; the coordinate is the logarithm.
    """

    def __init__(self, values, standardize=True):
        values = sorted(float(v) for v in values)
        if not values or not all(math.isfinite(v) and v > 0 for v in values):
            raise InputError(
                f"expected values above 0, received: values={values}"
            )
        self.values = values
        self.standardize = bool(standardize)

    def sample(self, batch_size, seed):
        index = keras.random.randint(
            (batch_size,), 0, len(self.values), seed=seed
        )
        return ops.take(ops.convert_to_tensor(self.values, "float32"), index)

    def grid(self, num):
        picked = np.linspace(0, len(self.values) - 1, num).round().astype(int)
        return np.asarray(self.values)[np.unique(picked)]

    def _ranges(self):
        return [(v, v) for v in self.values]

    def coordinate(self, weights):
        x = ops.log(weights)
        if self.standardize and self.values[0] < self.values[-1]:
            logs = np.log(self.values)
            x = (x - logs.mean()) / logs.std()
        return ops.expand_dims(x, -1)

    def describe(self):
        return "one of " + ", ".join(f"{v:g}" for v in self.values)

    def get_config(self):
        return {"values": self.values, "standardize": self.standardize}


@keras.saving.register_keras_serializable("yoto_tf")
class Constant(LossWeight):
    """A weight that is always the same: a fixed-weight model, or the term to
    which the others are relative. The network is not told of it."""

    num_coordinates = 0

    def __init__(self, value):
        if not (math.isfinite(value) and value > 0):
            raise InputError(
                f"expected a value above 0, received: value={value}"
            )
        self.value = float(value)

    def sample(self, batch_size, seed):
        return ops.full((batch_size,), self.value, dtype="float32")

    def grid(self, num):
        return np.array([self.value])

    def _ranges(self):
        return [(self.value, self.value)]

    def coordinate(self, weights):
        return ops.zeros((ops.shape(weights)[0], 0), dtype="float32")

    def describe(self):
        return f"{self.value:g}, the one it was trained for"

    def get_config(self):
        return {"value": self.value}
