"""Pareto front and hypervolume: cases by hand, and against `moocore`."""

import moocore
import numpy as np
import pytest

from yoto_tf.errors import InputError
from yoto_tf.evaluation import hypervolume
from yoto_tf.evaluation import pareto_front


def random_points(seed, num=60, columns=2):
    """Points with ties in single columns and repeated points."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 12, (num, columns)).astype(float)


def test_the_front_keeps_the_smaller_losses():
    points = [[1.0, 4.0], [2.0, 2.0], [4.0, 1.0], [3.0, 3.0], [4.0, 4.0]]
    front = pareto_front(points)
    np.testing.assert_array_equal(front, [True, True, True, False, False])
    # The seed's filter kept the larger ones.
    larger = pareto_front(-np.array(points))
    assert (front != larger).any()


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([[1, 1]], [True]),
        ([[1, 1], [1, 1]], [True, True]),
        ([[1, 1], [1, 1], [0, 0]], [False, False, True]),
        ([[1, 1], [1, 2]], [True, False]),
        ([[2, 1], [1, 1]], [False, True]),
        ([[np.inf, 0], [0, np.inf], [np.inf, np.inf]], [True, True, False]),
        (np.zeros((0, 2)), []),
    ],
    ids=["one", "equal", "both_beaten", "tie", "tie_first", "inf", "none"],
)
def test_ties_and_repetitions(points, expected):
    np.testing.assert_array_equal(pareto_front(points), expected)


@pytest.mark.parametrize("columns", [2, 3])
@pytest.mark.parametrize("seed", range(5))
def test_the_front_is_that_of_moocore(seed, columns):
    points = random_points(seed, columns=columns)
    expected = moocore.is_nondominated(points, keep_weakly=True)
    np.testing.assert_array_equal(pareto_front(points), expected)
    assert 0 < expected.sum() < len(points)


def test_hypervolume_of_rectangles():
    reference = (10.0, 10.0)
    assert hypervolume([[4.0, 7.0]], reference) == 6 * 3
    # 6x3 and 3x6 share 3x3.
    both = [[4.0, 7.0], [7.0, 4.0]]
    assert hypervolume(both, reference) == 6 * 3 + 3 * 6 - 3 * 3
    beaten = [*both, [8.0, 8.0], [4.0, 7.0]]
    assert hypervolume(beaten, reference) == hypervolume(both, reference)
    outside = [*both, [0.0, 10.0], [11.0, 0.0]]
    assert hypervolume(outside, reference) == hypervolume(both, reference)
    assert hypervolume([[11.0, 0.0]], reference) == 0
    assert hypervolume(np.zeros((0, 2)), reference) == 0


@pytest.mark.parametrize("seed", range(5))
def test_hypervolume_is_that_of_moocore(seed):
    points = np.random.default_rng(seed).normal(size=(40, 2))
    reference = [0.8, 0.5]
    assert hypervolume(points, reference) == pytest.approx(
        moocore.hypervolume(points, ref=reference), rel=1e-12
    )
    ties = random_points(seed)
    assert hypervolume(ties, [9.0, 10.0]) == pytest.approx(
        moocore.hypervolume(ties, ref=[9.0, 10.0]), rel=1e-12
    )


def test_hypervolume_grows_with_better_points_alone():
    points = random_points(0)
    area = hypervolume(points, (12.0, 12.0))
    on_front = pareto_front(points)
    assert hypervolume(points[on_front], (12.0, 12.0)) == area
    assert hypervolume(points - 0.5, (12.0, 12.0)) > area


@pytest.mark.parametrize(
    "points", [[[1.0, np.nan]], [1.0, 2.0], [[[1.0, 2.0]]]]
)
def test_points_with_nan_or_of_another_shape_are_refused(points):
    with pytest.raises(InputError, match=r"points \(n, d\) without NaN"):
        pareto_front(points)
    with pytest.raises(InputError, match=r"points \(n, d\) without NaN"):
        hypervolume(points, (1.0, 1.0))


@pytest.mark.parametrize(
    ("points", "reference"),
    [([[1.0, 2.0, 3.0]], (4.0, 4.0)), ([[1.0, 2.0]], (4.0, 4.0, 4.0))],
)
def test_hypervolume_is_for_two_columns(points, reference):
    with pytest.raises(InputError, match=r"points \(n, 2\)"):
        hypervolume(points, reference)
