"""uvicorn's HTTP protocol with limits of size and time.

uvicorn bounds neither the head of a request nor the time that a client takes
to send it or to fetch the reply. And it drops the body of a request that
offers HTTP/2, as Java's HttpClient does with each.
"""

import asyncio
import re

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serving.embedded import status
from serving.embedded.json import text as json_text

MAX_HEAD_BYTES = 64 * 2**10
# Sent before the answer to an earlier one. uvicorn keeps each of them at a
# hundred times the room that it takes on the wire.
MAX_PIPELINED = 32
_UPGRADE = re.compile(rb"^upgrade(?=[ \t]*:)", re.IGNORECASE | re.MULTILINE)


class LimitedProtocol(HttpToolsProtocol):
    """One connection.

    Args:
        seconds: in which a request must arrive, head and body, counted from
            the connection or its first byte; and in which a client must
            fetch its reply.
        **arguments: uvicorn's.
    """

    def __init__(self, seconds: float, **arguments):
        super().__init__(**arguments)
        self._seconds = seconds
        self._arrival = self._departure = None
        self._head_bytes = self._body_bytes = 0
        self._in_head = True

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        for timer in (self._arrival, self._departure):
            if timer is not None:
                timer.cancel()

    def data_received(self, data: bytes) -> None:
        if self._arrival is None:
            self._await_request()
        # All that is no body: request line, headers, sizes of chunks,
        # trailers.
        self._head_bytes += len(data)
        if self._in_head:
            # The parser takes what follows such a head for another protocol.
            head, end, body = data.partition(b"\r\n\r\n")
            data = _UPGRADE.sub(b"ignored", head) + end + body
        super().data_received(data)
        if self._head_bytes > MAX_HEAD_BYTES + self._body_bytes:
            error = status.resource_exhausted(
                f"Request head larger than {MAX_HEAD_BYTES} bytes, the limit "
                "of this server.",
            )
            self._refuse(b"431 Request Header Fields Too Large", error)

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= MAX_PIPELINED:
            self.transport.close()  # what was answered still goes out
            raise BufferError("too many requests at once")  # ends the parsing
        super().on_message_begin()
        if self._arrival is None:  # it came together with the one before
            self._await_request()

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._head_bytes -= len(body)
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._head_bytes = self._body_bytes = 0
        self._in_head = True
        self._arrival.cancel()
        self._arrival = None
        super().on_message_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._departure = self.loop.call_later(
            self._seconds, self.transport.abort
        )

    def resume_writing(self) -> None:
        super().resume_writing()
        self._departure.cancel()

    def _await_request(self) -> None:
        self._arrival = self.loop.call_later(self._seconds, self._give_up)

    def _give_up(self) -> None:
        before = self.pipeline or (
            self.cycle is not None
            and not self.cycle.more_body
            and not self.cycle.response_complete
        )
        if before:
            # An answer to an earlier request is still due, and what follows
            # that request may not have been read.
            self._await_request()
            return
        error = status.deadline_exceeded(
            f"The request did not arrive in {self._seconds:g} s."
        )
        self._refuse(b"408 Request Timeout", error)

    def _refuse(self, line: bytes, error: status.StatusError) -> None:
        """Ends the connection; says why where no reply was begun."""
        if self.transport.is_closing():
            return
        cycle = self.cycle
        if not cycle or cycle.response_complete or not cycle.response_started:
            body = json_text.error_body(error)
            self.transport.write(
                b"HTTP/1.1 %s\r\ncontent-type: application/json\r\n"
                b"content-length: %d\r\nconnection: close\r\n\r\n%s"
                % (line, len(body), body)
            )
        self.transport.close()
