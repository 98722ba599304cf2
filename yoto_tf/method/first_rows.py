"""A few rows of the first batch of training, for `export` to compare with."""

import inspect

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from yoto_tf.errors import InputError
from yoto_tf.method import given_data
from yoto_tf.method import replicas

_ROWS = 8


class FirstRows:
    """Keeps rows of a batch on the host; not a part of the model's state.

    Attributes:
        inputs: NumPy arrays in the structure of the model's inputs, as they
            were given to `fit`; None: none yet.
    """

    def __init__(self):
        self.inputs = None

    def note(self, x, optimizer):
        """Keeps the first rows of a batch of a train step.

        In a graph that is the batch of the first step that it runs, which
        costs the later steps a comparison.

        Args:
            x: a batch of inputs; of ragged and sparse ones none is kept.
            optimizer: counts the steps.
        """
        leaves = tf.nest.flatten(x)
        if not all(isinstance(t, tf.Tensor | np.ndarray) for t in leaves):
            return
        if self._is_of(x):
            return
        rows = [t[:_ROWS] for t in leaves]

        def keep(*arrays):
            self.inputs = tf.nest.pack_sequence_as(x, list(arrays))

        if tf.executing_eagerly():
            keep(*map(np.asarray, rows))
            return
        with tf.init_scope():
            start = int(finished_steps(optimizer))

        def kept():
            tf.numpy_function(keep, rows, [])
            return True

        is_first = tf.equal(finished_steps(optimizer), start)
        if replicas.in_replica():
            context = tf.distribute.get_replica_context()
            is_first &= tf.equal(context.replica_id_in_sync_group, 0)
        tf.cond(is_first, kept, lambda: False)

    def _is_of(self, x):
        """Whether rows of such a batch are there: a step is traced again for
        another number of examples, too."""
        if self.inputs is None:
            return False
        return _kinds(self.inputs) == _kinds(x)


def _kinds(x):
    leaves = keras.tree.flatten_with_path(x)
    return [(p, t.shape[1:], tf.as_dtype(t.dtype)) for p, t in leaves]


def peeked(x, num=2048):
    """Some examples of what is given to `fit`.

    Args:
        x: inputs as arrays or tensors, or what yields batches: a
            `tf.data.Dataset`, a `keras.utils.PyDataset` or a generator.
        num: how many of what yields batches, its first; of arrays, all.

    Returns:
        `(x, examples)`: what is to be given to `fit`, the same but of a
        generator, which can be read only once; and arrays, in the structure
        of the inputs.

    Raises:
        InputError: for batches of nothing, or not like one another, and for
            what cannot be read before training.
    """
    if inspect.isgenerator(x):
        head = []

        def batches():
            for batch in x:
                head.append(batch)
                yield batch

        def again():
            yield from head
            yield from x

        return again(), _first(batches(), num)
    if isinstance(x, tf.data.Dataset):
        batches = iter(x)
    elif isinstance(x, keras.utils.PyDataset):
        batches = (x[i] for i in range(x.num_batches or 2**31))
    elif all(hasattr(leaf, "shape") for leaf in keras.tree.flatten(x)):
        return x, x
    else:
        raise InputError(
            "expected arrays, a tf.data.Dataset, a keras.utils.PyDataset or a "
            "generator, or a model whose adapt() was called with some "
            f"examples before, received: {type(x).__name__}"
        )
    return x, _first(batches, num)


def _first(batches, num):
    taken, count = [], 0
    for batch in batches:
        inputs, _, _ = keras.utils.unpack_x_y_sample_weight(batch)
        given_data.check_data(inputs)
        taken.append(keras.tree.map_structure(np.asarray, inputs))
        count += len(keras.tree.flatten(taken[-1])[0])
        if count >= num:
            break
    if not taken:
        raise InputError("expected one or more examples, received: none")
    try:
        return keras.tree.map_structure(lambda *t: np.concatenate(t), *taken)
    except ValueError:
        shapes = [tuple(t.shape) for t in keras.tree.flatten(taken)]
        raise InputError(
            "expected batches of one structure and shape, received: batches "
            f"of shapes {shapes[:4]}"
        ) from None


def before_validation(x, split):
    """The rows of arrays that `fit(validation_split=...)` trains on."""
    if not split:
        return x
    return tf.nest.map_structure(lambda t: t[: int(len(t) * (1 - split))], x)


def finished_steps(optimizer):
    """The train steps of an optimizer so far, a scalar tensor; those whose
    gradients are accumulated count, too."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    # Keras' `iterations` counts the updates of weights.
    return tf.convert_to_tensor(ops.convert_to_tensor(inner._iterations))
