"""Canonical statuses: one error type for both APIs.

TF Serving reports every failure as a status, a canonical code and a text,
and maps it to gRPC (`util/status_util.cc`) or to HTTP
(`model_servers/http_server.cc`, `ToHTTPStatusCode`).
"""

import enum
import functools

import grpc

# Canonical codes, numbered as in gRPC and TensorFlow.
Code = enum.IntEnum("Code", {c.name: c.value[0] for c in grpc.StatusCode})

# All others are 500.
_HTTP_STATUS = {
    Code.OK: 200,
    Code.CANCELLED: 499,
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 504,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 400,
    Code.ABORTED: 409,
    Code.OUT_OF_RANGE: 400,
    Code.UNIMPLEMENTED: 501,
    Code.UNAVAILABLE: 503,
    Code.UNAUTHENTICATED: 401,
}


class StatusError(Exception):
    """A request, or the load of a version, that ended with a status.

    Attributes:
        code: `Code`, never `OK`.
        message: the text a client gets, without the name of the code.
        http_status: of `ToHTTPStatusCode`, where no other is given.
    """

    def __init__(
        self, code: Code, message: str, http_status: int | None = None
    ):
        super().__init__(message)
        self.code = Code(code)
        self.message = message
        self.http_status = http_status or _HTTP_STATUS.get(self.code, 500)

    def __str__(self) -> str:
        return f"{self.code.name}: {self.message}"


# Made by these names; the caller raises it.
invalid_argument = functools.partial(StatusError, Code.INVALID_ARGUMENT)
not_found = functools.partial(StatusError, Code.NOT_FOUND)
failed_precondition = functools.partial(StatusError, Code.FAILED_PRECONDITION)
resource_exhausted = functools.partial(StatusError, Code.RESOURCE_EXHAUSTED)
unimplemented = functools.partial(StatusError, Code.UNIMPLEMENTED)
unavailable = functools.partial(StatusError, Code.UNAVAILABLE)
deadline_exceeded = functools.partial(StatusError, Code.DEADLINE_EXCEEDED)
cancelled = functools.partial(StatusError, Code.CANCELLED)
data_loss = functools.partial(StatusError, Code.DATA_LOSS)
internal = functools.partial(StatusError, Code.INTERNAL)
unknown = functools.partial(StatusError, Code.UNKNOWN)


def status_of(error: BaseException) -> StatusError:
    """A status as a new object, without the traceback of the old one.

    That holds what is to be freed, or is another thread's. What is no status
    is a fault of this server: INTERNAL.
    """
    if isinstance(error, StatusError):
        return StatusError(error.code, error.message, error.http_status)
    return internal(repr(error))
