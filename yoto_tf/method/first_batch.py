"""Builds a model whose layers build on first use, again, when it is loaded.

Keras learns the shapes of a model's inputs in `__call__`, which training by
`loss_terms` goes round. Without them a loaded model has no weights to load,
and Keras says nothing: its layers would start anew, at random.
"""

import json

import keras
import numpy as np
import tensorflow as tf

from yoto_tf.errors import InputError
from yoto_tf.layers.own_state import taken
from yoto_tf.method import asking
from yoto_tf.method import replicas

_KEY = "weight_count"
_TRAINED = "trained_values"


def all_layers(model):
    """The model's layers at any depth, itself left out."""
    return list(model._flatten_layers(include_self=False))


def unbuilt(model):
    """Names of the layers without their weights."""
    return [layer.name for layer in all_layers(model) if not layer.built]


def spec_of(batch):
    """Describes tensors as JSON can; the number of examples stays open.

    Args:
        batch: tensors, arrays, `tf.TensorSpec` and None, in dicts and lists.

    Returns:
        A string; None for ragged, sparse and other batches.
    """
    leaves = keras.tree.flatten(batch)
    if any(
        t is not None
        and (
            isinstance(t, tf.RaggedTensor | tf.SparseTensor)
            or getattr(t, "shape", None) is None
            or not hasattr(t, "dtype")
            or tf.TensorShape(t.shape).rank in (None, 0)
        )
        for t in leaves
    ):
        return None
    symbols = keras.tree.map_structure(
        lambda t: (
            None
            if t is None
            else keras.KerasTensor(
                (None, *t.shape[1:]), tf.as_dtype(t.dtype).name
            )
        ),
        batch,
    )
    return json.dumps(keras.saving.serialize_keras_object(symbols))


def build(model, spec):
    """Runs the model without numbers, so that all layers are built.

    Args:
        model: a `LossConditionalModel`.
        spec: what `spec_of` gave for `(x, y)`.

    Returns:
        The names of the loss terms, or none where they need not run.
    """
    specs = keras.tree.map_structure(
        lambda t: None if t is None else tf.TensorSpec(t.shape, t.dtype),
        keras.saving.deserialize_keras_object(json.loads(spec)),
    )
    values = {
        name: tf.TensorSpec((None,), model.loss_dtype)
        for name in model.loss_parameters.names
    }
    names = []
    several = replicas.has_several(model)

    def run(x, y, values, training):
        x, y = model.check_batch(x, y)
        outputs = model.run(x, values, training=training)
        # A layer may be used in the loss alone.
        if several or (y is not None and unbuilt(model)):
            names[:] = model.checked_terms(x, y, outputs, values)
        if several and y is not None:
            model._trackers.prepare_scores(y, outputs)

    # A layer may be used in training alone.
    with model.distribute_strategy.scope():
        for training in (False, True):
            tf.function(run, autograph=False).get_concrete_function(
                *specs, values, training
            )
            if not unbuilt(model):
                break
    return names


def spec_of_data(x, y=None):
    """`spec_of` the batches that `fit` will make of its arguments; None where
    only reading a batch would tell."""
    if isinstance(x, keras.utils.PyDataset):
        x, y, _ = keras.utils.unpack_x_y_sample_weight(x[0])
    elif hasattr(x, "element_spec"):
        x, y, _ = keras.utils.unpack_x_y_sample_weight(x.element_spec)
    return spec_of((asking.unwrapped(x)[0], y))


def save_weight_count(model, store):
    """Writes it into the store of `save_own_variables`."""
    store[_KEY] = np.int64(len(model.weights))
    store[_TRAINED] = _trained_values(model)


def _trained_values(model):
    """Some of the values that a model is trained for, and what its network is
    told of them."""
    joint = model.loss_parameters
    watched = joint.watched()
    values = {n: np.array([w[n] for w in watched]) for n in joint.names}
    told = joint.coordinates(
        {n: tf.constant(v, "float32") for n, v in values.items()}
    )
    columns = [*values.values(), *np.asarray(told, "float64").T]
    return np.stack(columns, axis=-1)


def load_weight_count(model, store):
    """Compares it in `load_own_variables`; returns the rest of the store.

    Raises:
        InputError: if the file has other weights than the model, which would
            keep those that it began with; or is of a model for other values
            of the loss parameters, by which its weights mean something else.
    """
    count, rest = taken(store, _KEY)
    trained, rest = taken(rest, _TRAINED)
    if trained is not None:
        before, now = np.asarray(trained), _trained_values(model)
        if before.shape != now.shape or not np.allclose(
            before, now, rtol=1e-4, atol=1e-6
        ):
            raise InputError(
                "expected weights of a model that was trained for "
                + ", ".join(
                    f"{n} {model.loss_parameters.describe(n)}"
                    for n in model.loss_parameters.names
                )
                + ", received: those of other values of the loss parameters "
                "(model.set_weights(other.get_weights()) takes them to begin "
                "with)"
            )
    if count is not None:
        saved = int(np.asarray(count))
        if saved != len(model.weights):
            names = unbuilt(model)
            raise InputError(
                f"expected a model with the {saved} weights that were saved, "
                f"received: {type(model).__name__} with {len(model.weights)}"
                + (
                    f"; layers that are not built: {names}. Show a new model a "
                    "batch by fit, then its load_weights(path) reads the file"
                    if names
                    else ""
                )
            )
    return rest
