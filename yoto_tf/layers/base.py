"""What all conditioning layers share: features of any rank, checks, masks."""

import keras
import numpy as np
from keras import ops

from yoto_tf.errors import InputError


class ConditioningLayer(keras.layers.Layer):
    """Base: changes features, channel by channel, as a vector tells it.

        output = scale(conditioning) * features + shift(conditioning)

    A layer of one's own defines `scale_and_shift`, and `build` if it has
    weights; features of any rank, their mask and the dtypes are seen to here.
    One that does not scale and shift defines `call` instead.

    Call arguments:
        features: `(batch, ..., channels)` of 2 axes or more, any of them of
            unknown size but the channels; their mask, if they have one, is
            that of the output.
        conditioning: `(batch, k)`, one vector per example, k of 1 or more.

    Under a policy of mixed precision the features are cast to its compute
    dtype, the conditioning keeps the variables': in bfloat16 weights of a
    loss that differ by less than about 2 % would be one.

    Attributes:
        starts_as_identity: whether a new layer returns its features as they
            are, exactly.
        adds_channels: whether the output has more channels than the
            features.
        replaces_bias: whether its shift makes a bias of the layer before it
            superfluous.

    Raises:
        InputError: for features without channels or with an unknown number
            of them, or a conditioning that is no vector per example.

    Example:
        class Scale(yoto_tf.ConditioningLayer):
            starts_as_identity = True

            def build(self, features_shape, conditioning_shape):
                self.kernel = self.add_weight(
                    shape=(conditioning_shape[-1], features_shape[-1]),
                    initializer="zeros",
                    autocast=False,
                )

            def scale_and_shift(self, conditioning):
                return 1 + conditioning @ self.kernel, None
    """

    starts_as_identity = False
    adds_channels = False
    replaces_bias = False

    def __init__(self, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.supports_masking = True

    def __call__(self, features, conditioning, **kwargs):
        _check(_shape(features), _shape(conditioning))
        return super().__call__(features, conditioning, **kwargs)

    def build(self, features_shape, conditioning_shape):
        """Creates the weights; none by default."""

    def call(self, features, conditioning):
        features, conditioning = self._cast(features, conditioning)
        return modulate(features, *self.scale_and_shift(conditioning))

    def scale_and_shift(self, conditioning):
        """What features are multiplied by, and what is added.

        Args:
            conditioning: `(batch, k)`, in the variables' dtype.

        Returns:
            `(scale, shift)`, each `(batch, channels)`; a shift of None adds
            nothing.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must define scale_and_shift(conditioning)"
        )

    def compute_output_shape(self, features_shape, conditioning_shape):
        return features_shape

    def _cast(self, features, conditioning):
        return (
            ops.cast(features, self.compute_dtype),
            ops.cast(conditioning, self.variable_dtype),
        )


def _shape(tensor):
    return tuple(getattr(tensor, "shape", np.shape(tensor)))


def _check(features, conditioning):
    if len(features) < 2 or features[-1] is None:
        raise InputError(
            "expected features of shape (batch, ..., channels) with a known "
            f"number of channels, received: features.shape={features}"
        )
    # oneDNN ends the process over a product with no columns.
    if len(conditioning) != 2 or not conditioning[-1]:
        raise InputError(
            "expected conditioning of shape (batch, k) with a known k of 1 or "
            f"more, received: conditioning.shape={conditioning}"
        )
    rows = features[0], conditioning[0]
    if None not in rows and rows[0] != rows[1]:
        raise InputError(
            "expected one row of conditioning per example, received: "
            f"features.shape={features}, conditioning.shape={conditioning}"
        )


def modulate(features, scale, shift=None):
    """scale * features + shift, channel by channel, example by example.

    Args:
        features: `(batch, ..., channels)`.
        scale, shift: `(batch, channels)`; no shift if None.

    Returns:
        A tensor of the shape and dtype of `features`.

    Raises:
        InputError: for a scale or shift of another shape.
    """
    rank = len(features.shape)
    scale = _per_channel("scale", scale, features)
    if shift is not None:
        shift = _per_channel("shift", shift, features)
    if rank == 4 and None not in features.shape[1:]:
        # Broadcasting a few channels over height and width is slow on a CPU:
        # rows of width * channels values multiply in long runs, which made
        # this step and its gradient 20 to 30 % faster at 32 pixels and more.
        _, height, width, channels = features.shape
        if width >= 16:
            # Below, too small for that to pay its further operations.
            rows = ops.reshape(features, (-1, height, width * channels))
            rows = rows * ops.expand_dims(ops.tile(scale, (1, width)), 1)
            if shift is not None:
                rows = rows + ops.expand_dims(ops.tile(shift, (1, width)), 1)
            return ops.reshape(rows, (-1, height, width, channels))
    spread = (-1, *(1,) * (rank - 2), features.shape[-1])
    product = features * ops.reshape(scale, spread)
    return product if shift is None else product + ops.reshape(shift, spread)


def _per_channel(name, values, features):
    values = ops.cast(values, features.dtype)
    # As many examples as channels, and `(batch, 1)` would be spread over the
    # channels of all examples, without an error.
    channels = features.shape[-1]
    if len(values.shape) != 2 or values.shape[-1] not in (None, channels):
        raise InputError(
            f"expected {name} of shape (batch, {channels}), one "
            f"per channel, received: {name}.shape={tuple(values.shape)}"
        )
    return values
