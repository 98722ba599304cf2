"""Trains one model for every value of its loss parameters:
`python -m training.train PRESET`.

A configuration file of a run or a search stands where a preset stands:
`python -m training.train runs/NAME/config.json --training.epochs 40`.
"""

import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from training import arguments
from yoto_tf import provenance
from yoto_tf import strict_config
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


def parse(argv):
    """Parses a command line; see `training.arguments.parse`."""
    return arguments.parse(
        argv,
        "python -m training.train",
        "Train one model for a whole range of its loss parameters.",
        _arguments,
    )


def _arguments(config):
    """The options of a command line, those of the settings' class included."""
    made = dataclasses.make_dataclass(
        "Arguments",
        [("config", Annotated[type(config), tyro.conf.arg(name="")])],
        bases=(Arguments,),
        frozen=True,
    )
    return made(config)


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
):
    """Trains one run, from data to `model.keras`.

    Args:
        config: settings of a family.
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

    Returns:
        `(model, RunDirectory)`.

    Raises:
        InputError: for a configuration, data set or directory that cannot
            be used.
        TrainingDiverged: if the loss is not finite, or absurd.
    """
    import keras

    from training import callbacks
    from training.optimizers import make_optimizer
    from yoto_tf.data import evaluation_batches

    family = family_for(config)
    family.check(config)
    run = RunDirectory(run_dir)
    if resume:
        check_same_config(config, run.read_config(), run)
    else:
        run.require_new()  # before minutes of downloading
    splits = splits or family.load(config, parts=("train",))
    log(
        f"{splits.name}: {len(splits.train):,} training and "
        f"{len(splits.validation):,} validation {splits.noun} of "
        f"{' x '.join(map(str, splits.example_shape))}"
    )
    for note in splits.notes:
        log(note)
    if not resume:
        run.create(config, preset=preset, **provenance.facts())
    with run.locked():
        run.data.begin_or_continue(splits, bool(run.checkpoint_epochs()), log)
        keras.utils.set_random_seed(config.training.seed)
        batch_size = min(config.training.batch_size, len(splits.train))
        steps_per_epoch = len(splits.train) // batch_size
        epochs = config.training.num_epochs(steps_per_epoch)
        model, first_epoch = run.load_checkpoint(warn=log)
        if model is None:
            model = family.model(config, splits)
            if not model.built:
                # Layers of a family's own may be built on first use.
                model(arrays_of(splits.train[:1])[0])
            model.compile(
                make_optimizer(config.optimizer, epochs * steps_per_epoch),
                jit_compile=config.training.jit_compile,
            )
        if not getattr(model, "is_adapted", True):
            # From the examples as they are, without augmentation.
            model.adapt(arrays_of(splits.train)[0])
        batches = family.training_batches(
            config, splits, batch_size, first_epoch
        )
        log(
            f"{model.count_params():,} parameters, {epochs} epochs of "
            f"{steps_per_epoch} steps"
            + (f", continued after epoch {first_epoch}" if first_epoch else "")
        )
        run.keep_log_until(first_epoch)
        csv_log = keras.callbacks.CSVLogger(run.log_file, append=True)
        hooks = [*hooks, callbacks.StopOnDivergence(run)]
        if tensorboard:
            hooks.append(
                keras.callbacks.TensorBoard(run.tensorboard, profile_batch=0)
            )
        # After TensorBoard, which has clocks of its own.
        hooks += [callbacks.TimeEpochs(), csv_log]
        if tensorboard and config.training.pictures_every:
            hooks += callbacks.pictures(family, model, config, splits, run)
        # Last, so that what the others wrote of an epoch is never missing
        # from a run that continues after it.
        hooks.append(callbacks.SaveRun(run))
        try:
            model.fit(
                batches,
                epochs=min(epochs, until_epoch or epochs),
                initial_epoch=first_epoch,
                steps_per_epoch=steps_per_epoch,
                validation_data=(
                    evaluation_batches(splits.validation, 250)
                    if len(splits.validation)
                    else None
                ),
                callbacks=hooks,
                shuffle=False,
                verbose=verbose,
            )
        finally:
            # Keras closes it only where training comes to its end.
            if csv_log.csv_file:
                csv_log.csv_file.close()
        if not until_epoch or until_epoch >= epochs:
            run.save_model(model)
    return model, run


def check_same_config(given, stored, run):
    """Raises InputError, naming the settings, if the two differ."""
    if given.family != stored.family:
        raise InputError(
            f"expected family={stored.family!r} as in {run.config_file} to "
            f"resume it, received: family={given.family!r}"
        )
    differing = strict_config.differences(given, stored)
    if differing:
        raise InputError(
            f"expected the settings of {run.config_file} to resume it, "
            f"received: other values of {', '.join(differing)}"
        )


def main(argv=None):
    argv = sys.argv[1:] if argv is None else argv
    with reported_on_the_command_line():
        name, default, given = parse(argv)
        run_dir = given.run_dir or Path("runs") / name
        config = given.config
        run = RunDirectory(run_dir)
        if given.resume and config == default.config:
            # Nothing overridden: whatever the run was begun with.
            config = run.read_config()
        import_keras_quietly()
        _, run = train(
            config,
            run_dir,
            given.resume,
            preset=name,
            verbose=1 if sys.stdout.isatty() else 2,
        )
        print(f"trained: {run.model_file}")
        print(f"next: {command('training.evaluate', run.path)}")


if __name__ == "__main__":
    main()
