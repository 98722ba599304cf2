"""What the served graphs refuse: batches that do not fit, rows out of range.

The C++ session enforces neither the declared shapes of a signature nor equal
batch sizes; a beta of shape (1,) would be broadcast over a batch of images
without a word. What a client may send is therefore checked by operations of
the graph. Their failures come back as INVALID_ARGUMENT with these texts.
"""

import numpy as np
import tensorflow as tf

# A request of 64 MiB holds a million latents, whose images would be 50 GB and
# the end of the server. These many of 64x64 pixels take about 1 GB.
MAX_ROWS = 1024


def at_most(number, limit, sentence):
    """An operation that fails if a number of the request is above a limit."""
    return tf.debugging.Assert(
        number <= limit,
        [f"expected at most {limit} {sentence}, received:", number],
    )


def same_batch(name, values, beta):
    """Fails unless two inputs have the same batch size, `MAX_ROWS` at most.

    Args:
        name: of the first input, for the message.
        values: `(batch, ...)`.
        beta: `(batch, ...)`.

    Returns:
        `(values, beta)`, to be used in place of the arguments.
    """
    sizes = tf.shape(values)[0], tf.shape(beta)[0]
    same = tf.debugging.Assert(
        tf.equal(*sizes),
        [
            f"expected one row of beta per row of {name}, received rows of "
            f"{name} and beta:",
            *sizes,
        ],
    )
    few = at_most(sizes[0], MAX_ROWS, "rows per request")
    with tf.control_dependencies([same, few]):
        return tf.identity(values), tf.identity(beta)


def require(good, sentence, received):
    """An operation that fails unless all of `good` are true.

    Args:
        good: bool tensor.
        sentence: says what was expected.
        received: tensor of the shape of `good`; the message quotes the first
            three entries that are not good.
    """
    # The quotation is computed only when it is needed.
    return tf.cond(
        tf.reduce_all(good),
        tf.no_op,
        lambda: tf.debugging.Assert(
            tf.reduce_all(good),
            [
                sentence,
                # Flat, for a single value has no mask.
                tf.boolean_mask(
                    tf.reshape(received, [-1]), tf.reshape(~good, [-1])
                ),
            ],
            summarize=3,
        ),
    )


def is_trained(beta, beta_range):
    """Tells of each beta whether it is in the trained range; False for NaN.

    Args:
        beta: float tensor of any shape.
        beta_range: the `LossWeight` that the model was trained with.
    """
    low, high = beta_range.intervals().T
    # float64, as in `LossWeight.contains`: the ends must not be rounded.
    beta = tf.cast(beta, tf.float64)[..., None]
    return tf.reduce_any((beta >= low) & (beta <= high), axis=-1)


def all_of_row(good):
    """Reduces `(batch, ...)` to `(batch,)`: whether a whole row is good."""
    return tf.reduce_all(good, axis=list(range(1, len(good.shape))))


class RowPolicy:
    """What becomes of rows that cannot be answered.

    Args:
        beta_range: the `LossWeight` that the model was trained with.
        invalid_rows: `"error"`: the request fails with INVALID_ARGUMENT.
            `"flag"`: these rows alone are NaN in the answer. Under
            server-side batching an error would fail the requests of other
            clients in the same batch.
    """

    def __init__(self, beta_range, invalid_rows):
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
