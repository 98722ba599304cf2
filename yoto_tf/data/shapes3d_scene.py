"""What each sample of a Shapes3D picture shows and how brightly it is lit.

The room, its lamp and the camera were measured on published pictures of the
3D Shapes data set (Burgess and Kim, 2018), to a tenth of a pixel at the
edges of the walls. Lengths are in half room widths: the room spans
`[-1, 1]` in both directions, an object stands at its centre, and the room and
the object turn while the camera and the lights stand still.
"""

import numpy as np

from yoto_tf.data import shapes3d_objects
from yoto_tf.data import shapes3d_texture

IMAGE_SIZE = 64
# Three by three samples a pixel, as the edges of the published pictures show.
SAMPLES = 3
FOCAL_LENGTH = 69.07  # pixels: about 50 degrees field of view
HORIZON_ROW = 32.1
CAMERA = np.array([0.0, -0.7332, 0.2136])
WALL_HEIGHT = 0.5746
LIGHT = np.array([-0.24, 0.22, 0.945])
LIGHT = LIGHT / np.linalg.norm(LIGHT)

SKY, FLOOR, WALL, OBJECT = range(4)


def _camera_rays():
    """Directions of all samples, shape (192, 192, 3), one unit ahead."""
    count = IMAGE_SIZE * SAMPLES
    centres = (np.arange(count) + 0.5) / SAMPLES
    rays = np.ones((count, count, 3))
    rays[..., 0] = (centres - IMAGE_SIZE / 2) / FOCAL_LENGTH
    rays[..., 2] = ((HORIZON_ROW - centres) / FOCAL_LENGTH)[:, None]
    return rays


RAYS = _camera_rays()


def _lamp(points, normals):
    """Brightness of the room: a soft lamp overhead and one at the camera."""
    ahead = CAMERA - points
    ahead /= np.linalg.norm(ahead, axis=-1, keepdims=True)
    facing = np.maximum(0.0, (ahead * normals).sum(-1))
    overhead = LAMP_POSITION - points
    overhead /= np.linalg.norm(overhead, axis=-1, keepdims=True)
    cone = np.maximum(overhead @ LAMP_AXIS, 0.0) ** LAMP_EXPONENT
    above = np.maximum(0.0, (overhead * normals).sum(-1))
    return 0.025 + 0.907 * facing + 1.039 * above * cone


# A narrow cone from far away: it lights the middle left of the floor most.
LAMP_POSITION = np.array([-3.356, -10.837, 52.157])
LAMP_AXIS = np.array([-0.055, -0.213, 1.0])
LAMP_AXIS = LAMP_AXIS / np.linalg.norm(LAMP_AXIS)
LAMP_EXPONENT = 4141.0


def trace_room(angle):
    """Returns the empty room as the camera sees it.

    Args:
        angle: Turn of the room about the vertical in radians.

    Returns:
        `(material, brightness, points)`: arrays of shape `(192, 192)`,
        `(192, 192)` and `(192, 192, 3)`; `material` is `SKY`, `FLOOR` or
        `WALL`, `brightness` multiplies the colour of the surface, and
        `points` are the surface points in the camera's axes.
    """
    cos, sin = np.cos(angle), np.sin(angle)
    across, along = np.array([cos, sin, 0.0]), np.array([-sin, cos, 0.0])
    inward = np.array([[0.0, 0.0, 1.0], -along, -across, across])
    offset = np.array([0.0, -1.0, -1.0, -1.0])
    speed = RAYS @ inward.T
    distance = np.where(
        speed < -1e-9,
        (offset - CAMERA @ inward.T) / np.minimum(speed, -1e-9),
        np.inf,
    )
    plane = distance.argmin(axis=-1)
    points = CAMERA + distance.min(axis=-1)[..., None] * RAYS
    material = np.where(plane == 0, FLOOR, WALL)
    material[points[..., 2] > WALL_HEIGHT] = SKY
    brightness = _lamp(points, inward[plane])
    u = np.where(plane == 1, points @ across, points @ along)
    v = np.where(plane == 0, points @ across, points[..., 2])
    brightness *= np.where(
        plane == 0,
        shapes3d_texture.floor(v, points @ along),
        shapes3d_texture.wall(plane, u, v),
    )
    return material, brightness, points


def shadow(points, shape, scale, angle):
    """Returns which floor points the object shades, shape `points[:-1]`."""
    rays = np.broadcast_to(LIGHT, points.shape)
    distance = shapes3d_objects.object_distance(
        points, rays, shape, scale, angle
    )
    return np.isfinite(distance)


def shadow_brightness(points):
    """Brightness of floor points that only the camera's lamp reaches."""
    ahead = CAMERA - points
    ahead /= np.linalg.norm(ahead, axis=-1, keepdims=True)
    return 0.07 + 0.95 * ahead[..., 2]


def object_shading(points, shape, scale, angle):
    """Returns the diffuse brightness and the white highlight of the object.

    Args:
        points: Array of shape `(n, 3)` on the surface.
        shape: One of the keys of `shapes3d_objects.HALF_EXTENT`.
        scale: Positive float.
        angle: Turn of the room about the vertical in radians.

    Returns:
        Two arrays of shape `(n,)`: brightness, which multiplies the colour,
        and highlight, which is added to every channel.
    """
    normals = shapes3d_objects.object_normals(points, shape, scale, angle)
    ahead = CAMERA - points
    ahead /= np.linalg.norm(ahead, axis=-1, keepdims=True)
    facing = np.maximum(0.0, (ahead * normals).sum(-1))
    lit = normals @ LIGHT
    highlight = (
        (lit > 0).astype(float)
        if shape == "cube"
        else shapes3d_objects.vertex_lit(normals, LIGHT)
    )
    brightness = 0.35 + 0.6 * facing + 0.9 * np.maximum(lit, 0.0)
    return brightness, 0.11 * highlight


def trace(room, shape, scale, angle):
    """Puts the object and its shadow into the empty room.

    Args:
        room: What `trace_room(angle)` returned.
        shape: One of the keys of `shapes3d_objects.HALF_EXTENT`.
        scale: Positive float.
        angle: Turn of the room about the vertical in radians.

    Returns:
        `(material, brightness, highlight)`: arrays of shape `(192, 192)`.
    """
    material, brightness, points = room
    material, brightness = material.copy(), brightness.copy()
    highlight = np.zeros_like(brightness)
    floor = material == FLOOR
    shaded = np.zeros_like(floor)
    shaded[floor] = shadow(points[floor], shape, scale, angle)
    brightness[shaded] = shadow_brightness(points[shaded])
    distance = shapes3d_objects.object_distance(
        CAMERA, RAYS, shape, scale, angle
    )
    hit = np.isfinite(distance)
    surface = CAMERA + distance[hit][:, None] * RAYS[hit]
    material[hit] = OBJECT
    brightness[hit], highlight[hit] = object_shading(
        surface, shape, scale, angle
    )
    return material, brightness, highlight
