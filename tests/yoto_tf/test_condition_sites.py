"""Where a network is conditioned, and what is refused."""

import collections
import pathlib
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from keras import ops

import yoto_tf
from yoto_tf import InputError
from yoto_tf.method import sites as choosing


def condition(net, **kwargs):
    terms = {"mse": "mse", "mae": "mae"}
    loss_parameters = {"mae": yoto_tf.LogUniform(0.1, 10.0)}
    return yoto_tf.condition(
        net, **{"terms": terms, "loss_parameters": loss_parameters, **kwargs}
    )


def mlp(*stack):
    return keras.Sequential([keras.Input((4,)), *stack])


def two():
    return mlp(layers.Dense(3, name="a"), layers.Dense(2, name="b"))


Pair = collections.namedtuple("Pair", "first second")


class Several(layers.Layer):
    """A layer of one's own with two outputs, in a structure of one's own."""

    def __init__(self, pack, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(3)
        self.pack = pack

    def call(self, x):
        return self.pack(self.dense(x), x)


def _of_several(pack, unpack):
    x = keras.Input((4,))
    outputs = Several(pack, name="several")(x)
    return keras.Model(x, layers.Dense(2, name="last")(unpack(outputs)))


def test_a_layer_that_returns_a_dict_is_no_site():
    net = _of_several(
        lambda a, b: {"b": b, "a": a},
        lambda outputs: ops.concatenate([outputs["a"], outputs["b"]], -1),
    )
    assert condition(net).sites == ["last"]
    with pytest.raises(InputError, match=r"expected sites=.*'several'"):
        condition(net, sites=["several"])


def test_of_a_namedtuple_the_first_is_conditioned():
    net = _of_several(
        Pair,
        lambda outputs: ops.concatenate([outputs.first, outputs.second], -1),
    )
    model = condition(net)
    assert model.sites == ["several", "last"]
    for layer in model.conditioning_layers:
        layer.set_weights([w + 0.5 for w in layer.get_weights()])
    x = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    several, last = net.get_layer("several"), net.get_layer("last")
    told = model.coordinates({"mae": tf.fill([5], 2.0)})
    first, second = model.conditioning_layers
    both = tf.concat([first(several.dense(x), told), x], -1)
    np.testing.assert_allclose(
        model(x, {"mae": 2.0}), second(last(both), told), rtol=1e-5
    )


def test_many_ways_through_a_graph_are_gone_once():
    """Each step doubles the ways from the softplus to the output."""
    x = keras.Input((4,))
    hidden = layers.Dense(4, "softplus", name="positive")(x)
    for _ in range(60):
        hidden = hidden + 0.1 * ops.sin(hidden)
    net = keras.Model(x, layers.Dense(2, name="last")(hidden))
    assert condition(net).sites == ["positive", "last"]
    assert condition(keras.Model(x, [hidden, net.output])).sites == ["last"]


class Squashed(layers.Layer):
    """A layer of one's own that has an activation."""

    def __init__(self, activation, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(2)
        self.activation = keras.activations.get(activation)

    def call(self, x):
        return self.activation(self.dense(x))


def _operation(function):
    x = keras.Input((4,))
    hidden = layers.Dense(2, name="logit")(x)
    return keras.Model(x, function(hidden))


# Networks that end with probabilities -> where they are conditioned.
_PROBABILITIES = {
    "a layer": (
        lambda: mlp(layers.Dense(2, name="logit"), layers.Softmax()),
        ["logit"],
    ),
    "an Activation": (
        lambda: mlp(
            layers.Dense(2, name="logit"),
            layers.Activation("sigmoid"),
            layers.Reshape((1, 2)),
        ),
        ["logit"],
    ),
    "an argument": (
        lambda: mlp(layers.Dense(3, name="a"), layers.Dense(2, "softmax")),
        ["a"],
    ),
    "an argument that is a layer": (
        lambda: mlp(
            layers.Dense(3, name="a"),
            layers.Dense(2, activation=layers.Softmax()),
        ),
        ["a"],
    ),
    "within a wrapper": (
        lambda: mlp(
            layers.Reshape((2, 2)),
            layers.TimeDistributed(layers.Dense(3), name="a"),
            layers.TimeDistributed(layers.Dense(3, "sigmoid")),
        ),
        ["a"],
    ),
    "a layer of one's own": (
        lambda: mlp(Squashed("relu", name="a"), Squashed("sigmoid")),
        ["a"],
    ),
    "an operation": (
        lambda: _operation(lambda h: 1 - ops.sigmoid(h)),
        ["logit"],
    ),
    "an activation's function": (
        lambda: _operation(keras.activations.log_softmax),
        ["logit"],
    ),
    # One that is a gate is not the last: new features follow.
    "a gate": (
        lambda: mlp(
            layers.Dense(3, "sigmoid", name="gate"),
            layers.Dense(2, name="logit"),
        ),
        ["logit"],
    ),
}


@pytest.mark.parametrize("kind", _PROBABILITIES)
def test_no_probability_is_conditioned(kind):
    make, expected = _PROBABILITIES[kind]
    net = make()
    assert condition(net).sites == expected
    assert condition(net, sites=lambda layer: True).sites[-1] == expected[-1]
    last = net.layers[-1].name if kind != "a gate" else "gate"
    if "operation" not in kind and "function" not in kind:
        with pytest.raises(InputError, match=f"sigmoid or softmax.*{last!r}"):
            condition(net, sites=[last])


def test_a_network_whose_only_layer_is_a_probability_is_refused():
    with pytest.raises(InputError, match="one or more layers.*Activation"):
        condition(mlp(layers.Dense(1, "sigmoid")))


def test_a_product_with_a_gate_is_conditioned():
    x = keras.Input((4,))
    gate = layers.Dense(4, "sigmoid")(x)
    net = keras.Model(x, layers.Multiply(name="gated")([x, gate]))
    assert condition(net, sites=["gated"]).sites == ["gated"]


def test_sites_are_chosen_by_name_or_predicate():
    x = keras.Input((4,))
    a = layers.Dense(4, name="a")
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="a")])
    inner.name = "inner"
    hidden = layers.BatchNormalization(name="norm")(a(ops.relu(inner(a(x)))))
    net = keras.Model(x, hidden + 1)

    def of(sites):
        return condition(net, sites=sites).sites

    assert of(None) == ["a:1", "inner/a", "norm"]
    # Exactly there, at every call or at one.
    assert of(["a"]) == of(["a:1", "a:2"]) == ["a", "a:2"]
    assert of(["a:1"]) == ["a:1"]
    assert of(["inner:1/a", "a:2"]) == ["inner/a", "a:2"]
    assert of(["norm", "a:2"]) == ["a:2", "norm"]
    assert of(["inner/a", "inner/a"]) == ["inner/a"]
    assert of(lambda layer: layer is a) == ["a", "a:2"]
    assert of(lambda layer: isinstance(layer, layers.BatchNormalization)) == [
        "norm"
    ]
    operation = next(o.name for o in net.operations if "relu" in o.name)
    assert of([operation]) == [operation]


