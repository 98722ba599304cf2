"""HTTP around the REST API: uvicorn, bounded.

The event loop reads whole bodies, threads answer them. So a slow client
holds no thread, and a reply can be given up when its time is over.
"""

import asyncio
import functools
import logging

import uvicorn
from starlette.responses import Response

from serving.embedded.apis import rest
from serving.embedded.apis import sockets
from serving.embedded.apis.core import Core
from serving.embedded.apis.http_limits import LimitedProtocol
from serving.embedded.apis.places import Places
from serving.embedded.options import ServerOptions
from serving.embedded.status import Code
from serving.embedded.status import StatusError

_BACKLOG = 256
_BODIES = 8  # of full size, may be in memory at a time


class HttpServer:
    """The REST port.

    A body that is too large gets 413, a request that arrives too slowly 408,
    an answer that takes too long 504.

    Args:
        core: answers requests for models.
        options: see `ServerOptions`.

    Attributes:
        port: the port that will be used.

    Raises:
        OSError: the port is taken.
    """

    def __init__(self, core: Core, options: ServerOptions):
        self._api = rest.RestApi(core, options.metrics_path)
        self._places = Places(
            options.rest_api_num_threads, options.max_queued_requests, "rest"
        )
        self._max_body_bytes = options.max_request_bytes
        self._max_held_bytes = _BODIES * options.max_request_bytes
        self._timeout = options.rest_api_timeout_in_ms / 1000
        self._held_bytes = 0
        self._running = None
        self._socket = sockets.bind(options.rest_api_port)
        self.port = self._socket.getsockname()[1]
        self._server = uvicorn.Server(
            uvicorn.Config(
                self._serve,
                interface="asgi3",
                http=functools.partial(LimitedProtocol, self._timeout),
                ws="none",
                lifespan="off",
                log_config=None,
                log_level=logging.WARNING,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                backlog=_BACKLOG,
            )
        )

    async def start(self) -> None:
        """Listens, and answers from now on.

        Raises:
            OSError: the port was taken meanwhile.
        """
        try:
            self._socket.listen(_BACKLOG)
        except OSError as error:
            raise sockets.taken(self.port) from error
        self._running = asyncio.create_task(
            self._server.serve(sockets=[self._socket])
        )
        while not self._server.started and not self._running.done():
            await asyncio.sleep(0.001)

    async def stop(self, grace_seconds: float) -> None:
        """Takes no new connection and waits for the requests under way.

        Args:
            grace_seconds: after this time they are given up.
        """
        self._server.config.timeout_graceful_shutdown = max(
            int(grace_seconds), 1
        )
        self._server.should_exit = True
        if self._running is not None:
            await self._running
        self._socket.close()
        self._places.close()

    async def _serve(self, scope, receive, send) -> None:
        """The ASGI application."""
        body = bytearray()
        try:
            if await self._read(body, receive):
                reply = await self._reply(scope, body)
                await reply(scope, receive, send)
        finally:
            self._held_bytes -= len(body)

    async def _read(self, body: bytearray, receive) -> bool:
        """Adds to a body what arrives; returns whether all of it did.

        It ends early where the body, or all bodies together, are too large.
        """
        while (
            len(body) <= self._max_body_bytes
            and self._held_bytes <= self._max_held_bytes
        ):
            message = await receive()
            if message["type"] == "http.disconnect":
                return False
            body += message.get("body", b"")
            self._held_bytes += len(message.get("body", b""))
            if not message.get("more_body", False):
                break
        return True

    async def _reply(self, scope, body: bytearray) -> Response:
        limit = self._max_body_bytes
        if len(body) > limit:
            error = StatusError(
                Code.RESOURCE_EXHAUSTED,
                f"Request body larger than {limit} bytes, the limit of this "
                "server.",
            )
            return rest.failure(error, 413)
        if self._held_bytes > self._max_held_bytes:
            return rest.failure(
                StatusError(
                    Code.RESOURCE_EXHAUSTED,
                    f"Requests of {self._max_held_bytes} bytes are under way, "
                    "the limit of this server.",
                )
            )
        headers = dict(scope["headers"])
        target = scope["raw_path"].decode("latin-1")
        if scope["query_string"]:
            target += "?" + scope["query_string"].decode("latin-1")
        origin = headers.get(b"origin", b"").decode("latin-1")
        zipped = headers.get(b"content-encoding", b"").lower() == b"gzip"
        answer = self._places.answer(
            self._answer, scope["method"], target, body, origin, zipped
        )
        try:
            return await asyncio.wait_for(answer, self._timeout)
        except StatusError as error:
            return rest.failure(error)
        except TimeoutError:
            return rest.failure(
                StatusError(
                    Code.DEADLINE_EXCEEDED,
                    "Timed out waiting for notification",
                )
            )

    def _answer(self, method, target, body: bytearray, origin, zipped: bool):
        if zipped:
            body = rest.inflate(body, self._max_body_bytes)
        return self._api.handle(method, target, body, origin)
