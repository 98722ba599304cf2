"""Distributions of one parameter of a loss."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from yoto_tf.errors import InputError
from yoto_tf.layers import SplineFiLM
from yoto_tf.method.base import LossParameter
from yoto_tf.method.dirichlet import Dirichlet
from yoto_tf.method.joint import Independent
from yoto_tf.method.mixture import Mixture
from yoto_tf.method.mixture import near
from yoto_tf.method.objective import Objective
from yoto_tf.method.parameters import Choice
from yoto_tf.method.parameters import Constant
from yoto_tf.method.parameters import LogUniform
from yoto_tf.method.parameters import Uniform

WIDE = LogUniform(0.125, 512.0)
ALL = [
    WIDE,
    Uniform(0.5, 4.0),
    Choice([1.0, 16.0, 256.0]),
    Constant(3.0),
    Uniform(-2.0, 1.0),
    Choice([-1.0, 0.0, 2.0]),
    Constant(0.0),
    Mixture(WIDE, [(0.5, near(WIDE, 1.0, 1))]),
    # The octave around the center is cut off by the end.
    Mixture(WIDE, [([(0, 1.0), (9, 0.2)], near(WIDE, 512.0, 1))]),
]
IDS = [
    "LogUniform",
    "Uniform",
    "Choice",
    "Constant",
    "Uniform_with_signs",
    "Choice_with_signs",
    "zero",
    "focus",
    "curriculum",
]
MANY = 40_000


def draw(parameter, num=MANY):
    return keras.ops.convert_to_numpy(parameter.sample(num, seed=1))


@pytest.mark.parametrize("parameter", ALL, ids=IDS)
def test_draws_are_one_number_per_example_in_the_range(parameter):
    values = draw(parameter)
    assert values.shape == (MANY,)
    assert values.dtype == np.float32
    assert parameter.contains(values).all()


def test_log_uniform_has_the_quantiles_of_its_logarithm():
    values = draw(LogUniform(0.125, 512.0))
    for share in (0.1, 0.25, 0.5, 0.75, 0.9):
        expected = 0.125 * (512.0 / 0.125) ** share
        # A quantile's standard error is sqrt(p (1 - p) / n), as a share.
        error = 4 * math.sqrt(share * (1 - share) / MANY)
        assert abs(np.mean(values < expected) - share) < error


@pytest.mark.parametrize("share", [0.3, 0.5])
def test_a_mixture_gives_its_part_its_share(share):
    values = np.log2(draw(Mixture(WIDE, [(share, near(WIDE, 1.0, 1))])))
    # The range has 12 octaves; the rest of the draws are even over them.
    for edge, octaves, inside in [
        (-2, 1, 0),
        (-0.5, 2.5, 0),
        (0, 3, share / 2),
        (0.5, 3.5, share),
        (4, 7, share),
    ]:
        expected = inside + (1 - share) * octaves / 12
        error = 4 * math.sqrt(expected * (1 - expected) / MANY)
        assert abs(np.mean(values < edge) - expected) < error


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


@pytest.mark.parametrize("parameter", ALL[:2], ids=IDS[:2])
def test_coordinates_have_mean_0_and_deviation_1(parameter):
    coordinates = np.asarray(parameter.coordinate(draw(parameter)))
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


def test_raw_coordinates_are_the_logarithm_or_the_value():
    x = np.float32([0.125, 1.0, 512.0])
    np.testing.assert_allclose(
        LogUniform(0.125, 512.0, standardize=False).coordinate(x),
        np.log(x)[:, None],
        rtol=1e-6,
    )
    np.testing.assert_array_equal(
        Uniform(-1.0, 600.0, standardize=False).coordinate(x), x[:, None]
    )


@pytest.mark.parametrize("parameter", ALL, ids=IDS)
def test_coordinates_of_float64_are_float64(parameter):
    value = tf.constant([parameter.default], "float64")
    assert parameter.coordinate(value).dtype == "float64"
    coarse = tf.constant([parameter.default], "bfloat16")
    assert parameter.coordinate(coarse).dtype == "float32"


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
    # Not 15.999999999999998, as it would stand in a manifest.
    assert LogUniform(0.5, 512.0).default == 16.0
    assert LogUniform(0.125, 512.0).default == 8.0


def test_grids_of_choice_and_constant_are_trained_values():
    values = [1.0, 2.0, 4.0, 8.0, 16.0]
    np.testing.assert_array_equal(Choice(values).grid(3), [1, 4, 16])
    np.testing.assert_array_equal(Choice(values).grid(99), values)
    np.testing.assert_array_equal(Choice(values[:4]).grid(1), [2])
    np.testing.assert_array_equal(Constant(2.0).grid(3), [2])


@pytest.mark.parametrize("make", [LogUniform, Uniform])
def test_contains_has_the_ends_also_in_float32_and_nothing_beyond(make):
    low, high = 0.1, 512.3
    parameter = make(low, high)
    assert parameter.contains([low, high, 1.0]).all()
    assert parameter.contains(np.float32([low, high])).all()
    assert not parameter.contains([low * 0.9999, high * 1.0001]).any()
    assert parameter.contains(1.0).shape == ()


def test_contains_of_choice_and_constant_has_the_values_alone():
    assert Choice([0.1, 4]).contains(np.float32([0.1, 4])).all()
    assert not Choice([0.1, 4]).contains([0.2, 3.999]).any()
    assert Constant(0.1).contains(np.float32(0.1))
    assert not Constant(0.1).contains([0.1001, 0.2]).any()


@pytest.mark.parametrize("parameter", ALL, ids=IDS)
def test_contains_refuses_what_is_not_trained(parameter):
    bad = [np.nan, np.inf, -np.inf, 1e9, -1e9, -2.1]
    assert not parameter.contains(bad).any()
    assert parameter.contains(bad).shape == (6,)
    assert parameter.contains(0.0) == (parameter.low <= 0)


@pytest.mark.parametrize("parameter", ALL, ids=IDS)
def test_equal_arguments_make_equal_parameters(parameter):
    config = keras.saving.serialize_keras_object(parameter)
    copy = keras.saving.deserialize_keras_object(config)
    assert copy == parameter
    assert hash(copy) == hash(parameter)
    assert copy != Constant(77.0)
    assert repr(copy).startswith(type(parameter).__name__)


@pytest.mark.parametrize("parameter", ALL, ids=IDS)
def test_the_default_is_in_the_range_and_may_be_chosen(parameter):
    assert parameter.contains(parameter.default)
    if isinstance(parameter, Constant):
        return
    config = {**parameter.get_config(), "default": parameter.high}
    assert type(parameter).from_config(config).default == parameter.high
    with pytest.raises(InputError, match="expected a default .*-9"):
        type(parameter).from_config({**config, "default": -9.0})


def test_describe_names_the_trained_values():
    assert [p.describe() for p in ALL[:4]] == [
        "between 0.125 and 512",
        "between 0.5 and 4",
        "one of 1, 16, 256",
        "3, the one it was trained for",
    ]


@pytest.mark.parametrize(
    ("make", "ends", "sentence"),
    [
        *(
            (LogUniform, ends, "expected 0 < low < high")
            for ends in [(0.0, 1.0), (-1.0, 1.0)]
        ),
        *(
            (make, ends, "low < high, received: low=")
            for make in (LogUniform, Uniform)
            for ends in [
                (1.0, 1.0),
                (2.0, 1.0),
                (1.0, math.inf),
                (math.nan, 1.0),
                (1.0, math.nan),
            ]
        ),
    ],
)
def test_bad_intervals_are_refused(make, ends, sentence):
    with pytest.raises(InputError, match=sentence):
        make(*ends)


@pytest.mark.parametrize(
    "values", [[], [1.0], [1.0, math.nan], [1.0, math.inf]]
)
def test_bad_choices_are_refused(values):
    with pytest.raises(InputError, match="two or more finite values"):
        Choice(values)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_bad_constants_are_refused(value):
    with pytest.raises(InputError, match="expected a finite value"):
        Constant(value)


@pytest.mark.parametrize(
    "make",
    [
        lambda bad: LogUniform(bad, 4.0),
        lambda bad: LogUniform(1.0, bad),
        lambda bad: Uniform(bad, 4.0),
        lambda bad: Uniform(0.0, 4.0, default=bad or [1.0, 2.0]),
        lambda bad: Choice([1.0, bad]),
        Choice,
        Constant,
        lambda bad: Mixture(WIDE, bad),
        lambda bad: Mixture(WIDE, [(0.5, bad)]),
        lambda bad: Mixture(WIDE, [(bad, near(WIDE, 1.0, 1))]),
        lambda bad: Mixture(bad, [(0.5, near(WIDE, 1.0, 1))]),
        lambda bad: near(WIDE, bad, 1),
        lambda bad: near(WIDE, 1.0, bad),
        lambda bad: near(bad, 1.0, 1),
        lambda bad: Independent({"a": bad}),
        lambda bad: Dirichlet({"a": bad, "b": 1.0}),
        lambda bad: Objective("sum", bad),
    ],
)
@pytest.mark.parametrize(
    "bad",
    ["a", "1.5", b"1", None, 1j, {"a": 1}, object, True, np.bool_(True)],
)
def test_what_is_no_number_is_refused_with_a_sentence(make, bad):
    with pytest.raises(InputError, match="(?s)^expected .*, received: "):
        make(bad)


@pytest.mark.parametrize("kind", [np.float32, np.int64, tf.constant, np.array])
def test_numbers_of_arrays_are_numbers(kind):
    made = [
        LogUniform(kind(1), kind(4)),
        Uniform(kind(1), kind(4), default=kind(2)),
        Choice([kind(1), kind(4)]),
        Choice(kind([1, 4])),
        near(WIDE, kind(1), kind(2)),
        Constant(kind(2)),
    ]
    assert made == [
        LogUniform(1.0, 4.0),
        Uniform(1.0, 4.0, default=2.0),
        Choice([1.0, 4.0]),
        Choice([1.0, 4.0]),
        near(WIDE, 1.0, 2.0),
        Constant(2.0),
    ]


class Angle(Uniform):
    """Told by its sine and cosine, between which no end has either's."""

    def coordinate(self, values):
        values = ops.expand_dims(values, -1)
        return ops.concatenate([ops.sin(values), ops.cos(values)], -1)


