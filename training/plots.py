"""Draws the figures of runs: `python -m training.plots RUN...`."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from yoto_tf.command_line import import_keras_quietly
from yoto_tf.command_line import reported_on_the_command_line
from yoto_tf.errors import InputError
from yoto_tf.files import written_whole
from yoto_tf.run_directory import RunDirectory

_ROWS = 6
_COLUMNS = 10


@dataclass(frozen=True)
class Arguments:
    """Draw the curve, reconstructions, prior samples and a traversal.

    Of several runs: one curve figure with all of them, and the pictures of
    each in its own directory.
    """

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Run directories that training.evaluate has scored."""
    to: Path | None = None
    """Where to write; unset: the figures/ directory of each run."""
    format: tuple[str, ...] = ("png",)
    """Any of png, pdf, svg."""
    traversal_beta: float | None = None
    """Beta of the latent traversal; unset: the grid's lowest that is 1 or
    more."""
    seed: int = 0
    """Of the prior samples."""


def plot(
    runs, to=None, formats=("png",), traversal_beta=None, seed=0, log=print
):
    """Draws and writes the figures of runs.

    Args:
        runs: list of `RunDirectory`, evaluated.
        to: directory; None: each run's own.
        formats: suffixes, as `("png", "pdf")`.
        traversal_beta: of the latent traversal; None chooses.
        seed: of the prior samples.
        log: called with a sentence for every file.

    Returns:
        list of paths.
    """
    from training import figures

    if not runs:
        raise InputError("expected one or more run directories, received: ()")
    for suffix in formats:
        if suffix not in ("png", "pdf", "svg"):
            raise InputError(
                f"expected format among png, pdf, svg, received: {suffix!r}"
            )
    written = []

    def write(figure, folder, name, meaning):
        for suffix in formats:
            path = Path(folder) / f"{name}.{suffix}"
            with written_whole(path) as aside:
                figures.save(figure, aside)
            written.append(path)
            log(f"{path}: {meaning}")

    # A run that is named twice is drawn once.
    runs = list({run.path.resolve(): run for run in runs}.values())
    curves = [run.read_curve() for run in runs]
    labels = _short_labels([run.path.resolve() for run in runs])
    curves = dict(zip(labels, curves, strict=True))
    write(
        figures.rate_distortion_figure(curves),
        to or runs[0].figures,
        "rate_distortion",
        "distortion against rate on the test split, one point per beta",
    )
    for run, label in zip(runs, labels, strict=True):
        folder = to or run.figures
        # Pictures of several runs in one folder need different names.
        prefix = f"{label.replace('/', '_')}_" if to and len(runs) > 1 else ""
        for figure, name, meaning in _pictures(run, traversal_beta, seed, log):
            write(figure, folder, prefix + name, meaning)
    return written


def _pictures(run, traversal_beta, seed, log):
    from training import figures
    from training.test_images import load_test_images

    model = run.load_model()
    images, _ = load_test_images(run, log)
    grid = [row["beta"] for row in run.read_curve()]
    betas = _spread([b for b in grid if model.beta_range.contains(b)], _ROWS)
    names = [rf"$\beta$ = {b:g}" for b in betas]
    shown = images[:_COLUMNS]
    yield (
        figures.image_grid(
            [shown / 255.0, *(model.reconstruct(shown, b) for b in betas)],
            ["image", *names],
            "Test images and their reconstructions",
        ),
        "reconstructions",
        "test images (top) and their reconstructions, one row per beta",
    )
    yield (
        figures.image_grid(
            [model.sample(_COLUMNS, b, seed=seed) for b in betas],
            names,
            "Samples of the prior, the same latents in every row",
        ),
        "prior_samples",
        "images decoded from the prior, one row per beta",
    )
    beta = traversal_beta or min(
        (b for b in betas if b >= 1), default=max(betas)
    )
    rows, latents, steps = _traversal(model, images[:500], beta)
    yield (
        figures.image_grid(
            rows,
            [f"latent {i}" for i in latents],
            rf"Latent traversal around a test image, $\beta$ = {beta:g}",
            [f"{s:+.1f}" for s in steps],
        ),
        "latent_traversal",
        "one latent moved per row, the most active ones first",
    )


def _traversal(model, images, beta):
    """Moves the most active latents of the first image from -2.5 to 2.5."""
    means = np.concatenate(
        [
            np.asarray(model.encode(images[i : i + 100], beta)[0])
            for i in range(0, len(images), 100)
        ]
    )
    latents = np.argsort(-means.var(axis=0), kind="stable")[:_ROWS]
    steps = np.linspace(-2.5, 2.5, _COLUMNS + 1)
    rows = []
    for latent in latents:
        z = np.tile(means[:1], (len(steps), 1))
        z[:, latent] = steps
        rows.append(model.decode(z, beta))
    return rows, latents, steps


def _spread(values, num):
    """`num` of `values`, evenly over their order, both ends included."""
    values = sorted(values)
    index = np.linspace(0, len(values) - 1, min(num, len(values)))
    return [values[int(round(i))] for i in index]


def _short_labels(paths):
    """The ends of paths, of as many folders as tell them apart."""
    parts = [Path(p).parts for p in paths]
    for count in range(1, max(map(len, parts))):
        ends = ["/".join(p[-count:]) for p in parts]
        if len(set(ends)) == len(ends):
            return ends
    return [str(p) for p in paths]


def main(argv=None):
    arguments = tyro.cli(Arguments, prog="python -m training.plots", args=argv)
    with reported_on_the_command_line():
        runs = [RunDirectory(path) for path in arguments.runs]
        for run in runs:
            run.read_config()
        import_keras_quietly()
        plot(
            runs,
            arguments.to,
            arguments.format,
            arguments.traversal_beta,
            arguments.seed,
        )


if __name__ == "__main__":
    main()
