"""What happens beside the steps: checkpoints, times, pictures, the NaN stop."""

import math
import time

import keras
import numpy as np
import tensorflow as tf

from yoto_tf.errors import TrainingDiverged


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


class StopOnNonFinite(keras.callbacks.Callback):
    """Ends training when the loss is NaN or infinite.

    Raises:
        TrainingDiverged: with the epoch, the step and the terms. Raised
            before the epoch's checkpoint, so the last one is still sound.
    """

    def __init__(self, run):
        super().__init__()
        self.run = run
        self.epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if math.isfinite(float(logs["loss"])):
            return
        terms = [
            name
            for name, value in logs.items()
            if name != "loss" and not math.isfinite(float(value))
        ]
        # All terms can be finite while their weighted sum is not.
        culprit = " and ".join(terms) or "the weighted loss"
        saved = self.run.checkpoint_epochs()
        last = f"epoch {saved[-1]}" if saved else "none"
        raise TrainingDiverged(
            f"{culprit} stopped being finite in epoch {self.epoch + 1}, step "
            f"{batch + 1} (step {int(self.model.optimizer.iterations)} of the "
            f"run); last good checkpoint: {last}. A lower "
            "--optimizer.learning-rate or an --optimizer.clip-norm helps"
        )


class ReconstructionPictures(keras.callbacks.Callback):
    """Writes reconstructions over beta to TensorBoard, a row per beta.

    Args:
        images: `(n, size, size, channels)` uint8, shown in the first row.
        betas: of the rows below.
        log_dir: TensorBoard's.
        every: so many epochs.
    """

    def __init__(self, images, betas, log_dir, every):
        super().__init__()
        self.images = images
        self.betas = betas
        self.every = every
        self.writer = tf.summary.create_file_writer(str(log_dir))

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every:
            return
        rows = [self.images / 255.0]
        rows += [self.model.reconstruct(self.images, b) for b in self.betas]
        # (rows, n, h, w, c) to one picture of (rows * h, n * w, c).
        rows = np.stack([np.asarray(r, "float32") for r in rows])
        count, n, h, w, c = rows.shape
        picture = rows.transpose(0, 2, 1, 3, 4).reshape(1, count * h, n * w, c)
        with self.writer.as_default():
            betas = ", ".join(f"{b:g}" for b in self.betas)
            tf.summary.image(
                "reconstructions",
                picture,
                step=epoch,
                description=f"first row: images; then beta = {betas}",
            )

    def on_train_end(self, logs=None):
        self.writer.close()
