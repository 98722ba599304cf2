"""Trains one model for every value of its loss parameters:
`python -m training.train PRESET`.

A configuration file of a run or a search stands where a preset stands:
`python -m training.train runs/NAME/config.json --training.epochs 40`.
"""

import contextlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from typing import Literal

import tyro

from training import arguments
from training.distribution import Distribution
from training.distribution import WorkerLost
from training.strategies import end
from training.strategies import made
from training.strategies import one_core_each
from yoto_tf.command_line import command
from yoto_tf.command_line import import_keras_quietly
from yoto_tf.command_line import reported_on_the_command_line
from yoto_tf.errors import InputError
from yoto_tf.examples import arrays_of
from yoto_tf.families import family_for
from yoto_tf.run_directory import RunDirectory
from yoto_tf.settings import Settings


@dataclass(frozen=True)
class Arguments:
    """Train one model for a whole range of its loss parameters."""

    config: Annotated[Settings, tyro.conf.arg(name="")]
    run_dir: Path | None = None
    """Where to write the run; unset: runs/PRESET."""
    resume: bool = False
    """Continue the run in run-dir after its last finished epoch."""
    strategy: Literal["none", "mirrored", "multi_worker"] = "none"
    """Train on one device; on several of this machine (`mirrored`); or as
    one of several processes that TF_CONFIG or Slurm's variables name
    (`multi_worker`): docs/scale.md."""
    devices: int = 0
    """Of `mirrored`; 0: all GPUs. Where there are none the processor is
    divided into so many."""
    wait: float = 600.0
    """Seconds in which the other processes of `multi_worker` must appear."""
    steps_per_execution: int = 1
    """Steps without Python between them, which saves time on a GPU;
    divergence is looked for after so many."""
    batches_on_gpu: int = 2
    """Batches that lie on the GPU, where there is one, before their step
    begins; 0: a step copies its own. Strategies do so by themselves."""
    batch_parts: int = 1
    """Compute a batch in so many parts at once, each on a core of its own:
    faster on a processor, with small feature maps (docs/performance.md)."""


def parse(argv, stored=None):
    """Parses a command line; see `training.arguments.parse`.

    Args:
        argv: list of words.
        stored: settings that options change; None: those that are named.
    """
    return arguments.parse(
        argv,
        "python -m training.train",
        "Train one model for a whole range of its loss parameters.",
        lambda config: arguments.with_settings_of(Arguments, stored or config),
    )


def train(
    config,
    run_dir,
    resume=False,
    preset=None,
    verbose="auto",
    splits=None,
    hooks=(),
    tensorboard=True,
    until_epoch=None,
    log=print,
    steps_per_execution=1,
    batch_parts=1,
    distribution=None,
    batches_on_gpu=2,
):
    """Trains one run, from data to `model.keras`.

    Args:
        config: settings of a family; None: the run's own, to resume it.
        run_dir: path of the run directory, new unless `resume`.
        resume: continue after the last checkpoint; `config` and data must
            then be those of the run.
        preset: name that `config.json` mentions.
        verbose: of `keras.Model.fit`.
        splits: the family's `Splits` of `config`; None loads them.
        hooks: further Keras callbacks, called before the others.
        tensorboard: whether to write its scalars and pictures.
        until_epoch: stop after so many epochs of the schedule, with a
            checkpoint and without `model.keras`; None: train to the end.
        log: called with a sentence on what happens.
        steps_per_execution: of `keras.Model.compile`: so many steps without
            Python between them.
        batch_parts: of `LossConditionalModel.compile`.
        distribution: `training.distribution.Distribution`; None: one device.
        batches_on_gpu: see `yoto_tf.data.on_gpu`; without effect under a
            strategy.

    Returns:
        `(model, RunDirectory)`.

    Raises:
        InputError: for a configuration, data set or directory that cannot
            be used.
        TrainingDiverged: if the loss is not finite, or absurd.
    """
    import keras

    from training import callbacks
    from training.beginning import begun
    from yoto_tf.data import evaluation_batches
    from yoto_tf.data import on_gpu

    distribution = distribution or Distribution()
    if not distribution.is_chief:
        log, verbose = _silent, 0
    with contextlib.ExitStack() as stack:
        start = begun(
            distribution,
            stack,
            config,
            run_dir,
            resume,
            preset,
            splits,
            log,
            lambda config, num: _check_steps(
                config, num, distribution, steps_per_execution
            ),
        )
        config, run, splits = start.config, start.run, start.splits
        family = family_for(config)
        keras.utils.set_random_seed(config.training.seed)
        batch_size = min(config.training.batch_size, len(splits.train))
        steps_per_epoch = len(splits.train) // batch_size
        epochs = config.training.num_epochs(steps_per_epoch)
        with distribution.scope():
            model = start.model() or new_model(
                family, config, splits, epochs * steps_per_epoch
            )
        if not model.is_adapted:
            # From the examples as they are, without augmentation.
            model.adapt(arrays_of(splits.train)[0])
        if steps_per_execution > 1:
            model.steps_per_execution = steps_per_execution
        model.batch_parts = batch_parts
        first_epoch = start.epoch
        batches = family.training_batches(
            config, splits, batch_size, first_epoch
        )
        if distribution.strategy is None:
            batches = on_gpu(batches, batches_on_gpu)
        log(
            f"{model.count_params():,} parameters, {epochs} epochs of "
            f"{steps_per_epoch} steps"
            + distribution.described()
            + (f", continued after epoch {first_epoch}" if first_epoch else "")
        )
        # Of the whole run, also where only a part of it is trained now.
        model.note_run_length(epochs * steps_per_epoch)
        records = []
        if distribution.is_chief:
            records = callbacks.records(family, model, start, tensorboard)
        _fit(
            model,
            run,
            hooks,
            records,
            x=batches,
            epochs=min(epochs, until_epoch or epochs),
            initial_epoch=first_epoch,
            steps_per_epoch=steps_per_epoch,
            validation_data=(
                evaluation_batches(splits.validation, 250)
                if len(splits.validation)
                else None
            ),
            shuffle=False,
            verbose=verbose,
        )
        if distribution.is_chief and not (until_epoch and until_epoch < epochs):
            run.save_model(model)
        distribution.wait_for_all()
    return model, run


