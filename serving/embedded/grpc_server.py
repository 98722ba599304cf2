"""The gRPC services, bounded.

PredictionService and ModelService of TF Serving's `apis/`, without the
methods for tf.Example, which answer UNIMPLEMENTED.
"""

import concurrent.futures
import logging
from collections.abc import Callable

import grpc
from google.protobuf import message
from tensorflow_serving.apis import get_model_metadata_pb2
from tensorflow_serving.apis import get_model_status_pb2
from tensorflow_serving.apis import model_management_pb2
from tensorflow_serving.apis import predict_pb2

from serving.embedded.core import Core
from serving.embedded.model_manager import ModelManager
from serving.embedded.status import Code
from serving.embedded.status import StatusError
from serving.embedded.status import invalid_argument

_CODES = {code.value[0]: code for code in grpc.StatusCode}
_logger = logging.getLogger(__name__)


class GrpcServer:
    """The gRPC port.

    Args:
        core: answers requests for models.
        manager: takes new configurations.
        port: port on 127.0.0.1; 0 takes a free one.
        threads: requests answered at once.
        queue: requests that may wait beyond that; one more gets
            RESOURCE_EXHAUSTED.
        max_message_bytes: limit of a request.

    Attributes:
        port: the port in use.

    Raises:
        OSError: the port is taken.
    """

    def __init__(
        self,
        core: Core,
        manager: ModelManager,
        port: int,
        threads: int,
        queue: int,
        max_message_bytes: int,
    ):
        self._core = core
        self._manager = manager
        self._server = grpc.server(
            concurrent.futures.ThreadPoolExecutor(
                threads, thread_name_prefix="grpc"
            ),
            maximum_concurrent_rpcs=threads + queue,
            options=[
                ("grpc.max_receive_message_length", max_message_bytes),
                ("grpc.max_send_message_length", -1),
                # A second server on the port must fail, not share it.
                ("grpc.so_reuseport", 0),
            ],
        )
        self._server.add_generic_rpc_handlers(
            (self._prediction_service(), self._model_service())
        )
        try:
            self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        except RuntimeError as error:
            raise OSError(f"port {port} is taken") from error

    def start(self) -> None:
        """Starts to answer."""
        self._server.start()

    def stop(self, grace_seconds: float) -> None:
        """Takes no new request and waits for those under way.

        Args:
            grace_seconds: after this time they are cancelled.
        """
        self._server.stop(grace_seconds).wait()

    def _prediction_service(self) -> grpc.GenericRpcHandler:
        return grpc.method_handlers_generic_handler(
            "tensorflow.serving.PredictionService",
            {
                "Predict": _unary(
                    predict_pb2.PredictRequest,
                    lambda request, _: self._core.predict(request),
                ),
                "GetModelMetadata": _unary(
                    get_model_metadata_pb2.GetModelMetadataRequest,
                    lambda request, _: self._core.metadata(request),
                ),
            },
        )

    def _model_service(self) -> grpc.GenericRpcHandler:
        return grpc.method_handlers_generic_handler(
            "tensorflow.serving.ModelService",
            {
                "GetModelStatus": _unary(
                    get_model_status_pb2.GetModelStatusRequest, self._status
                ),
                "HandleReloadConfigRequest": _unary(
                    model_management_pb2.ReloadConfigRequest, self._reload
                ),
            },
        )

    def _status(self, request, _) -> message.Message:
        if not request.HasField("model_spec"):
            raise invalid_argument("Missing ModelSpec")
        return self._core.status(request.model_spec)

    def _reload(self, request, context) -> message.Message:
        config = request.config
        if config.WhichOneof("config") != "model_config_list":
            raise invalid_argument(
                "ServerModelConfig type not supported by "
                "HandleReloadConfigRequest. Only ModelConfigList is currently "
                "supported"
            )
        added = self._manager.reload(config.model_config_list)
        _logger.info(
            "New configuration: %s",
            ", ".join(m.name for m in config.model_config_list.config),
        )
        self._manager.wait_until_available(added, context.is_active)
        response = model_management_pb2.ReloadConfigResponse()
        response.status.SetInParent()
        return response


def _unary(
    request_class: type[message.Message], answer: Callable
) -> grpc.RpcMethodHandler:
    """A handler that turns a StatusError into a gRPC status."""

    def handle(body: bytes, context: grpc.ServicerContext) -> bytes:
        try:
            # A client that is gone, or whose time is over, wants no answer.
            if not context.is_active():
                raise StatusError(Code.CANCELLED, "The client is gone.")
            return answer(_parse(request_class, body), context)
        except StatusError as error:
            context.abort(_CODES[error.code], error.grpc_details)

    return grpc.unary_unary_rpc_method_handler(
        handle, response_serializer=_serialize
    )


def _serialize(response: message.Message) -> bytes:
    return response.SerializeToString()


def _parse(request_class: type[message.Message], body: bytes):
    try:
        return request_class.FromString(body)
    except message.DecodeError as error:
        raise invalid_argument(f"Malformed request: {error}") from error
