"""The services that gRPC's own packages answer: health, reflection.

What they cannot parse, or do not have, gRPC itself would answer with UNKNOWN
and log as a fault of this server, with a traceback.
"""

from collections.abc import AsyncIterator

import grpc
from google.protobuf.message import Message

from serving.embedded import status
from serving.embedded.apis import wire


class ParsingInterceptor(grpc.aio.ServerInterceptor):
    """Answers INVALID_ARGUMENT to messages that cannot be parsed."""

    async def intercept_service(self, continuation, handler_call_details):
        handler = await continuation(handler_call_details)
        # Handlers without a parser, as are our own, take bytes.
        if handler is None or handler.request_deserializer is None:
            return handler
        return _parsing(handler)


def _parsing(handler: grpc.RpcMethodHandler) -> grpc.RpcMethodHandler:
    """The same handler, which now takes bytes."""

    async def parsed(body: bytes, context) -> Message:
        try:
            return wire.parse(handler.request_deserializer, body)
        except status.StatusError as error:
            text = error.message
        del body  # gRPC keeps the end of a call, and this frame by it
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, text)

    async def one(body: bytes, context) -> Message:
        request = await parsed(body, context)
        try:
            return await handler.unary_unary(request, context)
        except NotImplementedError as error:  # a method new to the package
            text = str(error)
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, text)

    async def watch(body: bytes, context) -> None:
        await handler.unary_stream(await parsed(body, context), context)

    async def stream(bodies, context) -> AsyncIterator[Message]:
        requests = (await parsed(b, context) async for b in bodies)
        async for answer in handler.stream_stream(requests, context):
            yield answer

    write = handler.response_serializer
    if handler.request_streaming:
        return grpc.stream_stream_rpc_method_handler(stream, None, write)
    if handler.response_streaming:
        return grpc.unary_stream_rpc_method_handler(watch, None, write)
    return grpc.unary_unary_rpc_method_handler(one, None, write)
