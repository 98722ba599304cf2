"""Brightness and faint texture of the room of the Shapes3D world.

The polynomials were fitted by least squares to the pixels of published
pictures of the 3D Shapes data set (Burgess and Kim, 2018); their residuals
are about two percent. They stand for its lamps: one near the ceiling, left
of and behind the object, and one at the camera. Lengths are in half room
widths, `x` to the right, `y` towards the back wall and `z` up.
"""

import numpy as np

WALL_HEIGHT = 0.5746
# Both walls repeat one square picture: a lattice of dots and one dark smudge.
TILE = WALL_HEIGHT
DOTS_PER_TILE = 10
DOT_STRENGTH = 0.025
SMUDGE_STRENGTH = 0.07
# Ellipses of the smudge: centre u and z, half axes, slope in radians.
SMUDGES = (
    (0.034, 0.355, 0.070, 0.042, -0.6),
    (0.090, 0.245, 0.075, 0.024, -0.75),
)
FLOOR_WAVE = 0.11
FLOOR_STRENGTH = 0.008


def floor_brightness(x, y):
    """Returns the brightness of the unshadowed floor at `(x, y)`.

    Args:
        x: Array of positions across the room in `[-1, 1]`.
        y: Array of the same shape, positions along the room.

    Returns:
        Array of the same shape; 1 shows a saturated hue, above 1 is clipped.
    """
    lamp = (
        1.107
        + 0.157 * y
        - 0.912 * y**2
        + 0.342 * y**3
        - 0.699 * x
        + 0.036 * x * y
        + 0.347 * x * y**2
        - 0.468 * x**2
        + 0.215 * x**2 * y
        + 0.458 * x**3
    )
    # Three plane waves at 120 degrees make hexagons.
    waves = sum(
        np.cos(2 * np.pi * (x * np.cos(a) + y * np.sin(a)) / FLOOR_WAVE)
        for a in np.pi * np.arange(3) / 3
    )
    return lamp * (1 + FLOOR_STRENGTH * waves)


def wall_texture(u, z):
    """Returns the relative brightness of a wall.

    Args:
        u: Array of positions along the wall, rightwards as seen from inside.
        z: Array of the same shape, heights above the floor.

    Returns:
        Array of the same shape, about 1.
    """
    wave = np.pi * DOTS_PER_TILE / TILE
    # The product of two waves is a lattice whose every other row is shifted.
    dots = np.cos(2 * wave * u) * np.cos(2 * wave * z)
    texture = 1 + DOT_STRENGTH * dots
    inside = np.zeros(np.shape(u), bool)
    for centre_u, centre_z, long, short, slope in SMUDGES:
        du = (u - centre_u + TILE / 2) % TILE - TILE / 2
        dz = z - centre_z
        along = du * np.cos(slope) + dz * np.sin(slope)
        beside = dz * np.cos(slope) - du * np.sin(slope)
        inside |= (along / long) ** 2 + (beside / short) ** 2 < 1
    return texture - SMUDGE_STRENGTH * inside


def wall_brightness(side, x, y, z, turn):
    """Returns the brightness of one wall.

    Args:
        side: "back", "right" or "left".
        x: Array of positions across the room.
        y: Array of the same shape, positions along the room.
        z: Array of the same shape, heights above the floor.
        turn: Sine of the angle by which the camera has walked around the
            object to the left.

    Returns:
        Array of the same shape as `x`.
    """
    if side == "back":
        lamp = (
            1.077
            - 0.079 * x
            - 0.037 * x**2
            + (0.020 - 0.036 * x - 0.025 * z) * turn
            - 0.301 * turn**2
            - 0.198 * z
            + 0.212 * z**2
        )
        return lamp * wall_texture(x, z)
    if side == "right":
        lamp = 0.426 - 0.032 * y - 0.079 * z + 0.600 * turn
        return lamp * wall_texture(-y, z)
    lamp = 0.576 - 0.157 * y - 0.045 * z - 0.599 * turn
    return lamp * wall_texture(y, z)
