"""What happens beside the steps: checkpoints, times, pictures, the stop."""

import time

import keras
import numpy as np
import tensorflow as tf

from yoto_tf import callbacks


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
