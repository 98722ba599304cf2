"""The fused Adam against Keras' own, and the schedules."""

import keras
import numpy as np
import pytest

from training.optimizers import make_optimizer
from yoto_tf.optimizers import FusedAdam
from yoto_tf.settings import OptimizerConfig


def _trained(optimizer_class, **arguments):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 5)).astype("float32")
    y = x @ rng.normal(size=(5, 2)).astype("float32")
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((5,)),
            keras.layers.Dense(7, "tanh"),
            keras.layers.Dense(2),
        ]
    )
    model.compile(optimizer_class(**arguments), "mse", jit_compile=False)
    model.fit(x, y, batch_size=16, epochs=20, shuffle=False, verbose=0)
    return model.get_weights()


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        {"learning_rate": 1e-2, "weight_decay": 0.1},
        {
            "learning_rate": keras.optimizers.schedules.CosineDecay(1e-2, 80),
            "global_clipnorm": 0.1,
            "beta_1": 0.5,
            "epsilon": 1e-3,
        },
    ],
)
def test_fused_adam_takes_the_steps_of_keras_adam(arguments):
    ours = _trained(FusedAdam, **arguments)
    theirs = _trained(keras.optimizers.Adam, **arguments)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def _adam_in_numpy(gradients, ratio, rate=0.01, beta_1=0.9, beta_2=0.99):
    """Where variables that start at 0 go, step by step.

    Args:
        gradients: of each variable, `(steps, ...)`.
    """
    state = [[np.zeros(g.shape[1:])] * 3 for g in gradients]
    paths = [[] for _ in gradients]
    for step in range(len(gradients[0])):
        now = [g[step].astype("float64") for g in gradients]
        shares = [
            np.sqrt(v.sum() / (1 - beta_2**step)) / np.linalg.norm(g)
            for (_, _, v), g in zip(state, now, strict=True)
            if v.any() and g.any()
        ]
        factor = min([1.0, *(ratio * s for s in shares)]) if ratio else 1.0
        for i, g in enumerate(now):
            w, m, v = state[i]
            m = beta_1 * m + (1 - beta_1) * factor * g
            v = beta_2 * v + (1 - beta_2) * (factor * g) ** 2
            # Kingma & Ba, ICLR 2015, section 2: the faster form.
            correction = np.sqrt(1 - beta_2 ** (step + 1))
            correction /= 1 - beta_1 ** (step + 1)
            w = w - rate * correction * m / (np.sqrt(v) + 1e-12)
            state[i] = w, m, v
            paths[i].append(w)
    return paths


def _spiky_gradients():
    """Of two variables of unlike size and scale, a spike in each; the second
    has none at all for its first ten steps."""
    rng = np.random.default_rng(0)
    first = rng.normal(size=(60, 3, 2)) * 1e4
    second = rng.normal(size=(60, 5)) * 1e-6
    first[30] *= 1e5
    second[:10] = 0
    second[50] *= 30
    return first.astype("float32"), second.astype("float32")


@pytest.mark.parametrize("ratio", [None, 1.5, 5.0])
def test_a_step_is_clipped_at_a_ratio_of_each_variables_past(ratio):
    gradients = _spiky_gradients()
    variables = [keras.Variable(np.zeros_like(g[0])) for g in gradients]
    adam = FusedAdam(0.01, beta_2=0.99, epsilon=1e-12, clip_ratio=ratio)
    adam.build(variables)
    paths = [[], []]
    for pair in zip(*gradients, strict=True):
        adam.apply([keras.ops.convert_to_tensor(g) for g in pair])
        for path, variable in zip(paths, variables, strict=True):
            path.append(variable.numpy())
    expected = _adam_in_numpy(gradients, ratio)
    for received, path in zip(paths, expected, strict=True):
        np.testing.assert_allclose(received, path, rtol=1e-3, atol=1e-6)


