"""A train step in a process of its own: `python -m training.benchmark_step`.

Prints `ready` when the step is compiled, then reads numbers of steps from its
input, a line each, and answers with the seconds that they took. So processes
with other threads, or of other libraries, are run in turn:
`python -m training.benchmark --processes`.
"""

import dataclasses
import sys
import time
import warnings
from dataclasses import dataclass
from typing import Annotated

import tyro

from training import arguments
from training.strategies import one_core_each
from training.train import new_model
from yoto_tf.command_line import import_keras_quietly
from yoto_tf.command_line import reported_on_the_command_line
from yoto_tf.errors import InputError
from yoto_tf.examples import Splits
from yoto_tf.families import family_for
from yoto_tf.families import get_preset
from yoto_tf.settings import Settings
from yoto_tf.strict_config import with_settings


@dataclass(frozen=True)
class Arguments:
    """Answer numbers of train steps with the seconds that they took."""

    config: Annotated[Settings, tyro.conf.arg(name="")]
    batch_parts: int = 1
    """As of training.train."""
    steps_per_execution: int = 1
    """As of training.train; divides the numbers that are asked for."""
    unconditioned: bool = False
    """The same network without conditioning."""
    image_size: int = 0
    """Height and width of square images; 0: the preset's."""


def train_step(family, config, splits, *, steps_per_execution=1, **compiled):
    """Makes a step on one batch over and over, without its input.

    Args:
        family, config: what is trained.
        splits: whose first training examples are the batch.
        steps_per_execution: of `keras.Model`.
        **compiled: of `LossConditionalModel.compile`.

    Returns:
        A function of a number of steps, which times them, in seconds.
    """
    from yoto_tf.data import evaluation_batches

    model = new_model(family, config, splits, 10_000, **compiled)
    model.steps_per_execution = steps_per_execution
    batches = evaluation_batches(splits.train, config.training.batch_size)
    iterator = iter(batches.take(1).cache().repeat())
    model.make_train_function()

    def run(steps):
        if steps < 1 or steps % steps_per_execution:
            raise InputError(
                "expected a number of steps that steps_per_execution="
                f"{steps_per_execution} divides, received: {steps}"
            )
        started = time.perf_counter()
        for _ in range(steps // steps_per_execution):
            logs = model.train_function(iterator)
        float(logs["loss"])
        return time.perf_counter() - started

    with warnings.catch_warnings():
        # An unconditioned one is told nothing, to see what telling costs.
        warnings.filterwarnings("ignore", r"expected outputs of call\(\) that")
        run(steps_per_execution)
    return run


def made(name, given):
    """The step that a command line asks for.

    Args:
        name: of the preset.
        given: `Arguments`.

    Raises:
        InputError: for what cannot be, as images of a table.
    """
    preset, config = get_preset(name), given.config
    family = family_for(config)
    if given.unconditioned:
        untold = family.unconditioned(config)
        if untold is None:
            raise InputError(
                "expected a preset of a family that can be unconditioned, "
                f"received: {name}"
            )
        config = with_settings(config, untold)
    if given.image_size:
        if len(preset.example_shape) != 3:
            raise InputError(
                "expected --image-size for a preset of images, received: "
                f"{name}"
            )
        shape = (given.image_size,) * 2 + preset.example_shape[2:]
        preset = dataclasses.replace(preset, example_shape=shape)
    examples = family.random_examples(preset, config.training.batch_size)
    return train_step(
        family,
        config,
        Splits(examples, examples[:0], examples[:0]),
        steps_per_execution=given.steps_per_execution,
        batch_parts=given.batch_parts,
    )


def parse(argv):
    """Parses a command line; see `training.arguments.parse`."""
    return arguments.parse(
        argv,
        "python -m training.benchmark_step",
        "Answer numbers of train steps with the seconds that they took.",
        lambda config: arguments.with_settings_of(Arguments, config),
    )


def main(argv=None):
    with reported_on_the_command_line():
        name, _, given = parse(sys.argv[1:] if argv is None else argv)
        import_keras_quietly()
        if given.batch_parts != 1:
            one_core_each(given.batch_parts)
        run = made(name, given)
        print("ready", flush=True)
        for line in sys.stdin:
            if not line.strip().isdecimal():
                raise InputError(
                    "expected a number of steps on each line of the input, "
                    f"received: {line.strip()!r}"
                )
            print(run(int(line)), flush=True)


if __name__ == "__main__":
    main()
