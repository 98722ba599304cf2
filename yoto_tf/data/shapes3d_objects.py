"""Ray intersections with the four objects of the Shapes3D world.

Lengths are in half room widths. An object stands on the floor `z = 0` at the
origin; `x` points right, `y` towards the back wall and `z` up.
"""

import numpy as np

# Half extent of the object at scale 1: half edge of the cube, radius of the
# round shapes. The cylinder is as tall as wide, the capsule is
# `CAPSULE_HEIGHT` tall.
HALF_EXTENT = {
    "cube": 0.102,
    "cylinder": 0.108,
    "sphere": 0.1225,
    "capsule": 0.09475,
}
CAPSULE_HEIGHT = 0.374
# The round objects are shaded as meshes with this many slices around and
# stacks up the sphere; highlights are interpolated between the vertices.
SLICES = 28
STACKS = 16


def _dot(a, b):
    """Scalar product over the last axis."""
    return np.einsum("...i,...i->...", a, b)


def _sphere_distance(origin, rays, centre, radius):
    """Distance to the near side of a sphere, inf where missed."""
    offset = origin - centre
    a = _dot(rays, rays)
    b = _dot(rays, offset)
    c = _dot(offset, offset) - radius**2
    root = b * b - a * c
    t = (-b - np.sqrt(np.maximum(root, 0.0))) / a
    return np.where((root > 0.0) & (t > 1e-6), t, np.inf)


def _tube_distance(origin, rays, radius, low, high):
    """Distance to the side of an upright tube, inf where missed."""
    a = np.maximum(_dot(rays[..., :2], rays[..., :2]), 1e-12)
    b = _dot(rays[..., :2], origin[..., :2])
    c = _dot(origin[..., :2], origin[..., :2]) - radius**2
    root = b * b - a * c
    t = (-b - np.sqrt(np.maximum(root, 0.0))) / a
    z = origin[..., 2] + t * rays[..., 2]
    hit = (root > 0.0) & (t > 1e-6) & (z > low) & (z < high)
    return np.where(hit, t, np.inf)


def _lid_distance(origin, rays, radius, z):
    """Distance to a level disc of the tube, inf where missed."""
    dz = np.where(np.abs(rays[..., 2]) < 1e-9, 1e-9, rays[..., 2])
    t = (z - origin[..., 2]) / dz
    x = origin[..., 0] + t * rays[..., 0]
    y = origin[..., 1] + t * rays[..., 1]
    return np.where((x * x + y * y < radius**2) & (t > 1e-6), t, np.inf)


def _box_distance(origin, rays, half):
    """Distance to a cube on the floor, inf where missed."""
    near, far = -np.inf, np.inf
    for axis, middle in enumerate((0.0, 0.0, half)):
        along = rays[..., axis]
        along = np.where(np.abs(along) < 1e-9, 1e-9, along)
        start = origin[..., axis] - middle
        enter, leave = (-half - start) / along, (half - start) / along
        near = np.maximum(near, np.minimum(enter, leave))
        far = np.minimum(far, np.maximum(enter, leave))
    return np.where((near < far) & (near > 1e-6), near, np.inf)


def object_distance(origin, rays, shape, scale):
    """Returns the distance along each ray to the object.

    Args:
        origin: Array broadcastable to `rays`: where the rays start.
        rays: Array of shape `(..., 3)`: directions of any length.
        shape: One of the keys of `HALF_EXTENT`.
        scale: Positive float.

    Returns:
        Array of shape `(...)` in units of the rays' lengths, inf where the
        ray misses.
    """
    half = HALF_EXTENT[shape] * scale
    if shape == "cube":
        return _box_distance(origin, rays, half)
    if shape == "sphere":
        return _sphere_distance(origin, rays, np.array([0, 0, half]), half)
    if shape == "cylinder":
        side = _tube_distance(origin, rays, half, 0.0, 2 * half)
        return np.minimum(side, _lid_distance(origin, rays, half, 2 * half))
    top = CAPSULE_HEIGHT * scale - half
    side = _tube_distance(origin, rays, half, half, top)
    for z in (half, top):
        ball = _sphere_distance(origin, rays, np.array([0, 0, z]), half)
        side = np.minimum(side, ball)
    return side


def object_normals(points, shape, scale):
    """Returns the outward unit normals at `points` of the object's surface.

    Args:
        points: Array of shape `(n, 3)` on the surface.
        shape: One of the keys of `HALF_EXTENT`.
        scale: Positive float.

    Returns:
        Array of shape `(n, 3)`.
    """
    half = HALF_EXTENT[shape] * scale
    if shape == "cube":
        local = points - np.array([0, 0, half])
        face = np.abs(local).argmax(axis=1)[:, None]
        normals = np.zeros_like(points)
        sign = np.sign(np.take_along_axis(local, face, axis=1))
        np.put_along_axis(normals, face, sign, axis=1)
        return normals
    if shape == "cylinder":
        lid = points[:, 2] > 2 * half - 1e-6
        normals = points * np.array([1.0, 1.0, 0.0]) / half
        normals[lid] = (0.0, 0.0, 1.0)
        return normals
    top = half if shape == "sphere" else CAPSULE_HEIGHT * scale - half
    axis = np.zeros_like(points)
    axis[:, 2] = np.clip(points[:, 2], half, top)
    return (points - axis) / half


def vertex_lit(normals, light):
    """Returns how far each point's surrounding vertices face the light.

    A renderer that lights vertices and interpolates between them shows a
    highlight whose edge follows the mesh. This repeats that: the four
    vertices around a normal each count as 1 if they face the light, else 0.

    Args:
        normals: Array of shape `(n, 3)`: unit normals of a round object.
        light: Array of shape `(3,)`: unit vector towards the light.

    Returns:
        Array of shape `(n,)` in `[0, 1]`.
    """
    azimuth = np.arctan2(normals[:, 0], -normals[:, 1]) * SLICES / (2 * np.pi)
    height = np.arcsin(np.clip(normals[:, 2], -1, 1)) * STACKS / np.pi
    a0, h0 = np.floor(azimuth), np.floor(height)
    lit = np.zeros(len(normals))
    for da in (0, 1):
        for dh in (0, 1):
            a = (a0 + da) * 2 * np.pi / SLICES
            h = (h0 + dh) * np.pi / STACKS
            facing = (
                np.cos(h) * (np.sin(a) * light[0] - np.cos(a) * light[1])
                + np.sin(h) * light[2]
            )
            weight = (1 - np.abs(azimuth - a0 - da)) * (
                1 - np.abs(height - h0 - dh)
            )
            lit += weight * (facing > 0)
    return lit
