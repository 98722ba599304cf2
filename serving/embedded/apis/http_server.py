"""HTTP around the REST API: uvicorn, bounded.

The event loop reads whole bodies, threads answer them. So a slow client
holds no thread, and a reply can be given up when its time is over.
"""

import asyncio
import functools
import logging
from collections.abc import Coroutine

import uvicorn
from starlette.responses import Response

from serving.embedded import status
from serving.embedded.apis import rest
from serving.embedded.apis.core import Core
from serving.embedded.apis.http_limits import LimitedProtocol
from serving.embedded.apis.places import Places
from serving.embedded.apis.places import bind
from serving.embedded.json import text as json_text
from serving.embedded.options import ServerOptions

_BACKLOG = 256
_BODIES = 8  # of full size, may be in memory at a time


class HttpServer:
    """The REST port.

    A body that is too large gets 413, a request that arrives too slowly 408,
    an answer that takes too long 504.

    Attributes:
        port: the port that will be used.

    Raises:
        OSError: the port is taken.
    """

    def __init__(self, core: Core, options: ServerOptions):
        self._api = rest.RestApi(core, options)
        self._places = Places(
            options.rest_api_num_threads, options.max_queued_requests, "rest"
        )
        self._options = options
        self._timeout = options.rest_api_timeout_in_ms / 1000
        self._held_bytes = 0
        self._running = None
        self._socket = bind(options.rest_api_port)
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
        """Listens, and answers from now on; an OSError for a taken port."""
        try:
            self._socket.listen(_BACKLOG)
        except OSError as error:
            raise OSError(f"port {self.port} is taken") from error
        self._running = asyncio.create_task(
            self._server.serve(sockets=[self._socket])
        )
        while not self._server.started and not self._running.done():
            await asyncio.sleep(0.001)

    @property
    def is_idle(self) -> bool:
        """Whether no thread runs a request."""
        return self._places.is_idle

    async def stop(self, grace_seconds: float) -> None:
        """Takes nothing new; gives up what runs after that time."""
        self._server.config.timeout_graceful_shutdown = grace_seconds
        self._server.should_exit = True
        if self._running is not None:
            await self._running
        self._socket.close()
        self._places.close()

    async def _serve(self, scope, receive, send) -> None:
        """The ASGI application."""
        body = bytearray()
        try:
            if not await self._read(body, receive):
                return
            reply = await _unless_gone(self._reply(scope, body), receive)
            if reply is None:
                return
        except status.StatusError as error:
            reply = rest.reply(json_text.error_body(error), error.http_status)
        finally:
            self._held_bytes -= len(body)
            del body  # while a slow client fetches the reply
        await reply(scope, receive, send)

    async def _read(self, body: bytearray, receive) -> bool:
        """Adds to a body what arrives; returns whether all of it did."""
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return False
            part = message.get("body", b"")
            body += part
            self._held_bytes += len(part)
            limit = self._options.max_request_bytes
            if len(body) > limit:
                raise status.resource_exhausted(
                    f"Request body larger than {limit} bytes, the limit of "
                    "this server.",
                    http_status=413,
                )
            if self._held_bytes > _BODIES * limit:
                raise status.resource_exhausted(
                    f"Requests of {_BODIES * limit} bytes are under way, the "
                    "limit of this server.",
                )
            more = message.get("more_body", False)
        return True

    async def _reply(self, scope, body: bytearray) -> Response:
        target = scope["raw_path"].decode("latin-1")
        if scope["query_string"]:
            target += "?" + scope["query_string"].decode("latin-1")
        headers = dict(scope["headers"])
        try:
            # wait_for would make a task, which keeps the error of an answer.
            async with asyncio.timeout(self._timeout):
                return await self._places.answer(
                    self._api.handle, scope["method"], target, headers, body
                )
        except TimeoutError:
            raise status.deadline_exceeded(
                "Timed out waiting for notification"
            ) from None


async def _unless_gone(answer: Coroutine, receive) -> Response | None:
    """Awaits an answer, or gives it up when its client leaves: one that waits
    for its place would take the time of those behind it."""
    task, gone, waiting = asyncio.current_task(), False, True

    async def watch():
        nonlocal gone
        while (await receive())["type"] != "http.disconnect":
            pass
        if waiting:
            gone = True
            task.cancel()

    watcher = asyncio.create_task(watch())
    try:
        return await answer
    except asyncio.CancelledError:
        if not gone:
            raise
        task.uncancel()
        return None
    finally:
        waiting = False
        watcher.cancel()
