"""Distributions of one loss weight."""

import math

import keras
import numpy as np
import pytest

from yoto_tf.errors import InputError
from yoto_tf.interval_weights import LogUniform
from yoto_tf.interval_weights import Uniform
from yoto_tf.layers import SplineFiLM
from yoto_tf.loss_weights import Choice
from yoto_tf.loss_weights import Constant
from yoto_tf.loss_weights import LossWeight

ALL = [
    LogUniform(0.125, 512.0),
    Uniform(0.5, 4.0),
    Choice([1.0, 16.0, 256.0]),
    Constant(3.0),
    LogUniform(0.125, 512.0, focus=1.0),
    # The octave around the focus is cut off by the ends.
    LogUniform(0.5, 1.25, focus=0.5, focus_share=0.2),
    LogUniform(0.5, 512.0, focus=1.0, focus_share=0.4, lead=256.0),
    LogUniform(0.5, 512.0, lead=512.0, lead_share=0.0),
]
IDS = [type(w).__name__ for w in ALL[:4]] + [
    "focus",
    "focus_at_the_end",
    "focus_and_lead",
    "lead_without_a_share",
]
MANY = 40_000


def draw(weight, num=MANY):
    return keras.ops.convert_to_numpy(weight.sample(num, seed=1))


@pytest.mark.parametrize("weight", ALL, ids=IDS)
def test_draws_are_one_number_per_example_in_the_range(weight):
    values = draw(weight)
    assert values.shape == (MANY,)
    assert values.dtype == np.float32
    assert weight.contains(values).all()


def test_log_uniform_has_the_quantiles_of_its_logarithm():
    values = draw(LogUniform(0.125, 512.0))
    for share in (0.1, 0.25, 0.5, 0.75, 0.9):
        expected = 0.125 * (512.0 / 0.125) ** share
        # A quantile's standard error is sqrt(p (1 - p) / n), as a share.
        error = 4 * math.sqrt(share * (1 - share) / MANY)
        assert abs(np.mean(values < expected) - share) < error


@pytest.mark.parametrize("share", [0.3, 0.5])
def test_a_focus_gets_its_share_within_half_an_octave_of_it(share):
    values = np.log2(draw(LogUniform(0.125, 512.0, True, 1.0, share)))
    # The range has 12 octaves; the rest of the draws are even over them.
    for edge, octaves, near in [
        (-2, 1, 0),
        (-0.5, 2.5, 0),
        (0, 3, share / 2),
        (0.5, 3.5, share),
        (4, 7, share),
    ]:
        expected = near + (1 - share) * octaves / 12
        error = 4 * math.sqrt(expected * (1 - expected) / MANY)
        assert abs(np.mean(values < edge) - expected) < error


def test_a_focus_leaves_the_coordinate_alone():
    plain, focused = LogUniform(0.125, 512.0), LogUniform(0.125, 512.0, focus=2)
    x = np.float32([0.125, 1.0, 512.0])
    np.testing.assert_array_equal(plain.coordinate(x), focused.coordinate(x))
    assert LogUniform.from_config(focused.get_config()) == focused != plain


def draw_at(weight, step):
    values = weight.sample_at(MANY, 1, step)
    return np.log2(keras.ops.convert_to_numpy(values))


def check_shares_below(values, expected):
    for edge, share in expected.items():
        error = 4 * math.sqrt(share * (1 - share) / MANY)
        assert abs(np.mean(values < edge) - share) <= error


def test_a_lead_is_drawn_alone_and_gets_a_fading_share_afterwards():
    weight = LogUniform(
        0.5,
        512.0,
        True,
        1.0,
        0.4,
        lead=64.0,
        lead_steps=3,
        lead_share=0.6,
        lead_fade_steps=10,
        lead_last_share=0.1,
    )
    for step in (0, 2):
        check_shares_below(
            draw_at(weight, step), {5.5: 0, 5.75: 0.25, 6: 0.5, 6.5: 1}
        )
    # Without the lead: ten octaves, 0.4 of the draws within half an octave of
    # the focus and 0.06 more in each octave. The lead's are within two
    # octaves of it.
    for step, lead in ((3, 0.6), (8, 0.35), (12, 0.15), (13, 0.1), (99, 0.1)):
        others = 1 - lead
        expected = {
            -0.5: others * 0.03,
            0: others * (0.4 / 2 + 0.06),
            0.5: others * (0.4 + 0.09),
            4: others * (0.4 + 0.3),
            5: others * (0.4 + 0.36) + lead / 4,
            8: others * (0.4 + 0.54) + lead,
        }
        check_shares_below(draw_at(weight, step), expected)
    np.testing.assert_allclose(
        draw_at(weight, 13), np.log2(draw(weight)), atol=1e-5
    )


