"""matplotlib, whatever the environment says of it.

MPLBACKEND names how a notebook shows figures, and a program that a notebook
starts inherits it, often without that package; a matplotlibrc may ask for
TeX. Figures here are files that look the same everywhere.
"""

import contextlib
import functools
import os
import sys

_first = "matplotlib" not in sys.modules
# With one that is not installed, matplotlib cannot even be imported.
_backend = os.environ.pop("MPLBACKEND", None)
try:
    import matplotlib
    from matplotlib import colors
    from matplotlib import ticker
    from matplotlib.figure import Figure
finally:
    if _backend is not None:
        os.environ["MPLBACKEND"] = _backend
if _backend and _first:
    # For whoever shows figures in this process.
    with contextlib.suppress(ValueError):
        matplotlib.rcParams["backend"] = _backend

__all__ = ["Figure", "colors", "own_style", "ticker"]


def own_style(function):
    """Calls a function with matplotlib's own defaults, not the user's."""

    @functools.wraps(function)
    def call(*args, **kwargs):
        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            return function(*args, **kwargs)

    return call
