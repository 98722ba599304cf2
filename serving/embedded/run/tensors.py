"""TensorProto to NumPy and back, as the C++ server converts them.

`from_proto` leaves the conversion to C++, after a look at what it would cost.
`to_proto` writes floats in one piece, through their wire format, so that an
image costs microseconds; `tf.make_tensor_proto` writes no typed fields.
"""

import math

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from tensorflow.core.framework import types_pb2

from serving.embedded import status

STRING = types_pb2.DT_STRING
# Field of TensorProto -> the dtypes that it holds; those that NumPy has.
_HELD = {
    "float_val": [tf.float32],
    "double_val": [tf.float64],
    "int_val": [tf.int8, tf.int16, tf.int32, tf.uint8, tf.uint16],
    "int64_val": [tf.int64],
    "uint32_val": [tf.uint32],
    "uint64_val": [tf.uint64],
    "bool_val": [tf.bool],
    "half_val": [tf.half, tf.bfloat16],
    "scomplex_val": [tf.complex64],
    "dcomplex_val": [tf.complex128],
    "string_val": [tf.string],
}
_DTYPES = [d for dtypes in _HELD.values() for d in dtypes]
_NUMPY = {d.as_datatype_enum: np.dtype(d.as_numpy_dtype) for d in _DTYPES}
_DATA_TYPE = {dtype: number for number, dtype in _NUMPY.items()}
_FIELD = {d.as_datatype_enum: f for f in _HELD for d in _HELD[f]}
# Of numbers whose wire format is the array itself, little endian.
_PACKED = ("float_val", "double_val", "scomplex_val", "dcomplex_val")
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
            raise status.resource_exhausted(
                f"Tensor {alias} of shape {shape} decodes to more than "
                f"{max_bytes} bytes, the limit of this server.",
            )

    width = _STRING_BYTES if proto.dtype == STRING else dtype.itemsize
    # An axis of length 0 does not excuse the others: NumPy cannot hold some,
    # and a graph may walk along them.
    check(math.prod(max(size, 1) for size in shape) * width)
    if proto.dtype == STRING:
        count = math.prod(shape)
        texts = proto.string_val[:count]
        missing = count - len(texts)
        repeated = missing * len(texts[-1]) if texts else 0
        check(count * width + sum(map(len, texts)) + repeated)
    try:
        with tf.init_scope():
            if not tf.executing_eagerly():  # a client in the midst of a graph
                return tf.make_ndarray(proto)
            tensor = tf.io.parse_tensor(proto.SerializeToString(), proto.dtype)
    except tf.errors.InvalidArgumentError as error:
        raise _malformed(alias) from error
    return np.asarray(tensor.numpy(), dtype)


def to_proto(array: np.ndarray) -> tensor_pb2.TensorProto:
    """Converts an output, into typed fields as `Tensor::AsProtoField` does."""
    data_type = _DATA_TYPE.get(array.dtype)
    if data_type is None:
        raise status.unimplemented(
            f"Output of type {array.dtype} in a response"
        )
    proto = tensor_pb2.TensorProto(dtype=data_type)
    # Presence of the shape tells a scalar from an unknown shape.
    proto.tensor_shape.SetInParent()
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    field = _FIELD[data_type]
    flat = array.ravel()
    if field in _PACKED and flat.size:
        # A packed field is written as a field of bytes is, but for its tag.
        raw = flat.astype(flat.dtype.newbyteorder("<"), copy=False).tobytes()
        wire = tensor_pb2.TensorProto(tensor_content=raw).SerializeToString()
        number = proto.DESCRIPTOR.fields_by_name[field].number
        proto.MergeFromString(bytes([number << 3 | 2]) + wire[1:])
    elif field == "half_val":
        proto.half_val.extend(flat.view(np.uint16).tolist())
    else:
        values = getattr(proto, field)
        for start in range(0, len(flat), _CHUNK):
            values.extend(flat[start : start + _CHUNK].tolist())
    return proto


def _malformed(alias: str) -> status.StatusError:
    return status.invalid_argument(f"tensor parsing error: {alias}")
