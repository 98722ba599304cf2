"""Pixels and factors of the Shapes3D world against independent sums."""

import numpy as np
import pytest

from yoto_tf.data import shapes3d_objects
from yoto_tf.data import shapes3d_renderer
from yoto_tf.data import shapes3d_scene
from yoto_tf.data import shapes3d_world

SKY = (153, 226, 249)  # read off the published pictures
CUBE, CYLINDER, SPHERE, CAPSULE = range(4)


def render_one(**labels):
    """Renders one picture; factors left out are 0, orientation 7 is level."""
    labels = {"orientation": 7, **labels}
    row = [labels.get(name, 0) for name in shapes3d_world.FACTOR_NAMES]
    return shapes3d_renderer.render(np.array([row]))[0].astype(int)


def changed(name, **labels):
    """Where a picture changes if the hue `name` goes from red to cyan."""
    return (
        render_one(**{**labels, name: 0}) != render_one(**{**labels, name: 5})
    ).any(axis=-1)


def project(points):
    """Pixel columns and rows of points, seen with orientation 0 degrees."""
    depth = points[:, 1] + shapes3d_scene.CAMERA_DISTANCE
    rise = points[:, 2] - shapes3d_scene.CAMERA_HEIGHT
    column = 32 + shapes3d_scene.FOCAL_LENGTH * points[:, 0] / depth
    row = shapes3d_scene.HORIZON_ROW - shapes3d_scene.FOCAL_LENGTH * rise / (
        depth
    )
    return column, row


def test_indices_and_factors_are_those_of_numpy():
    indices = np.random.default_rng(0).integers(0, 480_000, 5_000)
    indices[:2] = (0, 479_999)
    factors = shapes3d_world.index_to_factors(indices)
    expected = np.stack(
        np.unravel_index(indices, (10, 10, 10, 8, 4, 15)), axis=1
    )
    np.testing.assert_array_equal(factors, expected)
    np.testing.assert_array_equal(
        shapes3d_world.factors_to_index(factors), indices
    )


def test_all_indices_are_distinct_combinations():
    factors = shapes3d_world.index_to_factors(np.arange(480_000))
    np.testing.assert_array_equal(
        shapes3d_world.factors_to_index(factors), np.arange(480_000)
    )


def test_factor_values():
    values = shapes3d_world.factor_values([[9, 1, 0, 7, 3, 0]])
    np.testing.assert_allclose(values, [[0.9, 0.1, 0, 1.25, 3, -30]])
    values = shapes3d_world.factor_values([[0, 0, 0, 1, 0, 7]])
    np.testing.assert_allclose(values, [[0, 0, 0, 0.75 + 0.5 / 7, 0, 0]])


@pytest.mark.parametrize(
    ("factors", "sentence"),
    [
        ([0, 0, 0, 0, 0, 0], r"shape \(n, 6\), received: factors="),
        (np.zeros((2, 5), int), r"shape \(n, 6\), received: factors="),
        (np.zeros((1, 6)), "integer dtype, received: factors="),
        ([[0, 0, 0, 0, 0, 15]], r"received: factors=\[0, 0, 0, 0, 0, 15\]"),
        ([[0, -1, 0, 0, 0, 0]], "received: factors=.* in row 0"),
    ],
)
def test_bad_factors_raise(factors, sentence):
    with pytest.raises(ValueError, match="expected .*" + sentence):
        shapes3d_renderer.render(factors)


@pytest.mark.parametrize("indices", [[480_000], [-1], [0.5], [[1]]])
def test_bad_indices_raise(indices):
    with pytest.raises(ValueError, match="expected .*received: indices="):
        shapes3d_world.index_to_factors(indices)


def test_no_factors_give_no_images():
    images = shapes3d_renderer.render(np.zeros((0, 6), int))
    assert images.shape == (0, 64, 64, 3)
    assert images.dtype == np.uint8


@pytest.mark.parametrize("orientation", [0, 7, 14])
def test_sky_has_the_published_colour(orientation):
    image = render_one(orientation=orientation, wall_hue=3)
    np.testing.assert_array_equal(image[:14], np.broadcast_to(SKY, (14, 64, 3)))


def test_walls_and_floor_meet_where_the_published_pictures_show():
    # Level view: 53 and 122 of 192 sample rows lie above the two edges.
    wall = render_one(wall_hue=6, floor_hue=0)[:, 20, 2]
    assert wall[24] == 255
    floor = render_one(wall_hue=0, floor_hue=6)[:, 4, 2]
    assert floor[50] == 255
    sky_red = render_one(wall_hue=6)[:30, 20, 0] / SKY[0]
    assert sky_red.sum() == pytest.approx(53 / 3, abs=0.2)
    # A red wall and a red floor share no blue with a blue wall.
    blue = wall[24:50] / 255
    assert 24 + blue.sum() == pytest.approx(122 / 3, abs=0.25)


