"""Distributions of a loss weight.

In loss-conditional training every example is trained under its own weights
(Dosovitskiy & Djolonga, ICLR 2020, section 2). A distribution says how one
weight is drawn, which values count as trained, which grid covers it, and in
which coordinate the network sees it. Those over an interval stand in
`interval_weights`. `Independent` and `Dirichlet` join the weights of all loss
terms into one draw.
"""

import math

import keras
import numpy as np
from keras import ops

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
