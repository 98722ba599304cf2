"""How processes of `serving` are ended."""

import contextlib
import os
import signal
import threading


def end_at_once() -> None:
    """SIGTERM and Ctrl-C end the process at once from now on, with 0 and 130.

    For a start in which there is nothing to end yet, before `stop_event`: an
    exception within imports may be lost, and the first process of a container
    gets no signal that it does not handle.
    """
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))


def stop_event() -> threading.Event:
    """Returns an event that SIGTERM and Ctrl-C set from now on.

    The second one of them ends the process at once.
    """
    stop = threading.Event()

    def on_signal(*_):
        if stop.is_set():
            os._exit(1)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    return stop


@contextlib.contextmanager
def held_back():
    """SIGTERM and Ctrl-C within the block take effect at its end.

    Their handlers run in the main thread alone; in another one there is
    nothing to hold back.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received = []
    before = {
        number: signal.signal(number, lambda n, _: received.append(n))
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for number in received:
        signal.raise_signal(number)