def test_a_lead_at_the_end_is_cut_off_there_and_may_have_no_share():
    weight = LogUniform(
        0.5,
        512.0,
        lead=512.0,
        lead_steps=2,
        lead_share=0.0,
        lead_last_share=0.0,
    )
    check_shares_below(draw_at(weight, 1), {8.5: 0, 8.75: 0.5, 9.01: 1})
    check_shares_below(draw_at(weight, 2), {4: 0.5, 8.5: 0.95})
    weight = LogUniform(
        0.5,
        512.0,
        lead=512.0,
        lead_steps=0,
        lead_share=1.0,
        lead_fade_steps=4,
        lead_last_share=0.0,
    )
    check_shares_below(draw_at(weight, 0), {7: 0, 8: 0.5, 9.01: 1})
    check_shares_below(draw_at(weight, 2), {4: 0.25, 7: 0.4, 8: 0.7})


def test_a_lead_without_a_fade_goes_to_its_last_share_at_once():
    plain = LogUniform(0.5, 512.0, focus=1.0)
    fields = {"focus": 1.0, "lead": 256.0, "lead_steps": 2}
    weight = LogUniform(
        0.5, 512.0, **fields, lead_fade_steps=0, lead_last_share=0.0
    )
    np.testing.assert_array_equal(draw_at(weight, 2), np.log2(draw(plain)))
    weight = LogUniform(
        0.5, 512.0, **fields, lead_fade_steps=0, lead_last_share=1.0
    )
    check_shares_below(draw_at(weight, 2), {6: 0, 7.5: 0.5, 9.01: 1})


def test_weights_without_a_lead_are_the_same_at_every_step():
    for weight in ALL[:6]:
        first = keras.ops.convert_to_numpy(weight.sample_at(50, 1, 0))
        np.testing.assert_array_equal(first, draw(weight, 50))


def test_a_lead_leaves_the_coordinate_alone():
    plain, led = LogUniform(0.125, 512.0), LogUniform(0.125, 512.0, lead=256)
    x = np.float32([0.125, 1.0, 512.0])
    np.testing.assert_array_equal(plain.coordinate(x), led.coordinate(x))
    assert LogUniform.from_config(led.get_config()) == led != plain


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lead": 8.0}, "lead between low=0.5 and high=4.0"),
        ({"lead": 1.0, "lead_share": 1.1}, "lead_share between 0 and 1"),
        ({"lead": 1.0, "lead_share": -0.1}, "lead_share between 0 and 1"),
        ({"lead": 1.0, "lead_last_share": 2}, "lead_last_share between 0"),
        ({"lead": 1.0, "lead_steps": -1}, "lead_steps of 0 or more"),
        ({"lead": 1.0, "lead_fade_steps": -1}, "lead_fade_steps of 0 or more"),
        ({"focus": 8.0}, "focus between low=0.5 and high=4.0"),
        ({"focus": float("nan")}, "focus between low=0.5 and high=4.0"),
        ({"focus": 1.0, "focus_share": 1.0}, "above 0 and below 1"),
        ({"focus": 1.0, "focus_share": 0.0}, "above 0 and below 1"),
    ],
)
def test_a_focus_or_lead_that_cannot_be_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        LogUniform(0.5, 4.0, **arguments)


def test_uniform_has_the_quantiles_of_its_value():
    values = draw(Uniform(0.5, 4.0))
    for share in (0.1, 0.5, 0.9):
        error = 4 * math.sqrt(share * (1 - share) / MANY)
        assert abs(np.mean(values < 0.5 + 3.5 * share) - share) < error


def test_choice_draws_all_values_equally_often():
    values, counts = np.unique(draw(Choice([1, 16, 256])), return_counts=True)
    np.testing.assert_array_equal(values, [1, 16, 256])
    np.testing.assert_allclose(counts / MANY, 1 / 3, atol=0.01)


def test_constant_draws_its_value():
    np.testing.assert_array_equal(draw(Constant(3.0), 5), [3] * 5)


@pytest.mark.parametrize("weight", ALL[:3], ids=IDS[:3])
def test_coordinates_have_mean_0_and_deviation_1(weight):
    coordinates = np.asarray(weight.coordinate(draw(weight)))
    assert coordinates.shape == (MANY, 1)
    assert abs(coordinates.mean()) < 0.02
    assert abs(coordinates.std() - 1) < 0.02


