"""The fused Adam against Keras' own, and the schedules."""

import keras
import numpy as np
import pytest

from training.optimizers import make_optimizer
from yoto_tf.config import OptimizerConfig
from yoto_tf.optimizers import FusedAdam


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


@pytest.mark.parametrize(
    "arguments",
    [
        {"learning_rate": 1e-2},
        {"learning_rate": 1e-2, "weight_decay": 0.1, "epsilon": 1e-3},
        {
            "learning_rate": keras.optimizers.schedules.CosineDecay(1e-2, 80),
            "global_clipnorm": 0.1,
            "beta_1": 0.5,
        },
    ],
)
def test_fused_adam_takes_the_steps_of_keras_adam(arguments):
    ours = _trained(FusedAdam, **arguments)
    theirs = _trained(keras.optimizers.Adam, **arguments)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_fused_adam_refuses_amsgrad():
    with pytest.raises(ValueError, match="expected amsgrad=False"):
        FusedAdam(amsgrad=True)


def test_the_optimizer_has_the_settings_of_the_configuration():
    config = OptimizerConfig(
        beta_2=0.9, epsilon=1e-3, clip_norm=5.0, weight_decay=0.1
    )
    optimizer = make_optimizer(config, 10)
    assert optimizer.beta_2 == 0.9
    assert optimizer.epsilon == 1e-3
    assert optimizer.global_clipnorm == 5.0
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
