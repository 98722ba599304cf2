"""matplotlib, whatever the environment says of it.

A matplotlibrc may ask for TeX, or for fonts of another size. Figures here are
files that look the same everywhere.
"""

import functools

from yoto_tf import matplotlib_backend

with matplotlib_backend.set_aside():
    import matplotlib
    from matplotlib import colors
    from matplotlib import patheffects
    from matplotlib import ticker
    from matplotlib.figure import Figure

__all__ = ["Figure", "colors", "own_style", "patheffects", "ticker"]


def own_style(function):
    """Calls a function with matplotlib's own defaults, not the user's."""

    @functools.wraps(function)
    def call(*args, **kwargs):
        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            return function(*args, **kwargs)

    return call
