"""Waiting for what happens, with deadlines that a busy machine keeps.

They cost time only where a test fails.
"""

import time

# Of a process that imports TensorFlow and trains, in seconds.
OF_PROCESS = 480


def happens(check, seconds=60):
    """Waits until `check()` is true; returns whether it was in time."""
    end = time.monotonic() + seconds
    while not check():
        if time.monotonic() >= end:
            return False
        time.sleep(0.005)
    return True


def eventually(check, seconds=60):
    """Waits until `check()` is true, which it must become."""
    assert happens(check, seconds), "did not happen"
