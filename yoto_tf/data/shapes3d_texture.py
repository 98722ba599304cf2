"""Light of the ceiling lamp and faint textures of the Shapes3D room.

The polynomials were fitted by least squares to the pixels of published
pictures of the 3D Shapes data set (Burgess and Kim, 2018); what they leave is
the texture, about two percent. Lengths are in half room widths: `x` in
`[-1, 1]` to the right, `y` in `[-1, 1]` towards the back wall, `z` up.
"""

import numpy as np

WALL_HEIGHT = 0.5746
# The walls repeat one square picture: a lattice of dots and one dark smudge,
# whose corners are given as fractions of the square.
TILE = WALL_HEIGHT
DOTS_ACROSS = 5
DOTS_UP = 8
DOT_STRENGTH = 0.038
SMUDGE_STRENGTH = 0.052
SMUDGE = (
    (-0.060, 0.683),
    (0.030, 0.683),
    (0.160, 0.610),
    (0.150, 0.490),
    (0.265, 0.400),
    (0.265, 0.350),
    (0.220, 0.305),
    (0.140, 0.345),
    (0.000, 0.430),
    (-0.065, 0.465),
)
HEXAGON = 0.115
HEXAGON_STRENGTH = 0.012


def _inside(u, z, corners):
    """Whether points lie in a polygon: a ray to the right crosses it oddly."""
    inside = np.zeros(np.shape(u), bool)
    for (u0, z0), (u1, z1) in zip(
        corners, corners[1:] + corners[:1], strict=True
    ):
        straddles = (z0 > z) != (z1 > z)
        # A level side straddles nothing; its slope is never used.
        rise = z1 - z0 if z1 != z0 else 1.0
        inside ^= straddles & (u < u0 + (z - z0) / rise * (u1 - u0))
    return inside


def floor_texture(x, y):
    """Returns the relative brightness of the floor: faint hexagons.

    Args:
        x: Array of positions across the room.
        y: Array of the same shape, positions along the room.

    Returns:
        Array of the same shape, about 1.
    """
    # Three plane waves at 60 degrees to each other make hexagons.
    waves = 0.0
    for angle in np.pi * np.arange(3) / 3:
        place = x * np.cos(angle) + y * np.sin(angle)
        waves = waves + np.cos(2 * np.pi * place / HEXAGON)
    return 1 + HEXAGON_STRENGTH * waves


def wall_texture(u, z):
    """Returns the relative brightness of a wall.

    Args:
        u: Array of positions along the wall, rightwards as seen from inside.
        z: Array of the same shape, heights above the floor.

    Returns:
        Array of the same shape, about 1.
    """
    u, z = u / TILE, z / TILE
    # This product is a lattice with every other column shifted by half.
    dots = np.cos(2 * np.pi * DOTS_ACROSS * u) * np.cos(2 * np.pi * DOTS_UP * z)
    # From a quarter left of the smudge's own square, so that no seam cuts it.
    smudge = _inside((u + 0.25) % 1 - 0.25, z, SMUDGE)
    return 1 + DOT_STRENGTH * dots - SMUDGE_STRENGTH * smudge


def floor_lamp(x, y):
    """Returns the light of the ceiling lamp on the floor.

    Args:
        x: Array of positions across the room.
        y: Array of the same shape, positions along the room.

    Returns:
        Array of the same shape, in `[0, 1]` where the camera looks.
    """
    return np.polynomial.polynomial.polyval2d(
        x,
        y,
        [
            [0.757, 0.157, -0.907, 0.337],
            [-0.701, 0.034, 0.352, 0.0],
            [-0.467, 0.203, 0.0, 0.0],
            [0.465, 0.0, 0.0, 0.0],
        ],
    )


def wall_lamp(wall, x, y, z):
    """Returns the light of the ceiling lamp on one wall.

    Args:
        wall: "back", "right" or "left".
        x: Array of positions across the room.
        y: Array of the same shape, positions along the room.
        z: Array of the same shape, heights above the floor.

    Returns:
        Array of the same shape as `x`.
    """
    if wall == "back":
        return 0.129 - 0.075 * x - 0.051 * x**2 - 0.166 * z + 0.152 * z**2
    if wall == "right":
        return 0.076 - 0.032 * y - 0.079 * z
    return 0.225 - 0.157 * y - 0.045 * z
