"""`yoto_tf.condition`: any functional or Sequential model with knobs.

Each case computes by hand, from the network's own layers, what the modulated
network has to answer.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from keras import ops

import yoto_tf
from yoto_tf import InputError

RNG = np.random.default_rng(0)
# The ends and the middle of log(miss): hats 0, 2 and 4 of five alone.
MISS = np.float32([0.1, 1.0, 10.0, 1.0, 0.1, 10.0])
KNOTS = np.array([0, 2, 4, 2, 0, 4])
NUM = len(MISS)


def normal(*shape):
    return RNG.normal(size=(NUM, *shape)).astype("float32")


@keras.saving.register_keras_serializable("tests")
def energy(x, y, outputs, loss_parameters):
    return sum(
        ops.mean(ops.square(t), tuple(range(1, len(t.shape))))
        for t in tf.nest.flatten(outputs)
    )


def conditioned(net, **kwargs):
    return yoto_tf.condition(
        net,
        terms={"miss": energy},
        loss_parameters={"miss": yoto_tf.LogUniform(0.1, 10.0)},
        **kwargs,
    )


def modulated(model):
    """Changes the modulation by hand; returns it as a function."""
    kernels = {}
    for name, layer in zip(model.sites, model.conditioning_layers, strict=True):
        kernels[name] = RNG.normal(size=layer.kernel.shape) * 0.3
        layer.kernel.assign(kernels[name])

    def modulate(name, features):
        scale, shift = np.split(kernels.pop(name)[KNOTS], 2, axis=-1)
        spread = (NUM, *(1,) * (len(features.shape) - 2), features.shape[-1])
        scale, shift = (
            np.reshape(v, spread).astype("float32") for v in (scale, shift)
        )
        return features * (1 + scale) + shift

    modulate.left = kernels
    return modulate


def sequential(*stack):
    """A Sequential model, and how it is run by hand."""
    net = keras.Sequential(stack)

    def by_hand(x, modulate):
        for layer in net.layers:
            x = layer(x)
            if layer.name in modulate.left:
                x = modulate(layer.name, x)
        return x

    return net, by_hand


def dense():
    return *sequential(
        keras.Input((5,)),
        layers.Dense(4, "relu", name="a"),
        layers.Dense(3, name="b"),
        layers.ReLU(),
        layers.Dense(2, name="c"),
    ), (normal(5), ["a", "b", "c"])


def conv_1d():
    return *sequential(
        keras.Input((8, 3)),
        layers.Conv1D(4, 3, name="a"),
        layers.LayerNormalization(name="norm"),
        layers.ReLU(),
        layers.GlobalAveragePooling1D(),
        layers.Dense(2, name="b"),
    ), (normal(8, 3), ["norm", "b"])


def conv_2d():
    # Wide enough for the rows of `modulate`.
    return *sequential(
        keras.Input((18, 18, 3)),
        layers.Conv2D(4, 3, use_bias=False, name="a"),
        layers.BatchNormalization(name="norm"),
        layers.ReLU(),
        layers.DepthwiseConv2D(3, name="b"),
        layers.Conv2DTranspose(2, 3, name="c"),
    ), (normal(18, 18, 3), ["norm", "b", "c"])


def conv_3d():
    return *sequential(
        keras.Input((4, 4, 4, 2)),
        layers.Conv3D(3, 2, name="a"),
        layers.Flatten(),
        layers.Dense(2, name="b"),
    ), (normal(4, 4, 4, 2), ["a", "b"])


def recurrent():
    return *sequential(
        keras.Input((4, 3)),
        layers.LSTM(4, return_sequences=True, name="a"),
        layers.Bidirectional(layers.GRU(2, return_sequences=True), name="both"),
        layers.GRU(3, name="b"),
    ), (normal(4, 3), ["a", "both", "b"])


def state_beside_the_sequence():
    inputs = keras.Input((4, 3))
    lstm = layers.LSTM(2, return_sequences=True, return_state=True, name="a")
    sequence, _, cell = lstm(inputs)
    net = keras.Model(inputs, {"sequence": sequence, "cell": cell})

    def by_hand(x, modulate):
        sequence, _, cell = lstm(x)
        return {"sequence": modulate("a", sequence), "cell": cell}

    return net, by_hand, (normal(4, 3), ["a"])


def attention():
    inputs = keras.Input((4, 3))
    mha = layers.MultiHeadAttention(2, 3, name="a")
    head = layers.Dense(2, name="b")
    net = keras.Model(inputs, head(layers.Add()([inputs, mha(inputs, inputs)])))

    def by_hand(x, modulate):
        return modulate("b", head(x + modulate("a", mha(x, x))))

    return net, by_hand, (normal(4, 3), ["a", "b"])


def masked():
    net, by_hand = sequential(
        keras.Input((4,), dtype="int32"),
        layers.Embedding(7, 3, mask_zero=True, name="a"),
        layers.LSTM(2, name="b"),
    )

    def with_mask(x, modulate):
        embedded, lstm = net.layers
        features = modulate("a", embedded(x))
        return modulate("b", lstm(features, mask=ops.not_equal(x, 0)))

    words = np.random.default_rng(0).integers(0, 4, (NUM, 4), "int32")
    return net, with_mask, (words, ["a", "b"])


def shared():
    inputs = keras.Input((3,))
    layer = layers.Dense(3, name="a")
    twins = layer(inputs), layer(-inputs)
    net = keras.Model(inputs, layer(layers.Add()([twins[0], 2 * twins[1]])))

    def by_hand(x, modulate):
        # In the order in which Keras calls them.
        first, second = modulate("a", layer(x)), modulate("a:2", layer(-x))
        return modulate("a:3", layer(first + 2 * second))

    return net, by_hand, (normal(3), ["a", "a:2", "a:3"])


def nested():
    x = keras.Input((3,))
    deep = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="a")])
    inner = keras.Model(x, deep(layers.Dense(4, "relu", name="a")(x)))
    inner.name, deep.name = "inner", "deep"
    first, second = keras.Input((3,)), keras.Input((3,))
    top = layers.Dense(2, name="top")
    net = keras.Model([first, second], top(inner(first) * inner(second)))

    def by_hand(x, modulate):
        def run(x, call):
            hidden = modulate(f"{call}/a", inner.get_layer("a")(x))
            return modulate(f"{call}/deep/a", deep.get_layer("a")(hidden))

        return modulate("top", top(run(x[0], "inner") * run(x[1], "inner:2")))

    sites = ["inner/a", "inner/deep/a", "inner:2/a", "inner:2/deep/a", "top"]
    return net, by_hand, ([normal(3), normal(3)], sites)


def lists():
    first, second = keras.Input((3,)), keras.Input((4, 2))
    a, b = layers.Dense(2, name="a"), layers.Conv1D(2, 1, name="b")
    net = keras.Model([first, second], [a(first), b(second)])

    def by_hand(x, modulate):
        return [modulate("a", a(x[0])), modulate("b", b(x[1]))]

    return net, by_hand, ([normal(3), normal(4, 2)], ["a", "b"])


def dicts():
    left, right = (
        keras.Input((3,), name="left"),
        keras.Input((3,), name="right"),
    )
    a = layers.Dense(2, name="a")
    made = a(left)
    net = keras.Model(
        {"left": left, "right": right},
        {"sum": made + a(right), "probability": ops.sigmoid(made)},
    )

    def by_hand(x, modulate):
        made = modulate("a", a(x["left"]))
        other = modulate("a:2", a(x["right"]))
        return {"sum": made + other, "probability": ops.sigmoid(made)}

    x = {"left": normal(3), "right": normal(3)}
    return net, by_hand, (x, ["a", "a:2"])


def operations():
    inputs = keras.Input((3,))
    a = layers.Dense(4, name="a")
    scaled = ops.softmax(ops.tanh(a(ops.square(inputs))) * 2)
    net = keras.Model(inputs, ops.concatenate([1 - scaled, scaled], -1))

    def by_hand(x, modulate):
        scaled = ops.softmax(ops.tanh(modulate("a", a(ops.square(x)))) * 2)
        return ops.concatenate([1 - scaled, scaled], -1)

    return net, by_hand, (normal(3), ["a"])


CASES = [
    dense,
    conv_1d,
    conv_2d,
    conv_3d,
    recurrent,
    state_beside_the_sequence,
    attention,
    masked,
    shared,
    nested,
    lists,
    dicts,
    operations,
]


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.__name__)
def test_a_network_is_itself_at_the_start_and_then_as_by_hand(case):
    net, by_hand, (x, sites) = case()
    model = conditioned(net)
    assert sorted(model.sites) == sorted(sites)

    tf.nest.map_structure(
        np.testing.assert_array_equal, model(x, {"miss": MISS}), net(x)
    )

    # A gradient reaches every conditioning layer.
    with tf.GradientTape() as tape:
        terms = model.loss_terms(x, None, model(x, {"miss": MISS}), {})
    kernels = [layer.kernel.value for layer in model.conditioning_layers]
    for gradient in tape.gradient(terms["miss"], kernels):
        assert np.abs(gradient).max() > 1e-9

    modulate = modulated(model)
    expected = by_hand(x, modulate)
    assert not modulate.left
    tf.nest.map_structure(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
        model(x, {"miss": MISS}),
        expected,
    )


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.__name__)
def test_a_file_keeps_every_site_in_its_place(case, tmp_path):
    net, _, (x, _) = case()
    model = conditioned(net)
    modulated(model)
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    assert loaded.sites == model.sites
    tf.nest.map_structure(
        np.testing.assert_array_equal,
        loaded(x, {"miss": MISS}),
        model(x, {"miss": MISS}),
    )
    # Operations without names of their own have other numbers.
    configs = loaded.get_config(), model.get_config()
    places = [config.pop("places") for config in configs]
    assert len(places[0]) == len(places[1])
    assert configs[0] == configs[1]


def test_training_reaches_the_layers_and_frozen_statistics_stay():
    def made():
        keras.utils.set_random_seed(0)
        x = keras.Input((3,))
        inner = keras.Sequential(
            [keras.Input((3,)), layers.BatchNormalization(name="frozen")]
        )
        inner.trainable = False
        stack = [inner, layers.Dense(4), layers.BatchNormalization(name="norm")]
        hidden = x
        for layer in [*stack, layers.Dropout(0.5, seed=3)]:
            hidden = layer(hidden)
        return keras.Model(x, layers.Dense(2)(hidden)), inner

    x = normal(3) + 5
    net, inner = made()
    model = conditioned(net)
    other, other_inner = made()
    found = model(x, {"miss": MISS}, training=True)
    np.testing.assert_array_equal(found, other(x, training=True))
    assert not np.array_equal(found, model(x, {"miss": MISS}))
    moved = net.get_layer("norm").moving_mean
    np.testing.assert_array_equal(moved, other.get_layer("norm").moving_mean)
    assert np.abs(moved).max() > 0.001
    frozen = inner.get_layer("frozen").moving_mean
    np.testing.assert_array_equal(frozen, np.zeros(3))


def test_only_the_conditioning_of_a_frozen_network_learns():
    net, _ = sequential(keras.Input((5,)), layers.Dense(3), layers.Dense(1))
    net.trainable = False
    before = net.get_weights()
    model = conditioned(net)
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    assert len(model.trainable_variables) == 2
    model.fit(normal(5), verbose=0)
    for a, b in zip(before, net.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert all(np.any(at.kernel) for at in model.conditioning_layers)


def test_weights_are_shared_or_copied():
    net, _ = sequential(keras.Input((5,)), layers.Dense(3, name="a"))
    net.get_layer("a").trainable = False
    shared, copied = conditioned(net), conditioned(net, copy=True)
    assert shared.net is net
    x = normal(5)
    before = net(x)
    net.get_layer("a").kernel.assign_add(np.ones((5, 3)))
    np.testing.assert_array_equal(shared(x), net(x))
    np.testing.assert_array_equal(copied(x), before)
    assert not copied.net.get_layer("a").trainable


def test_losses_of_layers_are_the_networks():
    def made():
        keras.utils.set_random_seed(1)
        inner = keras.Sequential(
            [
                keras.Input((5,)),
                layers.Dense(3, kernel_regularizer="l2"),
                layers.ActivityRegularization(l2=0.3),
            ]
        )
        x = keras.Input((5,))
        return keras.Model(x, layers.Dense(1)(inner(x)))

    x, net = normal(5), made()
    model = conditioned(net)
    model(x)
    other = made()
    other(x)
    assert len(model.losses) == 2
    np.testing.assert_allclose(sum(model.losses), sum(other.losses), rtol=1e-6)


def test_what_conditioning_costs_is_told():
    net, _ = sequential(
        keras.Input((5,)),
        layers.Dense(4, "relu", name="a"),
        layers.Dense(2, name="b"),
    )
    model = conditioned(net)
    # Five knots, scale and shift.
    added, before = 5 * 2 * (4 + 2), 5 * 4 + 4 + 4 * 2 + 2
    assert model.conditioning_cost() == {
        "sites": 2,
        "parameters": added,
        "net_parameters": before,
        "share": added / before,
    }
    assert model.count_params() == added + before
    lines = []
    model.summary(print_fn=lines.append)
    assert "condition_a (SplineFiLM)" in lines[0]


def test_splines_cover_the_coordinates_of_all_parameters():
    net, _ = sequential(keras.Input((2,)), layers.Dense(2, name="a"))
    model = yoto_tf.condition(
        net, {"a": "mse", "b": "mae"}, yoto_tf.Dirichlet({"a": 0.5, "b": 4.0})
    )
    (layer,) = model.conditioning_layers
    assert layer.ends == model.loss_parameters.coordinate_ends
    assert layer.kernel.shape == (2 * 5, 2 * 2)


def test_any_layer_that_starts_as_the_identity_conditions():
    net, _ = sequential(keras.Input((2,)), layers.Dense(2, name="a"))
    film = yoto_tf.layers.FiLM(3, strength=0.5)
    for given in (
        film,
        lambda: yoto_tf.layers.FiLM(3, strength=0.5),
        keras.saving.serialize_keras_object(film),
    ):
        model = conditioned(net, conditioning=given)
        (layer,) = model.conditioning_layers
        assert layer is not film
        assert (layer.hidden_units, layer.strength) == (3, 0.5)
        np.testing.assert_array_equal(model(np.eye(2)), net(np.eye(2)))
    for other in ("Gate", "SigmoidFiLM", "Concatenation"):
        with pytest.raises(InputError, match=f"identity.*received: {other}"):
            conditioned(net, conditioning=getattr(yoto_tf.layers, other))
    with pytest.raises(InputError, match="conditioning layer.*3"):
        conditioned(net, conditioning=3)


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize`")
def test_a_quantized_file_can_be_loaded_or_is_refused(tmp_path):
    net, _ = sequential(keras.Input((2,)), layers.Dense(3, name="a"))
    model = conditioned(net)
    modulated(model)
    x = normal(2)
    before = model(x, {"miss": MISS})
    model.quantize("int8")
    after = np.asarray(model(x, {"miss": MISS}))
    assert 0 < np.abs(after - before).max() < 0.1
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x, {"miss": MISS}), after)

    # Its Dense layers are made by itself, and so without a dtype policy.
    model = conditioned(net, conditioning=yoto_tf.layers.FiLM)
    model(x, {"miss": MISS})
    model.quantize("int8", filters="hidden")
    with pytest.raises(InputError, match="received:.*condition_a.*hidden"):
        model.save(tmp_path / "film.keras")
    assert not (tmp_path / "film.keras").exists()
