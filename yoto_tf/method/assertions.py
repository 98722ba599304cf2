"""Checks of tensors, with a sentence that reaches the user.

XLA drops assertions, so that they belong in front of what it compiles.
"""

import contextlib
import re

import tensorflow as tf

from yoto_tf.errors import InputError


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


@contextlib.contextmanager
def as_input_errors():
    """Turns what `checked` raises in a graph into an `InputError`."""
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        found = re.search(
            r"assertion failed: \[(expected .*)\]\s*$", error.message, re.M
        )
        if not found:
            raise
        raise InputError(_joined(found[1].replace("] [", " "))) from error


def _text(part):
    return part if isinstance(part, str) else f"{part.numpy():g}"


def _joined(sentence):
    return sentence.replace("= ", "=")
