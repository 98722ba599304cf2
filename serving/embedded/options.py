"""The options of a server; the defaults are TF Serving's where it has them."""

import dataclasses

from serving.embedded.run.batching import BatchingOptions


@dataclasses.dataclass(frozen=True)
class ServerOptions:
    """Ports, bounds, and how versions are found and loaded.

    Attributes:
        grpc_port: on 127.0.0.1; 0 takes a free one, None serves no gRPC.
        rest_port: on 127.0.0.1; 0 takes a free one, None serves no REST.
        grpc_threads: gRPC requests answered at once.
        rest_threads: REST requests answered at once.
        grpc_health: serve grpc.health.v1.
        queue: requests of each API that may wait for a thread.
        max_request_bytes: limit of a request and of each of its tensors.
        rest_timeout_seconds: limit of the arrival of a REST request, of its
            answer, and of the fetching of that.
        metrics_path: path of the Prometheus page, None for none.
        warmup: replay warm-up requests at each load.
        batching: how requests are put together, None for each alone.
        poll_wait_seconds: time between looks for versions; 0 looks once, a
            negative number never.
        max_load_retries: loads tried again after a first failure.
        load_retry_seconds: time between them.
        allow_labels_for_unavailable: a new label may name a version that is
            not loaded.
    """

    grpc_port: int | None = 8500
    rest_port: int | None = 8501
    grpc_threads: int = 8
    rest_threads: int = 8
    grpc_health: bool = False
    queue: int = 256
    max_request_bytes: int = 64 * 2**20
    rest_timeout_seconds: float = 30.0
    metrics_path: str | None = None
    warmup: bool = True
    batching: BatchingOptions | None = None
    poll_wait_seconds: float = 1
    max_load_retries: int = 5
    load_retry_seconds: float = 60
    allow_labels_for_unavailable: bool = False
