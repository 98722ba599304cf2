"""The embedded server as an object: models, gRPC port, REST port."""

import asyncio
import threading
import time

from tensorflow_serving.config import model_server_config_pb2

from serving.embedded import status
from serving.embedded.apis.core import Core
from serving.embedded.apis.grpc_server import GrpcServer
from serving.embedded.apis.http_server import HttpServer
from serving.embedded.apis.metrics import Metrics
from serving.embedded.options import ServerOptions
from serving.embedded.run import warmup
from serving.embedded.run.batching import BatchingVersion
from serving.embedded.run.engine import SavedModelVersion
from serving.embedded.versions.manager import ModelManager


class EmbeddedServer:
    """Serves SavedModels over both APIs.

    Usable as a context manager, which starts and stops it:

    ```python
    config = model_config.single_model("half", "/models/half")
    options = ServerOptions(port=0, rest_api_port=0)
    with EmbeddedServer(config, options) as server:
        print(server.grpc_port, server.rest_port)
    ```

    Args:
        config: the models to serve first.
        options: see `ServerOptions`.

    Attributes:
        manager: the models.
        grpc_port: the port in use, None where gRPC is not served.
        rest_port: likewise.

    Raises:
        StatusError: the configuration is not valid.
        OSError: a port is taken.
    """

    def __init__(
        self,
        config: model_server_config_pb2.ModelConfigList,
        options: ServerOptions,
    ):
        self._options = options
        self._metrics = Metrics()
        self.manager = ModelManager(self._load, options)
        self._models = self.manager.reload(config)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="server", daemon=True
        )
        core = Core(self.manager, self._metrics, options)
        self._fronts = []
        self.grpc_port = self.rest_port = None
        try:
            if options.port is not None:
                self._fronts.append(GrpcServer(core, options))
                self.grpc_port = self._fronts[-1].port
            if options.rest_api_port is not None:
                self._fronts.append(HttpServer(core, options))
                self.rest_port = self._fronts[-1].port
        except OSError:
            self.stop()
            raise

    def start(self, go_on=lambda: True) -> None:
        """Loads the models, then listens and answers on the ports.

        As TF Serving does, it waits until every model serves a version;
        until then connections are refused.

        Args:
            go_on: asked every second while models load; False gives up.

        Raises:
            StatusError: a model cannot be loaded, or `go_on` said no.
            OSError: a port was taken meanwhile.
        """
        self.manager.start()
        self.manager.wait_until_available(self._models, go_on)
        self._thread.start()
        for front in self._fronts:
            self._wait_for(front.start())

    def stop(self, grace_seconds: float = 5.0) -> None:
        """Answers the requests under way, then frees everything.

        Args:
            grace_seconds: after this time they are given up.
        """
        end = time.monotonic() + grace_seconds
        self.manager.give_up()
        self._wait_for(self._stop_fronts(max(grace_seconds, 0.1)))
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        self._loop.close()
        self.manager.stop(max(end - time.monotonic(), 0.1))

    async def _stop_fronts(self, grace_seconds: float) -> None:
        """At once: neither port takes what comes while the other drains."""
        await asyncio.gather(*(f.stop(grace_seconds) for f in self._fronts))

    @property
    def is_idle(self) -> bool:
        """Whether no thread runs a request or a load any more; one that was
        given up goes on to its end."""
        return all(part.is_idle for part in (*self._fronts, self.manager))

    def _wait_for(self, coroutine) -> None:
        """Runs a coroutine in the event loop, or here, where it stands."""
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()
        else:
            self._loop.run_until_complete(coroutine)

    def __enter__(self) -> "EmbeddedServer":
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_) -> None:
        self.stop()

    def _load(self, path: str) -> SavedModelVersion | BatchingVersion:
        version = SavedModelVersion(
            path, self._options.xla_cpu_compilation_enabled
        )
        if self._options.batching is not None:
            version = BatchingVersion(version, self._options.batching)
        if not self._options.enable_model_warmup:
            return version
        start = time.perf_counter()
        outcome = "OK"
        try:
            records = warmup.run(version, path, self._options.max_request_bytes)
        except status.StatusError as error:
            records, outcome = 1, error.code.name
            version.close()
            raise
        finally:
            if records:
                self._metrics.model_warmup_latency.add(
                    path, outcome, value=(time.perf_counter() - start) * 1e6
                )
        return version
