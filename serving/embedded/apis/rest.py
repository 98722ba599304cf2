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
from google.protobuf import message
from starlette.responses import Response
from tensorflow_serving.apis import get_model_metadata_pb2
from tensorflow_serving.apis import get_model_status_pb2
from tensorflow_serving.apis import model_pb2

from serving.embedded.apis.core import Core
from serving.embedded.json import text as json_text
from serving.embedded.status import Code
from serving.embedded.status import StatusError
from serving.embedded.status import invalid_argument

# util/net_http/server/public/httpserver_interface.h
_MAX_INFLATED_BYTES = 100 * 2**20

_FLAGS = re.IGNORECASE | re.ASCII | re.DOTALL
_API = re.compile("/v1/.*", _FLAGS)
_VERSION_OR_LABEL = r"(?:/versions/(\d+)|/labels/([^/:]+))?"
_POST = re.compile(
    f"/v1/models/([^/:]+){_VERSION_OR_LABEL}:(classify|regress|predict)",
    _FLAGS,
)
_GET = re.compile(
    f"/v1/models(?:/([^/:]+))?{_VERSION_OR_LABEL}(?:/(metadata))?", _FLAGS
)


class RestApi:
    """Answers HTTP requests.

    Args:
        core: the loaded models.
        metrics_path: path of the metrics page, None for no page.
    """

    def __init__(self, core: Core, metrics_path: str | None):
        self._core = core
        self._metrics_path = metrics_path

    def handle(
        self, method: str, target: str, body: bytes, origin: str
    ) -> Response:
        """Answers one request.

        Args:
            method: GET, POST, ...
            target: path and query as sent. TF Serving matches both together,
                so `:predict?x=1` is malformed.
            body: the body, inflated.
            origin: the Origin header, for OPTIONS.
        """
        if self._metrics_path and target == self._metrics_path:
            return _reply(200, self._core.metrics.page(), "text/plain")
        if not _API.fullmatch(target):
            # What libevent answers where no handler is registered.
            shown = html.escape(target)
            text = (
                "<HTML><HEAD>\n<TITLE>404 Not Found</TITLE>\n</HEAD><BODY>\n"
                f"<H1>Not Found</H1>\n<P>The requested URL {shown} was not "
                "found on this server.</P>\n</BODY></HTML>\n"
            )
            return _reply(404, text, "text/html")
        if method == "OPTIONS":
            if re.match("https?://", origin):
                return _reply(200, "")
            return failure(
                StatusError(
                    Code.FAILED_PRECONDITION,
                    "OPTIONS needs an Origin header of http:// or https://",
                )
            )
        pattern = {"POST": _POST, "GET": _GET}.get(method)
        match = pattern and pattern.fullmatch(target)
        if match is None:
            return failure(_malformed(method, target))
        if not match[1]:
            return failure(invalid_argument("Missing model name in request."))
        api = "predict" if match[4] == "predict" else ""
        try:
            # Over REST questions about a model count as well as predictions.
            with self._core.metrics.request(_unquote(match[1]), api, "REST"):
                return _reply(200, self._answer(method, match, body))
        except StatusError as error:
            return failure(error)

    def _answer(self, method: str, match: re.Match, body: bytes) -> str | bytes:
        spec = _model_spec(*match.group(1, 2, 3))
        if method == "GET" and match[4] is None:
            return self._status(spec)
        # The verb is matched in any case and compared in lower case.
        if match[4] == "predict":
            return self._core.predict_json(spec, body)
        if match[4] in ("classify", "regress"):
            raise StatusError(
                Code.UNIMPLEMENTED,
                f"The embedded server answers :predict, not :{match[4]}",
            )
        if match[4] == "metadata":
            request = get_model_metadata_pb2.GetModelMetadataRequest(
                model_spec=spec, metadata_field=["signature_def"]
            )
            return _metadata_json(self._core.metadata(request))
        if method == "GET":  # another spelling of "metadata"
            return self._status(spec)
        raise _malformed(method, match[0])

    def _status(self, spec: model_pb2.ModelSpec) -> str:
        request = get_model_status_pb2.GetModelStatusRequest(model_spec=spec)
        return _json(self._core.status(request))


def _malformed(method: str, target: str) -> StatusError:
    return invalid_argument(f"Malformed request: {method} {target}")


def failure(error: StatusError, status: int | None = None) -> Response:
    """The reply to a request that ended with an error."""
    return _reply(status or error.http_status, json_text.error_body(error))


def _reply(
    status: int, body: str | bytes, content_type: str = "application/json"
) -> Response:
    if isinstance(body, str):
        body = body.encode("utf-8", "replace")
    return Response(body, status, {"content-type": content_type})


def inflate(body: bytes, max_bytes: int) -> bytes:
    """Unpacks a body with `Content-Encoding: gzip`.

    Args:
        body: the compressed bytes.
        max_bytes: limit of the result; TF Serving's own is 100 MiB.

    Returns:
        The unpacked bytes; none where the body is not gzip or too large, as
        TF Serving goes on with.
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
        if int(version[:30]) >= 2**63:
            raise invalid_argument(
                f"Failed to convert version: {version} to numeric."
            )
        spec.version.value = int(version)
    if label:
        spec.version_label = _unquote(label)
    return spec


def _unquote(text: str) -> str:
    return urllib.parse.unquote(text, errors="replace")


def _metadata_json(
    reply: get_model_metadata_pb2.GetModelMetadataResponse,
) -> str:
    """The metadata without the type that JSON notes with an Any."""
    fields = json.loads(_json(reply))
    for value in fields["metadata"].values():
        value.pop("@type", None)
    return json.dumps(fields, indent=4, ensure_ascii=False)


def _json(reply: message.Message) -> str:
    return json_format.MessageToJson(
        reply,
        indent=4,
        preserving_proto_field_name=True,
        always_print_fields_with_no_presence=True,
    )
