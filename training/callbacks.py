"""What happens beside the steps: checkpoints, times, pictures, the stop."""

import time

import keras
import numpy as np
import tensorflow as tf

from yoto_tf import callbacks
from yoto_tf import points


class SaveRun(keras.callbacks.Callback):
    """Saves a checkpoint into the run directory after every epoch."""

    def __init__(self, run):
        super().__init__()
        self.run = run

    def on_epoch_end(self, epoch, logs=None):
        self.run.save_checkpoint(self.model, epoch + 1)


class TimeEpochs(keras.callbacks.Callback):
    """Adds an epoch's `seconds` and `cpu_seconds` to its logs.

    The first epoch of a process includes the tracing of the graph; the
    checkpoint after an epoch does not count. Processor time counts all
    threads of the process and, unlike the clock, not the waiting for others.
    """

    def on_epoch_begin(self, epoch, logs=None):
        self.started = time.perf_counter(), time.process_time()

    def on_epoch_end(self, epoch, logs=None):
        clock, cpu = self.started
        logs["seconds"] = time.perf_counter() - clock
        logs["cpu_seconds"] = time.process_time() - cpu


class StopOnDivergence(callbacks.StopOnDivergence):
    """Ends a run as `yoto_tf.StopOnDivergence` ends `fit`, and says which
    checkpoint is left and what to change.

    Raises:
        TrainingDiverged: before the epoch's checkpoint.
    """

    def __init__(self, run):
        super().__init__()
        self.run = run

    def advice(self):
        saved = self.run.checkpoint_epochs()
        last = f"epoch {saved[-1]}" if saved else "none"
        return (
            f"; last checkpoint: {last}. A lower --optimizer.learning-rate, "
            "an --optimizer.clip-norm or an --optimizer.clip-ratio helps"
        )


def records(family, model, start, tensorboard=True):
    """The callbacks that write a run's log, scalars, pictures and
    checkpoints, in their order.

    Args:
        family: `Family`.
        model: of it.
        start: `training.beginning.Beginning`.
        tensorboard: whether to write its scalars and pictures.
    """
    run, config = start.run, start.config
    run.keep_log_until(start.epoch)
    made = []
    if tensorboard:
        made.append(
            keras.callbacks.TensorBoard(run.tensorboard, profile_batch=0)
        )
    # After TensorBoard, which has clocks of its own.
    made += [TimeEpochs(), keras.callbacks.CSVLogger(run.log_file, append=True)]
    if tensorboard and config.training.pictures_every:
        made += pictures(family, model, config, start.splits, run)
    # Last, so that what the others wrote of an epoch is never missing from a
    # run that continues after it.
    return [*made, SaveRun(run)]


def close(made):
    """Closes the log, as Keras does only where training comes to its end."""
    for one in made:
        if isinstance(one, keras.callbacks.CSVLogger) and one.csv_file:
            one.csv_file.close()


def pictures(family, model, settings, splits, run):
    """The callbacks that write pictures to TensorBoard: one, or none of a
    family without pictures."""
    some = splits.validation if len(splits.validation) else splits.train
    shown = family.input_pictures(some[:8])
    if shown is None:
        return []
    return [
        Pictures(
            family,
            some[:8],
            family.shown_points(model, settings),
            run.tensorboard / "pictures",
            settings.training.pictures_every,
        )
    ]


class Pictures(keras.callbacks.Callback):
    """Writes what the model makes of some examples, a row per point.

    Args:
        family: `Family` with pictures.
        examples: whose pictures are the first row.
        grid: points of the rows below.
        log_dir: TensorBoard's.
        every: so many epochs.
    """

    def __init__(self, family, examples, grid, log_dir, every):
        super().__init__()
        self.family = family
        self.examples = examples
        self.grid = grid
        self.every = every
        self.writer = tf.summary.create_file_writer(str(log_dir))

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every:
            return
        rows = [self.family.input_pictures(self.examples)]
        rows += [
            self.family.output_pictures(self.model, self.examples, point)
            for point in self.grid
        ]
        # (rows, n, h, w, c) to one picture of (rows * h, n * w, c).
        rows = np.stack([np.asarray(r, "float32") for r in rows])
        count, n, h, w, c = rows.shape
        picture = rows.transpose(0, 2, 1, 3, 4).reshape(1, count * h, n * w, c)
        with self.writer.as_default():
            labels = "; ".join(points.label(p) for p in self.grid)
            tf.summary.image(
                "reconstructions",
                picture,
                step=epoch,
                description=f"first row: images; then {labels}",
            )

    def on_train_end(self, logs=None):
        self.writer.close()
