"""`python -m serving.page`: the page for a model that is served elsewhere.

    python -m serving.page --url grpc://127.0.0.1:8500 --model shapes

Exit codes: 0 after SIGTERM or Ctrl-C, 130 for Ctrl-C before the page starts, 2
for a wrong command line, a busy port or a data set that cannot be used.
"""

from serving import signals

if __name__ == "__main__":
    signals.end_at_once()

from dataclasses import dataclass
from pathlib import Path

from serving.client import InvalidRequest
from serving.client.target import Target
from serving.page import examples
from serving.page import guard
from serving.page import ports
from yoto_tf.command_line import import_tensorflow_quietly
from yoto_tf.command_line import parsed
from yoto_tf.command_line import reported_on_the_command_line
from yoto_tf.errors import InputError
from yoto_tf.families import get_family


@dataclass(frozen=True)
class Arguments:
    """Show a served model at every value of its loss parameters, on a page of
    this machine."""

    model: str
    """Name of the model at the server."""
    url: str = "grpc://127.0.0.1:8500"
    """Address of TF Serving or of serving.server: grpc://HOST:8500, or
    http://HOST:8501 for REST, where a new image takes seconds."""
    data: str | None = None
    """Images to choose from: a folder of pictures or a TFDS data set. Unset:
    the data that the export in --models names, if they are there."""
    family: str | None = None
    """Whose view shows the model: the name of a family, or module:name of your
    own. Unset: by the export in --models, else the first family whose view
    fits what is served, else by the shapes of that."""
    data_dir: str | None = None
    """Where TFDS keeps its data; unset: TFDS_DATA_DIR or TFDS' default."""
    models: Path = Path("models")
    """Folder of exported models on this machine."""
    page_port: int = 7860
    """Port of the page on 127.0.0.1; 0 takes any free one."""
    page_hosts: tuple[str, ...] = ()
    """Names that the page answers to besides 127.0.0.1 and localhost: those
    of a proxy in front of it, without a port."""


def main(argv=None):
    arguments = parsed(Arguments, "python -m serving.page", argv)
    with reported_on_the_command_line():
        # Before the seconds that TensorFlow takes.
        ports.free(arguments.page_port, "--page-port")
        try:
            Target.parse(arguments.url, arguments.model)
        except InvalidRequest as error:
            raise InputError(str(error)) from error
        hosts = guard.host_names(arguments.page_hosts)
        view = _view(arguments.family)
        import_tensorflow_quietly()
        from serving.page import launch

        base = arguments.models / arguments.model
        if arguments.data:
            source = examples.named(arguments.data, arguments.data_dir)
        else:
            source = examples.of_export(base, arguments.data_dir)
        stop = signals.stop_event()
        with launch.page(
            arguments.url,
            arguments.model,
            arguments.page_port,
            source,
            # What somebody asked for by name has to be there.
            needs_examples=bool(arguments.data),
            hosts=hosts,
            view=view,
            likely=[examples.view_of_export(base)],
        ) as address:
            print(f"page: {address} (Ctrl-C ends it)", flush=True)
            stop.wait()


def _view(name):
    """The view of the family of a name; None for no name."""
    if name is None:
        return None
    view = get_family(name).view
    if view is None:
        raise InputError(
            "expected a family with a view, received: "
            f"--family {name}, which has none"
        )
    return view


if __name__ == "__main__":
    main()
