"""Draws the figures of runs: `python -m training.plots RUN...`."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from training.metrics import columns_of
from training.study.plan import MEANING
from yoto_tf import points
from yoto_tf import strict_config
from yoto_tf.command_line import import_keras_quietly
from yoto_tf.command_line import parsed
from yoto_tf.command_line import reported_on_the_command_line
from yoto_tf.errors import InputError
from yoto_tf.families import PictureGrid
from yoto_tf.files import written_whole
from yoto_tf.run_directory import RunDirectory
from yoto_tf.seeds import checked_seed

_ROWS = 6
_COLUMNS = 10


@dataclass(frozen=True)
class Arguments:
    """Draw the trade-off, the family's scores against its first loss
    parameter, and what the model makes of test examples, if those are
    pictures.

    Of several runs of one family: figures of the curves with all of them, and
    the pictures of each in its own directory.
    """

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Run directories that training.evaluate has scored."""
    to: Path | None = None
    """Where to write; unset: the figures/ directory of each run, and for
    figures with all of several that of the first, as compared_NAME."""
    format: tuple[str, ...] = ("png",)
    """Any of png, pdf, svg."""
    seed: int = 0
    """Of what is drawn at random, as samples."""


def plot(runs, to=None, formats=("png",), seed=0, log=print):
    """Draws and writes the figures of runs.

    Args:
        runs: list of `RunDirectory`, evaluated.
        to: directory; None: each run's own.
        formats: suffixes, as `("png", "pdf")`.
        seed: of what is drawn at random.
        log: called with a sentence for every file.

    Returns:
        list of paths.
    """
    from training import figures
    from training import line_figures

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
    family = _family(runs)
    curves = [run.read_curve() for run in runs]
    part = _part(runs, log)
    labels = _short_labels([run.path.resolve() for run in runs])
    curves = dict(zip(labels, curves, strict=True))
    # A run's own figures stay as they are.
    joint = "" if to or len(runs) == 1 else "compared_"
    write(
        figures.trade_off_figure(curves, family),
        to or runs[0].figures,
        f"{joint}trade_off",
        "{1} against {0} on {2}, one point per value".format(
            *(c.title for c in family.trade_off), part
        ),
    )
    for line in family.lines:
        write(
            line_figures.line_figure(curves, family, line),
            to or runs[0].figures,
            joint + line.name,
            line.meaning,
        )
    panels = _metric_panels(curves, family)
    if panels:
        write(
            line_figures.panels_figure(panels, family),
            to or runs[0].figures,
            f"{joint}metrics",
            f"what training.evaluate --metrics measured on {part}, "
            f"against {family.parameters[0]}; grey: what a score cannot exceed",
        )
    for run, label in zip(runs, labels, strict=True):
        folder = to or run.figures
        # Pictures of several runs in one folder need different names.
        prefix = f"{label.replace('/', '_')}_" if to and len(runs) > 1 else ""
        for figure, name, meaning in _pictures(run, family, seed, log):
            write(figure, folder, prefix + name, meaning)
    return written


def _metric_panels(curves, family):
    from training import line_figures

    panels = []
    for column in columns_of(sum(curves.values(), []), family):
        known = {
            label: [r for r in rows if np.isfinite(r.get(column.name, np.nan))]
            for label, rows in curves.items()
        }
        known = {label: rows for label, rows in known.items() if rows}
        if not known:
            continue
        panels.append((known, line_figures.line_of(column, known)))
    return panels


def _part(runs, log):
    """What the runs were scored on, in words; says what does not compare."""
    facts = [run.read_evaluation() for run in runs]
    parts = {known.get("split", "test") for known in facts}
    if len(parts) > 1:
        raise InputError(
            "expected runs that are scored on one part of the data, received: "
            f"{' and '.join(sorted(parts))} examples"
        )
    configs = [run.read_config() for run in runs]
    apart = sorted(
        {
            name
            for config in configs
            for name in strict_config.differences(config, configs[0])
            if name in MEANING
        }
    )
    if len({known.get("test_fingerprint") for known in facts}) > 1:
        apart.append("test examples")
    if apart:
        log(
            "these runs stand on one figure and do not compare: they have "
            f"different {', '.join(apart)}"
        )
    (part,) = parts
    return "the test split" if part == "test" else f"{part} examples"


def _family(runs):
    if not runs:
        raise InputError("expected one run directory or more, received: none")
    found = {run.read_config().family: run for run in runs}
    if len(found) > 1:
        raise InputError(
            f"expected runs of one family, received: {sorted(found)}"
        )
    families = [run.family() for run in runs]
    knobs = {f.parameters: f for f in families}
    if len(knobs) > 1:
        raise InputError(
            "expected runs with the same loss parameters, received: "
            + " and ".join(", ".join(names) for names in knobs)
        )
    return families[0]


def _pictures(run, family, seed, log):
    from training import figures
    from training.test_split import load_test_split

    model = run.load_model()
    examples, _ = load_test_split(run, log)
    shown = examples[:_COLUMNS]
    inputs = family.input_pictures(shown)
    if inputs is None:
        return
    names = family.parameters
    grid = [
        point
        for point in ({n: row[n] for n in names} for row in run.read_curve())
        if model.loss_parameters.contains(point)
    ]
    if not grid:
        log(
            f"no pictures of {run.path}: it was scored at values alone that "
            "were not trained"
        )
        return
    grid = _spread(grid, _ROWS)
    grids = [
        PictureGrid(
            "reconstructions",
            "test images (top) and what the model makes of them, one row per "
            "value",
            "Test images and their reconstructions",
            [
                inputs,
                *(family.output_pictures(model, shown, p) for p in grid),
            ],
            ["image", *map(points.label, grid)],
        ),
        *family.further_pictures(model, examples, grid, seed),
    ]
    for one in grids:
        figure = figures.image_grid(
            one.rows, one.row_labels, one.title, one.column_labels
        )
        yield figure, one.name, one.meaning


def _spread(values, num):
    """`num` of `values`, evenly over their order, both ends included."""
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
    arguments = parsed(Arguments, "python -m training.plots", argv)
    with reported_on_the_command_line():
        checked_seed(arguments.seed)
        runs = [RunDirectory(path) for path in arguments.runs]
        _family(runs)
        import_keras_quietly()
        plot(
            runs,
            arguments.to,
            arguments.format,
            arguments.seed,
        )


if __name__ == "__main__":
    main()
