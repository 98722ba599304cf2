"""`python -m serving.demo`: the newest export, served, with its page.

Where there is no export yet it exports the run of `--run-dir` if that is
finished, or else the trained model that comes with the library; of another
preset it trains one first, or continues its training.
Server and page are one process.

Exit codes: 0 after SIGTERM or Ctrl-C (130 for Ctrl-C while it is imported), 1
for an export that cannot be loaded, 2 for a wrong command line or a busy port;
that of the training or the export if it fails.
"""

from serving import signals

if __name__ == "__main__":
    signals.end_at_once()

import contextlib
import logging
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from serving.page import examples
from serving.page import guard
from serving.page import ports
from yoto_tf import released
from yoto_tf.command_line import import_tensorflow_quietly
from yoto_tf.command_line import parsed
from yoto_tf.command_line import reported_on_the_command_line
from yoto_tf.errors import InputError
from yoto_tf.families import DEFAULT
from yoto_tf.families import get_preset
from yoto_tf.run_directory import RunDirectory


@dataclass(frozen=True)
class Arguments:
    """Serve the newest exported model and show it on a page."""

    models: Path = Path("models")
    """Folder of exported models, each with its versions."""
    model: str | None = None
    """Name of a model in it; unset: that of the newest export."""
    run_dir: Path = Path("runs/demo")
    """Where the preset's run is made, if there is no export yet; a finished
    run of any settings is exported in place of the released model."""
    preset: str | None = None
    """What is trained, if there is no export yet: a preset of any family that
    has a name, whose data need no download or are prepared; unset: nothing,
    the released model is shown."""
    page_port: int = 7860
    """Port of the page on 127.0.0.1; 0 takes any free one, here and below."""
    page_hosts: tuple[str, ...] = ()
    """Names that the page answers to besides 127.0.0.1 and localhost: those
    of a proxy in front of it, without a port."""
    port: int = 8500
    """Port of the server's gRPC."""
    rest_api_port: int = 8501
    """Port of the server's REST."""


def newest_export(models, name=None):
    """Finds the export that was published last.

    Args:
        models: folder of models.
        name: of one of them; None: any.

    Returns:
        Path of the version, or None if there is none.
    """
    models = Path(models)
    found = [
        version
        for base in ([models / name] if name else models.glob("*"))
        for version in examples.versions(base)
        if (version / "saved_model.pb").is_file()
    ]
    # The renaming that publishes a version leaves its own time as it was.
    return max(found, key=lambda v: v.stat().st_mtime, default=None)


def make_export(arguments, stop):
    """Exports the released model, or trains one, or goes on with it.

    Raises:
        SystemExit: one of them failed and has said why, or `stop` was set.
    """
    name = arguments.model or arguments.preset or "shapes"
    run = arguments.run_dir
    preset = ["--preset", arguments.preset] if arguments.preset else []
    if not preset and not run.exists():
        run = released.run(DEFAULT).path
        step = f"exporting the released model {DEFAULT}"
    elif not preset and RunDirectory(run).model_file.exists():
        # Whatever it was trained by: nothing is left to be trained.
        step = f"exporting the finished run {run}"
    else:
        step = None
    print(
        f"no export in {arguments.models} yet: "
        f"{step or 'training a model first (minutes)'}\n",
        flush=True,
    )
    if step is None:
        _run(stop, "training.demo", "--run-dir", run, *preset)
    _run(
        stop,
        "export.saved_model",
        run,
        "--to",
        arguments.models / name,
    )


def _run(stop, module, *words):
    with subprocess.Popen(
        [sys.executable, "-m", module, *map(str, words)]
    ) as child:
        while child.poll() is None:
            if stop.wait(0.2):
                # Ctrl-C has reached it too; SIGTERM has not.
                child.terminate()
                child.wait()
    if stop.is_set():
        raise SystemExit(0)
    if child.returncode:
        raise SystemExit(child.returncode)


@contextlib.contextmanager
def served(version, arguments, stop):
    """Runs the embedded server for a version's model until the block ends.

    Raises:
        SystemExit: the model cannot be loaded, or `stop` was set before.
    """
    from serving.embedded import model_config
    from serving.embedded.options import ServerOptions
    from serving.embedded.server import EmbeddedServer
    from serving.embedded.status import StatusError

    # Its notices of old names are of no use here.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    base = version.parent
    server = EmbeddedServer(
        model_config.single_model(base.name, str(base.absolute())),
        ServerOptions(
            port=arguments.port,
            rest_api_port=arguments.rest_api_port,
            # Exports come whole: minutes of trying again would not help.
            max_num_load_retries=0,
        ),
    )
    try:
        server.start(lambda: not stop.is_set())
        yield server
    except StatusError as error:
        raise SystemExit(
            0 if stop.is_set() else f"error: {version}: {error.message}"
        ) from error
    finally:
        server.stop()


def main(argv=None):
    arguments = parsed(Arguments, "python -m serving.demo", argv)
    stop = signals.stop_event()
    with reported_on_the_command_line():
        # Before minutes of training, not after them.
        guard.host_names(arguments.page_hosts)
        ports.all_free(
            {
                "--page-port": arguments.page_port,
                "--port": arguments.port,
                "--rest-api-port": arguments.rest_api_port,
            }
        )
        if arguments.preset:
            get_preset(arguments.preset)
        if newest_export(arguments.models, arguments.model) is None:
            is_made = arguments.preset or arguments.model in (None, "shapes")
            if not is_made:
                raise InputError(
                    f"expected an export of {arguments.model!r} in "
                    f"{arguments.models}, received: none; make one with "
                    "export.saved_model, or leave --model out"
                )
            make_export(arguments, stop)
        version = newest_export(arguments.models, arguments.model)
        import_tensorflow_quietly()
        _show(version, arguments, stop)


def _show(version, arguments, stop):
    from serving.page import launch

    base = version.parent
    print(f"model:  {version}", flush=True)
    with served(version, arguments, stop) as server:
        url = f"grpc://127.0.0.1:{server.grpc_port}"
        print(
            f"server: {url} and http://127.0.0.1:{server.rest_port}",
            flush=True,
        )
        with launch.page(
            url,
            base.name,
            arguments.page_port,
            examples.of_export(base),
            hosts=arguments.page_hosts,
            likely=[examples.view_of_export(base)],
        ) as address:
            print(f"page:   {address} (Ctrl-C ends all)", flush=True)
            stop.wait()
    print("stopped", flush=True)


if __name__ == "__main__":
    main()
