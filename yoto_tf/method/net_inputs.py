"""Whether a batch has the shapes that a Keras model takes."""

import keras
import tensorflow as tf

from yoto_tf.errors import InputError

_TEXTS = ("object", "string", "<dtype: 'string'>")


def check(net, x):
    """Raises `InputError` for inputs that a functional model cannot take.

    Args:
        net: a functional or Sequential model.
        x: a tensor, an array or a structure of them, as its call takes them.
    """
    expected = net.inputs
    leaves = keras.tree.flatten(x)
    names = [t.name for t in expected]
    if isinstance(x, dict) and set(names) <= set(x):
        # By name, as Keras takes them.
        leaves = [x[n] for n in names]
    by_key = getattr(net, "input", None)
    if isinstance(x, dict) and isinstance(by_key, dict):
        # Of others Keras would take the first for the first.
        names, misnamed = sorted(by_key), set(x) != set(by_key)
    else:
        misnamed = isinstance(x, dict) and not set(names) <= set(x)
    if misnamed:
        raise InputError(
            "expected an array of inputs, or a dict with "
            f"{', '.join(map(repr, names))}, received: a dict with "
            f"{sorted(x, key=str)}"
        )
    for leaf, symbol in zip(leaves, expected, strict=False):
        # Not of pandas, whose dtypes Keras knows.
        is_text = str(getattr(leaf, "dtype", "")) in _TEXTS
        if is_text and symbol.dtype != "string":
            raise InputError(
                f"expected numbers for {symbol.name}, received: texts of "
                f"dtype={leaf.dtype}"
            )
    if len(leaves) != len(expected) or not all(
        _fits(leaf, t) for leaf, t in zip(leaves, expected, strict=True)
    ):
        shapes = ", ".join(f"{t.name} {tuple(t.shape)}" for t in expected)
        received = ", ".join(str(_shape(leaf)) for leaf in leaves)
        raise InputError(
            f"expected inputs {shapes}, received: shapes [{received}]"
        )


def shapes(net, arrays):
    """What a functional model takes.

    Args:
        net: a functional or Sequential model.
        arrays: dict, name of an input -> array of rows, in the order of the
            inputs or by their names.

    Returns:
        dict, name -> shape, None for each axis that the model leaves open.
    """
    by_name = {t.name: t for t in net.inputs}
    by_key = getattr(net, "input", None)
    if isinstance(by_key, dict):
        by_name = by_key
    if not set(arrays) <= set(by_name):
        # Of another number, which is refused when the model is asked.
        by_name = dict(zip(arrays, net.inputs, strict=False))
    found = {}
    for name, array in arrays.items():
        expected = tuple(getattr(by_name.get(name), "shape", (None,)))
        given = tuple(array.shape)
        # Where Keras adds or takes away a last axis, it is as given.
        open_axes = [d is None for d in expected] + [False] * len(given)
        found[name] = tuple(
            None if is_open else d
            for d, is_open in zip(given, open_axes, strict=False)
        )
    return found


def _shape(leaf):
    return tf.TensorShape(getattr(leaf, "shape", ()))


def _fits(leaf, symbol):
    """Whether an input has the shape of a network's, or differs by a last
    axis of 1, which Keras adds or takes away."""
    if _shape(leaf).rank is None:
        return True  # which only a batch would tell
    given, expected = (tuple(getattr(t, "shape", ())) for t in (leaf, symbol))
    if abs(len(given) - len(expected)) == 1:
        longer = max(given, expected, key=len)
        given, expected = (
            s[: len(longer) - 1] if longer[-1] == 1 else s
            for s in (given, expected)
        )
    return len(given) == len(expected) and all(
        None in (a, b) or a == b
        for a, b in zip(given[1:], expected[1:], strict=True)
    )
