"""Operations of a graph that refuse what they are given.

Their failures are `tf.errors.InvalidArgumentError`, which servers answer as
INVALID_ARGUMENT with these texts.
"""

import tensorflow as tf


def at_most(number, limit, sentence):
    """An operation that fails if a number of the request is above a limit."""
    return tf.debugging.Assert(
        number <= limit,
        [f"expected at most {limit} {sentence}, received:", number],
    )


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


def rows_without_nan(tensors):
    """Which rows of a batch are numbers throughout.

    Args:
        tensors: list of float tensors, `(batch, ...)`, one at least.

    Returns:
        bool `(batch,)`.
    """
    found = [tf.reduce_any(_flat(tf.math.is_nan(t)), axis=1) for t in tensors]
    return ~tf.reduce_any(tf.stack(found), axis=0)


def _flat(tensor):
    """`(batch, size)`, of no rows, too."""
    size = tf.reduce_prod(tf.shape(tensor)[1:])
    return tf.reshape(tensor, tf.stack([tf.shape(tensor)[0], size]))
