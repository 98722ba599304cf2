"""What can go wrong with a request, and what to do about it."""

import contextlib


class ServingError(Exception):
    """A request that got no answer. The text says what to do."""


class InvalidRequest(ServingError, ValueError):
    """The request is wrong: refused before it was sent, or by the server.
    Another try fails too."""


class NotFound(ServingError):
    """No such model, version, label or signature at this server."""


class Unavailable(ServingError):
    """No server answers at the address, or none is ready. Tried again until
    the time was up."""


class DeadlineExceeded(ServingError, TimeoutError):
    """No answer within the client's `timeout`."""


class ResourceExhausted(ServingError):
    """The request is larger than the server takes, or its queue is full."""


class ServerFault(ServingError):
    """The server failed, or its answer cannot be read."""


# Both APIs report an unknown label as a bad argument.
_NOT_FOUND_TEXTS = (
    "Unrecognized servable version label",
    "Serving signature key",
    "Serving signature name",
)


def from_status(code, text, target):
    """Makes the error for a status of TF Serving; the caller raises it.

    Args:
        code: name of the canonical code, as `"NOT_FOUND"`.
        text: the server's message.
        target: what was asked, `Target`.
    """
    # From here on, names of nodes in the graph.
    text = str(text).partition("\n\t [[")[0].strip()
    if text.startswith(_NOT_FOUND_TEXTS):
        return NotFound(f"{target}: {text}")
    match code:
        case "INVALID_ARGUMENT" | "OUT_OF_RANGE":
            return InvalidRequest(f"{target} refused the request: {text}")
        case "NOT_FOUND":
            return NotFound(f"{target}: {text}")
        case "UNAVAILABLE":
            return Unavailable(
                f"no answer from {target}: {text}; is the server running?"
            )
        case "DEADLINE_EXCEEDED":
            return DeadlineExceeded(
                f"no answer from {target} in time: {text}; send fewer rows "
                "per request or raise the client's timeout"
            )
        case "RESOURCE_EXHAUSTED":
            return ResourceExhausted(
                f"{target} takes no more: {text}; send fewer rows per "
                "request or fewer requests at once"
            )
        case "FAILED_PRECONDITION":
            return ServerFault(
                f"{target} cannot answer: {text}; was this version copied "
                "in full?"
            )
        case _:
            return ServerFault(
                f"{target} failed with {code}: {text}; the server's log may "
                "say more"
            )


@contextlib.contextmanager
def reading(target, *more):
    """Turns whatever a malformed answer causes into `ServerFault`.

    Args:
        target: what was asked.
        *more: errors of the packages that read it.
    """
    try:
        yield
    except (
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        RecursionError,
        *more,
    ) as error:
        raise ServerFault(
            f"the answer of {target} is none of TF Serving's: "
            f"{type(error).__name__}: {error}"
        ) from error
