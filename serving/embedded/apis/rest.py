"""The REST API: from method, path and body to status and body.

Follows TF Serving's `model_servers/http_rest_api_handler.cc` and
`http_rest_api_util.cc`. Knows nothing of sockets: `http_server` brings the
requests.
"""

import html
import json
import re
import urllib.parse
import zlib

from google.protobuf import json_format
from google.protobuf.message import Message
from starlette.responses import Response
from tensorflow_serving.apis import get_model_metadata_pb2
from tensorflow_serving.apis import get_model_status_pb2
from tensorflow_serving.apis import model_pb2

from serving.embedded import status
from serving.embedded.apis.core import Core
from serving.embedded.options import ServerOptions

# util/net_http/server/public/httpserver_interface.h
_MAX_INFLATED_BYTES = 100 * 2**20

_FLAGS = re.IGNORECASE | re.ASCII | re.DOTALL
_API = re.compile("/v1/.*", _FLAGS)
_VERSION_OR_LABEL = r"(?:/versions/(\d+)|/labels/([^/:]+))?"
_PATTERNS = {
    "POST": re.compile(
        f"/v1/models/([^/:]+){_VERSION_OR_LABEL}:(classify|regress|predict)",
        _FLAGS,
    ),
    "GET": re.compile(
        f"/v1/models(?:/([^/:]+))?{_VERSION_OR_LABEL}(?:/(metadata))?", _FLAGS
    ),
}
_NOTHING = re.compile("(?!)")


class RestApi:
    """Answers HTTP requests."""

    def __init__(self, core: Core, options: ServerOptions):
        self._core = core
        self._options = options

    def handle(
        self, method: str, target: str, headers: dict, body: bytes
    ) -> Response:
        """Answers one request, or raises a StatusError.

        Args:
            method: GET, POST, ...
            target: path and query as sent. TF Serving matches both together,
                so `:predict?x=1` is malformed.
            headers: lower-case name -> value, in bytes.
            body: as it came.
        """
        if target == self._options.metrics_path:
            return reply(self._core.metrics.page(), content_type="text/plain")
        if not _API.fullmatch(target):
            # What libevent answers where no handler is registered.
            shown = html.escape(target)
            text = (
                "<HTML><HEAD>\n<TITLE>404 Not Found</TITLE>\n</HEAD><BODY>\n"
                f"<H1>Not Found</H1>\n<P>The requested URL {shown} was not "
                "found on this server.</P>\n</BODY></HTML>\n"
            )
            return reply(text, 404, "text/html")
        if method == "OPTIONS":
            if not re.match(b"https?://", headers.get(b"origin", b"")):
                raise status.failed_precondition(
                    "OPTIONS needs an Origin header of http:// or https://"
                )
            return reply("")
        match = _PATTERNS.get(method, _NOTHING).fullmatch(target)
        if match is None:
            raise _malformed(method, target)
        if not match[1]:
            raise status.invalid_argument("Missing model name in request.")
        if headers.get(b"content-encoding", b"").lower() == b"gzip":
            body = inflate(body, self._options.max_request_bytes)
        api = "predict" if match[4] == "predict" else ""
        # Over REST questions about a model count as well as predictions.
        with self._core.metrics.request(_unquote(match[1]), api, "REST"):
            return reply(self._answer(method, match, body))

    def _answer(self, method: str, match: re.Match, body: bytes) -> str | bytes:
        spec = _model_spec(*match.group(1, 2, 3))
        # The verb is matched in any case and compared in lower case.
        if match[4] == "predict":
            return self._core.predict_json(spec, body)
        if match[4] in ("classify", "regress"):
            raise status.unimplemented(
                f"The embedded server answers :predict, not :{match[4]}"
            )
        if match[4] == "metadata":
            request = get_model_metadata_pb2.GetModelMetadataRequest(
                model_spec=spec, metadata_field=["signature_def"]
            )
            return _json(self._core.metadata(request))
        if method == "GET":
            request = get_model_status_pb2.GetModelStatusRequest(
                model_spec=spec
            )
            return _json(self._core.status(request))
        raise _malformed(method, match[0])


def _malformed(method: str, target: str) -> status.StatusError:
    return status.invalid_argument(f"Malformed request: {method} {target}")


def reply(
    body: str | bytes,
    code: int = 200,
    content_type: str = "application/json",
) -> Response:
    """An HTTP reply."""
    if isinstance(body, str):
        body = body.encode("utf-8", "replace")
    return Response(body, code, {"content-type": content_type})


def inflate(body: bytes, max_bytes: int) -> bytes:
    """Unpacks a body with `Content-Encoding: gzip`.

    One that is not gzip or too large is empty: TF Serving goes on with that.
    """
    limit = min(max_bytes, _MAX_INFLATED_BYTES)
    unpacker = zlib.decompressobj(wbits=31)
    try:
        unpacked = unpacker.decompress(body, limit + 1)
    except zlib.error:
        return b""
    return unpacked if len(unpacked) <= limit and unpacker.eof else b""


def _model_spec(name: str, version: str, label: str) -> model_pb2.ModelSpec:
    spec = model_pb2.ModelSpec(name=_unquote(name))
    if version:
        # Python reads no number of thousands of digits.
        digits = version.lstrip("0") or "0"
        if len(digits) > 19 or int(digits) >= 2**63:
            raise status.invalid_argument(
                f"Failed to convert version: {version} to numeric."
            )
        spec.version.value = int(digits)
    if label:
        spec.version_label = _unquote(label)
    return spec


def _unquote(text: str) -> str:
    return urllib.parse.unquote(text, errors="replace")


def _json(reply: Message) -> str:
    fields = json_format.MessageToDict(
        reply,
        preserving_proto_field_name=True,
        always_print_fields_with_no_presence=True,
    )
    # The type that JSON notes with an Any, which is no part of the answer.
    fields.get("metadata", {}).get("signature_def", {}).pop("@type", None)
    return json.dumps(fields, indent=4, ensure_ascii=False)
