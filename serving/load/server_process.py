"""`serving.server` as a process of its own, on free ports."""

import http.client
import json
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

from serving import signals
from yoto_tf.errors import InputError

_ROOT = pathlib.Path(__file__).parents[2]
_LOAD_SECONDS = 300


class ServerProcess:
    """An embedded server for one model.

    Usable as a context manager, which ends it.

    Args:
        name: of the model.
        base: its folder, which holds the versions.
        flags: more flags of `serving.server`.

    Attributes:
        urls: of gRPC and REST.
        pid: of the process.
    """

    def __init__(
        self, name: str, base: pathlib.Path, flags: tuple[str, ...] = ()
    ):
        grpc, rest = _free_ports(2)
        self.urls = (f"grpc://127.0.0.1:{grpc}", f"http://127.0.0.1:{rest}")
        self._log = tempfile.TemporaryFile()
        self._process = None
        try:
            # What ends the benchmark while it starts the server ends both.
            with signals.held_back():
                self._process = subprocess.Popen(
                    [
                        sys.executable,
                        *("-m", "serving.server"),
                        f"--model_name={name}",
                        f"--model_base_path={base.absolute()}",
                        f"--port={grpc}",
                        f"--rest_api_port={rest}",
                        # Large batches as JSON take a busy machine a while.
                        "--rest_api_timeout_in_ms=300000",
                        *flags,
                    ],
                    cwd=_ROOT,
                    stderr=self._log,
                    # Ctrl-C is the benchmark's to handle.
                    start_new_session=True,
                )
            self.pid = self._process.pid
            self._wait(name)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Ends the server as its users do, by SIGTERM."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._log.close()

    def __enter__(self) -> "ServerProcess":
        return self

    def __exit__(self, *_) -> None:
        self.stop()

    def _wait(self, name: str) -> None:
        end = time.monotonic() + _LOAD_SECONDS
        while time.monotonic() < end and self._process.poll() is None:
            if is_available(self.urls[1], name):
                return
            time.sleep(0.1)
        self._log.seek(0)
        lines = self._log.read().decode("utf-8", "replace").splitlines()
        raise InputError(f"the server does not start: {(lines or ['?'])[-1]}")


def is_available(url: str, name: str) -> bool:
    """Whether a server at an http:// URL serves a version of a model."""
    try:
        with urllib.request.urlopen(f"{url}/v1/models/{name}", timeout=10) as r:
            versions = json.load(r)["model_version_status"]
        return any(v["state"] == "AVAILABLE" for v in versions)
    except (OSError, http.client.HTTPException):
        return False
    except (ValueError, LookupError, TypeError, RecursionError):
        return False  # no answer of TF Serving's


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]
    finally:
        for s in sockets:
            s.close()
