"""From parsed flags to a running server and back to an exit code."""

import gc
import logging
import os
import sys
import threading

import tensorflow as tf

from serving.embedded import model_config
from serving.embedded import status
from serving.embedded.options import ServerOptions
from serving.embedded.server import EmbeddedServer

_logger = logging.getLogger("serving.server")


def serve(flags: ServerOptions, stop: threading.Event) -> int:
    """Serves until `stop` is set.

    Args:
        flags: of `flags.parse`.
        stop: set to end: requests under way are then answered.

    Returns:
        0, or 1 when a model or a port fails, or 2 for a wrong file.
    """
    # Its notices of old names are of no use to a user of the server.
    tf.get_logger().setLevel(logging.ERROR)
    try:
        config, options = model_config.read(flags)
    except status.StatusError as error:
        return _fail(2, error.message)
    _logger.info(
        "A development and test server with TF Serving's APIs; for anything "
        "past this machine use TF Serving."
    )
    for name in flags.without_effect:
        _logger.warning("--%s has no effect in this server", name)
    # TensorFlow's million objects are here to stay. Without this, Python's
    # collector goes through them again and again, for half a second in which
    # no request is answered. Models come later: they can be collected.
    gc.collect()
    gc.freeze()
    # The lists of a JSON document are no garbage either, and a large one has
    # a million: fewer rounds over what is new.
    gc.set_threshold(100_000)
    for model in config.config:
        _logger.info("Model %s: versions under %s", model.name, model.base_path)
    server = None
    try:
        server = EmbeddedServer(config, options)
        server.start(lambda: not stop.is_set())
    except (status.StatusError, OSError) as error:
        if stop.is_set():
            _logger.info("Stopping while models load.")
        if server is not None:
            server.stop(0)
        if stop.is_set():
            return _ended(server)
        hint = ""
        if getattr(error, "code", None) == status.Code.FAILED_PRECONDITION:
            hint = (
                " (a first start with labels needs "
                "--allow_version_labels_for_unavailable_models)"
            )
        return _fail(1, f"Failed to start server. Error: {error}{hint}")
    if server.grpc_port is not None:
        _logger.info("gRPC on 127.0.0.1:%d", server.grpc_port)
    if server.rest_port is not None:
        _logger.info("REST on http://127.0.0.1:%d", server.rest_port)
    follow(options, server, stop)
    _logger.info("Stopping: answering the requests under way.")
    server.stop(flags.drain_seconds)
    _logger.info("Stopped.")
    return _ended(server)


def _ended(server: EmbeddedServer | None) -> int:
    if server is not None and not server.is_idle:
        # Python would wait for the threads of what was given up.
        logging.shutdown()
        os._exit(0)
    return 0


def follow(
    options: ServerOptions, server: EmbeddedServer, stop: threading.Event
) -> None:
    """Reads a models.config again and again, until `stop`. As TF Serving does
    it, each time takes the place of what was asked for by gRPC since."""
    path, last = options.model_config_file, None
    wait = options.model_config_file_poll_wait_seconds if path else 0
    while not stop.wait(wait or None):
        try:
            config = model_config.read_models(path)
            server.manager.reload(config)
            if config != last:
                _logger.info("Read %s", path)
            last = config
        except status.StatusError as error:
            _logger.error("%s is not used: %s", path, error.message)


def _fail(code: int, sentence: str) -> int:
    print(f"python -m serving.server: {sentence}", file=sys.stderr)
    return code
