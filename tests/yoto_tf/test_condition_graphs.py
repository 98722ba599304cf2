"""Sites of layers with several outputs, and of networks that are made anew."""

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

import yoto_tf
from yoto_tf import InputError

X = np.random.default_rng(0).normal(size=(12, 5, 3)).astype("float32")
ROWS = X[:, 0]
TARGETS = ROWS[:, :1]


def condition(net, **kwargs):
    return yoto_tf.condition(
        net,
        {"mse": "mse", "mae": "mae"},
        {"mae": yoto_tf.LogUniform(0.1, 10.0)},
        **kwargs,
    )


def moved(model):
    """The model with conditioning that is none any more."""
    for i, layer in enumerate(model.conditioning_layers):
        rng = np.random.default_rng(i)
        layer.set_weights(
            [w + rng.normal(0, 0.3, w.shape) for w in layer.get_weights()]
        )
    return model


@pytest.mark.parametrize("kind", [layers.LSTM, layers.GRU, layers.SimpleRNN])
def test_of_a_state_that_alone_is_read_the_state_is_conditioned(kind):
    x = keras.Input((5, 3))
    rnn = kind(4, return_sequences=True, return_state=True, name="rnn")
    _, *states = rnn(x)
    net = keras.Model(x, layers.Dense(2, name="last")(states[-1]))
    model = moved(condition(net, sites=["rnn"]))
    state = rnn(X)[-1]
    told = model.coordinates({"mae": np.full(12, 5.0, "float32")})
    expected = net.get_layer("last")(model.conditioning_layers[0](state, told))
    found = model(X, {"mae": 5.0})
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert np.abs(found - model(X, {"mae": 0.2})).max() > 1e-3


def test_an_encoder_of_which_the_state_is_read_is_conditioned():
    source, target = keras.Input((5, 3)), keras.Input((None, 3))
    _, *states = layers.LSTM(4, return_state=True, name="encoder")(source)
    decoder = layers.LSTM(4, return_sequences=True, name="decoder")
    hidden = decoder(target, initial_state=states)
    net = keras.Model([source, target], layers.Dense(2, name="last")(hidden))
    model = condition(net)
    assert model.sites == ["encoder", "decoder", "last"]
    before = model([X, X], {"mae": 5.0})
    np.testing.assert_allclose(before, net([X, X]), atol=1e-6)
    layer = model.conditioning_layers[0]
    layer.set_weights([w + 0.5 for w in layer.get_weights()])
    assert np.abs(model([X, X], {"mae": 5.0}) - before).max() > 1e-3


def test_what_no_output_depends_on_is_no_site():
    x = keras.Input((3,))
    hidden = layers.Dense(4, name="hidden")(x)
    aside = layers.Dense(4, name="aside")(hidden)
    inner = keras.Model(x, [aside, hidden], name="inner")
    y = keras.Input((3,))
    net = keras.Model(y, layers.Dense(1, name="last")(inner(y)[1]))
    assert condition(net).sites == ["inner/hidden", "last"]
    with pytest.raises(InputError, match="that the outputs depend on, .*aside"):
        condition(net, sites=["inner/aside"])


@keras.saving.register_keras_serializable("tests")
class Net(keras.Model):
    """A functional model whose class makes its layers, without names."""

    def __init__(self, units=8, **kwargs):
        x = keras.Input((3,))
        hidden = layers.Dense(units, "relu")(x)
        hidden = layers.Dense(units, "relu")(hidden)
        super().__init__(inputs=x, outputs=layers.Dense(1)(hidden), **kwargs)
        self.units = units

    def get_config(self):
        return {"units": self.units}


def _nested():
    x = keras.Input((3,))
    return keras.Model(x, layers.Dense(1)(ops.tanh(Net(name="inner")(x))))


@pytest.mark.parametrize("make", [Net, _nested])
@pytest.mark.parametrize("which", [None, [1], [0, 2]])
def test_sites_are_found_where_layers_are_called_otherwise(
    make, which, tmp_path
):
    net = make()
    sites = condition(net).sites
    model = condition(net, sites=which and [sites[i] for i in which])
    model.compile("sgd")
    model.fit(ROWS, TARGETS, verbose=0)
    moved(model).conditioning_layers[-1].trainable = False
    model.save(tmp_path / "model.keras")
    layers.Dense(3)  # a number more
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.sites != model.sites
    assert [c.trainable for c in loaded.conditioning_layers] == [
        c.trainable for c in model.conditioning_layers
    ]
    for mae in (0.1, 1.0, 5.0):
        np.testing.assert_array_equal(
            loaded(ROWS, {"mae": mae}), model(ROWS, {"mae": mae})
        )
    # And once more, from a network of the new names.
    again = keras.models.clone_model(loaded)
    assert len(again.sites) == len(model.sites)
    again.set_weights(loaded.get_weights())
    np.testing.assert_array_equal(
        again(ROWS, {"mae": 5.0}), model(ROWS, {"mae": 5.0})
    )


@pytest.mark.parametrize("make", [Net, _nested])
def test_sites_of_a_copy_are_named_as_in_the_network(make):
    net = make()
    sites = condition(net).sites
    model = condition(net, sites=[sites[1]], copy=True)
    assert len(model.sites) == 1
    layer = model.conditioning_layers[0]
    assert layer.get_config()["name"].endswith(model.sites[0].replace("/", "_"))
    np.testing.assert_allclose(model(ROWS, {"mae": 1.0}), net(ROWS), rtol=1e-6)


def test_a_network_that_is_made_anew_as_another_is_refused():
    model = condition(Net())
    config = model.get_config()
    config["net"] = keras.saving.serialize_keras_object(_nested())
    with pytest.raises(
        InputError, match="made anew with the 3 calls of layers"
    ):
        type(model).from_config(config)


def test_a_file_without_the_names_of_places_is_read_as_before():
    x = keras.Input((3,))
    model = condition(keras.Model(x, layers.Dense(1, name="a")(x)))
    config = model.get_config()
    assert config.pop("places") == ["a"]
    assert type(model).from_config(config).sites == ["a"]