def test_the_ends_of_an_angle_are_between_its_own():
    angle = Angle(-math.pi, math.pi)
    np.testing.assert_allclose(angle.coordinate_ends, (-1, 1), atol=1e-6)
    np.testing.assert_allclose(
        Angle(0.0, 2.0).coordinate_ends, (math.cos(2), 1), atol=1e-4
    )


def test_the_base_class_leaves_the_distribution_to_its_subclasses():
    with pytest.raises(NotImplementedError):
        LossParameter().sample(1, seed=0)


UNEVEN = [1, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 900, 1000]


@pytest.mark.parametrize(
    "values",
    [UNEVEN, [1e-30, 1, 1e30], [5.0, 5.001], [-3.0, -1.0, 0.0, 1e-9, 700.0]],
)
def test_every_value_of_a_choice_has_its_place_between_the_ends(values):
    parameter = Choice(values)
    coordinates = np.asarray(parameter.coordinate(np.float32(values)))[:, 0]
    expected = np.linspace(-math.sqrt(3), math.sqrt(3), len(values))
    np.testing.assert_allclose(coordinates, expected, atol=1e-6)
    np.testing.assert_allclose(
        parameter.coordinate_ends, expected[[0, -1]], rtol=1e-6
    )


def test_a_spline_tells_the_values_of_an_uneven_choice_apart():
    layer = SplineFiLM(knots=5)
    x = np.ones((len(UNEVEN), 1), "float32")
    coordinates = Choice(UNEVEN).coordinate(np.float32(UNEVEN))
    layer(x, coordinates)
    layer.set_weights([np.arange(10.0).reshape(5, 2)])
    answers = np.sort(np.asarray(layer(x, coordinates))[:, 0])
    assert np.diff(answers).min() > 0.1