def shared_behind_a_normalization():
    x = keras.Input((4,))
    shared = layers.Dense(4, name="d")
    hidden = layers.BatchNormalization(name="norm")(shared(ops.relu(shared(x))))
    return keras.Model(x, layers.Dense(1, name="o")(hidden))


def shared_encoder():
    x = keras.Input((4,))
    inner = keras.Input((4,))
    encoder = keras.Model(inner, layers.Dense(4, name="d")(inner), name="enc")
    second = layers.BatchNormalization(name="norm")(encoder(x * 2))
    return keras.Model(x, layers.Dense(1, name="o")(encoder(x) + second))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (shared_behind_a_normalization, ["d:1", "norm", "o"]),
        (shared_encoder, ["norm", "enc:1/d:1", "o"]),
    ],
)
def test_a_model_that_is_made_again_has_its_sites(make, expected, tmp_path):
    """Some of a shared layer's calls have one, and others have none."""
    model = condition(make())
    assert sorted(model.sites) == sorted(expected)
    model.compile("adam")
    x = np.random.default_rng(0).normal(size=(16, 4)).astype("float32")
    model.fit(x, x[:, :1], verbose=0)
    assert keras.models.clone_model(model).sites == model.sites
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.sites == model.sites
    asked = {next(iter(model.loss_parameters.names)): 0.7}
    np.testing.assert_array_equal(
        again.predict(x, loss_parameters=asked, verbose=0),
        model.predict(x, loss_parameters=asked, verbose=0),
    )


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: layers.Dense(1, "softplus", name="b"), ["a"]),
        (lambda: layers.Dense(1, tf.nn.relu, name="b"), ["a"]),
        (lambda: layers.Dense(1, tf.math.exp, name="b"), ["a"]),
        (lambda: layers.Dense(1, "exponential", name="b"), ["a"]),
        (lambda: layers.Dense(1, layers.ReLU(), name="b"), ["a"]),
        (lambda: layers.GRU(2, name="b"), ["a", "b"]),
    ],
)
def test_an_output_stays_in_its_range(make, expected):
    """A rate that a softplus keeps above 0, for a Poisson term."""
    x = keras.Input((3, 4))
    hidden = layers.Dense(3, "relu", name="a")(x)
    net = keras.Model(x, layers.Dropout(0.1)(make()(hidden)))
    assert condition(net).sites == expected
    chosen = condition(net, sites=lambda o: isinstance(o, layers.Layer)).sites
    assert ("b" in chosen) == ("b" in expected)
    # Who says so has it.
    assert condition(net, sites=["b"]).sites == ["b"]


