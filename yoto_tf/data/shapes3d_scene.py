"""What each sample of a Shapes3D picture shows and how brightly it is lit.

The camera, the light and the room were measured on published pictures of the
3D Shapes data set (Burgess and Kim, 2018): to a tenth of a pixel at the edges
of the walls. Lengths are in half room widths: the room spans `[-1, 1]` in
both directions and the object stands at its centre. The camera walks around
the object; room, object and light stand still. `x` points right, `y` towards
the back wall and `z` up.
"""

import numpy as np

from yoto_tf.data import shapes3d_objects
from yoto_tf.data import shapes3d_texture

IMAGE_SIZE = 64
# Three by three samples a pixel, as the edges of the published pictures show.
SAMPLES = 3
FOCAL_LENGTH = 69.07  # pixels: about 50 degrees field of view
HORIZON_ROW = 32.13
CAMERA_DISTANCE = 0.7332
CAMERA_HEIGHT = 0.2136
LIGHT = np.array([-0.23, 0.165, 0.945])
LIGHT = LIGHT / np.linalg.norm(LIGHT)
# Brightness everywhere, of a surface square to the camera, of one square to
# the ceiling lamp, and of the lamp's white highlight on the object.
AMBIENT = 0.35
HEADLIGHT = 0.6
LAMP = 0.75
HIGHLIGHT = 0.11

SKY, FLOOR, WALL, OBJECT = range(4)


def view(orientation):
    """Returns the camera and one ray a sample.

    Args:
        orientation: Degrees by which the camera has walked around the object
            to the left, so that the right corner of the room moves into view.
            The pictures measured bear no labels: which side counts as
            positive is our choice.

    Returns:
        `(camera, rays)`: arrays of shapes `(3,)` and `(192, 192, 3)`; the
        rays reach one unit ahead.
    """
    angle = np.radians(orientation)
    ahead = np.array([np.sin(angle), np.cos(angle), 0.0])
    right = np.array([np.cos(angle), -np.sin(angle), 0.0])
    up = np.array([0.0, 0.0, 1.0])
    centres = (np.arange(IMAGE_SIZE * SAMPLES) + 0.5) / SAMPLES
    across = (centres - IMAGE_SIZE / 2) / FOCAL_LENGTH
    rise = (HORIZON_ROW - centres) / FOCAL_LENGTH
    rays = ahead + across[None, :, None] * right + rise[:, None, None] * up
    return CAMERA_HEIGHT * up - CAMERA_DISTANCE * ahead, rays


# Inward normal, and `u` to the right as seen from inside as a factor of x, y.
_WALLS = {
    "back": (np.array([0.0, -1.0, 0.0]), (1, 0)),
    "right": (np.array([-1.0, 0.0, 0.0]), (0, -1)),
    "left": (np.array([1.0, 0.0, 0.0]), (0, 1)),
}


def _headlight(normals, camera):
    """Light that comes along the level direction in which the camera looks."""
    towards = np.array([camera[0], camera[1], 0.0]) / CAMERA_DISTANCE
    return AMBIENT + HEADLIGHT * np.maximum(0.0, normals @ towards)


def trace_room(camera, rays):
    """Returns the empty room as the camera sees it.

    Args:
        camera: Array of shape `(3,)`.
        rays: Array of shape `(h, w, 3)`.

    Returns:
        `(material, brightness, points)`: arrays of shape `(h, w)`, `(h, w)`
        and `(h, w, 3)`; `material` is `SKY`, `FLOOR` or `WALL`, `brightness`
        multiplies the colour of the surface, `points` are the surface points.
    """
    dx, dy, dz = np.where(np.abs(rays) < 1e-9, 1e-9, rays).transpose(2, 0, 1)
    distances = {
        "floor": np.where(dz < 0, -camera[2] / dz, np.inf),
        "back": np.where(dy > 0, (1 - camera[1]) / dy, np.inf),
        "right": np.where(dx > 0, (1 - camera[0]) / dx, np.inf),
        "left": np.where(dx < 0, (-1 - camera[0]) / dx, np.inf),
    }
    nearest = np.min(list(distances.values()), axis=0)
    points = camera + nearest[..., None] * rays
    material = np.full(nearest.shape, SKY)
    brightness = np.zeros(nearest.shape)
    for name, distance in distances.items():
        seen = distance == nearest
        seen &= points[..., 2] < shapes3d_texture.WALL_HEIGHT
        x, y, z = points[seen].T
        if name == "floor":
            material[seen] = FLOOR
            light = AMBIENT + shapes3d_texture.floor_lamp(x, y)
            light *= shapes3d_texture.floor_texture(x, y)
        else:
            material[seen] = WALL
            normal, (along_x, along_y) = _WALLS[name]
            light = _headlight(normal, camera)
            light = light + shapes3d_texture.wall_lamp(name, x, y, z)
            u = along_x * x + along_y * y
            light *= shapes3d_texture.wall_texture(u, z)
        brightness[seen] = light
    return material, brightness, points


def _object_light(points, shape, scale, camera):
    """Diffuse brightness and white highlight at points of the object."""
    normals = shapes3d_objects.object_normals(points, shape, scale)
    lit = normals @ LIGHT
    if shape == "cube":
        highlight = (lit > 0).astype(float)
    else:
        highlight = shapes3d_objects.vertex_lit(normals, LIGHT)
    brightness = _headlight(normals, camera) + LAMP * np.maximum(lit, 0.0)
    return brightness, HIGHLIGHT * highlight


def trace(camera, rays, room, shape, scale):
    """Puts an object and its shadow into the empty room.

    Args:
        camera: Array of shape `(3,)`.
        rays: Array of shape `(h, w, 3)`.
        room: What `trace_room(camera, rays)` returned.
        shape: One of the keys of `shapes3d_objects.HALF_EXTENT`.
        scale: Positive float.

    Returns:
        `(material, brightness, highlight)`: arrays of shape `(h, w)`;
        `highlight` is white light that is added to every channel.
    """
    material, brightness, points = room
    material, brightness = material.copy(), brightness.copy()
    highlight = np.zeros_like(brightness)
    # No shadow reaches farther than this from the centre of the room.
    near = material == FLOOR
    near &= (np.abs(points[..., 0]) < 0.5) & (np.abs(points[..., 1]) < 0.5)
    shaded = near.copy()
    shaded[near] = np.isfinite(
        shapes3d_objects.object_distance(points[near], LIGHT, shape, scale)
    )
    # The light of the camera skims the floor.
    brightness[shaded] = AMBIENT - 0.015
    distance = shapes3d_objects.object_distance(camera, rays, shape, scale)
    hit = np.isfinite(distance)
    surface = camera + distance[hit][:, None] * rays[hit]
    material[hit] = OBJECT
    brightness[hit], highlight[hit] = _object_light(
        surface, shape, scale, camera
    )
    return material, brightness, highlight
