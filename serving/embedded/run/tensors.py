"""TensorProto to NumPy and back, as the C++ server converts them.

`tf.make_ndarray` and `tf.make_tensor_proto` loop over the values in Python.
Here the packed `float_val` and `double_val` fields are copied in one piece,
through their wire format, so that an image costs microseconds.
"""

import itertools
import math

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from tensorflow.core.framework import types_pb2

from serving.embedded.status import Code
from serving.embedded.status import StatusError
from serving.embedded.status import invalid_argument

STRING = types_pb2.DT_STRING

_NUMPY = {
    types_pb2.DT_FLOAT: np.dtype(np.float32),
    types_pb2.DT_DOUBLE: np.dtype(np.float64),
    types_pb2.DT_INT8: np.dtype(np.int8),
    types_pb2.DT_INT16: np.dtype(np.int16),
    types_pb2.DT_INT32: np.dtype(np.int32),
    types_pb2.DT_INT64: np.dtype(np.int64),
    types_pb2.DT_UINT8: np.dtype(np.uint8),
    types_pb2.DT_UINT16: np.dtype(np.uint16),
    types_pb2.DT_UINT32: np.dtype(np.uint32),
    types_pb2.DT_UINT64: np.dtype(np.uint64),
    types_pb2.DT_BOOL: np.dtype(np.bool_),
    types_pb2.DT_HALF: np.dtype(np.float16),
    types_pb2.DT_BFLOAT16: np.dtype(tf.bfloat16.as_numpy_dtype),
    types_pb2.DT_COMPLEX64: np.dtype(np.complex64),
    types_pb2.DT_COMPLEX128: np.dtype(np.complex128),
    types_pb2.DT_STRING: np.dtype(object),
}
_DATA_TYPE = {dtype: number for number, dtype in _NUMPY.items()}

# Field of TensorProto that holds a dtype's values, where it is not int_val.
_FIELD = {
    types_pb2.DT_FLOAT: "float_val",
    types_pb2.DT_DOUBLE: "double_val",
    types_pb2.DT_INT64: "int64_val",
    types_pb2.DT_UINT32: "uint32_val",
    types_pb2.DT_UINT64: "uint64_val",
    types_pb2.DT_BOOL: "bool_val",
    types_pb2.DT_HALF: "half_val",
    types_pb2.DT_BFLOAT16: "half_val",
    types_pb2.DT_COMPLEX64: "scomplex_val",
    types_pb2.DT_COMPLEX128: "dcomplex_val",
    types_pb2.DT_STRING: "string_val",
}
# Fields whose wire format is the array itself, little endian.
_PACKED = {
    "float_val": np.dtype("<f4"),
    "double_val": np.dtype("<f8"),
    "scomplex_val": np.dtype("<f4"),
    "dcomplex_val": np.dtype("<f8"),
}
_MAX_RANK = 64  # NumPy's; TensorFlow itself stops at 254
# Values that are moved in one operation, in which Python does nothing else.
_CHUNK = 2**16
_STRING_BYTES = 24  # of the C++ string itself; short texts lie in it


def dtype_name(data_type: int) -> str:
    """TensorFlow's own name of a DataType: 1 -> "float", 7 -> "string"."""
    name = types_pb2.DataType.Name(data_type)
    return name.removeprefix("DT_").lower()


def numpy_dtype(data_type: int) -> np.dtype | None:
    """The NumPy dtype of a DataType, None where there is none."""
    return _NUMPY.get(data_type)


def array_dtype_name(array: np.ndarray) -> str:
    """TensorFlow's own name of an array's dtype."""
    return dtype_name(_DATA_TYPE[array.dtype])


