"""What `fit`, `evaluate` and `predict` are given, where Keras would fail with
other words."""

import keras
import numpy as np
import tensorflow as tf

from yoto_tf.errors import InputError


def check_targets(y):
    """As `check_data`, of targets, which there may be none of."""
    if y is not None:
        _check_kinds(keras.tree.flatten(y), "targets y")


def _check_kinds(leaves, what):
    plain = [v for v in leaves if isinstance(v, int | float | str | np.generic)]
    if plain:
        raise InputError(
            f"expected {what}, received: lists of {type(plain[0]).__name__}; "
            "numpy.asarray makes an array"
        )
    for leaf in leaves:
        dtype = getattr(leaf, "dtype", None)
        if isinstance(dtype, np.dtype) and dtype.kind in "USOMm":
            raise InputError(
                f"expected {what} of numbers, received: an array of "
                f"dtype={dtype}"
            )


def check_data(x):
    """Raises `InputError` for what Keras would fail on with other words."""
    leaves = keras.tree.flatten(x)
    if not leaves or leaves[0] is None:
        raise InputError(
            f"expected arrays, tensors or a Dataset, received: {x!r}"
        )
    _check_kinds(leaves, "arrays or tensors")
    empty = isinstance(x, tf.data.Dataset) and int(x.cardinality()) == 0
    if empty or any(getattr(v, "shape", ())[:1] == (0,) for v in leaves):
        raise InputError("expected one or more examples, received: none")
