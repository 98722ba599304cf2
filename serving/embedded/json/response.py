"""The body of a REST predict reply.

Follows `MakeJsonFromTensors` of TF Serving's `util/json_tensor.cc`, to the
digits of the numbers. RapidJSON's blanks, which mean nothing, are left out.
"""

import base64
import json
import math
from collections.abc import Iterable
from collections.abc import Mapping

import numpy as np

from serving.embedded import status
from serving.embedded.run import tensors

_DIGITS = {np.dtype(np.float32): 9, np.dtype(np.float64): 17}
_CHUNK = 2**16
_INTEGERS = tuple(
    np.dtype(name)
    for name in ("i1", "i2", "i4", "i8", "u1", "u4", "u8")  # not uint16
)


def format_floats(array: np.ndarray) -> list[str]:
    """Writes float32 or float64 as `WriteDecimal` does, in C order.

    Six significant digits where they give the number back, else nine for
    float32 and seventeen for float64; ".0" after a whole number: 0.5, 9e+06,
    999999.0, NaN.
    """
    flat = array.ravel()
    texts = _format("%.6g ", flat)
    back = np.fromiter(map(float, texts), np.float64, len(flat))
    with np.errstate(over="ignore"):
        unlike = np.flatnonzero(back.astype(flat.dtype) != flat)
    long = _format(f"%.{_DIGITS[array.dtype]}g ", flat[unlike])
    for position, text in zip(unlike.tolist(), long, strict=True):
        texts[position] = text
    return [text if "." in text else _finish(text) for text in texts]


def _format(form: str, values: np.ndarray) -> list[str]:
    # One operation for many values: much faster than one for each. For all of
    # them it would keep Python from anything else for seconds.
    texts = []
    for start in range(0, len(values), _CHUNK):
        part = values[start : start + _CHUNK].tolist()
        texts += (form * len(part) % tuple(part)).split()
    return texts


def _finish(text: str) -> str:
    """A text without a point, as JSON has it."""
    if text in ("nan", "inf", "-inf"):
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[text]
    return text if "e" in text else text + ".0"


def write(outputs: Mapping[str, np.ndarray], row_format: bool) -> bytes:
    """Writes `{"predictions": ...}` or `{"outputs": ...}`.

    Args:
        outputs: alias -> array; the name is left out where there is one.
        row_format: `predictions`, a list with one entry for each row.
    """
    if not outputs:
        raise status.invalid_argument("Cannot convert empty tensor map to JSON")
    if row_format:
        batch = _batch_size(outputs)
        columns = [
            _texts(name, array, array.shape[1:], batch)
            for name, array in outputs.items()
        ]
        rows = ", ".join(_objects(outputs, columns))
        body = f'{{"predictions": [{rows}]}}'
    else:
        columns = [
            _texts(name, array, array.shape, 1)
            for name, array in outputs.items()
        ]
        body = f'{{"outputs": {_objects(outputs, columns)[0]}}}'
    return body.encode("utf-8", "surrogateescape")


def _texts(name: str, array, shape: tuple[int, ...], count: int) -> list[str]:
    """A tensor as `count` JSON texts, each of this shape."""
    values = _values(name, array)
    size = math.prod(shape)
    template = _template(shape)
    return [
        template % tuple(values[start * size : (start + 1) * size])
        for start in range(count)
    ]


def _template(shape: tuple[int, ...]) -> str:
    if not shape:
        return "%s"
    return f"[{', '.join([_template(shape[1:])] * shape[0])}]"


def _objects(names: Iterable[str], columns: list[list[str]]) -> list[str]:
    """Objects with a member of each column; of one column its own texts."""
    if len(columns) == 1:
        return columns[0]
    keys = [json.dumps(name, ensure_ascii=False) for name in names]
    objects = []
    for row in zip(*columns, strict=True):
        members = map(": ".join, zip(keys, row, strict=True))
        objects.append(f"{{{', '.join(members)}}}")
    return objects


def _batch_size(outputs: Mapping[str, np.ndarray]) -> int:
    batch = None
    for name, array in outputs.items():
        if array.ndim == 0:
            raise status.invalid_argument(
                f"Tensor name: {name}  has no shape information "
            )
        if batch is not None and batch != len(array):
            raise status.invalid_argument(
                f"Tensor name: {name} has inconsistent batch size: "
                f"{len(array)} expecting: {batch}"
            )
        batch = len(array)
    return batch


def _values(name: str, array: np.ndarray) -> list[str]:
    """The values of a tensor as JSON texts, in C order."""
    if array.dtype in _DIGITS:
        return format_floats(array)
    flat = array.ravel().tolist()
    if array.dtype in _INTEGERS:
        return list(map(str, flat))
    if array.dtype == np.bool_:
        return ["true" if value else "false" for value in flat]
    if array.dtype == object:
        if name.endswith("_bytes"):
            return [
                f'{{"b64": "{base64.b64encode(value).decode()}"}}'
                for value in flat
            ]
        return [
            json.dumps(
                value.decode("utf-8", "surrogateescape"), ensure_ascii=False
            )
            for value in flat
        ]
    if array.size == 0:
        return []
    raise status.invalid_argument(
        "Failed to write JSON value for tensor type: "
        f"{tensors.array_dtype_name(array)}"
    )
