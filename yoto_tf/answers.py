"""Answers of a session as numbers that can be compared."""

import zlib

import numpy as np
import tensorflow as tf

_RELATIVE_TOLERANCE = 1e-5
_TEXTS = "OSU"


def is_text(value):
    """Whether an array holds texts."""
    return value.dtype.kind in _TEXTS


def hashes(texts):
    """Texts as whole numbers that differ where they do."""
    return np.vectorize(
        lambda t: zlib.crc32(t if isinstance(t, bytes) else str(t).encode()),
        otypes=["int64"],
    )(np.asarray(texts, object))


def sizes(value):
    """The largest of the finite numbers, of each column; 0 if there is
    none."""
    if not is_float(value):
        return 0.0
    value = np.abs(value).astype("float64")
    finite = np.where(np.isfinite(value), value, 0.0)
    axes = tuple(range(max(finite.ndim - 1, 1)))
    return finite.max(axes, initial=0.0) if finite.ndim else finite


def relative_tolerance(value):
    """The share of a value by which two answers may differ."""
    # Of two large whole numbers, as indices, no other one is as good.
    return _RELATIVE_TOLERANCE * is_float(value)


def is_float(value):
    """Whether an array holds floating point numbers, complex ones too."""
    # NumPy does not know that bfloat16 is one.
    dtype = tf.as_dtype(value.dtype)
    return dtype.is_floating or dtype.is_complex
