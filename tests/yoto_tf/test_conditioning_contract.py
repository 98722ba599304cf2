"""What every conditioning layer promises, of features of any rank.

The layers are found by walking the package: a new one without a case fails.
"""

import importlib
import pkgutil

import keras
import numpy as np
import pytest
import tensorflow as tf

import yoto_tf
from yoto_tf.errors import InputError
from yoto_tf.layers import Concatenation
from yoto_tf.layers import ConditioningLayer
from yoto_tf.layers import FiLM
from yoto_tf.layers import Gate
from yoto_tf.layers import SigmoidFiLM
from yoto_tf.layers import SplineFiLM

# Class -> the ways to make one.
CASES = {
    FiLM: [lambda **k: FiLM(6, **k)],
    SigmoidFiLM: [lambda **k: SigmoidFiLM(6, **k)],
    Gate: [Gate, lambda **k: Gate("sqrt", **k)],
    SplineFiLM: [SplineFiLM],
    Concatenation: [Concatenation],
}
MADE = [
    pytest.param(make, id=f"{c.__name__}{i or ''}")
    for c, makes in CASES.items()
    for i, make in enumerate(makes)
]
each_layer = pytest.mark.parametrize("make", MADE)
CHANNELS = 5
# Of ranks 2 to 5.
MIDDLES = [(), (3,), (2, 17), (2, 3, 2)]


def registered_layers():
    for module in pkgutil.walk_packages(yoto_tf.__path__, "yoto_tf."):
        importlib.import_module(module.name)
    return {
        thing
        for thing in keras.saving.get_custom_objects().values()
        if isinstance(thing, type)
        and issubclass(thing, ConditioningLayer)
        and thing.__module__.startswith("yoto_tf.")
    }


def inputs(middle=(), dtype="float32"):
    rng = np.random.default_rng(len(middle))
    features = rng.normal(size=(4, *middle, CHANNELS)).astype(dtype)
    return features, rng.normal(size=(4, 2)).astype("float32")


def opened(layer, middle, dtype="float32"):
    """A functional model that knows no size but that of the channels."""
    x = keras.Input((*(None for _ in middle), CHANNELS), dtype=dtype)
    c = keras.Input((2,))
    return keras.Model([x, c], layer(x, c))


def test_every_registered_layer_has_a_case():
    assert registered_layers() == set(CASES)


@each_layer
@pytest.mark.parametrize("middle", MIDDLES, ids=lambda m: f"rank{len(m) + 2}")
def test_it_starts_as_the_identity_exactly_where_it_says_so(make, middle):
    """Eagerly, in a functional model and in a function of unknown sizes."""
    layer = make()
    x, c = inputs(middle)
    model = opened(layer, middle)
    unknown = tf.TensorSpec((None, *(None for _ in middle), CHANNELS))
    traced = tf.function(
        layer, input_signature=[unknown, tf.TensorSpec((None, 2))]
    )
    answers = [layer(x, c).numpy(), model([x, c]).numpy(), traced(x, c).numpy()]
    same = layer.starts_as_identity
    for answer in answers:
        assert np.array_equal(answer, x) == same
        np.testing.assert_allclose(answer, answers[0], 1e-5, 1e-6)
        added = 2 if layer.adds_channels else 0
        assert answer.shape == (4, *middle, CHANNELS + added)
    # Open as it is, the model knows the rank and the channels.
    assert model.output.shape == (*unknown.shape[:-1], CHANNELS + added)


@each_layer
@pytest.mark.parametrize(
    "policy", ["mixed_bfloat16", "mixed_float16", "float64", "bfloat16"]
)
def test_it_keeps_its_promises_under_every_policy(make, policy):
    layer = make(dtype=policy)
    x, c = inputs((3,))
    answer = opened(layer, (3,))([x, c])
    computed = policy.removeprefix("mixed_")
    assert answer.dtype == computed
    seen = tf.cast(x, computed)
    same = answer.shape == seen.shape and bool(tf.reduce_all(answer == seen))
    assert same == layer.starts_as_identity
    whole = "float32" if policy.startswith("mixed") else policy
    assert {w.dtype for w in layer.weights} <= {whole}
    if policy != "bfloat16":
        plain = make()
        plain(x, c)
        plain.set_weights(layer.get_weights())
        atol = {"bfloat16": 0.03, "float16": 0.004}.get(computed, 1e-5)
        np.testing.assert_allclose(
            tf.cast(answer, "float64"), plain(x, c), rtol=0, atol=atol
        )