def test_standardised_coordinates_are_the_formula():
    x = np.float32([0.125, 1.0, 8.0, 512.0])
    middle = (np.log(0.125) + np.log(512.0)) / 2
    deviation = (np.log(512.0) - np.log(0.125)) / np.sqrt(12)
    np.testing.assert_allclose(
        LogUniform(0.125, 512.0).coordinate(x),
        (np.log(x) - middle)[:, None] / deviation,
        rtol=1e-5,
        atol=1e-6,
    )
    np.testing.assert_allclose(
        Uniform(0.5, 4.0).coordinate(x),
        (x - 2.25)[:, None] / (3.5 / np.sqrt(12)),
        rtol=1e-5,
    )
    # Values that lie evenly: their places are their logarithms, scaled.
    x = np.float32([1.0, 16.0, 256.0])
    np.testing.assert_allclose(
        Choice([1.0, 16.0, 256.0]).coordinate(x),
        (np.log(x) - np.log(x).mean())[:, None] / np.log(x).std(),
        rtol=1e-5,
        atol=1e-6,
    )


def test_raw_coordinates_are_the_logarithm_or_the_value():
    x = np.float32([0.125, 1.0, 512.0])
    for weight in (LogUniform(0.125, 512.0, False), Choice([1, 2], False)):
        np.testing.assert_allclose(
            weight.coordinate(x), np.log(x)[:, None], rtol=1e-6
        )
    np.testing.assert_array_equal(
        Uniform(0.5, 4.0, False).coordinate(x), x[:, None]
    )


@pytest.mark.parametrize("values", [[4.0], [4.0, 4.0]])
def test_choice_of_one_value_has_a_finite_coordinate(values):
    coordinate = Choice(values).coordinate(np.float32([4.0]))
    np.testing.assert_allclose(coordinate, [[np.log(4.0)]], rtol=1e-6)


def test_constant_has_no_coordinate():
    assert Constant(2.0).num_coordinates == 0
    assert Constant(2.0).coordinate(np.ones(5, "float32")).shape == (5, 0)


@pytest.mark.parametrize(
    ("low", "high"), [(0.125, 512.0), (0.1, 0.3), (1 / 3, 1000.7)]
)
@pytest.mark.parametrize("make", [LogUniform, Uniform])
def test_grid_ends_are_exact_and_steps_even(make, low, high):
    grid = make(low, high).grid(5)
    assert (grid[0], grid[-1]) == (low, high)
    steps = np.diff(np.log(grid) if make is LogUniform else grid)
    np.testing.assert_allclose(steps, steps[0], rtol=1e-9)


def test_grid_of_one_is_the_middle():
    np.testing.assert_allclose(LogUniform(0.25, 4.0).grid(1), [1.0])
    np.testing.assert_allclose(Uniform(1.0, 4.0).grid(1), [2.5])


def test_grids_of_choice_and_constant_are_trained_values():
    values = [1.0, 2.0, 4.0, 8.0, 16.0]
    np.testing.assert_array_equal(Choice(values).grid(3), [1, 4, 16])
    np.testing.assert_array_equal(Choice(values).grid(99), values)
    np.testing.assert_array_equal(Choice([2.0]).grid(3), [2])
    np.testing.assert_array_equal(Constant(2.0).grid(3), [2])


@pytest.mark.parametrize("weight", ALL, ids=IDS)
def test_contains_refuses_what_is_no_weight(weight):
    bad = [0.0, -1.0, np.nan, np.inf, -np.inf, 1e9, 1e-9]
    assert not weight.contains(bad).any()
    assert weight.contains(bad).shape == (7,)


@pytest.mark.parametrize("make", [LogUniform, Uniform])
def test_contains_has_the_ends_also_in_float32_and_nothing_beyond(make):
    low, high = 0.1, 512.3
    weight = make(low, high)
    assert weight.contains([low, high, 1.0]).all()
    assert weight.contains(np.float32([low, high])).all()
    assert not weight.contains([low * 0.9999, high * 1.0001]).any()
    assert weight.contains(1.0).shape == ()


def test_contains_of_choice_and_constant_has_the_values_alone():
    assert Choice([0.1, 4]).contains(np.float32([0.1, 4])).all()
    assert not Choice([0.1, 4]).contains([0.2, 3.999]).any()
    assert Constant(0.1).contains(np.float32(0.1))
    assert not Constant(0.1).contains([0.1001, 0.2]).any()


