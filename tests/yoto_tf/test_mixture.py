"""Draws from parts of a range, by shares that follow the train step."""

import math

import keras
import numpy as np
import pytest

from yoto_tf.errors import InputError
from yoto_tf.method.mixture import Mixture
from yoto_tf.method.mixture import near
from yoto_tf.method.parameters import Choice
from yoto_tf.method.parameters import LogUniform
from yoto_tf.method.parameters import Uniform

WIDE = LogUniform(0.5, 512.0)
UNIFORM = np.linspace(0, 1, 2048, endpoint=False).astype("float32")
LEAD, FOCUS, FIRST, FADE = 256.0, 1.0, 150, 1350


def curriculum():
    """At first one octave around 256 alone, then four octaves around it with
    a share that fades, and half of the rest around 1."""
    led = [(FIRST - 1, 0.0), (FIRST, 0.6), (FIRST + FADE, 0.1)]
    return Mixture(
        Mixture(WIDE, [(0.55, near(WIDE, FOCUS, 1))]),
        [
            ([(FIRST - 1, 1.0), (FIRST, 0.0)], near(WIDE, LEAD, 1)),
            (led, near(WIDE, LEAD, 4)),
        ],
    )


def by_hand(uniform, step):
    """log2 of the draws of such a curriculum, number by number."""

    def within(u, center, octaves):
        low = max(-1.0, math.log2(center) - octaves / 2)
        high = min(9.0, math.log2(center) + octaves / 2)
        return low + u * (high - low)

    passed = min((step - FIRST) / FADE, 1.0)
    share = 1.0 if step < FIRST else 0.6 - 0.5 * passed
    drawn = []
    for u in uniform.astype("float64"):
        if u < share:
            octaves = 1 if step < FIRST else 4
            drawn.append(within(u / share, LEAD, octaves))
            continue
        rest = (u - share) / (1 - share)
        if rest < 0.55:
            drawn.append(within(rest / 0.55, FOCUS, 1))
        else:
            drawn.append(-1 + 10 * (rest - 0.55) / 0.45)
    return np.array(drawn)


@pytest.mark.parametrize("step", [0, 149, 150, 151, 800, 1500, 9000])
def test_one_uniform_number_is_one_draw_of_the_curriculum(step):
    drawn = np.log2(curriculum().quantile(UNIFORM, step))
    expected = by_hand(UNIFORM, step)
    # A number beside the edge of a share may fall to either side of it.
    edges = np.abs(np.diff(expected, prepend=expected[0])) > 0.3
    near_edge = edges | np.roll(edges, -1)
    np.testing.assert_allclose(
        drawn[~near_edge], expected[~near_edge], atol=2e-4
    )
    assert near_edge.sum() <= 6


def test_without_a_step_the_shares_are_the_last_ones():
    mixture = curriculum()
    np.testing.assert_allclose(
        mixture.quantile(UNIFORM), mixture.quantile(UNIFORM, 10**6), rtol=1e-4
    )


def test_a_sample_takes_one_number_of_the_stream_per_example():
    seeds = [keras.random.SeedGenerator(3) for _ in range(2)]
    drawn = curriculum().sample(50, seeds[0], 800)
    uniform = keras.random.uniform((50,), seed=seeds[1])
    np.testing.assert_array_equal(drawn, curriculum().quantile(uniform, 800))


def test_the_network_and_the_range_are_those_of_the_base():
    mixture = curriculum()
    values = np.float32([0.5, 1.0, 512.0])
    np.testing.assert_array_equal(
        mixture.coordinate(values), WIDE.coordinate(values)
    )
    np.testing.assert_array_equal(mixture.intervals(), WIDE.intervals())
    assert (mixture.default, mixture.scale) == (WIDE.default, "log")
    assert mixture.describe() == "between 0.5 and 512"


def test_its_configuration_makes_it_again():
    mixture = curriculum()
    config = keras.saving.serialize_keras_object(mixture)
    again = keras.saving.deserialize_keras_object(config)
    assert again == mixture
    assert again != Mixture(WIDE, [(0.5, near(WIDE, 1.0, 1))])


@pytest.mark.parametrize(
    ("shares", "sentence"),
    [
        ([], "one or more shares"),
        ([(1.2, near(WIDE, 1.0, 1))], "sum is at most 1.*1.2"),
        ([(-0.1, near(WIDE, 1.0, 1))], "between 0 and 1"),
        ([(0.6, near(WIDE, 1.0, 1)), ([(0, 0.0), (9, 0.5)], WIDE)], "step 9"),
        ([(0.5, Uniform(0.1, 2.0))], "parts of the range between 0.5 and 512"),
    ],
)
def test_shares_that_cannot_be_drawn_are_refused(shares, sentence):
    with pytest.raises(InputError, match=sentence):
        Mixture(WIDE, shares)


def test_a_part_lies_around_its_center_and_is_cut_off_at_the_ends():
    part = near(WIDE, 512.0, 1)
    assert part.high == 512.0
    assert part.low == pytest.approx(512 / math.sqrt(2))
    with pytest.raises(InputError, match="between 0.5 and 512.*0.1"):
        near(WIDE, 0.1, 1)


def test_a_part_between_the_values_of_a_choice_is_refused():
    base = Choice([1.0, 2.0, 900.0])
    with pytest.raises(InputError, match="parts of the range one of 1, 2, 900"):
        Mixture(base, [(0.5, Uniform(1.0, 900.0))])


@pytest.mark.parametrize(
    "base", [Choice([1.0, 2.0, 900.0, 1000.0]), Uniform(0.0, 1.0)]
)
def test_other_distributions_can_be_mixed(base):
    part = Choice([base.low, base.high])
    drawn = np.asarray(Mixture(base, [(0.5, part)]).quantile(UNIFORM))
    assert np.isin(drawn[:1024], [base.low, base.high]).all()
    np.testing.assert_array_equal(drawn[1024:], base.quantile(UNIFORM[::2]))
