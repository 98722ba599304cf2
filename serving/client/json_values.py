"""Arrays as TF Serving writes them in JSON, and back."""

import base64

import numpy as np


def to_json(array):
    """Nested lists; strings as TF Serving's `{"b64": ...}`."""
    values = array.tolist()
    return _to_b64(values) if array.dtype == object else values


def _to_b64(value):
    if isinstance(value, list):
        return [_to_b64(row) for row in value]
    value = value.encode() if isinstance(value, str) else value
    return {"b64": base64.b64encode(value).decode()}


def from_json(value, spec):
    """The array of an output.

    Args:
        value: parsed JSON.
        spec: `TensorSpec` of the output.

    Raises:
        ValueError, LookupError, TypeError, AttributeError: it is no array of
            that dtype.
    """
    if spec.dtype != "string":
        return _of_no_rows(_numbers(value, np.dtype(spec.numpy_dtype)), spec)
    value = _from_b64(value)
    array = np.empty(_shape_of(value), object)
    array[...] = value
    return _of_no_rows(array, spec)


def _of_no_rows(array, spec):
    """JSON tells of no rows no further shape."""
    if array.shape != (0,) or not spec.shape:
        return array
    return array.reshape(0, *(side or 0 for side in spec.shape[1:]))


def _numbers(value, dtype):
    array = np.array(value)
    if array.dtype.kind == "f" and dtype.kind in "iu":
        # NumPy makes floats of small numbers beside those of 2^63 and more.
        exact = np.array(value, object)
        if all(type(v) is int for v in exact.flat):
            array = exact
    kinds = {"b": "b", "i": "iuO", "u": "iuO"}.get(dtype.kind, "iuf")
    if array.size and array.dtype.kind not in kinds:
        raise ValueError(f"expected {dtype}, received: {array.dtype}")
    if array.size and dtype.kind in "iu":
        limits = np.iinfo(dtype)
        if not limits.min <= array.min() <= array.max() <= limits.max:
            raise ValueError(f"expected {dtype}, received: {array.max()}")
    return array.astype(dtype)


def _from_b64(value):
    if isinstance(value, list):
        return [_from_b64(row) for row in value]
    if isinstance(value, dict):
        return base64.b64decode(value["b64"], validate=True)
    return value.encode()


def _shape_of(value):
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    return tuple(shape)
