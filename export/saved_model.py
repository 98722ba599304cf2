"""Exports a run for TF Serving: `python -m export.saved_model RUN --to DIR`."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import tyro

from export import batching
from export import publish
from yoto_tf.command_line import command
from yoto_tf.command_line import import_keras_quietly
from yoto_tf.command_line import reported_on_the_command_line
from yoto_tf.errors import InputError
from yoto_tf.errors import SaveError
from yoto_tf.run_directory import RunDirectory


@dataclass(frozen=True)
class Arguments:
    """Export a trained and evaluated run as the next version of a model.

    The version is written aside, compared with the Keras model in the C++
    session of TF Serving, and only then given its number.
    """

    run: tyro.conf.Positional[Path]
    """Run directory of training.train."""
    to: Path
    """Folder of the model, as models/NAME; its versions are 1, 2, ..."""
    invalid_rows: Literal["error", "flag"] = "error"
    """A row whose beta is not trained or whose image cannot be used: `error`
    fails its request; `flag` answers it with NaN and in_range false, so that
    under server-side batching it does no harm to others."""
    batching_config: Path = batching.DEFAULT_FILE
    """TF Serving's batching parameters; warm-up requests have their batch
    sizes."""


def export(
    run, to, invalid_rows="error", batching_config=batching.DEFAULT_FILE
):
    """Publishes a run as the next version of a model.

    Args:
        run: `RunDirectory` of a trained and evaluated run.
        to: the model's folder.
        invalid_rows: see `checks.RowPolicy`.
        batching_config: path of TF Serving's batching parameters.

    Returns:
        `(path, differences)`: the version, and list of `verify.Difference`.

    Raises:
        InputError: for a run, folder or file that cannot be used.
        VerificationError: if the export does not answer as the model does.
            Nothing is published then.
        SaveError: if the disk does not take it.
    """
    from export import manifest
    from export import verify
    from export.signatures import Signatures

    run.read_config()
    run.read_curve()
    sizes = batching.read(batching_config).allowed_batch_sizes
    model = run.load_model()
    _check_finite(model, run)
    with publish.unfinished(to) as folder:
        endpoints = Signatures(model, invalid_rows).endpoints()
        _write(folder, model, endpoints, sizes)
        differences = verify.verify(folder, model)
        manifest.write(folder, run, model, endpoints, invalid_rows, differences)
        return publish.publish(folder, to), differences


def _write(folder, model, endpoints, batch_sizes):
    """Writes the SavedModel and its warm-up requests."""
    import keras
    import tensorflow as tf

    from export import warmup

    # Not tf.saved_model.save: sessions find no variables in its result.
    archive = keras.export.ExportArchive()
    for name, (function, specs) in endpoints.items():
        archive.add_endpoint(name, function, specs)
    try:
        archive.write_out(folder, verbose=False)
        warmup.write(folder, model, endpoints, batch_sizes)
    except tf.errors.OpError as error:
        # TensorFlow's own file errors, as on a full disk.
        raise SaveError(
            f"could not write the SavedModel ({error.message}); the "
            "published versions are as they were"
        ) from error


def _check_finite(model, run):
    if not all(np.isfinite(w.numpy()).all() for w in model.weights):
        raise InputError(
            f"expected a model with finite weights, received: {run.path}, "
            "whose training diverged"
        )


def table(differences):
    """Formats differences as a Markdown table."""
    lines = [
        "| signature | output | max abs difference | of |",
        "| --- | --- | ---: | ---: |",
    ]
    for d in differences:
        lines.append(
            f"| {d.signature} | {d.output} | {d.largest:.1e} | {d.of:.4g} |"
        )
    return "\n".join(lines)


def main(argv=None):
    arguments = tyro.cli(
        Arguments, prog="python -m export.saved_model", args=argv
    )
    with reported_on_the_command_line():
        run = RunDirectory(arguments.run)
        run.read_config()
        run.read_curve()
        import_keras_quietly()
        started = time.monotonic()
        from export.verify import VerificationError

        try:
            version, differences = export(
                run,
                arguments.to,
                arguments.invalid_rows,
                arguments.batching_config,
            )
        except VerificationError as error:
            raise SystemExit(
                f"error: {error}; nothing was published"
            ) from error
        print("C++ session against Keras model, batches of 1, 3 and 8:\n")
        print(table(differences))
        size = sum(f.stat().st_size for f in version.rglob("*") if f.is_file())
        print(
            f"\nexported: {version} ({size / 2**20:.1f} MiB, "
            f"{time.monotonic() - started:.0f} s)"
        )
        words = (
            f"--model_name={arguments.to.absolute().name}",
            f"--model_base_path={arguments.to}",
        )
        print(f"next: {command('serving.server', *words)}")


if __name__ == "__main__":
    main()