def test_probabilities_are_found_under_other_names():
    for activation in (tf.nn.softmax, tf.nn.log_softmax, tf.nn.sigmoid):
        net = mlp(layers.Dense(4, name="a"), layers.Dense(3, activation))
        assert condition(net).sites == ["a"]
    inner = keras.Sequential(
        [keras.Input((4,)), layers.Dense(4), layers.Dense(3, "softmax")]
    )
    x = keras.Input((2, 4))
    hidden = layers.Dense(4, name="a")(x)
    each = layers.TimeDistributed(inner, name="each")(hidden)
    net = keras.Model(x, each)
    assert condition(net).sites == ["a"]
    with pytest.raises(InputError, match="sigmoid or softmax.*'each'"):
        condition(net, sites=["each"])


def test_a_layer_before_a_normalization_that_others_read_keeps_its_site():
    x = keras.Input((4,))
    made = layers.Dense(3, name="a")(x)
    normal = layers.BatchNormalization(name="norm")(made)
    for outputs in ([normal, made], normal + made):
        assert condition(keras.Model(x, outputs)).sites == ["a"]


@pytest.mark.parametrize(
    ("sites", "sentence"),
    [
        (["c"], r"sites among \['a', 'b'\], received: 'c'"),
        ("a", "list of names or a predicate, received: sites='a'"),
        (5, "list of names or a predicate, received: sites=5"),
        ([5], r"list of names or a predicate, received: sites=\[5\]"),
        (["a:2"], r"sites among \['a', 'b'\], received: 'a:2'"),
        ([], "one or more layers"),
        (lambda layer: False, "one or more layers"),
    ],
)
def test_unknown_sites_are_refused(sites, sentence):
    with pytest.raises(InputError, match=sentence):
        condition(two(), sites=sites)


def _subclassed():
    class Mine(keras.Model):
        def call(self, x):
            return x

    return Mine()


def _functional_with_a_call():
    class Mine(keras.Model):
        def call(self, x):
            return super().call(x) + 1

    x = keras.Input((4,))
    return Mine(x, layers.Dense(2)(x))


def _turned():
    x = keras.Input((4, 3))
    turned = ops.transpose(x, (1, 0, 2))
    return keras.Model(x, ops.transpose(layers.Dense(2)(turned), (1, 0, 2)))


def _flattened():
    x = keras.Input((4, 3))
    rows = layers.Dense(2)(ops.reshape(x, (-1, 3)))
    return keras.Model(x, ops.reshape(rows, (-1, 4, 2)))


def _channels_first():
    stack = [layers.Conv2D(2, 3, data_format="channels_first")]
    return keras.Sequential([keras.Input((3, 8, 8)), *stack])


def _stateful(wrap=lambda layer: layer):
    return keras.Sequential(
        [
            keras.Input((4, 3), batch_size=2),
            wrap(layers.LSTM(2, stateful=True)),
        ]
    )


def _integers():
    x = keras.Input((4,))
    return keras.Model(x, layers.Discretization([0.0])(x))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: layers.Dense(2), "functional or Sequential.*Dense"),
        (
            lambda: keras.Sequential([layers.Dense(2)]),
            r"knows its inputs.*keras.Input\(shape\)",
        ),
        (
            _subclassed,
            r"LossConditionalModel with call\(x, loss_parameters\).*Mine",
        ),
        (_functional_with_a_call, r"call\(x, loss_parameters\).*Mine"),
        (_turned, "examples on axis 0.*dense"),
        (_flattened, "examples on axis 0.*dense"),
        (_channels_first, "channels_last.*conv2d"),
        (_stateful, "stateful=False.*lstm"),
        (lambda: _stateful(layers.Bidirectional), "stateful=False.*bidirec"),
        (lambda: mlp(layers.ReLU()), "one or more layers"),
        (_integers, "one or more layers"),
    ],
)
def test_networks_that_cannot_be_conditioned_are_refused(make, sentence):
    with pytest.raises(InputError, match=sentence):
        condition(make())


def test_a_layer_with_other_axes_may_be_left_out():
    net = _turned()
    x = net.inputs[0]
    net = keras.Model(x, layers.Dense(2, name="head")(net(x)))
    model = condition(net, sites=["head"])
    assert model(np.ones((5, 4, 3), "float32")).shape == (5, 4, 2)


@pytest.mark.parametrize("batch_size", [None, 3])
def test_a_fixed_number_of_examples_is_one(batch_size):
    x = keras.Input((4,), batch_size=batch_size)
    net = keras.Model(x, layers.Dense(2, name="a")(x))
    assert list(choosing.choose(net)[0]) == ["a"]


def test_the_walk_that_is_private_to_keras_stands_in_one_file():
    package = pathlib.Path(yoto_tf.__file__).parent
    private = re.compile(r"keras\.src\.(models|ops|backend)|_run_through_graph")
    found = [f for f in package.rglob("*.py") if private.search(f.read_text())]
    assert [f.name for f in found] == ["graph.py"]


def test_loss_parameters_need_a_range():
    with pytest.raises(InputError, match="with a range.*3.0"):
        condition(two(), loss_parameters={"mae": 3.0})
    with pytest.raises(InputError, match="LossParameter or a number"):
        condition(two(), loss_parameters={"mae": "high"})
