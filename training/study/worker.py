"""What a worker process of a study does: one run after the other.

A worker keeps TensorFlow and the data from run to run; both cost more than
a small run does.
"""

import contextlib
import gc
import os
import signal
import sys
import time
import traceback

from training.study.plan import num_steps
from yoto_tf import provenance
from yoto_tf.command_line import import_keras_quietly
from yoto_tf.data_record import fingerprint
from yoto_tf.errors import InputError
from yoto_tf.errors import TrainingDiverged
from yoto_tf.families import family_for
from yoto_tf.run_directory import RunDirectory

_SECONDS_BETWEEN_MESSAGES = 0.5

_messages = None
_parent = None


def start(threads, messages):
    """Prepares the process.

    Args:
        threads: of one TensorFlow operation.
        messages: queue that takes `(name of the run, fraction trained)`.
    """
    global _messages, _parent
    _messages, _parent = messages, os.getppid()
    # Ctrl-C reaches the whole process group; the parent ends the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What is raised here is lost with the process: `prepare` says it.
    with contextlib.suppress(InputError):
        import_keras_quietly()
        set_threads(threads)


def begin_elsewhere(threads):
    """Prepares a process of a cluster, which may have run tasks before and
    sends no messages.

    Args:
        threads: of one TensorFlow operation.
    """
    import_keras_quietly()
    set_threads(threads)


def fraction(path):
    """How far a run is with its training, from 0 to 1, by its files; None
    before it begins.

    Args:
        path: of its run directory, on storage that all share.
    """
    run = RunDirectory(path)
    known = run.data.read() if run.config_file.exists() else None
    if known is None:
        return None
    _, epochs = num_steps(run.read_config(), known["num_examples"]["train"])
    return max(run.checkpoint_epochs(), default=0) / epochs


def set_threads(threads):
    """Gives TensorFlow so many threads. One thread in all took 10 % less
    processor time a step than one per operation."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    # One function is traced for every model, as it has to be.
    tf.get_logger().setLevel("ERROR")


_loaded = {}


def splits_of(config):
    """Loads the data of settings, or hands out those of the last."""
    key = config.family, config.data
    if key not in _loaded:
        _loaded.clear()
        _loaded[key] = family_for(config).load(config)
    return _loaded[key]


def prepare(config, begun, known=()):
    """Loads a data set, and so downloads or renders it, once for all workers.

    Args:
        config: settings with its data.
        begun: paths of the study's runs on it, those that are not begun
            included.
        known: dict, name of a run without a directory -> fingerprint of the
            data that it was trained on.

    Returns:
        None, or the sentence that says why it cannot be used, as that a run
        was begun on other data, or why Keras cannot.
    """
    try:
        import_keras_quietly()
        splits = splits_of(config)
        for path in begun:
            RunDirectory(path).data.require_same(splits)
        for name in known:
            if fingerprint(splits.trained_digests) != known[name]:
                raise InputError(
                    f"expected the {splits.noun} that {name} of the results "
                    "was trained on, received: others; bring those back, or "
                    "write other results (--to)"
                )
    except InputError as error:
        return str(error)
    return None


def train_and_score(planned, path, preset):
    """Trains a run from where it stands, and scores it.

    Args:
        planned: `PlannedRun`.
        path: of its run directory.
        preset: name that its `config.json` mentions.

    Returns:
        None, or a sentence that says why the run failed.
    """
    import keras

    from training.evaluate import evaluate
    from training.study import between
    from training.train import train

    keras.backend.clear_session()
    gc.collect()
    run = RunDirectory(path)
    if not run.config_file.exists():
        run.create(planned.config, preset=preset, **provenance.facts())
    with output_to(run.output_file):
        try:
            splits = splits_of(planned.config)
            _, epochs = num_steps(planned.config, len(splits.train))
            trained = max(run.checkpoint_epochs(), default=0) / epochs
            if _messages is not None:
                _messages.put((planned.name, trained))
            model = None
            if not run.model_file.exists():
                model, _ = train(
                    planned.config,
                    run.path,
                    resume=True,
                    verbose=2,
                    splits=splits,
                    hooks=[_progress(planned)] if _messages is not None else [],
                    tensorboard=False,
                )
            evaluate(
                run,
                planned.points,
                splits=splits,
                model=model,
                metrics=planned.metrics,
                part=planned.scored,
            )
            between.score_run(planned, run, splits, model)
        except TrainingDiverged as error:
            run.write_json(run.divergence_file, {"reason": str(error)})
            return f"diverged: {error}"
        except Exception as error:
            # Whatever it was, the other runs can go on.
            traceback.print_exc()
            return f"{type(error).__name__}: {error}"
    return None


def _progress(planned):
    import keras

    class Progress(keras.callbacks.Callback):
        """Tells the parent how far the run is, and ends with it."""

        last = 0.0
        epoch = 0

        def on_epoch_begin(self, epoch, logs=None):
            self.epoch = epoch

        def on_train_batch_end(self, batch, logs=None):
            now = time.monotonic()
            if now - self.last < _SECONDS_BETWEEN_MESSAGES:
                return
            self.last = now
            if os.getppid() != _parent:
                # Nobody waits for this run; its last checkpoint is whole.
                os._exit(1)
            steps = self.params["steps"]
            done = self.epoch * steps + batch + 1
            _messages.put(
                (planned.name, done / (self.params["epochs"] * steps))
            )

    return Progress()


@contextlib.contextmanager
def output_to(path):
    """Sends what is printed, by C++ code too, to the end of a file."""
    kept = os.dup(1), os.dup(2)
    with open(path, "a") as file:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, descriptor in enumerate(kept, 1):
                os.dup2(descriptor, number)
                os.close(descriptor)
