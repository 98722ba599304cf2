"""The layers that condition the sites of a Keras model."""

import inspect

import keras

from yoto_tf.errors import InputError
from yoto_tf.layers.spline import SplineFiLM


def template(conditioning, ends):
    """The layer that is copied for each site."""
    made = SplineFiLM if conditioning is None else conditioning
    if isinstance(made, dict):
        made = keras.saving.deserialize_keras_object(made)
    if inspect.isclass(made) and issubclass(made, SplineFiLM):
        made = made(ends=ends)
    elif not isinstance(made, keras.layers.Layer) and callable(made):
        made = made()
    if not isinstance(made, keras.layers.Layer):
        raise InputError(
            "expected a conditioning layer, its class or a function that "
            f"makes it, received: conditioning={conditioning!r}"
        )
    if not getattr(made, "starts_as_identity", False):
        raise InputError(
            "expected a conditioning layer that begins as the identity, as "
            "SplineFiLM and FiLM do (so that a trained network keeps its "
            "answers; starts_as_identity = True says so of one of your own), "
            f"received: {type(made).__name__}"
        )
    return made


def copied(template, site, dtype):
    """A layer of its own for a site, which keeps the features' dtype."""
    if dtype in ("float16", "bfloat16"):
        dtype = f"mixed_{dtype}"
    name = "condition_" + site.replace("/", "_").replace(":", "_")
    config = {**template.get_config(), "name": name, "dtype": dtype}
    return type(template).from_config(config)


def conditioned(outputs, layer, index, told):
    """Conditions what a site gives, or one of several.

    Args:
        outputs: a tensor, or a list or tuple of them.
        layer: the site's.
        index: of the flat list, which one.
        told: `(batch, num_coordinates)`, what the layer is told.

    Returns:
        The outputs, in their structure.
    """
    flat = keras.tree.flatten(outputs)
    flat[index] = layer(flat[index], told)
    return keras.tree.pack_sequence_as(outputs, flat)