def _check_steps(config, num_examples, distribution, steps_per_execution):
    batch_size = min(config.training.batch_size, num_examples)
    distribution.check_batch(batch_size)
    steps_per_epoch = num_examples // batch_size
    if steps_per_epoch % steps_per_execution:
        # Keras would train beyond the epoch's end.
        raise InputError(
            f"expected steps_per_execution to divide the {steps_per_epoch} "
            "steps of an epoch, received: "
            f"steps_per_execution={steps_per_execution}"
        )


def new_model(family, config, splits, total_steps, **compiled):
    """Makes a compiled model of the precision that settings ask for.

    Args:
        family, config: what is trained.
        splits: whose training examples tell shapes.
        total_steps: which the learning rate's schedule is spread over.
        **compiled: of `LossConditionalModel.compile`.
    """
    from training.optimizers import make_optimizer
    from yoto_tf.method import precision

    with precision.default_policy(config.training.dtype):
        model = family.model(config, splits)
        if not model.built:
            # Layers of a family's own may be built on first use.
            model(arrays_of(splits.train[:1])[0])
    model.compile(
        make_optimizer(config.optimizer, total_steps),
        **{"jit_compile": config.training.jit_compile} | compiled,
    )
    return model


def _fit(model, run, hooks, records, **given):
    """`model.fit`, with its callbacks in their order, and files closed.

    Args:
        run: `RunDirectory`.
        hooks: the user's.
        records: of `callbacks.records`, of the process that writes them.
        **given: of `keras.Model.fit`.
    """
    from training import callbacks

    try:
        model.fit(
            **given,
            callbacks=[*hooks, callbacks.StopOnDivergence(run), *records],
        )
    finally:
        callbacks.close(records)


def _silent(sentence):
    """What all but the chief say."""


def _check_parts(given):
    """Refuses what would be refused later, when files are written."""
    jit_compile = given.config.training.jit_compile
    if given.strategy != "none" or jit_compile:
        raise InputError(
            "expected --batch-parts with neither --strategy, which divides "
            "batches itself, nor jit_compile, received: "
            f"batch_parts={given.batch_parts}, strategy={given.strategy!r}, "
            f"jit_compile={jit_compile}"
        )


def main(argv=None):
    argv = sys.argv[1:] if argv is None else argv
    with reported_on_the_command_line():
        name, _, given = parse(argv)
        run_dir = given.run_dir or Path("runs") / name
        config = given.config
        if given.resume:
            run, named = RunDirectory(run_dir), arguments.named(argv)
            if not run.config_file.is_file():
                config = None  # the chief's, who may have it alone
            elif named is None or run.read_preset() == named:
                # Options change what the run was begun with, and are refused
                # where they do.
                config = parse(argv, run.read_config())[2].config
        if given.steps_per_execution < 1:
            raise InputError(
                "expected --steps-per-execution of 1 or more, received: "
                f"steps_per_execution={given.steps_per_execution}"
            )
        if given.batches_on_gpu < 0:
            raise InputError(
                "expected --batches-on-gpu of 0 or more, received: "
                f"batches_on_gpu={given.batches_on_gpu}"
            )
        import_keras_quietly()
        if given.batch_parts != 1:
            _check_parts(given)
            one_core_each(given.batch_parts)
        distribution = made(given.strategy, given.devices, given.wait)
        try:
            with distribution.losses_reported():
                _, run = train(
                    config,
                    run_dir,
                    given.resume,
                    # By which `--resume` knows it again.
                    preset=arguments.named(argv) or name,
                    verbose=1 if sys.stdout.isatty() else 2,
                    steps_per_execution=given.steps_per_execution,
                    batch_parts=given.batch_parts,
                    distribution=distribution,
                    batches_on_gpu=given.batches_on_gpu,
                )
        except WorkerLost as error:
            end(str(error))
        if distribution.is_chief:
            print(f"trained: {run.model_file}")
            print(f"next: {command('training.evaluate', run.path)}")


if __name__ == "__main__":
    main()
