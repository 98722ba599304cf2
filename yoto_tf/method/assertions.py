"""Checks of tensors, with a sentence that reaches the user.

XLA drops assertions, so that they belong in front of what it compiles.
"""

import contextlib
import re

import tensorflow as tf

from yoto_tf.contract.sentences import number
from yoto_tf.errors import InputError

# Of operations, by which their errors are known.
_SHAPES = "shapes_of_targets_and_outputs"


def checked(tensor, good, *sentence):
    """Returns the tensor, unless `good` is false.

    Args:
        tensor: what is handed on after the check.
        good: scalar bool tensor.
        *sentence: strings and scalar tensors, beginning with "expected".

    Raises:
        InputError: outside of a graph, at once.
        tf.errors.InvalidArgumentError: in a graph, when it runs; see
            `as_input_errors`.
    """
    if tf.executing_eagerly():
        if not good:
            raise InputError(_joined(" ".join(map(_text, sentence))))
        return tensor
    assertion = tf.debugging.Assert(good, sentence, summarize=9)
    # Else a step might update the weights before it is stopped.
    with tf.control_dependencies([assertion]):
        return tf.identity(tensor)


def of_one_shape_under_xla(y, outputs):
    """Returns targets, unless XLA, which drops assertions, compiles them for
    another shape than that of the outputs: it cannot stack these.

    Raises:
        tf.errors.InvalidArgumentError: when it is compiled; see
            `as_input_errors`.
    """
    if tf.executing_eagerly():
        return y
    # Nothing of one axis at a time, which costs nothing.
    rows, columns = y[:0], y[..., :0]
    pairs = (rows, outputs[:0]), (columns, outputs[..., :0])
    stacked = [
        tf.stack([tf.cast(one, other.dtype), other], name=_SHAPES)
        for one, other in pairs
    ]
    with tf.control_dependencies(stacked):
        return tf.identity(y)


def first_bad(values, good):
    """The first of values `(batch,)` that is not good, for a sentence; 0 if
    there are no values."""
    more = tf.constant([True])
    place = tf.argmin(tf.cast(tf.concat([good, more], 0), tf.int32))
    return tf.concat([values, tf.zeros([1], values.dtype)], 0)[place]


def checked_number(num, good, sentence):
    """Returns a number, unless `good` is false.

    Args:
        num: an int, as of a static shape, or a scalar tensor.
        good: bool, of a tensor a scalar tensor.
        sentence: beginning with "expected", to which the number is added.

    Raises:
        As `checked`; for an int InputError, at once, in a graph too.
    """
    if not isinstance(num, int):
        return checked(num, good, sentence, num)
    if not good:
        raise InputError(f"{sentence} {num}")
    return num


def after(*tensors):
    """A context whose operations wait for tensors.

    Args:
        *tensors: structures of tensors, with None for what there is not.
    """
    if tf.executing_eagerly():
        return contextlib.nullcontext()
    flat = tf.nest.flatten(tensors, expand_composites=True)
    # One operation to wait for: every other would get an edge from each.
    together = tf.group(*[t for t in flat if tf.is_tensor(t)])
    return tf.control_dependencies([together])


def hold(variables, *tensors):
    """Lets later updates of variables wait for tensors.

    So that what `checked` stops changes nothing: in a graph an update that
    uses none of what was checked, as counting a step, would not wait. One of
    a variable waits for all that read it before, so that it is read here,
    after the tensors; to have every operation wait costs a tenth of a step.

    Args:
        variables: of Keras.
        *tensors: as of `after`.
    """
    with after(*tensors):
        for variable in variables:
            tf.convert_to_tensor(variable.value)


@contextlib.contextmanager
def as_input_errors():
    """Turns what `checked` raises in a graph into an `InputError`."""
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        shapes = re.search(
            r"values\[0\]\.shape = (\S*) != values\[1\]\.shape = (\S*)",
            error.message,
        )
        if shapes and _SHAPES in error.message:
            raise InputError(
                "expected targets of the shape of the outputs, received: "
                f"{shapes[1]} and {shapes[2]} (0: of an axis beside the one "
                "that differs)"
            ) from error
        found = re.search(
            r"assertion failed: \[(expected .*)\]\s*$", error.message, re.M
        )
        if not found:
            raise
        raise InputError(_joined(found[1].replace("] [", " "))) from error


def _text(part):
    return part if isinstance(part, str) else number(part.numpy())


def _joined(sentence):
    return sentence.replace("= ", "=")