@pytest.mark.parametrize("weight", ALL, ids=IDS)
def test_equal_arguments_make_equal_weights(weight):
    copy = type(weight).from_config(weight.get_config())
    assert copy == weight
    assert hash(copy) == hash(weight)
    assert copy != Constant(77.0)
    assert repr(copy).startswith(type(weight).__name__)


def test_describe_names_the_trained_values():
    assert [w.describe() for w in ALL[:4]] == [
        "between 0.125 and 512",
        "between 0.5 and 4",
        "one of 1, 16, 256",
        "3, the one it was trained for",
    ]


@pytest.mark.parametrize("make", [LogUniform, Uniform])
@pytest.mark.parametrize(
    ("low", "high"),
    [
        (0.0, 1.0),
        (-1.0, 1.0),
        (1.0, 1.0),
        (2.0, 1.0),
        (1.0, math.inf),
        (math.nan, 1.0),
        (1.0, math.nan),
    ],
)
def test_bad_intervals_are_refused(make, low, high):
    with pytest.raises(InputError, match="expected 0 < low < high"):
        make(low, high)


@pytest.mark.parametrize("values", [[], [0.0], [1.0, -1.0], [math.nan]])
def test_bad_choices_are_refused(values):
    with pytest.raises(InputError, match="expected values above 0"):
        Choice(values)


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_bad_constants_are_refused(value):
    with pytest.raises(InputError, match="expected a value above 0"):
        Constant(value)


def test_the_base_class_leaves_the_distribution_to_its_subclasses():
    with pytest.raises(NotImplementedError):
        LossWeight().sample(1, seed=0)


UNEVEN = [1, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 900, 1000]


@pytest.mark.parametrize(
    "values", [UNEVEN, [1e-30, 1, 1e30], [5.0, 5.001], [2, 2, 2, 3, 700]]
)
def test_every_value_of_a_choice_has_its_place_between_the_ends(values):
    weight = Choice(values)
    different = np.unique(np.float32(values))
    coordinates = np.asarray(weight.coordinate(different))[:, 0]
    steps = np.diff(coordinates)
    np.testing.assert_allclose(steps, steps[0], rtol=0.02)
    np.testing.assert_allclose(coordinates.mean(), 0, atol=1e-3)
    np.testing.assert_allclose(coordinates.std(), 1, rtol=1e-3)
    assert np.abs(coordinates).max() < math.sqrt(3)
    np.testing.assert_allclose(
        weight.coordinate_ends, [coordinates[0], coordinates[-1]], rtol=1e-3
    )


def test_a_spline_tells_the_values_of_an_uneven_choice_apart():
    layer = SplineFiLM(knots=5)
    x = np.ones((len(UNEVEN), 1), "float32")
    coordinates = Choice(UNEVEN).coordinate(np.float32(UNEVEN))
    layer(x, coordinates)
    layer.set_weights([np.arange(10.0).reshape(5, 2)])
    answers = np.sort(np.asarray(layer(x, coordinates))[:, 0])
    assert np.diff(answers).min() > 0.1


@pytest.mark.parametrize(
    "make",
    [
        lambda: Choice([900.0, 900.0001]),
        lambda: Choice([1.0, 5.0, 5.0 + 1e-9]),
        lambda: LogUniform(1.0, 1.00001),
        lambda: Uniform(1.0, 1.00001),
    ],
)
def test_weights_that_float32_hardly_tells_apart_are_refused(make):
    with pytest.raises(InputError, match="expected weights that differ by"):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda: Choice([1e-46, 1.0]),
        lambda: Choice([1.0, 1e39]),
        lambda: LogUniform(1e-50, 1.0),
        lambda: Uniform(1.0, 1e50),
        lambda: Constant(1e-50),
        lambda: Constant(1e50),
    ],
)
def test_weights_that_float32_does_not_hold_are_refused(make):
    with pytest.raises(InputError, match="weights between 1e-30 and 1e\\+30"):
        make()


@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize("make", [LogUniform, Uniform])
def test_the_ends_of_an_interval_have_the_outermost_coordinates(
    make, standardize
):
    weight = make(0.1, 300.0, standardize)
    np.testing.assert_allclose(
        weight.coordinate_ends,
        np.asarray(weight.coordinate(np.float32([0.1, 300.0])))[:, 0],
        rtol=1e-5,
    )
