"""Python's collector of cycles, off while a test looks at what is left."""

import contextlib
import gc


@contextlib.contextmanager
def no_collector():
    """Nothing is collected but by what runs within; then it is as before."""
    gc.collect()
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
