"""Rows of inputs that are served: an example of them, and which of them can be
answered."""

import contextlib

import keras
import numpy as np
import tensorflow as tf

from yoto_tf.errors import InputError
from yoto_tf.graph_checks import require
from yoto_tf.graph_checks import rows_without_nan


def arrays_of(example):
    """dict, name of an input -> array of rows, as `fit` takes them.

    Raises:
        InputError: for None, and what has no rows.
    """
    if example is None:
        raise InputError(
            "expected a few inputs to compare the exported model with, "
            "as model.export(path, example=x[:8]), or fit() before, whose "
            "first batch gives them, received: example=None"
        )
    arrays = named(example, "inputs")
    for name, value in arrays.items():
        is_array = hasattr(value, "shape") and hasattr(value, "__array__")
        if not is_array or np.ndim(value) < 1 or not len(value):
            raise InputError(
                "expected an example with one row or more, as an array, a "
                "list or a dict of arrays, received: "
                + (
                    f"{name}.shape={tuple(value.shape)}"
                    if is_array
                    else f"{name} of type {type(value).__name__}"
                )
            )
    return {n: _as_fitted(a) for n, a in arrays.items()}


def _as_fitted(values):
    """An array of the dtype in which Keras' `fit` hands it to a model: a server
    that took float64 would refuse what the model was trained on."""
    values = np.asarray(values)
    if values.dtype == object and not any(
        isinstance(v, str | bytes) for v in values.flat
    ):
        # Of a table whose columns have several dtypes.
        with contextlib.suppress(TypeError, ValueError):
            values = values.astype(keras.config.floatx())
    is_float = np.issubdtype(values.dtype, np.floating)
    return values.astype(keras.config.floatx()) if is_float else values


def judge(model, arrays, given):
    """A function of inputs that says which rows can be answered; None: all.

    NaN is no answerable number, and TensorFlow's fused layers make 0 of it
    behind a ReLU. An input whose example has NaN belongs to a network that
    expects it."""
    numbers = [
        name
        for name, array in arrays.items()
        if np.issubdtype(array.dtype, np.floating) and not np.isnan(array).any()
    ]

    def usable_rows(values):
        own = model.usable_rows(given(values))
        if not numbers:
            return own
        rows = rows_without_nan([values[n] for n in numbers])
        return rows if own is None else rows & own

    return usable_rows


def telling_rows(arrays, usable):
    """Those of an example that can be answered, each once. Of equal rows
    nothing can be told apart: a model that subtracts the batch's mean would
    answer them as it answers each alone. One input that differs is enough:
    columns that are nearly always 0 are no fault."""
    num = min(len(rows) for rows in arrays.values())
    good = np.ones(num, bool) if usable is None else np.asarray(usable)[:num]
    keys = {}
    for i in np.flatnonzero(good):
        key = tuple(
            repr(np.asarray(rows[i]).tolist()) for rows in arrays.values()
        )
        keys.setdefault(key, i)
    if len(keys) < 2:
        name, rows = next(iter(arrays.items()))
        what = "equal rows" if good.all() else "fewer that can be answered"
        raise InputError(
            "expected an example of rows that differ, as x[:8], so that it "
            "is noticed if one changes the answer to another, received: "
            f"{what}, {name}.shape={rows.shape}"
        )
    return {n: rows[list(keys.values())] for n, rows in arrays.items()}


def required_rows(usable):
    """Operations that fail for rows that cannot be answered."""
    if usable is None:
        return []
    sentence = (
        "expected rows that the model can answer, as of finite numbers, "
        "received rows:"
    )
    return [require(usable, sentence, tf.range(tf.size(usable)))]


def named(tensors, single):
    """dict, name -> tensor, of a dict, a list (`single_0`, ...) or one."""
    if isinstance(tensors, dict):
        return dict(tensors)
    if isinstance(tensors, list | tuple):
        return {f"{single}_{i}": t for i, t in enumerate(tensors)}
    return {single: tensors}