def from_proto(
    proto: tensor_pb2.TensorProto, alias: str, max_bytes: int
) -> np.ndarray:
    """Converts a TensorProto, as `Tensor::FromProto` does.

    As in C++, missing trailing values repeat the last one, surplus values
    are dropped and no value at all means zeros.

    Args:
        proto: the tensor of a request.
        alias: its name, for the error text.
        max_bytes: limit of the decoded size. One value and a huge shape is a
            valid TensorProto of a few bytes; the C++ server allocates it.
            Strings count with their texts, each time they are repeated.

    Raises:
        StatusError: INVALID_ARGUMENT for a malformed tensor,
            RESOURCE_EXHAUSTED for one that decodes to more than `max_bytes`.
    """
    dtype = _NUMPY.get(proto.dtype)
    dims = proto.tensor_shape.dim
    # Counted before they are read: a message has room for millions.
    if (
        dtype is None
        or proto.tensor_shape.unknown_rank
        or len(dims) > _MAX_RANK
    ):
        raise _malformed(alias)
    shape = [dim.size for dim in dims]
    if any(size < 0 for size in shape):
        raise _malformed(alias)

    def check(length: int) -> None:
        if length > max_bytes:
            raise StatusError(
                Code.RESOURCE_EXHAUSTED,
                f"Tensor {alias} of shape {shape} decodes to more than "
                f"{max_bytes} bytes, the limit of this server.",
            )

    width = _STRING_BYTES if proto.dtype == STRING else dtype.itemsize
    # An axis of length 0 does not excuse the others: NumPy cannot hold some,
    # and a graph may walk along them.
    check(math.prod(max(size, 1) for size in shape) * width)
    count = math.prod(shape)
    content = proto.tensor_content
    if content and count:
        if proto.dtype == STRING or len(content) != count * width:
            raise _malformed(alias)
        return np.frombuffer(content, dtype).reshape(shape)
    values = _values(proto, dtype, count)
    missing = count - len(values)
    if proto.dtype == STRING:
        texts = sum(map(len, values))
        last = len(values[-1]) if len(values) else 0
        check(count * width + texts + missing * last)
    if missing:
        fill = values[-1] if len(values) else _zero(dtype)
        whole = np.full(count, fill, dtype)
        whole[: len(values)] = values
        values = whole
    return values.reshape(shape)


def to_proto(array: np.ndarray) -> tensor_pb2.TensorProto:
    """Converts an output, into typed fields as `Tensor::AsProtoField` does.

    Raises:
        StatusError: UNIMPLEMENTED for a dtype without a NumPy counterpart.
    """
    data_type = _DATA_TYPE.get(array.dtype)
    if data_type is None:
        raise StatusError(
            Code.UNIMPLEMENTED, f"Output of type {array.dtype} in a response"
        )
    proto = tensor_pb2.TensorProto(dtype=data_type)
    # Presence of the shape tells a scalar from an unknown shape.
    proto.tensor_shape.SetInParent()
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    field = _FIELD.get(data_type, "int_val")
    flat = array.ravel()
    if field in _PACKED:
        raw = np.ascontiguousarray(flat).view(_PACKED[field]).tobytes()
        number = proto.DESCRIPTOR.fields_by_name[field].number
        proto.MergeFromString(
            _varint(number << 3 | 2) + _varint(len(raw)) + raw
        )
    elif field == "half_val":
        proto.half_val.extend(flat.view(np.uint16).tolist())
    else:
        values = getattr(proto, field)
        for start in range(0, len(flat), _CHUNK):
            values.extend(flat[start : start + _CHUNK].tolist())
    return proto


def _malformed(alias: str) -> StatusError:
    return invalid_argument(f"tensor parsing error: {alias}")


def _values(
    proto: tensor_pb2.TensorProto, dtype: np.dtype, count: int
) -> np.ndarray:
    """The first `count` typed values of a tensor as a flat array."""
    field = _FIELD.get(proto.dtype, "int_val")
    values = getattr(proto, field)
    if field in _PACKED:
        if not values:
            return np.empty(0, dtype)
        packed = tensor_pb2.TensorProto()
        getattr(packed, field).MergeFrom(values)
        wire = packed.SerializeToString()
        body = len(values) * _PACKED[field].itemsize
        flat = np.frombuffer(wire, _PACKED[field], offset=len(wire) - body)
        # An odd number of parts is half a complex number: dropped.
        whole = len(flat) * flat.itemsize // dtype.itemsize
        flat = flat[: whole * dtype.itemsize // flat.itemsize]
        return flat.view(dtype)[:count]
    found = min(len(values), count)
    values = itertools.islice(values, found)
    if field == "string_val":
        return np.fromiter(values, object, found)
    if field == "half_val":
        return (
            np.fromiter(values, np.int32, found).astype(np.uint16).view(dtype)
        )
    wide = np.uint64 if field == "uint64_val" else np.int64
    flat = np.empty(found, dtype)
    for start in range(0, found, _CHUNK):
        chunk = list(itertools.islice(values, _CHUNK))
        # The narrow integers wrap, as the C++ cast does.
        flat[start : start + _CHUNK] = np.array(chunk, wide).astype(dtype)
    return flat


def _zero(dtype: np.dtype) -> object:
    return b"" if dtype.hasobject else dtype.type(0)


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    parts.append(number)
    return bytes(parts)
