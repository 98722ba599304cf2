"""What the client makes of answers over gRPC."""

import concurrent.futures

import grpc
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import any_pb2
from serving_models import address
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import get_model_metadata_pb2
from tensorflow_serving.apis import predict_pb2

from serving.client import Client
from serving.client import DeadlineExceeded
from serving.client import InvalidRequest
from serving.client import NotFound
from serving.client import ResourceExhausted
from serving.client import ServerFault

X = {"x": np.float32([1])}


class Refusing:
    """A gRPC server whose `Predict` fails with given codes, then answers."""

    def __init__(self, *codes, reply=None, metadata=None, status=b""):
        self._codes = list(codes)
        self._reply = reply
        self.asked = 0
        self._server = grpc.server(
            concurrent.futures.ThreadPoolExecutor(1),
            options=[("grpc.so_reuseport", 0)],
        )
        self._server.add_generic_rpc_handlers(
            [
                grpc.method_handlers_generic_handler(
                    "tensorflow.serving.PredictionService",
                    {
                        "Predict": grpc.unary_unary_rpc_method_handler(
                            self._predict
                        ),
                        "GetModelMetadata": grpc.unary_unary_rpc_method_handler(
                            lambda *_: metadata or _metadata_message()
                        ),
                    },
                ),
                grpc.method_handlers_generic_handler(
                    "tensorflow.serving.ModelService",
                    {
                        "GetModelStatus": grpc.unary_unary_rpc_method_handler(
                            lambda *_: status
                        ),
                    },
                ),
            ]
        )
        self.grpc_port = self._server.add_insecure_port("127.0.0.1:0")

    def __enter__(self):
        self._server.start()
        return self

    def __exit__(self, *_):
        self._server.stop(None).wait()

    def _predict(self, request, context):
        self.asked += 1
        if self._codes:
            context.abort(self._codes.pop(0), "a text")
        return self._reply


def _metadata_message():
    """The signature half {x} -> {y}, any number of floats."""
    info = meta_graph_pb2.TensorInfo(dtype=types_pb2.DT_FLOAT)
    info.tensor_shape.dim.add(size=-1)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    half = signatures.signature_def["half"]
    half.inputs["x"].CopyFrom(info)
    half.outputs["y"].CopyFrom(info)
    reply = get_model_metadata_pb2.GetModelMetadataResponse()
    reply.model_spec.version.value = 3
    reply.metadata["signature_def"].Pack(signatures)
    return reply.SerializeToString()


def _predict_message(**outputs):
    reply = predict_pb2.PredictResponse()
    for name, values in outputs.items():
        reply.outputs[name].CopyFrom(tf.make_tensor_proto(values))
    return reply.SerializeToString()


@pytest.mark.parametrize(
    ("codes", "reply", "error", "message"),
    [
        (["UNAVAILABLE"] * 2, {"y": np.float32([2])}, None, ""),
        (["INVALID_ARGUMENT"], {}, InvalidRequest, "request: a text"),
        (["NOT_FOUND"], {}, NotFound, "a text"),
        (["RESOURCE_EXHAUSTED"], {}, ResourceExhausted, "send fewer rows"),
        (["DEADLINE_EXCEEDED"], {}, DeadlineExceeded, "timeout"),
        (["FAILED_PRECONDITION"], {}, ServerFault, "copied in full"),
        (["INTERNAL"], {}, ServerFault, "failed with INTERNAL: a text"),
        (["UNIMPLEMENTED"], {}, ServerFault, "UNIMPLEMENTED"),
        ([], {"y": np.float32([1, 2])}, ServerFault, "2 rows of y for 1"),
        ([], {"y": np.float64([1])}, ServerFault, "received: float64"),
        ([], {"z": np.float32([1])}, ServerFault, r"received: \['z'\]"),
        ([], b"\xff\xff", ServerFault, "INTERNAL"),
    ],
)  # fmt: skip
def test_answers_over_grpc(codes, reply, error, message):
    if isinstance(reply, dict):
        reply = _predict_message(**reply)
    codes = [grpc.StatusCode[code] for code in codes]
    with (
        Refusing(*codes, reply=reply) as fake,
        Client(address(fake, "grpc"), model="m", timeout=5) as client,
    ):
        if error is None:
            assert client.predict("half", X)["y"].tolist() == [2]
            assert fake.asked == 3
            return
        with pytest.raises(error, match=message):
            client.predict("half", X)
        assert fake.asked == 1


def _other_metadata(name, value):
    reply = get_model_metadata_pb2.GetModelMetadataResponse()
    reply.metadata[name].CopyFrom(value)
    return reply.SerializeToString()


def _any(message):
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed


def _of_an_unknown_dtype():
    signatures = get_model_metadata_pb2.SignatureDefMap()
    signatures.signature_def["half"].inputs["x"].dtype = 9999
    return _any(signatures)


@pytest.mark.parametrize(
    "metadata",
    [
        b"\xff\xff",
        _other_metadata("other", _any(meta_graph_pb2.TensorInfo())),
        _other_metadata("signature_def", _any(meta_graph_pb2.TensorInfo())),
        _other_metadata("signature_def", _of_an_unknown_dtype()),
        _other_metadata(
            "signature_def",
            any_pb2.Any(type_url="a/tensorflow.serving.SignatureDefMap",
                        value=b"\xff"),
        ),
    ],
)  # fmt: skip
def test_metadata_that_is_none_over_grpc(metadata):
    with (
        Refusing(metadata=metadata) as fake,
        Client(address(fake, "grpc"), model="m", timeout=5) as client,
        pytest.raises(ServerFault),
    ):
        client.metadata()


@pytest.mark.parametrize("status", [b"\xff\xff", b"\x0a\x02\x10\x07"])
def test_a_status_that_is_none_over_grpc(status):
    with (
        Refusing(status=status) as fake,
        Client(address(fake, "grpc"), model="m", timeout=5) as client,
        pytest.raises(ServerFault),
    ):
        client.wait_until_ready(2)


def test_answers_are_read_in_the_midst_of_a_graph():
    reply = _predict_message(y=np.float32([2]))
    with (
        Refusing(reply=reply) as fake,
        Client(address(fake, "grpc"), model="m", timeout=5) as client,
        tf.Graph().as_default(),
    ):
        found = client.predict("half", X)["y"]
    found += 1  # the caller's own
    assert found.tolist() == [3]
