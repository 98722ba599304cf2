"""The command line: `options.py` as flags."""

import dataclasses
import re
import sys
from collections.abc import Sequence

from absl import flags as absl_flags

from serving.embedded.options import ServerOptions

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
xla_gpu_compilation_enabled
""".split()


def parse(arguments: Sequence[str] | None = None) -> ServerOptions:
    """Parses a command line.

    A wrong one ends the process: exit code 2, one sentence on stderr.

    Args:
        arguments: without the program's name; None takes the process's own.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    flags = _define()
    if {"--help", "-help", "-h"} & set(arguments):
        names = "".join(f"\n  --{name}" for name in WITHOUT_EFFECT)
        print(DESCRIPTION.format(names))
        print(flags.get_help(include_special_flags=False).partition(":\n")[2])
        raise SystemExit(0)
    undefok = f"--undefok={','.join(WITHOUT_EFFECT)}"
    try:
        arguments = flags.read_flags_from_files(arguments, force_gnu=False)
        rest = flags([PROGRAM, undefok, *arguments])[1:]
    except (absl_flags.Error, ValueError) as error:
        _refuse(str(error))
    if rest:
        _refuse(f"unexpected argument {rest[0]!r}")
    if not flags.model_config_file and not flags.model_base_path:
        _refuse("one of --model_base_path and --model_config_file is needed")
    if not flags.model_config_file and not flags.model_name:
        _refuse("--model_name is empty: nobody could ask for the model")
    if flags.port == 0 and flags.rest_api_port == 0:
        _refuse("--port and --rest_api_port are both 0: nothing to serve")
    if flags.port == flags.rest_api_port:
        _refuse(f"--port and --rest_api_port are both {flags.port}")
    if flags.batching_parameters_file and not flags.enable_batching:
        _refuse("--batching_parameters_file needs --enable_batching")
    values = {name: flags[name].value for name in flags}
    for port in ("port", "rest_api_port"):
        values[port] = values[port] or None
    passed_over = tuple(n for n in _passed_over(arguments) if n not in flags)
    return ServerOptions(**values, without_effect=passed_over)


def _passed_over(arguments: list[str]) -> list[str]:
    """The flags among the arguments that --undefok lets pass."""
    given, allowed = [], set(WITHOUT_EFFECT)
    for argument, following in zip(
        arguments, [*arguments[1:], ""], strict=True
    ):
        dashes, name, value = re.match("(-*)([^=]*)=?(.*)", argument).groups()
        if dashes and name == "undefok":
            allowed.update((value or following).split(","))
        elif dashes:
            given.append(name)
    return [n for n in given if {n, n.removeprefix("no")} & allowed]


def _define() -> absl_flags.FlagValues:
    flags = absl_flags.FlagValues()
    define = {
        bool: absl_flags.DEFINE_boolean,
        int: absl_flags.DEFINE_integer,
        str: absl_flags.DEFINE_string,
    }
    for field in dataclasses.fields(ServerOptions):
        if not field.metadata:
            continue
        kind = type(field.default)
        bounds = list(field.metadata["bounds"])
        # TF Serving's are int32; more is no time to wait either.
        ends = (-_MOST, _MOST) if kind is int else ()
        bounds.extend(ends[len(bounds) :])
        text = field.metadata["text"]
        define[kind](
            field.name, field.default, text, *bounds, flag_values=flags
        )
    return flags


def _refuse(sentence: str) -> None:
    sys.stderr.write(f"{PROGRAM}: {sentence} (see --help)\n")
    raise SystemExit(2)