def test_an_outlier_moves_the_weights_by_the_ratio_whatever_its_size():
    moved = {}
    for ratio in (None, 2.0):
        variable = keras.Variable(0.0)
        adam = FusedAdam(1e-3, beta_2=0.99, clip_ratio=ratio)
        adam.build([variable])
        for step in range(200):
            sign = 1.0 if step % 2 else -1.0
            adam.apply([keras.ops.convert_to_tensor(sign)])
        before = float(variable)
        adam.apply([keras.ops.convert_to_tensor(1e9)])
        for step in range(60):
            sign = 1.0 if step % 2 else -1.0
            adam.apply([keras.ops.convert_to_tensor(sign)])
        moved[ratio] = (before - float(variable)) / 1e-3
    # The momentum's sum is the gradient g; the root of the second moment is
    # sqrt(0.01) g without clipping, about that of before with it.
    assert moved[None] == pytest.approx(10, rel=0.1)
    assert moved[2.0] == pytest.approx(2, rel=0.1)


@pytest.mark.parametrize("ratio", [1.0, 0.0, -2.0])
def test_a_ratio_that_stops_training_is_refused(ratio):
    with pytest.raises(ValueError, match="clip_ratio above 1 or None"):
        FusedAdam(clip_ratio=ratio)


def test_fused_adam_refuses_amsgrad():
    with pytest.raises(ValueError, match="expected amsgrad=False"):
        FusedAdam(amsgrad=True)


def test_the_optimizer_has_the_settings_of_the_configuration():
    config = OptimizerConfig(
        beta_2=0.9,
        epsilon=1e-3,
        clip_norm=5.0,
        clip_ratio=7.0,
        weight_decay=0.1,
    )
    optimizer = make_optimizer(config, 10)
    assert optimizer.beta_2 == 0.9
    assert optimizer.epsilon == 1e-3
    assert optimizer.global_clipnorm == 5.0
    assert optimizer.clip_ratio == 7.0
    assert optimizer.weight_decay == 0.1


def _rate(config, step, total_steps=100):
    rate = make_optimizer(config, total_steps)._learning_rate
    return float(rate(step)) if callable(rate) else float(rate)


def test_the_cosine_rises_linearly_and_ends_at_zero():
    config = OptimizerConfig(
        learning_rate=2e-3, schedule="cosine", warmup_steps=20
    )
    assert _rate(config, 0) == 0
    assert _rate(config, 10) == pytest.approx(1e-3)
    assert _rate(config, 20) == pytest.approx(2e-3)
    assert _rate(config, 60) == pytest.approx(1e-3)
    assert _rate(config, 100) == pytest.approx(0, abs=1e-9)


def test_a_rise_leaves_half_of_a_short_run():
    config = OptimizerConfig(
        learning_rate=2e-3, schedule="wsd", warmup_steps=500
    )
    assert _rate(config, 25, 100) == pytest.approx(1e-3)
    assert _rate(config, 50, 100) == pytest.approx(2e-3)


def test_wsd_rises_stays_and_falls_linearly_to_zero():
    config = OptimizerConfig(
        learning_rate=2e-3, schedule="wsd", warmup_steps=20, decay_share=0.4
    )
    steps = [0, 10, 20, 60, 80, 100, 110]
    expected = [0, 1e-3, 2e-3, 2e-3, 1e-3, 0, 0]
    rates = [_rate(config, step) for step in steps]
    np.testing.assert_allclose(rates, expected, atol=1e-9)


def test_wsd_without_warmup_begins_at_the_full_rate():
    config = OptimizerConfig(learning_rate=2e-3, schedule="wsd")
    assert _rate(config, 0) == _rate(config, 50) == pytest.approx(2e-3)
    assert _rate(config, 75) == pytest.approx(1e-3)


def test_wsd_shorter_than_its_warmup_falls_from_where_it_meets():
    config = OptimizerConfig(
        learning_rate=2e-3, schedule="wsd", warmup_steps=150, decay_share=1.0
    )
    assert _rate(config, 60) == pytest.approx(2e-3 * 0.4)
    assert _rate(config, 100) == 0


def test_halving_follows_the_authors_steps():
    config = OptimizerConfig(
        learning_rate=1e-4, schedule="halving", halve_at=(600, 780)
    )
    assert _rate(config, 599) == pytest.approx(1e-4)
    assert _rate(config, 601) == pytest.approx(5e-5)
    assert _rate(config, 781) == pytest.approx(2.5e-5)


def test_constant_is_constant():
    config = OptimizerConfig(learning_rate=1e-4, schedule="constant")
    assert _rate(config, 1) == _rate(config, 10**6) == pytest.approx(1e-4)
