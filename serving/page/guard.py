"""What the page's web server refuses before Gradio sees it.

Any web site that somebody visits can send requests to 127.0.0.1, and Gradio
offers more than the page uses: files of the disk by name, a proxy, events
whose file is a URL that it fetches. So a request has to name the page's own
host, come from the page itself, and be one of those that the page makes.
"""

import ipaddress
import json
import re
import urllib.parse

from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse

from serving.page.events import Malformed
from serving.page.uploads import Full
from yoto_tf.errors import InputError

MAX_PICTURE_BYTES = 50 * 2**20
_OWN_HOSTS = ("127.0.0.1", "localhost", "[::1]")
_HOST_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9-]+)*", re.I)
_GET = re.compile(
    r"/|/(config|theme\.css|favicon\.ico|manifest\.json|robots\.txt)"
    r"|/(assets|static|svelte)/.{1,200}"
    r"|/gradio_api/(startup-events|queue/data|upload_progress)"
    r"|/gradio_api/heartbeat/\w+"
)
_ANSWERS = "/gradio_api/queue/data"
_EVENT, _UPLOAD = "/gradio_api/queue/join", "/gradio_api/upload"
# Of a request's body: an event is two sliders and the name of a file.
_MAX_BYTES = {_EVENT: 2**18, _UPLOAD: MAX_PICTURE_BYTES + 2**16}


def host_names(names):
    """Checks names that the page may be called by, besides this machine's.

    Args:
        names: host names or addresses, without a port.

    Returns:
        Tuple of them, IPv6 addresses in brackets as in a URL.

    Raises:
        InputError: for anything else, wildcards included.
    """
    return tuple(_host_name(name) for name in names)


def _host_name(name):
    try:
        address = ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        if _HOST_NAME.fullmatch(name):
            return name.lower()
        raise InputError(
            "expected --page-hosts as names or addresses without a port, "
            f"received: {name!r}"
        ) from None
    return f"[{address}]" if address.version == 6 else str(address)


def middleware(uploads, events, hosts=()):
    """What stands before Gradio, for the `middleware` of its FastAPI.

    Args:
        uploads: `UploadFolder` that Gradio writes to.
        events: `Events` of the page.
        hosts: of `host_names`.
    """
    return [
        Middleware(
            TrustedHostMiddleware,
            allowed_hosts=[*_OWN_HOSTS, *hosts],
            www_redirect=False,
        ),
        Middleware(Guard, uploads=uploads, events=events, hosts=hosts),
    ]


class _Refused(Exception):
    def __init__(self, status, sentence):
        super().__init__(sentence)
        self.status = status


class Guard:
    """ASGI middleware that lets the page's own requests through.

    Args:
        app: ASGI application, Gradio's.
        uploads: `UploadFolder`.
        events: `Events`.
        hosts: further names of the page, for the `Origin` of a proxy that
            changes `Host`.
    """

    def __init__(self, app, uploads, events, hosts=()):
        self._app = app
        self._uploads = uploads
        self._events = events
        self._hosts = hosts

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        try:
            await self._answer(scope, receive, send)
        except _Refused as error:
            answer = PlainTextResponse(str(error), error.status)
            await answer(scope, receive, send)

    async def _answer(self, scope, receive, send):
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        headers = {k.decode("latin-1"): v for k, v in scope["headers"]}
        self._check_origin(headers)
        method = scope.get("method")  # none of a web socket
        if method in ("GET", "HEAD") and _GET.fullmatch(path):
            if path == _ANSWERS:
                self._check_session(scope["query_string"])
            await self._app(scope, receive, send)
        elif method == "POST" and path in _MAX_BYTES:
            size = _body_size(headers, _MAX_BYTES[path])
            if path == _UPLOAD:
                await self._upload(size, scope, receive, send)
            else:
                body = await _body(receive)
                self._check_event(body)
                await self._app(scope, _replayed(body, receive), send)
        else:
            raise _Refused(404, "the page has nothing of this name")

    def _check_origin(self, headers):
        """Browsers say which site a request is from; programs need not."""
        origin = headers.get("origin")
        if origin is None:
            return
        try:
            parts = urllib.parse.urlsplit(origin.decode("latin-1"))
            host = parts.hostname or ""
        except ValueError:
            raise _Refused(403, "the Origin cannot be read") from None
        own = headers.get("host", b"").decode("latin-1")
        name = f"[{host}]" if ":" in host else host
        if parts.netloc.lower() != own.lower() and name not in self._hosts:
            raise _Refused(403, "requests of other web sites are not answered")

    def _check_session(self, query):
        asked = urllib.parse.parse_qs(query.decode("latin-1"))
        # As Gradio, the last of several.
        session = asked.get("session_hash", [""])[-1]
        if not self._events.is_waiting(session):
            raise _Refused(404, "no event of this session_hash is waiting")

    async def _upload(self, size, scope, receive, send):
        try:
            with self._uploads.room_for(size):
                await self._app(scope, receive, send)
        except Full as error:
            raise _Refused(503, str(error)) from error

    def _check_event(self, body):
        """Refuses events that are not the page's, and those with files that
        were not uploaded here; Gradio would fetch one whose path is a URL."""
        try:
            event = json.loads(body)
        except (ValueError, RecursionError):
            raise _Refused(400, "expected an event as JSON") from None
        self._check_files(event)
        try:
            self._events.check(event)
        except Malformed as error:
            raise _Refused(400, str(error)) from None

    def _check_files(self, event):
        waiting = [event]
        while waiting:
            value = waiting.pop()
            if isinstance(value, dict):
                if "path" in value and not self._uploads.holds(value["path"]):
                    raise _Refused(
                        403, "expected a file that was uploaded to this page"
                    )
                waiting += value.values()
            elif isinstance(value, list):
                waiting += value


def _body_size(headers, limit):
    try:
        size = int(headers["content-length"])
    except (KeyError, ValueError):
        raise _Refused(411, "expected a Content-Length") from None
    if size > limit:
        raise _Refused(413, f"expected at most {limit:,} bytes")
    return size


async def _body(receive):
    pieces = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise _Refused(400, "the request was cut off")
        pieces.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(pieces)


def _replayed(body, receive):
    """`receive` of an ASGI application, with a body that was read before."""
    first = [{"type": "http.request", "body": body}]

    async def again():
        return first.pop() if first else await receive()

    return again
