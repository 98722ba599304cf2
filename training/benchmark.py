"""Measures the train step, the input pipeline and evaluation.

`python -m training.benchmark`: images per second, on random images of the
presets' shapes, so that no data set is needed. What is compared is run in
turn, A B A B, and the ratio is the median over the pairs: on a shared
machine the ratio holds while the figures drift.
"""

import dataclasses
import resource
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from yoto_tf import provenance
from yoto_tf.command_line import import_keras_quietly
from yoto_tf.command_line import reported_on_the_command_line
from yoto_tf.presets import get_preset
from yoto_tf.run_directory import RunDirectory

_NUM_IMAGES = 10_000


@dataclass(frozen=True)
class Arguments:
    """Measure images per second of training, input and evaluation."""

    presets: tuple[str, ...] = ("cifar10", "rendered_shapes3d")
    """Which presets' networks and image sizes."""
    rounds: int = 7
    """Pairs of conditioned and unconditioned runs; medians are shown."""
    steps: int = 40
    """Train steps per run."""
    jit_compile: bool = False
    """Also measure the conditioned step compiled with XLA."""
    json_file: Path | None = None
    """Where to write the figures as JSON."""


def benchmark(preset, rounds=7, steps=40, jit_compile=False):
    """Measures one preset.

    Returns:
        dict: images per second by name, `conditioning_cost` (time of the
        conditioned step over that of the unconditioned, minus 1),
        `input_margin` (input over train step).
    """
    from yoto_tf.data import training_batches

    config = get_preset(preset).config
    shape = get_preset(preset).image_shape
    batch_size = config.training.batch_size
    images = np.random.default_rng(0).integers(
        0, 256, (_NUM_IMAGES, *shape), np.uint8
    )
    runners = {
        "train step, conditioned": _train_step(config, images, steps),
        "train step, unconditioned": _train_step(
            _unconditioned(config), images, steps
        ),
    }
    if jit_compile:
        runners["train step, conditioned, XLA"] = _train_step(
            config, images, steps, jit_compile=True
        )
    rates = {name: [] for name in runners}
    for _ in range(rounds):
        for name, run in runners.items():
            rates[name].append(steps * batch_size / run())
    conditioned, unconditioned, *_ = rates.values()
    for augmentation in ("none", "crop_flip"):
        iterator = iter(
            training_batches(images, batch_size, augmentation=augmentation)[0]
        )
        name = f"input pipeline, augmentation {augmentation}"
        rates[name] = [
            10 * steps * batch_size / _consume(iterator, 10 * steps)
            for _ in range(3)
        ]
    rates["evaluation"] = _evaluation_rates(config, images[:4000])
    medians = {name: statistics.median(r) for name, r in rates.items()}
    return {
        "preset": preset,
        "batch_size": batch_size,
        "images_per_second": medians,
        "conditioning_cost": statistics.median(
            u / c for c, u in zip(conditioned, unconditioned, strict=True)
        )
        - 1,
        "input_margin": medians["input pipeline, augmentation none"]
        / medians["train step, conditioned"],
    }


def _unconditioned(config):
    conditioning = dataclasses.replace(config.model.conditioning, kind="none")
    model = dataclasses.replace(config.model, conditioning=conditioning)
    return dataclasses.replace(config, model=model)


def _model(config, images):
    from yoto_tf.models import ConditionalVAE

    return ConditionalVAE(
        images.shape[1:], config.model, config.beta, config.objective, seed=0
    )


def _train_step(config, images, steps, jit_compile=False):
    """Returns a function that runs `steps` train steps and times them."""
    import tensorflow as tf

    from training.optimizers import make_optimizer

    model = _model(config, images)
    optimizer = make_optimizer(config.optimizer, 10_000)
    model.compile(optimizer, jit_compile=jit_compile)
    # One batch over and over: the step alone, without its input.
    batch = tf.constant(images[: config.training.batch_size])
    iterator = iter(tf.data.Dataset.from_tensors(batch).repeat())
    model.make_train_function()
    step = model.train_function

    def run():
        started = time.perf_counter()
        for _ in range(steps):
            logs = step(iterator)
        float(logs["loss"])
        return time.perf_counter() - started

    run()
    return run


def _consume(iterator, count):
    started = time.perf_counter()
    for _ in range(count):
        next(iterator)
    return time.perf_counter() - started


def _evaluation_rates(config, images):
    from yoto_tf.evaluation import rate_distortion_curve

    model = _model(config, images)
    # The first beta carries the tracing; the marks after it count.
    marks = []
    rate_distortion_curve(
        model,
        images,
        [1.0] * 4,
        progress=lambda done: marks.append(time.perf_counter()),
    )
    return [len(images) / s for s in np.diff(marks)]


def table(results):
    """Formats results as a Markdown table."""
    lines = ["| preset | what | images/s |", "| --- | --- | ---: |"]
    for result in results:
        for name, rate in result["images_per_second"].items():
            lines.append(f"| {result['preset']} | {name} | {rate:,.0f} |")
    lines.append("")
    for result in results:
        lines.append(
            f"{result['preset']}: conditioning costs "
            f"{100 * result['conditioning_cost']:.1f} % of the step; the "
            f"input delivers {result['input_margin']:.1f} times what the "
            "step consumes."
        )
    return "\n".join(lines)


def main(argv=None):
    arguments = tyro.cli(
        Arguments, prog="python -m training.benchmark", args=argv
    )
    with reported_on_the_command_line():
        for preset in arguments.presets:
            get_preset(preset)
        import_keras_quietly()
        results = [
            benchmark(
                preset, arguments.rounds, arguments.steps, arguments.jit_compile
            )
            for preset in arguments.presets
        ]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(table(results))
        print(f"Peak memory of the process: {peak:,.0f} MiB.")
        if arguments.json_file:
            RunDirectory.write_json(
                arguments.json_file,
                {
                    "results": results,
                    "peak_memory_mib": peak,
                    **provenance.facts(),
                },
            )


if __name__ == "__main__":
    main()
