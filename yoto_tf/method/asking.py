"""How the loss parameters that a user asks for travel beside the data."""

import types

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from yoto_tf.errors import InputError
from yoto_tf.method.assertions import checked

_KEYS = {"inputs", "loss_parameters"}


def is_wrapped(x):
    """Whether `x` is `{"inputs": ..., "loss_parameters": {...}}`."""
    return isinstance(x, dict) and set(x) == _KEYS


def check_by_name(call, given):
    """Refuses loss parameters that stand where Keras has another argument.

    Args:
        call: as `"predict(x"`.
        given: what stands next.
    """
    if isinstance(given, dict):
        raise InputError(
            f"expected loss parameters by name, {call}, loss_parameters=...), "
            f"received: {call}, {given!r})"
        )


def unwrapped(x):
    """The inputs alone, and what stands beside them, or None."""
    return (x["inputs"], x["loss_parameters"]) if is_wrapped(x) else (x, None)


def wrapped(x, joint, asked):
    """Puts the values of loss parameters beside the inputs.

    Args:
        x: arrays, a `tf.data.Dataset`, a `keras.utils.PyDataset` or a
            generator of batches, as `evaluate` and `predict` take them.
        joint: `JointParameters` of the model.
        asked: dict, name -> number; with arrays also one per example.

    Returns:
        The same kind of data, whose inputs are
        `{"inputs": ..., "loss_parameters": {name: (batch,)}}`.

    Raises:
        InputError: for values that were not trained, or not one per example.
    """
    values = joint.complete(asked)
    if isinstance(x, tf.data.Dataset):
        numbers = _numbers(values, "a Dataset")
        return x.map(
            lambda *batch: _wrapped_batch(batch, numbers),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
    if isinstance(x, keras.utils.PyDataset):
        return _WrappedPyDataset(x, _numbers(values, "a PyDataset"))
    if isinstance(x, types.GeneratorType):
        numbers = _numbers(values, "a generator")
        return (_wrapped_batch(_as_tuple(batch), numbers) for batch in x)
    if is_wrapped(x):
        raise InputError(
            "expected loss_parameters either in the data or as an argument, "
            "received: both"
        )
    leaves = tf.nest.flatten(x)
    if not leaves or not hasattr(leaves[0], "shape"):
        raise InputError(
            "expected arrays, a tf.data.Dataset, a keras.utils.PyDataset or a "
            f"generator with loss_parameters, received: {type(x).__name__}"
        )
    num = int(leaves[0].shape[0])
    return {"inputs": x, "loss_parameters": per_example(values, num)}


def values_for(x, joint, asked):
    """What a call is made under.

    Args:
        x: a batch of inputs.
        joint: `JointParameters` of the model.
        asked: dict, name -> number, array or tensor; None: the defaults.

    Returns:
        dict, name -> `(batch,)` float32; all names.

    Raises:
        InputError: as `wrapped`; of a tensor in a graph, when that runs.
    """
    asked = {} if asked is None else asked
    leaf = tf.nest.flatten(x)[0]
    if isinstance(leaf, keras.KerasTensor):
        return _symbolic(leaf, joint.complete_tensors(asked))
    if not isinstance(asked, dict) or not any(
        map(ops.is_tensor, asked.values())
    ):
        values = joint.complete(asked)
        if all(v.shape == () for v in values.values()):
            return filled(values, x)
        if leaf.shape[0] is None:
            tensors = {n: tf.constant(v, "float32") for n, v in values.items()}
            return filled(tensors, x)
        values = per_example(values, int(leaf.shape[0]))
        return {n: ops.convert_to_tensor(v) for n, v in values.items()}
    for name, value in asked.items():
        if getattr(value, "dtype", 0) in (tf.string, tf.bool, bool):
            raise InputError(
                f"expected numbers of {name}, received: {name}.dtype="
                f"{tf.as_dtype(value.dtype).name}"
            )
    tensors = {n: ops.cast(v, "float32") for n, v in asked.items()}
    return joint.checked(filled(joint.complete_tensors(tensors), x))


def _symbolic(leaf, values):
    """`values_for`, as inputs of a functional model, which nothing checks."""
    zeros = ops.zeros_like(leaf, dtype="float32")
    zeros = ops.sum(zeros, axis=tuple(range(1, len(leaf.shape))))
    return {n: zeros + ops.cast(v, "float32") for n, v in values.items()}


def per_example(values, num):
    """Broadcasts a dict of numbers or `(num,)` to float32 `(num,)`."""
    for name, value in values.items():
        if value.shape not in ((), (num,)):
            raise InputError(
                f"expected {name} as a number or one per example, shape "
                f"({num},), received: {name}.shape={value.shape}"
            )
    return {
        n: np.broadcast_to(v, (num,)).astype("float32")
        for n, v in values.items()
    }


def filled(values, x):
    """dict, name -> float32 `(batch,)` of numbers or `(batch,)` each.

    Raises:
        InputError: for another shape.
    """
    num = batch_size(x)
    return {n: _one_each(n, v, num) for n, v in values.items()}


def _one_each(name, value, num):
    rank = tf.TensorShape(getattr(value, "shape", ())).rank
    if rank is None or rank > 1:
        received = (
            "an unknown rank, as of another one than before"
            if rank is None
            else f"{name}.shape={tuple(value.shape)}"
        )
        raise InputError(
            f"expected {name} as a number or one per example, shape "
            f"(batch,), received: {received}"
        )
    if rank == 0:
        return tf.fill([num], tf.cast(value, tf.float32))
    return checked(
        value,
        tf.equal(tf.shape(value)[0], num),
        f"expected one {name} per example, received:",
        tf.shape(value)[0],
        "values for a batch of",
        tf.convert_to_tensor(num),
    )


def batch_size(x):
    """Number of examples of a batch: an int where it is known."""
    first = tf.nest.flatten(x)[0]
    static = first.shape[0]
    return tf.shape(first)[0] if static is None else int(static)


def _numbers(values, kind):
    for name, value in values.items():
        if value.shape != ():
            raise InputError(
                f"expected {name} as a number with {kind}, or data that "
                "yields {'inputs': ..., 'loss_parameters': ...}, "
                f"received: {name}.shape={value.shape}"
            )
    return {n: float(v) for n, v in values.items()}


def _as_tuple(batch):
    # Keras takes a list for (x, y), too.
    return tuple(batch) if isinstance(batch, tuple | list) else (batch,)


def _wrapped_batch(batch, numbers):
    x, *rest = batch
    if is_wrapped(x):
        raise InputError(
            "expected loss_parameters either in the data or as an argument, "
            "received: both"
        )
    return ({"inputs": x, "loss_parameters": filled(numbers, x)}, *rest)


class _WrappedPyDataset(keras.utils.PyDataset):
    """A `PyDataset` with the same numbers beside every batch."""

    def __init__(self, inner, numbers):
        super().__init__(
            workers=inner.workers,
            use_multiprocessing=inner.use_multiprocessing,
            max_queue_size=inner.max_queue_size,
        )
        self._inner = inner
        self._numbers = numbers

    @property
    def num_batches(self):
        return self._inner.num_batches

    def __getitem__(self, index):
        return _wrapped_batch(_as_tuple(self._inner[index]), self._numbers)

    def on_epoch_begin(self):
        self._inner.on_epoch_begin()

    def on_epoch_end(self):
        self._inner.on_epoch_end()
