"""A tensor from its JSON form.

Follows TF Serving's `util/json_tensor.cc`. Two ways lead to the same array:
`dense` checks and converts whole levels at once and knows only regular
values; `fill` goes on where `dense` gave up and finds the first value that is
at fault, in TF Serving's order, and with it the text of the error.
"""

import base64
import binascii
import itertools
import re
from collections.abc import Callable
from collections.abc import Iterator

import numpy as np
from tensorflow.core.framework import types_pb2

from serving.embedded import status
from serving.embedded.json import text
from serving.embedded.run import tensors

_INT32 = (-(2**31), 2**31 - 1)
# No range check for the narrow types: they wrap, as in C++.
_INTEGERS = {
    types_pb2.DT_INT8: _INT32,
    types_pb2.DT_INT16: _INT32,
    types_pb2.DT_INT32: _INT32,
    types_pb2.DT_UINT8: _INT32,
    types_pb2.DT_INT64: (-(2**63), 2**63 - 1),
    types_pb2.DT_UINT32: (0, 2**32 - 1),
    types_pb2.DT_UINT64: (0, 2**64 - 1),
}
# What each dtype takes; the others have no JSON form.
_TYPES = dict.fromkeys(_INTEGERS, {int}) | {
    types_pb2.DT_FLOAT: {int, float},
    types_pb2.DT_DOUBLE: {int, float},
    types_pb2.DT_BOOL: {bool},
    types_pb2.DT_STRING: {str, dict},
}
_BLANKS = re.compile(r"[ \t\r\n\v\f]")
MAX_RANK = 63  # one less than NumPy's: rows are stacked
_CHUNK = 1024


def is_base64_object(value: object) -> bool:
    """Whether a value is `{"b64": "<string>"}`, which stands for bytes."""
    return (
        type(value) is dict
        and len(value) == 1
        and type(value.get("b64")) is str
    )


def dense(value: object, data_type: int) -> np.ndarray | None:
    """Converts a regular value, or returns None.

    A number, string, bool, or nested lists of one shape are regular.
    """
    shape = []
    level = [value]
    while level and type(level[0]) is list:
        sizes = set(map(len, level)) if _all(level, {list}) else ()
        if len(sizes) != 1 or len(shape) == MAX_RANK:
            return None
        shape.append(len(level[0]))
        level = list(itertools.chain.from_iterable(level))
    flat = _leaves(level, data_type)
    return None if flat is None else flat.reshape(shape)


def fill(value: object, data_type: int) -> np.ndarray:
    """Converts a value, or says what is wrong with it.

    Finds the first fault in the order of TF Serving's `FillTensorProto`.
    """
    array = dense(value, data_type)
    if array is not None:
        return array
    shape = []
    inner = value
    while type(inner) is list:
        shape.append(len(inner))
        if not inner:
            break
        inner = inner[0]
    _find_fault(value, 0, tuple(shape), data_type)
    if len(shape) > MAX_RANK:
        raise status.invalid_argument(
            f"A tensor of {len(shape)} dimensions: this server takes "
            f"{MAX_RANK}."
        )
    raise status.unimplemented(
        f"Conversion of JSON to type: {tensors.dtype_name(data_type)}"
    )


def _find_fault(value, level: int, shape: tuple, data_type: int) -> None:
    rank = len(shape)
    if type(value) is not list:
        if level != rank:
            raise status.invalid_argument(
                f"JSON Value: {text.echo(value)} found at incorrect "
                f"level: {level + 1} in the JSON DOM. Expected at level: "
                f"{rank}"
            )
        _leaf(value, data_type)
        return
    if level >= rank:
        raise status.invalid_argument(
            f"Encountered list at unexpected level: {level} expected < {rank}"
        )
    if len(value) != shape[level]:
        raise status.invalid_argument(
            f"Encountered list at unexpected size: {len(value)} at level: "
            f"{level} expected size: {shape[level]}"
        )

    def are_regular(items: list) -> bool:
        array = dense(items, data_type)
        return array is not None and array.shape[1:] == shape[level + 1 :]

    # A list in a list in a list ... goes deep, with fewer calls.
    items = value if len(value) == 1 else None
    for item in items or (i for _, i in suspects(value, are_regular)):
        _find_fault(item, level + 1, shape, data_type)


def suspects(
    values: list, are_regular: Callable[[list], bool]
) -> Iterator[tuple[int, object]]:
    """The values among which a fault may be, and their positions.

    What is regular is passed over in one go: a million values take Python a
    second one by one.
    """
    for start in range(0, len(values), _CHUNK):
        chunk = values[start : start + _CHUNK]
        if len(chunk) == 1 or not are_regular(chunk):
            yield from enumerate(chunk, start)


def _leaf(value: object, data_type: int) -> None:
    """Raises what `AddValueToTensor` says of one value, if anything."""
    if data_type not in _TYPES and type(value) is not dict:
        raise status.unimplemented(
            f"Conversion of JSON Value: {text.echo(value)} to type: "
            f"{tensors.dtype_name(data_type)}",
        )
    if not _are_regular([value], data_type):
        raise status.invalid_argument(
            f"JSON Value: {text.echo(value)} Type: "
            f"{text.type_name(value)} is not of expected type: "
            f"{tensors.dtype_name(data_type)}"
        )
    if data_type == types_pb2.DT_STRING:
        _bytes(value)


def _leaves(values: list, data_type: int) -> np.ndarray | None:
    """All values of a tensor at once, or None if one is irregular."""
    if not _are_regular(values, data_type):
        return None
    if data_type == types_pb2.DT_STRING:
        try:
            return np.fromiter(map(_bytes, values), object, len(values))
        except status.StatusError:
            return None
    dtype = tensors.numpy_dtype(data_type)
    if data_type in _INTEGERS:
        wide = np.uint64 if data_type == types_pb2.DT_UINT64 else np.int64
        return np.array(values, wide).astype(dtype)
    try:
        wide = np.array(values, np.float64)
    except OverflowError:  # an integer beyond the range of doubles
        raise status.invalid_argument(
            "JSON Parse error: Number too big to be stored in double."
        ) from None
    with np.errstate(over="ignore", under="ignore"):
        return wide.astype(dtype)


def _are_regular(values: list, data_type: int) -> bool:
    """Whether all values are of the types and in the range of a dtype."""
    if data_type not in _TYPES or not _all(values, _TYPES[data_type]):
        return False
    if data_type not in _INTEGERS or not values:
        return True
    low, high = _INTEGERS[data_type]
    return min(values) >= low and max(values) <= high


def _bytes(value: str | dict) -> bytes:
    """The bytes of a string, or of an object that stands for some."""
    if type(value) is str:
        try:
            return value.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            raise status.invalid_argument(
                "JSON Parse error: The surrogate pair in string is invalid."
            ) from None
    if not is_base64_object(value):
        raise status.invalid_argument(
            f"JSON Value: {text.echo(value)} not formatted correctly for "
            "base64 data"
        )
    # As absl::Base64Unescape: blanks are skipped, padding may be missing.
    given = _BLANKS.sub("", value["b64"])
    digits = given.rstrip("=")
    padding = len(given) - len(digits)
    try:
        if padding not in (0, -len(digits) % 4):
            raise binascii.Error
        return base64.b64decode(
            digits.encode() + b"=" * (-len(digits) % 4), validate=True
        )
    except (binascii.Error, UnicodeEncodeError):
        raise status.invalid_argument("Unable to base64 decode") from None


def _all(values: list, types: set) -> bool:
    return set(map(type, values)) <= types