@each_layer
@pytest.mark.parametrize("graph", [False, True])
def test_the_mask_of_the_features_is_that_of_the_output(make, graph):
    """Also through a second layer of a functional model with open axes."""
    x, c = inputs((3,))
    x[0, 1:] = 0.0
    entry, told = keras.Input((None, CHANNELS)), keras.Input((2,))
    h = make()(keras.layers.Masking()(entry), told)
    h = make()(h, told)
    pooled = keras.layers.GlobalAveragePooling1D()(h)
    model = keras.Model([entry, told], [h, pooled])
    if graph:
        found, mean = model.predict([x, c], verbose=0)
    else:
        found, mean = model([x, c])
        np.testing.assert_array_equal(found._keras_mask, x[..., 0] != 0)
    # Keras' pooling leaves out what is masked.
    np.testing.assert_allclose(mean[0], found[0, 0], rtol=1e-5)
    np.testing.assert_allclose(mean[1], np.mean(found[1], 0), rtol=1e-5)


@each_layer
@pytest.mark.parametrize(
    ("features", "conditioning", "message"),
    [
        ((5,), (4, 2), r"features of shape \(batch, \.\.\., channels\)"),
        ((4, 3, 5), (4,), r"conditioning of shape \(batch, k\)"),
        ((4, 3, 5), (4, 1, 2), r"conditioning of shape \(batch, k\)"),
        # oneDNN would end the process in a graph.
        ((4, 3, 5), (4, 0), r"k of 1 or more, received: .*\(4, 0\)"),
        ((4, 3, 5), (1, 2), "one row of conditioning per example"),
        ((1, 3, 5), (4, 2), "one row of conditioning per example"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(
    make, features, conditioning, message
):
    x, c = np.ones(features, "float32"), np.ones(conditioning, "float32")
    with pytest.raises(InputError, match=message):
        make()(x, c)
    with pytest.raises(InputError, match=message):
        tf.function(make(), autograph=False)(x, c)


@each_layer
def test_an_unknown_number_of_channels_is_refused(make):
    with pytest.raises(InputError, match="known number of channels"):
        make()(keras.Input((3, None)), keras.Input((2,)))


class Told(yoto_tf.LossConditionalModel):
    """A user's model: a layer of its own on the coordinates alone."""

    def __init__(self, layer=None, **kwargs):
        super().__init__(**kwargs)
        self.layer, self.net = layer, keras.layers.Dense(3)

    def call(self, x, loss_parameters):
        told = self.coordinates(loss_parameters)
        w = self.net(told) if self.layer is None else self.layer(x, told)
        return keras.ops.mean(w, -1)

    def loss_terms(self, x, y, outputs, loss_parameters):
        return {"error": keras.ops.square(outputs - y)}


@pytest.mark.parametrize("layer", [None, FiLM])
def test_a_model_whose_parameters_are_all_constant_trains(layer):
    """Its conditioning would have no columns: one is 0."""
    model = Told(layer and layer(4), loss_parameters={"error": 2.0})
    np.testing.assert_array_equal(
        model.coordinates({"error": tf.fill([3], 2.0)}), np.zeros((3, 1))
    )
    model.compile(keras.optimizers.SGD(0.01))
    x = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
    logs = model.fit(x, x.sum(1), epochs=2, verbose=0).history
    assert logs["loss"][1] < logs["loss"][0]


def test_a_vae_of_constants_alone_is_told_nothing():
    vae = yoto_tf.ConditionalVAE(
        (32, 32, 3),
        yoto_tf.ModelConfig(latent_size=2, base_channels=2, dense_units=4),
        yoto_tf.BetaConfig(distribution="constant", values=(1.0,)),
        loss_parameters={"further": yoto_tf.Constant(2.0)},
    )
    assert vae.model_config.conditioning.kind == "none"
    assert not any("conditioning" in w.path for w in vae.weights)
