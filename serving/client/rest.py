"""TF Serving's REST API. Needs neither gRPC nor TensorFlow."""

import http.client
import json
import os
import time
import urllib.parse

import urllib3

from serving.client import errors
from serving.client import json_values
from serving.client import metadata
from serving.client.errors import InvalidRequest
from serving.client.errors import ServerFault

# Idle connections that are kept, one for each thread of a busy client.
_CONNECTIONS = 64
_READ_BYTES = 2**20
# TF Serving's `ToHTTPStatusCode`, backwards as far as that goes.
_CODES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    413: "RESOURCE_EXHAUSTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class RestTransport:
    """Asks one server over HTTP. Threads may share it.

    Args:
        target: the server, `Target`.
    """

    def __init__(self, target):
        self._target = target
        self._pool, self._process = None, None

    def close(self):
        if self._pool is not None:
            self._pool.close()

    def _connections(self):
        """The pool of this process: one that was forked with connections in it
        would read the answers of the other."""
        process = os.getpid()
        if self._process != process:
            self._pool = urllib3.HTTPConnectionPool(
                self._target.host, self._target.port, maxsize=_CONNECTIONS
            )
            self._process = process
        return self._pool

    def status(self, target, seconds):
        """Asks for the state of the versions.

        Args:
            target: `Target`; its label counts for nothing here.
            seconds: limit of this call.

        Returns:
            list of `(version, state, error message)`.

        Raises:
            ServingError: no answer, or one that says so.
        """
        reply = self._ask(target, "GET", "", None, seconds)
        with errors.reading(target):
            return [
                (
                    int(version["version"]),
                    version["state"],
                    version.get("status", {}).get("error_message", ""),
                )
                for version in reply["model_version_status"]
            ]

    def metadata(self, target, seconds):
        """Asks for the version and the signatures; see `status`.

        Returns:
            `Metadata`.
        """
        reply = self._ask(target, "GET", "/metadata", None, seconds)
        with errors.reading(target):
            signatures = reply["metadata"]["signature_def"]["signature_def"]
            return metadata.make(
                reply["model_spec"]["version"],
                {
                    name: (_specs(found, "inputs"), _specs(found, "outputs"))
                    for name, found in signatures.items()
                },
            )

    def predict(self, target, name, signature, inputs, seconds):
        """Runs a signature; see `status`.

        Args:
            name: of the signature.
            signature: `Signature`.
            inputs: dict: name -> NumPy array.

        Returns:
            dict: name -> NumPy array.
        """
        for alias, array in inputs.items():
            if array.ndim > 1 and not array.size:
                raise InvalidRequest(
                    f"{name}: expected one or more rows of {alias}, of whose "
                    "shape JSON could not tell else, received: "
                    f"{array.dtype} {array.shape}"
                )
            if array.dtype.kind == "c":
                raise InvalidRequest(
                    f"{name}: expected {alias} over gRPC, as JSON has no "
                    f"complex numbers, received: {array.dtype}"
                )
        body = json.dumps(
            {
                "signature_name": name,
                "inputs": {
                    k: json_values.to_json(v) for k, v in inputs.items()
                },
            }
        ).encode()
        reply = self._ask(target, "POST", ":predict", body, seconds)
        with errors.reading(target):
            outputs = reply["outputs"]
            if len(signature.outputs) == 1:
                # The name of a single output is left out.
                outputs = {next(iter(signature.outputs)): outputs}
            return {
                alias: json_values.from_json(value, signature.outputs[alias])
                for alias, value in outputs.items()
            }

    def _ask(self, target, method, suffix, body, seconds):
        """Sends a request; returns the body of the reply, parsed."""
        end = time.monotonic() + seconds
        try:
            response = self._connections().request(
                method,
                _path(target) + suffix,
                body=body,
                headers={"Content-Type": "application/json"},
                timeout=urllib3.Timeout(
                    total=seconds, connect=_connect_seconds(seconds)
                ),
                retries=False,
                redirect=False,
                preload_content=False,
            )
            text = _read(response, end)
        except urllib3.exceptions.HTTPError as error:
            raise _failure(error, target, seconds) from error
        if response.status == 200 and not text:
            # Cut off in the head, which then names no length.
            raise errors.from_status("UNAVAILABLE", "no body", target)
        if response.status != 200:
            code = _CODES.get(response.status, f"HTTP {response.status}")
            raise errors.from_status(code, _error_text(text), target)
        with errors.reading(target):
            # Python's parser takes NaN and Infinity, as TF Serving writes.
            return json.loads(text)


def _connect_seconds(seconds):
    """For each address of a name: pods that are gone say nothing, and those
    behind them in the list are to be asked in time."""
    return min(seconds, max(1.0, seconds / 4))


def _failure(error, target, seconds):
    """The error for a request that got no whole answer."""
    code, text = "UNAVAILABLE", str(error)
    match error:
        case urllib3.exceptions.NewConnectionError():
            pass  # refused, no such host, no way there; a TimeoutError too
        case urllib3.exceptions.ConnectTimeoutError():
            pass  # another try may find another address
        case urllib3.exceptions.TimeoutError():
            code, text = "DEADLINE_EXCEEDED", f"{seconds:.1f} s have passed"
        case urllib3.exceptions.ProtocolError():
            if _speaks_something_else(error):
                return ServerFault(
                    f"{target.netloc} does not speak HTTP: is it the gRPC "
                    f"port? Then use grpc://{target.netloc}"
                )
        case _:
            code = "UNKNOWN"
    return errors.from_status(code, text, target)


def _path(target):
    path = f"/v1/models/{urllib.parse.quote(target.model, safe='')}"
    if target.version is not None:
        return f"{path}/versions/{target.version}"
    if target.label is not None:
        return f"{path}/labels/{urllib.parse.quote(target.label, safe='')}"
    return path


def _read(response, end):
    """The body, unless it takes longer than until `end`."""
    parts = []
    try:
        while part := response.read1(_READ_BYTES):
            parts.append(part)
            if time.monotonic() > end:
                raise urllib3.exceptions.TimeoutError
    except BaseException:
        # The rest of this body must not be read as the next answer.
        response.close()
        raise
    response.release_conn()
    return b"".join(parts)


def _speaks_something_else(error):
    cause = error.args[-1]
    return isinstance(cause, http.client.BadStatusLine) and not isinstance(
        cause, http.client.RemoteDisconnected
    )


def _error_text(body):
    try:
        return json.loads(body)["error"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return body[:200].decode("utf-8", "replace")


def _specs(signature, side):
    return {
        name: (tensor["dtype"], _sizes(tensor.get("tensor_shape", {})))
        for name, tensor in signature.get(side, {}).items()
    }


def _sizes(shape):
    if shape.get("unknown_rank"):
        return None
    return [dim["size"] for dim in shape.get("dim", [])]
