"""Terms of several examples, that of each group for all of its examples."""

from keras import ops

from yoto_tf.errors import InputError
from yoto_tf.method import replicas


def per_group(function, tensors, size):
    """See `LossConditionalModel.per_group`.

    A group may lie on two replicas. Each replica works out all groups and
    keeps what its own examples have; gradients go to all of them.

    Args:
        function: `(groups, size, ...)` tensors -> `(groups,)`.
        tensors: `(batch, ...)` each, of this replica.
        size: examples of a group, 2 or more; None: all.

    Returns:
        `(batch,)`.
    """
    if size == 1:
        raise InputError(
            "expected group_size of 2 or more for a term of several examples "
            "(per_group), or None for the whole batch, received: group_size=1"
        )
    if not replicas.in_replica():
        return _of_all(function, tensors, size)
    num = ops.shape(tensors[0])[0]
    first = replicas.place(num).first
    values = _of_all(function, replicas.gathered(tensors), size)
    return ops.slice(values, (first,), (num,))


def _of_all(function, tensors, size):
    num = ops.shape(tensors[0])[0]
    size = ops.minimum(num if size is None else size, num)
    groups = (num + size - 1) // size
    starts = ops.minimum(ops.arange(groups) * size, num - size)
    rows = ops.expand_dims(starts, -1) + ops.arange(size)
    values = function(*(ops.take(t, rows, axis=0) for t in tensors))
    return ops.take(values, ops.arange(num) // size)
