"""Which numbers stay float32 where layers compute in fewer bits.

bfloat16 keeps 8 bits: a sum over the pixels of an image would lose nats, and
weights that differ by 2 % would be one.
"""

import contextlib

import keras
import tensorflow as tf
from keras import ops

from yoto_tf.errors import InputError
from yoto_tf.method import graph

HALF = ("float16", "bfloat16")


def half_of(model):
    """The dtype of half precision that it or a layer computes in, or None."""
    found = {layer.compute_dtype for layer in model._flatten_layers()}
    return next((dtype for dtype in HALF if dtype in found), None)


def dtype_at_least_float32(dtype):
    """The dtype's name, float32 in place of one of fewer bits."""
    return keras.backend.result_type(
        keras.backend.standardize_dtype(dtype), "float32"
    )


def at_least_float32(tensor):
    """Casts what has fewer bits than float32."""
    return ops.cast(tensor, dtype_at_least_float32(tensor.dtype))


def widened(tensors, dtype):
    """Casts the floats among tensors, as the outputs of a model."""
    return keras.tree.map_structure(
        lambda t: (
            graph.with_mask_of(ops.cast(t, dtype), t)
            if keras.backend.is_float_dtype(getattr(t, "dtype", "int32"))
            else t
        ),
        tensors,
    )


@contextlib.contextmanager
def default_policy(policy):
    """Makes `policy` that of the layers that are built meanwhile."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


class _Float32(keras.DTypePolicy):
    """Float32 of variables that were made for another policy."""

    def __init__(self, before):
        super().__init__("float32")
        self.before = before

    @property
    def variable_dtype(self):
        return self.before.variable_dtype


@contextlib.contextmanager
def in_float32(model):
    """Lets a model compute in float32 meanwhile, whatever its precision:
    servers answer in float32, and in bfloat16 no two engines agree.

    It is the model itself, with all that was ever set of it, and no copy by
    its configuration, which may know of less. Layers with another dtype than
    the model's keep it, but for those of half precision; quantised ones keep
    theirs, without which their weights mean nothing.
    """
    own = model.dtype_policy.name
    changed = [
        layer
        for layer in model._flatten_layers()
        if layer.dtype_policy.quantization_mode is None
        and (
            layer.dtype_policy.name == own != "float32"
            or layer.compute_dtype in HALF
        )
    ]
    try:
        for layer in changed:
            layer.dtype_policy = _Float32(layer.dtype_policy)
            _forget_graphs(layer)
        yield
    except (TypeError, tf.errors.InvalidArgumentError) as error:
        said = [t for t in str(error).splitlines() if "float16" in t]
        if not changed or not said:
            raise
        raise InputError(
            "expected layers that ask for their compute_dtype when they are "
            "called, and keep nothing of it from before, or a model with "
            f"dtype='float32' that loads the weights, received: {said[0]}"
        ) from error
    finally:
        # Those that were built meanwhile have it, too.
        for layer in model._flatten_layers():
            if isinstance(layer.dtype_policy, _Float32):
                layer.dtype_policy = layer.dtype_policy.before
                _forget_graphs(layer)


def _forget_graphs(layer):
    """Of `predict` and its like, which keep the dtype they were traced in."""
    for name in ("predict_function", "test_function"):
        if getattr(layer, name, None) is not None:
            setattr(layer, name, None)


def check_policy(policy):
    """Raises `InputError` for variables of fewer bits than float32, to which
    the updates of training are mostly too small to be added."""
    if policy.variable_dtype in HALF:
        raise InputError(
            "expected a dtype policy with float32 variables, as "
            f"'mixed_bfloat16', received: {policy.name!r}"
        )


@contextlib.contextmanager
def dtype_errors(policy):
    """Says what TensorFlow's errors about mixed dtypes ask for."""
    try:
        yield
    except (TypeError, ValueError, tf.errors.InvalidArgumentError) as error:
        if "float16" not in str(error) or "float16" not in policy.name:
            raise
        reason = str(error).strip().split("\n")[0]
        raise InputError(
            "expected loss_terms() to compute its terms in float32, as by "
            "keras.ops.cast(outputs, 'float32'), received: "
            f"dtype={policy.name!r} and {type(error).__name__}: {reason}"
        ) from error
