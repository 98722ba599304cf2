"""Scores a run for every beta: `python -m training.evaluate RUN`."""

import dataclasses
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from yoto_tf import provenance
from yoto_tf.command_line import command
from yoto_tf.command_line import import_keras_quietly
from yoto_tf.command_line import reported_on_the_command_line
from yoto_tf.run_directory import RunDirectory


@dataclass(frozen=True)
class Arguments:
    """Score a trained run on its whole test split, for every beta of a grid.

    Writes curve.csv and evaluation.json into the run directory.
    """

    run: tyro.conf.Positional[Path]
    """Run directory of training.train."""
    betas: tuple[float, ...] = ()
    """Other betas than those of the run's configuration."""
    batch_size: Annotated[int, tyro.conf.arg(help="Images at a time.")] = 500
    seed: int = 0
    """Of the noise of the posterior's samples."""


def evaluate(
    run,
    betas=(),
    batch_size=500,
    seed=0,
    verbose=0,
    images=None,
    model=None,
    log=print,
):
    """Scores a run and writes `curve.csv` and `evaluation.json`.

    Test images that the run was trained on are left out; see
    `training.test_images`.

    Args:
        run: `RunDirectory` of a trained run.
        betas: the grid; empty: that of the run's configuration, and for a
            fixed-weight model its own beta alone.
        batch_size: images at a time.
        seed: of the noise of the posterior's samples.
        verbose: 1 for a progress bar.
        images, model: the run's `ImageSplits` and its trained model, where
            the caller has them already.
        log: called with a sentence if the data are not what they were.

    Returns:
        list of `CurvePoint`.
    """
    import keras

    from training.test_images import load_test_images
    from training.test_images import unseen
    from yoto_tf import evaluation

    config = run.read_config()
    model = model or run.load_model()
    if not betas:
        fixed = config.beta.distribution == "constant"
        betas = config.beta.values if fixed else config.evaluation.betas
    images, facts = (
        unseen(run, images, log) if images else load_test_images(run, log)
    )
    started = time.monotonic()
    bar = keras.utils.Progbar(len(betas), verbose=verbose, unit_name="beta")
    points = evaluation.rate_distortion_curve(
        model, images, betas, batch_size, seed, bar.update
    )
    seconds = time.monotonic() - started
    pairs = np.array([[p.rate, p.distortion] for p in points])
    front = evaluation.pareto_front(pairs)
    reference = hypervolume_reference(model, images.shape[1:])
    rows = [
        [*dataclasses.asdict(p).values(), int(f)]
        for p, f in zip(points, front, strict=True)
    ]
    names = [f.name for f in dataclasses.fields(points[0])]
    run.write_csv(run.curve_file, [[*names, "on_pareto_front"], *rows])
    run.write_json(
        run.evaluation_file,
        {
            "data": config.data.name,
            "split": "test",
            "num_images": len(images),
            "image_shape": list(images.shape[1:]),
            **facts,
            "training_seed": config.training.seed,
            "noise_seed": seed,
            "units": "nats per image",
            "parameters": model.count_params(),
            "steps": int(model.optimizer.iterations),
            "hypervolume": evaluation.hypervolume(pairs, reference),
            "hypervolume_reference": {
                "rate": reference[0],
                "distortion": reference[1],
            },
            "seconds": round(seconds, 1),
            **provenance.facts(),
        },
    )
    return points


def hypervolume_reference(model, image_shape):
    """Returns `[rate, distortion]` up to which hypervolumes are measured.

    A rate of 1 bit per value, and what a model that knows nothing pays: the
    same for all runs on the same data and likelihood.
    """
    num_values = int(np.prod(image_shape))
    return [
        num_values * float(np.log(2)),
        model.likelihood.blank_distortion(num_values),
    ]


def table(points):
    """Formats points as a Markdown table."""
    lines = [
        "| beta | distortion | rate | full loss | bits/dim | active units |",
        "| ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for p in points:
        lines.append(
            f"| {p.beta:g} | {p.distortion:.1f} ± {p.distortion_se:.1f} "
            f"| {p.rate:.2f} ± {p.rate_se:.2f} "
            f"| {p.full_loss:.1f} ± {p.full_loss_se:.1f} "
            f"| {p.full_loss_bpd:.3f} | {p.active_units} |"
        )
    return "\n".join(lines)


def main(argv=None):
    arguments = tyro.cli(
        Arguments, prog="python -m training.evaluate", args=argv
    )
    with reported_on_the_command_line():
        run = RunDirectory(arguments.run)
        import_keras_quietly()
        points = evaluate(
            run,
            arguments.betas,
            arguments.batch_size,
            arguments.seed,
            verbose=1,
        )
        print(table(points))
        print(f"nats per image, written to {run.curve_file}")
        summary = json.loads(run.evaluation_file.read_text())
        reference = summary["hypervolume_reference"]
        print(
            f"hypervolume {summary['hypervolume']:,.0f} nats^2, up to rate "
            f"{reference['rate']:,.0f} and distortion "
            f"{reference['distortion']:,.0f}"
        )
        print(f"next: {command('training.plots', run.path)}")


if __name__ == "__main__":
    main()
