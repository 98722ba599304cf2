"""HTTP around the REST API: uvicorn, bounded.

The event loop reads whole bodies, threads answer them. So a slow client
holds no thread, and a reply can be given up when its time is over.
"""

import asyncio
import concurrent.futures
import dataclasses
import logging
import socket
import threading

import uvicorn

from serving.embedded import rest
from serving.embedded.status import Code
from serving.embedded.status import StatusError

_BACKLOG = 256
_logger = logging.getLogger(__name__)


class HttpServer:
    """The REST port.

    Args:
        api: answers the requests.
        port: port on 127.0.0.1; 0 takes a free one.
        threads: requests answered at once.
        queue: requests that may wait beyond that; one more gets 429.
        max_body_bytes: limit of a body; a longer one gets 413.
        timeout_seconds: limit of one answer, after which 504 is sent.

    Attributes:
        port: the port in use.

    Raises:
        OSError: the port is taken.
    """

    def __init__(
        self,
        api: rest.RestApi,
        port: int,
        threads: int,
        queue: int,
        max_body_bytes: int,
        timeout_seconds: float,
    ):
        self._api = api
        self._max_body_bytes = max_body_bytes
        self._timeout = timeout_seconds
        self._limit = threads + queue
        self._active = 0
        self._threads = concurrent.futures.ThreadPoolExecutor(
            threads, thread_name_prefix="rest"
        )
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Head and body go out as two packets; without this, the second may
        # wait 40 ms for the client's receipt of the first.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self._socket.bind(("127.0.0.1", port))
            self._socket.listen(_BACKLOG)
        except OSError as error:
            self._socket.close()
            raise OSError(f"port {port} is taken") from error
        self.port = self._socket.getsockname()[1]
        self._server = uvicorn.Server(
            uvicorn.Config(
                self._serve,
                interface="asgi3",
                loop="asyncio",
                http="httptools",
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
        self._thread = threading.Thread(
            target=self._server.run,
            kwargs={"sockets": [self._socket]},
            name="rest-server",
            daemon=True,
        )

    def start(self) -> None:
        """Starts to answer."""
        self._thread.start()

    def stop(self, grace_seconds: float) -> None:
        """Takes no new connection and waits for the requests under way.

        Args:
            grace_seconds: after this time they are given up.
        """
        self._server.config.timeout_graceful_shutdown = max(
            int(grace_seconds), 1
        )
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join()
        self._socket.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _serve(self, scope, receive, send) -> None:
        """The ASGI application."""
        if self._active >= self._limit:
            busy = StatusError(
                Code.RESOURCE_EXHAUSTED,
                f"{self._limit} requests are under way, the limit of this "
                "server.",
            )
            return await _send(send, rest.failure(busy))
        self._active += 1
        try:
            reply = await self._reply(scope, receive)
        finally:
            self._active -= 1
        if reply is not None:
            await _send(send, reply)

    async def _reply(self, scope, receive) -> rest.Reply | None:
        try:
            body = await asyncio.wait_for(self._read(receive), self._timeout)
        except TimeoutError:
            error = StatusError(
                Code.DEADLINE_EXCEEDED,
                f"The request did not arrive in {self._timeout:g} s.",
            )
            return _with_status(408, rest.failure(error))
        if body is None:
            return None
        if len(body) > self._max_body_bytes:
            error = StatusError(
                Code.RESOURCE_EXHAUSTED,
                f"Request body larger than {self._max_body_bytes} bytes, the "
                "limit of this server.",
            )
            return _with_status(413, rest.failure(error))
        headers = dict(scope["headers"])
        target = scope["raw_path"].decode("latin-1")
        if scope["query_string"]:
            target += "?" + scope["query_string"].decode("latin-1")
        origin = headers.get(b"origin", b"").decode("latin-1")
        zipped = headers.get(b"content-encoding", b"").lower() == b"gzip"
        answer = asyncio.get_running_loop().run_in_executor(
            self._threads,
            self._answer,
            scope["method"],
            target,
            bytes(body),
            origin,
            zipped,
        )
        try:
            return await asyncio.wait_for(answer, self._timeout)
        except TimeoutError:
            return rest.failure(
                StatusError(
                    Code.DEADLINE_EXCEEDED,
                    "Timed out waiting for notification",
                )
            )

    def _answer(self, method, target, body: bytes, origin, zipped: bool):
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

    async def _read(self, receive) -> bytearray | None:
        """The body, or its start if it is too large; None if it broke off."""
        body = bytearray()
        more = True
        while more and len(body) <= self._max_body_bytes:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            more = message.get("more_body", False)
        return body


def _with_status(status: int, reply: rest.Reply) -> rest.Reply:
    return dataclasses.replace(reply, status=status)


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
