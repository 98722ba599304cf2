"""Exports for TF Serving: `python -m export.saved_model RUN --to DIR`, or
`export_model` for a model that was trained in Python.
"""

import contextlib
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
from yoto_tf.command_line import parsed
from yoto_tf.command_line import reported_on_the_command_line
from yoto_tf.command_line import sigterm_as_exit
from yoto_tf.errors import InputError
from yoto_tf.errors import SaveError
from yoto_tf.errors import VerificationError
from yoto_tf.families import Family
from yoto_tf.families import family_of_model
from yoto_tf.families import get_family
from yoto_tf.files import as_path
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
    """A row whose loss parameters are not trained or whose inputs cannot be
    used: `error` fails its request; `flag` answers it with NaN and in_range
    false, so that under server-side batching it does no harm to others."""
    batching_config: Path = batching.DEFAULT_FILE
    """TF Serving's batching parameters; warm-up requests have their batch
    sizes."""


def export(
    run, to, invalid_rows="error", batching_config=batching.DEFAULT_FILE
):
    """Publishes a run as the next version of a model.

    Args:
        run: `RunDirectory` of a trained and evaluated run.
        to, invalid_rows, batching_config: see `export_model`.

    Returns:
        `(path, differences)`, as `export_model`.

    Raises:
        InputError: for a run, folder or file that cannot be used.
        VerificationError, SaveError: as `export_model`.
    """
    run.read_config()
    run.read_curve()
    batching.read(batching_config)
    return export_model(
        run.load_model(), to, invalid_rows, batching_config, run
    )


def export_model(
    model,
    to,
    invalid_rows="error",
    batching_config=batching.DEFAULT_FILE,
    run=None,
    family=None,
    example=None,
):
    """Publishes a model, however it was trained, as the next version.

    Example:
        model = yoto_tf.ConditionalVAE.from_preset("cifar10")
        model.compile("adam")
        model.fit(images, batch_size=128, epochs=20)
        version, differences = export_model(model, "models/mine")

    Args:
        model: `LossConditionalModel`; served in float32, whatever its
            precision.
        to: the model's folder, whose versions are 1, 2, ...
        invalid_rows: `"error"` or `"flag"`, see `rows.RowPolicy`.
        batching_config: path of TF Serving's batching parameters.
        run: `RunDirectory` that it was trained in, or its path, of which the
            version keeps the configuration and the curve; None: there is
            none.
        family: `Family` that says what is served, or its name; None: that of
            the run, of a `ConditionalVAE` the VAE's, of any other model one
            that serves what `model.export` does.
        example: a few inputs, rows that differ, to compare with, for families
            that make up none; None: of the test data of the run, or of the
            first batch of `fit`.

    Returns:
        `(path, differences)`: the version, and list of
        `verification.Difference` between its answers in the C++ session and
        those of the model.

    Raises:
        InputError: for a model, folder or file that cannot be used.
        VerificationError: if the export does not answer as the model does.
            Nothing is published then.
        SaveError: if the disk does not take it.
    """
    from export import manifest
    from export import verify
    from yoto_tf.method import precision
    from yoto_tf.method.model import LossConditionalModel

    if not isinstance(model, LossConditionalModel):
        raise InputError(
            "expected a LossConditionalModel, received: "
            f"model of type {type(model).__name__}"
        )
    to = as_path("to", to)
    if run is not None and not isinstance(run, RunDirectory):
        run = RunDirectory(run)
    family = _family(family, run, model)
    sizes = batching.read(batching_config).allowed_batch_sizes
    _check_finite(model, run)
    first_rows = model.first_inputs
    with _draws_kept(model), precision.in_float32(model):
        endpoints = list(
            family.endpoints(
                model,
                invalid_rows,
                lambda: _example(family, run, example, first_rows),
            )
        )
        view = family.view_of(model)
        with publish.unfinished(to) as folder:
            write(folder, endpoints, sizes, model)
            differences = verify.verify(
                folder, endpoints, model.loss_parameters, invalid_rows
            )
            if view:
                verify.check_view(folder, view, model.loss_parameters.asked)
            manifest.write(
                folder, model, family, endpoints, invalid_rows, differences, run
            )
            return publish.publish(folder, to), differences


def _family(family, run, model):
    if family is None:
        return family_of_model(model) if run is None else run.family()
    name = family
    if isinstance(family, str):
        family = get_family(family)
    # One that says of no model that it is its own serves any.
    if type(family).owns is not Family.owns and not family.owns(model):
        raise InputError(
            "expected the family of the model, or none, received: "
            f"family={name!r}, and a model of type {type(model).__name__}, "
            "which is not of it"
        )
    return family


def _example(family, run, example, first_rows):
    if example is not None:
        return example
    if run is None:
        return first_rows
    return family.example(run.read_config(), run.data.read())


def write(folder, endpoints, batch_sizes, model=None):
    """Writes a SavedModel and its warm-up requests.

    Args:
        folder: `Path` of the version.
        endpoints: list of `Endpoint`.
        batch_sizes: of the warm-up requests, list of int.
        model: whose layers the endpoints use.

    Raises:
        SaveError: if the disk does not take it.
    """
    import tensorflow as tf

    from export import warmup
    from yoto_tf.method import exporting

    try:
        exporting.write(folder, endpoints, model)
        warmup.write(folder, endpoints, batch_sizes)
    except tf.errors.OpError as error:
        # TensorFlow's own file errors, as on a full disk.
        raise SaveError(
            f"could not write the SavedModel ({error.message}); the "
            "published versions are as they were"
        ) from error


@contextlib.contextmanager
def _draws_kept(model):
    """Training that goes on draws as if nothing had been exported."""
    states = [
        (v, v.numpy())
        for v in model.variables
        if v.path.endswith("seed_generator_state")
    ]
    try:
        yield
    finally:
        for variable, state in states:
            variable.assign(state)


def _check_finite(model, run):
    if not all(np.isfinite(w.numpy()).all() for w in model.weights):
        received = "one whose training diverged" if run is None else run.path
        raise InputError(
            f"expected a model with finite weights, received: {received}"
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
    arguments = parsed(Arguments, "python -m export.saved_model", argv)
    with reported_on_the_command_line(), sigterm_as_exit():
        run = RunDirectory(arguments.run)
        run.read_config()
        run.read_curve()
        import_keras_quietly()
        started = time.monotonic()
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
