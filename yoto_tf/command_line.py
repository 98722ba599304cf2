"""What the command lines of training, export and serving share."""

import contextlib
import os
import sys
import tempfile

from yoto_tf.errors import InputError
from yoto_tf.errors import TrainingDiverged


@contextlib.contextmanager
def held_back_stderr():
    """Holds back what is written to stderr, by C++ code too; shows it if the
    block fails."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with tempfile.TemporaryFile() as held:
            os.dup2(held.fileno(), 2)
            try:
                yield
            except BaseException:
                held.seek(0)
                os.write(kept, held.read())
                raise
            finally:
                os.dup2(kept, 2)
    finally:
        os.close(kept)


def import_tensorflow_quietly():
    """Imports TensorFlow without its start-up lines about CPU and CUDA.

    They are written by C++ code straight to file descriptor 2, before any
    logging level counts. If the import fails, they are shown.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with held_back_stderr():
        import tensorflow as tf

        # Looks for GPUs, which has lines of its own.
        tf.config.list_physical_devices()


@contextlib.contextmanager
def reported_on_the_command_line():
    """Turns errors that a user can mend into one sentence on stderr.

    Raises:
        SystemExit: code 2 for bad input or a file that cannot be read or
            written, 3 for training that diverged, 130 for Ctrl-C. With
            YOTO_TF_TRACEBACK=1 in the environment the exception passes
            through unchanged.
    """
    try:
        yield
    except KeyboardInterrupt:
        _exit("interrupted", 130)
    except (InputError, OSError, MemoryError) as error:
        if os.environ.get("YOTO_TF_TRACEBACK") == "1":
            raise
        _exit(_sentence(error), 2)
    except TrainingDiverged as error:
        _exit(str(error), 3)


def _sentence(error):
    if isinstance(error, MemoryError):
        return f"out of memory: {error}"
    if isinstance(error, OSError) and error.strerror:
        where = f": {error.filename}" if error.filename else ""
        return f"{error.strerror}{where}"
    return str(error)


def _exit(sentence, code):
    print(f"error: {sentence}", file=sys.stderr)
    raise SystemExit(code)
