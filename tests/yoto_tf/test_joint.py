"""All parameters of a loss, drawn, asked for and told together."""

import json

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from yoto_tf.errors import InputError
from yoto_tf.method.assertions import as_input_errors
from yoto_tf.method.dirichlet import Dirichlet
from yoto_tf.method.joint import Independent
from yoto_tf.method.joint import as_joint
from yoto_tf.method.parameters import Choice
from yoto_tf.method.parameters import Constant
from yoto_tf.method.parameters import LogUniform
from yoto_tf.method.parameters import Uniform

MANY = 40_000


@pytest.fixture
def three():
    return Independent(
        {"error": 1.0, "l1": LogUniform(0.01, 1.0), "smooth": Uniform(1, 3)}
    )


def stacked(weights):
    return np.stack([np.asarray(w) for w in weights.values()], -1)


def test_numbers_become_constants(three):
    assert three.parameters["error"] == Constant(1.0)
    assert three.names == ("error", "l1", "smooth")
    assert three.varying == ("l1", "smooth")
    assert three.num_coordinates == 2


def test_parameters_are_drawn_independently(three):
    seed = keras.random.SeedGenerator(0)
    weights = three.sample(MANY, seed)
    assert tuple(weights) == three.names
    np.testing.assert_array_equal(weights["error"], 1)
    correlation = np.corrcoef(np.log(weights["l1"]), weights["smooth"])[0, 1]
    assert abs(correlation) < 4 / np.sqrt(MANY)


def test_coordinates_are_those_of_the_parameters_side_by_side(three):
    weights = {
        "error": np.ones(2, "float32"),
        "l1": np.float32([0.01, 1.0]),
        "smooth": np.float32([1.0, 2.0]),
    }
    # The end of a uniform interval lies sqrt(3) deviations from its middle.
    root = np.sqrt(3)
    np.testing.assert_allclose(
        three.coordinates(weights), [[-root, -root], [root, 0]], rtol=1e-5
    )


def test_several_are_watched_one_after_the_other(three):
    middle = {"error": 1.0, "l1": 0.1, "smooth": 2.0}
    expected = [
        middle,
        {**middle, "l1": 0.01},
        {**middle, "l1": 1.0},
        {**middle, "smooth": 1.0},
        {**middle, "smooth": 3.0},
    ]
    for found, point in zip(three.watched(), expected, strict=True):
        assert found == pytest.approx(point)


def test_a_switch_beside_a_weight_is_watched_once_at_each_value():
    joint = Independent({"a": Uniform(0, 2), "on": Choice([0, 1])})
    assert joint.watched() == [
        {"a": 1.0, "on": 0.0},
        {"a": 0.0, "on": 0.0},
        {"a": 2.0, "on": 0.0},
        {"a": 1.0, "on": 1.0},
    ]


def test_a_single_one_is_watched_over_its_range():
    points = Independent({"a": 2.0, "b": LogUniform(0.25, 4.0)}).watched()
    assert [p["b"] for p in points] == pytest.approx([0.25, 1.0, 4.0])
    assert {p["a"] for p in points} == {2.0}


def test_labels_name_the_values_that_vary(three):
    values = {"error": 1.0, "l1": 0.015625, "smooth": 2.0}
    assert three.label(values) == "l1=0.015625,smooth=2"
    assert Independent({"a": 1.0, "b": 2.0}).label({"a": 1, "b": 2}) == "fixed"
    labels = [three.label(p) for p in three.watched()]
    assert len(set(labels)) == 5


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({}, "one or more loss parameters"),
        (
            {"a": "big"},
            "a LossParameter or a number, received: a='big'",
        ),
        ({"a": (0.1, 1.0)}, r"LossParameter or a number, received: a=\(0.1"),
        ({1: 2.0}, "names of loss parameters of .*, received: 1"),
        ([1.0], "a dict or a Dirichlet, received"),
        (None, "a dict or a Dirichlet, received"),
    ],
)
def test_what_are_no_parameters_is_refused(parameters, sentence):
    with pytest.raises(InputError, match=sentence):
        as_joint(parameters)


def test_what_is_not_asked_for_has_its_default(three):
    found = three.complete({"l1": [0.5, 0.25]})
    assert found["l1"].tolist() == [0.5, 0.25]
    assert {n: float(found[n]) for n in ("error", "smooth")} == {
        "error": 1.0,
        "smooth": 2.0,
    }
    assert three.numbers({"l1": np.float32(0.5)}) == {
        **{"error": 1.0, "smooth": 2.0},
        "l1": 0.5,
    }
    with pytest.raises(InputError, match=r"expected l1 as a number.*\(2,\)"):
        three.numbers({"l1": [0.5, 0.25]})


