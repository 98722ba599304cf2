"""The command line: `tensorflow_model_server`'s own names and defaults.

Names, meanings and defaults are those of TF Serving's
`model_servers/main.cc`.
"""

import os
import re
import sys
import types
from collections.abc import Sequence

from absl import flags as absl_flags

PROGRAM = "python -m serving.server"
DESCRIPTION = f"""\
{PROGRAM} --model_name=NAME --model_base_path=DIR [flags]

A development and test server: it answers as TF Serving does, over gRPC and
REST, for any SavedModel, on 127.0.0.1, in one Python process. It does not
check who asks. For everything past one machine use TF Serving.

The flags are a part of TF Serving's, and three of this server's own. Flags of
TF Serving that change no answer are accepted and named in the log:{{}}
All others are refused.

Relative paths are taken from the working directory, except in a
--model_config_file, whose base paths must be absolute, as for TF Serving.
"""
# Name -> default, what it does, bounds of a number.
_THREADS = 4 * (os.cpu_count() or 1)
FLAGS = {
    "model_name": (
        "default",
        "name of the model; not used with --model_config_file",
    ),
    "model_base_path": (
        "",
        "directory that holds the versions, DIR/1, DIR/2, ...; not used with "
        "--model_config_file",
    ),
    "model_config_file": (
        "",
        "text proto ModelServerConfig: several models, version policies and "
        "labels",
    ),
    "model_config_file_poll_wait_seconds": (
        0,
        "time between looks at a changed --model_config_file; 0 reads it once",
        0,
    ),
    "monitoring_config_file": (
        "",
        "text proto MonitoringConfig: serves Prometheus metrics on the REST "
        "port",
    ),
    "port": (8500, "gRPC port; 0 for no gRPC", 0, 65535),
    "rest_api_port": (
        8501,
        "REST port; 0 for no REST (TF Serving's own default)",
        0,
        65535,
    ),
    "rest_api_timeout_in_ms": (
        30000,
        "time for a REST request to arrive, and again for its answer",
        1,
    ),
    "rest_api_num_threads": (_THREADS, "REST requests answered at once", 1),
    "grpc_max_threads": (_THREADS, "gRPC requests answered at once", 1),
    "enable_grpc_healthcheck_service": (
        False,
        "serve grpc.health.v1 on the gRPC port",
    ),
    "file_system_poll_wait_seconds": (
        1,
        "time between looks for new versions; 0 looks once, a negative number "
        "never",
    ),
    "max_num_load_retries": (5, "tries after a first load that failed", 0),
    "load_retry_interval_micros": (
        60_000_000,
        "time between them, in microseconds",
        0,
        2**53,
    ),
    "enable_model_warmup": (
        True,
        "replay assets.extra/tf_serving_warmup_requests at each load",
    ),
    "allow_version_labels_for_unavailable_models": (
        False,
        "a new label may name a version that is not loaded; needed to start "
        "with labels in the --model_config_file",
    ),
    "enable_batching": (
        False,
        "run requests of several clients as one batch; a batch holds "
        "--grpc_max_threads and --rest_api_num_threads requests at most",
    ),
    "batching_parameters_file": (
        "",
        "text proto BatchingParameters; TF Serving's defaults without it",
    ),
    "max_request_bytes": (
        64 * 2**20,
        "not TF Serving's: limit of a request and of each of its tensors",
        1,
    ),
    "max_queued_requests": (
        256,
        "not TF Serving's: requests of each API that may wait for a thread; "
        "one more is refused with RESOURCE_EXHAUSTED or 429",
        0,
    ),
    "drain_seconds": (
        30,
        "not TF Serving's: time that running requests get after SIGTERM or "
        "Ctrl-C; a second signal ends at once",
        0,
    ),
}
_MOST = 2**31 - 1
# They tune speed, memory or hardware.
WITHOUT_EFFECT = """
enable_profiler enable_signature_method_name_check flush_filesystem_caches
grpc_channel_arguments num_load_threads num_request_iterations_for_warmup
num_tflite_interpreters_per_pool num_tflite_pools num_unload_threads
per_process_gpu_memory_fraction remove_unused_fields_from_bundle_metagraph
skip_initialize_tpu tensorflow_inter_op_parallelism
tensorflow_intra_op_parallelism tensorflow_session_config_file
tensorflow_session_parallelism thread_pool_factory_config_file
xla_cpu_compilation_enabled xla_gpu_compilation_enabled
""".split()


def parse(arguments: Sequence[str] | None = None) -> types.SimpleNamespace:
    """Parses a command line.

    A wrong one ends the process: exit code 2, one sentence on stderr.

    Args:
        arguments: without the program's name; None takes the process's own.

    Returns:
        The flags as attributes; `without_effect` lists those that were given
        and do nothing.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    flags = _define()
    if {"--help", "-help", "-h"} & set(arguments):
        names = "".join(f"\n  --{name}" for name in WITHOUT_EFFECT)
        print(DESCRIPTION.format(names))
        print(flags.get_help(include_special_flags=False).partition(":\n")[2])
        raise SystemExit(0)
    ignored = list(filter(None, map(_without_effect, arguments)))
    arguments = [a for a in arguments if not _without_effect(a)]
    try:
        rest = flags([PROGRAM, *arguments])[1:]
    except absl_flags.Error as error:
        _refuse(str(error))
    if rest:
        _refuse(f"unexpected argument {rest[0]!r}")
    if not flags.model_config_file and not flags.model_base_path:
        _refuse("one of --model_base_path and --model_config_file is needed")
    if flags.port == 0 and flags.rest_api_port == 0:
        _refuse("--port and --rest_api_port are both 0: nothing to serve")
    if flags.port == flags.rest_api_port:
        _refuse(f"--port and --rest_api_port are both {flags.port}")
    if flags.batching_parameters_file and not flags.enable_batching:
        _refuse("--batching_parameters_file needs --enable_batching")
    return types.SimpleNamespace(
        **{name: flags[name].value for name in FLAGS}, without_effect=ignored
    )


def _define() -> absl_flags.FlagValues:
    flags = absl_flags.FlagValues()
    define = {
        bool: absl_flags.DEFINE_boolean,
        int: absl_flags.DEFINE_integer,
        str: absl_flags.DEFINE_string,
    }
    for name, (default, text, *bounds) in FLAGS.items():
        kind = type(default)
        # TF Serving's are int32; more is no time to wait either.
        ends = (-_MOST, _MOST) if kind is int else ()
        bounds.extend(ends[len(bounds) :])
        define[kind](name, default, text, *bounds, flag_values=flags)
    return flags


def _without_effect(argument: str) -> str:
    """The flag without effect that an argument is, or nothing."""
    # TensorFlow's parser has no values that stand apart.
    dashes, name = re.match("(-*)([^=]*)", argument).groups()
    return name if dashes and name in WITHOUT_EFFECT else ""


def _refuse(sentence: str) -> None:
    sys.stderr.write(f"{PROGRAM}: {sentence} (see --help)\n")
    raise SystemExit(2)