def test_floor_hue_recolours_only_the_floor():
    floor = changed("floor_hue", shape=SPHERE, scale=4)
    row = project(np.array([[0.0, 1.0, 0.0]]))[1][0]
    assert not floor[: int(row) - 2].any()
    assert floor[int(row) + 2 :, :10].all()
    body = changed("object_hue", shape=SPHERE, scale=4)
    core = body.copy()
    # The filter reaches two pixels to either side of the outline.
    for down in range(-4, 5):
        for right in range(-4, 5):
            core &= np.roll(body, (down, right), axis=(0, 1))
    assert core.sum() > 100
    assert not (floor & core).any()


def test_each_pixel_belongs_to_some_material():
    labels = {"shape": CAPSULE, "scale": 3, "orientation": 12}
    found = changed("floor_hue", **labels)
    found |= changed("wall_hue", **labels)
    found |= changed("object_hue", **labels)
    sky = (render_one(wall_hue=6, object_hue=6, **labels) == SKY).all(-1)
    assert (found | sky).all()
    assert not (found & sky)[:14].any()


def test_red_surfaces_send_only_red():
    image = render_one(shape=CUBE)
    assert image[60, :, 0].min() > 150
    np.testing.assert_array_equal(image[60, :, 1:], 0)
    cyan = render_one(floor_hue=5, shape=CUBE)
    np.testing.assert_array_equal(cyan[60, :, 0], 0)
    np.testing.assert_array_equal(cyan[60, :, 1], cyan[60, :, 2])
    np.testing.assert_array_equal(cyan[60, :, 1], image[60, :, 0])


@pytest.mark.parametrize("scale", [0, 3, 7])
def test_sphere_covers_its_projection(scale):
    radius = shapes3d_objects.HALF_EXTENT["sphere"] * (0.75 + 0.5 * scale / 7)
    rng = np.random.default_rng(1)
    points = rng.normal(size=(200_000, 3))
    points *= radius / np.linalg.norm(points, axis=1, keepdims=True)
    column, row = project(points + [0, 0, radius])
    mask = changed("object_hue", shape=SPHERE, scale=scale)
    rows, columns = np.nonzero(mask)
    # The filter may tint a faint rim of two pixels outside the outline.
    assert columns.min() == pytest.approx(column.min(), abs=2.5)
    assert columns.max() + 1 == pytest.approx(column.max(), abs=2.5)
    assert rows.min() == pytest.approx(row.min(), abs=2.5)
    assert rows.max() + 1 == pytest.approx(row.max(), abs=2.5)
    assert columns.min() + columns.max() == 63
    # Coverage: the outline of a sphere is an ellipse.
    area = np.pi / 4 * np.ptp(column) * np.ptp(row)
    blue = render_one(object_hue=5, shape=SPHERE, scale=scale)[..., 2]
    assert mask.sum() == pytest.approx(area, rel=0.25)
    assert (blue[mask] > 60).sum() == pytest.approx(area, rel=0.1)


@pytest.mark.parametrize("orientation", range(7))
def test_mirrored_orientation_mirrors_the_skyline(orientation):
    skies = [
        (render_one(wall_hue=6, orientation=k) == SKY).all(axis=-1)
        for k in (orientation, 14 - orientation)
    ]
    assert 1_000 < skies[0].sum() < 1_400
    assert (skies[0] != skies[1][:, ::-1]).sum() <= 4


def test_orientation_moves_the_corner_monotonically():
    # The skyline dips lowest in the corner; it walks in from the right.
    dips = []
    for orientation in range(10, 15):
        image = render_one(wall_hue=6, orientation=orientation)
        dips.append(int(image[:24, :, 0].sum(axis=0)[2:62].argmax()) + 2)
    assert dips == sorted(dips, reverse=True)
    # Published: columns 59, 55, 51, 48 and 44.
    np.testing.assert_allclose(dips, [59, 55, 51, 48, 44], atol=2)


@pytest.mark.parametrize("shape", range(4))
def test_larger_scale_covers_more_pixels(shape):
    counts = [
        changed("object_hue", shape=shape, scale=scale).sum()
        for scale in range(8)
    ]
    assert (np.diff(counts) > 0).all()


def test_lamp_lights_left_side_and_throws_shadow_right():
    image = render_one(shape=CYLINDER, scale=5)
    body = changed("object_hue", shape=CYLINDER, scale=5)
    green = image[44, :, 1]  # of a red cylinder: only the white highlight
    inside = np.flatnonzero(body[44])
    assert green[inside[3]] == 28
    assert green[inside[-4]] == 0
    floor = image[53:57, :, 0]
    assert floor[:, 46:50].min() < 100 < floor[:, 10:14].min()


def test_rendering_is_deterministic_and_independent_of_the_batch():
    indices = np.random.default_rng(2).integers(0, 480_000, 40)
    factors = shapes3d_world.index_to_factors(indices)
    images = shapes3d_renderer.render(factors)
    shapes3d_renderer._maps.cache_clear()
    again = np.concatenate(
        [shapes3d_renderer.render(row[None]) for row in factors[::-1]]
    )
    np.testing.assert_array_equal(images, again[::-1])
    assert len(np.unique(images.reshape(40, -1), axis=0)) == 40
