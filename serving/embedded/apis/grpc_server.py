"""The gRPC services, bounded.

PredictionService and ModelService of TF Serving's `apis/`, without the
methods for tf.Example, which answer UNIMPLEMENTED; server reflection
(`grpcurl -plaintext :8500 list`); and, if asked for, grpc.health.v1.
"""

import asyncio
import contextlib
from collections.abc import Callable

import grpc
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor
from grpc_health.v1 import health
from grpc_health.v1 import health_pb2
from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from tensorflow_serving.apis import model_service_pb2
from tensorflow_serving.apis import prediction_service_pb2

from serving.embedded import status
from serving.embedded.apis import wire
from serving.embedded.apis.core import Core
from serving.embedded.apis.grpc_parsing import ParsingInterceptor
from serving.embedded.apis.places import Places
from serving.embedded.apis.places import bind
from serving.embedded.options import ServerOptions

_CODES = {code.value[0]: code for code in grpc.StatusCode}
_TELLING_SECONDS = 0.1
_MESSAGE_LIMIT = 1024  # model_servers/grpc_status_util.cc
_SERVICES = [
    prediction_service_pb2.DESCRIPTOR.services_by_name["PredictionService"],
    model_service_pb2.DESCRIPTOR.services_by_name["ModelService"],
]


class GrpcServer:
    """The gRPC port.

    Attributes:
        port: the port that will be used.

    Raises:
        OSError: the port is taken.
    """

    def __init__(self, core: Core, options: ServerOptions):
        self._options = options
        self._methods = {
            "Predict": lambda request, _: core.predict(request),
            "GetModelMetadata": lambda request, _: core.metadata(request),
            "GetModelStatus": lambda request, _: core.status(request),
            "HandleReloadConfigRequest": core.reload,
        }
        self._server = None
        self._health = None
        self._running = 0  # calls whose answers have not been sent
        self._places = Places(
            options.grpc_max_threads, options.max_queued_requests, "grpc"
        )
        # gRPC's own port listens as soon as there is one; this one does not.
        self._reserved = bind(options.port)
        self.port = self._reserved.getsockname()[1]

    async def start(self) -> None:
        """Listens, and answers from now on; an OSError for a taken port."""
        limit = self._options.max_request_bytes
        self._server = server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", limit),
                ("grpc.max_send_message_length", -1),
                # A second server on the port must fail, not share it.
                ("grpc.so_reuseport", 0),
            ],
            interceptors=[ParsingInterceptor()],
        )
        for service in _SERVICES:
            server.add_registered_method_handlers(
                service.full_name,
                {
                    method.name: self._handler(method)
                    for method in service.methods
                },
            )
        names = [service.full_name for service in _SERVICES]
        if self._options.enable_grpc_healthcheck_service:
            self._health = servicer = health.aio.HealthServicer()
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

    @property
    def is_idle(self) -> bool:
        """Whether no thread runs a request."""
        return self._places.is_idle

    async def stop(self, grace_seconds: float) -> None:
        """Takes nothing new; gives up what runs after that time."""
        self._reserved.close()
        if self._server is not None:
            await self._tell_the_end()
            stopping = asyncio.create_task(self._server.stop(grace_seconds))
            if self._health is not None:
                # For what was just told to be sent.
                await asyncio.sleep(min(_TELLING_SECONDS, grace_seconds))
            # Streams of health and reflection do not end by themselves.
            while self._running and not stopping.done():
                await asyncio.sleep(0.01)
            await self._server.stop(0)
            await stopping
        self._places.close()

    async def _tell_the_end(self) -> None:
        """Who watches the health hears of the end before the stream ends."""
        if self._health is None:
            return
        # One that does not read holds the others up, but not the end.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(
                self._health.enter_graceful_shutdown(), _TELLING_SECONDS
            )

    def _handler(self, method: MethodDescriptor) -> grpc.RpcMethodHandler:
        """Answers in a thread, and ends every fault in a status."""

        async def handle(body: bytes, context) -> bytes:
            self._running += 1
            context.add_done_callback(self._ended)
            here = [True]
            try:
                return await self._places.answer(
                    self._answer, method, body, lambda: bool(here)
                )
            except status.StatusError as error:
                code, text = _CODES[error.code], _cut(error.message)
            finally:
                here.clear()
                del body  # gRPC keeps the end of a call, and this frame by it
            await context.abort(code, text)

        return grpc.unary_unary_rpc_method_handler(handle)

    def _answer(
        self,
        method: MethodDescriptor,
        body: bytes,
        is_active: Callable[[], bool],
    ) -> bytes:
        if method.name not in self._methods:
            raise status.unimplemented("Method not implemented!")
        wire.check_parts(body, method.input_type)
        kind = message_factory.GetMessageClass(method.input_type)
        request = wire.parse(kind.FromString, body)
        answer = self._methods[method.name]
        return answer(request, is_active).SerializeToString()

    def _ended(self, _) -> None:
        self._running -= 1


def _cut(text: str) -> str:
    """As long as gRPC takes it, in bytes: a longer one has another code."""
    told = text.encode("utf-8", "replace")
    if len(told) <= _MESSAGE_LIMIT:
        return text
    head = told[:_MESSAGE_LIMIT].decode("utf-8", "ignore")
    return head + "...TRUNCATED"
