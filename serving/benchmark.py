"""Measures a server: `python -m serving.benchmark`.

The bare session call against gRPC against REST, in turn on one machine. The
clients send requests made before, from processes of their own: building and
reading messages is not counted, the work of the server is.
"""

import contextlib
import tempfile
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

from yoto_tf import provenance
from yoto_tf.command_line import import_tensorflow_quietly
from yoto_tf.command_line import parsed
from yoto_tf.command_line import reported_on_the_command_line
from yoto_tf.command_line import sigterm_as_exit
from yoto_tf.contract.versions import by_version
from yoto_tf.errors import InputError
from yoto_tf.run_directory import RunDirectory

_SCHEMES = ("grpc", "http")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Arguments:
    """Measure a server against the bare session, over gRPC and REST.

    Models of pictures alone: those of VAEs, with their signatures reconstruct
    and reconstruct_bytes. It starts `serving.server` on free ports of this
    machine, or measures the server that --urls name, a TF Serving for example.
    """

    model: Path | None = None
    """Folder of the model, as models/NAME; if not given, the one under models/
    that was exported last."""
    urls: tuple[str, ...] = ()
    """grpc://HOST:PORT, http://HOST:PORT or both, of a server that runs and
    serves the newest version of --model."""
    model_name: str | None = None
    """Name of the model there; if not given, the folder's."""
    remote: bool = False
    """Allow --urls that lead past this machine."""
    batching_parameters_file: Path | None = None
    """Start the server with --enable_batching and this file."""
    threads: int | None = None
    """Start the server with so many gRPC and REST threads; if not given, with
    its own number, four for each core."""
    batch_sizes: tuple[int, ...] = (1, 8, 64)
    """Images per request."""
    clients: tuple[int, ...] = (1, 8, 32)
    """Clients that send at once."""
    requests: int = 300
    """Requests per figure at most; 0 for no table."""
    seconds: float = 6.0
    """Time per figure at most; each client sends one request in any case."""
    rounds: int = 5
    """What is compared runs in turn, so many times."""
    soak: int = 0
    """Then send so many requests of all kinds, check every answer, and watch
    the memory of the server that was started."""
    json_file: Path | None = None
    """Where to write the figures as JSON."""


def main(argv=None):
    arguments = parsed(Arguments, "python -m serving.benchmark", argv)
    with reported_on_the_command_line():
        _check(arguments)
        base = arguments.model or newest_model(Path("models"))
        version = newest_version(base)
        import_tensorflow_quietly()
        results = _measure(arguments, base, version)
        if arguments.json_file:
            RunDirectory.write_json(
                arguments.json_file, {**results, **provenance.facts()}
            )
    parts = [*results["cells"], results["soak"] or {"faults": []}]
    if any(part["faults"] for part in parts):
        raise SystemExit(1)


def _measure(arguments, base, version):
    import tensorflow as tf

    from serving.embedded.run.engine import SavedModelVersion
    from serving.load import cells
    from serving.load import report
    from serving.load import soak
    from serving.load.request_maker import RequestMaker
    from serving.load.server_process import ServerProcess
    from serving.load.workers import Workers

    # Its loader tells of its own age.
    tf.get_logger().setLevel("ERROR")
    name = arguments.model_name or base.absolute().name
    results = {
        "model": f"{base.absolute().name}/{version.name}",
        "cells": [],
        "soak": None,
    }
    with contextlib.ExitStack() as stack:
        # So that the server that was started ends too.
        stack.enter_context(sigterm_as_exit())
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        loaded = SavedModelVersion(str(version))
        maker = RequestMaker(loaded, name, Path(folder))
        server, urls = None, arguments.urls
        if not urls:
            server = stack.enter_context(
                ServerProcess(name, base, _flags(arguments))
            )
            urls = server.urls
        workers = stack.enter_context(Workers())
        bench = cells.Bench(loaded, maker, workers, urls, name)
        sizes = arguments.batch_sizes if arguments.requests else (1,)
        made = cells.prepare(bench, sizes)
        if arguments.json_file:
            # Before the measurement, and not for one that is refused.
            arguments.json_file.parent.mkdir(parents=True, exist_ok=True)
        if arguments.requests:
            results["cells"] = cells.measure(
                bench,
                made,
                arguments.clients,
                arguments.requests,
                arguments.seconds,
                arguments.rounds,
            )
            print(report.table(results["cells"]))
        if arguments.soak:
            pid = server.pid if server else None
            results["soak"] = soak.run(bench, arguments.soak, pid)
            print(report.soak(results["soak"]))
    return results


def _flags(arguments):
    flags = ()
    if arguments.batching_parameters_file is not None:
        path = arguments.batching_parameters_file.absolute()
        flags = ("--enable_batching", f"--batching_parameters_file={path}")
    if arguments.threads is not None:
        flags += (
            f"--grpc_max_threads={arguments.threads}",
            f"--rest_api_num_threads={arguments.threads}",
        )
    return flags


def newest_model(folder):
    """The model of a folder whose newest version was written last.

    Raises:
        InputError: if there is none.
    """
    models = [p.parent.parent for p in folder.glob("*/*/saved_model.pb")]
    if not models:
        raise InputError(
            f"expected a model under {folder}/, received: none; export one "
            "with: python -m export.saved_model RUN --to models/NAME"
        )
    return max(models, key=lambda m: newest_version(m).stat().st_mtime)


def newest_version(base):
    """The version of a model that a server takes: the largest number.

    Raises:
        InputError: if there is none.
    """
    versions = by_version(base.glob("*/"))
    if not versions:
        raise InputError(
            "expected --model to be a model's folder, which holds its "
            f"versions 1, 2, ..., received: {base}"
        )
    return versions[max(versions)]


def _check(arguments):
    counts = (*arguments.batch_sizes, *arguments.clients, arguments.rounds)
    if min(counts) < 1 or not arguments.batch_sizes or not arguments.clients:
        raise InputError(
            "expected batch sizes, clients and rounds of 1 and more, received:"
            f" {arguments.batch_sizes}, {arguments.clients} and "
            f"{arguments.rounds}"
        )
    if (
        min(arguments.requests, arguments.soak) < 0
        or arguments.seconds <= 0
        or not arguments.requests + arguments.soak
    ):
        raise InputError(
            "expected requests or a soak, and seconds above 0, received: "
            f"requests={arguments.requests}, soak={arguments.soak} and "
            f"seconds={arguments.seconds:g}"
        )
    if arguments.json_file and arguments.json_file.is_dir():
        raise InputError(
            "expected a file to write, received: "
            f"json_file={arguments.json_file}, a folder"
        )
    if arguments.urls and _flags(arguments):
        raise InputError(
            "expected --urls, or --batching-parameters-file and --threads of "
            "the server that is started, received both"
        )
    for url in arguments.urls:
        try:
            parts = urllib.parse.urlsplit(url)
            is_whole = parts.hostname and parts.port and not parts.path
        except ValueError:
            is_whole = False
        if not is_whole or parts.scheme not in _SCHEMES:
            raise InputError(
                "expected --urls as grpc://HOST:PORT or http://HOST:PORT, "
                f"received: {url}"
            )
        if parts.hostname not in _LOOPBACK and not arguments.remote:
            raise InputError(
                "expected --urls of this machine, for load is a burden to "
                f"others, received: {url}; --remote allows it"
            )


if __name__ == "__main__":
    main()
