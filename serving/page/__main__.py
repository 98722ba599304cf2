"""`python -m serving.page`: the page for a model that is served elsewhere.

    python -m serving.page --url grpc://127.0.0.1:8500 --model shapes

Exit codes: 0 after SIGTERM or Ctrl-C, 2 for a wrong command line, a busy port
or a data set that cannot be used.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import tyro

from serving import signals
from serving.page import examples
from yoto_tf.command_line import import_tensorflow_quietly
from yoto_tf.command_line import reported_on_the_command_line
from yoto_tf.config import DataConfig


@dataclass(frozen=True)
class Arguments:
    """Show a served model at every beta, on a page of this machine."""

    model: str
    """Name of the model at the server."""
    url: str = "grpc://127.0.0.1:8500"
    """Address of TF Serving or of serving.server: grpc://HOST:8500, or
    http://HOST:8501 for REST."""
    data: str | None = None
    """Images to choose from: a TFDS data set or a folder of pictures. Unset:
    the data set that the export in --models names, if it is there."""
    data_dir: str | None = None
    """Where TFDS keeps its data; unset: TFDS_DATA_DIR or TFDS' default."""
    models: Path = Path("models")
    """Folder of exported models on this machine."""
    page_port: int = 7860
    """Port of the page on 127.0.0.1."""


def main(argv=None):
    arguments = tyro.cli(Arguments, prog="python -m serving.page", args=argv)
    with reported_on_the_command_line():
        import_tensorflow_quietly()
        from serving.page import launch

        config = examples.trained_on(arguments.models / arguments.model)
        if arguments.data:
            config = DataConfig(name=arguments.data)
        if config and arguments.data_dir:
            config = dataclasses.replace(config, data_dir=arguments.data_dir)
        stop = signals.stop_event()
        with launch.page(
            arguments.url,
            arguments.model,
            arguments.page_port,
            config,
            # What somebody asked for by name has to be there.
            needs_data=bool(arguments.data),
        ) as address:
            print(f"page: {address} (Ctrl-C ends it)", flush=True)
            stop.wait()


if __name__ == "__main__":
    main()
