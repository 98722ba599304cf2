"""TensorProto and back, against TensorFlow's own slow conversion."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from tensorflow.core.framework import types_pb2

from serving.embedded.run import tensors
from serving.embedded.status import Code
from serving.embedded.status import StatusError

MAX = 2**20
ARRAYS = [
    np.float32([[1.5, -2], [np.inf, 0]]),
    np.float64([1 / 3]),
    np.float16([0.5, -1]),
    np.array([0.5, -1], tf.bfloat16.as_numpy_dtype),
    np.int8([-1, 127]),
    np.int16([-1]),
    np.int32([[-1], [5]]),
    np.int64([-1, 2**62]),
    np.uint8([255]),
    np.uint16([65535]),
    np.uint32([2**32 - 1]),
    np.uint64([2**64 - 1]),
    np.array([True, False]),
    np.complex64([1 + 2j]),
    np.complex128([1 - 2j, 3]),
    np.float32(7),
    np.zeros((0, 3), np.float32),
    np.zeros((2, 0), np.int64),
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda a: f"{a.dtype}{a.shape}")
def test_round_trip_and_tensorflows_reading(array):
    array = np.asarray(array)
    proto = tensors.to_proto(array)
    assert not proto.tensor_content
    np.testing.assert_array_equal(tf.make_ndarray(proto), array)
    for sent in (proto, tf.make_tensor_proto(array)):
        found = tensors.from_proto(sent, "x", MAX)
        np.testing.assert_array_equal(found, array)
        assert found.dtype == array.dtype
        assert found.shape == array.shape


def test_strings():
    array = np.empty((2, 1), object)
    array[:, 0] = [b"a\xff", b""]
    proto = tensors.to_proto(array)
    assert list(proto.string_val) == [b"a\xff", b""]
    assert tensors.from_proto(proto, "x", MAX).tolist() == [[b"a\xff"], [b""]]


@pytest.mark.parametrize(
    ("values", "expected"),
    [([], [0, 0, 0]), ([5], [5, 5, 5]), ([1, 2, 3, 4], [1, 2, 3])],
)
def test_too_few_and_too_many_values_are_what_cpp_makes_of_them(
    values, expected
):
    proto = tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT, float_val=values)
    proto.tensor_shape.dim.add(size=3)
    assert tensors.from_proto(proto, "x", MAX).tolist() == expected


def _proto(dtype, shape, **fields):
    proto = tensor_pb2.TensorProto(dtype=dtype, **fields)
    for size in shape:
        proto.tensor_shape.dim.add(size=size)
    return proto


@pytest.mark.parametrize(
    "proto",
    [
        _proto(types_pb2.DT_INVALID, [1]),
        _proto(types_pb2.DT_RESOURCE, [1]),
        _proto(types_pb2.DT_FLOAT, [-1]),
        _proto(types_pb2.DT_FLOAT, [1] * 300),
        _proto(types_pb2.DT_FLOAT, [2], tensor_content=b"1234"),
        _proto(types_pb2.DT_STRING, [1], tensor_content=b"1234"),
        _proto(9999, [1]),
    ],
)
def test_malformed_tensors(proto):
    with pytest.raises(StatusError) as caught:
        tensors.from_proto(proto, "beta", MAX)
    assert caught.value.code == Code.INVALID_ARGUMENT
    assert caught.value.message == "tensor parsing error: beta"


def test_a_small_message_cannot_ask_for_much_memory():
    proto = _proto(types_pb2.DT_FLOAT, [2**40], float_val=[1])
    with pytest.raises(StatusError) as caught:
        tensors.from_proto(proto, "x", MAX)
    assert caught.value.code == Code.RESOURCE_EXHAUSTED
    # Sizes whose product wraps to something small in 64 bits.
    proto = _proto(types_pb2.DT_FLOAT, [2**62, 4], float_val=[1])
    with pytest.raises(StatusError):
        tensors.from_proto(proto, "x", MAX)


@pytest.mark.parametrize(
    ("dtype", "field"),
    [
        (types_pb2.DT_STRING, {"string_val": [b"x" * 1000]}),
        (types_pb2.DT_STRING, {"string_val": [b"", b"x" * 1000]}),
        (types_pb2.DT_FLOAT, {"float_val": [1]}),
        (types_pb2.DT_DOUBLE, {"double_val": [1]}),
        (types_pb2.DT_INT8, {"int_val": [1]}),
        (types_pb2.DT_INT64, {"int64_val": [1]}),
        (types_pb2.DT_UINT64, {"uint64_val": [1]}),
        (types_pb2.DT_BOOL, {"bool_val": [True]}),
        (types_pb2.DT_HALF, {"half_val": [1]}),
        (types_pb2.DT_COMPLEX128, {"dcomplex_val": [1, 0]}),
        (types_pb2.DT_FLOAT, {}),
        (types_pb2.DT_STRING, {}),
    ],
)
def test_what_is_repeated_counts_as_often_as_it_is(dtype, field):
    """The limit is one of the tensor as the graph gets it."""
    proto = _proto(dtype, [20, 5], **field)
    whole = tensors.from_proto(proto, "x", MAX)
    texts = whole.ravel().tolist() if whole.dtype == object else []
    size = whole.size * (24 if texts else whole.itemsize)
    size += sum(map(len, texts))
    assert tensors.from_proto(proto, "x", size).shape == (20, 5)
    with pytest.raises(StatusError, match="decodes to more than") as caught:
        tensors.from_proto(proto, "x", size - 1)
    assert caught.value.code == Code.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("shape", [[0, 2**62, 2**62], [2**62, 0], [0, MAX]])
def test_an_axis_of_length_0_excuses_no_other(shape):
    proto = _proto(types_pb2.DT_FLOAT, shape)
    with pytest.raises(StatusError) as caught:
        tensors.from_proto(proto, "x", MAX)
    assert caught.value.code == Code.RESOURCE_EXHAUSTED


def test_a_shape_of_a_million_axes_is_refused():
    proto = _proto(types_pb2.DT_FLOAT, [])
    proto.MergeFromString(b"\x12\x80\x80\x40" + b"\x12\x00" * 2**19)
    assert len(proto.tensor_shape.dim) == 2**19
    with pytest.raises(StatusError, match="tensor parsing error: x"):
        tensors.from_proto(proto, "x", MAX)


def test_surplus_values_are_dropped():
    proto = _proto(types_pb2.DT_INT8, [2], int_val=range(10**6))
    assert tensors.from_proto(proto, "x", MAX).tolist() == [0, 1]


def test_outputs_without_a_dtype_in_numpy():
    with pytest.raises(StatusError) as caught:
        tensors.to_proto(np.zeros(1, "datetime64[s]"))
    assert caught.value.code == Code.UNIMPLEMENTED
