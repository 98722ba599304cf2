"""HTTP around the REST API: uvicorn, bounded.

The event loop reads whole bodies, threads answer them. So a slow client
holds no thread, and a reply can be given up when its time is over.
"""

import asyncio
import functools
import logging
import socket

import uvicorn

from serving.embedded.apis import rest
from serving.embedded.apis.http_limits import LimitedProtocol
from serving.embedded.apis.places import Places
from serving.embedded.status import Code
from serving.embedded.status import StatusError

_BACKLOG = 256
_BODIES = 8  # of full size, may be in memory at a time
_logger = logging.getLogger(__name__)


class HttpServer:
    """The REST port.

    Args:
        api: answers the requests.
        port: port on 127.0.0.1; 0 takes a free one.
        places: the threads that answer.
        max_body_bytes: limit of a body; a longer one gets 413.
        timeout_seconds: limit of the arrival of a request, which gets 408
            after it; of one answer, for which 504 is sent; and of its
            fetching.

    Attributes:
        port: the port that will be used.

    Raises:
        OSError: the port is taken.
    """

    def __init__(
        self,
        api: rest.RestApi,
        port: int,
        places: Places,
        max_body_bytes: int,
        timeout_seconds: float,
    ):
        self._api = api
        self._places = places
        self._max_body_bytes = max_body_bytes
        self._max_held_bytes = _BODIES * max_body_bytes
        self._timeout = timeout_seconds
        self._held_bytes = 0
        self._running = None
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Head and body go out as two packets; without this, the second may
        # wait 40 ms for the client's receipt of the first.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self._socket.bind(("127.0.0.1", port))
        except OSError as error:
            self._socket.close()
            raise OSError(f"port {port} is taken") from error
        self.port = self._socket.getsockname()[1]
        self._server = uvicorn.Server(
            uvicorn.Config(
                self._serve,
                interface="asgi3",
                http=functools.partial(LimitedProtocol, timeout_seconds),
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
            raise OSError(f"port {self.port} is taken") from error
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

    async def _serve(self, scope, receive, send) -> None:
        """The ASGI application."""
        body = bytearray()
        try:
            if await self._read(body, receive):
                await _send(send, await self._reply(scope, body))
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

    async def _reply(self, scope, body: bytearray) -> rest.Reply:
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
        try:
            return self._api.handle(method, target, body, origin)
        except Exception:
            # A fault of this server: seen in its log, and no more than that
            # one request.
            _logger.exception("REST request failed: %s %s", method, target)
            return rest.failure(
                StatusError(Code.INTERNAL, "Fault in the embedded server.")
            )


async def _send(send, reply: rest.Reply) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": reply.status,
            "headers": [
                (b"content-type", reply.content_type.encode()),
                (b"content-length", str(len(reply.body)).encode()),
            ],
        }
    )
    await send({"type": "http.response.body", "body": reply.body})
