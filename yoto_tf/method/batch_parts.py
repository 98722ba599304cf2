"""A train step that computes its batch in parts, at once.

Each part runs forwards and backwards without looking at the others, so that
TensorFlow gives every core a part of its own where its operations run on one
thread each. Small feature maps gain by it: on two cores two operations of one
thread do more than one of two threads (docs/performance.md).
"""

import tensorflow as tf

from yoto_tf.errors import InputError
from yoto_tf.method import replicas
from yoto_tf.method.assertions import checked_number


def check(num_parts, model, jit_compile):
    """Refuses parts that `compile` cannot give a model.

    Args:
        num_parts: `batch_parts` of `compile`.
        model: a `LossConditionalModel`.
        jit_compile: whether XLA compiles the step.

    Raises:
        InputError: for a number that is none, for a batch that is one group,
            with XLA, and on several replicas.
    """
    if isinstance(num_parts, bool) or not isinstance(num_parts, int):
        raise InputError(
            "expected batch_parts as a whole number of 1 or more, received: "
            f"batch_parts={num_parts!r}"
        )
    if num_parts < 1:
        raise InputError(
            "expected batch_parts of 1 or more, received: "
            f"batch_parts={num_parts}"
        )
    if num_parts == 1:
        return
    if model.group_size is None:
        raise InputError(
            "expected batch_parts=1 for group_size=None, whose terms are of "
            f"the whole batch, received: batch_parts={num_parts}"
        )
    if jit_compile:
        raise InputError(
            "expected batch_parts=1 with jit_compile=True, which runs one "
            f"part after the other, received: batch_parts={num_parts}"
        )
    if replicas.has_several(model):
        raise InputError(
            "expected batch_parts=1 on several replicas, which divide the "
            f"batch themselves, received: batch_parts={num_parts}"
        )


def computed(function, rows, num, num_parts, group_size=1):
    """Calls a function on the parts of a batch.

    Args:
        function: called with `rows` of a part and `num`. Returns
            `(per_example, gradients)`: a structure of tensors `(rows, ...)`,
            and a list with None where there is no gradient.
        rows: structure of tensors `(num, ...)`, and None.
        num: examples in the batch, an int or a scalar tensor.
        num_parts: how many.
        group_size: neighbours that must stay together.

    Returns:
        `(per_example, gradients)` of the batch: rows of all parts in their
        order, and the sums of the gradients.
    """
    fewest = num_parts * group_size
    sentence = (
        f"expected batches of {fewest} examples or more for batch_parts="
        f"{num_parts}, drop_remainder=True drops a smaller last one, received:"
    )
    num = checked_number(num, num >= fewest, sentence)
    groups, drawn, results = num // group_size, [], []
    ends = [i * groups // num_parts * group_size for i in range(num_parts)]
    for first, end in zip(ends, [*ends[1:], num], strict=True):
        with replicas.known(replicas.Place(first, num, drawn)):
            part = tf.nest.map_structure(
                lambda t, a=first, b=end: _rows(t, a, b), rows
            )
            results.append(function(part, num))
    per_example = tf.nest.map_structure(
        lambda *parts: tf.concat(parts, 0), *[r[0] for r in results]
    )
    return per_example, [
        _sum(g) for g in zip(*[r[1] for r in results], strict=True)
    ]


def _rows(tensor, first, end):
    if isinstance(tensor, tf.SparseTensor):
        raise InputError(
            "expected dense or ragged inputs for batch_parts above 1, "
            "received: a SparseTensor"
        )
    return None if tensor is None else tensor[first:end]


def _sum(gradients):
    there = [g for g in gradients if g is not None]
    return tf.add_n(there) if there else None
