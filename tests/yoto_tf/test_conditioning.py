"""Conditioning layers against their formulas, written out in NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from yoto_tf.errors import InputError
from yoto_tf.families.vae.model_config import ConditioningConfig
from yoto_tf.families.vae.model_config import idle_settings
from yoto_tf.layers import Concatenation
from yoto_tf.layers import FiLM
from yoto_tf.layers import Gate
from yoto_tf.layers import SigmoidFiLM
from yoto_tf.layers import SplineFiLM
from yoto_tf.layers.base import modulate
from yoto_tf.layers.factory import make_conditioning
from yoto_tf.layers.stage import ConditionedStage
from yoto_tf.method.parameters import LogUniform

# Batch, height, width and channels are equal, so that a scale that is
# broadcast over the wrong axis gives wrong numbers and not an error.
SHAPES = [pytest.param((4, 4), id="dense"), pytest.param((4,) * 4, id="maps")]
LAYERS = [
    FiLM,
    SigmoidFiLM,
    Gate,
    lambda: Gate("sqrt"),
    SplineFiLM,
    Concatenation,
]
LAYER_IDS = [
    *("film", "sigmoid_film", "gate_sigmoid", "gate_sqrt"),
    *("spline", "concat"),
]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def normal(rng, *shape):
    return rng.normal(size=shape).astype("float32")


def randomize(layer, rng):
    """Gives every weight a value that matters to the output."""
    layer.set_weights([normal(rng, *w.shape) for w in layer.weights])


def weights_of(layer):
    return {w.path.split("/", 1)[1]: w.numpy() for w in layer.weights}


def over_maps(per_channel, features):
    """`(batch, channels)` as it must meet features of either shape."""
    if features.ndim == 2:
        return per_channel
    return per_channel[:, None, None, :]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("shape", SHAPES)
def test_modulate_scales_and_shifts_each_channel_of_each_example(shape, rng):
    x, scale, shift = normal(rng, *shape), normal(rng, 4, 4), normal(rng, 4, 4)
    np.testing.assert_allclose(
        modulate(x, scale, shift),
        over_maps(scale, x) * x + over_maps(shift, x),
        rtol=1e-6,
    )
    np.testing.assert_allclose(
        modulate(x, scale), over_maps(scale, x) * x, rtol=1e-6
    )


def test_modulate_takes_maps_of_any_shape(rng):
    x, scale, shift = (
        normal(rng, 2, 3, 5, 7),
        normal(rng, 2, 7),
        normal(rng, 2, 7),
    )
    np.testing.assert_allclose(
        modulate(x, scale, shift),
        x * scale[:, None, None] + shift[:, None, None],
        rtol=1e-6,
    )


# Of as many examples as channels, each would be taken for the other.
@pytest.mark.parametrize("shape", [(4, 1), (4,), (4, 8), (4, 1, 4)])
def test_what_is_no_number_per_channel_is_refused(shape):
    features, good = np.ones((4, 3, 4), "float32"), np.ones((4, 4), "float32")
    wrong = np.ones(shape, "float32")
    with pytest.raises(InputError, match=r"scale of shape \(batch, 4\)"):
        modulate(features, wrong)
    with pytest.raises(InputError, match=r"shift of shape \(batch, 4\)"):
        modulate(features, good, wrong)


@pytest.mark.parametrize("make", [FiLM, SplineFiLM])
@pytest.mark.parametrize("shape", SHAPES)
def test_new_film_is_exactly_the_identity(make, shape, rng):
    x = normal(rng, *shape)
    np.testing.assert_array_equal(make()(x, normal(rng, 4, 3)), x)


@pytest.mark.parametrize("shape", SHAPES)
def test_film_is_the_formula(shape, rng):
    x, c = normal(rng, *shape), normal(rng, 4, 3)
    layer = FiLM(hidden_units=5, strength=0.3)
    layer(x, c)
    randomize(layer, rng)
    w = weights_of(layer)

    def mlp(name):
        hidden = c @ w[f"{name}_hidden/kernel"] + w[f"{name}_hidden/bias"]
        hidden = np.where(hidden > 0, hidden, 0.2 * hidden)
        return hidden @ w[f"{name}_output/kernel"] + w[f"{name}_output/bias"]

    scale, shift = 1 + 0.3 * mlp("scale"), 0.3 * mlp("shift")
    np.testing.assert_allclose(
        layer(x, c),
        over_maps(scale, x) * x + over_maps(shift, x),
        rtol=1e-4,
        atol=1e-5,
    )


def sigmoid_film_gains(layer, c):
    """Scale and shift of a SigmoidFiLM, next to each other."""
    w = weights_of(layer)
    hidden = np.maximum(c @ w["hidden/kernel"] + w["hidden/bias"], 0)
    return sigmoid(
        hidden @ w["scale_and_shift/kernel"] + w["scale_and_shift/bias"]
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_sigmoid_film_is_the_formula(shape, rng):
    x, c = normal(rng, *shape), normal(rng, 4, 3)
    layer = SigmoidFiLM(hidden_units=5)
    layer(x, c)
    randomize(layer, rng)
    gains = sigmoid_film_gains(layer, c)
    assert (gains > 0).all()
    assert (gains < 1).all()
    scale, shift = gains[:, :4], gains[:, 4:]
    np.testing.assert_allclose(
        layer(x, c),
        over_maps(scale, x) * x + over_maps(shift, x),
        rtol=1e-4,
        atol=1e-5,
    )


def saturated(layer, conditioning, channels=64):
    """Share of a new layer's sigmoids that are within 1 % of 0 or 1.

    The layer is probed from outside: features of 0 give the shift, of 1 the
    sum of scale and shift.
    """
    c = np.asarray(conditioning, "float32")
    shift = layer(np.zeros((1, channels), "float32"), c).numpy()
    scale = layer(np.ones((1, channels), "float32"), c).numpy() - shift
    gains = np.concatenate([scale, shift])
    return np.mean((gains < 0.01) | (gains > 0.99))


def test_sigmoids_are_not_saturated_by_a_large_beta(rng):
    coordinate = LogUniform(0.125, 512.0).coordinate(np.float32([256.0]))
    assert saturated(SigmoidFiLM(), coordinate) == 0
    # The seed's input, to show that the check would notice it.
    assert saturated(SigmoidFiLM(), np.full((1, 256), 256.0)) > 0.9


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("form", Gate.FORMS)
def test_gate_is_the_formula(form, shape, rng):
    x, c = normal(rng, *shape), normal(rng, 4, 3)
    layer = Gate(form)
    layer(x, c)
    randomize(layer, rng)
    w = weights_of(layer)
    logit = c @ w["kernel"] + w["bias"]
    if form == "sigmoid":
        gate = sigmoid(logit)
    else:
        # The layer's floor under the root, which keeps gradients finite.
        gate = np.sqrt(np.maximum(1 - np.exp(logit), 1e-6))
        assert (logit >= 0).any()
        assert (logit < 0).any()
    np.testing.assert_allclose(
        layer(x, c), over_maps(gate, x) * x, rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize(("form", "start"), [("sigmoid", 0.88), ("sqrt", 0.93)])
def test_gates_start_open(form, start, rng):
    gates = Gate(form)(np.ones((100, 50), "float32"), normal(rng, 100, 1))
    np.testing.assert_allclose(np.mean(gates), start, atol=0.01)
    assert np.min(gates) > 0.7


@pytest.mark.parametrize("logit", [-50.0, -1e-7, 0.0, 1.0, 50.0, 1000.0])
def test_sqrt_gate_has_finite_gradients_where_it_clips(logit):
    layer = Gate("sqrt")
    x, c = tf.ones((2, 3)), tf.ones((2, 1))
    layer(x, c)
    layer.set_weights([np.zeros((1, 3)), np.full(3, logit)])
    with tf.GradientTape() as tape:
        tape.watch([x, c])
        loss = tf.reduce_sum(layer(x, c))
    gradients = tape.gradient(loss, [x, c, layer.kernel.value])
    assert all(np.isfinite(g).all() for g in gradients)


@pytest.mark.parametrize("shape", SHAPES)
def test_spline_is_linear_interpolation_between_its_knots(shape, rng):
    x = normal(rng, *shape)
    # Inside, at an end, and beyond both, where it stays as at the ends.
    c = np.float32([[0.3, -1.1], [-1.7321, 0.0], [-9.0, 1.2], [0.8, 5.0]])
    layer = SplineFiLM(knots=4)
    layer(x, c)
    randomize(layer, rng)
    knots = np.linspace(-np.sqrt(3), np.sqrt(3), 4)
    # (coordinate, knot, scale or shift, channel)
    values = layer.kernel.numpy().reshape(2, 4, 2, 4)
    scale, shift = (
        np.array(
            [
                [
                    sum(
                        np.interp(row[i], knots, values[i, :, half, channel])
                        for i in (0, 1)
                    )
                    for channel in range(4)
                ]
                for row in c
            ]
        )
        for half in (0, 1)
    )
    np.testing.assert_allclose(
        layer(x, c),
        over_maps(1 + scale, x) * x + over_maps(shift, x),
        rtol=1e-4,
        atol=1e-5,
    )


def test_a_weight_teaches_a_spline_near_itself_alone(rng):
    layer = SplineFiLM(knots=5)
    low = np.float32([[-1.6]])
    x = normal(rng, 1, 4)
    layer(x, low)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(x, low) ** 2)
    gradient = tape.gradient(loss, layer.kernel.value).numpy()
    assert (gradient[:2] != 0).all()
    np.testing.assert_array_equal(gradient[2:], 0)


@pytest.mark.parametrize("shape", SHAPES)
def test_concatenation_appends_the_vector_at_every_position(shape, rng):
    x, c = normal(rng, *shape), normal(rng, 4, 3)
    y = Concatenation()(x, c).numpy()
    np.testing.assert_array_equal(y[..., :4], x)
    np.testing.assert_array_equal(
        y[..., 4:], np.broadcast_to(over_maps(c, x), (*shape[:-1], 3))
    )


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("make", LAYERS, ids=LAYER_IDS)
def test_every_example_has_its_own_conditioning(make, shape, rng):
    # The same features four times, under four different vectors.
    x = np.repeat(normal(rng, 1, *shape[1:]), 4, axis=0)
    c = normal(rng, 4, 3)
    layer = make()
    layer(x, c)
    if layer.weights:
        randomize(layer, rng)
    together = layer(x, c).numpy()
    for i in range(4):
        alone = layer(x[i : i + 1], c[i : i + 1]).numpy()[0]
        np.testing.assert_allclose(together[i], alone, rtol=1e-5, atol=1e-6)
        assert i == 0 or not np.allclose(together[i], together[0])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FiLM(hidden_units=0), "hidden_units"),
        (lambda: FiLM(strength=0.0), "strength"),
        (lambda: FiLM(strength=float("nan")), "strength"),
        (lambda: SigmoidFiLM(hidden_units=-1), "hidden_units"),
        (lambda: SplineFiLM(knots=1), "knots of 2 or more.*knots=1"),
        (lambda: Gate("tanh"), "one of .*sigmoid.*received: form='tanh'"),
    ],
)
def test_bad_arguments_are_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("film", FiLM(512, 0.01)),
        ("sigmoid_film", SigmoidFiLM(512)),
        ("gate", Gate("sigmoid")),
        ("spline", SplineFiLM(7)),
        ("concatenation", Concatenation()),
    ],
)
def test_make_conditioning_follows_the_config(kind, expected):
    given = {"hidden_units": 256, "strength": 0.01, "knots": 7}
    for name in idle_settings(kind, ("block",)):
        given.pop(name, None)
    config = ConditioningConfig(kind=kind, sites=("block",), **given)
    layer = make_conditioning(config, width=2)
    assert type(layer) is type(expected)
    skipped = {"name"}
    assert {
        k: v for k, v in layer.get_config().items() if k not in skipped
    } == {k: v for k, v in expected.get_config().items() if k not in skipped}


def test_make_conditioning_gates_the_decoder_by_the_root_and_none_by_nothing():
    assert (
        make_conditioning(ConditioningConfig(kind="gate"), decoder=True).form
        == "sqrt"
    )
    assert make_conditioning(ConditioningConfig(kind="none")) is None


def test_a_stage_keeps_the_mask_of_its_features(rng):
    x = normal(rng, 2, 3, 4)
    x[0, 1:] = 0.0
    stage = ConditionedStage(keras.layers.Dense(5), Gate(), 0.2)
    answer = stage(keras.layers.Masking()(x), normal(rng, 2, 1))
    np.testing.assert_array_equal(
        answer._keras_mask, [[True, False, False], [True, True, True]]
    )


def test_spline_ends_may_follow_other_coordinates(rng):
    x = normal(rng, 4, 4)
    c = np.float32([[-9.0], [-1.0], [2.5], [9.0]])
    layer = SplineFiLM(knots=3, ends=(-2.0, 3.0))
    layer(x, c)
    randomize(layer, rng)
    values = layer.kernel.numpy()
    scale, shift = np.split(
        np.stack(
            [
                [np.interp(v, [-2, 0.5, 3], values[:, j]) for j in range(8)]
                for v in c[:, 0]
            ]
        ),
        2,
        axis=1,
    )
    np.testing.assert_allclose(
        layer(x, c), (1 + scale) * x + shift, rtol=1e-4, atol=1e-5
    )
    with pytest.raises(InputError, match=r"ends\[0\] < ends\[1\].*ends=\(1"):
        SplineFiLM(ends=(1.0, 1.0))
