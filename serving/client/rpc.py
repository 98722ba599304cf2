"""TF Serving's gRPC API.

tensorflow-serving-api's messages contain TensorFlow's, which cannot be
imported without TensorFlow itself.
"""

import grpc
from google.protobuf.message import DecodeError
from google.protobuf.message import EncodeError
from tensorflow.core.framework import types_pb2
from tensorflow_serving.apis import get_model_metadata_pb2
from tensorflow_serving.apis import get_model_status_pb2
from tensorflow_serving.apis import model_service_pb2_grpc
from tensorflow_serving.apis import predict_pb2
from tensorflow_serving.apis import prediction_service_pb2_grpc

from serving.client import errors
from serving.client import metadata
from serving.client.errors import InvalidRequest
from serving.client.errors import ServerFault
from serving.embedded.run import tensors
from serving.embedded.status import StatusError

_OPTIONS = [
    # gRPC's own limit of 4 MiB is 85 float images of 64x64x3. The server has
    # its limit.
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # Tries are counted in one place, `retry`.
    ("grpc.enable_retries", 0),
    # A server that came back is seen soon; by default it may take minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # As REST: straight to the server, whatever http_proxy says.
    ("grpc.enable_http_proxy", 0),
]
_UNLIMITED = 2**62


class GrpcTransport:
    """Asks one server over gRPC; the methods are those of `RestTransport`.

    Args:
        target: the server, `Target`.
    """

    def __init__(self, target):
        self._channel = grpc.insecure_channel(target.netloc, _OPTIONS)
        self._prediction = prediction_service_pb2_grpc.PredictionServiceStub(
            self._channel
        )
        self._model = model_service_pb2_grpc.ModelServiceStub(self._channel)

    def close(self):
        self._channel.close()

    def status(self, target, seconds):
        request = get_model_status_pb2.GetModelStatusRequest()
        # A label counts for nothing here, as in REST.
        _fill(request.model_spec, target, with_label=False)
        reply = _ask(self._model.GetModelStatus, request, target, seconds)
        name_of = get_model_status_pb2.ModelVersionStatus.State.Name
        with errors.reading(target):
            return [
                (v.version, name_of(v.state), v.status.error_message)
                for v in reply.model_version_status
            ]

    def metadata(self, target, seconds):
        request = get_model_metadata_pb2.GetModelMetadataRequest(
            metadata_field=["signature_def"]
        )
        _fill(request.model_spec, target)
        reply = _ask(
            self._prediction.GetModelMetadata, request, target, seconds
        )
        signatures = get_model_metadata_pb2.SignatureDefMap()
        with errors.reading(target, DecodeError):
            if not reply.metadata["signature_def"].Unpack(signatures):
                raise ValueError("it holds no signatures")
            return metadata.make(
                reply.model_spec.version.value,
                {
                    name: (_specs(found.inputs), _specs(found.outputs))
                    for name, found in signatures.signature_def.items()
                },
            )

    def predict(self, target, name, signature, inputs, seconds):
        request = predict_pb2.PredictRequest()
        _fill(request.model_spec, target)
        request.model_spec.signature_name = name
        for alias, array in inputs.items():
            _write(request.inputs[alias], array, signature.inputs[alias])
        reply = _ask(self._prediction.Predict, request, target, seconds)
        with errors.reading(target, StatusError):
            return {
                alias: tensors.from_proto(proto, alias, _UNLIMITED)
                for alias, proto in reply.outputs.items()
            }


def _fill(spec, target, with_label=True):
    spec.name = target.model
    if target.version is not None:
        spec.version.value = target.version
    elif target.label is not None and with_label:
        spec.version_label = target.label


def _ask(method, request, target, seconds):
    try:
        return method(request, timeout=seconds)
    except grpc.RpcError as error:
        text = error.details() or "no text"
        if "http1.x" in text:
            raise ServerFault(
                f"{target.netloc} does not speak gRPC: is it the REST port? "
                f"Then use http://{target.netloc}"
            ) from error
        raise errors.from_status(error.code().name, text, target) from error
    except ValueError as error:
        # gRPC's for a channel that was closed.
        raise ServerFault(f"{target} was not asked: {error}") from error
    except EncodeError as error:
        raise InvalidRequest(
            f"the request does not fit a message: {error}; send fewer rows "
            "at once"
        ) from error


def _write(proto, array, spec):
    proto.dtype = types_pb2.DataType.Value(spec.tensorflow_dtype)
    if spec.dtype == "string":
        proto.string_val.extend(
            v.encode() if isinstance(v, str) else v for v in array.flat
        )
    else:
        proto.tensor_content = array.tobytes()
    # Presence of the shape tells a scalar from an unknown shape.
    proto.tensor_shape.SetInParent()
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)


def _specs(infos):
    return {
        name: (
            types_pb2.DataType.Name(info.dtype),
            None
            if info.tensor_shape.unknown_rank
            else [dim.size for dim in info.tensor_shape.dim],
        )
        for name, info in infos.items()
    }
