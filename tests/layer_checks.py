"""Checks that every layer of the library passes, written once.

`test_conformance.py` runs each of them on each registered layer.
"""

import dataclasses
import json
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from yoto_tf.layers import ConditioningLayer
from yoto_tf.method.precision import default_policy


@dataclasses.dataclass(frozen=True)
class LayerCase:
    """A layer to check.

    Attributes:
        make: builds the layer.
        input_shapes: of the arguments of its call, batch included.
        num_weights: how many variables `build` must create.
    """

    make: Callable
    input_shapes: tuple
    num_weights: int

    def inputs(self, seed=0):
        rng = np.random.default_rng(seed)
        return [
            rng.normal(size=shape).astype("float32")
            for shape in self.input_shapes
        ]

    def functional(self, layer):
        """A model of the layer alone, batch size open."""
        inputs = [keras.Input(shape[1:]) for shape in self.input_shapes]
        return keras.Model(inputs, layer(*inputs))


def config_round_trip(case):
    layer = case.make()
    expected = flat(layer(*case.inputs()))
    copy = through_json(layer)
    assert type(copy) is type(layer)
    # As JSON, which has no tuples.
    assert json.dumps(copy.get_config()) == json.dumps(layer.get_config())
    copy(*case.inputs())
    copy.set_weights(layer.get_weights())
    np.testing.assert_array_equal(flat(copy(*case.inputs())), expected)


def build_creates_the_weights(case):
    layer = case.make()
    layer.build(*case.input_shapes[: _num_shapes(layer)])
    assert len(layer.weights) == case.num_weights
    assert len({w.path for w in layer.weights}) == case.num_weights
    before = [w.numpy() for w in layer.weights]
    layer(*case.inputs())
    assert len(layer.weights) == case.num_weights
    for old, new in zip(before, layer.weights, strict=True):
        np.testing.assert_array_equal(old, new.numpy())


def symbolic_shapes_are_the_eager_ones(case):
    layer = case.make()
    eager = keras.tree.map_structure(
        lambda t: tuple(t.shape), layer(*case.inputs())
    )
    symbolic = layer(*(keras.KerasTensor(s) for s in case.input_shapes))
    assert keras.tree.map_structure(lambda t: t.shape, symbolic) == eager
    shapes = case.input_shapes[: _num_shapes(layer)]
    assert layer.compute_output_shape(*shapes) == eager
    opened = case.functional(layer).outputs
    closed = keras.tree.flatten(symbolic)
    assert [t.shape for t in opened] == [(None, *t.shape[1:]) for t in closed]


def fit_takes_a_step(case):
    model = case.functional(case.make())
    joined = keras.layers.Concatenate()(
        [keras.layers.Flatten()(t) for t in model.outputs]
    )
    model = keras.Model(model.inputs, keras.layers.Dense(1)(joined))
    model.compile("sgd", "mse", run_eagerly=True)
    before = model.get_weights()
    inputs = case.inputs()
    history = model.fit(inputs, np.ones((len(inputs[0]), 1)), verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    after = model.get_weights()
    assert any((a != b).any() for a, b in zip(after, before, strict=True))


def saved_model_answers_the_same(case, path):
    model = case.functional(case.make())
    expected = flat(model(case.inputs()))
    model.save(path)
    loaded = keras.models.load_model(path)
    np.testing.assert_array_equal(flat(loaded(case.inputs())), expected)


def gradients_reach_every_weight(case):
    layer = case.make()
    inputs = [tf.constant(x) for x in case.inputs()]
    target = np.random.default_rng(1).normal(size=flat(layer(*inputs)).shape)
    # A layer whose output starts at zero hides the layers before it from
    # the first gradient, not from the second.
    for _ in range(2):
        with tf.GradientTape() as tape:
            tape.watch(inputs[0])
            parts = [
                tf.reshape(t, [-1]) for t in keras.tree.flatten(layer(*inputs))
            ]
            loss = tf.reduce_sum(tf.concat(parts, 0) * target.astype("float32"))
        sources = [inputs[0], *(v.value for v in layer.trainable_variables)]
        gradients = tape.gradient(loss, sources)
        for variable, gradient in zip(
            layer.trainable_variables, gradients[1:], strict=True
        ):
            variable.assign_sub(0.01 * gradient)
    names = ["features", *(v.path for v in layer.trainable_variables)]
    for name, gradient in zip(names, gradients, strict=True):
        assert np.isfinite(gradient).all(), name
        assert np.abs(gradient).max() > 0, name


def bfloat16_answers_about_the_same(case):
    layer = case.make()
    expected = layer(*case.inputs())
    with default_policy("mixed_bfloat16"):
        coarse = case.make()
        answer = coarse(*case.inputs())
    coarse.set_weights(layer.get_weights())
    answer = coarse(*case.inputs())
    for tensor in keras.tree.flatten(answer):
        assert tensor.dtype == tf.bfloat16
    for weight in coarse.weights:
        assert weight.dtype == "float32"
    # bfloat16 keeps 8 bits of a number; a dozen layers add up their errors.
    scale = np.abs(flat(expected)).max()
    np.testing.assert_allclose(
        flat(answer), flat(expected), rtol=0, atol=0.03 * scale
    )


def features_have_any_rank(case):
    """Positions are independent: many of them are as many examples."""
    layer = case.make()
    if not isinstance(layer, ConditioningLayer):
        return
    channels = case.input_shapes[0][-1]
    rng = np.random.default_rng(0)
    conditioning = case.inputs()[1]
    layer(*case.inputs())
    layer.set_weights([rng.normal(size=w.shape) for w in layer.weights])
    for middle in ((), (3,), (2, 3), (2, 16), (2, 3, 2)):
        features = rng.normal(size=(4, *middle, channels)).astype("float32")
        positions = int(np.prod(middle))
        rows = layer(
            features.reshape(-1, channels),
            np.repeat(conditioning, positions, axis=0),
        )
        answer = layer(features, conditioning)
        np.testing.assert_allclose(
            answer, np.reshape(rows, answer.shape), rtol=1e-5, atol=1e-6
        )
        opened = keras.Input((*(None for _ in middle), channels))
        told = keras.Input(conditioning.shape[1:])
        model = keras.Model([opened, told], layer(opened, told))
        np.testing.assert_allclose(
            model([features, conditioning]), answer, rtol=1e-5, atol=1e-6
        )


CHECKS = (
    config_round_trip,
    build_creates_the_weights,
    symbolic_shapes_are_the_eager_ones,
    fit_takes_a_step,
    saved_model_answers_the_same,
    gradients_reach_every_weight,
    bfloat16_answers_about_the_same,
    features_have_any_rank,
)


def through_json(thing):
    """Serializes, writes as JSON, reads and deserializes."""
    text = json.dumps(keras.saving.serialize_keras_object(thing))
    return keras.saving.deserialize_keras_object(json.loads(text))


def flat(structure):
    """All numbers of a tensor or of a structure of tensors, in a row."""
    return np.concatenate(
        [
            np.ravel(keras.ops.convert_to_numpy(keras.ops.cast(t, "float32")))
            for t in keras.tree.flatten(structure)
        ]
    )


def _num_shapes(layer):
    """How many shapes the layer's `build` takes."""
    return layer.build.__wrapped__.__code__.co_argcount - 1