@pytest.mark.parametrize(
    "given",
    [
        "0.5",
        b"0.5",
        None,
        np.array(["0.5", "0.25"]),
        [0.5, "0.25"],
        [0.5, None],
        np.array([0, 1], "datetime64[s]"),
        0.5 + 0j,
        {"low": 0.5},
        True,
        np.bool_(True),
        [True, False],
        np.array([0.5, True], object),
    ],
    ids=repr,
)
def test_what_are_no_numbers_are_not_asked_for(three, given):
    with pytest.raises(InputError, match="parameters to be numbers, received"):
        three.complete({"l1": given})


def test_numbers_of_every_kind_are_asked_for(three):
    for given in (1, np.int8(1), np.float16(1), tf.constant(1.0)):
        assert three.numbers({"l1": given})["l1"] == 1.0
    for given in ([1, 0.5], (1, np.float32(0.5)), np.array([1, 0.5], object)):
        np.testing.assert_array_equal(
            three.complete({"l1": given})["l1"], [1.0, 0.5]
        )


def test_tensors_are_checked_as_numbers_are(three):
    @tf.function
    def checked(l1):
        ones = tf.ones_like(l1)
        return three.checked({"error": ones, "l1": l1, "smooth": ones})["l1"]

    good = tf.constant([0.01, 1.0])
    np.testing.assert_array_equal(checked(good), good)
    for bad in (1.1, -0.5, float("nan")):
        with (
            pytest.raises(InputError) as refused,
            as_input_errors(),
        ):
            checked(tf.constant([0.5, bad, 0.1]))
        assert str(refused.value) == (
            f"expected l1 between 0.01 and 1, received: l1={bad:g}"
        )


def test_what_is_just_past_an_end_does_not_read_as_the_end(three):
    ones = tf.ones(1)
    tensors = {"error": ones, "l1": tf.constant([1.000002]), "smooth": ones}
    for check in (
        lambda: three.complete({"l1": 1.000002}),
        lambda: three.complete({"l1": np.float32(1.000002)}),
        lambda: three.checked(tensors),
        lambda: tf.function(three.checked)(tensors),
    ):
        with pytest.raises(InputError) as refused, as_input_errors():
            check()
        # TensorFlow itself says one more digit in a graph.
        assert str(refused.value).startswith(
            "expected l1 between 0.01 and 1, received: l1=1.000002"
        )
    with pytest.raises(InputError, match="received: l1=1e[+]300$"):
        three.complete({"l1": 1e300})


@pytest.mark.parametrize("bad", [0.6, -0.5, float("nan")])
def test_tensors_of_a_simplex_are_checked(bad):
    simplex = Dirichlet({"a": 1.0, "b": 1.0})
    good = {"a": tf.constant([0.25, 0.5]), "b": tf.constant([0.75, 0.5])}
    np.testing.assert_array_equal(simplex.checked(good)["a"], good["a"])
    wrong = {"a": [0.25, 0.5], "b": [0.75, bad]}
    tensors = {n: tf.constant(v) for n, v in wrong.items()}
    for check in (
        lambda: simplex.complete(wrong),
        lambda: simplex.checked(tensors),
        lambda: tf.function(simplex.checked)(tensors),
    ):
        with pytest.raises(InputError) as refused, as_input_errors():
            check()
        assert str(refused.value) == (
            f"expected a, b above 0 with a sum of 1, received: a=0.5 b={bad:g}"
        )


def test_independent_config_restores_each_distribution(three):
    config = json.loads(json.dumps(three.get_config()))
    copy = Independent.from_config(config)
    assert copy.parameters == three.parameters
    choice = Choice([1, 2])
    assert Independent({"a": choice}).parameters["a"] == choice


