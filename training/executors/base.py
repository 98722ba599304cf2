"""What an executor does."""

import importlib.util

from yoto_tf.errors import InputError


class Lost(RuntimeError):
    """A task's process or machine went away before it had an answer."""


class Executor:
    """Runs functions elsewhere. A context; what still runs when it is left is
    stopped, and keeps the checkpoints that it has.

    Attributes:
        capacity: how many tasks may be submitted at once; None: any number.
        is_here: whether tasks run under this process, which may send them
            their progress by a queue.
        retries: how often a task that was lost is submitted again.
    """

    capacity = None
    is_here = False
    retries = 3

    def __enter__(self):
        return self

    def __exit__(self, *error):
        raise NotImplementedError

    def submit(self, function, *arguments):
        """Begins `function(*arguments)`, of a module that can be imported
        there; returns a handle, which can be a key of a dict."""
        raise NotImplementedError

    def finished(self, handles, seconds):
        """Waits for the first to end, so long at most; returns the list of
        all that have ended."""
        raise NotImplementedError

    def outcome(self, handle):
        """What the function of a finished task returned.

        Raises:
            Lost: where its process or machine went away.
            Exception: what the function raised.
        """
        raise NotImplementedError

    def call(self, function, *arguments):
        """Runs one function to its end."""
        handle = self.submit(function, *arguments)
        while not self.finished([handle], 1.0):
            pass
        return self.outcome(handle)


def require(module, extra):
    """Refuses an executor whose library is not installed.

    Raises:
        InputError: with the command that installs it.
    """
    if importlib.util.find_spec(module) is None:
        raise InputError(
            f"expected {module} for --executor {extra}, as by: "
            f"pip install 'yoto_tf[{extra}]', received: it is not installed"
        )


def with_threads(threads, function, *arguments):
    """Calls a function in a process of a cluster.

    Args:
        threads: of one TensorFlow operation; None: the function starts
            processes of its own.
    """
    if threads is not None:
        from training.study import worker

        worker.begin_elsewhere(threads)
    return function(*arguments)
