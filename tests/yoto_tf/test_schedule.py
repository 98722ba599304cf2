"""Numbers that change with the train step."""

import numpy as np
import pytest
import tensorflow as tf

from yoto_tf.errors import InputError
from yoto_tf.method.schedule import Schedule

POINTS = [(2, 0.0), (4, 1.0), (10, 0.25)]


def test_it_is_linear_between_its_points_and_constant_outside():
    steps = np.arange(15)
    expected = np.interp(steps, [2, 4, 10], [0.0, 1.0, 0.25])
    found = [float(Schedule(POINTS)(tf.constant(s))) for s in steps]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert Schedule(POINTS)(None) == 0.25


def test_it_is_the_same_under_xla():
    compiled = tf.function(Schedule(POINTS), jit_compile=True)
    assert float(compiled(tf.constant(7))) == pytest.approx(0.625)


def test_a_number_is_that_number_at_every_step():
    assert Schedule(3).is_constant
    assert Schedule(np.float32(0.5))() == Schedule(np.int64(1))() / 2 == 0.5
    assert Schedule(3)(tf.constant(5)) == Schedule(3)() == 3.0


@pytest.mark.parametrize("points", [0.5, POINTS])
def test_its_configuration_makes_it_again(points):
    schedule = Schedule(points)
    assert Schedule(schedule.get_config()) == schedule
    assert Schedule(schedule) == schedule


@pytest.mark.parametrize(
    ("points", "sentence"),
    [
        ([(3, 1.0), (3, 2.0)], "rising steps"),
        ([(3, 1.0), (1, 2.0)], "rising steps"),
        ([(0, float("nan"))], "finite values"),
        ([], "finite values"),
        ([1.0, 2.0], "pairs of"),
        ("ab", "pairs of"),
    ],
)
def test_what_is_no_schedule_is_refused(points, sentence):
    with pytest.raises(InputError, match=sentence):
        Schedule(points)
