"""Faint textures of the floor and the walls of the Shapes3D world."""

import numpy as np


def floor(x, y):
    """Returns the floor's relative brightness at room position `(x, y)`."""
    return 1.0 + 0.02 * np.sin(40 * x) * np.sin(40 * y)


def wall(plane, u, z):
    """Returns a wall's relative brightness `u` along it and `z` up."""
    return 1.0 + 0.02 * np.sin(90 * u) * np.sin(90 * z)
