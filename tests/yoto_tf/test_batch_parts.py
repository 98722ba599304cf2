"""A batch in parts trains as a whole one: the same draws, sums and weights."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops
from own_model import TCVAE

from yoto_tf import ConditionalVAE
from yoto_tf import InputError
from yoto_tf import LogUniform
from yoto_tf import LossConditionalModel
from yoto_tf import ModelConfig
from yoto_tf import ObjectiveConfig
from yoto_tf import condition
from yoto_tf.method import batch_parts
from yoto_tf.method import replicas

NUMBERS = np.random.default_rng(0)
IMAGES = NUMBERS.integers(0, 256, (24, 32, 32, 3), dtype=np.uint8)
ROWS = NUMBERS.normal(size=(31, 3))


class Net(LossConditionalModel):
    """Two layers with a regularizer, and noise of its own."""

    def __init__(self, **options):
        super().__init__(
            {"size": LogUniform(0.01, 1.0)}, seed=1, dtype="float64", **options
        )
        start = keras.initializers.RandomNormal(stddev=0.4, seed=3)
        self.hidden = keras.layers.Dense(
            5,
            "tanh",
            kernel_initializer=start,
            kernel_regularizer=keras.regularizers.L2(0.1),
            dtype="float64",
        )
        self.last = keras.layers.Dense(
            1, kernel_initializer=start, dtype="float64"
        )

    def call(self, x, loss_parameters, training=False):
        x = ops.cast(x, "float64")
        if training:
            x += replicas.own_rows(
                lambda n: keras.random.normal(
                    (n, 3), seed=self.draw_seed, dtype="float64"
                ),
                ops.shape(x)[0],
            )
        told = ops.cast(self.coordinates(loss_parameters), "float64")
        return self.last(self.hidden(ops.concatenate([x, told], -1)))[:, 0]

    def loss_terms(self, x, y, outputs, loss_parameters):
        return {"error": ops.square(outputs - y), "size": ops.abs(outputs)}


def trained(num_parts, make=Net, options=None, **given):
    """Weights and losses after three epochs of 12, 12 and 7 examples."""
    keras.utils.set_random_seed(0)
    model = make(**(options or {}))
    model.compile(
        keras.optimizers.SGD(0.05, global_clipnorm=0.5),
        batch_parts=num_parts,
        **given,
    )
    weights = np.linspace(0.5, 2, 31)
    history = model.fit(
        ROWS, ROWS[:, 0], 12, 3, sample_weight=weights, verbose=0
    )
    return model.get_weights(), history.history


@pytest.mark.slow
@pytest.mark.parametrize(
    "given",
    [{}, {"run_eagerly": True}, {"steps_per_execution": 3}],
    ids=str,
)
def test_parts_train_as_the_whole(given):
    whole, losses = trained(1, **given)
    parts, same = trained(5, **given)
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-12)
    assert set(losses) == set(same)
    for name, values in losses.items():
        np.testing.assert_allclose(values, same[name], rtol=1e-6)


def embedded(num_parts, optimizer):
    keras.utils.set_random_seed(0)
    net = keras.Sequential(
        [
            keras.Input((6,), dtype="int32"),
            keras.layers.Embedding(9, 3),
            keras.layers.Flatten(),
            keras.layers.Dense(2, activity_regularizer="l2"),
        ]
    )
    model = condition(
        net,
        {"mse": "mse", "mae": "mae"},
        {"mae": LogUniform(0.1, 10.0)},
        seed=0,
    )
    model.compile(optimizer, batch_parts=num_parts)
    x = np.random.default_rng(0).integers(0, 9, (7, 6))
    model.fit(x, np.cos(x[:, :2]), 7, 6, shuffle=False, verbose=0)
    return model.get_weights()


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_tables_and_regularizers_of_unequal_parts_train_as_the_whole(optimizer):
    """Rows of a table come several times in a batch; parts have 3 and 4."""
    whole, parts = (embedded(n, optimizer) for n in (1, 2))
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=2e-5)


def vae_after_two_steps(num_parts, made=ConditionalVAE, **objective):
    keras.utils.set_random_seed(0)
    config = ModelConfig(
        latent_size=4, base_channels=2, convs_per_block=1, dense_units=8
    )
    model = made(
        (32, 32, 3),
        config,
        objective=ObjectiveConfig(**objective),
        seed=0,
        dtype="float64",
    )
    model.compile(keras.optimizers.SGD(1e-4), batch_parts=num_parts)
    model.fit(IMAGES, batch_size=12, shuffle=False, verbose=0)
    return model.get_weights()


@pytest.mark.slow
def test_a_vae_in_parts_has_the_noise_of_the_whole():
    whole, parts = (vae_after_two_steps(n) for n in (1, 2))
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-10)


@pytest.mark.slow
def test_groups_stay_together():
    """Total correlation looks at all examples of its group."""
    whole, parts = (vae_after_two_steps(n, TCVAE, group_size=4) for n in (1, 2))
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-10)


@pytest.mark.parametrize("dynamic", [False, True])
def test_parts_are_whole_groups_in_their_order(dynamic):
    seen = []

    def function(rows, total):
        seen.append(tf.shape(rows["a"])[0])
        assert dynamic or total == 14
        return rows["a"], [tf.reduce_sum(rows["a"]), None, None]

    def run(a):
        num = tf.shape(a)[0] if dynamic else len(a)
        rows, (total, *none) = batch_parts.computed(
            function, {"a": a, "b": None}, num, 3, 2
        )
        assert none == [None, None]
        return rows, total, tf.stack(seen)

    if dynamic:
        run = tf.function(run, input_signature=[tf.TensorSpec([None])])
    rows, total, sizes = run(tf.range(14.0))
    assert rows.numpy().tolist() == list(range(14))
    assert total == 91
    assert sizes.numpy().tolist() == [4, 4, 6]


def test_a_draw_is_made_once_for_all_parts():
    drawn = []

    def draw(num):
        drawn.append(num)
        return {"a": tf.range(num) + 10 * len(drawn)}

    def function(rows, total):
        both = [replicas.own_rows(draw, len(rows))["a"] for _ in range(2)]
        return tf.stack(both, -1), []

    values, _ = batch_parts.computed(function, tf.zeros(5), 5, 2)
    assert values.numpy().tolist() == [[10 + i, 20 + i] for i in range(5)]
    assert drawn == [5, 5]


@pytest.mark.parametrize(
    ("num_parts", "options", "given", "said"),
    [
        (0, {}, {}, "batch_parts of 1 or more, received: batch_parts=0"),
        (1.5, {}, {}, "batch_parts as a whole number.*batch_parts=1.5"),
        (True, {}, {}, "batch_parts as a whole number.*batch_parts=True"),
        (2, {"group_size": None}, {}, "batch_parts=1 for group_size=None"),
        (2, {}, {"jit_compile": True}, "batch_parts=1 with jit_compile=True"),
        (
            9,
            {},
            {},
            "9 examples or more for batch_parts=9.*batch of 7",
        ),
    ],
)
def test_what_cannot_be_done_in_parts_is_refused(
    num_parts, options, given, said
):
    with pytest.raises(InputError, match=said):
        trained(num_parts, options=options, **given)


def test_parts_are_of_the_process_and_not_of_the_model():
    model = Net()
    model.compile("sgd", batch_parts=2)
    assert model.batch_parts == 2
    assert "batch_parts" not in model.get_compile_config()
    model.batch_parts = 3
    assert model.batch_parts == 3
    with pytest.raises(InputError, match="batch_parts=0"):
        model.batch_parts = 0
    model.compile("sgd")
    assert model.batch_parts == 1
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        Net().compile("sgd", batch_parts=2)
