"""What a model is given, checked where it enters."""

import numpy as np
import tensorflow as tf
from keras import ops

from yoto_tf.errors import InputError


def to_unit_interval(images):
    """Maps uint8 pixels to [0, 1] and floats to float32, in the graph."""
    if images.dtype in (np.uint8, tf.uint8, "uint8"):
        return ops.cast(images, "float32") * (1 / 255)
    return ops.cast(images, "float32")


def checked_training_images(images, image_shape):
    """Returns the images, unless their shape or range is another one.

    Args:
        images: a batch of `fit`, symbolic or not.
        image_shape: `(size, size, channels)`.

    Raises:
        InputError: for another shape, when the step is traced.
        tf.errors.InvalidArgumentError: for pixels outside [0, 1], when the
            step runs.
    """
    _check_shape(images, image_shape)
    if images.dtype == tf.uint8:
        return images
    # Free for uint8, 0.1 ms for floats; without it, pixels up to 255 would
    # train to nonsense without a word.
    checked = tf.debugging.Assert(
        ops.logical_and(ops.min(images) >= 0, ops.max(images) <= 1),
        [
            "expected float images in [0, 1], received values from",
            ops.min(images),
            "to",
            ops.max(images),
        ],
    )
    # Else the step might update the weights before it is stopped.
    with tf.control_dependencies([checked]):
        return tf.identity(images)


def checked_images(images, image_shape):
    """Returns images as float32 in [0, 1].

    Args:
        images: `(batch, size, size, channels)`, uint8 or float in [0, 1].
        image_shape: `(size, size, channels)`.

    Raises:
        InputError: for another shape, dtype or range.
    """
    images = np.asarray(images)
    _check_shape(images, image_shape)
    if not len(images):
        # With oneDNN, TensorFlow's convolutions fail on empty batches.
        raise InputError("expected one or more images, received: none")
    if images.dtype == np.uint8:
        return to_unit_interval(images)
    if not np.issubdtype(images.dtype, np.floating):
        raise InputError(
            "expected images as uint8, or as float in [0, 1], "
            f"received: images.dtype={images.dtype}"
        )
    # The comparison is False for NaN.
    if images.size and not (images.min() >= 0 and images.max() <= 1):
        raise InputError(
            "expected float images in [0, 1], received: values from "
            f"{images.min():g} to {images.max():g}"
        )
    return to_unit_interval(images)


def checked_latents(latents, latent_size):
    """Returns latents as float32 `(batch, latent_size)`.

    Raises:
        InputError: for another shape, NaN or infinity.
    """
    latents = np.asarray(latents, dtype="float32")
    if latents.ndim != 2 or latents.shape[1] != latent_size:
        raise InputError(
            f"expected latents of shape (batch, {latent_size}), "
            f"received: latents.shape={latents.shape}"
        )
    if not len(latents):
        raise InputError("expected one or more latents, received: none")
    if not np.isfinite(latents).all():
        raise InputError("expected finite latents, received: NaN or inf")
    return latents


def checked_beta(beta, batch_size, beta_range):
    """Returns beta as float32 `(batch_size,)`.

    Args:
        beta: a number, or one per example.
        batch_size: number of examples.
        beta_range: the `LossWeight` that the model was trained with.

    Raises:
        InputError: for another length, or a value that is not in the range
            (zero, negative and NaN never are).
    """
    values = np.asarray(beta, dtype="float64")
    if values.shape not in ((), (batch_size,)):
        raise InputError(
            "expected beta as a number or one per example, shape "
            f"({batch_size},), received: beta.shape={values.shape}"
        )
    good = beta_range.contains(values)
    if not good.all():
        raise InputError(
            f"expected beta {beta_range.describe()}, "
            f"received: beta={float(values[~good].flat[0]):g}"
        )
    return np.broadcast_to(values, (batch_size,)).astype("float32")


def _check_shape(images, image_shape):
    if tuple(images.shape[1:]) != tuple(image_shape):
        expected = ", ".join(map(str, image_shape))
        raise InputError(
            f"expected images of shape (batch, {expected}), "
            f"received: images.shape={tuple(images.shape)}"
        )
