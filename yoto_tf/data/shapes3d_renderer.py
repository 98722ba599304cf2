"""Renders pictures of the Shapes3D world from their six factors.

A picture depends on its hues only through colour, so the geometry of each of
the 480 combinations of scale, shape and orientation is traced once and kept
as one small map per material and colour level; a picture is the sum of four
of these maps per channel. All maps together take about 75 MB; they are made
when first needed.
"""

import functools

import numpy as np

from yoto_tf.data import shapes3d_scene
from yoto_tf.data import shapes3d_world

IMAGE_SHAPE = (shapes3d_scene.IMAGE_SIZE, shapes3d_scene.IMAGE_SIZE, 3)
SKY_COLOUR = np.array([153, 226, 249])
# The channels of the fully saturated hues 0.0, 0.1, ... 0.9, in fifths.
HUE_LEVELS = np.array(
    [
        [5, 0, 0],
        [5, 3, 0],
        [4, 5, 0],
        [1, 5, 0],
        [0, 5, 2],
        [0, 5, 5],
        [0, 2, 5],
        [1, 0, 5],
        [4, 0, 5],
        [5, 0, 3],
    ]
)
# Maps are kept as 16 bit integers with this many steps per grey level.
STEPS = 64


def _bicubic(x):
    """Cubic convolution kernel (Keys, 1981) with a = -0.5."""
    x = np.abs(x)
    return np.where(
        x < 1,
        1.5 * x**3 - 2.5 * x**2 + 1,
        np.where(x < 2, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2, 0.0),
    )


def _shrinking_taps():
    """Weights `(64, taps)` of the samples under the filter of each pixel.

    The first tap of pixel p is sample 3 p - margin; samples outside of the
    picture weigh nothing.
    """
    size, samples = shapes3d_scene.IMAGE_SIZE, shapes3d_scene.SAMPLES
    margin = 2 * samples
    taps = np.arange(samples + 2 * margin) - margin
    first = np.arange(size)[:, None] * samples
    weights = _bicubic((taps + 0.5) / samples - 0.5)
    inside = (first + taps >= 0) & (first + taps < size * samples)
    weights = weights * inside
    weights = weights / weights.sum(axis=1, keepdims=True)
    return weights.astype(np.float32), margin


_TAPS, _MARGIN = _shrinking_taps()


def _shrink(maps):
    """Shrinks maps (k, 192, 192) to (k, 64, 64) in fixed point.

    The taps are summed in a fixed order and by no BLAS: its threads cost
    more than these small products, and its sums differ between machines.
    """
    small = maps.astype(np.float32)
    for _ in range(2):
        # Along rows, then, after the swap, along columns.
        padded = np.pad(small, ((0, 0), (_MARGIN, _MARGIN), (0, 0)))
        stop = padded.shape[1] - _TAPS.shape[1] + 1
        total = 0
        for t, weights in enumerate(_TAPS.T):
            total += (
                weights[:, None]
                * padded[:, t : t + stop : shapes3d_scene.SAMPLES]
            )
        small = total.swapaxes(1, 2)
    return np.rint(small * (255 * STEPS)).astype(np.int16)


@functools.lru_cache(maxsize=15)
def _room(orientation):
    """Camera, rays and empty room of one orientation."""
    degrees = shapes3d_world.FACTOR_VALUES["orientation"][orientation]
    camera, rays = shapes3d_scene.view(degrees)
    return camera, rays, shapes3d_scene.trace_room(camera, rays)


@functools.lru_cache(maxsize=480)
def _maps(scale, shape, orientation):
    """Maps of one geometry: sky, then six levels of each material.

    Returns:
        `(sky, levels)`: int16 arrays of shape `(64, 64)` and
        `(3, 6, 64, 64)`; `levels[m, l]` is the light that floor, wall or
        object (`m`) send to a channel in which their colour is `l / 5`.
    """
    material, brightness, highlight = shapes3d_scene.trace(
        *_room(orientation),
        shapes3d_world.SHAPE_NAMES[shape],
        shapes3d_world.FACTOR_VALUES["scale"][scale],
    )
    level = np.arange(6, dtype=np.float32)[:, None, None] / 5
    light = level * brightness.astype(np.float32)
    light += highlight.astype(np.float32)
    np.minimum(light, 1.0, out=light)
    sky = _shrink((material == shapes3d_scene.SKY)[None])[0]
    levels = [
        _shrink(light * (material == which))
        for which in (
            shapes3d_scene.FLOOR,
            shapes3d_scene.WALL,
            shapes3d_scene.OBJECT,
        )
    ]
    return sky, np.stack(levels)


def render(factors):
    """Returns the pictures of the given combinations of factors.

    Args:
        factors: Integer array of shape `(n, 6)` of labels, columns as in
            `shapes3d_world.FACTOR_NAMES`.

    Returns:
        Array of shape `(n, 64, 64, 3)`, dtype uint8, RGB in `[0, 255]`.

    Raises:
        ValueError: If the shape, the dtype or a label is out of range.
    """
    labels = shapes3d_world.check_factors(factors)
    images = np.empty((len(labels), *IMAGE_SHAPE), np.uint8)
    sky_colour = SKY_COLOUR[:, None, None] / 255
    for image, (floor, wall, body, *geometry) in zip(
        images, labels.tolist(), strict=True
    ):
        sky, levels = _maps(*geometry)
        total = levels[0, HUE_LEVELS[floor]] + (
            levels[1, HUE_LEVELS[wall]] + levels[2, HUE_LEVELS[body]]
        )
        total = total + sky * sky_colour
        np.clip(total / STEPS + 0.5, 0, 255, out=total)
        image[...] = total.transpose(1, 2, 0)
    return images
