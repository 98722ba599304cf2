"""Rows of a request that cannot be answered, judged in the graph.

What a client may send is checked by operations of the graph, for a session
checks nothing.
"""

import numpy as np
import tensorflow as tf

from yoto_tf.errors import InputError
from yoto_tf.graph_checks import require

INVALID_ROWS = ("error", "flag")


class RowPolicy:
    """What becomes of rows that cannot be answered.

    Args:
        joint: `JointParameters` of the model.
        invalid_rows: `"error"`: the request fails with INVALID_ARGUMENT.
            `"flag"`: these rows alone are NaN in the answer. Under
            server-side batching an error would fail the requests of other
            clients in the same batch.

    Attributes:
        flags: whether it is `"flag"`.

    Raises:
        InputError: for other `invalid_rows`.
    """

    def __init__(self, joint, invalid_rows):
        is_text = isinstance(invalid_rows, str)
        if not is_text or invalid_rows not in INVALID_ROWS:
            raise InputError(
                f"expected invalid_rows to be one of {INVALID_ROWS}, "
                f"received: invalid_rows={invalid_rows!r}"
            )
        self._joint = joint
        self.flags = invalid_rows == "flag"

    def admit(self, asked, values=None, good=None, sentence=""):
        """Sorts the rows of a request.

        Args:
            asked: dict, name of a loss parameter -> `(batch,)` or
                `(batch, k)`, one shape for all.
            values: `(batch, ...)`, an input that is judged, too; None: none.
            good: which of `values` are acceptable, of its shape.
            sentence: says which are.

        Returns:
            `(asked, values, valid)`: the values of all loss parameters, those
            that are always the same included, and the input, both with
            harmless numbers in place of bad ones; and which rows are to be
            answered, bool of the shape of the loss parameters.
        """
        trained = self._joint.trained(asked)
        valid = tf.reduce_all(tf.stack(list(trained.values())), axis=0)
        if self.flags:
            asked = {
                # So that its logarithm is a number.
                n: tf.where(trained[n], v, np.float32(self._joint.defaults[n]))
                for n, v in asked.items()
            }
            if values is not None:
                row_is_good = _all_of_row(good)
                values = tf.where(good, values, tf.zeros([], values.dtype))
                missing = [1] * (len(valid.shape) - 1)
                valid &= tf.reshape(row_is_good, [-1, *missing])
            return self._completed(asked), values, valid
        checks = [
            require(
                trained[name],
                f"expected {name} {self._joint.describe(name)}, received:",
                value,
            )
            for name, value in asked.items()
        ]
        if values is not None:
            said = f"expected {sentence}, received:"
            checks.insert(0, require(good, said, values))
        with tf.control_dependencies(checks):
            asked = {n: tf.identity(v) for n, v in asked.items()}
            values = None if values is None else tf.identity(values)
        return self._completed(asked), values, valid

    def _completed(self, asked):
        shape = tf.shape(next(iter(asked.values())))
        return {
            name: asked[name]
            if name in asked
            else tf.fill(shape, np.float32(self._joint.defaults[name]))
            for name in self._joint.names
        }

    def blank(self, outputs, valid):
        """Empties the rows of an output that are not `valid`: NaN, or what
        stands for nothing in its dtype."""
        return blanked(outputs, valid) if self.flags else outputs


def blanked(outputs, valid):
    """`RowPolicy.blank`, whatever the policy."""
    missing = len(outputs.shape) - len(valid.shape)
    shape = tf.concat([tf.shape(valid), [1] * missing], 0)
    empty = (
        tf.constant(np.nan, outputs.dtype)
        if outputs.dtype.is_floating
        else tf.zeros([], outputs.dtype)
    )
    return tf.where(tf.reshape(valid, shape), outputs, empty)


def _all_of_row(good):
    """Reduces `(batch, ...)` to `(batch,)`: whether a whole row is good."""
    return tf.reduce_all(good, axis=list(range(1, len(good.shape))))
