"""What settings of conditioning share. Imports no TensorFlow."""

from typing import Literal

from yoto_tf.registry import CONDITIONING

# The library's own; `yoto_tf.registry` tells how others are named.
ConditioningKind = Literal[*CONDITIONING.built_in]
# Settings of conditioning that only some kinds have.
OF_KINDS = {
    "knots": ("spline",),
    "hidden_units": ("film", "sigmoid_film"),
    "strength": ("film",),
}
