"""How processes of `serving` are ended."""

import os
import signal
import threading


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
