"""The one set of options: what the command line sets and a server reads.

Names, meanings and defaults are those of the flags of TF Serving's
`model_servers/main.cc`.
"""

import dataclasses
import os

_THREADS = 4 * (os.cpu_count() or 1)


@dataclasses.dataclass(frozen=True)
class BatchingOptions:
    """How requests are put together, as TF Serving's BatchingParameters."""

    max_batch_size: int = 1000
    batch_timeout_micros: int = 0
    max_enqueued_batches: int = 10
    num_batch_threads: int = os.cpu_count() or 1
    allowed_batch_sizes: tuple[int, ...] = ()


def _flag(default, text: str, *bounds: int):
    """A field that is a flag; `bounds` are those of a number."""
    metadata = {"text": text, "bounds": bounds}
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class ServerOptions:
    """What the help of the command line tells, but for the ports.

    Attributes:
        port: gRPC, on 127.0.0.1; 0 takes a free one, None serves no gRPC.
        rest_api_port: REST, likewise.
        metrics_path: path of the Prometheus page, None for none.
        batching: how requests are put together, None for each alone.
        without_effect: flags that were given and do nothing.
    """

    model_name: str = _flag(
        "default", "name of the model; not used with --model_config_file"
    )
    model_base_path: str = _flag(
        "",
        "directory that holds the versions, DIR/1, DIR/2, ...; not used "
        "with --model_config_file",
    )
    model_config_file: str = _flag(
        "",
        "text proto ModelServerConfig: several models, version policies "
        "and labels",
    )
    model_config_file_poll_wait_seconds: int = _flag(
        0,
        "time between looks at a changed --model_config_file; 0 reads it once",
        0,
    )
    monitoring_config_file: str = _flag(
        "",
        "text proto MonitoringConfig: serves Prometheus metrics on the "
        "REST port",
    )
    port: int | None = _flag(8500, "gRPC port; 0 for no gRPC", 0, 65535)
    rest_api_port: int | None = _flag(
        8501, "REST port; 0 for no REST (TF Serving's own default)", 0, 65535
    )
    rest_api_timeout_in_ms: int = _flag(
        30000, "time for a REST request to arrive, and again for its answer", 1
    )
    rest_api_num_threads: int = _flag(
        _THREADS, "REST requests answered at once", 1
    )
    grpc_max_threads: int = _flag(_THREADS, "gRPC requests answered at once", 1)
    enable_grpc_healthcheck_service: bool = _flag(
        False, "serve grpc.health.v1 on the gRPC port"
    )
    file_system_poll_wait_seconds: int = _flag(
        1,
        "time between looks for new versions; 0 looks once, a negative "
        "number never",
    )
    max_num_load_retries: int = _flag(
        5, "tries after a first load that failed", 0
    )
    load_retry_interval_micros: int = _flag(
        60_000_000, "time between them, in microseconds", 0, 2**53
    )
    enable_model_warmup: bool = _flag(
        True, "replay assets.extra/tf_serving_warmup_requests at each load"
    )
    allow_version_labels_for_unavailable_models: bool = _flag(
        False,
        "a new label may name a version that is not loaded; needed to "
        "start with labels in the --model_config_file",
    )
    enable_batching: bool = _flag(
        False,
        "run requests of several clients as one batch; a batch holds "
        "--grpc_max_threads and --rest_api_num_threads requests at most",
    )
    batching_parameters_file: str = _flag(
        "", "text proto BatchingParameters; TF Serving's defaults without it"
    )
    xla_cpu_compilation_enabled: bool = _flag(
        False, "run functions that have to be compiled by XLA"
    )
    max_request_bytes: int = _flag(
        64 * 2**20,
        "not TF Serving's: limit of a request and of each of its tensors",
        1,
    )
    max_queued_requests: int = _flag(
        256,
        "not TF Serving's: requests of each API that may wait for a "
        "thread; one more is refused with RESOURCE_EXHAUSTED or 429",
        0,
    )
    drain_seconds: int = _flag(
        30,
        "not TF Serving's: time that running requests get after SIGTERM "
        "or Ctrl-C; a second signal ends at once",
        0,
    )
    metrics_path: str | None = None
    batching: BatchingOptions | None = None
    without_effect: tuple[str, ...] = ()
