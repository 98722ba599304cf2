"""What a model is given, checked where it enters."""

import keras
import numpy as np
import tensorflow as tf

from yoto_tf.errors import InputError
from yoto_tf.families.pixels import as_pixels
from yoto_tf.families.pixels import in_unit_interval
from yoto_tf.families.pixels import to_unit_interval
from yoto_tf.method.assertions import checked


def images_of(x):
    """The images of what `fit` is given.

    Args:
        x: images, or a dict with them as `image`, as the data sets of TFDS
            have it.

    Raises:
        InputError: for a dict without them, or with loss parameters.
    """
    if not isinstance(x, dict):
        return x
    if "image" not in x:
        raise InputError(
            "expected images, or a dict with 'image', received: a dict "
            f"with {sorted(x, key=str)}"
        )
    if "beta" in x:
        raise InputError(
            "expected beta as loss_parameters={'beta': ...}, received: a "
            "dict with 'beta'"
        )
    return x["image"]


def checked_training_images(x, image_shape):
    """Returns the images of a batch of `fit`, checked.

    Args:
        x: as for `images_of`, symbolic or not.
        image_shape: `(size, size, channels)`.

    Raises:
        InputError: for other structures, shapes, dtypes and, outside of a
            graph, pixels; see `assertions.checked`.
    """
    return in_unit_interval(_checked_form(images_of(x), image_shape))


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


def _checked_form(images, image_shape):
    """Returns images as a tensor of a dtype and shape that can be pixels."""
    images = as_pixels(images)
    if isinstance(images, keras.KerasTensor):
        _check_shape(images, image_shape)
        return images
    if not images.shape[1:].is_compatible_with(image_shape):
        _check_shape(images, image_shape)
    if not images.shape[1:].is_fully_defined():
        # Known when the step runs.
        shape = tf.shape(images)
        images = checked(
            images,
            tf.reduce_all(shape[1:] == image_shape),
            f"expected images of shape (batch, {_listed(image_shape)}), "
            "received: images.shape=",
            shape,
        )
        # tf.ensure_shape could fail first, with words of its own.
        images.set_shape((None, *image_shape))
    return images


def _check_shape(images, image_shape):
    if tuple(images.shape[1:]) != tuple(image_shape):
        raise InputError(
            f"expected images of shape (batch, {_listed(image_shape)}), "
            f"received: images.shape={tuple(images.shape)}"
        )


def _listed(shape):
    return ", ".join(map(str, shape))