@pytest.mark.parametrize(
    "concentration", [(1.0, 1.0, 1.0), (0.2, 0.2, 0.2), (1.0, 2.0, 5.0)]
)
def test_dirichlet_has_its_mean_and_variance_and_sums_to_one(concentration):
    a = np.array(concentration)
    distribution = Dirichlet(dict(zip("abc", a.tolist(), strict=True)))
    weights = distribution.sample(MANY, keras.random.SeedGenerator(0))
    values = stacked(weights)
    assert (values > 0).all()
    np.testing.assert_allclose(values.sum(-1), 1, rtol=1e-5)
    mean = a / a.sum()
    variance = mean * (1 - mean) / (a.sum() + 1)
    error = np.sqrt(variance / MANY)
    assert (np.abs(values.mean(0) - mean) < 4 * error).all()
    np.testing.assert_allclose(values.var(0), variance, rtol=0.05)
    coordinates = np.asarray(distribution.coordinates(weights))
    assert coordinates.shape == (MANY, 3)
    assert np.abs(coordinates.mean(0)).max() < 4 / np.sqrt(MANY)
    np.testing.assert_allclose(coordinates.std(0), 1, rtol=0.03)


def test_dirichlet_weights_are_above_zero_at_a_small_concentration():
    distribution = Dirichlet({"a": 0.01, "b": 0.01})
    values = stacked(distribution.sample(1000, keras.random.SeedGenerator(0)))
    assert np.isfinite(values).all()
    assert (values > 0).all()


def test_dirichlet_is_watched_at_its_mean_and_at_a_point_for_each_term():
    simplex = Dirichlet({"a": 1.0, "b": 2.0, "c": 5.0})
    points = simplex.watched()
    # At most three deviations above the mean, which are draws.
    a = 0.125 + 3 * np.sqrt(0.125 * 0.875 / 9)
    b = 0.25 + 3 * np.sqrt(0.25 * 0.75 / 9)
    expected = [
        [0.125, 0.25, 0.625],
        [a, (1 - a) * 2 / 7, (1 - a) * 5 / 7],
        [(1 - b) / 6, b, (1 - b) * 5 / 6],
        [0.2 / 3, 0.4 / 3, 0.8],
    ]
    np.testing.assert_allclose(
        [[p[n] for n in "abc"] for p in points], expected
    )
    assert simplex.defaults == points[0]
    for point in points:
        simplex.complete(point)


@pytest.mark.parametrize(
    "numbers", [(1, 1), (50, 50), (100, 1), (2, 2, 90), (1,) * 6, (0.1, 0.2)]
)
def test_dirichlet_is_watched_where_it_is_drawn(numbers):
    names = "abcdef"[: len(numbers)]
    simplex = Dirichlet(dict(zip(names, map(float, numbers), strict=True)))
    draws = np.random.default_rng(0).dirichlet(numbers, 50_000)
    points = [[p[n] for n in names] for p in simplex.watched()]
    assert len(points) == len(numbers) + 1
    for point in points:
        assert sum(point) == pytest.approx(1)
        beyond = np.minimum((draws >= point).mean(0), (draws <= point).mean(0))
        assert beyond.min() > 1e-4


def test_dirichlet_label_has_three_digits():
    label = Dirichlet({"a": 1.0, "b": 2.0}).label({"a": 1 / 3, "b": 2 / 3})
    assert label == "a=0.333,b=0.667"


@pytest.mark.parametrize(
    "concentration",
    [
        {},
        {"a": 1.0},
        {"a": 1.0, "b": 0.0},
        {"a": 1.0, "b": -1.0},
        {"a": 1.0, "b": float("nan")},
        {"a": 1.0, "b": float("inf")},
    ],
)
def test_bad_concentrations_are_refused(concentration):
    with pytest.raises(InputError, match="two or more concentrations above 0"):
        Dirichlet(concentration)


@pytest.mark.parametrize(
    "weights",
    [
        Independent({"a": LogUniform(1.0, 2.0), "b": LogUniform(1.0, 2.0)}),
        Dirichlet({"a": 1.0, "b": 1.0, "c": 1.0}),
    ],
)
def test_one_whole_number_as_seed_draws_different_weights(weights):
    drawn = weights.sample(50, 3)
    assert not np.allclose(drawn["a"], drawn["b"])
    again = weights.sample(50, 3)
    np.testing.assert_array_equal(drawn["a"], again["a"])


