"""Tasks as processes of this machine."""

import multiprocessing
from concurrent.futures import FIRST_COMPLETED
from concurrent.futures import wait

import pebble

from training.executors.base import Executor
from training.executors.base import Lost


class LocalExecutor(Executor):
    """Processes that go on to the next task, each with its own TensorFlow.

    Args:
        num: of them.
        initializer: called with `messages` and `arguments` in each of them.
        arguments: further ones.

    Attributes:
        messages: a queue from the processes.
    """

    is_here = True
    # A process that dies here dies again, as for lack of memory.
    retries = 0

    def __init__(self, num, initializer=None, arguments=()):
        context = multiprocessing.get_context("spawn")
        self.messages = context.Queue()
        given = {}
        if initializer:
            given = {
                "initializer": initializer,
                "initargs": (*arguments, self.messages),
            }
        self._pool = pebble.ProcessPool(num, context=context, **given)

    def __exit__(self, kind, *error):
        if kind is None:
            self._pool.close()
        # After an error, and after Ctrl-C.
        self._pool.stop()
        self._pool.join()
        self.messages.close()

    def submit(self, function, *arguments):
        return self._pool.schedule(function, list(arguments))

    def finished(self, handles, seconds):
        return list(wait(handles, seconds, FIRST_COMPLETED).done)

    def outcome(self, handle):
        try:
            return handle.result()
        except pebble.ProcessExpired as error:
            raise Lost(
                f"its process ended with exit code {error.exitcode}"
            ) from error
