"""What both ports have: threads that answer, places to wait, a socket."""

import asyncio
import concurrent.futures
import contextlib
import errno
import logging
import socket
import weakref
from collections.abc import Callable

from serving.embedded import status

_logger = logging.getLogger(__name__)


class Places:
    """A number of threads, and of requests that may wait for one.

    A request asks for its place when it has arrived whole, so that clients
    that send nothing take none.
    """

    def __init__(self, threads: int, queue: int, name: str):
        self._limit = threads + queue
        self._taken = 0
        # Requests wait for this, not in the queue of the threads, which keeps
        # them when their clients have left.
        self._free = asyncio.Semaphore(threads)
        self._answers = weakref.WeakSet()
        self._threads = concurrent.futures.ThreadPoolExecutor(
            threads, thread_name_prefix=name
        )

    async def answer(self, function: Callable, *arguments):
        """Calls a function in a thread. For one event loop alone.

        Raises:
            StatusError: RESOURCE_EXHAUSTED, all places are taken; what the
                function raised; INTERNAL where that was a fault of this
                server, which costs no more than this one request.
        """
        if self._taken >= self._limit:
            raise status.resource_exhausted(
                f"{self._limit} requests are under way, the limit of this "
                "server.",
            )
        self._taken += 1
        try:
            await self._free.acquire()
            answer = self._threads.submit(_outcome, function, *arguments)
            self._answers.add(answer)
            loop = asyncio.get_running_loop()
            answer.add_done_callback(lambda _: self._release(loop))
            result, failed = await asyncio.wrap_future(answer)
            if failed:
                raise failed.pop()  # a name here would make a circle with it
            return result
        finally:
            self._taken -= 1

    def _release(self, loop: asyncio.AbstractEventLoop) -> None:
        """Frees a thread when it is done, which a client's leaving is not."""
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(self._free.release)

    @property
    def is_idle(self) -> bool:
        """Whether no thread runs a function."""
        return not any(answer.running() for answer in list(self._answers))

    def close(self) -> None:
        """Gives up the requests that wait."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _outcome(
    function: Callable, *arguments
) -> tuple[object, list[status.StatusError]]:
    """What a function returned, or the error that it ended with.

    An error that leaves a thread in a future holds, by its traceback, the
    request and that future, which holds the error: a circle that only the
    collector frees, and it goes round seldom.
    """
    try:
        return function(*arguments), []
    except status.StatusError as error:
        return None, [status.status_of(error)]
    except Exception:
        _logger.exception("A request failed")
        return None, [status.internal("Fault in the embedded server.")]


def bind(port: int) -> socket.socket:
    """Takes a port of 127.0.0.1, on which connections are still refused.

    Port 0 takes a free one; a taken one raises OSError.
    """
    # The protocol is named for asyncio, which then sends each part of a reply
    # at once; else one may wait 40 ms for the receipt of the part before.
    bound = socket.socket(
        socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP
    )
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(("127.0.0.1", port))
    except OSError as error:
        bound.close()
        reason = "is taken"
        if error.errno != errno.EADDRINUSE:
            reason = f"cannot be used: {error.strerror}"
        raise OSError(f"port {port} {reason}") from error
    return bound
