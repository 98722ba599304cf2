"""The place of a replica's examples in the global batch.

Under `tf.distribute` every replica draws the numbers of the whole batch and
takes those of its own examples, so that a run is the same on any number of
devices.
"""

import contextlib
import contextvars

import tensorflow as tf
from keras import ops


def has_several(model):
    """Whether a Keras model was made for several replicas."""
    return model.distribute_strategy.num_replicas_in_sync > 1


def in_replica():
    """Whether this runs as one of several replicas."""
    context = tf.distribute.get_replica_context()
    return context is not None and context.num_replicas_in_sync > 1


class Place:
    """Where some examples stand in the global batch.

    Args:
        first: index of the first of them; None: they are all.
        total: examples of the global batch.
        drawn: list that the parts of one batch share: what the first of them
            draws, the others find.
    """

    def __init__(self, first, total, drawn=None):
        self.first, self.total = first, total
        self._drawn, self._taken = drawn, 0

    def draw(self, draw):
        """What a function of `total` draws for the global batch."""
        if self._drawn is None:
            return draw(self.total)
        if self._taken == len(self._drawn):
            self._drawn.append(draw(self.total))
        self._taken += 1
        return self._drawn[self._taken - 1]


_known = contextvars.ContextVar("place", default=None)


@contextlib.contextmanager
def known(place):
    """A context in which `place` need not be found: of one batch that is asked
    for again and again, also where replicas cannot exchange it, inside of
    what XLA compiles; and of a part of a batch.

    Args:
        place: `Place`.
    """
    token = _known.set(place)
    try:
        yield
    finally:
        _known.reset(token)


def place(num):
    """Where the examples of this replica stand.

    Args:
        num: number of its examples, a scalar tensor.

    Returns:
        `Place`.
    """
    if _known.get() is not None:
        return _known.get()
    if not in_replica():
        return Place(None, num)
    context = tf.distribute.get_replica_context()
    count = context.num_replicas_in_sync
    here = tf.range(count) == context.replica_id_in_sync_group
    own = tf.where(here, tf.cast(num, "float32"), 0.0)
    sizes = context.all_reduce(tf.distribute.ReduceOp.SUM, own)
    sizes = tf.cast(sizes, "int32")
    before = tf.range(count) < context.replica_id_in_sync_group
    first = tf.reduce_sum(tf.where(before, sizes, 0))
    return Place(first, tf.reduce_sum(sizes))


def own_rows(draw, num):
    """Draws for the global batch and keeps the rows of this replica, or of
    this part of a batch.

    Args:
        draw: `n` -> a structure of tensors `(n, ...)`.
        num: number of examples of this replica or part.
    """
    at = place(num)
    if at.first is None:
        return draw(num)
    return tf.nest.map_structure(
        lambda t: ops.slice(
            t, (at.first, *[0] * (len(t.shape) - 1)), (num, *t.shape[1:])
        ),
        at.draw(draw),
    )


def global_mean(values):
    """The mean of `(batch,)` over the global batch, and how many they are."""
    count = ops.cast(ops.shape(values)[0], values.dtype)
    if not in_replica():
        return ops.mean(values), count
    context = tf.distribute.get_replica_context()
    total, count = context.all_reduce(
        tf.distribute.ReduceOp.SUM, [ops.sum(values), count]
    )
    return total / count, count


def global_sums(*tensors):
    """The sums of tensors over all replicas."""
    if not in_replica():
        return tensors
    context = tf.distribute.get_replica_context()
    return context.all_reduce(tf.distribute.ReduceOp.SUM, list(tensors))


def gathered(tensors):
    """The rows of all replicas, on each of them.

    Args:
        tensors: structure of `(batch, ...)`, and None.
    """
    if not in_replica():
        return tensors
    context = tf.distribute.get_replica_context()

    def of_all(tensor):
        if tensor is None:
            return None
        # A copy, made here: several workers ask where a tensor is, and a
        # graph does not say it of what it is given.
        found = context.all_gather(tf.identity(tensor), axis=0)
        # Its gradient is one tensor: that of chosen rows is none, which
        # could not be exchanged.
        return tf.reshape(found, tf.shape(found))

    return tf.nest.map_structure(of_all, tensors)


def build_metrics(metrics, y, outputs):
    """Makes the variables that some metrics make when they are first used,
    as R2Score and F1Score, whose results Keras asks for before.

    Args:
        metrics: a Keras metric.
        y, outputs: `KerasTensor`s of what it will be given.
    """
    one = tf.nest.map_structure(
        lambda t: tf.zeros([n or 1 for n in t.shape], t.dtype), (y, outputs)
    )
    strategy = tf.distribute.get_strategy()
    if strategy.num_replicas_in_sync == 1:
        metrics.update_state(*one)
    else:
        strategy.run(metrics.update_state, one)
    metrics.reset_state()


def summed(gradients, optimizer):
    """Sums gradients over the replicas and clips the sum.

    Keras' optimizers clip the gradients of a replica and sum them then; a
    norm is to be clipped that is the global gradient's.

    Args:
        gradients: of this replica; None for what has none.
        optimizer: for its `clipnorm`, `global_clipnorm` and `clipvalue`.

    Returns:
        What the optimizer may clip and sum once more without effect.
    """
    if not in_replica():
        return gradients
    context = tf.distribute.get_replica_context()
    # A weight that no term depends on has none, on every replica.
    there = [g for g in gradients if g is not None]
    total = context.all_reduce(tf.distribute.ReduceOp.SUM, there)
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    # The loss was scaled by what was asked for and, under float16, by what
    # it needs, and the gradients with it.
    scale = inner.loss_scale_factor or 1.0
    if inner is not optimizer:
        scale *= tf.convert_to_tensor(optimizer.dynamic_scale.value)
    if inner.clipnorm:
        total = [tf.clip_by_norm(g, inner.clipnorm * scale) for g in total]
    elif inner.global_clipnorm:
        norm = inner.global_clipnorm * scale
        total, _ = tf.clip_by_global_norm(total, norm)
    elif inner.clipvalue:
        total = [_clipped(g, inner.clipvalue * scale) for g in total]
    # The optimizer adds up as many equal ones as there are replicas.
    share = 1 / context.num_replicas_in_sync
    shared = iter([g * tf.cast(share, g.dtype) for g in total])
    return [None if g is None else next(shared) for g in gradients]


def _clipped(gradient, limit):
    # An infinity stays one: Keras leaves the step out.
    clipped = tf.clip_by_value(gradient, -limit, limit)
    return tf.where(tf.math.is_finite(gradient), clipped, gradient)
