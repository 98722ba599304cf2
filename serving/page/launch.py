"""The page as a running web server of this machine."""

import contextlib
import os
import sys

# Gradio reads this at import: no telemetry, no look for a newer version.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
# Nor does it sum up its events with pandas after each of them, which takes
# longer than some answers and, with pandas 3, warns.
os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = str(10**9)

import uvicorn

from serving.client import Client
from serving.client import ServingError
from serving.page import app
from serving.page import examples
from serving.page import guard
from serving.page import ports
from serving.page import uploads
from serving.page.events import Events
from serving.page.handlers import Handlers
from serving.page.model import Model
from yoto_tf.errors import InputError

# A drag must not wait longer to say that the server is gone.
_TIMEOUT_SECONDS = 10.0


@contextlib.contextmanager
def page(
    url,
    name,
    port,
    source=examples.none,
    needs_examples=False,
    hosts=(),
    view=None,
    likely=(),
):
    """Runs the page until the block ends.

    The server need not be there yet: the page says so and waits for it.

    Args:
        url: of the server, as `serving.client.Client` takes it.
        name: of the model.
        port: of the page on 127.0.0.1; 0 takes a free one.
        source: of examples to choose from, see `serving.page.examples`.
        needs_examples: whether the page is of no use without them.
        hosts: names that the page may be called by, besides 127.0.0.1,
            localhost and [::1]: those of a proxy in front of it.
        view, likely: see `serving.page.model.Model`.

    Yields:
        The page's address.

    Raises:
        InputError: for a busy port, a wrong name of a host, or examples that
            are needed and cannot be used.
    """
    hosts = guard.host_names(hosts)
    port = ports.free(port, "--page-port")
    with Client(url, name, timeout=_TIMEOUT_SECONDS, retries=1) as client:
        model = Model(client, name, url, view, likely)
        if needs_examples:
            _load_now(model, source)
        _ask_no_proxy()
        folder = uploads.folder()  # before Gradio asks for it
        blocks = app.build(Handlers(model, _forgiving(source)))
        checks = guard.middleware(folder, Events(blocks), hosts)
        with _bounded_headers():
            blocks.launch(
                prevent_thread_lock=True,
                server_name=ports.HOST,
                server_port=port,
                app_kwargs={"middleware": checks},
                **app.LAUNCH,
            )
        try:
            yield f"http://{ports.HOST}:{port}"
        finally:
            blocks.close(verbose=False)


@contextlib.contextmanager
def _bounded_headers():
    """Has uvicorn read requests with h11, which takes 64 KiB of headers.

    By itself it takes httptools where that is installed, which keeps headers
    of any size; Gradio, which starts it, leaves no choice.
    """
    automatic = uvicorn.config.HTTP_PROTOCOLS["auto"]
    uvicorn.config.HTTP_PROTOCOLS["auto"] = uvicorn.config.HTTP_PROTOCOLS["h11"]
    try:
        yield
    finally:
        uvicorn.config.HTTP_PROTOCOLS["auto"] = automatic


def _ask_no_proxy():
    """Gradio looks whether its page can be reached, by a proxy if one is set,
    and does not start where that proxy does not know this machine."""
    for variable in ("NO_PROXY", "no_proxy"):
        others = os.environ.get(variable)
        os.environ[variable] = ",".join(filter(None, [others, ports.HOST]))


def _load_now(model, source):
    """Fails at the start for examples that cannot be used."""
    try:
        shapes = dict(model.facts().shapes)
    except ServingError:
        return  # known when the server comes
    source(shapes)


def _forgiving(source):
    """The same source, without examples where it fails."""

    def load(shapes):
        try:
            return source(shapes)
        except InputError as error:
            print(f"note: no examples to choose from: {error}", file=sys.stderr)
            return examples.none(shapes)

    return load
