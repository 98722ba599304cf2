"""FiLM whose scale and shift are free functions of the loss weight."""

import math

import keras
import numpy as np
from keras import ops

from yoto_tf.errors import InputError
from yoto_tf.layers.base import ConditioningLayer

# A standardised (log-)uniform weight lies between the ends.
_END = math.sqrt(3)


@keras.saving.register_keras_serializable("yoto_tf")
class SplineFiLM(ConditioningLayer):
    """FiLM that is piecewise linear in each standardised coordinate.

        scale = 1 + sum_k hat_k(c) a_k
        shift =     sum_k hat_k(c) b_k

    hat_k is 1 at the k-th of `knots` values spread evenly over `ends`, and
    falls linearly to 0 at its neighbours: what an example teaches about its
    weight changes the modulation near it and nowhere else, where in an MLP
    or a gate large and small weights pull at the same numbers. Coordinates
    beyond the ends are taken as the ends; several coordinates add up. Starts
    as the identity.

    Args:
        knots: number of hats per coordinate, 2 or more.
        ends: the lowest and the highest coordinate; default: -sqrt(3) and
            sqrt(3), between which standardised coordinates of one weight
            lie. `coordinate_ends` of a distribution has others.
    """

    starts_as_identity = True
    # A second shift costs 2 % of the `cifar10` step.
    replaces_bias = True

    def __init__(self, knots=5, ends=(-_END, _END), **kwargs):
        super().__init__(**kwargs)
        if not knots >= 2:
            raise InputError(f"expected knots of 2 or more, received: {knots=}")
        self.knots = int(knots)
        if not ends[0] < ends[1]:
            raise InputError(f"expected ends[0] < ends[1], received: {ends=}")
        self.ends = tuple(float(e) for e in ends)

    def build(self, features_shape, conditioning_shape):
        # One matrix for scale and shift: starting operations is what costs.
        self.kernel = self.add_weight(
            shape=(
                conditioning_shape[-1] * self.knots,
                2 * features_shape[-1],
            ),
            initializer="zeros",
            name="kernel",
            autocast=False,
        )

    def scale_and_shift(self, conditioning):
        both = ops.matmul(self._hats(conditioning), self.kernel)
        scale, shift = ops.split(both, 2, axis=-1)
        return 1 + scale, shift

    def _hats(self, conditioning):
        """Maps `(batch, k)` to `(batch, k * knots)`."""
        positions = np.linspace(*self.ends, self.knots, dtype="float32")
        positions = ops.cast(positions, conditioning.dtype)
        inside = ops.clip(conditioning, *self.ends)
        distance = ops.abs(ops.expand_dims(inside, -1) - positions)
        low, high = self.ends
        hats = ops.relu(1 - distance * ((self.knots - 1) / (high - low)))
        return ops.reshape(hats, (-1, conditioning.shape[-1] * self.knots))

    def get_config(self):
        return {
            **super().get_config(),
            "knots": self.knots,
            "ends": self.ends,
        }
