"""Measures the train step, the input pipeline and evaluation.

`python -m training.benchmark`: examples per second, on random ones of the
presets' shapes, so that no data set is needed. What is compared is run in
turn, A B A B, and the ratio is the median over the pairs: on a shared
machine the ratio holds while the figures drift.

`--processes 'COMMAND' 'COMMAND'` compares what runs in processes of its own:
steps with other threads, as `python -m training.benchmark_step cifar10
--batch-parts 2`, or of other libraries. `--sweep FILE.png` draws examples per
second over batch, width and size of images.
"""

import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training import benchmark_processes
from training import benchmark_sweep
from training.benchmark_step import train_step
from training.train import new_model
from yoto_tf import provenance
from yoto_tf.command_line import import_keras_quietly
from yoto_tf.command_line import parsed
from yoto_tf.command_line import reported_on_the_command_line
from yoto_tf.errors import InputError
from yoto_tf.examples import Splits
from yoto_tf.families import family_for
from yoto_tf.families import get_preset
from yoto_tf.run_directory import RunDirectory
from yoto_tf.strict_config import with_settings

_NUM_EXAMPLES = 10_000
_FIGURES = (".pdf", ".png", ".svg")


@dataclass(frozen=True)
class Arguments:
    """Measure examples per second of training, input and evaluation."""

    presets: tuple[str, ...] = ("cifar10", "rendered_shapes3d")
    """Which presets' networks and shapes."""
    rounds: int = 7
    """Pairs of conditioned and unconditioned runs; medians are shown."""
    steps: int = 40
    """Train steps per run."""
    jit_compile: bool = False
    """Also measure the conditioned step compiled with XLA."""
    processes: tuple[str, ...] = ()
    """Commands to compare, in place of presets, which print 'ready' and
    answer numbers of steps with seconds, as training.benchmark_step."""
    sweep: Path | None = None
    """Draw this figure, of steps of the first preset with and without
    batch-parts, in place of a table."""
    json_file: Path | None = None
    """Where to write the figures as JSON."""


def benchmark(preset, rounds=7, steps=40, jit_compile=False):
    """Measures one preset.

    Returns:
        dict: examples per second by name, `conditioning_cost` (time of the
        conditioned step over that of the unconditioned, minus 1),
        `input_margin` (input over train step).
    """
    known = get_preset(preset)
    config, family = known.config, family_for(known.config)
    batch_size = config.training.batch_size
    examples = family.random_examples(known, _NUM_EXAMPLES)
    splits = Splits(examples, examples[:0], examples)
    runners = {"train step, conditioned": train_step(family, config, splits)}
    untold = family.unconditioned(config)
    if untold is not None:
        runners["train step, unconditioned"] = train_step(
            family, with_settings(config, untold), splits
        )
    if jit_compile:
        runners["train step, conditioned, XLA"] = train_step(
            family, config, splits, jit_compile=True
        )
    for run in runners.values():
        run(steps)
    rates = {name: [] for name in runners}
    for _ in range(rounds):
        for name, run in runners.items():
            rates[name].append(steps * batch_size / run(steps))
    conditioned, unconditioned = (
        rates[f"train step, {kind}"] if untold is not None else [1.0]
        for kind in ("conditioned", "unconditioned")
    )
    variants = family.input_variants(config)
    for name, settings in variants.items():
        iterator = iter(
            family.training_batches(settings, splits, batch_size, 0)
        )
        rates[name] = [
            10 * steps * batch_size / _consume(iterator, 10 * steps)
            for _ in range(3)
        ]
    rates["evaluation"] = _evaluation_rates(family, config, splits)
    medians = {name: statistics.median(r) for name, r in rates.items()}
    return {
        "preset": preset,
        "batch_size": batch_size,
        "examples_per_second": medians,
        "conditioning_cost": statistics.median(
            u / c for c, u in zip(conditioned, unconditioned, strict=True)
        )
        - 1,
        "input_margin": medians[next(iter(variants))]
        / medians["train step, conditioned"],
    }


def _consume(iterator, count):
    started = time.perf_counter()
    for _ in range(count):
        next(iterator)
    return time.perf_counter() - started


def _evaluation_rates(family, config, splits):
    model = new_model(family, config, splits, 1)
    examples = splits.test[:4000]
    # The first point carries the tracing; the marks after it count.
    marks = []
    family.score(
        model,
        examples,
        [family.grid(config)[0]] * 4,
        done=lambda _: marks.append(time.perf_counter()),
    )
    return [len(examples) / s for s in np.diff(marks)]


def table(results):
    """Formats results as a Markdown table."""
    lines = ["| preset | what | examples/s |", "| --- | --- | ---: |"]
    for result in results:
        for name, rate in result["examples_per_second"].items():
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
    arguments = parsed(Arguments, "python -m training.benchmark", argv)
    with reported_on_the_command_line():
        if not arguments.presets:
            raise InputError("expected --presets with one or more names")
        for preset in arguments.presets:
            get_preset(preset)
        for file in (arguments.sweep, arguments.json_file):
            # Before minutes of work.
            if file:
                file.parent.mkdir(parents=True, exist_ok=True)
        if arguments.sweep and arguments.sweep.suffix not in _FIGURES:
            raise InputError(
                f"expected --sweep as a file ending in {', '.join(_FIGURES)}, "
                f"received: {arguments.sweep}"
            )
        for name in ("rounds", "steps"):
            if getattr(arguments, name) < 1:
                raise InputError(
                    f"expected --{name} of 1 or more, received: "
                    f"{name}={getattr(arguments, name)}"
                )
        if arguments.processes:
            measured = _of_processes(arguments)
        elif arguments.sweep:
            measured = benchmark_sweep.drawn(
                arguments.presets[0],
                arguments.sweep,
                arguments.rounds,
                arguments.steps,
            )
        else:
            measured = _of_presets(arguments)
        if arguments.json_file:
            RunDirectory.write_json(
                arguments.json_file, {**measured, **provenance.facts()}
            )


def _of_processes(arguments):
    results = benchmark_processes.compare(
        arguments.processes, arguments.steps, arguments.rounds
    )
    print(benchmark_processes.table(results))
    print(f"Processor: {provenance.processor()}.")
    return {"results": results}


def _of_presets(arguments):
    import_keras_quietly()
    results = [
        benchmark(
            preset, arguments.rounds, arguments.steps, arguments.jit_compile
        )
        for preset in arguments.presets
    ]
    peak = provenance.peak_memory_mib()
    print(table(results))
    print(
        f"Peak memory of the process: {peak:,.0f} MiB. Processor: "
        f"{provenance.processor()}."
    )
    return {"results": results, "peak_memory_mib": peak}


if __name__ == "__main__":
    main()
