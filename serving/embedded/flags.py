"""The command line: `tensorflow_model_server`'s own names and defaults.

Names, meanings and defaults are those of TF Serving's
`model_servers/main.cc`; the flags that are the embedded server's own stand
in a group of their own in `--help`.
"""

import argparse
import os
from collections.abc import Sequence

_CPUS = os.cpu_count() or 1

DESCRIPTION = """\
A development and test server: it answers as TF Serving does, over gRPC and
REST, for any SavedModel, on 127.0.0.1, in one Python process. It does not
check who asks. For everything past one machine use TF Serving, which takes
the same flags, files and requests.
"""
EPILOG = """\
Relative paths are taken from the working directory, except in a
--model_config_file, whose base paths must be absolute, as for TF Serving.
"""


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parses a command line.

    A wrong one ends the process: exit code 2, one sentence on stderr.

    Args:
        arguments: without the program's name; None takes the process's own.
    """
    parser = _Parser(
        prog="python -m serving.server",
        description=DESCRIPTION,
        epilog=EPILOG,
        allow_abbrev=False,
        formatter_class=_Formatter,
    )
    _add_model_flags(parser.add_argument_group("what to serve"))
    _add_port_flags(parser.add_argument_group("ports"))
    _add_loading_flags(parser.add_argument_group("loading"))
    _add_batching_flags(parser.add_argument_group("batching"))
    _add_own_flags(parser.add_argument_group("unknown to TF Serving"))
    flags = parser.parse_args(arguments)
    if not flags.model_config_file and not flags.model_base_path:
        parser.error(
            "one of --model_base_path and --model_config_file is needed"
        )
    if flags.port == 0 and flags.rest_api_port == 0:
        parser.error("--port and --rest_api_port are both 0: nothing to serve")
    if flags.port == flags.rest_api_port:
        parser.error(f"--port and --rest_api_port are both {flags.port}")
    if flags.batching_parameters_file and not flags.enable_batching:
        parser.error("--batching_parameters_file needs --enable_batching")
    return flags


class _Formatter(
    argparse.ArgumentDefaultsHelpFormatter,
    argparse.RawDescriptionHelpFormatter,
):
    """Shows defaults, and keeps the lines of the description."""


class _Parser(argparse.ArgumentParser):
    """Ends with one sentence, without the list of all flags."""

    def error(self, message: str):
        self.exit(2, f"{self.prog}: {message} (see --help)\n")


def _add_model_flags(group) -> None:
    group.add_argument(
        "--model_name",
        default="default",
        metavar="NAME",
        help="name of the model; not used with --model_config_file",
    )
    group.add_argument(
        "--model_base_path",
        default="",
        metavar="DIR",
        help="directory that holds the versions, DIR/1, DIR/2, ...; not used "
        "with --model_config_file",
    )
    group.add_argument(
        "--model_config_file",
        default="",
        metavar="FILE",
        help="text proto ModelServerConfig: several models, version policies "
        "and labels",
    )
    group.add_argument(
        "--model_config_file_poll_wait_seconds",
        type=_not_negative,
        default=0,
        metavar="S",
        help="time between looks at a changed --model_config_file; 0 reads it "
        "once",
    )
    group.add_argument(
        "--monitoring_config_file",
        default="",
        metavar="FILE",
        help="text proto MonitoringConfig: serves Prometheus metrics on the "
        "REST port",
    )


def _add_port_flags(group) -> None:
    group.add_argument(
        "--port", type=_port, default=8500, help="gRPC port; 0 for no gRPC"
    )
    group.add_argument(
        "--rest_api_port",
        type=_port,
        default=8501,
        help="REST port; 0 for no REST (TF Serving's own default)",
    )
    group.add_argument(
        "--rest_api_timeout_in_ms",
        type=_positive,
        default=30000,
        metavar="MS",
        help="time a REST request may take",
    )
    group.add_argument(
        "--rest_api_num_threads",
        type=_positive,
        default=4 * _CPUS,
        metavar="N",
        help="REST requests answered at once",
    )
    group.add_argument(
        "--grpc_max_threads",
        type=_positive,
        default=4 * _CPUS,
        metavar="N",
        help="gRPC requests answered at once",
    )
    group.add_argument(
        "--enable_grpc_healthcheck_service",
        type=_boolean,
        nargs="?",
        const=True,
        default=False,
        metavar="BOOL",
        help="serve grpc.health.v1 on the gRPC port",
    )


def _add_loading_flags(group) -> None:
    group.add_argument(
        "--file_system_poll_wait_seconds",
        type=int,
        default=1,
        metavar="S",
        help="time between looks for new versions; 0 looks once, a negative "
        "number never",
    )
    group.add_argument(
        "--max_num_load_retries",
        type=_not_negative,
        default=5,
        metavar="N",
        help="tries after a first load that failed",
    )
    group.add_argument(
        "--load_retry_interval_micros",
        type=_not_negative,
        default=60_000_000,
        metavar="US",
        help="time between them, in microseconds",
    )
    group.add_argument(
        "--enable_model_warmup",
        type=_boolean,
        nargs="?",
        const=True,
        default=True,
        metavar="BOOL",
        help="replay assets.extra/tf_serving_warmup_requests at each load",
    )
    group.add_argument(
        "--allow_version_labels_for_unavailable_models",
        type=_boolean,
        nargs="?",
        const=True,
        default=False,
        metavar="BOOL",
        help="a new label may name a version that is not loaded; needed to "
        "start with labels in the --model_config_file",
    )


def _add_batching_flags(group) -> None:
    group.add_argument(
        "--enable_batching",
        type=_boolean,
        nargs="?",
        const=True,
        default=False,
        metavar="BOOL",
        help="run requests of several clients as one batch; a batch holds "
        "--grpc_max_threads and --rest_api_num_threads requests at most",
    )
    group.add_argument(
        "--batching_parameters_file",
        default="",
        metavar="FILE",
        help="text proto BatchingParameters; TF Serving's defaults without it",
    )


def _add_own_flags(group) -> None:
    group.add_argument(
        "--max_request_bytes",
        type=_positive,
        default=64 * 2**20,
        metavar="N",
        help="limit of a request and of each of its tensors",
    )
    group.add_argument(
        "--max_queued_requests",
        type=_not_negative,
        default=256,
        metavar="N",
        help="requests of each API that may wait for a thread; one more is "
        "refused with RESOURCE_EXHAUSTED or 429",
    )
    group.add_argument(
        "--drain_seconds",
        type=_not_negative,
        default=30,
        metavar="S",
        help="time that running requests get after SIGTERM or Ctrl-C; a "
        "second signal ends at once",
    )


def _port(text: str) -> int:
    number = _integer(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is no port (0 to 65535)")
    return number


def _positive(text: str) -> int:
    number = _integer(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return number


def _not_negative(text: str) -> int:
    number = _integer(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is below 0")
    return number


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no whole number"
        ) from None


def _boolean(text: str) -> bool:
    # The spellings of TensorFlow's own flag parser.
    try:
        return {"true": True, "1": True, "false": False, "0": False}[
            text.lower()
        ]
    except KeyError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither true nor false"
        ) from None