@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize("make", [LogUniform, Uniform])
def test_the_ends_of_an_interval_have_the_outermost_coordinates(
    make, standardize
):
    parameter = make(0.1, 300.0, standardize=standardize)
    np.testing.assert_allclose(
        parameter.coordinate_ends,
        np.asarray(parameter.coordinate(np.float32([0.1, 300.0])))[:, 0],
        rtol=1e-5,
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda: Choice([900.0, 900.0001]),
        lambda: Choice([1.0, 5.0, 5.0 + 1e-9]),
        lambda: Choice([2.0, 2.0, 3.0]),
        lambda: Choice([0, 0, 1]),
        lambda: Choice([-900.0001, -900.0, 1.0]),
        lambda: LogUniform(1.0, 1.00001),
        lambda: Uniform(1.0, 1.00001),
        lambda: Uniform(-1.00001, -1.0),
    ],
)
def test_values_that_float32_hardly_tells_apart_are_refused(make):
    with pytest.raises(InputError, match="expected values that differ by"):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda: Choice([1e-46, 1.0]),
        lambda: Choice([1.0, 1e39]),
        lambda: LogUniform(1e-50, 1.0),
        lambda: Uniform(1.0, 1e50),
        lambda: Uniform(-1e50, 1.0),
        lambda: Constant(1e-50),
        lambda: Constant(-1e50),
    ],
)
def test_values_that_float32_does_not_hold_are_refused(make):
    with pytest.raises(InputError, match="numbers between 1e-30 and 1e\\+30"):
        make()


@pytest.mark.parametrize("parameter", ALL, ids=IDS)
def test_xla_makes_the_same_draws(parameter):
    uniform = tf.constant(np.linspace(0, 1, 101, endpoint=False), "float32")
    compiled = tf.function(parameter.quantile, jit_compile=True)
    np.testing.assert_allclose(
        compiled(uniform, tf.constant(5)),
        parameter.quantile(uniform, 5),
        rtol=1e-5,
        atol=1e-6,
    )


@pytest.mark.parametrize(
    "made",
    [
        lambda: LogUniform(0.1, 10.0, 2.0),
        lambda: Uniform(0.1, 10.0, 0),
        lambda: Choice([1.0, 2.0], 2.0),
        lambda: Constant(3.0, 2.0),
        lambda: Mixture(LogUniform(0.1, 10.0), [], 2.0),
    ],
)
def test_what_comes_after_the_values_is_named(made):
    """A default in the place of another argument would be taken for it."""
    with pytest.raises(TypeError, match="positional argument"):
        made()
