"""What the command lines of training, export and serving share."""

import contextlib
import os
import re
import shlex
import signal
import sys
import tempfile

from yoto_tf import extras
from yoto_tf import matplotlib_backend
from yoto_tf.errors import InputError
from yoto_tf.errors import TrainingDiverged
from yoto_tf.errors import VerificationError


def command(module, *words):
    """A command line to be copied: `python -m module words...`, quoted for a
    shell."""
    words = [str(word) for word in words]
    return shlex.join(["python", "-m", module, *words])


def parsed(kind, prog, argv=None, **given):
    """`tyro.cli`, which of an option that is given twice would keep the last
    and say nothing of the other.

    Args:
        kind: the class of the options.
        prog: of the help.
        argv: list of words; None: those of this process.
        **given: of `tyro.cli`.

    Raises:
        SystemExit: code 2 for an option that is wrong or given twice, 0 after
            `--help`.
    """
    extras.require("training", "tyro")
    import tyro

    argv = sys.argv[1:] if argv is None else list(argv)
    with reported_on_the_command_line():
        check_once(argv)
        try:
            return tyro.cli(kind, prog=prog, args=argv, **given)
        except SystemExit:
            # Of a help that `head` has closed.
            sys.stdout.flush()
            raise


def check_once(argv):
    """Raises `InputError` for an option that is given twice."""
    names = [w.split("=")[0].replace("_", "-") for w in argv]
    options = [
        n
        for n in names
        if (n.startswith("--") and n != "--") or re.fullmatch("-[a-z]", n)
    ]
    twice = [n for n in dict.fromkeys(options) if options.count(n) > 1]
    if twice:
        raise InputError(
            "expected every option once, of several values with all of "
            f"them behind it, received: {twice[0]} "
            f"{options.count(twice[0])} times"
        )


def _file_in_memory():
    """A file that needs no disk, where the system has one."""
    if hasattr(os, "memfd_create"):
        return open(os.memfd_create("stderr"), "w+b")
    return tempfile.TemporaryFile()


@contextlib.contextmanager
def held_back_stderr():
    """Holds back what is written to stderr, by C++ code too; shows it if the
    block fails, but for an error that says all in a sentence."""
    try:
        sys.stderr.flush()
        kept = os.dup(2)
    except (AttributeError, OSError):
        # Closed by who started us: there is nothing to hold back.
        yield
        return
    try:
        with _file_in_memory() as held:
            os.dup2(held.fileno(), 2)
            try:
                yield
            except (InputError, VerificationError):
                raise
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
    # TensorFlow imports Keras, which can fail for another backend. Programs
    # that use Keras themselves have refused it before.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    with held_back_stderr(), matplotlib_backend.set_aside():
        import tensorflow as tf

        # Looks for GPUs, which has lines of its own.
        tf.config.list_physical_devices()


def import_keras_quietly():
    """Imports TensorFlow without its start-up lines, and Keras.

    Raises:
        InputError: for settings of Keras that cannot be used.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with held_back_stderr():
        from yoto_tf.keras_backend import keras
    import_tensorflow_quietly()
    for name in ("max_epochs", "max_steps_per_epoch"):
        limit = getattr(keras.config, name)()
        if limit is not None:
            # `fit` would end early, and the run pass for a finished one.
            raise InputError(
                f"expected KERAS_{name.upper()} not to be set, received: "
                f"{limit}; runs have settings of their own for it"
            )


@contextlib.contextmanager
def reported_on_the_command_line():
    """Turns errors that a user can mend into one sentence on stderr.

    Raises:
        SystemExit: code 2 for bad input or a file that cannot be read or
            written, 3 for training that diverged, 130 for Ctrl-C. With
            YOTO_TF_TRACEBACK=1 in the environment the exception passes
            through unchanged.
    """
    _replace_closed_streams()
    try:
        yield
        # Here, not when the interpreter ends: it would ignore the error.
        sys.stdout.flush()
    except KeyboardInterrupt:
        _exit("interrupted", 130)
    except (InputError, OSError, MemoryError) as error:
        if os.environ.get("YOTO_TF_TRACEBACK") == "1":
            raise
        _exit(_sentence(error), 2)
    except TrainingDiverged as error:
        _exit(str(error), 3)


@contextlib.contextmanager
def sigterm_as_exit():
    """SIGTERM, with which containers are stopped, ends the block as an
    exception does, so that what is unfinished is cleaned up. In the main
    thread alone.

    Raises:
        SystemExit: code 143, on SIGTERM.
    """
    old = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, old)


def _replace_closed_streams():
    """Opens those of file descriptors 0 to 2 that are closed: the next file
    would take the number, and get what C++ code writes to stderr."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            os.dup2(null, number)
            if null != number:
                os.close(null)
            mode = "w" if number else "r"
            setattr(sys, name, open(number, mode, closefd=False))


def _sentence(error):
    if isinstance(error, BrokenPipeError):
        return "whoever read the output has closed it"
    if isinstance(error, MemoryError):
        return f"out of memory: {error}"
    if isinstance(error, OSError) and error.strerror:
        where = f": {error.filename}" if error.filename else ""
        return f"{error.strerror}{where}"
    return str(error)


def _exit(sentence, code):
    try:
        sys.stdout.flush()
    except OSError:
        # A closed pipe or a full disk. What is left must not fail again.
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
    print(f"error: {sentence}", file=sys.stderr)
    raise SystemExit(code)
