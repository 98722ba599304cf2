"""Rows that cannot be answered: betas out of range, images that are none.

What a client may send is checked by operations of the graph, for a session
checks nothing.
"""

import numpy as np
import tensorflow as tf

from yoto_tf.errors import InputError
from yoto_tf.graph_checks import require

INVALID_ROWS = ("error", "flag")


def is_trained(beta, beta_range):
    """Tells of each beta whether it is in the trained range; False for NaN.

    Args:
        beta: float32 tensor of any shape.
        beta_range: the `LossParameter` that the model was trained with.
    """
    low, high = beta_range.intervals().T
    beta = tf.expand_dims(beta, -1)
    # As `LossWeight.contains` compares in float64, which TFLite does not: a
    # float32 is above an end if it is above the first float32 that is.
    return tf.reduce_any(
        (beta >= _rounded(low, np.inf)) & (beta <= _rounded(high, -np.inf)),
        axis=-1,
    )


def _rounded(ends, towards):
    """Rounds float64 to float32, where it is inexact towards one side."""
    nearest = ends.astype("float32")
    passed = nearest < ends if towards > 0 else nearest > ends
    inwards = np.nextafter(nearest, np.float32(towards))
    return np.where(passed, inwards, nearest)


def all_of_row(good):
    """Reduces `(batch, ...)` to `(batch,)`: whether a whole row is good."""
    return tf.reduce_all(good, axis=list(range(1, len(good.shape))))


class RowPolicy:
    """What becomes of rows that cannot be answered.

    Args:
        beta_range: the `LossParameter` that the model was trained with.
        invalid_rows: `"error"`: the request fails with INVALID_ARGUMENT.
            `"flag"`: these rows alone are NaN in the answer. Under
            server-side batching an error would fail the requests of other
            clients in the same batch.

    Raises:
        InputError: for other `invalid_rows`.
    """

    def __init__(self, beta_range, invalid_rows):
        if invalid_rows not in INVALID_ROWS:
            raise InputError(
                f"expected invalid_rows to be one of {INVALID_ROWS}, "
                f"received: invalid_rows={invalid_rows!r}"
            )
        self._beta_range = beta_range
        self.flags = invalid_rows == "flag"
        # In place of bad betas, so that their logarithm is a number.
        self._stand_in = np.float32(beta_range.grid(1)[0])

    def admit(self, values, beta, good, sentence):
        """Sorts the rows of a request.

        Args:
            values: `(batch, ...)`, an input.
            beta: `(batch,)` or `(batch, k)`.
            good: which of `values` are acceptable, of its shape.
            sentence: says which are.

        Returns:
            `(values, beta, valid)`: both inputs with harmless numbers in
            place of bad ones, and which of `beta` are to be answered, of its
            shape.
        """
        trained = is_trained(beta, self._beta_range)
        if not self.flags:
            checks = [
                require(good, f"expected {sentence}, received:", values),
                require(
                    trained,
                    f"expected beta {self._beta_range.describe()}, received:",
                    beta,
                ),
            ]
            with tf.control_dependencies(checks):
                return tf.identity(values), tf.identity(beta), trained
        beta = tf.where(trained, beta, self._stand_in)
        row_is_good = all_of_row(good)
        values = tf.where(good, values, tf.zeros([], values.dtype))
        valid = trained & tf.reshape(
            row_is_good, [-1, *[1] * (len(beta.shape) - 1)]
        )
        return values, beta, valid

    def blank(self, outputs, valid):
        """Replaces the rows that are not `valid` with NaN."""
        if not self.flags:
            return outputs
        missing = len(outputs.shape) - len(valid.shape)
        shape = tf.concat([tf.shape(valid), [1] * missing], 0)
        return tf.where(tf.reshape(valid, shape), outputs, np.nan)
