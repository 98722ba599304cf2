"""The body of a REST predict reply.

Follows `MakeJsonFromTensors` of TF Serving's `util/json_tensor.cc`, to the
digits of the numbers and the blanks of RapidJSON's pretty writer.
"""

import base64
import json
from collections.abc import Mapping

import numpy as np

from serving.embedded.run import tensors
from serving.embedded.status import invalid_argument

_DIGITS = {np.dtype(np.float32): 9, np.dtype(np.float64): 17}
_CHUNK = 2**16
_INTEGERS = tuple(
    np.dtype(name)
    for name in ("i1", "i2", "i4", "i8", "u1", "u4", "u8")  # not uint16
)


def format_floats(array: np.ndarray) -> list[str]:
    """Writes numbers as `WriteDecimal` does.

    Six significant digits where they give the number back, else nine for
    float32 and seventeen for float64; ".0" after a whole number.

    Args:
        array: float32 or float64, any shape.

    Returns:
        One text for each value, in C order: 0.5, 9e+06, 999999.0, NaN.
    """
    flat = array.ravel()
    is_long = _surely_needs_all_digits(flat)
    unsure = np.flatnonzero(~is_long)
    short = _format(["%.6g"] * len(unsure), flat[unsure])
    back = np.fromiter(map(float, short), np.float64, len(unsure))
    with np.errstate(over="ignore", invalid="ignore"):
        is_long[unsure] = back.astype(flat.dtype) != flat[unsure]
    formats = np.where(is_long, f"%.{_DIGITS[array.dtype]}g", "%.6g")
    texts = _format(formats.tolist(), flat)
    return [text if "." in text else _finish(text) for text in texts]


def _surely_needs_all_digits(flat: np.ndarray) -> np.ndarray:
    """Which values six digits do not give back, as far as arithmetic can tell.

    Rounded to six digits, they move by more than half of the way to their
    neighbour. For the others the digits have to be tried.
    """
    with np.errstate(all="ignore"):
        wide = np.abs(flat.astype(np.float64))
        unit = 10 ** (np.floor(np.log10(wide)) - 5)
        moved = np.abs(np.rint(wide / unit) * unit - wide)
        # The second term covers what this very arithmetic loses.
        far = 0.6 * np.abs(np.spacing(flat)) + 8 * np.spacing(wide)
        return moved > far


def _format(formats: list[str], values: np.ndarray) -> list[str]:
    # One operation for many values: much faster than one for each. For all of
    # them it would keep Python from anything else for seconds.
    texts = []
    for start in range(0, len(values), _CHUNK):
        part = slice(start, start + _CHUNK)
        joined = " ".join(formats[part]) % tuple(values[part].tolist())
        texts += joined.split()
    return texts


def write(outputs: Mapping[str, np.ndarray], row_format: bool) -> bytes:
    """Writes `{"predictions": ...}` or `{"outputs": ...}`.

    Args:
        outputs: alias -> array; the name is left out where there is one.
        row_format: `predictions`, a list with one entry for each row.

    Raises:
        StatusError: INVALID_ARGUMENT: an output has no JSON form, or, in row
            format, no batch axis or another batch size.
    """
    if not outputs:
        raise invalid_argument("Cannot convert empty tensor map to JSON")
    body = _rows(outputs) if row_format else _columns(outputs)
    return body.encode("utf-8", "surrogateescape")


def _columns(outputs: Mapping[str, np.ndarray]) -> str:
    if len(outputs) == 1:
        ((name, array),) = outputs.items()
        value = _nest(_values(name, array), array.shape, 1, False)
        return f'{{\n    "outputs": {value}\n}}'
    members = [
        (name, _nest(_values(name, array), array.shape, 2, False))
        for name, array in outputs.items()
    ]
    return f'{{\n    "outputs": {_object(members, 1)}\n}}'


def _rows(outputs: Mapping[str, np.ndarray]) -> str:
    batch = _batch_size(outputs)
    if not batch:
        return '{\n    "predictions": []\n}'
    named = len(outputs) > 1
    columns = []
    for name, array in outputs.items():
        values = _values(name, array)
        size = len(values) // batch
        level = 3 if named else 2
        columns.append(
            [
                _nest(
                    values[start : start + size], array.shape[1:], level, True
                )
                for start in range(0, batch * size, size)
            ]
            if size
            else [_nest([], array.shape[1:], level, True)] * batch
        )
    if named:
        rows = [
            _object(zip(outputs, row, strict=True), 2)
            for row in zip(*columns, strict=True)
        ]
        listed = _list(rows, 1)
    else:
        # RapidJSON's quirk: the values on one line, the bracket on the next.
        listed = f"[{', '.join(columns[0])}{_line(1)}]"
    return f'{{\n    "predictions": {listed}\n}}'


def _batch_size(outputs: Mapping[str, np.ndarray]) -> int:
    batch = None
    for name, array in outputs.items():
        if array.ndim == 0:
            raise invalid_argument(
                f"Tensor name: {name}  has no shape information "
            )
        if batch is not None and batch != len(array):
            raise invalid_argument(
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
                f'{{ "b64": "{base64.b64encode(value).decode()}" }}'
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
    raise invalid_argument(
        "Failed to write JSON value for tensor type: "
        f"{tensors.array_dtype_name(array)}"
    )


def _nest(
    values: list[str], shape: tuple[int, ...], level: int, one_line: bool
) -> str:
    """Values as lists in lists; a scalar as it is.

    Args:
        values: the texts of the values, in C order.
        shape: of the tensor.
        level: depth of the members of the outermost list.
        one_line: lists stand on one line, as in the row format.
    """
    return _template(shape, level, one_line) % tuple(values)


def _template(shape: tuple[int, ...], level: int, one_line: bool) -> str:
    if not shape:
        return "%s"
    item = _template(shape[1:], level + 1, one_line)
    return _list([item] * shape[0], level, one_line)


def _list(items: list[str], level: int, one_line: bool = False) -> str:
    if not items:
        return "[]"
    if one_line:
        return f"[{', '.join(items)}]"
    separator = "," + _line(level + 1)
    return f"[{_line(level + 1)}{separator.join(items)}{_line(level)}]"


def _object(members, level: int) -> str:
    separator = "," + _line(level + 1)
    lines = separator.join(
        f"{json.dumps(name, ensure_ascii=False)}: {value}"
        for name, value in members
    )
    return f"{{{_line(level + 1)}{lines}{_line(level)}}}"


def _line(level: int) -> str:
    return "\n" + " " * 4 * level


def _finish(text: str) -> str:
    """A text without a point, as JSON has it."""
    if text in ("nan", "inf", "-inf"):
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[text]
    return text if "e" in text else text + ".0"
