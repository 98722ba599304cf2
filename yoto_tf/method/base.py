"""What every loss parameter can be asked.

In loss-conditional training every example is trained under its own
parameters (Dosovitskiy & Djolonga, ICLR 2020, section 2). A parameter's
distribution is given by its quantile function, so that one uniform number is
one draw, whatever the distribution is made of.
"""

import itertools

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from yoto_tf.errors import InputError

# float32 rounds 512 by up to 3e-5; the ends of a range are in it.
_RELATIVE_TOLERANCE = 1e-6
# What float32 and its logarithm hold, and tell apart.
_SMALLEST, _LARGEST = 1e-30, 1e30
_CLOSEST = 1e-4


def check_told_apart(*values):
    """Raises `InputError` where values would be one to a network.

    Args:
        *values: finite numbers, ascending.
    """
    for value in values:
        if value and not _SMALLEST <= abs(value) <= _LARGEST:
            raise InputError(
                f"expected 0 or numbers between {_SMALLEST:g} and "
                f"{_LARGEST:g}, or minus those, received: {value!r}"
            )
    for low, high in itertools.pairwise(values):
        nearest = _CLOSEST * max(abs(low), abs(high))
        if high == low or high - low < nearest:
            raise InputError(
                f"expected values that differ by {_CLOSEST:g} of themselves "
                f"or more, received: {low!r} and {high!r}"
            )


def to_number(name, value):
    """The float that a caller gave.

    Args:
        name: of the argument, for the sentence.
        value: a number of Python, NumPy or TensorFlow.

    Raises:
        InputError: for anything else, texts of digits and True included.
    """
    try:
        if isinstance(value, str | bytes) or np.asarray(value).dtype == bool:
            raise TypeError
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise InputError(
            f"expected a number, received: {name}={value!r}"
        ) from None


class LossParameter:
    """A parameter of a loss, drawn for every example.

    One whose name is that of a loss term multiplies the term (a weight);
    any other is read by the terms (a focal loss' gamma, a quantile's level).
    Subclasses define `quantile`, `grid`, `_ranges` and `coordinate`.

    Args:
        default: the value where none is asked for; None: the middle of the
            range in its own scale.
        description: a sentence that says what turning it does.

    Attributes:
        scale: `"log"`, `"linear"` or `"choice"`: how a slider shows it.
        num_coordinates: numbers per example that the network is told.

    Example:
        level = yoto_tf.Uniform(0.05, 0.95, description="Of the quantile.")
        level.contains(0.5), level.default, level.scale
    """

    num_coordinates = 1
    scale = "linear"

    def __init__(self, default=None, description=""):
        self.description = str(description)
        if default is not None:
            default = to_number("default", default)
        self._default = default
        if default is not None and not self.contains(default).all():
            raise InputError(
                f"expected a default {self.describe()}, "
                f"received: default={default}"
            )

    @property
    def default(self):
        """The value that is taken where none is asked for, a float."""
        if self._default is not None:
            return self._default
        return float(self.grid(1)[0])

    def quantile(self, uniform, step=None):
        """Maps uniform numbers to draws.

        Args:
            uniform: `(n,)` float32 in [0, 1).
            step: number of finished train steps, for distributions that
                change with it; None: long after the beginning.

        Returns:
            `(n,)` float32.
        """
        raise NotImplementedError

    def sample(self, num, seed, step=None, warp=None):
        """Draws `num` values; see `quantile`.

        Args:
            num: an int or a scalar tensor.
            seed: a `keras.random.SeedGenerator` or an int.
            step: see `quantile`.
            warp: maps the uniform numbers, where some parts of the range are
                drawn more often; see `AdaptiveDraws`.
        """
        uniform = keras.random.uniform((num,), seed=seed, dtype="float32")
        return self.quantile(warp(uniform) if warp else uniform, step)

    def grid(self, num):
        """Returns `num` values that cover the range, ascending."""
        raise NotImplementedError

    def contains(self, values):
        """Tells for each of `values` whether it lies in the trained range.

        Returns:
            Boolean array of the shape of `values`; False for NaN.
        """
        values = np.asarray(values, dtype="float64")[..., None]
        low, high = self.intervals().T
        return ((values >= low) & (values <= high)).any(-1)

    def is_trained(self, values):
        """As `contains`, of a float32 tensor, in a graph.

        `contains` compares in float64, which TFLite does not: a float32 is
        above an end if it is above the first float32 that is.
        """
        low, high = self.intervals().T
        column = ops.expand_dims(values, -1)
        good = (column >= _rounded(low, np.inf)) & (
            column <= _rounded(high, -np.inf)
        )
        return ops.any(good, axis=-1)

    def intervals(self):
        """Returns the trained values as closed intervals.

        They are wider than the trained ones by what float32 rounds off, so
        that graphs can check values as `contains` does.

        Returns:
            float64 array `(n, 2)`: lowest and highest value of each.
        """
        ends = np.asarray(self._ranges(), dtype="float64")
        widening = _RELATIVE_TOLERANCE * np.abs(ends)
        return ends + widening * [-1, 1]

    @property
    def low(self):
        """The lowest trained value."""
        return float(min(low for low, _ in self._ranges()))

    @property
    def high(self):
        """The highest trained value."""
        return float(max(high for _, high in self._ranges()))

    @property
    def ranges(self):
        """The trained values, a list of (lowest, highest)."""
        return [(float(low), float(high)) for low, high in self._ranges()]

    @property
    def coordinate_ends(self):
        """The lowest and the highest coordinate of the trained values, seen
        at 257 of each range: an angle's lie between its ends."""
        values = [np.linspace(*ends, 257) for ends in self._ranges()]
        with tf.init_scope():
            values = ops.convert_to_tensor(np.concatenate(values), "float32")
            told = ops.convert_to_numpy(self.coordinate(values))
        return float(told.min()), float(told.max())

    def _ranges(self):
        """The trained values, a list of (lowest, highest)."""
        raise NotImplementedError

    def coordinate(self, values):
        """Maps values `(batch,)` to what the network is told, `(batch, k)`;
        float32 or wider."""
        raise NotImplementedError

    def describe(self):
        """Names the trained values in a few words."""
        raise NotImplementedError

    def get_config(self):
        return {"default": self._default, "description": self.description}

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
        arguments = ", ".join(
            f"{k}={v}" for k, v in self.get_config().items() if v not in ("",)
        )
        return f"{type(self).__name__}({arguments})"


def _rounded(ends, towards):
    """Rounds float64 to float32, where it is inexact towards one side."""
    nearest = ends.astype("float32")
    passed = nearest < ends if towards > 0 else nearest > ends
    inwards = np.nextafter(nearest, np.float32(towards))
    return np.where(passed, inwards, nearest)
