"""MPLBACKEND, which must not decide whether a program starts.

A notebook hands it to the programs that it starts, often without the package
it names. matplotlib cannot be imported then, and Keras imports matplotlib,
TensorFlow Keras.
"""

import contextlib
import os
import sys


@contextlib.contextmanager
def set_aside():
    """Takes MPLBACKEND away while the block imports what needs matplotlib.

    Where matplotlib was imported in the block, its backend is afterwards the
    one that the variable names, if there is such a one.
    """
    given = os.environ.pop("MPLBACKEND", None)
    before = "matplotlib" in sys.modules
    try:
        yield
    finally:
        if given is not None:
            os.environ["MPLBACKEND"] = given
    if given and not before and "matplotlib" in sys.modules:
        # For whoever shows figures in this process.
        with contextlib.suppress(ValueError):
            sys.modules["matplotlib"].rcParams["backend"] = given