@pytest.mark.parametrize(
    "concentration", [(1, 1), (0.01, 0.01), (0.3, 2.0), (1, 1, 7), (50, 20)]
)
def test_each_dirichlet_weight_has_its_beta_distribution(concentration):
    a = np.array(concentration, "float64")
    distribution = Dirichlet(dict(zip("abc", a.tolist(), strict=False)))
    drawn = distribution.sample(4000, keras.random.SeedGenerator(0))
    for weight, alpha in zip(drawn.values(), a, strict=True):
        # Near 0 and 1 float32 rounds: compare the shares in between.
        edges = np.linspace(0.001, 0.999, 12)
        share = scipy.stats.beta(alpha, a.sum() - alpha).cdf(edges)
        error = 4 * np.sqrt(share * (1 - share) / 4000) + 1e-9
        counted = (np.asarray(weight)[:, None] < edges).mean(0)
        assert (np.abs(counted - share) < error).all()


def test_dirichlet_coordinates_reach_to_their_ends():
    distribution = Dirichlet({"a": 1.0, "b": 1.0, "c": 4.0})
    corners = np.eye(3, dtype="float32")
    coordinates = distribution.coordinates(
        dict(zip("abc", corners, strict=True))
    )
    np.testing.assert_allclose(
        distribution.coordinate_ends,
        [np.min(coordinates), np.max(coordinates)],
        rtol=1e-5,
    )
    # Of two even weights, as of one that is uniform.
    np.testing.assert_allclose(
        Dirichlet({"a": 1, "b": 1}).coordinate_ends, [-(3**0.5), 3**0.5]
    )


def test_ends_of_independent_parameters_are_the_outermost(three):
    root = 3**0.5
    np.testing.assert_allclose(three.coordinate_ends, [-root, root])
    raw = Independent(
        {
            "a": Uniform(0.5, 7.0, standardize=False),
            "b": LogUniform(0.1, 2.0, standardize=False),
        }
    )
    np.testing.assert_allclose(raw.coordinate_ends, [np.log(0.1), 7.0])
    assert Independent({"a": 1.0}).coordinate_ends is None


@pytest.mark.parametrize("a", [1e-4, 1e7])
def test_concentrations_beyond_float32_are_refused(a):
    with pytest.raises(InputError, match="between 0.001 and 1e6"):
        Dirichlet({"a": a, "b": 1.0})


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"l2": np.ones(2)}, r"\['error', 'l1', 'smooth'\], received: .*'l2'"),
        ({"l1": None}, "expected values of"),
        ({"l1": np.ones((2, 1))}, r"\(batch,\), received: l1.*\(2, 1\)"),
        ({"l1": 0.5}, r"\(batch,\), received: l1.*\(\)"),
    ],
    ids=["unknown", "missing", "column", "number"],
)
@pytest.mark.parametrize("kind", ["independent", "dirichlet"])
def test_coordinates_refuse_values_of_other_parameters(
    kind, change, sentence, three
):
    if kind == "dirichlet":
        three = Dirichlet(dict.fromkeys(three.names, 1.0))
    weights = {**{n: np.ones(2, "float32") for n in three.names}, **change}
    weights = {n: w for n, w in weights.items() if w is not None}
    with pytest.raises(InputError, match=sentence):
        three.coordinates(weights)


@pytest.mark.parametrize(
    "lengths", [{"a": 3, "b": 4}, {"a": 1, "b": 4}, {"a": (2, 1), "b": 2}]
)
def test_a_simplex_is_asked_for_as_many_values_of_each(lengths):
    """Also where NumPy would broadcast the arrays."""
    asked = {n: np.full(num, 0.5) for n, num in lengths.items()}
    with pytest.raises(
        InputError, match=r"as many values of each of \['a', 'b'\].*a\.shape="
    ):
        Dirichlet({"a": 1.0, "b": 1.0}).complete(asked)


@pytest.mark.parametrize(
    "concentration", [[1, 4], [0.5, 2.0], [1, 1, 8], [1.001, 4], [1e6, 1e-3]]
)
def test_a_mean_that_was_the_point_of_a_term_is_watched_once(concentration):
    names = "abc"[: len(concentration)]
    joint = Dirichlet(dict(zip(names, concentration, strict=True)))
    watched = joint.watched()
    assert len(watched) == len(names) + (concentration != [1.001, 4])
    assert len({joint.label(w) for w in watched}) == len(watched)
    for values in watched:
        joint.check({n: np.float64(v) for n, v in values.items()})


@pytest.mark.parametrize("concentration", [[1, 2], {"a": "1", "b": 2}, None])
def test_concentrations_that_are_no_numbers_are_refused(concentration):
    with pytest.raises(InputError, match="expected a dict, name of a term"):
        Dirichlet(concentration)
