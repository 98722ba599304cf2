"""Messages of very many parts, refused before they are parsed."""

import contextlib
import time

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st
from tensorflow_serving.apis import predict_pb2

from serving.embedded.apis import wire
from serving.embedded.status import Code
from serving.embedded.status import StatusError

KIND = predict_pb2.PredictRequest.DESCRIPTOR


def within(number, body):
    """A field of bytes, with a length of four bytes."""
    size = len(body)
    length = bytes(size >> 7 * i & 127 | 128 * (i < 3) for i in range(4))
    return bytes([number << 3 | 2]) + length + body


def tensor(body):
    """A request with one tensor of these bytes."""
    return within(2, within(1, b"x") + within(2, body))


@pytest.mark.parametrize(
    "body",
    [
        tensor(within(2, b"\x12\x00" * 2**21)),  # axes
        tensor(b"\x12\x00" * 2**21),  # shapes
        tensor(b"\x72\x00" * 2**21),  # resources
        tensor(b"\x7a\x00" * 2**21),  # variants
        tensor(b"\x42\x00" * 2**21),  # strings
        tensor(b"\x38\x01" * 2**21),  # numbers one by one
        b"\x12\x00" * 2**21,  # inputs
        b"\x1a\x00" * 2**21,  # filters
        b"\xfa\x01\x00" * 2**21,  # fields that nobody knows
        b"\x50\x00" * 2**21,
    ],
)
def test_a_message_of_millions_of_parts(body):
    start = time.thread_time()
    with pytest.raises(StatusError, match="more than 100000 parts") as caught:
        wire.check_parts(body, KIND, 100_000)
    assert caught.value.code == Code.RESOURCE_EXHAUSTED
    assert time.thread_time() - start < 1


def test_real_requests_have_few_parts():
    request = predict_pb2.PredictRequest(output_filter=["a", "b"])
    request.model_spec.version.value = 3
    for array in (np.zeros((8, 64, 64, 3), np.float32), np.arange(10**5)):
        proto = tf.make_tensor_proto(array)
        typed = tf.make_tensor_proto(array.ravel().tolist())
        request.inputs[str(array.dtype)].CopyFrom(proto)
        request.inputs["typed"].CopyFrom(typed)
    wire.check_parts(request.SerializeToString(), KIND, 50)


def test_a_group_hides_nothing():
    with pytest.raises(StatusError, match="Malformed request: a group"):
        wire.check_parts(b"\x53\x54" + b"\x12\x00" * 10, KIND, 5)


@hypothesis.given(st.binary(max_size=60))
@hypothesis.settings(max_examples=200, deadline=None)
def test_any_bytes_come_to_an_end(body):
    with contextlib.suppress(StatusError):
        wire.check_parts(body, KIND, 20)
