"""The gRPC services, bounded.

PredictionService and ModelService of TF Serving's `apis/`, without the
methods for tf.Example, which answer UNIMPLEMENTED; server reflection
(`grpcurl -plaintext :8500 list`); and, if asked for, grpc.health.v1.
"""

import asyncio
import logging
import socket

import grpc
from google.protobuf import message
from grpc_health.v1 import health
from grpc_health.v1 import health_pb2
from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from tensorflow_serving.apis import model_management_pb2
from tensorflow_serving.apis import model_service_pb2
from tensorflow_serving.apis import model_service_pb2_grpc
from tensorflow_serving.apis import prediction_service_pb2
from tensorflow_serving.apis import prediction_service_pb2_grpc

from serving.embedded.apis import wire
from serving.embedded.apis.core import Core
from serving.embedded.apis.places import Places
from serving.embedded.status import Code
from serving.embedded.status import StatusError
from serving.embedded.status import invalid_argument
from serving.embedded.versions.manager import ModelManager

_CODES = {code.value[0]: code for code in grpc.StatusCode}
_SERVICES = [
    prediction_service_pb2.DESCRIPTOR.services_by_name["PredictionService"],
    model_service_pb2.DESCRIPTOR.services_by_name["ModelService"],
]
_REQUESTS = {
    f"/{service.full_name}/{method.name}": method.input_type
    for service in _SERVICES
    for method in service.methods
}
_logger = logging.getLogger(__name__)


class GrpcServer:
    """The gRPC port.

    Args:
        core: answers requests for models.
        manager: takes new configurations.
        port: port on 127.0.0.1; 0 takes a free one.
        places: the threads that answer.
        max_message_bytes: limit of a request.
        with_health: serve grpc.health.v1.

    Attributes:
        port: the port that will be used.

    Raises:
        OSError: the port is taken.
    """

    def __init__(
        self,
        core: Core,
        manager: ModelManager,
        port: int,
        places: Places,
        max_message_bytes: int,
        with_health: bool,
    ):
        self._core = core
        self._manager = manager
        self._max_message_bytes = max_message_bytes
        self._with_health = with_health
        self._server = None
        self._statuses = _Statuses(places)
        # gRPC's own port listens as soon as there is one; this one does not.
        self._reserved = socket.socket()
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._reserved.bind(("127.0.0.1", port))
        except OSError as error:
            self._reserved.close()
            raise OSError(f"port {port} is taken") from error
        self.port = self._reserved.getsockname()[1]

    async def start(self) -> None:
        """Listens, and answers from now on.

        Raises:
            OSError: the port was taken meanwhile.
        """
        self._server = server = grpc.aio.server(
            interceptors=[self._statuses],
            options=[
                ("grpc.max_receive_message_length", self._max_message_bytes),
                ("grpc.max_send_message_length", -1),
                # A second server on the port must fail, not share it.
                ("grpc.so_reuseport", 0),
            ],
        )
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
            _PredictionService(self._core), server
        )
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(
            _ModelService(self._core, self._manager), server
        )
        names = [service.full_name for service in _SERVICES]
        if self._with_health:
            servicer = health.aio.HealthServicer()
            # Without their package, as TF Serving names them.
            for service in _SERVICES:
                await servicer.set(
                    service.name, health_pb2.HealthCheckResponse.SERVING
                )
            health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
            names.append(health.SERVICE_NAME)
        reflection.enable_server_reflection(
            [*names, reflection.SERVICE_NAME], server
        )
        try:
            server.add_insecure_port(f"127.0.0.1:{self.port}")
        except RuntimeError as error:
            raise OSError(f"port {self.port} is taken") from error
        self._reserved.close()
        await server.start()

    async def stop(self, grace_seconds: float) -> None:
        """Takes no new request and waits for those under way.

        Args:
            grace_seconds: after this time they are cancelled.
        """
        self._reserved.close()
        if self._server is None:
            return
        stopping = asyncio.create_task(self._server.stop(grace_seconds))
        # Streams of health and reflection do not end by themselves.
        while self._statuses.running and not stopping.done():
            await asyncio.sleep(0.01)
        await self._server.stop(0)
        await stopping


class _PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, core: Core):
        self._core = core

    def Predict(self, request, context):
        return self._core.predict(request)

    def GetModelMetadata(self, request, context):
        return self._core.metadata(request)


class _ModelService(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, core: Core, manager: ModelManager):
        self._core = core
        self._manager = manager

    def GetModelStatus(self, request, context):
        if not request.HasField("model_spec"):
            raise invalid_argument("Missing ModelSpec")
        return self._core.status(request.model_spec)

    def HandleReloadConfigRequest(self, request, context):
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


class _Call:
    """What the methods of a service see of their call."""

    def __init__(self):
        self.gone = False

    def is_active(self) -> bool:
        return not self.gone

    def set_code(self, code) -> None:
        """Called by the generated methods that are not served."""

    set_details = set_code


class _Statuses(grpc.aio.ServerInterceptor):
    """Answers in a thread, and ends every fault in a status.

    Attributes:
        running: calls whose answers have not been sent.
    """

    def __init__(self, places: Places):
        self._places = places
        self.running = 0

    def _ended(self, _) -> None:
        self.running -= 1

    async def intercept_service(self, continuation, details):
        handler = await continuation(details)
        if handler is None or details.method not in _REQUESTS:
            return handler

        def answer(body: bytes, call: _Call) -> bytes:
            wire.check_parts(body, _REQUESTS[details.method])
            try:
                request = handler.request_deserializer(body)
            except message.DecodeError as error:
                raise invalid_argument(f"Malformed request: {error}") from error
            response = handler.unary_unary(request, call)
            return handler.response_serializer(response)

        async def handle(body: bytes, context) -> bytes:
            self.running += 1
            context.add_done_callback(self._ended)
            call = _Call()
            try:
                return await self._places.answer(answer, body, call)
            except StatusError as error:
                status = error
            except NotImplementedError as error:
                status = StatusError(Code.UNIMPLEMENTED, str(error))
            except Exception:
                # A fault of this server: seen in its log, and no more than
                # that one request.
                _logger.exception("gRPC request failed: %s", details.method)
                status = StatusError(
                    Code.INTERNAL, "Fault in the embedded server."
                )
            finally:
                call.gone = True
            await context.abort(_CODES[status.code], status.grpc_details)

        return grpc.unary_unary_rpc_method_handler(handle)
