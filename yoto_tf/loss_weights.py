"""Distributions of a loss weight.

In loss-conditional training every example is trained under its own weights
(Dosovitskiy & Djolonga, ICLR 2020, section 2). A distribution says how one
weight is drawn, which values count as trained, which grid covers it, and in
which coordinate the network sees it. Those over an interval stand in
`interval_weights`. `Independent` and `Dirichlet` join the weights of all loss
terms into one draw.
"""

import itertools
import math

import keras
import numpy as np
from keras import ops

from yoto_tf.errors import InputError

# float32 rounds a beta of 512 by up to 3e-5; the ends of the range are in it.
_RELATIVE_TOLERANCE = 1e-6
# What float32 and its logarithm hold, and tell apart.
_SMALLEST, _LARGEST = 1e-30, 1e30
_CLOSEST = 1e-4


def check_told_apart(values):
    """Raises `InputError` where weights would be one to a network.

    Args:
        values: positive numbers, ascending; equal ones are one weight.
    """
    if not _SMALLEST <= values[0] <= values[-1] <= _LARGEST:
        raise InputError(
            f"expected weights between {_SMALLEST:g} and {_LARGEST:g}, "
            f"received: {values}"
        )
    for low, high in itertools.pairwise(values):
        if low < high < low * (1 + _CLOSEST):
            raise InputError(
                f"expected weights that differ by {_CLOSEST:g} of themselves "
                f"or more, received: {low!r} and {high!r}"
            )


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

    def sample_at(self, batch_size, seed, step=None):
        """Draws weights for the train step after `step` others; as `sample`
        does unless a subclass begins with other draws.

        Args:
            batch_size, seed: as for `sample`.
            step: number of finished train steps, an int or a scalar tensor;
                None: long after the beginning.

        Returns:
            float32 tensor of shape `(batch_size,)`.
        """
        return self.sample(batch_size, seed)

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

    @property
    def coordinate_ends(self):
        """The lowest and the highest coordinate of the trained values; None
        where a subclass does not say."""
        return None

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


@keras.saving.register_keras_serializable("yoto_tf")
class Choice(LossWeight):
    """weight drawn from a list, all values equally likely.

    Args:
        values: positive numbers.
        standardize: the coordinate is the value's place among the others,
            evenly spaced, with mean 0 and deviation 1, so that no two are
            near each other, however unevenly the values lie; off, it is the
            logarithm.
    """

    def __init__(self, values, standardize=True):
        values = sorted(float(v) for v in values)
        if not values or not all(math.isfinite(v) and v > 0 for v in values):
            raise InputError(
                f"expected values above 0, received: values={values}"
            )
        check_told_apart(values)
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
        x = ops.expand_dims(ops.log(weights), -1)
        logs = np.log(np.unique(self.values))
        if not self.standardize or len(logs) == 1:
            return x
        # Between two values, as nobody asks for them, a line.
        steps = (x - logs[:-1].astype("float32")) / np.diff(logs).astype(
            "float32"
        )
        place = ops.sum(ops.clip(steps, 0.0, 1.0), -1, keepdims=True)
        middle, deviation = self._places(len(logs))
        return (place - middle) / deviation

    @staticmethod
    def _places(num):
        """Mean and deviation of 0, 1, ..., num - 1."""
        return (num - 1) / 2, math.sqrt((num**2 - 1) / 12)

    @property
    def coordinate_ends(self):
        logs = np.log(np.unique(self.values))
        if not self.standardize or len(logs) == 1:
            return float(logs[0]), float(logs[-1])
        middle, deviation = self._places(len(logs))
        return -middle / deviation, middle / deviation

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
        check_told_apart([value])
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
